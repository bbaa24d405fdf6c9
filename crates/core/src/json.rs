//! Values as JSON text, both ways.
//!
//! Integers of any size and decimals keep every digit. What JSON cannot say becomes the nearest it
//! can: tuples and sets are arrays, bytes are base64 text, times are text, keys are text.

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Serialize;
use serde::ser::{SerializeMap, SerializeSeq, Serializer};

use crate::value::Value;

/// Reads one JSON document. Nesting is limited to 128 levels.
///
/// # Errors
/// Where and why the text is no JSON document.
pub fn parse(text: &[u8]) -> Result<Value, serde_json::Error> {
    serde_json::from_slice(text).map(from_serde)
}

/// Writes a value as JSON text.
#[must_use]
pub fn to_vec(value: &Value) -> Vec<u8> {
    let mut text = Vec::new();
    // Writing to a vector cannot fail and every value has a JSON form.
    let _ = write(&mut text, value);
    text
}

/// Writes a value as JSON text.
#[must_use]
pub fn to_string(value: &Value) -> String {
    String::from_utf8(to_vec(value)).unwrap_or_default()
}

/// Writes a value as JSON text to a writer.
///
/// # Errors
/// The writer's own.
pub fn write(to: impl io::Write, value: &Value) -> io::Result<()> {
    serde_json::to_writer(to, &Json(value)).map_err(io::Error::from)
}

/// A value that serialises as JSON does, for use inside larger documents.
#[derive(Debug)]
pub struct Json<'a>(pub &'a Value);

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        Part { value: self.0, in_key: false }.serialize(to)
    }
}

/// A value, or a part of one that is a key.
struct Part<'a> {
    value: &'a Value,
    /// Whether this is within a key. JSON as text within JSON doubles its backslashes, so keys
    /// within keys within keys would double them each time; within a key, they are not JSON.
    in_key: bool,
}

impl Serialize for Part<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let part = |value| Part { value, in_key: self.in_key };
        match self.value {
            Value::Null => to.serialize_unit(),
            Value::Bool(flag) => to.serialize_bool(*flag),
            Value::Int(number) => to.serialize_i64(*number),
            Value::Float(number) => to.serialize_f64(*number),
            Value::Big(number) => digits(number.to_string()).serialize(to),
            Value::Decimal(number) => digits(number.to_plain_string()).serialize(to),
            Value::Text(text) => to.serialize_str(text),
            Value::Bytes(bytes) => to.serialize_str(&BASE64.encode(bytes)),
            Value::Time(time) => to.collect_str(time),
            Value::List(items) | Value::Tuple(items) | Value::Set(items) => {
                let mut list = to.serialize_seq(Some(items.len()))?;
                for item in items {
                    list.serialize_element(&part(item))?;
                }
                list.end()
            }
            Value::Map(pairs) => {
                let mut map = to.serialize_map(Some(pairs.len()))?;
                for (key, value) in pairs {
                    match key {
                        Value::Text(text) => map.serialize_key(text.as_str())?,
                        Value::Bytes(bytes) => map.serialize_key(&BASE64.encode(bytes))?,
                        Value::Time(time) => map.serialize_key(&time.to_string())?,
                        other if self.in_key => map.serialize_key(&other.to_string())?,
                        other => {
                            let key = Part { value: other, in_key: true };
                            map.serialize_key(&serde_json::to_string(&key).unwrap_or_default())?;
                        }
                    }
                    map.serialize_value(&part(value))?;
                }
                map.end()
            }
            Value::Opaque(object) => to.serialize_str(&format!("<{} object>", object.dialect)),
        }
    }
}

/// A number whose digits serde has no type for.
fn digits(text: String) -> serde_json::Number {
    serde_json::Number::from_string_unchecked(text)
}

fn from_serde(json: serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(flag) => Value::Bool(flag),
        serde_json::Value::Number(number) => from_number(&number),
        serde_json::Value::String(text) => Value::Text(text.into()),
        serde_json::Value::Array(items) => Value::List(items.into_iter().map(from_serde).collect()),
        serde_json::Value::Object(pairs) => Value::Map(
            pairs
                .into_iter()
                .map(|(key, value)| (Value::Text(key.into()), from_serde(value)))
                .collect(),
        ),
    }
}

fn from_number(number: &serde_json::Number) -> Value {
    let text = number.as_str();
    if let Some(whole) = crate::types::parse_int(text) {
        return whole;
    }
    // A number of more digits than are read exactly is still a float, infinite if it must be.
    Value::Float(text.parse().unwrap_or(f64::NAN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_every_digit() {
        let text = "[1,-9223372036854775808,123456789012345678901234567890,0.5,1.0]";
        let value = parse(text.as_bytes()).unwrap();
        assert_eq!(to_string(&value), text);
        let price = Value::Decimal(Box::new("1.50".parse().unwrap()));
        assert_eq!(to_string(&price), "1.50");
    }

    #[test]
    fn maps_keep_their_order_and_write_their_keys_as_text() {
        let map = Value::Map(vec![
            (Value::Text("z".into()), Value::Int(1)),
            (Value::Int(7), Value::Null),
            (Value::Null, Value::Bool(true)),
        ]);
        assert_eq!(to_string(&map), r#"{"z":1,"7":null,"null":true}"#);
    }

    #[test]
    fn keys_within_keys_do_not_grow_with_each_level() {
        let nest = |levels| {
            (0..levels).fold(Value::from("\""), |key, _| Value::Map(vec![(key, Value::Int(1))]))
        };
        let size = |levels| to_string(&nest(levels)).len();
        assert!(size(100) < 100 * size(1), "{} bytes", size(100));
        assert_eq!(to_string(&nest(2)), r#"{"{\"\\\"\":1}":1}"#);
        let pair = Value::Tuple(vec![Value::Int(1), Value::Null]);
        assert_eq!(to_string(&Value::Map(vec![(pair, Value::Int(2))])), r#"{"[1,null]":2}"#);
    }

    #[test]
    fn deep_nesting_is_an_error_and_no_crash() {
        assert!(parse("[".repeat(100_000).as_bytes()).is_err());
    }
}
