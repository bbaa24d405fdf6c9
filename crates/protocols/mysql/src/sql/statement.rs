//! A statement: what kind it is, and what it does.

mod transaction;

use polyport_core::{Text, Value};

use super::call::as_argument;
use super::evaluate::Context;
use super::expression::{Expr, Scope};
use super::lexer::Token;
use super::literal::Language;
use super::parser::{Parsed, Parser, lower};
use super::query::{Item, Query};
use super::set::Assignment;
use super::show::Show;
use super::state::PREPARED_MOST;
use super::text::to_text;
use super::{Action, SqlError, Then, catalogue, functions, number};

pub(super) use self::transaction::Transaction;

/// A statement as it was written.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Statement {
    Select(Query),
    Call(Text, Vec<Expr>),
    Set(Vec<Assignment>),
    Show(Show),
    Use(Text),
    Transaction(Transaction),
    Kill(Expr, bool),
    Do(Vec<Expr>),
    Prepare(Text, Expr),
    Execute(Text, Vec<Text>),
    Deallocate(Text),
    /// `DROP TABLE IF EXISTS`: what does not exist is dropped with a note.
    DropMissing(Vec<(Option<Text>, Text)>),
    /// `CREATE DATABASE IF NOT EXISTS`.
    CreateDatabase(Text, bool),
    /// Something that has no effect here and is answered with an OK.
    Nothing,
}

