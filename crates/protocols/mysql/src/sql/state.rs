//! What a connection keeps between its statements.

use std::collections::{BTreeMap, HashMap};

use polyport_core::{Limits, Text, Value};

use super::SqlError;
use super::charset::{Charset, Collation, set_named};
use super::lexer::Dialect;
use super::parser::lower;

/// User variables that a connection may have.
pub(super) const VARIABLES_MOST: usize = 10_000;

/// Prepared statements that a connection may name with `PREPARE`.
pub(super) const PREPARED_MOST: usize = 1_000;

/// Warnings that are kept, MySQL's `max_error_count`.
pub(super) const WARNINGS_MOST: usize = 64;

/// Status bit: in a transaction.
const IN_TRANSACTION: u16 = 1;

/// Status bit: autocommit. PyMySQL, aiomysql, asyncmy and mysqlclient send `SET AUTOCOMMIT = 0`
/// only when they see it.
const AUTOCOMMIT: u16 = 2;

/// What the connection knows when its state begins.
#[derive(Clone, Debug, Default)]
pub(crate) struct Setup {
    /// The database of the login; empty for none.
    pub(crate) database: Text,
    /// The collation number of the login; 0 for the server's own.
    pub(crate) collation: u16,
    /// The port it came to, for `@@port`; 0 when there is none.
    pub(crate) port: u16,
    /// The TLS cipher, for `SHOW STATUS LIKE 'Ssl_cipher'`; empty without TLS.
    pub(crate) cipher: Text,
}

/// A connection's own state that statements read and change; a reset makes a new one.
#[derive(Debug)]
pub(crate) struct State {
    /// The chosen database; empty for none.
    pub(crate) database: Text,
    pub(super) port: u16,
    pub(super) cipher: Text,
    /// User variables by their name in lower case.
    variables: HashMap<Text, Value>,
    variable_bytes: usize,
    /// What they may hold together: the core's `limits.message_bytes`, so that any argument that
    /// can be sent can be a variable.
    pub(super) variable_bytes_most: usize,
    /// System variables that were set, by their name in `variables.rs`.
    pub(super) system: BTreeMap<&'static str, Value>,
    pub(super) dialect: Dialect,
    results: Charset,
    pub(super) autocommit: bool,
    pub(super) in_transaction: bool,
    pub(super) savepoints: Vec<Text>,
    pub(super) warnings: Vec<Warning>,
    /// Statements of `PREPARE`, by their name in lower case.
    pub(super) prepared: BTreeMap<Text, Vec<u8>>,
    pub(super) row_count: i64,
    pub(super) found_rows: i64,
}

/// What `SHOW WARNINGS` lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Warning {
    pub(super) level: &'static str,
    pub(super) code: u16,
    pub(super) message: String,
}

impl Default for State {
    fn default() -> Self {
        Self::new(Setup::default())
    }
}

impl State {
    /// The state after a login or a reset.
    pub(crate) fn new(setup: Setup) -> Self {
        let Setup { database, collation, port, cipher } = setup;
        let mut state = Self {
            database,
            port,
            cipher,
            variables: HashMap::new(),
            variable_bytes: 0,
            variable_bytes_most: Limits::default().message_bytes,
            system: BTreeMap::new(),
            dialect: Dialect::default(),
            results: Charset::default(),
            autocommit: true,
            in_transaction: false,
            savepoints: Vec::new(),
            warnings: Vec::new(),
            prepared: BTreeMap::new(),
            row_count: 0,
            found_rows: 0,
        };
        let collation = Collation::numbered(collation);
        if collation.id != Collation::numbered(0).id {
            state.set_names(collation);
        }
        state
    }

    /// The status bits of this state: in a transaction, autocommit.
    pub(crate) fn status(&self) -> u16 {
        let autocommit = if self.autocommit { AUTOCOMMIT } else { 0 };
        if self.in_transaction { autocommit | IN_TRANSACTION } else { autocommit }
    }

    /// How many warnings the last statement left.
    pub(crate) fn warnings(&self) -> u16 {
        u16::try_from(self.warnings.len()).unwrap_or(u16::MAX)
    }

    /// How text comes in: statements, and the parameters of prepared ones.
    pub(crate) fn client(&self) -> Charset {
        self.dialect.charset
    }

    /// How text goes out.
    pub(crate) fn results(&self) -> Charset {
        self.results
    }

    /// Speaks another character set in both directions.
    pub(super) fn set_names(&mut self, collation: &'static Collation) {
        for name in ["character_set_client", "character_set_connection", "character_set_results"] {
            self.system.insert(name, collation.set.into());
        }
        self.system.insert("collation_connection", collation.name.into());
        self.charsets_changed();
    }

