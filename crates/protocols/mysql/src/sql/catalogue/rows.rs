//! The rows of the tables.

use std::sync::Arc;

use polyport_core::{Connection, Function, Stage, Text, Type, Value};

use super::super::charset::{COLLATIONS, SETS};
use super::super::evaluate::Context;
use super::super::expression::Scope;
use super::super::parser::{Parsed, RESERVED};
use super::super::variables;
use super::{DEFINITIONS, Definition, databases};

type Rows = Parsed<Vec<Vec<Value>>>;

const UTF8: &str = "utf8mb4";
const UTF8_COLLATION: &str = "utf8mb4_0900_ai_ci";

fn int(number: usize) -> Value {
    Value::Int(i64::try_from(number).unwrap_or(i64::MAX))
}

pub(super) fn none(_: &mut Context<'_>, _: &Definition) -> Rows {
    Ok(Vec::new())
}

pub(super) fn character_sets(_: &mut Context<'_>, own: &Definition) -> Rows {
    let row = |set: &super::super::charset::Set| {
        own.row(&[
            ("CHARACTER_SET_NAME", set.name.into()),
            ("DEFAULT_COLLATE_NAME", set.default.into()),
            ("DESCRIPTION", set.description.into()),
            ("MAXLEN", Value::Int(set.bytes_most)),
        ])
    };
    Ok(SETS.iter().map(row).collect())
}

pub(super) fn collations(_: &mut Context<'_>, own: &Definition) -> Rows {
    let mut all: Vec<_> = COLLATIONS.iter().collect();
    all.sort_by_key(|collation| collation.name);
    let row = |collation: &super::super::charset::Collation| {
        let default = SETS.iter().any(|set| set.default == collation.name);
        let pads = !collation.name.contains("0900") && collation.name != "binary";
        own.row(&[
            ("COLLATION_NAME", collation.name.into()),
            ("CHARACTER_SET_NAME", collation.set.into()),
            ("ID", Value::Int(collation.id.into())),
            ("IS_DEFAULT", if default { "Yes" } else { "" }.into()),
            ("IS_COMPILED", "Yes".into()),
            ("SORTLEN", Value::Int(1)),
            ("PAD_ATTRIBUTE", if pads { "PAD SPACE" } else { "NO PAD" }.into()),
        ])
    };
    Ok(all.into_iter().map(row).collect())
}

pub(super) fn columns(context: &mut Context<'_>, own: &Definition) -> Rows {
    let mut rows = Vec::new();
    for table in DEFINITIONS {
        for (index, (name, number)) in table.columns().enumerate() {
            let text = |value: &str| if number { Value::Null } else { value.into() };
            rows.push(own.row(&[
                ("TABLE_CATALOG", "def".into()),
                ("TABLE_SCHEMA", table.database.into()),
                ("TABLE_NAME", table.name.into()),
                ("COLUMN_NAME", name.into()),
                ("ORDINAL_POSITION", int(index + 1)),
                ("IS_NULLABLE", "YES".into()),
                ("DATA_TYPE", if number { "bigint" } else { "varchar" }.into()),
                ("CHARACTER_MAXIMUM_LENGTH", if number { Value::Null } else { int(512) }),
                ("CHARACTER_OCTET_LENGTH", if number { Value::Null } else { int(2048) }),
                ("NUMERIC_PRECISION", if number { int(19) } else { Value::Null }),
                ("NUMERIC_SCALE", if number { int(0) } else { Value::Null }),
                ("CHARACTER_SET_NAME", text(UTF8)),
                ("COLLATION_NAME", text(UTF8_COLLATION)),
                ("COLUMN_TYPE", column_type(number).into()),
                ("COLUMN_KEY", "".into()),
                ("EXTRA", "".into()),
                ("PRIVILEGES", "select".into()),
                ("COLUMN_COMMENT", "".into()),
                ("GENERATION_EXPRESSION", "".into()),
            ]));
        }
    }
    context.step(rows.len() as u64 * 20)?;
    Ok(rows)
}

/// A column's type as `DESCRIBE` shows it.
pub(in super::super) const fn column_type(number: bool) -> &'static str {
    if number { "bigint" } else { "varchar(512)" }
}

