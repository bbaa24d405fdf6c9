//! The packets before the first command, and those of a change of user.

use super::{Capabilities, Malformed, Reader};

/// Bytes of a salt.
pub(crate) const SALT_BYTES: usize = 20;

/// What an answer is computed from. No byte of it is zero or `$`, since some clients take it for
/// text that ends at a zero, and `$` separates fields in stored hashes.
pub(crate) type Salt = [u8; SALT_BYTES];

/// Makes a salt of random bytes.
pub(crate) fn salt(random: [u8; SALT_BYTES]) -> Salt {
    random.map(|byte| match byte & 0x7f {
        0 => b'a',
        b'$' => b'b',
        byte => byte,
    })
}

/// A way to prove a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
pub enum Plugin {
    /// SHA-1 of the password and a salt; every client has it.
    #[serde(rename = "mysql_native_password")]
    Native,
    /// SHA-256 of the password and a salt, or over TLS the password itself.
    #[serde(rename = "caching_sha2_password")]
    Sha2,
    /// The password itself; taken only over TLS.
    #[serde(skip)]
    Clear,
}

impl Plugin {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Native => "mysql_native_password",
            Self::Sha2 => "caching_sha2_password",
            Self::Clear => "mysql_clear_password",
        }
    }

    pub(crate) fn from_name(name: &[u8]) -> Option<Self> {
        [Self::Native, Self::Sha2, Self::Clear].into_iter().find(|p| p.name().as_bytes() == name)
    }
}

/// The server's first packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hello<'a> {
    pub(crate) version: &'a str,
    pub(crate) connection: u32,
    pub(crate) salt: &'a Salt,
    pub(crate) capabilities: Capabilities,
    pub(crate) status: u16,
    pub(crate) plugin: Plugin,
}

/// `utf8mb4_general_ci`. PHP's mysqlnd logs in with the server's own collation, and its older
/// versions know none of MySQL 8's.
const COLLATION: u8 = 45;

impl Hello<'_> {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let [caps_0, caps_1, caps_2, caps_3] = self.capabilities.0.to_le_bytes();
        let (first, second) = self.salt.split_at(8);
        out.push(10);
        out.extend_from_slice(self.version.as_bytes());
        out.push(0);
        out.extend_from_slice(&self.connection.to_le_bytes());
        out.extend_from_slice(first);
        out.extend_from_slice(&[0, caps_0, caps_1, COLLATION]);
        out.extend_from_slice(&self.status.to_le_bytes());
        out.extend_from_slice(&[caps_2, caps_3, SALT_BYTES as u8 + 1]);
        // Six reserved bytes, and four where MariaDB tells its own extensions: none.
        out.extend_from_slice(&[0; 10]);
        out.extend_from_slice(second);
        out.push(0);
        out.extend_from_slice(self.plugin.name().as_bytes());
        out.push(0);
    }
}

/// Bytes of a request for TLS, which is a login cut off after its fixed part.
const TLS_REQUEST_BYTES: usize = 32;

/// Whether the packet asks for TLS instead of logging in.
pub(crate) fn is_tls_request(payload: &[u8]) -> bool {
    let capabilities = Reader::new(payload).u32("capabilities").map(Capabilities);
    payload.len() == TLS_REQUEST_BYTES && capabilities.is_ok_and(|c| c.has(Capabilities::TLS))
}

/// A client's login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Login<'a> {
    /// What it asks for, offered or not.
    pub(crate) capabilities: Capabilities,
    pub(crate) collation: u16,
    pub(crate) user: &'a [u8],
    pub(crate) answer: &'a [u8],
    pub(crate) database: &'a [u8],
    pub(crate) plugin: &'a [u8],
}

impl<'a> Login<'a> {
    /// Reads a login. `offered` is what the server's hello offered: a client may set bits beyond
    /// (PyMySQL 1.2 and mysql2 3.24 do), and then keeps to the layout without them.
    pub(crate) fn read(payload: &'a [u8], offered: Capabilities) -> Result<Self, Malformed> {
        let mut reader = Reader::new(payload);
        let capabilities = Capabilities(reader.u32("capabilities")?);
        let agreed = capabilities.both(offered);
        if !agreed.has(Capabilities::PROTOCOL_41) {
            return Err(Malformed { expected: "protocol of MySQL 4.1", offset: 0 });
        }
        reader.u32("packet size")?;
        // The collation has one byte, or two with the filler's first.
        let collation = reader.u16("collation")?;
        reader.bytes(22, "filler")?;
        let user = reader.until_zero();
        let answer = read_answer(&mut reader, agreed)?;
        let has = |bit| agreed.has(bit);
        let database =
            if has(Capabilities::CONNECT_WITH_DB) { reader.until_zero() } else { b"" as &[u8] };
        let plugin = if has(Capabilities::PLUGIN_AUTH) { reader.until_zero() } else { b"" };
        Ok(Self { capabilities, collation, user, answer, database, plugin })
    }
}

fn read_answer<'a>(reader: &mut Reader<'a>, agreed: Capabilities) -> Result<&'a [u8], Malformed> {
    if agreed.has(Capabilities::PLUGIN_AUTH_LENENC) {
        reader.lenenc_bytes("password answer")
    } else if agreed.has(Capabilities::SECURE_CONNECTION) {
        let length = reader.u8("length of the password answer")?;
        reader.bytes(usize::from(length), "password answer")
    } else {
        Ok(reader.until_zero())
    }
}

