//! The mysql protocol.
mod sql;
