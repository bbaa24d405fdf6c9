//! The SQL that clients send around `CALL`: what a statement asks for, and its answer.
//!
//! Pure: no socket, no waiting, and no clock but for SQL's own `NOW()`. [`run`] answers all that
//! needs no function and no other connection by itself; the rest it hands back as an [`Action`]
//! for the connection to do.

mod call;
mod cast;
mod catalogue;
mod charset;
mod clock;
mod compare;
mod error;
mod evaluate;
mod expression;
mod functions;
mod lexer;
mod literal;
mod number;
mod parser;
mod query;
mod select;
mod set;
mod show;
mod state;
mod statement;
mod text;
mod variables;

use std::time::Duration;

use polyport_core::{Rows, Session, Text, Value};

use self::evaluate::Context;
use self::lexer::{Lexer, Token};
use self::parser::Parser;
use self::statement::{Statement, unknown_statement};

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
    text: &'t [u8],
    parameters: &[Value],
    state: &mut State,
    session: &Session,
) -> Result<(Action, &'t [u8]), SqlError> {
    if let Some(action) = call::quick(text, parameters, state, session.limits().depth) {
        state.warnings.clear();
        return Ok(action);
    }
    let result = run_parsed(text, parameters, state, session);
    if let Err(error) = &result {
        state.failed(error.errno, &error.message);
    }
    result
}

fn run_parsed<'t>(
    text: &'t [u8],
    parameters: &[Value],
    state: &mut State,
    session: &Session,
) -> Result<(Action, &'t [u8]), SqlError> {
    let depth = session.limits().depth;
    state.variable_bytes_most = session.limits().message_bytes;
    let mut parser = Parser::new(text, state.dialect, depth);
    let statement = parser.statement(depth)?;
    let rest = parser.finish()?;
    if let Statement::Execute(name, variables) = &statement {
        return execute(name, variables, state, session).map(|action| (action, rest));
    }
    if !statement.keeps_warnings() {
        state.warnings.clear();
    }
    let source = text.get(..text.len() - rest.len()).unwrap_or_default();
    let mut context = Context::new(state, session, parameters, source);
    context.execute(&statement).map(|action| (action, rest))
}

/// Runs a statement of `PREPARE`, with the values of variables for its marks.
fn execute(
    name: &Text,
    variables: &[Text],
    state: &mut State,
    session: &Session,
) -> Result<Action, SqlError> {
    let Some(text) = state.prepared.get(name).cloned() else {
        return Err(unknown_statement(name, "EXECUTE"));
    };
    if count_parameters(&text, state)? != variables.len() {
        return Err(SqlError::new(1210, "HY000", "Incorrect arguments to EXECUTE"));
    }
    let values: Vec<Value> = variables.iter().map(|name| state.variable(name)).collect();
    let depth = session.limits().depth;
    let mut parser = Parser::new(&text, state.dialect, depth);
    let statement = parser.statement(depth)?;
    if !parser.finish()?.is_empty() {
        return parser.error();
    }
    Context::new(state, session, &values, &text).execute(&statement)
}

/// Counts the `?` marks of a statement, outside of quotes and comments.
pub(crate) fn count_parameters(text: &[u8], state: &State) -> Result<usize, SqlError> {
    let mut lexer = Lexer::new(text, state.dialect);
    let mut count = 0;
    loop {
        match lexer.token() {
            (_, Token::End) => return Ok(count),
            (_, Token::Mark) => count += 1,
            (start, Token::Bad) => return Err(SqlError::syntax(text, start)),
            _ => {}
        }
    }
}

/// What `VERSION()` says: MySQL 8.0, so that clients use what it understands, and whose it is.
pub(crate) fn version() -> &'static str {
    concat!("8.0.36-Polyport-", env!("CARGO_PKG_VERSION"))
}

#[cfg(test)]
mod tests;
