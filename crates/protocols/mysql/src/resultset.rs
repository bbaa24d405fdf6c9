//! What a call returned, as result sets.

use std::collections::HashMap;

use polyport_core::{Column, Fault, Kind, Reply, Rows, Stream, Text, Type, Value};

use crate::codec::column::{self, ColumnType, Common};
use crate::codec::response::Writer;
use crate::codec::{put_lenenc, row};
use crate::config::Results;
use crate::sql::{Charset, SqlError};

/// One result of a call.
#[derive(Debug)]
pub(crate) enum Answer {
    /// No result set, only an OK.
    Nothing {
        /// The number of rows it claims to have changed.
        affected: u64,
    },
    /// A result set.
    Table(Rows),
    /// A result set whose rows come one by one.
    Stream(Stream),
}

/// Columns that a table has at most, as in MySQL. A wider list of rows is shown as JSON, since a
/// table of a million short rows and one long one would fill the memory with nulls.
const MOST_COLUMNS: usize = 4_096;

/// The heading of a result that has no names of its own.
const RESULT: &str = "result";

/// Lists what a reply answers, one result after the other.
///
/// # Errors
/// When pymysqlrpc's rules have no place for a value.
pub(crate) fn answers(reply: Reply, results: Results, all: &mut Vec<Answer>) -> Result<(), Fault> {
    match reply {
        Reply::Value(value) => all.push(answer(value, results)?),
        Reply::Rows(rows) if rows.columns.len() > MOST_COLUMNS => {
            let why = format!("a table has {MOST_COLUMNS} columns at most");
            return Err(Fault::new(Kind::TooLarge, why));
        }
        Reply::Rows(rows) => all.push(Answer::Table(with_columns(rows))),
        Reply::Stream(stream) => all.push(Answer::Stream(stream)),
        Reply::Many(replies) => {
            for reply in replies {
                answers(reply, results, all)?;
            }
        }
    }
    Ok(())
}

/// What one value answers.
///
/// # Errors
/// As [`answers`].
pub(crate) fn answer(value: Value, results: Results) -> Result<Answer, Fault> {
    if results == Results::Pymysqlrpc && value.is_falsy() {
        return Ok(Answer::Nothing { affected: 1 });
    }
    Ok(Answer::Table(match value {
        Value::Null => return Ok(Answer::Nothing { affected: 0 }),
        row @ (Value::Tuple(_) | Value::Map(_)) if is_row(&row) || is_map(&row) => list(vec![row]),
        Value::List(items) => list(items),
        Value::Tuple(cells) if cells.is_empty() => list(cells),
        _ if results == Results::Pymysqlrpc => {
            let why = "a function's result is a table, a tuple or nothing";
            return Err(Fault::raised("TypeError", why));
        }
        scalar => one_column(RESULT, vec![scalar]),
    }))
}

/// One value under a heading.
pub(crate) fn one_column(heading: impl Into<Text>, items: Vec<Value>) -> Rows {
    let rows = items.into_iter().map(|item| vec![item]).collect();
    Rows { columns: vec![Column::from(heading)], rows }
}

/// A table without columns cannot be said, so it becomes one with an empty column.
fn with_columns(rows: Rows) -> Rows {
    if rows.columns.is_empty() { one_column(RESULT, Vec::new()) } else { rows }
}

fn list(items: Vec<Value>) -> Rows {
    if items.is_empty() {
        one_column(RESULT, items)
    } else if items.iter().all(is_row) {
        let cells = |item| match item {
            Value::Tuple(cells) => cells,
            other => vec![other],
        };
        numbered(items.into_iter().map(cells).collect())
    } else if items.iter().all(is_map) && keys(&items).len() <= MOST_COLUMNS {
        union(items)
    } else {
        one_column(RESULT, items)
    }
}

/// Whether an item is a row: a tuple that has cells, and not too many.
fn is_row(item: &Value) -> bool {
    matches!(item, Value::Tuple(cells) if (1..=MOST_COLUMNS).contains(&cells.len()))
}

/// Whether an item is a row with names.
fn is_map(item: &Value) -> bool {
    let Value::Map(pairs) = item else { return false };
    (1..=MOST_COLUMNS).contains(&pairs.len())
        && pairs.iter().all(|(key, _)| matches!(key, Value::Text(_)))
}

/// A table with the headings `0`, `1` and so on, as wide as its widest row.
fn numbered(rows: Vec<Vec<Value>>) -> Rows {
    let width = rows.iter().map(Vec::len).max().unwrap_or(0);
    let columns = (0..width).map(|index| Column::from(index.to_string())).collect();
    Rows { columns, rows }
}

/// The keys of maps with the place of each, in the order in which they first appear.
fn keys(maps: &[Value]) -> HashMap<Text, usize> {
    let mut places = HashMap::new();
    for map in maps {
        let Value::Map(pairs) = map else { continue };
        for (key, _) in pairs {
            let Value::Text(key) = key else { continue };
            let next = places.len();
            places.entry(key.clone()).or_insert(next);
        }
    }
    places
}

