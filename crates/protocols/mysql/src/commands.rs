//! What each command does, apart from the waiting.

use std::borrow::Cow;

use polyport_core::{Guest, Kind, Rows, Session, Text, Value};

use crate::codec::Capabilities;
use crate::codec::command::Command;
use crate::codec::handshake::ChangeUser;
use crate::config::Config;
use crate::info::{self, Facts};
use crate::resultset::Format;
use crate::sql::{self, Action, Setup, SqlError, State};
use crate::statements::Statements;

/// All that a logged-in connection works with.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) session: Session,
    pub(crate) state: State,
    pub(crate) statements: Statements,
    pub(crate) capabilities: Capabilities,
}

/// What is to be done and answered for one command.
#[derive(Debug)]
pub(crate) enum Plan {
    /// Close without an answer.
    Quit,
    /// No answer.
    Silence,
    /// An OK packet.
    Done,
    /// A packet that ends rows, though there are none.
    End,
    Error(SqlError),
    Statistics,
    Prepared {
        id: u32,
        parameters: u16,
    },
    /// The columns of a table: name and default value.
    Fields(Vec<(Text, Option<Text>)>),
    /// Run the action, then the statements in `rest`.
    Statement {
        action: Action,
        rest: Vec<u8>,
        format: Format,
    },
    /// The request as it came.
    ChangeUser(Box<[u8]>),
    Reset,
}

impl Desk {
    pub(crate) fn new(session: Session, setup: Setup, capabilities: Capabilities) -> Self {
        let statements = Statements::default();
        Self { session, state: State::new(setup), statements, capabilities }
    }

    /// Begins anew, as the same user with the same database.
    pub(crate) fn reset(&mut self, setup: Setup) {
        self.session.reset();
        let database = std::mem::take(&mut self.state.database);
        self.state = State::new(Setup { database, ..setup });
        self.statements = Statements::default();
    }

    /// Decides what to do for a command.
    pub(crate) fn plan(&mut self, payload: &[u8], config: &Config) -> Plan {
        let command = match Command::read(payload) {
            Ok(command) => command,
            Err(malformed) => {
                return Plan::Error(SqlError::new(1835, "HY000", malformed.to_string()));
            }
        };
        let planned = match command {
            Command::Query(text) => return self.query(text),
            Command::Execute(execute) => self.execute(execute.statement, execute.parameters),
            Command::Ping => return Plan::Done,
            Command::Quit => return Plan::Quit,
            Command::InitDb(name) => self.choose(name),
            Command::FieldList { table, wildcard } => self.fields(table, wildcard),
            Command::Statistics => return Plan::Statistics,
            Command::ProcessKill(id) => self.kill(id, false).map(|()| Plan::Done),
            Command::ChangeUser(_) => {
                return Plan::ChangeUser(payload.get(1..).unwrap_or_default().into());
            }
            Command::Prepare(text) => self.prepare(text, config),
            Command::SendLongData { statement, parameter, data } => {
                self.statements.send_ahead(statement, parameter, data, config);
                return Plan::Silence;
            }
            Command::CloseStatement(id) => {
                self.statements.close(id);
                return Plan::Silence;
            }
            Command::ResetStatement(id) => self.statements.reset(id).map(|()| Plan::Done),
            Command::SetOption(option) => self.set_option(option),
            Command::Fetch { statement } => Err(self.statements.no_cursor(statement)),
            Command::ResetConnection => return Plan::Reset,
            Command::Unknown(_) => Err(SqlError::new(1047, "08S01", "Unknown command")),
        };
        planned.unwrap_or_else(Plan::Error)
    }

    fn query(&mut self, text: &[u8]) -> Plan {
        match sql::run(text, &[], &mut self.state, &self.session) {
            Err(error) => Plan::Error(error),
            Ok((_, rest))
                if !rest.is_empty() && !self.capabilities.has(Capabilities::MULTI_STATEMENTS) =>
            {
                Plan::Error(SqlError::syntax(text, text.len() - rest.len()))
            }
            Ok((action, rest)) => {
                Plan::Statement { action, rest: rest.to_vec(), format: Format::Text }
            }
        }
    }

    /// The next of several statements, and where the one after it begins.
    pub(crate) fn next(&mut self, text: &[u8]) -> Result<(Action, usize), SqlError> {
        let (action, rest) = sql::run(text, &[], &mut self.state, &self.session)?;
        Ok((action, text.len() - rest.len()))
    }

    fn execute(&mut self, id: u32, parameters: &[u8]) -> Result<Plan, SqlError> {
        // Parameters come in the charset of the connection, as statements do.
        let charset = self.state.client();
        let (text, values) = self.statements.execute(id, parameters, charset)?;
        let (action, _) = sql::run(text, &values, &mut self.state, &self.session)?;
        Ok(Plan::Statement { action, rest: Vec::new(), format: Format::Binary })
    }

    fn prepare(&mut self, text: &[u8], config: &Config) -> Result<Plan, SqlError> {
        let count = sql::count_parameters(text, &self.state)?;
        let (id, parameters) = self.statements.prepare(text, count, config)?;
        Ok(Plan::Prepared { id, parameters })
    }

