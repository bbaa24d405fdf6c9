//! Functions that tell about the connection and the server.

use polyport_core::{Stage, Value};

use super::super::evaluate::Context;
use super::super::expression::Scope;
use super::super::variables;
use super::{Function, argument, open};

pub(super) static FUNCTIONS: &[Function] = &[
    open("VERSION", 0, 0, |_, _| Ok(super::super::version().into())),
    open("DATABASE", 0, 0, |c, _| Ok(database(c))),
    open("SCHEMA", 0, 0, |c, _| Ok(database(c))),
    open("USER", 0, 0, |c, _| Ok(user(c))),
    open("SESSION_USER", 0, 0, |c, _| Ok(user(c))),
    open("SYSTEM_USER", 0, 0, |c, _| Ok(user(c))),
    open("CURRENT_USER", 0, 0, |c, _| Ok(format!("{}@%", c.session.user().name).into())),
    open("CURRENT_ROLE", 0, 0, |_, _| Ok("NONE".into())),
    open("CONNECTION_ID", 0, 0, |c, _| Ok(Value::Int(c.session.connection().id.into()))),
    // There are no tables here in which a row could be given a number.
    open("LAST_INSERT_ID", 0, 1, |_, v| {
        Ok(v.first().map_or(Value::Int(0), super::number::numeric))
    }),
    open("ROW_COUNT", 0, 0, |c, _| Ok(Value::Int(c.state.row_count))),
    open("FOUND_ROWS", 0, 0, |c, _| Ok(Value::Int(c.state.found_rows))),
    open("CHARSET", 1, 1, |c, v| {
        Ok(match argument(v, 0) {
            Value::Text(_) => variable(c, "character_set_connection"),
            _ => "binary".into(),
        })
    }),
    open("COLLATION", 1, 1, |c, v| {
        Ok(match argument(v, 0) {
            Value::Text(_) => variable(c, "collation_connection"),
            _ => "binary".into(),
        })
    }),
    open("UUID", 0, 0, |_, _| {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).unwrap_or_default();
        let number = u128::from_be_bytes(bytes) & !(0xf << 76) & !(0x3 << 62);
        let hex = format!("{:032x}", number | 4 << 76 | 2 << 62);
        let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
        let parts = [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)];
        Ok(parts.join("-").into())
    }),
    open("ANY_VALUE", 1, 1, |_, v| Ok(argument(v, 0).clone())),
    open("LOAD_FILE", 1, 1, |_, _| Ok(Value::Null)),
];

fn database(context: &Context<'_>) -> Value {
    match context.state.database.as_str() {
        "" => Value::Null,
        name => name.to_owned().into(),
    }
}

fn user(context: &Context<'_>) -> Value {
    let connection = context.session.connection();
    let name = match connection.stage() {
        Stage::Guest => String::new(),
        _ => context.session.user().name.to_string(),
    };
    format!("{name}@{}", connection.peer.host()).into()
}

fn variable(context: &Context<'_>, name: &str) -> Value {
    variables::find(name)
        .map(|variable| variable.read(Scope::Any, context.state, context.session))
        .unwrap_or_default()
}