impl Parser<'_> {
    /// Takes a statement, up to its end.
    pub(super) fn statement(&mut self, depth: usize) -> Parsed<Statement> {
        match self.token {
            Token::Symbol("(") => return self.query().map(Statement::Select),
            Token::Symbol("{") => return self.escaped_call(depth),
            Token::Word(_) => {}
            Token::End | Token::Symbol(";") => {
                return Err(SqlError::new(1065, "42000", "Query was empty"));
            }
            _ => return self.error(),
        }
        if self.is("SELECT") {
            return self.query().map(Statement::Select);
        }
        if self.take("CALL") {
            return self.call(depth);
        }
        if self.take("SET") {
            return self.assignments().map(Statement::Set);
        }
        if self.take("SHOW") {
            return self.show().map(Statement::Show);
        }
        if self.take("USE") {
            return self.any_name().map(Statement::Use);
        }
        if let Some(transaction) = self.transaction()? {
            return Ok(Statement::Transaction(transaction));
        }
        if self.take_any(&["DESCRIBE", "DESC", "EXPLAIN"]).is_some() {
            if self.is_any(&EXPLAINED) || self.is_symbol("(") || self.after_is_equals_sign() {
                return Err(SqlError::unsupported("EXPLAIN of a statement"));
            }
            return self.describe().map(Statement::Show);
        }
        self.rarer()
    }

    fn after_is_equals_sign(&self) -> bool {
        self.after() == Token::Symbol("=")
    }

    fn rarer(&mut self) -> Parsed<Statement> {
        if self.take("KILL") {
            let only_call = match self.take_any(&["CONNECTION", "QUERY", "HARD", "SOFT"]) {
                Some("HARD" | "SOFT") => self.take("QUERY"),
                word => word == Some("QUERY"),
            };
            return Ok(Statement::Kill(self.expression()?, only_call));
        }
        if self.take("DO") {
            return self.list().map(Statement::Do);
        }
        if self.take("PREPARE") {
            let name = lower(&self.name()?);
            self.expect("FROM")?;
            let text = self.expression()?;
            return match text {
                Expr::Value(Value::Text(_)) | Expr::User(_) => Ok(Statement::Prepare(name, text)),
                _ => self.error(),
            };
        }
        if self.take("EXECUTE") {
            let name = lower(&self.name()?);
            let mut variables = Vec::new();
            if self.take("USING") {
                variables.push(self.user_variable()?);
                while self.take_symbol(",") {
                    self.node()?;
                    variables.push(self.user_variable()?);
                }
            }
            return Ok(Statement::Execute(name, variables));
        }
        if (self.is("DEALLOCATE") || self.is("DROP")) && self.after_is("PREPARE") {
            self.next();
            self.next();
            return Ok(Statement::Deallocate(lower(&self.name()?)));
        }
        // Nothing is ever locked here.
        if (self.is("LOCK") || self.is("UNLOCK"))
            && (self.after_is("TABLES") || self.after_is("TABLE"))
        {
            self.skip_statement()?;
            return Ok(Statement::Nothing);
        }
        if self.is("DROP") {
            return self.drop_statement();
        }
        if self.is("CREATE") && (self.after_is("DATABASE") || self.after_is("SCHEMA")) {
            return self.create_database();
        }
        if self.is("LOAD") {
            self.skip_statement()?;
            let text = "Loading local data is disabled; this must be enabled on both the client \
                        and server sides";
            return Err(SqlError::new(3948, "42000", text));
        }
        self.refused()
    }

    /// Takes a function's name and arguments, after `CALL`.
    fn call(&mut self, depth: usize) -> Parsed<Statement> {
        let name = self.dotted()?;
        let mut arguments = Vec::new();
        self.language = Language::Call;
        if self.take_symbol("(") && !self.take_symbol(")") {
            loop {
                arguments.push(match self.plain_argument(depth) {
                    Some(value) => Expr::Value(value),
                    None => self.expression()?,
                });
                if !self.take_symbol(",") {
                    break;
                }
            }
            self.expect_symbol(")")?;
        }
        self.language = Language::Sql;
        Ok(Statement::Call(name, arguments))
    }

    /// Takes JDBC's `{call f(?)}` and `{? = call f(?)}`. The first mark of the latter stands for
    /// the result.
    fn escaped_call(&mut self, depth: usize) -> Parsed<Statement> {
        self.next();
        if self.token == Token::Mark {
            self.next();
            self.marks += 1;
            self.expect_symbol("=")?;
        }
        self.expect("CALL")?;
        let call = self.call(depth)?;
        self.expect_symbol("}")?;
        Ok(call)
    }

    fn drop_statement(&mut self) -> Parsed<Statement> {
        let mut ahead = self.clone();
        ahead.next();
        ahead.take("TEMPORARY");
        let kind = ahead.take_any(&["TABLE", "TABLES", "VIEW"]);
        let exists = ahead.take("IF");
        if kind.is_none() {
            return self.refused();
        }
        if exists {
            ahead.expect("EXISTS")?;
        }
        let mut tables = vec![ahead.table_name()?];
        while ahead.take_symbol(",") {
            ahead.node()?;
            tables.push(ahead.table_name()?);
        }
        ahead.take_any(&["CASCADE", "RESTRICT"]);
        *self = ahead;
        if exists {
            return Ok(Statement::DropMissing(tables));
        }
        let shown: Vec<String> = tables
            .iter()
            .map(|(database, table)| match database {
                Some(database) => format!("{database}.{table}"),
                None => table.to_string(),
            })
            .collect();
        Err(SqlError::new(1051, "42S02", format!("Unknown table '{}'", shown.join(","))))
    }

    fn create_database(&mut self) -> Parsed<Statement> {
        self.next();
        self.next();
        let lenient = self.take("IF");
        if lenient {
            self.expect("NOT")?;
            self.expect("EXISTS")?;
        }
        let name = self.any_name()?;
        self.skip_statement()?;
        Ok(Statement::CreateDatabase(name, lenient))
    }

    /// Refuses a statement that MySQL knows, and says of what it does not that it is no SQL.
    fn refused(&mut self) -> Parsed<Statement> {
        let Token::Word(word) = self.token else { return self.error() };
        let verb = String::from_utf8_lossy(word).to_ascii_uppercase();
        if CHANGES.contains(&verb.as_str()) {
            return Err(SqlError::new(
                1142,
                "42000",
                format!("{verb} command denied: this server offers functions, not SQL tables"),
            ));
        }
        if UNSUPPORTED.contains(&verb.as_str()) {
            return Err(SqlError::unsupported(&verb));
        }
        self.error()
    }
}

