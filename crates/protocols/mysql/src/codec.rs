//! Bytes to frames and back: no socket, no clock, no waiting.
//!
//! `packet` cuts and joins packets, `handshake` and `command` read what clients send, `response`,
//! `column` and `row` write what they get.

pub(crate) mod column;
pub(crate) mod command;
pub(crate) mod handshake;
pub(crate) mod packet;
pub(crate) mod parameter;
pub(crate) mod response;
pub(crate) mod row;

use std::fmt;

/// What a client and the server agreed on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Capabilities(pub(crate) u32);

impl Capabilities {
    pub(crate) const LONG_PASSWORD: Self = Self(1);
    pub(crate) const FOUND_ROWS: Self = Self(1 << 1);
    pub(crate) const LONG_FLAG: Self = Self(1 << 2);
    pub(crate) const CONNECT_WITH_DB: Self = Self(1 << 3);
    pub(crate) const IGNORE_SPACE: Self = Self(1 << 8);
    pub(crate) const PROTOCOL_41: Self = Self(1 << 9);
    pub(crate) const INTERACTIVE: Self = Self(1 << 10);
    pub(crate) const TLS: Self = Self(1 << 11);
    pub(crate) const TRANSACTIONS: Self = Self(1 << 13);
    pub(crate) const SECURE_CONNECTION: Self = Self(1 << 15);
    pub(crate) const MULTI_STATEMENTS: Self = Self(1 << 16);
    pub(crate) const MULTI_RESULTS: Self = Self(1 << 17);
    pub(crate) const PS_MULTI_RESULTS: Self = Self(1 << 18);
    pub(crate) const PLUGIN_AUTH: Self = Self(1 << 19);
    pub(crate) const CONNECT_ATTRIBUTES: Self = Self(1 << 20);
    pub(crate) const PLUGIN_AUTH_LENENC: Self = Self(1 << 21);
    pub(crate) const SESSION_TRACK: Self = Self(1 << 23);
    pub(crate) const DEPRECATE_EOF: Self = Self(1 << 24);

    /// All that the server speaks, TLS aside.
    ///
    /// Not offered: files from the client's disk, compression, and query attributes, which change
    /// the layout of two commands (Node's mysql2 3.24 asks for them whatever is offered, and keeps
    /// to the plain layout when they were not).
    pub(crate) const OFFERED: Self = Self(
        Self::LONG_PASSWORD.0
            | Self::FOUND_ROWS.0
            | Self::LONG_FLAG.0
            | Self::CONNECT_WITH_DB.0
            | Self::IGNORE_SPACE.0
            | Self::PROTOCOL_41.0
            | Self::INTERACTIVE.0
            | Self::TRANSACTIONS.0
            | Self::SECURE_CONNECTION.0
            | Self::MULTI_STATEMENTS.0
            | Self::MULTI_RESULTS.0
            | Self::PS_MULTI_RESULTS.0
            | Self::PLUGIN_AUTH.0
            | Self::CONNECT_ATTRIBUTES.0
            | Self::PLUGIN_AUTH_LENENC.0
            | Self::SESSION_TRACK.0
            | Self::DEPRECATE_EOF.0,
    );

    pub(crate) const fn has(self, all: Self) -> bool {
        self.0 & all.0 == all.0
    }

    pub(crate) const fn with(self, more: Self) -> Self {
        Self(self.0 | more.0)
    }

    pub(crate) const fn without(self, fewer: Self) -> Self {
        Self(self.0 & !fewer.0)
    }

    pub(crate) const fn both(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

/// Bits of the status word.
pub(crate) mod status {
    /// More results follow this one.
    pub(crate) const MORE_RESULTS: u16 = 8;
    /// The OK packet tells what changed in the session.
    pub(crate) const SESSION_CHANGED: u16 = 0x4000;
}

/// A packet that breaks the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed {
    /// What should have stood there.
    pub(crate) expected: &'static str,
    /// Where, from the payload's first byte.
    pub(crate) offset: usize,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { expected, offset } = self;
        write!(f, "Malformed communication packet: no {expected} at byte {offset}")
    }
}

