//! Faults as MySQL's errors.

use polyport_core::{Fault, Kind, Value};

use crate::config::Results;
use crate::sql::SqlError;

/// What a fault's text names beside the fault.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    /// The function that was called.
    pub(crate) function: &'a str,
    /// What MySQL calls it in the statement that called it.
    pub(crate) routine: Routine,
    /// The chosen database; empty for none.
    pub(crate) database: &'a str,
    /// Whose numbers are used.
    pub(crate) results: Results,
}

/// What MySQL calls a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Routine {
    /// After `CALL`.
    Procedure,
    /// Within an expression.
    Function,
}

/// A fault as the error that a MySQL client expects.
pub(crate) fn translate(fault: &Fault, place: Place<'_>) -> SqlError {
    if place.results == Results::Pymysqlrpc
        && let Some(error) = as_pymysqlrpc(fault, place)
    {
        return error;
    }
    let text = || fault.message().to_owned();
    let (errno, state, message) = match fault.kind() {
        Kind::Syntax => (1064, "42000", text()),
        Kind::NotFound => match fault.attribute("function") {
            Some(name) => (1305, "42000", format!("{} does not exist", routine(name, place))),
            None => (1032, "HY000", text()),
        },
        Kind::Arguments => (1318, "42000", wrong_count(fault, place)),
        Kind::Type => (1366, "HY000", text()),
        Kind::Denied => (1370, "42000", text()),
        Kind::Login => (1045, "28000", text()),
        Kind::Raised => return raised(fault, place),
        Kind::Timeout => (3024, "HY000", interrupted("maximum statement execution time exceeded")),
        Kind::Cancelled => return cancelled(),
        Kind::Busy => (1203, "42000", text()),
        Kind::TooLarge => (1153, "08S01", text()),
        Kind::Conflict => (1062, "23000", text()),
        Kind::Unsupported => (1235, "42000", text()),
        Kind::Unavailable => (1429, "HY000", text()),
        Kind::Internal => (1105, "HY000", text()),
    };
    SqlError { errno, state, message }
}

/// The error of a call that was stopped from outside.
pub(crate) fn cancelled() -> SqlError {
    SqlError { errno: 1317, state: "70100", message: "Query execution was interrupted".into() }
}

fn interrupted(why: &str) -> String {
    format!("Query execution was interrupted, {why}")
}

/// What the function raised: under its own number, or as pymysqlrpc reports exceptions. Python's
/// drivers make an `InternalError` of number 500.
fn raised(fault: &Fault, place: Place<'_>) -> SqlError {
    match fault.errno() {
        Some(errno) => SqlError { errno, state: "HY100", message: fault.message().into() },
        None => SqlError { errno: 500, state: "HY102", message: exception(fault, place) },
    }
}

fn exception(fault: &Fault, place: Place<'_>) -> String {
    let (class, message, function) = (fault.class(), fault.message(), place.function);
    format!("func call 2: --{class}: {message}--:call {function}")
}

/// pymysqlrpc's three errors; everything else keeps MySQL's number.
fn as_pymysqlrpc(fault: &Fault, place: Place<'_>) -> Option<SqlError> {
    let (message, function) = (fault.message(), place.function);
    let (state, message) = match fault.kind() {
        Kind::NotFound | Kind::Syntax => ("HY101", format!("func call 1: {message}")),
        Kind::Arguments | Kind::Type => ("HY102", exception(fault, place)),
        Kind::Timeout => ("HY103", format!("func call 3: timeout : {message}:call {function}")),
        _ => return None,
    };
    Some(SqlError { errno: 500, state, message })
}

/// A function as MySQL's errors name it: with its database.
fn routine(name: &Value, place: Place<'_>) -> String {
    let name = name.as_text().unwrap_or(place.function);
    let routine = match place.routine {
        Routine::Procedure => "PROCEDURE",
        Routine::Function => "FUNCTION",
    };
    if place.database.is_empty() || name.contains('.') {
        return format!("{routine} {name}");
    }
    format!("{routine} {}.{name}", place.database)
}

fn wrong_count(fault: &Fault, place: Place<'_>) -> String {
    let counts = ["expected", "got"].map(|name| fault.attribute(name).and_then(Value::as_int));
    let [Some(expected), Some(got)] = counts else { return fault.message().into() };
    let called = Value::Text(place.function.into());
    let routine = routine(&called, place);
    format!("Incorrect number of arguments for {routine}; expected {expected}, got {got}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place<'_> = Place {
        function: "f",
        routine: Routine::Procedure,
        database: "db",
        results: Results::Plain,
    };

    fn said(fault: &Fault) -> (u16, &'static str, String) {
        let SqlError { errno, state, message } = translate(fault, PLACE);
        (errno, state, message)
    }

    #[test]
    fn every_kind_has_a_number_and_a_state_of_five_characters() {
        for kind in Kind::ALL {
            for results in [Results::Plain, Results::Pymysqlrpc] {
                let error = translate(&Fault::new(kind, "why"), Place { results, ..PLACE });
                assert_ne!(error.errno, 0, "{kind:?}");
                assert_eq!(error.state.len(), 5, "{kind:?}");
                assert!(!error.message.is_empty(), "{kind:?}");
            }
        }
    }

    #[test]
    fn says_what_mysql_says() {
        let missing = Fault::new(Kind::NotFound, "x").with("function", "f");
        assert_eq!(said(&missing), (1305, "42000", "PROCEDURE db.f does not exist".into()));
        let count = Fault::new(Kind::Arguments, "x").with("expected", 2).with("got", 1);
        let text = "Incorrect number of arguments for PROCEDURE db.f; expected 2, got 1";
        assert_eq!(said(&count), (1318, "42000", text.into()));
        let record = Fault::new(Kind::NotFound, "there is no user 'x'");
        assert_eq!(said(&record), (1032, "HY000", "there is no user 'x'".into()));
    }

    #[test]
    fn a_name_with_its_database_gets_no_second_one() {
        let missing = Fault::new(Kind::NotFound, "x").with("function", "other.f");
        assert_eq!(said(&missing).2, "PROCEDURE other.f does not exist");
        let place = Place { database: "", routine: Routine::Function, ..PLACE };
        let missing = Fault::new(Kind::NotFound, "x").with("function", "f");
        assert_eq!(translate(&missing, place).message, "FUNCTION f does not exist");
    }

    #[test]
    fn what_a_function_raises_keeps_its_number_and_text() {
        let logic = Fault::numbered(1234, "no such thing");
        assert_eq!(said(&logic), (1234, "HY100", "no such thing".into()));
        let boom = Fault::raised("ValueError", "boom!");
        let text = "func call 2: --ValueError: boom!--:call f";
        assert_eq!(said(&boom), (500, "HY102", text.into()));
    }
}