impl Context<'_> {
    /// Does what a statement says.
    pub(super) fn execute(&mut self, statement: &Statement) -> Parsed<Action> {
        match statement {
            Statement::Select(query) => self.select_statement(query),
            Statement::Call(name, arguments) => self.call_statement(name, arguments),
            Statement::Set(list) => {
                if let [Assignment::User(variable, Expr::Call(name, arguments))] = list.as_slice()
                    && !functions::exists(name)
                {
                    return self.house_call(name, arguments, Then::Assign(variable.clone()));
                }
                self.set(list).map(|()| self.done(0))
            }
            Statement::Show(show) => self.show(show).map(Action::Rows),
            Statement::Use(name) => {
                let name = catalogue::find_database(self.session, name)
                    .ok_or_else(|| SqlError::unknown_database(name))?;
                self.state.database = name.clone();
                Ok(Action::Use(name))
            }
            Statement::Transaction(transaction) => {
                transaction.apply(self.state)?;
                Ok(self.done(0))
            }
            Statement::Kill(id, only_call) => {
                let id = self.constant(id)?;
                let id = u32::try_from(number::whole(&id)).map_err(|_| {
                    SqlError::new(1094, "HY000", format!("Unknown thread id: {}", to_text(&id)))
                })?;
                Ok(Action::Kill { id, only_call: *only_call })
            }
            Statement::Do(list) => {
                if let [Expr::Call(name, arguments)] = list.as_slice()
                    && !functions::exists(name)
                {
                    return self.house_call(name, arguments, Then::Drop);
                }
                self.all(list, None)?;
                Ok(self.done(0))
            }
            Statement::Prepare(name, text) => self.prepare(name, text),
            Statement::Execute(..) => {
                let text = "This command is not supported in the prepared statement protocol yet";
                Err(SqlError::new(1295, "HY000", text))
            }
            Statement::Deallocate(name) => match self.state.prepared.remove(name) {
                Some(_) => Ok(self.done(0)),
                None => Err(unknown_statement(name, "DEALLOCATE PREPARE")),
            },
            Statement::DropMissing(tables) => {
                for (database, table) in tables {
                    let shown = database.as_ref().unwrap_or(&self.state.database);
                    let text = format!("Unknown table '{shown}.{table}'");
                    self.state.note("Note", 1051, text);
                }
                Ok(self.done(0))
            }
            Statement::CreateDatabase(name, lenient) => self.create_database(name, *lenient),
            Statement::Nothing => Ok(self.done(0)),
        }
    }

    fn done(&mut self, rows: i64) -> Action {
        self.state.row_count = rows;
        Action::Done
    }

    fn select_statement(&mut self, query: &Query) -> Parsed<Action> {
        if let Some(action) = self.select_call(query)? {
            return Ok(action);
        }
        let rows = self.answer(query)?;
        if query.into.is_empty() {
            return Ok(Action::Rows(rows));
        }
        if rows.columns.len() != query.into.len() {
            let text = "The used SELECT statements have a different number of columns";
            return Err(SqlError::new(1222, "21000", text));
        }
        if rows.rows.len() > 1 {
            return Err(SqlError::new(1172, "42000", "Result consisted of more than one row"));
        }
        let Some(row) = rows.rows.into_iter().next() else {
            let text = "No data - zero rows fetched, selected, or processed";
            self.state.warn(1329, text);
            return Ok(self.done(0));
        };
        for (name, value) in query.into.iter().zip(row) {
            self.state.assign(name, value)?;
        }
        Ok(self.done(1))
    }

    /// A `SELECT` of nothing but one call of a function of the house, or of `SLEEP`.
    fn select_call(&mut self, query: &Query) -> Parsed<Option<Action>> {
        let [(_, select)] = query.parts.as_slice() else { return Ok(None) };
        let [Item::Value(heading, Expr::Call(name, arguments))] = select.items.as_slice() else {
            return Ok(None);
        };
        let plain = select.from.is_empty()
            && select.filter.is_none()
            && select.group.is_empty()
            && select.having.is_none()
            && query.limit.is_none();
        if !plain {
            return Ok(None);
        }
        if name.eq_ignore_ascii_case("SLEEP") {
            let [seconds] = arguments.as_slice() else {
                return Err(SqlError::argument_count(name));
            };
            let seconds = number::float(&self.constant(seconds)?);
            let wait = std::time::Duration::try_from_secs_f64(seconds)
                .map_err(|_| SqlError::new(1210, "HY000", "Incorrect arguments to sleep."))?;
            let heading = polyport_core::Column::typed(heading.clone(), polyport_core::Type::Int);
            let rows = polyport_core::Rows::new([heading]).cells(vec![Value::Int(0)]);
            return Ok(Some(Action::Wait(wait, rows)));
        }
        if functions::exists(name) {
            return Ok(None);
        }
        let then = match query.into.as_slice() {
            [] => Then::Cell(heading.clone()),
            [variable] => Then::Assign(variable.clone()),
            _ => return Ok(None),
        };
        self.house_call(name, arguments, then).map(Some)
    }

    fn house_call(&mut self, name: &Text, arguments: &[Expr], then: Then) -> Parsed<Action> {
        if catalogue::function(self.session, name).is_none() {
            // The evaluation finds the right error.
            let call = Expr::Call(name.clone(), arguments.to_vec());
            self.constant(&call)?;
        }
        let arguments = self.all(arguments, None)?;
        Ok(Action::Call { name: name.clone(), arguments, variables: Vec::new(), then })
    }

    fn call_statement(&mut self, name: &Text, list: &[Expr]) -> Parsed<Action> {
        let mut arguments = Vec::with_capacity(list.len());
        let mut variables = Vec::new();
        for argument in list {
            let value = self.constant(argument)?;
            if let Expr::User(name) = argument {
                variables.resize(arguments.len(), None);
                variables.push(Some(name.clone()));
                arguments.push(as_argument(value));
            } else {
                arguments.push(value);
            }
        }
        if !variables.is_empty() {
            variables.resize(arguments.len(), None);
        }
        Ok(Action::Call { name: name.clone(), arguments, variables, then: Then::Answer })
    }

    fn prepare(&mut self, name: &Text, text: &Expr) -> Parsed<Action> {
        let text = to_text(&self.constant(text)?);
        let charset = self.state.dialect.charset;
        let bytes = charset.encode(&text).unwrap_or_else(|| text.as_bytes().to_vec());
        super::count_parameters(&bytes, self.state)?;
        let held: usize = self.state.prepared.values().map(Vec::len).sum();
        let new = !self.state.prepared.contains_key(name);
        if (new && self.state.prepared.len() >= PREPARED_MOST)
            || held.saturating_add(bytes.len()) > self.state.variable_bytes_most
        {
            let text = format!(
                "Can't create more than max_prepared_stmt_count statements (current value: \
                 {PREPARED_MOST})"
            );
            return Err(SqlError::new(1461, "42000", text));
        }
        self.state.prepared.insert(name.clone(), bytes);
        Ok(self.done(0))
    }

    fn create_database(&mut self, name: &Text, lenient: bool) -> Parsed<Action> {
        let text = format!("Can't create database '{name}'; database exists");
        match (catalogue::find_database(self.session, name), lenient) {
            (Some(_), true) => {
                self.state.note("Note", 1007, text);
                Ok(self.done(1))
            }
            (Some(_), false) => Err(SqlError::new(1007, "HY000", text)),
            (None, _) => {
                let (user, host) = (self.session.user(), self.session.connection().peer.host());
                let text = format!(
                    "Access denied for user '{}'@'{host}' to database '{name}'; databases are \
                     named in the server's configuration",
                    user.name
                );
                Err(SqlError::new(1044, "42000", text))
            }
        }
    }
}

