//! The codec's entrance for fuzz targets, which is there only in their builds.
