//! The http protocol.