/// A table of maps: a column for each key.
fn union(maps: Vec<Value>) -> Rows {
    let places = keys(&maps);
    let mut columns = vec![Column::from(""); places.len()];
    for (key, place) in &places {
        if let Some(column) = columns.get_mut(*place) {
            column.name = key.clone();
        }
    }
    let mut rows = Vec::with_capacity(maps.len());
    for map in maps {
        let mut cells = vec![Value::Null; columns.len()];
        let Value::Map(pairs) = map else { continue };
        for (key, value) in pairs {
            let place = key.as_text().and_then(|key| places.get(key));
            if let Some(cell) = place.and_then(|place| cells.get_mut(*place)) {
                *cell = value;
            }
        }
        rows.push(cells);
    }
    Rows { columns, rows }
}

/// The cells of one item of a stream with declared columns, each as its column declares.
///
/// # Errors
/// [`Kind::Type`] when a cell cannot become what its column declares.
pub(crate) fn stream_row(item: Value, columns: &[Column]) -> Result<Vec<Value>, Fault> {
    let mut cells = match item {
        Value::Tuple(cells) | Value::List(cells) => cells,
        Value::Map(mut pairs) => columns
            .iter()
            .map(|column| {
                let named = pairs.iter_mut().find(|(key, _)| key.as_text() == Some(&column.name));
                named.map(|(_, value)| std::mem::take(value)).unwrap_or_default()
            })
            .collect(),
        scalar => vec![scalar],
    };
    cells.resize(columns.len(), Value::Null);
    for (cell, column) in cells.iter_mut().zip(columns) {
        let Value::Null = cell else {
            let taken = column.kind.coerce(std::mem::take(cell));
            *cell = taken.map_err(|value| misfit(&column.name, column.kind, &value))?;
            continue;
        };
    }
    Ok(cells)
}

fn misfit(column: &str, kind: Type, value: &Value) -> Fault {
    let shown: String = value.to_string().chars().take(80).collect();
    Fault::new(Kind::Type, format!("column '{column}' holds {}, not {shown}", kind.name()))
}

/// The types of a table's columns, each fitting all its values.
///
/// # Errors
/// [`Kind::Unsupported`] when a cell is a foreign object, which goes back only to the dialect that
/// wrote it.
pub(crate) fn column_types(table: &Rows) -> Result<Vec<ColumnType>, Fault> {
    let mut found: Vec<Common> = table.columns.iter().map(|c| Common::new(c.kind)).collect();
    for row in &table.rows {
        for (common, value) in found.iter_mut().zip(row) {
            refuse_foreign(value)?;
            common.add(value);
        }
    }
    Ok(found.into_iter().map(Common::column_type).collect())
}

/// Refuses a foreign object.
///
/// # Errors
/// As [`column_types`].
pub(crate) fn refuse_foreign(value: &Value) -> Result<(), Fault> {
    match value {
        Value::Opaque(object) => Err(Fault::new(
            Kind::Unsupported,
            format!("a {} object cannot be shown in a result set", object.dialect),
        )),
        _ => Ok(()),
    }
}

/// How cells are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// As text, after a query.
    Text,
    /// As binary, after the execution of a prepared statement.
    Binary,
}

/// Begins a result set.
pub(crate) fn write_head(
    to: &mut Writer<'_>,
    columns: &[Column],
    kinds: &[ColumnType],
    charset: Charset,
    status: u16,
) {
    to.packet(|out| put_lenenc(out, columns.len() as u64));
    for (column, kind) in columns.iter().zip(kinds) {
        to.packet(|out| column::write(out, &column.name, *kind, charset));
    }
    to.end_of_columns(status);
}

