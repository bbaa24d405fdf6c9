//! The prepared statements of one connection.

use std::collections::BTreeMap;

use polyport_core::Value;

use crate::codec::parameter::{self, LongData, ParameterType, Unreadable};
use crate::config::Config;
use crate::sql::{Charset, SqlError};

/// Stands for the statement that was prepared last; Node's mariadb 3.5 sends it when it executes
/// in one go with the preparation.
const LAST: u32 = u32::MAX;

/// The prepared statements of one connection. Empty, it holds no memory of its own.
#[derive(Debug, Default)]
pub(crate) struct Statements {
    all: BTreeMap<u32, Statement>,
    last: u32,
    text_bytes: usize,
    long_bytes: usize,
}

#[derive(Debug)]
struct Statement {
    text: Box<[u8]>,
    parameters: u16,
    types: Vec<ParameterType>,
    long_data: LongData,
    /// Why the next execution fails: what was sent ahead is not kept.
    refused: Option<SqlError>,
}

impl Statements {
    /// Keeps a statement and returns its id.
    pub(crate) fn prepare(
        &mut self,
        text: &[u8],
        parameters: usize,
        config: &Config,
    ) -> Result<(u32, u16), SqlError> {
        let parameters = u16::try_from(parameters).map_err(|_| SqlError {
            errno: 1390,
            state: "HY000",
            message: "Prepared statement contains too many placeholders".into(),
        })?;
        let bytes = self.text_bytes + text.len();
        if self.all.len() >= config.statements || bytes > config.statement_bytes {
            let (count, bytes) = (config.statements, config.statement_bytes);
            let message = format!(
                "Can't create more than {count} prepared statements of {bytes} bytes together on \
                 one connection (protocols.mysql.statements, statement_bytes)"
            );
            return Err(SqlError { errno: 1461, state: "42000", message });
        }
        self.text_bytes = bytes;
        self.last = self.next_id();
        let statement = Statement {
            text: text.into(),
            parameters,
            types: Vec::new(),
            long_data: LongData::new(),
            refused: None,
        };
        self.all.insert(self.last, statement);
        Ok((self.last, parameters))
    }

    /// The id after the last, passing over those that are taken after four thousand million.
    fn next_id(&self) -> u32 {
        let mut id = self.last;
        loop {
            id = id.wrapping_add(1);
            if id != 0 && id != LAST && !self.all.contains_key(&id) {
                return id;
            }
        }
    }

    fn own(&self, id: u32) -> u32 {
        if id == LAST { self.last } else { id }
    }

    /// The statement's text with the values that the packet brings, or that were sent ahead.
    pub(crate) fn execute(
        &mut self,
        id: u32,
        payload: &[u8],
        from: Charset,
    ) -> Result<(&[u8], Vec<Value>), SqlError> {
        let unknown = || unknown(id, "mysqld_stmt_execute");
        let statement = self.all.get_mut(&self.own(id)).ok_or_else(unknown)?;
        let long_data = std::mem::take(&mut statement.long_data);
        self.long_bytes -= size(&long_data);
        if let Some(error) = statement.refused.take() {
            return Err(error);
        }
        let count = usize::from(statement.parameters);
        let values = parameter::read(payload, count, &mut statement.types, long_data, from);
        Ok((&statement.text, values.map_err(unreadable)?))
    }

    /// Keeps bytes of a parameter for the next execution. There is no answer to this command, so
    /// what cannot be kept makes that execution fail.
    pub(crate) fn send_ahead(&mut self, id: u32, parameter: u16, data: &[u8], config: &Config) {
        let most = config.long_data_bytes;
        let Some(statement) = self.all.get_mut(&self.own(id)) else { return };
        if parameter >= statement.parameters {
            let message = "Incorrect arguments to mysqld_stmt_send_long_data";
            statement.refused = Some(wrong_arguments(1210, message));
        } else if self.long_bytes + data.len() > most {
            let message = format!(
                "Parameters that were sent ahead are longer than {most} bytes \
                 (protocols.mysql.long_data_bytes)"
            );
            statement.refused = Some(wrong_arguments(1105, &message));
        } else {
            statement.long_data.entry(parameter).or_default().extend_from_slice(data);
            self.long_bytes += data.len();
        }
    }

    /// Forgets what was sent ahead for a statement.
    pub(crate) fn reset(&mut self, id: u32) -> Result<(), SqlError> {
        let unknown = || unknown(id, "mysqld_stmt_reset");
        let statement = self.all.get_mut(&self.own(id)).ok_or_else(unknown)?;
        self.long_bytes -= size(&statement.long_data);
        statement.long_data.clear();
        statement.refused = None;
        Ok(())
    }

