//! The tables in which a server tells about itself: `information_schema`, `mysql`,
//! `performance_schema`. They are made anew for each query from what the session may see.

mod definitions;
mod rows;

use std::sync::Arc;

use polyport_core::{Column, Function, Session, Text, Type, Value};

use super::SqlError;
use super::evaluate::Context;
use super::parser::Parsed;
use super::select::Table;
use super::state::State;

pub(super) use self::definitions::{DEFINITIONS, Definition};
pub(super) use self::rows::{column_type, parameters, status};

/// Databases that hold nothing but these tables.
pub(super) const OWN_DATABASES: [&str; 3] = ["information_schema", "mysql", "performance_schema"];

impl Definition {
    /// The columns: their names, and whether they hold numbers.
    pub(super) fn columns(&self) -> impl Iterator<Item = (&'static str, bool)> {
        self.columns.split(' ').map(|name| match name.strip_suffix('#') {
            Some(name) => (name, true),
            None => (name, false),
        })
    }

    /// A row from some of its cells; the others are null.
    pub(super) fn row(&self, cells: &[(&str, Value)]) -> Vec<Value> {
        let cell = |(name, _)| cells.iter().find(|(own, _)| *own == name);
        self.columns().map(|c| cell(c).map_or(Value::Null, |(_, value)| value.clone())).collect()
    }
}

/// Makes columns of a definition's list.
pub(super) fn columns(list: &str) -> Vec<Column> {
    let column = |name: &str| match name.strip_suffix('#') {
        Some(name) => Column::typed(Text::from(name.to_owned()), Type::Int),
        None => Column::typed(Text::from(name.to_owned()), Type::Text),
    };
    list.split(' ').map(column).collect()
}

/// Every database that the session may name, SQL's own first.
pub(super) fn databases(session: &Session) -> Vec<Text> {
    let own = OWN_DATABASES.iter().map(|name| Text::from(*name));
    let mut all: Vec<Text> = own.collect();
    for name in session.databases() {
        if !all.contains(name) {
            all.push(name.clone());
        }
    }
    all
}

/// The function that a statement names: a whole name first, then without a database before it,
/// as a call finds it.
pub(super) fn function<'n>(session: &Session, name: &'n str) -> Option<(&'n str, Arc<Function>)> {
    let find = |name: &'n str| session.function(name).map(|function| (name, function));
    find(name).or_else(|| {
        let (database, rest) = name.split_once('.')?;
        session.is_database(database).then(|| find(rest)).flatten()
    })
}

/// The database of this name as it is written; `information_schema` knows no case.
pub(super) fn find_database(session: &Session, name: &str) -> Option<Text> {
    databases(session)
        .into_iter()
        .find(|own| own == name || (own == "information_schema" && own.eq_ignore_ascii_case(name)))
        .or_else(|| session.is_database(name).then(|| name.into()))
}

/// The database that a statement means: the one it names, or the chosen one.
pub(super) fn database(state: &State, session: &Session, named: Option<&Text>) -> Parsed<Text> {
    match named {
        Some(name) => find_database(session, name).ok_or_else(|| SqlError::unknown_database(name)),
        None if state.database.is_empty() => Err(SqlError::no_database()),
        None => Ok(state.database.clone()),
    }
}

/// The definition of a table.
///
/// # Errors
/// As MySQL's: no database, unknown database, no such table.
pub(super) fn find(
    context: &Context<'_>,
    named: Option<&Text>,
    table: &Text,
) -> Parsed<&'static Definition> {
    let database = database(context.state, context.session, named)?;
    let found = DEFINITIONS
        .iter()
        .find(|own| database == own.database && own.name.eq_ignore_ascii_case(table));
    found.ok_or_else(|| {
        if database == "information_schema" {
            let text = format!("Unknown table '{table}' in information_schema");
            return SqlError::new(1109, "42S02", text);
        }
        SqlError::no_table(&database, table)
    })
}

/// A table with its rows.
pub(super) fn table(
    context: &mut Context<'_>,
    database: Option<&Text>,
    table: &Text,
) -> Parsed<Table> {
    let definition = find(context, database, table)?;
    let rows = match definition.rows {
        Some(rows) => rows(context, definition)?,
        None => Vec::new(),
    };
    Ok((columns(definition.columns), rows))
}
