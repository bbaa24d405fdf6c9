//! A call through the MySQL protocol.

use std::path::Path;

use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, OptsBuilder, Params, Row, SslOpts, Value as Cell};
use polyport_core::{Time, Value};

use super::{Request, Target, show};
use crate::error::Error;

pub(super) async fn call(
    target: &Target,
    ca: Option<&Path>,
    request: Request,
) -> Result<(), Error> {
    if !request.named.is_empty() {
        return Err(Error::new("MySQL has no arguments by name")
            .hint("give them by position, or call through msgpack or http"));
    }
    let tls = target.encrypted.then(|| {
        let ca = ca.map(|ca| vec![ca.to_owned().into()]).unwrap_or_default();
        SslOpts::default().with_root_certs(ca)
    });
    let options = OptsBuilder::default()
        .ip_or_hostname(target.host.clone())
        .tcp_port(target.port)
        .user(Some(target.user.clone()))
        .pass(Some(target.password.clone()))
        .prefer_socket(Some(false))
        .ssl_opts(tls);
    let mut connection = Conn::new(options).await.map_err(failed)?;
    let marks = vec!["?"; request.positional.len()].join(", ");
    let name: Vec<_> = request.name.split('.').map(quoted).collect();
    let statement = format!("CALL {}({marks})", name.join("."));
    let cells: Vec<Cell> = request.positional.iter().map(cell).collect();
    let arguments = if cells.is_empty() { Params::Empty } else { Params::Positional(cells) };
    let mut results = connection.exec_iter(statement, arguments).await.map_err(failed)?;
    let mut sets = Vec::new();
    while !results.is_empty() {
        let rows: Vec<Row> = results.collect().await.map_err(failed)?;
        sets.push(Value::List(rows.into_iter().map(row).collect()));
    }
    drop(results);
    match sets.len() {
        0 => show(&Value::Null),
        _ => sets.iter().for_each(show),
    }
    connection.disconnect().await.map_err(failed)
}

fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

fn failed(error: mysql_async::Error) -> Error {
    match error {
        mysql_async::Error::Server(error) => {
            Error::new(format!("{} ({}): {}", error.code, error.state, error.message))
        }
        other => Error::new(other.to_string()),
    }
}

/// An argument as the protocol can say it; what it cannot say becomes JSON text.
fn cell(value: &Value) -> Cell {
    match value {
        Value::Null => Cell::NULL,
        Value::Bool(flag) => Cell::Int(i64::from(*flag)),
        Value::Int(number) => Cell::Int(*number),
        Value::Float(number) => Cell::Double(*number),
        Value::Text(text) => Cell::Bytes(text.as_bytes().to_vec()),
        other => Cell::Bytes(polyport_core::json::to_vec(other)),
    }
}

fn row(row: Row) -> Value {
    let names: Vec<String> =
        row.columns_ref().iter().map(|column| column.name_str().into_owned()).collect();
    let cells = row.unwrap().into_iter().map(value);
    Value::map(names.into_iter().zip(cells))
}

fn value(cell: Cell) -> Value {
    match cell {
        Cell::NULL => Value::Null,
        Cell::Int(number) => number.into(),
        Cell::UInt(number) => number.into(),
        Cell::Float(number) => f64::from(number).into(),
        Cell::Double(number) => number.into(),
        Cell::Bytes(bytes) => match String::from_utf8(bytes) {
            Ok(text) => text.into(),
            Err(error) => Value::Bytes(error.into_bytes().into()),
        },
        other => {
            // Dates and times come in parts; their literal form is what `Time` reads.
            let text = other.as_sql(true).trim_matches('\'').to_owned();
            Time::parse(&text).map_or_else(|| text.into(), Value::Time)
        }
    }
}
