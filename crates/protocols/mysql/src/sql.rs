//! The SQL that clients send around `CALL`: what a statement asks for, and its answer.
//!
//! Pure: no socket, no clock, no waiting. [`run`] answers all that needs no function and no other
//! connection by itself; the rest it hands back as an [`Action`] for the connection to do.

use polyport_core::{Rows, Session, Text, Value};

/// A connection's own state that statements read and change; a reset makes a new one.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// The chosen database; empty for none.
    pub(crate) database: Text,
}

/// What a statement asks for.
#[derive(Debug)]
pub(crate) enum Action {
    /// Nothing more: an OK packet.
    Done,
    /// A result set.
    Rows(Rows),
    /// A function to be called.
    Call {
        /// Its name as written, without quotes, with dots.
        name: String,
        /// The arguments.
        arguments: Vec<Value>,
        /// For each argument, the user variable that it is, if it is one: it takes what the
        /// function gives back for an OUT parameter.
        variables: Vec<Option<Text>>,
    },
    /// A database to be chosen.
    Use(Text),
    /// A connection to be ended, or only its call.
    Kill {
        /// Its id.
        id: u32,
        /// Whether the connection itself stays.
        only_call: bool,
    },
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
/// Returns what it asks for and the text after its `;`, which is empty for a single statement.
pub(crate) fn run<'t>(
    _text: &'t str,
    _parameters: &[Value],
    _state: &mut State,
    _session: &Session,
) -> Result<(Action, &'t str), SqlError> {
    Ok((Action::Done, ""))
}

/// Counts the `?` marks of a statement, outside of quotes and comments.
pub(crate) fn count_parameters(_text: &str) -> Result<usize, SqlError> {
    Ok(0)
}