    /// Follows the character set variables.
    pub(super) fn charsets_changed(&mut self) {
        let charset = |name: &str| {
            let set = self.system.get(name).and_then(Value::as_text).and_then(set_named);
            set.map_or(Charset::Utf8, |set| set.charset)
        };
        let (client, results) = (charset("character_set_client"), charset("character_set_results"));
        self.dialect.charset = client;
        self.results = results;
    }

    /// A user variable's value; null for one that was never set.
    pub(super) fn variable(&self, name: &str) -> Value {
        self.variables.get(name).cloned().unwrap_or_default()
    }

    /// Sets a user variable, as an OUT parameter does.
    ///
    /// # Errors
    /// When there are too many, or they hold too much.
    pub(crate) fn assign(&mut self, name: &Text, value: Value) -> Result<(), SqlError> {
        let name = lower(name);
        let before = self.variables.get(&name).map(size).unwrap_or_default();
        let bytes = self.variable_bytes.saturating_sub(before).saturating_add(size(&value));
        let new = !self.variables.contains_key(&name);
        if (new && self.variables.len() >= VARIABLES_MOST) || bytes > self.variable_bytes_most {
            return Err(SqlError::too_much("user variables, or values for them,"));
        }
        self.variable_bytes = bytes;
        self.variables.insert(name, value);
        Ok(())
    }

    /// Notes an error that was answered, for `SHOW WARNINGS`. [`super::run`] notes its own.
    pub(crate) fn failed(&mut self, errno: u16, message: &str) {
        self.warnings.clear();
        self.note("Error", errno, message.to_owned());
        self.row_count = -1;
    }

    /// Notes something that the statement got over.
    pub(super) fn warn(&mut self, code: u16, message: impl Into<String>) {
        self.note("Warning", code, message.into());
    }

    pub(super) fn note(&mut self, level: &'static str, code: u16, message: String) {
        if self.warnings.len() < WARNINGS_MOST {
            self.warnings.push(Warning { level, code, message });
        }
    }

    /// Notes what a call answered, for `FOUND_ROWS()` and `ROW_COUNT()`: how many rows, or none
    /// for an OK.
    pub(crate) fn answered(&mut self, rows: Option<usize>) {
        self.row_count = if rows.is_some() { -1 } else { 0 };
        if let Some(rows) = rows {
            self.found_rows = i64::try_from(rows).unwrap_or(i64::MAX);
        }
    }
}

/// Bytes that a value holds beside its own place, and a place's worth for that.
fn size(value: &Value) -> usize {
    let inner = match value {
        Value::Text(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::Big(number) => usize::try_from(number.bits() / 8).unwrap_or(usize::MAX),
        Value::Decimal(number) => {
            usize::try_from(number.as_bigint_and_scale().0.bits() / 8).unwrap_or(usize::MAX)
        }
        Value::List(items) | Value::Tuple(items) | Value::Set(items) => {
            items.iter().map(size).sum()
        }
        Value::Map(pairs) => pairs.iter().map(|(key, value)| size(key) + size(value)).sum(),
        _ => 0,
    };
    inner.saturating_add(size_of::<Value>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_variables_know_no_case_and_are_null_before_they_are_set() {
        let mut state = State::default();
        assert_eq!(state.variable("a"), Value::Null);
        state.assign(&"A".into(), 5.into()).unwrap();
        assert_eq!(state.variable("a"), Value::Int(5));
    }

    #[test]
    fn user_variables_are_bounded_in_number_and_size() {
        let mut state = State { variable_bytes_most: 10_000, ..State::default() };
        for _ in 0..10 {
            state.assign(&"a".into(), "x".repeat(5_000).into()).unwrap();
        }
        assert!(state.assign(&"b".into(), "x".repeat(5_000).into()).is_err());
        state.assign(&"a".into(), Value::Null).unwrap();
        state.assign(&"b".into(), "x".repeat(5_000).into()).unwrap();

        let mut state = State::default();
        for index in 0..VARIABLES_MOST {
            state.assign(&index.to_string().into(), Value::Null).unwrap();
        }
        assert!(state.assign(&"one_more".into(), Value::Null).is_err());
        state.assign(&"0".into(), Value::Int(1)).unwrap();
    }

    #[test]
    fn the_login_decides_the_charset() {
        let state = |collation| State::new(Setup { collation, ..Setup::default() });
        assert_eq!(state(8).results(), Charset::Latin1);
        assert_eq!(state(8).dialect.charset, Charset::Latin1);
        assert_eq!(state(45).results(), Charset::Utf8);
        assert_eq!(state(0).results(), Charset::Utf8);
        assert_eq!(state(28).results(), Charset::Utf8);
    }

    #[test]
    fn only_so_many_warnings_are_kept() {
        let mut state = State::default();
        for _ in 0..200 {
            state.warn(1292, "x");
        }
        assert_eq!(usize::from(state.warnings()), WARNINGS_MOST);
        state.failed(1064, "y");
        assert_eq!(state.warnings(), 1);
    }
}
