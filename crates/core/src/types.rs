//! Declared types of parameters and columns, and what each accepts.

use bigdecimal::BigDecimal;
use num_bigint::BigInt;
use num_traits::{FromPrimitive, ToPrimitive};

use crate::time::Time;
use crate::value::{Text, Value};

/// What a parameter or a column declares.
///
/// Declared types exist because clients differ in what they can send: PDO and Perl's DBI write
/// `'3'` for 3, Node's mysql2 sends every number as a double, JSON has no bytes. A declared type
/// turns each of these into what the function wants, or refuses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Type {
    /// Anything, unchanged.
    #[default]
    Any,
    /// Truth. Takes 0 and 1, and the words `true`, `false`, `on`, `off`, `yes`, `no`.
    Bool,
    /// An integer of any size. Takes whole floats and decimals, and digits as text.
    Int,
    /// An integer, decimal or float, unchanged. Takes numbers as text.
    Number,
    /// A float. Takes any number, and numbers as text.
    Float,
    /// A decimal. Takes any number, and numbers as text.
    Decimal,
    /// Text. Takes numbers in their plain form, times, and bytes that are UTF-8.
    Text,
    /// Bytes. Takes text as its UTF-8.
    Bytes,
    /// A date, a time of day with or without one, or a span. Takes them as text.
    Time,
    /// A list. Takes tuples, sets, and a JSON array as text.
    List,
    /// A map. Takes a JSON object as text.
    Map,
}

impl Type {
    /// The name as Python prints a type hint; empty for [`Type::Any`].
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Any => "",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Number => "int | float",
            Self::Float => "float",
            Self::Decimal => "Decimal",
            Self::Text => "str",
            Self::Bytes => "bytes",
            Self::Time => "datetime",
            Self::List => "list",
            Self::Map => "dict",
        }
    }

    /// Turns a value into this type, or gives it back unchanged as the error.
    ///
    /// Nothing is rounded and nothing is guessed: 3.5 is no integer, `'3 apples'` is no number.
    ///
    /// # Errors
    /// The value itself, when it cannot become this type without loss.
    pub fn coerce(self, value: Value) -> Result<Value, Value> {
        match self {
            Self::Any => Ok(value),
            Self::Bool => to_bool(value),
            Self::Int => to_int(value),
            Self::Number => to_number(value),
            Self::Float => to_float(value),
            Self::Decimal => to_decimal(value),
            Self::Text => to_text(value),
            Self::Bytes => to_bytes(value),
            Self::Time => to_time(value),
            Self::List => to_list(value),
            Self::Map => to_map(value),
        }
    }
}

fn to_bool(value: Value) -> Result<Value, Value> {
    let flag = match &value {
        Value::Bool(flag) => Some(*flag),
        Value::Int(0) => Some(false),
        Value::Int(1) => Some(true),
        Value::Float(number) if *number == 0.0 => Some(false),
        Value::Float(number) if *number == 1.0 => Some(true),
        Value::Text(text) => match text.trim().to_ascii_lowercase().as_str() {
            "1" | "true" | "on" | "yes" => Some(true),
            "0" | "false" | "off" | "no" => Some(false),
            _ => None,
        },
        _ => None,
    };
    flag.map(Value::Bool).ok_or(value)
}

fn to_int(value: Value) -> Result<Value, Value> {
    let number = match &value {
        Value::Int(_) | Value::Big(_) => return Ok(value),
        Value::Bool(flag) => Some(Value::Int(i64::from(*flag))),
        Value::Float(number) => whole(*number),
        Value::Decimal(number) if number.is_integer() => {
            Some(Value::from_big(number.with_scale(0).into_bigint_and_scale().0))
        }
        Value::Text(text) => parse_int(text).or_else(|| whole(parse_float(text)?)),
        _ => None,
    };
    number.ok_or(value)
}

fn whole(number: f64) -> Option<Value> {
    (number.fract() == 0.0).then(|| BigInt::from_f64(number)).flatten().map(Value::from_big)
}

/// Digits a number in text may have; more are refused, because reading them costs their square.
pub const NUMBER_DIGITS: usize = 4_300;

/// Reads an integer of any size up to [`NUMBER_DIGITS`] digits.
#[must_use]
pub fn parse_int(text: &str) -> Option<Value> {
    let text = text.trim();
    if let Ok(number) = text.parse::<i64>() {
        return Some(Value::Int(number));
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let plain = !digits.is_empty()
        && digits.len() <= NUMBER_DIGITS
        && digits.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| text.parse().ok().map(Value::from_big)).flatten()
}

/// Reads a float written with digits; words such as `nan` are no numbers here.
#[must_use]
pub fn parse_float(text: &str) -> Option<f64> {
    let text = text.trim();
    let numeric = |b: u8| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-');
    text.bytes().all(numeric).then(|| text.parse().ok()).flatten()
}

/// Reads a decimal of up to [`NUMBER_DIGITS`] digits, keeping its scale. No exponent is taken.
#[must_use]
pub fn parse_decimal(text: &str) -> Option<BigDecimal> {
    let text = text.trim();
    let numeric = |b: u8| b.is_ascii_digit() || matches!(b, b'.' | b'+' | b'-');
    let plain = text.len() <= NUMBER_DIGITS && text.bytes().all(numeric);
    plain.then(|| text.parse().ok()).flatten()
}

