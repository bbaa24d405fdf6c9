//! Bytes to frames and back, pure: no socket, no clock, no process.
//!
//! [`frame`] is what the two sides say, [`description`] what a worker says of itself first. The
//! values in both are those of `polyport_pack`.

pub(crate) mod description;
pub(crate) mod frame;
#[cfg(test)]
mod tests;

use std::fmt;

use polyport_core::Kind;

/// The version of the protocol, which HELLO says and the environment of a worker holds.
pub const VERSION: u64 = 1;

/// What one frame may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes after the frame's head.
    pub bytes: usize,
    /// Nesting levels.
    pub depth: usize,
    /// Values, each of which takes 32 bytes of memory even where it took one on the wire.
    pub values: usize,
}

/// Why bytes are no frame. The connection cannot go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// They say what the protocol has no meaning for.
    Malformed(&'static str),
    /// They are a frame over its limit.
    TooLarge(&'static str),
    /// They are a frame with a value that cannot be taken. Where it belongs to a call, that call
    /// fails by this kind of fault, and this error does not appear.
    Refused(Kind, &'static str),
    /// They are a HELLO that describes no application; the text names the place.
    Description(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(why) | Self::TooLarge(why) | Self::Refused(_, why) => f.write_str(why),
            Self::Description(why) => {
                write!(f, "the worker describes its functions wrongly: {why}")
            }
        }
    }
}

impl std::error::Error for Error {}

impl From<polyport_pack::Error> for Error {
    fn from(error: polyport_pack::Error) -> Self {
        match error {
            polyport_pack::Error::Malformed(why) => Self::Malformed(why),
            polyport_pack::Error::Refused(kind, why) => Self::Refused(kind, why),
        }
    }
}

pub(crate) const TOO_LONG: Error = Error::TooLarge("a frame is too long (workers.message_bytes)");