    /// Chooses a database by its bare name.
    pub(crate) fn choose(&mut self, name: &[u8]) -> Result<Plan, SqlError> {
        let text = [b"USE ", &*quoted(name, b'`')].concat();
        let (action, _) = sql::run(&text, &[], &mut self.state, &self.session)?;
        Ok(Plan::Statement { action, rest: Vec::new(), format: Format::Text })
    }

    fn fields(&mut self, table: &[u8], wildcard: &[u8]) -> Result<Plan, SqlError> {
        let mut text = [b"SHOW COLUMNS FROM ", &*quoted(table, b'`')].concat();
        let wildcard = wildcard.strip_suffix(b"\0").unwrap_or(wildcard);
        if !wildcard.is_empty() {
            text.extend_from_slice(b" LIKE ");
            text.extend_from_slice(&quoted(wildcard, b'\''));
        }
        match sql::run(&text, &[], &mut self.state, &self.session)? {
            (Action::Rows(rows), _) => Ok(Plan::Fields(fields(rows))),
            _ => Ok(Plan::End),
        }
    }

    fn set_option(&mut self, option: u16) -> Result<Plan, SqlError> {
        self.capabilities = match option {
            0 => self.capabilities.with(Capabilities::MULTI_STATEMENTS),
            1 => self.capabilities.without(Capabilities::MULTI_STATEMENTS),
            _ => return Err(SqlError::new(1047, "08S01", "Unknown command")),
        };
        Ok(Plan::End)
    }

    /// Ends a connection, or only its call.
    pub(crate) fn kill(&self, id: u32, only_call: bool) -> Result<(), SqlError> {
        self.session.kill(id, only_call).map_err(|fault| match fault.kind() {
            Kind::NotFound => SqlError::new(1094, "HY000", format!("Unknown thread id: {id}")),
            _ => SqlError::new(1095, "HY000", format!("You are not owner of thread {id}")),
        })
    }

    /// What pymysqlrpc's own calls answer: nothing for all but administrators. `None` when the
    /// name is none of theirs, or one of the user's own functions.
    pub(crate) fn house_call(
        &self,
        name: &str,
        guest: &Guest,
        config: &Config,
    ) -> Option<Option<Rows>> {
        let is = |own: &str| name.eq_ignore_ascii_case(own);
        // Comparing lengths first keeps this off the path of ordinary calls.
        let switch = match name.len() {
            14 if is("pymysqlrpcinfo") => None,
            9 if is("turnonlog") => Some(true),
            10 if is("turnofflog") => Some(false),
            _ => return None,
        };
        if self.session.function(name).is_some() {
            return None;
        }
        if !self.session.is_admin() {
            return Some(None);
        }
        let table = match switch {
            None => {
                let listen = &guest.listener().address;
                let stats = guest.stats();
                let facts = Facts { listen, web_port: config.web_port, stats };
                let lines = info::lines(&self.session, facts);
                lines
                    .into_iter()
                    .fold(Rows::new(["Variable_name", "Value"]), |rows, (name, value)| {
                        rows.row([name, value])
                    })
            }
            Some(on) => {
                let on = self.session.log_calls(Some(on)).unwrap_or(false);
                Rows::new(["frameworklog"]).row([if on { "True" } else { "False" }])
            }
        };
        Some(Some(table))
    }
}

/// What `COM_STATISTICS` answers, in the words that `mysqladmin status` shows.
pub(crate) fn statistics(guest: &Guest) -> String {
    let (counts, uptime) = (guest.stats().total(), guest.stats().uptime().as_secs());
    let (threads, questions) = (counts.connections, counts.requests);
    let per_second = questions as f64 / uptime.max(1) as f64;
    format!(
        "Uptime: {uptime}  Threads: {threads}  Questions: {questions}  Slow queries: 0  Opens: 0  \
         Flush tables: 0  Open tables: 0  Queries per second avg: {per_second:.3}"
    )
}

/// Reads what [`Plan::ChangeUser`] carries.
pub(crate) fn change_user(request: &[u8]) -> Option<ChangeUser<'_>> {
    ChangeUser::read(&mut crate::codec::Reader::new(request)).ok()
}

fn quoted(text: &[u8], quote: u8) -> Vec<u8> {
    let mut out = vec![quote];
    for byte in text {
        if *byte == quote || (quote == b'\'' && *byte == b'\\') {
            out.push(*byte);
        }
        out.push(*byte);
    }
    out.push(quote);
    out
}

fn fields(rows: Rows) -> Vec<(Text, Option<Text>)> {
    let place = |name: &str| rows.columns.iter().position(|column| column.name == name);
    let (name, default) = (place("Field"), place("Default"));
    let text = |row: &Vec<Value>, place: Option<usize>| match row.get(place?)? {
        Value::Text(text) => Some(text.clone()),
        Value::Null => None,
        other => Some(Text::from(Cow::from(other.to_string()))),
    };
    rows.rows.iter().map(|row| (text(row, name).unwrap_or_default(), text(row, default))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_doubled_and_backslashes_in_texts_too() {
        assert_eq!(quoted(b"a`b\\", b'`'), b"`a``b\\`");
        assert_eq!(quoted(b"a'b\\", b'\''), b"'a''b\\\\'");
    }
}