/// 1243.
pub(super) fn unknown_statement(name: &str, verb: &str) -> SqlError {
    let text = format!("Unknown prepared statement handler ({name}) given to {verb}");
    SqlError::new(1243, "HY000", text)
}

impl Statement {
    /// Whether it looks at the warnings of the statement before, which it then must not clear.
    pub(super) fn keeps_warnings(&self) -> bool {
        let looks = |item: &Item| {
            matches!(item, Item::Value(_, Expr::System(Scope::Any | Scope::Session, name))
                if name == "warning_count" || name == "error_count")
        };
        match self {
            Self::Show(show) => show.keeps_warnings(),
            Self::Select(query) => {
                query.parts.iter().any(|(_, select)| select.items.iter().any(looks))
            }
            _ => false,
        }
    }
}

/// What `EXPLAIN` explains, as far as it is not a table's name.
const EXPLAINED: [&str; 9] =
    ["SELECT", "INSERT", "UPDATE", "DELETE", "REPLACE", "TABLE", "FOR", "ANALYZE", "WITH"];

/// Statements that would change tables or users.
const CHANGES: [&str; 12] = [
    "INSERT", "UPDATE", "DELETE", "REPLACE", "CREATE", "DROP", "ALTER", "TRUNCATE", "RENAME",
    "GRANT", "REVOKE", "IMPORT",
];

/// Statements that MySQL knows and nothing here answers.
const UNSUPPORTED: [&str; 28] = [
    "ANALYZE",
    "BINLOG",
    "CACHE",
    "CHANGE",
    "CHECK",
    "CHECKSUM",
    "CLONE",
    "FLUSH",
    "GET",
    "HANDLER",
    "HELP",
    "INSTALL",
    "LOCK",
    "OPTIMIZE",
    "PURGE",
    "REPAIR",
    "RESET",
    "RESIGNAL",
    "RESTART",
    "SHUTDOWN",
    "SIGNAL",
    "STOP",
    "TABLE",
    "UNINSTALL",
    "UNLOCK",
    "VALUES",
    "WITH",
    "XA",
];