/// A request to go on as another user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChangeUser<'a> {
    pub(crate) user: &'a [u8],
    pub(crate) answer: &'a [u8],
    pub(crate) database: &'a [u8],
    pub(crate) collation: Option<u16>,
    pub(crate) plugin: &'a [u8],
}

impl<'a> ChangeUser<'a> {
    /// Reads the payload after the command's byte. Old clients end it after the database.
    pub(crate) fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let user = reader.until_zero();
        let length = reader.u8("length of the password answer")?;
        let answer = reader.bytes(usize::from(length), "password answer")?;
        let database = reader.until_zero();
        let collation = if reader.is_empty() { None } else { Some(reader.u16("collation")?) };
        let plugin = reader.until_zero();
        Ok(Self { user, answer, database, collation, plugin })
    }
}

/// Asks the client to prove the password another way.
pub(crate) fn write_switch(out: &mut Vec<u8>, plugin: Plugin, salt: &Salt) {
    out.push(0xfe);
    out.extend_from_slice(plugin.name().as_bytes());
    out.push(0);
    out.extend_from_slice(salt);
    out.push(0);
}

/// The proof by hash was enough; an OK packet follows.
pub(crate) const SHA2_GOOD: [u8; 2] = [1, 3];

/// The proof by hash is of no use here: send the password.
pub(crate) const SHA2_SEND_PASSWORD: [u8; 2] = [1, 4];

#[cfg(test)]
mod tests {
    use super::*;

    fn login(capabilities: u32, rest: &[u8]) -> Vec<u8> {
        let mut payload = capabilities.to_le_bytes().to_vec();
        payload.extend_from_slice(&[0, 0, 0, 1, 45]);
        payload.extend_from_slice(&[0; 23]);
        payload.extend_from_slice(rest);
        payload
    }

    const BASE: u32 = 1 | 1 << 9;

    #[test]
    fn reads_every_layout_of_a_login() {
        let lenenc = 1 << 3 | 1 << 15 | 1 << 19 | 1 << 20 | 1 << 21;
        let full = login(BASE | lenenc, b"ann\0\x03abcdb\0caching_sha2_password\0\x00");
        let read = Login::read(&full, Capabilities::OFFERED).unwrap();
        assert_eq!((read.user, read.answer, read.database), (&b"ann"[..], &b"abc"[..], &b"db"[..]));
        assert_eq!(Plugin::from_name(read.plugin), Some(Plugin::Sha2));
        assert_eq!(read.collation, 45);

        let old = login(BASE | 1 << 15, b"ann\0\x03abc");
        let read = Login::read(&old, Capabilities::OFFERED).unwrap();
        assert_eq!((read.answer, read.database, read.plugin), (&b"abc"[..], &b""[..], &b""[..]));

        let oldest = login(BASE, b"ann\0abc\0");
        assert_eq!(Login::read(&oldest, Capabilities::OFFERED).unwrap().answer, b"abc");
    }

    #[test]
    fn bits_that_were_not_offered_change_no_layout() {
        let offered = Capabilities::OFFERED.without(Capabilities::PLUGIN_AUTH_LENENC);
        let payload = login(BASE | 1 << 15 | 1 << 21 | 1 << 27, b"ann\0\x03abc");
        assert_eq!(Login::read(&payload, offered).unwrap().answer, b"abc");
    }

    #[test]
    fn refuses_logins_of_old_protocols_and_cut_ones() {
        assert!(Login::read(&login(1, b"ann\0"), Capabilities::OFFERED).is_err());
        let whole = login(BASE | 1 << 15 | 1 << 21, b"ann\0\x03abc");
        for cut in 0..whole.len() {
            assert!(Login::read(&whole[..cut], Capabilities::OFFERED).is_err(), "{cut}");
        }
    }

    #[test]
    fn a_request_for_tls_is_a_login_without_a_user() {
        assert!(is_tls_request(&login(BASE | 1 << 11, b"")));
        assert!(!is_tls_request(&login(BASE, b"")));
        assert!(!is_tls_request(&login(BASE | 1 << 11, b"ann\0\x00")));
    }

    #[test]
    fn a_salt_has_no_byte_that_clients_stumble_over() {
        let random: [u8; SALT_BYTES] = std::array::from_fn(|i| [0, b'$', 0x80, 0xa4, 65][i % 5]);
        assert!(salt(random).iter().all(|b| (1..0x80).contains(b) && *b != b'$'));
    }

    #[test]
    fn a_change_of_user_may_end_early() {
        let mut reader = Reader::new(b"ann\0\x02xydb\0");
        let old = ChangeUser::read(&mut reader).unwrap();
        assert_eq!((old.user, old.answer, old.database), (&b"ann"[..], &b"xy"[..], &b"db"[..]));
        assert_eq!(old.collation, None);
        let mut reader = Reader::new(b"ann\0\x00\0\x2d\0mysql_native_password\0\x00");
        let new = ChangeUser::read(&mut reader).unwrap();
        assert_eq!((new.collation, new.plugin), (Some(45), &b"mysql_native_password"[..]));
    }
}
