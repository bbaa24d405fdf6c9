//! Statements in, answers out: each family in its own file, with the texts that clients send.

mod call;
mod clients;
mod expressions;
mod hostile;
mod session;
mod show;

use std::sync::Arc;

use polyport_core::{
    Anonymous, Core, Function, Limits, Listener, Param, Peer, Session, Settings, Type, User, Value,
};

use super::{Action, Setup, SqlError, State, Then, run};

/// A session of `testuser` who sees `myadd`, `echo` and `math.add`, and a state of its own.
pub(super) struct Client {
    pub(super) state: State,
    pub(super) session: Session,
    _guest: polyport_core::Guest,
}

impl Client {
    pub(super) fn new() -> Self {
        Self::with(Limits::default(), "call *")
    }

    pub(super) fn with(limits: Limits, right: &str) -> Self {
        Self::of(limits, right, &["polyport", "test"])
    }

    pub(super) fn of(limits: Limits, right: &str, databases: &[&'static str]) -> Self {
        let databases = databases.iter().map(|name| (*name).into()).collect();
        let core = Core::new(Settings { limits, databases, keep_users: None }).unwrap();
        let add = || {
            Function::build("myadd")
                .param(Param::new("a", Type::Number))
                .param(Param::new("b", Type::Number))
                .help("Adds two numbers.")
                .inline(|_, _| 7_i64)
        };
        let echo = Function::build("echo").param(Param::new("x", Type::Any)).inline(|_, _| 1_i64);
        core.register(vec![add(), add().renamed("math.add"), echo]).unwrap();
        core.put_user(
            User::anonymous("testuser")
                .right(right)
                .export("myadd", "myadd")
                .export("echo", "echo")
                .export("math.add", "math.add"),
        );
        let anonymous = Anonymous::Everywhere("testuser".into());
        let listener = Arc::new(Listener { anonymous, ..Listener::default() });
        let guest = core.admit("mysql", Peer::Memory, &listener).unwrap();
        let session = guest.anonymous("").unwrap();
        let state = State::new(Setup { database: "polyport".into(), ..Setup::default() });
        Self { state, session, _guest: guest }
    }

    pub(super) fn run(&mut self, text: &str) -> Result<Action, SqlError> {
        run(text.as_bytes(), &[], &mut self.state, &self.session).map(|(action, _)| action)
    }

    /// The headings, and the rows with their cells as text.
    pub(super) fn rows(&mut self, text: &str) -> (Vec<String>, Vec<Vec<String>>) {
        match self.run(text) {
            Ok(Action::Rows(rows)) => (
                rows.columns.iter().map(|column| column.name.to_string()).collect(),
                rows.rows.iter().map(|row| row.iter().map(shown).collect()).collect(),
            ),
            other => panic!("{text}: {other:?}"),
        }
    }

    /// The one row of an answer, with blanks between its cells.
    pub(super) fn row(&mut self, text: &str) -> String {
        let (_, rows) = self.rows(text);
        assert_eq!(rows.len(), 1, "{text}: {rows:?}");
        rows[0].join(" ")
    }

    pub(super) fn value(&mut self, text: &str) -> Value {
        match self.run(text) {
            Ok(Action::Rows(mut rows)) => rows.rows.remove(0).remove(0),
            other => panic!("{text}: {other:?}"),
        }
    }

    pub(super) fn errno(&mut self, text: &str) -> (u16, String) {
        match self.run(text) {
            Err(error) => (error.errno, error.message),
            other => panic!("{text}: {other:?}"),
        }
    }

    pub(super) fn done(&mut self, text: &str) {
        assert_eq!(self.run(text), Ok(Action::Done), "{text}");
    }

    /// The name and the arguments of a call.
    pub(super) fn call(&mut self, text: &str) -> (String, Vec<Value>) {
        match self.run(text) {
            Ok(Action::Call { name, arguments, then: Then::Answer, .. }) => {
                (name.to_string(), arguments)
            }
            other => panic!("{text}: {other:?}"),
        }
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "NULL".into(),
        Value::Bytes(bytes) => format!("b'{}'", bytes.escape_ascii()),
        other => super::text::to_text(other).to_string(),
    }
}
