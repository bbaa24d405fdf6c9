//! The SQL that clients send around `CALL`: what a statement asks for, and its answer.
//!
//! Pure: no socket, no waiting, and no clock but for SQL's own `NOW()`. [`run`] answers all that
//! needs no function and no other connection by itself; the rest it hands back as an [`Action`]
//! for the connection to do.

mod charset;
mod state;

use std::time::Duration;

use polyport_core::{Rows, Session, Text, Value};

pub(crate) use self::charset::Charset;
pub(crate) use self::state::{Setup, State};

/// What a statement asks for.
#[derive(Debug, PartialEq)]
pub(crate) enum Action {
    /// Nothing more: an OK packet.
    Done,
    /// A result set.
    Rows(Rows),
    /// A function to be called.
    Call {
        /// Its name as written, without quotes, with dots.
        name: Text,
        /// The arguments.
        arguments: Vec<Value>,
        /// For each argument, the user variable that it is, if it is one: it takes what the
        /// function gives back for an OUT parameter ([`State::assign`]). Empty when none is.
        variables: Vec<Option<Text>>,
        /// What becomes of the result.
        then: Then,
    },
    /// A result set after a while, which `SELECT SLEEP(1)` asks for; a killed query answers it
    /// at once.
    Wait(Duration, Rows),
    /// A database to be chosen: the connection checks nothing more, since the name is known; it
    /// is already in [`State::database`].
    Use(Text),
    /// A connection to be ended, or only its call.
    Kill {
        /// Its id.
        id: u32,
        /// Whether the connection itself stays.
        only_call: bool,
    },
}

/// What becomes of a called function's result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// It is answered as a procedure's result sets: `CALL f()`.
    Answer,
    /// It is one value, answered as one row under this heading: `SELECT f()`.
    Cell(Text),
    /// It is one value for this user variable, and the answer is an OK: `SET @a = f()`.
    Assign(Text),
    /// It is dropped, and the answer is an OK: `DO f()`.
    Drop,
}

/// An error with MySQL's number and state.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SqlError {
    /// The number.
    pub(crate) errno: u16,
    /// Five characters.
    pub(crate) state: &'static str,
    /// What the user reads.
    pub(crate) message: String,
}

/// Runs the first statement of a text, with values for its `?` marks.
///
/// The text is as it came, in the charset of the connection, and it may hold bytes that are no
/// text at all: PyMySQL and mysql-connector write a bytes argument as `_binary'...'` with the
/// bytes as they are. Returns what it asks for and the text after its `;`, which is empty when
/// nothing but blanks and comments follow.
pub(crate) fn run<'t>(
    _text: &'t [u8],
    _parameters: &[Value],
    _state: &mut State,
    _session: &Session,
) -> Result<(Action, &'t [u8]), SqlError> {
    Ok((Action::Done, b""))
}

/// Counts the `?` marks of a statement, outside of quotes and comments.
pub(crate) fn count_parameters(_text: &[u8], _state: &State) -> Result<usize, SqlError> {
    Ok(0)
}

/// What the hello and `VERSION()` say.
pub(crate) fn version() -> &'static str {
    concat!("8.0.36-Polyport-", env!("CARGO_PKG_VERSION"))
}
