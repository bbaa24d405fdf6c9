//! Values, replies and faults in MessagePack, both ways, with nothing lost on the way.
//!
//! MessagePack has no decimals, times, tuples, sets or integers beyond 64 bits; they are extensions,
//! which stand in `docs/protocols/worker.md`. The worker protocol and HTTP write values so. The
//! protocol `msgpack` does not: its clients know none of the extensions.
//!
//! It is pure: no socket, no clock. [`Reader`] reads, the `append` functions write.

#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic)
)]

mod extension;
pub mod fault;
mod read;
#[cfg(test)]
mod tests;
mod write;

use std::fmt;

use polyport_core::Kind;

pub use crate::extension::{TYPES, type_name, type_of};
pub use crate::read::Reader;
pub use crate::write::{
    FRAME, FRAME_HEAD_BYTES, append, append_array, append_columns, append_frame, append_list,
    append_named, append_nil, append_reply, append_str, append_u64,
};

/// What the bytes of one message may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Nesting levels.
    pub depth: usize,
    /// Values, each of which takes 32 bytes of memory even where it took one on the wire.
    pub values: usize,
    /// Whether foreign objects and absent arguments are read. A client must not be let make
    /// them: it could have bytes of its own choice unpickled by another.
    pub foreign: bool,
}

/// Why bytes are no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// They say what has no meaning.
    Malformed(&'static str),
    /// They are a value that cannot be taken, by a fault of this kind.
    Refused(Kind, &'static str),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(why) | Self::Refused(_, why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Error {}

const TOO_DEEP: Error = Error::Refused(Kind::TooLarge, "values are nested too deep (limits.depth)");
const TOO_MANY: Error = Error::Refused(Kind::TooLarge, "a message has too many values");
const TOO_SHORT: Error = Error::Malformed("the bytes end within a value");
