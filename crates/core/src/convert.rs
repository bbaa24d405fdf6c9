//! Rust types as values, both ways.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::Hash;

use bigdecimal::BigDecimal;
use jiff::SignedDuration;
use jiff::civil::{Date, DateTime};
use num_bigint::BigInt;

use crate::time::Time;
use crate::types::Type;
use crate::value::{Blob, Text, Value};

/// A Rust type that a function may return, or put into a reply.
pub trait IntoValue {
    /// The type that stands in the function's signature.
    const TYPE: Type = Type::Any;

    /// Turns it into a value.
    fn into_value(self) -> Value;
}

/// A Rust type that a function may take as a parameter.
#[diagnostic::on_unimplemented(
    message = "clients cannot send a `{Self}`",
    label = "this type cannot be a parameter",
    note = "take a number, `bool`, `String`, `Vec`, map, `Option`, a date or time, or `polyport::Value`; derive anything else from those inside the function"
)]
pub trait FromValue: Sized {
    /// The parameter's declared type, to which an argument is coerced first.
    const TYPE: Type;

    /// Whether `None` is accepted where this type is declared.
    const NULLABLE: bool = false;

    /// Reads a value that has been coerced to [`FromValue::TYPE`]; the value is given back when it
    /// is out of this type's range.
    ///
    /// # Errors
    /// The value itself, when it does not fit.
    fn from_value(value: Value) -> Result<Self, Value>;
}

macro_rules! integers {
    ($($int:ty)*) => {$(
        impl IntoValue for $int {
            const TYPE: Type = Type::Int;
            fn into_value(self) -> Value {
                i64::try_from(self).map_or_else(|_| Value::from_big(self.into()), Value::Int)
            }
        }
        impl FromValue for $int {
            const TYPE: Type = Type::Int;
            fn from_value(value: Value) -> Result<Self, Value> {
                let fits = match &value {
                    Value::Int(number) => Self::try_from(*number).ok(),
                    Value::Big(number) => Self::try_from(&**number).ok(),
                    _ => None,
                };
                fits.ok_or(value)
            }
        }
    )*};
}
integers!(i8 i16 i32 i64 i128 isize u8 u16 u32 u64 u128 usize);

macro_rules! plain {
    ($($rust:ty => $type:ident, $variant:pat => $out:expr, $self:ident => $into:expr;)*) => {$(
        impl IntoValue for $rust {
            const TYPE: Type = Type::$type;
            fn into_value($self) -> Value { $into }
        }
        impl FromValue for $rust {
            const TYPE: Type = Type::$type;
            fn from_value(value: Value) -> Result<Self, Value> {
                match value {
                    $variant => Ok($out),
                    other => Err(other),
                }
            }
        }
    )*};
}
plain! {
    bool => Bool, Value::Bool(flag) => flag, self => Value::Bool(self);
    f64 => Float, Value::Float(number) => number, self => Value::Float(self);
    String => Text, Value::Text(text) => text.into(), self => Value::Text(self.into());
    Text => Text, Value::Text(text) => text, self => Value::Text(self);
    Blob => Bytes, Value::Bytes(bytes) => bytes, self => Value::Bytes(self);
    Time => Time, Value::Time(time) => time, self => Value::Time(self);
    Date => Time, Value::Time(Time::Date(day)) => day, self => Value::Time(Time::Date(self));
    DateTime => Time, Value::Time(Time::DateTime(at)) => at, self => Value::Time(Time::DateTime(self));
    SignedDuration => Time, Value::Time(Time::Span(span)) => span, self => Value::Time(Time::Span(self));
    BigDecimal => Decimal, Value::Decimal(number) => *number, self => Value::Decimal(Box::new(self));
}

impl IntoValue for Value {
    fn into_value(self) -> Self {
        self
    }
}

impl FromValue for Value {
    const TYPE: Type = Type::Any;
    const NULLABLE: bool = true;
    fn from_value(value: Value) -> Result<Self, Value> {
        Ok(value)
    }
}

impl IntoValue for BigInt {
    const TYPE: Type = Type::Int;
    fn into_value(self) -> Value {
        Value::from_big(self)
    }
}

impl FromValue for BigInt {
    const TYPE: Type = Type::Int;
    fn from_value(value: Value) -> Result<Self, Value> {
        match value {
            Value::Int(number) => Ok(number.into()),
            Value::Big(number) => Ok(*number),
            other => Err(other),
        }
    }
}

impl IntoValue for f32 {
    const TYPE: Type = Type::Float;
    fn into_value(self) -> Value {
        Value::Float(self.into())
    }
}

impl IntoValue for &str {
    const TYPE: Type = Type::Text;
    fn into_value(self) -> Value {
        Value::Text(Text::from(self))
    }
}

impl IntoValue for () {
    fn into_value(self) -> Value {
        Value::Null
    }
}

