//! Bytes to messages and back, pure: no socket, no clock.
//!
//! [`frame`] finds where a pymprpc message ends, [`compression`] unpacks it, [`value`] and
//! [`json`] read and write what is in it. Standard MessagePack-RPC needs [`value`] alone.

pub(crate) mod answer;
pub(crate) mod compression;
pub(crate) mod fields;
pub(crate) mod frame;
pub(crate) mod json;
pub(crate) mod message;
pub(crate) mod value;

/// Why bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Error {
    /// They end before the message does.
    Incomplete,
    /// More of them would not help.
    Malformed(&'static str),
    /// They are a message over one of its limits.
    TooLarge(&'static str),
}

impl Error {
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Incomplete => "the message ends too early",
            Self::Malformed(why) | Self::TooLarge(why) => why,
        }
    }
}

/// What one message may hold, whatever its size in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Nesting levels.
    pub(crate) depth: usize,
    /// Values, each of which takes 32 bytes of memory even where it took one on the wire.
    pub(crate) values: usize,
}

pub(crate) const TOO_DEEP: Error = Error::TooLarge("values are nested too deep (limits.depth)");
pub(crate) const TOO_MANY: Error = Error::TooLarge("a message has too many values (values)");
