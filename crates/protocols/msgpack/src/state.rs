//! What a connection's first bytes tell: the dialect, and for pymprpc the mode, which both sides
//! of the original have to be told and which is never negotiated.

use crate::codec::compression::Compression;

/// What a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// pymprpc, in the mode that the client chose.
    Pymprpc(Mode),
    /// MessagePack-RPC as its specification has it.
    Standard,
}

impl Dialect {
    /// The dialect whose messages begin with this byte. pymprpc sends a map or a compressed
    /// stream, standard MessagePack-RPC an array, so one byte decides.
    pub(crate) fn detect(first: u8) -> Option<Self> {
        match first {
            0x90..=0x9f | 0xdc | 0xdd => Some(Self::Standard),
            _ => Mode::detect(first).map(Self::Pymprpc),
        }
    }
}

/// How bodies are written, before compression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// JSON text, the client's `debug=True`.
    Json,
    /// MessagePack.
    Packed,
}

impl Format {
    /// The format of a body that begins with this byte.
    pub(crate) const fn detect(first: u8) -> Self {
        match first {
            b'{' => Self::Json,
            _ => Self::Packed,
        }
    }
}

/// Whether the client reads and writes through a telnet layer, as pymprpc's sync client does:
/// each `ff` is sent twice, and a single one would be a telnet command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Telnet {
    /// No frame with an `ff` in it has come.
    Unknown,
    /// No.
    No,
    /// Yes.
    Yes,
}

/// The mode of a pymprpc connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mode {
    /// Known from the first body that was read.
    pub(crate) format: Option<Format>,
    /// How frames are compressed.
    pub(crate) compression: Option<Compression>,
    /// Known from the first frame with an `ff` in it. JSON has none, and a compressed answer would
    /// not pass through a telnet layer anyway.
    pub(crate) telnet: Telnet,
}

impl Mode {
    /// The mode whose frames begin with this byte.
    pub(crate) const fn detect(first: u8) -> Option<Self> {
        let (format, compression) = match first {
            b'{' => (Some(Format::Json), None),
            0x80..=0x8f | 0xde | 0xdf => (Some(Format::Packed), None),
            0x78 => (None, Some(Compression::Zlib)),
            b'B' => (None, Some(Compression::Bz2)),
            0xfd => (None, Some(Compression::Xz)),
            _ => return None,
        };
        Some(Self { format, compression, telnet: Telnet::Unknown })
    }

    /// The format of answers; until a body was read that is MessagePack.
    pub(crate) fn format(&self) -> Format {
        self.format.unwrap_or(Format::Packed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_first_byte_decides() {
        let (mut standard, mut modes, mut unknown) = (0, 0, 0);
        for first in 0..=u8::MAX {
            match Dialect::detect(first) {
                Some(Dialect::Standard) => standard += 1,
                Some(Dialect::Pymprpc(mode)) => {
                    modes += 1;
                    assert_eq!(mode.format.is_none(), mode.compression.is_some());
                }
                None => unknown += 1,
            }
        }
        assert_eq!((standard, modes, unknown), (18, 22, 216));
    }
}
