//! The packets that answer a command, apart from rows.

use super::{Capabilities, packet, put_lenenc, put_lenenc_bytes, status};

/// Writes the packets of one answer, in order.
#[derive(Debug)]
pub(crate) struct Writer<'o> {
    pub(crate) out: &'o mut Vec<u8>,
    /// The next packet's number.
    pub(crate) sequence: &'o mut u8,
    /// What the client agreed to.
    pub(crate) capabilities: Capabilities,
}

/// What an OK packet says.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Done<'a> {
    pub(crate) affected: u64,
    pub(crate) last_id: u64,
    pub(crate) status: u16,
    pub(crate) warnings: u16,
    /// The database that was chosen just now.
    pub(crate) database: Option<&'a str>,
}

impl Writer<'_> {
    /// Writes one packet.
    pub(crate) fn packet(&mut self, fill: impl FnOnce(&mut Vec<u8>)) {
        let begun = packet::begin(self.out);
        fill(self.out);
        packet::end(self.out, begun, self.sequence);
    }

    pub(crate) fn ok(&mut self, done: Done<'_>) {
        self.done(0x00, done);
    }

    fn done(&mut self, header: u8, done: Done<'_>) {
        let Done { affected, last_id, status, warnings, database } = done;
        let tracked = database.filter(|_| self.capabilities.has(Capabilities::SESSION_TRACK));
        self.packet(|out| {
            out.push(header);
            put_lenenc(out, affected);
            put_lenenc(out, last_id);
            let changed = if tracked.is_some() { status::SESSION_CHANGED } else { 0 };
            out.extend_from_slice(&(status | changed).to_le_bytes());
            out.extend_from_slice(&warnings.to_le_bytes());
            if let Some(database) = tracked {
                put_change(out, database);
            }
        });
    }

    /// Ends column definitions, which clients of the newer layout do without.
    pub(crate) fn end_of_columns(&mut self, status: u16) {
        if !self.capabilities.has(Capabilities::DEPRECATE_EOF) {
            self.eof(status, 0);
        }
    }

    /// Ends a result set.
    pub(crate) fn end_of_rows(&mut self, status: u16, warnings: u16) {
        if self.capabilities.has(Capabilities::DEPRECATE_EOF) {
            self.done(0xfe, Done { status, warnings, ..Done::default() });
        } else {
            self.eof(status, warnings);
        }
    }

    fn eof(&mut self, status: u16, warnings: u16) {
        self.packet(|out| {
            out.push(0xfe);
            out.extend_from_slice(&warnings.to_le_bytes());
            out.extend_from_slice(&status.to_le_bytes());
        });
    }

    pub(crate) fn error(&mut self, errno: u16, state: &str, message: &[u8]) {
        self.packet(|out| {
            out.push(0xff);
            out.extend_from_slice(&errno.to_le_bytes());
            out.push(b'#');
            out.extend_from_slice(state.as_bytes());
            out.extend_from_slice(message);
        });
    }

    /// The answer to a preparation, before the definitions of its parameters.
    pub(crate) fn prepared(&mut self, statement: u32, parameters: u16) {
        self.packet(|out| {
            out.push(0x00);
            out.extend_from_slice(&statement.to_le_bytes());
            // No columns: what a call returns is known after it, as with MySQL's procedures.
            out.extend_from_slice(&[0, 0]);
            out.extend_from_slice(&parameters.to_le_bytes());
            out.extend_from_slice(&[0, 0, 0]);
        });
    }
}

/// What a session tracker calls a change of database.
const SCHEMA_CHANGED: u8 = 1;

/// An empty info text, and the block of changes.
fn put_change(out: &mut Vec<u8>, database: &str) {
    let mut name = Vec::new();
    put_lenenc_bytes(&mut name, database.as_bytes());
    let mut change = vec![SCHEMA_CHANGED];
    put_lenenc_bytes(&mut change, &name);
    put_lenenc_bytes(out, b"");
    put_lenenc_bytes(out, &change);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(capabilities: Capabilities, fill: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
        let (mut out, mut sequence) = (Vec::new(), 1);
        fill(&mut Writer { out: &mut out, sequence: &mut sequence, capabilities });
        out
    }

    #[test]
    fn an_ok_tells_of_the_database_only_to_clients_that_track_it() {
        let done = Done { status: 2, database: Some("db"), ..Done::default() };
        let plain = written(Capabilities::PROTOCOL_41, |to| to.ok(done));
        assert_eq!(plain, b"\x07\0\0\x01\0\0\0\x02\0\0\0");
        let tracked = written(Capabilities::SESSION_TRACK, |to| to.ok(done));
        assert_eq!(tracked, b"\x0e\0\0\x01\0\0\0\x02\x40\0\0\0\x05\x01\x03\x02db");
    }

    #[test]
    fn the_end_of_rows_carries_its_status_in_both_layouts() {
        let old = written(Capabilities::PROTOCOL_41, |to| to.end_of_rows(10, 1));
        assert_eq!(old, b"\x05\0\0\x01\xfe\x01\0\x0a\0");
        let new = written(Capabilities::DEPRECATE_EOF, |to| to.end_of_rows(10, 1));
        assert_eq!(new, b"\x07\0\0\x01\xfe\0\0\x0a\0\x01\0");
        assert_eq!(written(Capabilities::DEPRECATE_EOF, |to| to.end_of_columns(2)), b"");
    }

    #[test]
    fn an_error_carries_number_and_state() {
        let bytes = written(Capabilities::PROTOCOL_41, |to| to.error(1047, "08S01", b"no"));
        assert_eq!(bytes, b"\x0b\0\0\x01\xff\x17\x04#08S01no");
    }
}
