//! What a connection keeps between its statements.

use polyport_core::{Text, Value};

use super::SqlError;
use super::charset::Charset;

/// What the connection knows when its state begins.
#[derive(Clone, Debug, Default)]
pub(crate) struct Setup {
    /// The database of the login; empty for none.
    pub(crate) database: Text,
    /// The collation number of the login.
    pub(crate) collation: u16,
    /// The port it came to, for `@@port`; 0 when there is none.
    pub(crate) port: u16,
    /// The TLS cipher, for `SHOW STATUS LIKE 'Ssl_cipher'`; empty without TLS.
    pub(crate) cipher: Text,
}

/// A connection's own state that statements read and change; a reset makes a new one.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// The chosen database; empty for none.
    pub(crate) database: Text,
}

impl State {
    /// The state after a login or a reset.
    pub(crate) fn new(setup: Setup) -> Self {
        Self { database: setup.database }
    }

    /// The status bits of this state: in a transaction, autocommit.
    pub(crate) fn status(&self) -> u16 {
        2
    }

    /// How many warnings the last statement left.
    pub(crate) fn warnings(&self) -> u16 {
        0
    }

    /// How text comes in.
    pub(crate) fn client(&self) -> Charset {
        Charset::Utf8
    }

    /// How text goes out.
    pub(crate) fn results(&self) -> Charset {
        Charset::Utf8
    }

    /// Sets a user variable, as an OUT parameter does.
    pub(crate) fn assign(&mut self, _name: &Text, _value: Value) -> Result<(), SqlError> {
        Ok(())
    }

    /// Notes an error that was answered, for `SHOW WARNINGS`. [`super::run`] notes its own.
    pub(crate) fn failed(&mut self, _errno: u16, _message: &str) {}

    /// Notes what a call answered, for `FOUND_ROWS()` and `ROW_COUNT()`: how many rows, or none
    /// for an OK.
    pub(crate) fn answered(&mut self, _rows: Option<usize>) {}
}
