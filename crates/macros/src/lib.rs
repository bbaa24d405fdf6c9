//! The attributes of the polyport crate.