pub(super) fn tables(_: &mut Context<'_>, own: &Definition) -> Rows {
    let row = |table: &Definition| {
        own.row(&[
            ("TABLE_CATALOG", "def".into()),
            ("TABLE_SCHEMA", table.database.into()),
            ("TABLE_NAME", table.name.into()),
            ("TABLE_TYPE", "SYSTEM VIEW".into()),
            ("VERSION", Value::Int(10)),
            ("TABLE_ROWS", Value::Int(0)),
            ("CREATE_OPTIONS", "".into()),
            ("TABLE_COMMENT", "".into()),
        ])
    };
    Ok(DEFINITIONS.iter().map(row).collect())
}

pub(super) fn engines(_: &mut Context<'_>, own: &Definition) -> Rows {
    // Clients look for the default engine; no table can be created in it.
    Ok(vec![own.row(&[
        ("ENGINE", "InnoDB".into()),
        ("SUPPORT", "DEFAULT".into()),
        ("COMMENT", "Name only: this server offers functions and has no tables".into()),
        ("TRANSACTIONS", "NO".into()),
        ("XA", "NO".into()),
        ("SAVEPOINTS", "NO".into()),
    ])])
}

pub(super) fn keywords(_: &mut Context<'_>, own: &Definition) -> Rows {
    let row =
        |word: &&str| own.row(&[("WORD", (*word).to_owned().into()), ("RESERVED", Value::Int(1))]);
    Ok(RESERVED.iter().map(row).collect())
}

pub(super) fn plugins(_: &mut Context<'_>, own: &Definition) -> Rows {
    let row = |name: &str| {
        own.row(&[
            ("PLUGIN_NAME", name.to_owned().into()),
            ("PLUGIN_VERSION", "1.0".into()),
            ("PLUGIN_STATUS", "ACTIVE".into()),
            ("PLUGIN_TYPE", "AUTHENTICATION".into()),
            ("PLUGIN_TYPE_VERSION", "2.1".into()),
            ("PLUGIN_DESCRIPTION", "".into()),
            ("PLUGIN_LICENSE", "MIT OR Apache-2.0".into()),
            ("LOAD_OPTION", "FORCE".into()),
        ])
    };
    Ok(["mysql_native_password", "caching_sha2_password"].map(row).into())
}

pub(super) fn schemata(context: &mut Context<'_>, own: &Definition) -> Rows {
    let row = |name: Text| {
        own.row(&[
            ("CATALOG_NAME", "def".into()),
            ("SCHEMA_NAME", Value::Text(name)),
            ("DEFAULT_CHARACTER_SET_NAME", UTF8.into()),
            ("DEFAULT_COLLATION_NAME", UTF8_COLLATION.into()),
            ("DEFAULT_ENCRYPTION", "NO".into()),
        ])
    };
    Ok(databases(context.session).into_iter().map(row).collect())
}

pub(super) fn user_privileges(context: &mut Context<'_>, own: &Definition) -> Rows {
    Ok(vec![own.row(&[
        ("GRANTEE", format!("'{}'@'%'", context.session.user().name).into()),
        ("TABLE_CATALOG", "def".into()),
        ("PRIVILEGE_TYPE", if context.session.is_admin() { "SUPER" } else { "USAGE" }.into()),
        ("IS_GRANTABLE", "NO".into()),
    ])])
}

/// Each function in each database, since any of them may stand before its name.
fn functions(context: &mut Context<'_>) -> Parsed<Vec<(Text, Text, Arc<Function>)>> {
    let functions = context.session.functions();
    let databases = context.session.databases();
    let none = [Text::new()];
    let databases = if databases.is_empty() { none.as_slice() } else { databases };
    context.step((functions.len() * databases.len()) as u64 * 10)?;
    let of = |database: &Text| {
        let database = database.clone();
        functions
            .iter()
            .map(move |(name, function)| (database.clone(), name.clone(), function.clone()))
    };
    Ok(databases.iter().flat_map(of).collect())
}