impl<T: IntoValue> IntoValue for Option<T> {
    const TYPE: Type = T::TYPE;
    fn into_value(self) -> Value {
        self.map_or(Value::Null, IntoValue::into_value)
    }
}

impl<T: FromValue> FromValue for Option<T> {
    const TYPE: Type = T::TYPE;
    const NULLABLE: bool = true;
    fn from_value(value: Value) -> Result<Self, Value> {
        match value {
            Value::Null => Ok(None),
            other => T::from_value(other).map(Some),
        }
    }
}

impl<T: IntoValue> IntoValue for Vec<T> {
    const TYPE: Type = Type::List;
    fn into_value(self) -> Value {
        Value::List(self.into_iter().map(IntoValue::into_value).collect())
    }
}

impl<T: FromValue> FromValue for Vec<T> {
    const TYPE: Type = Type::List;
    fn from_value(value: Value) -> Result<Self, Value> {
        match value {
            Value::List(items) => items.into_iter().map(element).collect(),
            other => Err(other),
        }
    }
}

impl<T: IntoValue, S> IntoValue for HashSet<T, S> {
    fn into_value(self) -> Value {
        Value::Set(self.into_iter().map(IntoValue::into_value).collect())
    }
}

impl<T: IntoValue> IntoValue for BTreeSet<T> {
    fn into_value(self) -> Value {
        Value::Set(self.into_iter().map(IntoValue::into_value).collect())
    }
}

/// Reads one element of a container: coerced to its own type, then taken.
fn element<T: FromValue>(value: Value) -> Result<T, Value> {
    if matches!(value, Value::Null) && T::NULLABLE {
        return T::from_value(value);
    }
    T::from_value(T::TYPE.coerce(value)?)
}

macro_rules! maps {
    ($($map:ident: $($bound:ident)+;)*) => {$(
        impl<K: IntoValue, V: IntoValue> IntoValue for $map<K, V> {
            const TYPE: Type = Type::Map;
            fn into_value(self) -> Value {
                Value::Map(self.into_iter().map(|(k, v)| (k.into_value(), v.into_value())).collect())
            }
        }
        impl<K: FromValue $(+ $bound)+, V: FromValue> FromValue for $map<K, V> {
            const TYPE: Type = Type::Map;
            fn from_value(value: Value) -> Result<Self, Value> {
                match value {
                    Value::Map(pairs) => {
                        pairs.into_iter().map(|(k, v)| Ok((element(k)?, element(v)?))).collect()
                    }
                    other => Err(other),
                }
            }
        }
    )*};
}
maps! {
    HashMap: Eq Hash;
    BTreeMap: Ord;
}

macro_rules! tuples {
    ($(($($name:ident)+))*) => {$(
        #[allow(non_snake_case)]
        impl<$($name: IntoValue),+> IntoValue for ($($name,)+) {
            fn into_value(self) -> Value {
                let ($($name,)+) = self;
                Value::Tuple(vec![$($name.into_value()),+])
            }
        }
    )*};
}
tuples! { (A) (A B) (A B C) (A B C D) (A B C D E) (A B C D E F) (A B C D E F G) (A B C D E F G H) }

macro_rules! from_rust {
    ($($rust:ty)*) => {$(
        impl From<$rust> for Value {
            fn from(rust: $rust) -> Self {
                rust.into_value()
            }
        }
    )*};
}
from_rust! { bool i32 i64 u16 u32 u64 usize f64 String &str Text Blob Time BigInt BigDecimal }

#[cfg(test)]
mod tests {
    use super::*;

    fn back<T: FromValue>(value: impl IntoValue) -> Result<T, Value> {
        element(value.into_value())
    }

    #[test]
    fn integers_keep_their_range() {
        assert_eq!(u64::MAX.into_value(), Value::from_big(u64::MAX.into()));
        assert_eq!(back::<u64>(u64::MAX), Ok(u64::MAX));
        assert_eq!(back::<u8>(256), Err(Value::Int(256)));
        assert_eq!(back::<u8>(-1), Err(Value::Int(-1)));
        assert_eq!(back::<i64>("12"), Ok(12));
    }

    #[test]
    fn options_take_nulls_and_plain_types_do_not() {
        assert_eq!(back::<Option<i64>>(Value::Null), Ok(None));
        assert_eq!(back::<Option<i64>>("3"), Ok(Some(3)));
        assert_eq!(back::<i64>(Value::Null), Err(Value::Null));
    }

    #[test]
    fn containers_coerce_their_elements() {
        assert_eq!(back::<Vec<i64>>(vec!["1", "2"]), Ok(vec![1, 2]));
        let map = BTreeMap::from([("a".to_owned(), 1.5)]);
        assert_eq!(back::<BTreeMap<String, f64>>(map.clone()), Ok(map));
    }
}
