//! The msgpack protocol.