pub(super) fn routines(context: &mut Context<'_>, own: &Definition) -> Rows {
    let definer = definer(context);
    let row = |(database, name, function): (Text, Text, Arc<Function>)| {
        own.row(&[
            ("SPECIFIC_NAME", Value::Text(name.clone())),
            ("ROUTINE_CATALOG", "def".into()),
            ("ROUTINE_SCHEMA", Value::Text(database)),
            ("ROUTINE_NAME", Value::Text(name)),
            ("ROUTINE_TYPE", "PROCEDURE".into()),
            ("DATA_TYPE", "".into()),
            ("ROUTINE_BODY", "EXTERNAL".into()),
            ("PARAMETER_STYLE", "SQL".into()),
            ("IS_DETERMINISTIC", "NO".into()),
            ("SQL_DATA_ACCESS", "NO SQL".into()),
            ("SECURITY_TYPE", "INVOKER".into()),
            ("SQL_MODE", "".into()),
            ("ROUTINE_COMMENT", function.help().to_owned().into()),
            ("DEFINER", definer.clone()),
            ("CHARACTER_SET_CLIENT", UTF8.into()),
            ("COLLATION_CONNECTION", UTF8_COLLATION.into()),
            ("DATABASE_COLLATION", UTF8_COLLATION.into()),
        ])
    };
    Ok(functions(context)?.into_iter().map(row).collect())
}

pub(super) fn procedures(context: &mut Context<'_>, own: &Definition) -> Rows {
    let definer = definer(context);
    let row = |(database, name, function): (Text, Text, Arc<Function>)| {
        own.row(&[
            ("db", Value::Text(database)),
            ("name", Value::Text(name.clone())),
            ("type", "PROCEDURE".into()),
            ("specific_name", Value::Text(name)),
            ("language", "SQL".into()),
            ("sql_data_access", "NO_SQL".into()),
            ("is_deterministic", "NO".into()),
            ("security_type", "INVOKER".into()),
            ("param_list", parameters(&function).into()),
            ("returns", "".into()),
            ("body", "".into()),
            ("definer", definer.clone()),
            ("sql_mode", "".into()),
            ("comment", function.help().to_owned().into()),
            ("character_set_client", UTF8.into()),
            ("collation_connection", UTF8_COLLATION.into()),
            ("db_collation", UTF8_COLLATION.into()),
            ("body_utf8", "".into()),
        ])
    };
    Ok(functions(context)?.into_iter().map(row).collect())
}

pub(super) fn parameter_rows(context: &mut Context<'_>, own: &Definition) -> Rows {
    let mut rows = Vec::new();
    for (database, name, function) in functions(context)? {
        let params = &function.signature().params;
        context.step(params.len() as u64 * 10)?;
        for (index, param) in params.iter().enumerate() {
            let full = type_name(param.kind);
            let (short, size) = full.split_once('(').unwrap_or((full, ""));
            let text = matches!(param.kind, Type::Any | Type::Text);
            let precision = match param.kind {
                Type::Bool => int(3),
                Type::Int => int(19),
                Type::Number | Type::Float => int(22),
                Type::Decimal => int(65),
                _ => Value::Null,
            };
            rows.push(own.row(&[
                ("SPECIFIC_CATALOG", "def".into()),
                ("SPECIFIC_SCHEMA", Value::Text(database.clone())),
                ("SPECIFIC_NAME", Value::Text(name.clone())),
                ("ORDINAL_POSITION", int(index + 1)),
                ("PARAMETER_MODE", "IN".into()),
                ("PARAMETER_NAME", Value::Text(param.name.clone())),
                ("DATA_TYPE", short.to_owned().into()),
                (
                    "CHARACTER_MAXIMUM_LENGTH",
                    if text { Value::Int(0xffff_ffff) } else { Value::Null },
                ),
                (
                    "CHARACTER_OCTET_LENGTH",
                    if text { Value::Int(0xffff_ffff) } else { Value::Null },
                ),
                ("NUMERIC_PRECISION", precision),
                ("NUMERIC_SCALE", if size.contains(',') { int(30) } else { Value::Null }),
                ("DATETIME_PRECISION", if param.kind == Type::Time { int(6) } else { Value::Null }),
                ("CHARACTER_SET_NAME", if text { UTF8.into() } else { Value::Null }),
                ("COLLATION_NAME", if text { UTF8_COLLATION.into() } else { Value::Null }),
                ("DTD_IDENTIFIER", full.into()),
                ("ROUTINE_TYPE", "PROCEDURE".into()),
            ]));
        }
    }
    Ok(rows)
}

fn definer(context: &Context<'_>) -> Value {
    format!("{}@%", context.session.user().name).into()
}