    /// Forgets a statement; an unknown one is no error, since there is no answer.
    pub(crate) fn close(&mut self, id: u32) {
        if let Some(statement) = self.all.remove(&self.own(id)) {
            self.text_bytes -= statement.text.len();
            self.long_bytes -= size(&statement.long_data);
        }
    }

    /// The error for fetching from a cursor: executions answer with all rows, so there is none.
    pub(crate) fn no_cursor(&self, id: u32) -> SqlError {
        if !self.all.contains_key(&self.own(id)) {
            return unknown(id, "mysqld_stmt_fetch");
        }
        let message = format!("The statement ({id}) has no open cursor.");
        SqlError { errno: 1421, state: "HY000", message }
    }
}

fn size(long_data: &LongData) -> usize {
    long_data.values().map(Vec::len).sum()
}

fn unknown(id: u32, command: &str) -> SqlError {
    let message = format!("Unknown prepared statement handler ({id}) given to {command}");
    SqlError { errno: 1243, state: "HY000", message }
}

fn wrong_arguments(errno: u16, message: &str) -> SqlError {
    SqlError { errno, state: "HY000", message: message.into() }
}

fn unreadable(why: Unreadable) -> SqlError {
    match why {
        Unreadable::NoTypes => wrong_arguments(1210, "Incorrect arguments to mysqld_stmt_execute"),
        Unreadable::Malformed(malformed) => wrong_arguments(1835, &malformed.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        Config { statements: 2, statement_bytes: 10, long_data_bytes: 5, ..Config::default() }
    }

    #[test]
    fn statements_are_numbered_and_the_last_has_a_name_of_its_own() {
        let mut all = Statements::default();
        assert_eq!(all.prepare(b"a", 0, &config()), Ok((1, 0)));
        assert_eq!(all.prepare(b"b", 0, &config()), Ok((2, 0)));
        assert_eq!(all.execute(LAST, b"", Charset::Utf8), Ok((&b"b"[..], vec![])));
        all.close(2);
        assert_eq!(all.execute(2, b"", Charset::Utf8).unwrap_err().errno, 1243);
    }

    #[test]
    fn number_and_size_of_statements_are_limited() {
        let mut all = Statements::default();
        assert_eq!(all.prepare(b"more than ten", 0, &config()).unwrap_err().errno, 1461);
        all.prepare(b"a", 0, &config()).unwrap();
        all.prepare(b"b", 0, &config()).unwrap();
        assert_eq!(all.prepare(b"c", 0, &config()).unwrap_err().errno, 1461);
        all.close(1);
        all.prepare(b"123456789", 0, &config()).unwrap();
        assert_eq!(all.prepare(b"?", 70_000, &config()).unwrap_err().errno, 1390);
    }

    #[test]
    fn what_is_sent_ahead_is_limited_and_given_back() {
        let mut all = Statements::default();
        let (id, _) = all.prepare(b"?", 1, &config()).unwrap();
        let payload = b"\0\x01\xfd\0";
        for part in [b"ab", b"cd"] {
            all.send_ahead(id, 0, part, &config());
        }
        let (_, values) = all.execute(id, payload, Charset::Utf8).unwrap();
        assert_eq!(values, [Value::Text("abcd".into())]);

        all.send_ahead(id, 0, b"abcdef", &config());
        assert_eq!(all.execute(id, payload, Charset::Utf8).unwrap_err().errno, 1105);
        all.send_ahead(id, 0, b"abcde", &config());
        assert!(all.reset(id).is_ok());
        all.send_ahead(id, 0, b"xyz", &config());
        let (_, values) = all.execute(id, payload, Charset::Utf8).unwrap();
        assert_eq!(values, [Value::Text("xyz".into())]);

        all.send_ahead(id, 7, b"a", &config());
        assert_eq!(all.execute(id, payload, Charset::Utf8).unwrap_err().errno, 1210);
        all.send_ahead(99, 0, b"a", &config());
    }

    #[test]
    fn there_is_never_a_cursor() {
        let mut all = Statements::default();
        let (id, _) = all.prepare(b"a", 0, &config()).unwrap();
        assert_eq!(all.no_cursor(id).errno, 1421);
        assert_eq!(all.no_cursor(9).errno, 1243);
    }
}