/// Writes one row.
///
/// # Errors
/// When a cell is beyond its column's declared type; nothing is written then.
pub(crate) fn write_row(
    to: &mut Writer<'_>,
    kinds: &[ColumnType],
    cells: &[Value],
    format: Format,
    charset: Charset,
) -> Result<(), SqlError> {
    match format {
        Format::Text => to.packet(|out| row::write_text(out, kinds, cells, charset)),
        Format::Binary => {
            let (length, sequence) = (to.out.len(), *to.sequence);
            let mut fits = Ok(());
            to.packet(|out| fits = row::write_binary(out, kinds, cells, charset));
            if fits.is_err() {
                to.out.truncate(length);
                *to.sequence = sequence;
                return Err(SqlError {
                    errno: 1264,
                    state: "22003",
                    message: "Out of range value for a column of the result".into(),
                });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(value: Value) -> (Vec<String>, Vec<Vec<Value>>) {
        let Answer::Table(rows) = answer(value, Results::Plain).unwrap() else { panic!() };
        (rows.columns.iter().map(|c| c.name.to_string()).collect(), rows.rows)
    }

    fn ints(numbers: &[i64]) -> Vec<Value> {
        numbers.iter().copied().map(Value::Int).collect()
    }

    #[test]
    fn tuples_are_rows_and_lists_of_them_tables() {
        let (names, rows) = table(Value::Tuple(ints(&[1, 2])));
        assert_eq!((names, rows), (vec!["0".into(), "1".into()], vec![ints(&[1, 2])]));
        let list = [&[1][..], &[2, 3]].map(|row| Value::Tuple(ints(row)));
        let (names, rows) = table(Value::List(list.to_vec()));
        assert_eq!((names.len(), rows.len()), (2, 2));
    }

    #[test]
    fn maps_are_rows_under_their_keys() {
        let maps = vec![
            Value::map([("a", 1), ("b", 2)]),
            Value::map([("c", 3), ("a", 4)]),
            Value::map([("b", 5)]),
        ];
        let (names, rows) = table(Value::List(maps));
        assert_eq!(names, ["a", "b", "c"]);
        assert_eq!(rows[1], [Value::Int(4), Value::Null, Value::Int(3)]);
        let (names, rows) = table(Value::map([("x", 1)]));
        assert_eq!((names, rows), (vec!["x".into()], vec![ints(&[1])]));
    }

    #[test]
    fn everything_else_is_a_column_of_results() {
        for (value, rows) in [
            (Value::Int(0), 1),
            (Value::Text("".into()), 1),
            (Value::List(vec![]), 0),
            (Value::Tuple(vec![]), 0),
            (Value::Map(vec![]), 1),
            (Value::List(vec![Value::Int(1), Value::Tuple(ints(&[2]))]), 2),
            (Value::Map(vec![(Value::Int(1), Value::Int(2))]), 1),
        ] {
            let (names, found) = table(value.clone());
            assert_eq!((names, found.len()), (vec!["result".into()], rows), "{value}");
        }
    }

    #[test]
    fn tables_do_not_grow_wider_than_mysqls() {
        let keys = |count: usize| (0..count).map(|i| Value::map([(i.to_string(), 1)])).collect();
        assert_eq!(table(Value::List(keys(MOST_COLUMNS))).0.len(), MOST_COLUMNS);
        assert_eq!(table(Value::List(keys(MOST_COLUMNS + 1))).0, ["result"]);
        let wide = Value::Tuple(vec![Value::Null; MOST_COLUMNS + 1]);
        assert_eq!(table(wide).0, ["result"]);
        let rows = Reply::Rows(Rows::new((0..=MOST_COLUMNS).map(|i| i.to_string())));
        let fault = answers(rows, Results::Plain, &mut Vec::new()).unwrap_err();
        assert_eq!(fault.kind(), Kind::TooLarge);
    }

    #[test]
    fn only_null_is_nothing_except_for_pymysqlrpc() {
        let nothing = |value, results| match answer(value, results) {
            Ok(Answer::Nothing { affected }) => Some(affected),
            _ => None,
        };
        assert_eq!(nothing(Value::Null, Results::Plain), Some(0));
        assert_eq!(nothing(Value::Int(0), Results::Plain), None);
        for falsy in [Value::Null, Value::Int(0), "".into(), Value::List(vec![])] {
            assert_eq!(nothing(falsy, Results::Pymysqlrpc), Some(1));
        }
        let fault = answer(Value::Int(5), Results::Pymysqlrpc).unwrap_err();
        assert_eq!(fault.kind(), Kind::Raised);
        assert!(answer(Value::Tuple(ints(&[5])), Results::Pymysqlrpc).is_ok());
    }

    #[test]
    fn several_replies_are_listed_flat() {
        let one = || Reply::Value(Value::Int(1));
        let nested = Reply::Many(vec![one(), Reply::Many(vec![one(), one()])]);
        let mut all = Vec::new();
        answers(nested, Results::Plain, &mut all).unwrap();
        assert_eq!(all.len(), 3);
    }

    #[test]
    fn items_of_a_stream_take_the_shape_of_its_columns() {
        let columns = [Column::typed("a", Type::Int), Column::typed("b", Type::Text)];
        let want = vec![Value::Int(1), Value::Text("2".into())];
        let item = Value::Tuple(vec!["1".into(), Value::Int(2)]);
        assert_eq!(stream_row(item, &columns), Ok(want.clone()));
        assert_eq!(stream_row(Value::map([("b", 2), ("a", 1)]), &columns), Ok(want));
        let short = stream_row(Value::Int(1), &columns);
        assert_eq!(short, Ok(vec![Value::Int(1), Value::Null]));
        let fault = stream_row("x".into(), &columns).unwrap_err();
        assert_eq!(fault.message(), "column 'a' holds int, not 'x'");
    }
}