/// A parameter's type in MySQL's words.
const fn type_name(kind: Type) -> &'static str {
    match kind {
        Type::Any | Type::Text => "longtext",
        Type::Bool => "tinyint(1)",
        Type::Int => "bigint",
        Type::Number | Type::Float => "double",
        Type::Decimal => "decimal(65,30)",
        Type::Bytes => "longblob",
        Type::Time => "datetime(6)",
        Type::List | Type::Map => "json",
    }
}

/// A function's parameters as `CREATE PROCEDURE` writes them.
pub(in super::super) fn parameters(function: &Function) -> String {
    let parameter = |param: &polyport_core::Param| {
        format!("IN `{}` {}", param.name.replace('`', "``"), type_name(param.kind))
    };
    function.signature().params.iter().map(parameter).collect::<Vec<_>>().join(", ")
}

pub(super) fn session_variables(context: &mut Context<'_>, own: &Definition) -> Rows {
    variable_rows(context, own, Scope::Session)
}

pub(super) fn global_variables(context: &mut Context<'_>, own: &Definition) -> Rows {
    variable_rows(context, own, Scope::Global)
}

fn variable_rows(context: &mut Context<'_>, own: &Definition, scope: Scope) -> Rows {
    let row = |variable: &variables::Variable| {
        own.row(&[
            ("VARIABLE_NAME", variable.name.into()),
            ("VARIABLE_VALUE", variable.show(scope, context.state, context.session)),
        ])
    };
    Ok(variables::TABLE.iter().map(row).collect())
}

pub(super) fn status_rows(context: &mut Context<'_>, own: &Definition) -> Rows {
    let row = |(name, value): (&'static str, Value)| {
        own.row(&[("VARIABLE_NAME", name.into()), ("VARIABLE_VALUE", value)])
    };
    Ok(status(context).into_iter().map(row).collect())
}

/// What `SHOW STATUS` lists: the server's own numbers as far as the user may read them.
pub(in super::super) fn status(context: &Context<'_>) -> Vec<(&'static str, Value)> {
    let cipher = context.state.cipher.clone();
    let mut all: Vec<(&'static str, Value)> =
        vec![("Compression", "OFF".into()), ("Ssl_cipher", Value::Text(cipher))];
    if let Ok(stats) = context.session.stats() {
        let total = stats.total();
        let number = |number: u64| Value::from(number.to_string());
        let signed = |count: i64| Value::from(count.max(0).to_string());
        all.extend([
            ("Aborted_clients", number(total.closed_error)),
            ("Aborted_connects", number(total.logins_bad)),
            ("Bytes_received", number(total.bytes_in)),
            ("Bytes_sent", number(total.bytes_out)),
            ("Com_call_procedure", number(total.calls_good + total.calls_bad)),
            ("Connection_errors_max_connections", number(total.connections_refused)),
            ("Connections", number(total.connections_total)),
            ("Queries", number(total.requests)),
            ("Questions", number(total.requests)),
            ("Threads_connected", signed(total.connections)),
            ("Threads_running", signed(total.in_flight)),
            ("Uptime", number(stats.uptime().as_secs())),
        ]);
    }
    all.sort_by_key(|(name, _)| *name);
    all
}

pub(super) fn processes(context: &mut Context<'_>, own: &Definition) -> Rows {
    let session = context.session;
    let mine = session.connection().id;
    let source = Value::from(String::from_utf8_lossy(context.source).into_owned());
    let row = |connection: Arc<Connection>| {
        let this = connection.id == mine;
        let running = this || connection.in_flight() > 0;
        let user = match connection.stage() {
            Stage::Guest => Text::from("unauthenticated user"),
            _ => connection.user().0,
        };
        let database = match context.state.database.as_str() {
            name if this && !name.is_empty() => name.to_owned().into(),
            _ => Value::Null,
        };
        own.row(&[
            ("ID", Value::Int(connection.id.into())),
            ("USER", Value::Text(user)),
            ("HOST", connection.peer.to_string().into()),
            ("DB", database),
            ("COMMAND", if running { "Query" } else { "Sleep" }.into()),
            ("TIME", i64::try_from(connection.idle().as_secs()).unwrap_or(i64::MAX).into()),
            ("STATE", connection.protocol.into()),
            ("INFO", if this { source.clone() } else { Value::Null }),
        ])
    };
    Ok(session.connections().into_iter().map(row).collect())
}
