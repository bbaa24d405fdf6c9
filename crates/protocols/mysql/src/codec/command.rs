//! What a logged-in client asks for.

use super::handshake::ChangeUser;
use super::{Malformed, Reader};

/// One command, with its fields as they came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command<'a> {
    Quit,
    InitDb(&'a [u8]),
    Query(&'a [u8]),
    FieldList { table: &'a [u8], wildcard: &'a [u8] },
    Statistics,
    ProcessKill(u32),
    Ping,
    ChangeUser(ChangeUser<'a>),
    Prepare(&'a [u8]),
    Execute(Execute<'a>),
    SendLongData { statement: u32, parameter: u16, data: &'a [u8] },
    CloseStatement(u32),
    ResetStatement(u32),
    SetOption(u16),
    Fetch { statement: u32 },
    ResetConnection,
    Unknown(u8),
}

/// The execution of a prepared statement; its parameters are read once the statement is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Execute<'a> {
    pub(crate) statement: u32,
    pub(crate) parameters: &'a [u8],
}

impl<'a> Command<'a> {
    pub(crate) fn read(payload: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(payload);
        Ok(match reader.u8("command")? {
            0x01 => Self::Quit,
            0x02 => Self::InitDb(reader.rest()),
            0x03 => Self::Query(reader.rest()),
            0x04 => Self::FieldList { table: reader.until_zero(), wildcard: reader.rest() },
            0x09 => Self::Statistics,
            0x0c => Self::ProcessKill(reader.u32("connection id")?),
            0x0e => Self::Ping,
            0x11 => Self::ChangeUser(ChangeUser::read(&mut reader)?),
            0x16 => Self::Prepare(reader.rest()),
            0x17 => {
                let statement = reader.u32("statement id")?;
                // Flags that ask for a cursor, which is legal to answer without one, and the
                // number of iterations, which is always one.
                reader.bytes(5, "flags")?;
                Self::Execute(Execute { statement, parameters: reader.rest() })
            }
            0x18 => Self::SendLongData {
                statement: reader.u32("statement id")?,
                parameter: reader.u16("parameter number")?,
                data: reader.rest(),
            },
            0x19 => Self::CloseStatement(reader.u32("statement id")?),
            0x1a => Self::ResetStatement(reader.u32("statement id")?),
            0x1b => Self::SetOption(reader.u16("option")?),
            0x1c => Self::Fetch { statement: reader.u32("statement id")? },
            0x1f => Self::ResetConnection,
            other => Self::Unknown(other),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_commands_and_keeps_unknown_ones() {
        assert_eq!(Command::read(b"\x03select 1"), Ok(Command::Query(b"select 1")));
        assert_eq!(Command::read(b"\x0c\x07\0\0\0"), Ok(Command::ProcessKill(7)));
        assert_eq!(Command::read(b"\x1d"), Ok(Command::Unknown(0x1d)));
        let field_list = Command::FieldList { table: b"t", wildcard: b"%" };
        assert_eq!(Command::read(b"\x04t\0%"), Ok(field_list));
        let execute = Execute { statement: 2, parameters: b"rest" };
        let bytes = b"\x17\x02\0\0\0\0\x01\0\0\0rest";
        assert_eq!(Command::read(bytes), Ok(Command::Execute(execute)));
    }

    #[test]
    fn refuses_cut_commands() {
        assert!(Command::read(b"").is_err());
        for command in [0x0c, 0x11, 0x17, 0x18, 0x19, 0x1a, 0x1b, 0x1c] {
            assert!(Command::read(&[command]).is_err(), "{command:#x}");
        }
    }
}