/// Reads a payload from its front.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    all: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(all: &'a [u8]) -> Self {
        Self { all, at: 0 }
    }

    pub(crate) const fn malformed(&self, expected: &'static str) -> Malformed {
        Malformed { expected, offset: self.at }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.at >= self.all.len()
    }

    /// All that is left.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        let rest = self.all.get(self.at..).unwrap_or_default();
        self.at = self.all.len();
        rest
    }

    pub(crate) fn bytes(
        &mut self,
        count: usize,
        expected: &'static str,
    ) -> Result<&'a [u8], Malformed> {
        let end = self.at.checked_add(count);
        let bytes = end.and_then(|end| self.all.get(self.at..end));
        let bytes = bytes.ok_or_else(|| self.malformed(expected))?;
        self.at += count;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self, expected: &'static str) -> Result<[u8; N], Malformed> {
        let malformed = self.malformed(expected);
        self.bytes(N, expected)?.try_into().map_err(|_| malformed)
    }

    pub(crate) fn u8(&mut self, expected: &'static str) -> Result<u8, Malformed> {
        self.array::<1>(expected).map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self, expected: &'static str) -> Result<u16, Malformed> {
        self.array(expected).map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self, expected: &'static str) -> Result<u32, Malformed> {
        self.array(expected).map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self, expected: &'static str) -> Result<u64, Malformed> {
        self.array(expected).map(u64::from_le_bytes)
    }

    /// An integer of one to nine bytes, its length told by the first.
    pub(crate) fn lenenc(&mut self, expected: &'static str) -> Result<u64, Malformed> {
        match self.u8(expected)? {
            0xfb | 0xff => Err(self.malformed(expected)),
            0xfc => self.u16(expected).map(u64::from),
            0xfd => {
                let [a, b, c] = self.array(expected)?;
                Ok(u64::from(u32::from_le_bytes([a, b, c, 0])))
            }
            0xfe => self.u64(expected),
            small => Ok(u64::from(small)),
        }
    }

    /// Bytes after their length.
    pub(crate) fn lenenc_bytes(&mut self, expected: &'static str) -> Result<&'a [u8], Malformed> {
        let length = self.lenenc(expected)?;
        let length = usize::try_from(length).map_err(|_| self.malformed(expected))?;
        self.bytes(length, expected)
    }

    /// Bytes up to a zero, which is taken too. At the payload's end the zero may be missing, as
    /// some clients leave it off the last field.
    pub(crate) fn until_zero(&mut self) -> &'a [u8] {
        let left = self.all.get(self.at..).unwrap_or_default();
        let length = left.iter().position(|byte| *byte == 0).unwrap_or(left.len());
        self.at = (self.at + length + 1).min(self.all.len());
        left.get(..length).unwrap_or_default()
    }
}

/// Writes an integer of one to nine bytes.
pub(crate) fn put_lenenc(out: &mut Vec<u8>, number: u64) {
    let [a, b, c, ..] = number.to_le_bytes();
    match number {
        0..=250 => out.push(a),
        251..=0xffff => out.extend_from_slice(&[0xfc, a, b]),
        0x1_0000..=0xff_ffff => out.extend_from_slice(&[0xfd, a, b, c]),
        _ => {
            out.push(0xfe);
            out.extend_from_slice(&number.to_le_bytes());
        }
    }
}

/// Writes bytes after their length.
pub(crate) fn put_lenenc_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_lenenc(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_encoded_integers_read_back_as_written() {
        let sizes = [(250, 1), (251, 3), (0xffff, 3), (0x1_0000, 4), (0xff_ffff, 4), (1 << 24, 9)];
        for (number, size) in sizes {
            let mut bytes = Vec::new();
            put_lenenc(&mut bytes, number);
            assert_eq!(bytes.len(), size, "{number}");
            assert_eq!(Reader::new(&bytes).lenenc("number"), Ok(number));
        }
    }

    #[test]
    fn says_what_is_missing_and_where() {
        let mut reader = Reader::new(b"\x01\x05abc");
        assert_eq!(reader.u8("flag"), Ok(1));
        let error = reader.lenenc_bytes("name").unwrap_err();
        assert_eq!(error, Malformed { expected: "name", offset: 2 });
        let mut huge = Reader::new(b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff");
        assert!(huge.lenenc_bytes("name").is_err());
    }
}
