//! SQL's own functions.

mod numbers;
mod session;
mod texts;
mod times;

use std::cmp::Ordering;

use polyport_core::{Text, Value};

use super::SqlError;
use super::catalogue;
use super::compare::compare;
use super::evaluate::{Context, Frame};
use super::expression::{Expr, Unit};
use super::number;
use super::parser::Parsed;

pub(super) use self::texts::concat;
pub(super) use self::times::{parse_time, shift_time};

/// A function over values.
struct Function {
    name: &'static str,
    /// The fewest and the most arguments.
    arguments: (usize, usize),
    /// Whether a null among the arguments makes the result null.
    strict: bool,
    body: fn(&mut Context<'_>, &[Value]) -> Parsed<Value>,
}

type Body = fn(&mut Context<'_>, &[Value]) -> Parsed<Value>;

/// No upper bound on the arguments.
const ANY: usize = usize::MAX;

/// A function whose result is null when an argument is.
const fn strict(name: &'static str, least: usize, most: usize, body: Body) -> Function {
    Function { name, arguments: (least, most), strict: true, body }
}

/// A function that looks at nulls itself.
const fn open(name: &'static str, least: usize, most: usize, body: Body) -> Function {
    Function { name, arguments: (least, most), strict: false, body }
}

fn find(name: &str) -> Option<&'static Function> {
    let upper = name.to_ascii_uppercase();
    let of = |functions: &'static [Function]| functions.iter().find(|own| own.name == upper);
    of(texts::FUNCTIONS)
        .or_else(|| of(session::FUNCTIONS))
        .or_else(|| of(numbers::FUNCTIONS))
        .or_else(|| of(times::FUNCTIONS))
}

/// Functions that evaluate their arguments themselves.
const LAZY: [&str; 10] = [
    "IF", "IFNULL", "NVL", "COALESCE", "NULLIF", "ISNULL", "DATE_ADD", "DATE_SUB", "ADDDATE",
    "SUBDATE",
];

/// Whether SQL itself has a function of this name.
pub(super) fn exists(name: &str) -> bool {
    LAZY.iter().any(|own| own.eq_ignore_ascii_case(name))
        || name.eq_ignore_ascii_case("SLEEP")
        || find(name).is_some()
}

/// Calls a function of SQL's own.
pub(super) fn call(
    context: &mut Context<'_>,
    name: &Text,
    arguments: &[Expr],
    frame: Option<&Frame<'_>>,
) -> Parsed<Value> {
    if let Some(lazy) = LAZY.iter().find(|own| own.eq_ignore_ascii_case(name)) {
        return call_lazy(context, lazy, arguments, frame);
    }
    let Some(function) = find(name) else {
        return Err(unknown(context, name));
    };
    let (least, most) = function.arguments;
    if arguments.len() < least || arguments.len() > most {
        return Err(SqlError::argument_count(name));
    }
    let values = context.all(arguments, frame)?;
    if function.strict && values.iter().any(|value| matches!(value, Value::Null)) {
        return Ok(Value::Null);
    }
    if values.iter().any(|value| matches!(value, Value::Tuple(_))) {
        return Err(SqlError::new(1241, "21000", "Operand should contain 1 column(s)"));
    }
    (function.body)(context, &values)
}

fn unknown(context: &Context<'_>, name: &Text) -> SqlError {
    if name.eq_ignore_ascii_case("SLEEP") || catalogue::function(context.session, name).is_some() {
        return SqlError::unsupported(&format!(
            "{name}() within a larger expression; it can be all of a SELECT list, or be CALLed"
        ));
    }
    let database = match context.state.database.as_str() {
        _ if name.contains('.') => name.to_string(),
        "" => name.to_string(),
        database => format!("{database}.{name}"),
    };
    SqlError::no_routine("FUNCTION", &database)
}

fn call_lazy(
    context: &mut Context<'_>,
    name: &str,
    arguments: &[Expr],
    frame: Option<&Frame<'_>>,
) -> Parsed<Value> {
    match (name, arguments) {
        ("IF", [test, then, otherwise]) => {
            let chosen = if context.test(test, frame)? == Some(true) { then } else { otherwise };
            context.evaluate(chosen, frame)
        }
        ("IFNULL" | "NVL", [_, _]) | ("COALESCE", [_, ..]) => {
            for argument in arguments {
                let value = context.evaluate(argument, frame)?;
                if !matches!(value, Value::Null) {
                    return Ok(value);
                }
            }
            Ok(Value::Null)
        }
        ("NULLIF", [left, right]) => {
            let left = context.evaluate(left, frame)?;
            let right = context.evaluate(right, frame)?;
            let equal = compare(&left, &right, false) == Some(Ordering::Equal);
            Ok(if equal { Value::Null } else { left })
        }
        ("ISNULL", [operand]) => {
            let value = context.evaluate(operand, frame)?;
            Ok(Value::Int(i64::from(matches!(value, Value::Null))))
        }
        ("DATE_ADD" | "ADDDATE" | "DATE_SUB" | "SUBDATE", [from, by]) => {
            let from = context.evaluate(from, frame)?;
            let sign = if name.ends_with("SUB") || name.starts_with("SUB") { -1 } else { 1 };
            let (count, unit) = match by {
                Expr::Interval(count, unit) => (context.evaluate(count, frame)?, *unit),
                days => (context.evaluate(days, frame)?, Unit::Day),
            };
            shift_time(&from, &count, unit, sign)
        }
        _ => Err(SqlError::argument_count(name)),
    }
}

/// The first, second, third argument; null when there is none.
fn argument(values: &[Value], index: usize) -> &Value {
    values.get(index).unwrap_or(&Value::Null)
}

fn whole(values: &[Value], index: usize) -> i64 {
    number::whole(argument(values, index))
}

fn text(values: &[Value], index: usize) -> Text {
    super::text::to_text(argument(values, index))
}

/// A count of characters or bytes; below zero is none.
fn count(values: &[Value], index: usize) -> usize {
    usize::try_from(whole(values, index).max(0)).unwrap_or(usize::MAX)
}

fn int(number: usize) -> Value {
    Value::Int(i64::try_from(number).unwrap_or(i64::MAX))
}
