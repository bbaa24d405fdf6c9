//! The one shape of data that all protocols share.

use std::fmt;
use std::sync::Arc;

use bigdecimal::BigDecimal;
use num_bigint::BigInt;
use num_traits::ToPrimitive;

use crate::time::Time;

/// UTF-8 text that is cheap to clone: short text is stored in place, long text is shared.
pub type Text = hipstr::HipStr<'static>;

/// Raw bytes that are cheap to clone: short ones are stored in place, long ones are shared.
pub type Blob = hipstr::HipByt<'static>;

/// One value, as a function takes and returns it and as tables and queues hold it.
///
/// The kinds are the union of what the protocols can tell apart. A protocol that cannot say a kind
/// renders it as the nearest one it has; the truth table in `docs/protocols/README.md` lists how.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// No value: SQL's `NULL`, Python's `None`, JSON's `null`.
    #[default]
    Null,
    /// Truth.
    Bool(bool),
    /// An integer within 64 bits, signed.
    Int(i64),
    /// An integer beyond [`i64`]. Always build it through [`Value::from_big`], which keeps the
    /// invariant that a number has one representation.
    Big(Box<BigInt>),
    /// A binary floating-point number.
    Float(f64),
    /// A decimal number that keeps its scale, so that `1.50` stays `1.50`.
    Decimal(Box<BigDecimal>),
    /// Text.
    Text(Text),
    /// Raw bytes.
    Bytes(Blob),
    /// A date, a date with a time of day, or a span of time.
    Time(Time),
    /// A sequence that its owner may change.
    List(Vec<Self>),
    /// A sequence of fixed length. MySQL shows a tuple as one row and a list of them as a table.
    Tuple(Vec<Self>),
    /// Values without an order; no value stands in it twice.
    Set(Vec<Self>),
    /// Pairs in the order they were written; any value can be a key.
    Map(Vec<(Self, Self)>),
    /// A foreign object that is kept and returned, and never looked into.
    Opaque(Arc<Opaque>),
}

/// A foreign object, kept verbatim and never evaluated.
///
/// It is given back only to the dialect it came from; every other protocol answers with a fault.
#[derive(Debug, PartialEq)]
pub struct Opaque {
    /// The dialect that wrote it, for example `pickle`.
    pub dialect: &'static str,
    /// Its bytes as they came.
    pub bytes: Blob,
}

const _: () = assert!(size_of::<Value>() <= 32);

impl Value {
    /// Builds [`Value::Int`] when the number fits into 64 bits, else [`Value::Big`].
    #[must_use]
    pub fn from_big(number: BigInt) -> Self {
        number.to_i64().map_or_else(|| Self::Big(Box::new(number)), Self::Int)
    }

    /// Builds a [`Value::Map`] with text keys.
    pub fn map<K: Into<Text>, V: Into<Self>>(pairs: impl IntoIterator<Item = (K, V)>) -> Self {
        Self::Map(pairs.into_iter().map(|(k, v)| (Self::Text(k.into()), v.into())).collect())
    }

    /// Returns the value under a text key, if this is a map that has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Map(pairs) => pairs
                .iter()
                .find(|(k, _)| matches!(k, Self::Text(text) if text == key))
                .map(|(_, v)| v),
            _ => None,
        }
    }

    /// Returns the text, if this is text.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the integer, if this is one within 64 bits.
    #[must_use]
    pub const fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            _ => None,
        }
    }

    /// Names the kind in one word, for error messages.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "bool",
            Self::Int(_) | Self::Big(_) => "integer",
            Self::Float(_) => "float",
            Self::Decimal(_) => "decimal",
            Self::Text(_) => "text",
            Self::Bytes(_) => "bytes",
            Self::Time(_) => "time",
            Self::List(_) => "list",
            Self::Tuple(_) => "tuple",
            Self::Set(_) => "set",
            Self::Map(_) => "map",
            Self::Opaque(_) => "opaque object",
        }
    }

    /// Whether Python would call the value false: none, zero, or empty.
    #[must_use]
    pub fn is_falsy(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Bool(flag) => !flag,
            Self::Int(number) => *number == 0,
            Self::Float(number) => *number == 0.0,
            Self::Decimal(number) => {
                number.as_bigint_and_scale().0.sign() == num_bigint::Sign::NoSign
            }
            Self::Text(text) => text.is_empty(),
            Self::Bytes(bytes) => bytes.is_empty(),
            Self::List(items) | Self::Tuple(items) | Self::Set(items) => items.is_empty(),
            Self::Map(pairs) => pairs.is_empty(),
            Self::Big(_) | Self::Time(_) | Self::Opaque(_) => false,
        }
    }
}

/// Writes the value the way Python's `repr` would, for logs, help texts and error messages.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn sequence(f: &mut fmt::Formatter<'_>, items: &[Value]) -> fmt::Result {
            for (index, item) in items.iter().enumerate() {
                let comma = if index == 0 { "" } else { ", " };
                write!(f, "{comma}{item}")?;
            }
            Ok(())
        }
        match self {
            Self::Null => f.write_str("None"),
            Self::Bool(true) => f.write_str("True"),
            Self::Bool(false) => f.write_str("False"),
            Self::Int(number) => write!(f, "{number}"),
            Self::Big(number) => write!(f, "{number}"),
            Self::Float(number) => write!(f, "{number:?}"),
            Self::Decimal(number) => write!(f, "Decimal('{}')", number.to_plain_string()),
            Self::Text(text) => write!(f, "'{}'", text.replace('\\', "\\\\").replace('\'', "\\'")),
            Self::Bytes(bytes) => write!(f, "b'{}'", bytes.escape_ascii()),
            Self::Time(time) => write!(f, "{time}"),
            Self::List(items) => {
                f.write_str("[")?;
                sequence(f, items)?;
                f.write_str("]")
            }
            Self::Tuple(items) => {
                f.write_str("(")?;
                sequence(f, items)?;
                f.write_str(if items.len() == 1 { ",)" } else { ")" })
            }
            Self::Set(items) if items.is_empty() => f.write_str("set()"),
            Self::Set(items) => {
                f.write_str("{")?;
                sequence(f, items)?;
                f.write_str("}")
            }
            Self::Map(pairs) => {
                f.write_str("{")?;
                for (index, (key, value)) in pairs.iter().enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    write!(f, "{comma}{key}: {value}")?;
                }
                f.write_str("}")
            }
            Self::Opaque(object) => write!(f, "<{} object>", object.dialect),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_big_integer_that_fits_becomes_a_plain_one() {
        assert_eq!(Value::from_big(BigInt::from(7)), Value::Int(7));
        assert_eq!(Value::from_big(BigInt::from(i64::MIN)), Value::Int(i64::MIN));
        assert!(matches!(Value::from_big(BigInt::from(u64::MAX)), Value::Big(_)));
    }

    #[test]
    fn shows_values_as_python_would() {
        let value = Value::Tuple(vec![
            Value::Null,
            Value::Bool(true),
            Value::Float(1.0),
            Value::Text("it's".into()),
            Value::List(vec![Value::Int(1), Value::Int(2)]),
            Value::map([("a", Value::Bytes(b"\0x".into()))]),
        ]);
        assert_eq!(value.to_string(), r"(None, True, 1.0, 'it\'s', [1, 2], {'a': b'\x00x'})");
        assert_eq!(Value::Tuple(vec![Value::Int(1)]).to_string(), "(1,)");
    }

    #[test]
    fn cloning_long_text_shares_it() {
        let text = Text::from("x".repeat(1000));
        let twin = text.clone();
        assert_eq!(text.as_ptr(), twin.as_ptr());
    }
}