fn to_number(value: Value) -> Result<Value, Value> {
    let number = match &value {
        Value::Int(_) | Value::Big(_) | Value::Float(_) | Value::Decimal(_) => return Ok(value),
        Value::Bool(flag) => Some(Value::Int(i64::from(*flag))),
        Value::Text(text) => parse_int(text).or_else(|| parse_float(text).map(Value::Float)),
        _ => None,
    };
    number.ok_or(value)
}

fn to_float(value: Value) -> Result<Value, Value> {
    let number = match &value {
        Value::Float(_) => return Ok(value),
        #[expect(
            clippy::cast_precision_loss,
            reason = "a float was asked for; Python does the same"
        )]
        Value::Int(number) => Some(*number as f64),
        Value::Big(number) => number.to_f64(),
        Value::Decimal(number) => number.to_f64(),
        Value::Bool(flag) => Some(f64::from(u8::from(*flag))),
        Value::Text(text) => parse_float(text),
        _ => None,
    };
    number.map(Value::Float).ok_or(value)
}

fn to_decimal(value: Value) -> Result<Value, Value> {
    let number = match &value {
        Value::Decimal(_) => return Ok(value),
        Value::Int(number) => Some(BigDecimal::from(*number)),
        Value::Big(number) => Some(BigDecimal::from((**number).clone())),
        Value::Float(number) => parse_decimal(&number.to_string()),
        Value::Bool(flag) => Some(BigDecimal::from(u8::from(*flag))),
        Value::Text(text) => parse_decimal(text),
        _ => None,
    };
    number.map(|number| Value::Decimal(Box::new(number))).ok_or(value)
}

fn to_text(value: Value) -> Result<Value, Value> {
    let text = match &value {
        Value::Text(_) => return Ok(value),
        Value::Int(number) => number.to_string().into(),
        Value::Big(number) => number.to_string().into(),
        Value::Float(number) => number.to_string().into(),
        Value::Decimal(number) => number.to_plain_string().into(),
        Value::Time(time) => time.to_string().into(),
        Value::Bytes(bytes) => match Text::from_utf8(bytes.clone()) {
            Ok(text) => text,
            Err(_) => return Err(value),
        },
        _ => return Err(value),
    };
    Ok(Value::Text(text))
}

fn to_bytes(value: Value) -> Result<Value, Value> {
    match value {
        Value::Bytes(_) => Ok(value),
        Value::Text(text) => Ok(Value::Bytes(text.into_bytes())),
        other => Err(other),
    }
}

fn to_time(value: Value) -> Result<Value, Value> {
    let time = match &value {
        Value::Time(_) => return Ok(value),
        Value::Text(text) => Time::parse(text),
        _ => None,
    };
    time.map(Value::Time).ok_or(value)
}

fn to_list(value: Value) -> Result<Value, Value> {
    match value {
        Value::List(_) => Ok(value),
        Value::Tuple(items) | Value::Set(items) => Ok(Value::List(items)),
        Value::Text(ref text) => match crate::json::parse(text.as_bytes()) {
            Ok(list @ Value::List(_)) => Ok(list),
            _ => Err(value),
        },
        other => Err(other),
    }
}

fn to_map(value: Value) -> Result<Value, Value> {
    match value {
        Value::Map(_) => Ok(value),
        Value::Text(ref text) => match crate::json::parse(text.as_bytes()) {
            Ok(map @ Value::Map(_)) => Ok(map),
            _ => Err(value),
        },
        other => Err(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &'static str) -> Value {
        Value::Text(text.into())
    }

    #[test]
    fn numbers_arrive_from_every_client_as_the_integer_that_was_meant() {
        for sent in [
            Value::Int(3),
            Value::Float(3.0),
            text("3"),
            text(" 3 "),
            text("3.0"),
            Value::Decimal(Box::new("3.00".parse().unwrap())),
        ] {
            assert_eq!(Type::Int.coerce(sent), Ok(Value::Int(3)));
        }
    }

    #[test]
    fn nothing_is_rounded_or_guessed() {
        for sent in [Value::Float(3.5), text("3.5"), text("3 apples"), text(""), Value::Null] {
            assert_eq!(Type::Int.coerce(sent.clone()), Err(sent));
        }
        assert!(Type::Float.coerce(text("nan")).is_err());
        assert!(Type::Bool.coerce(Value::Int(2)).is_err());
    }

    #[test]
    fn a_float_written_as_text_beyond_any_integer_is_refused_quickly() {
        assert!(Type::Int.coerce(text("1e400")).is_err());
        let digits: Value = Value::Text("9".repeat(NUMBER_DIGITS + 1).into());
        assert!(Type::Int.coerce(digits).is_err());
    }

    #[test]
    fn containers_come_as_json_where_a_client_has_only_text() {
        let list = Value::List(vec![Value::Int(1), text("b")]);
        assert_eq!(Type::List.coerce(text(r#"[1, "b"]"#)), Ok(list));
        assert!(Type::Map.coerce(text("[1]")).is_err());
    }

    #[test]
    fn bytes_and_text_meet_in_utf8() {
        assert_eq!(Type::Bytes.coerce(text("é")), Ok(Value::Bytes("é".as_bytes().into())));
        assert_eq!(Type::Text.coerce(Value::Bytes("é".as_bytes().into())), Ok(text("é")));
        assert!(Type::Text.coerce(Value::Bytes(b"\xff".into())).is_err());
    }
}
