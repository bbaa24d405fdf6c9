//! Addition as Python has it: numbers of any size, text, lists.

use num_bigint::BigInt;
use polyport::{Fault, Text, Type, Value};

/// Adds two values, or raises Python's `TypeError`.
pub(crate) fn add(a: Value, b: Value) -> Result<Value, Fault> {
    use Value::{Big, Bytes, Decimal, Float, Int, List, Tuple};
    match (a, b) {
        (Int(a), Int(b)) => Ok(a.checked_add(b).map_or_else(|| big(&Int(a), &Int(b)), Int)),
        (a @ (Int(_) | Big(_)), b @ (Int(_) | Big(_))) => Ok(big(&a, &b)),
        (Decimal(a), Decimal(b)) => Ok(Decimal(Box::new(*a + *b))),
        (a @ (Int(_) | Big(_) | Float(_) | Decimal(_)), b @ Float(_))
        | (a @ Float(_), b @ (Int(_) | Big(_) | Decimal(_))) => {
            let float = |value| match Type::Float.coerce(value) {
                Ok(Float(number)) => number,
                _ => f64::NAN,
            };
            Ok(Float(float(a) + float(b)))
        }
        (a @ (Int(_) | Big(_)), b @ Decimal(_)) | (a @ Decimal(_), b @ (Int(_) | Big(_))) => {
            let decimal = |value: Value| Type::Decimal.coerce(value).unwrap_or_default();
            add(decimal(a), decimal(b))
        }
        (Value::Text(a), Value::Text(b)) => {
            let mut joined = String::with_capacity(a.len() + b.len());
            joined.push_str(&a);
            joined.push_str(&b);
            Ok(Value::Text(Text::from(joined)))
        }
        (Bytes(a), Bytes(b)) => Ok(Bytes([a.as_slice(), b.as_slice()].concat().into())),
        (List(mut a), List(b)) => {
            a.extend(b);
            Ok(List(a))
        }
        (Tuple(mut a), Tuple(b)) => {
            a.extend(b);
            Ok(Tuple(a))
        }
        (a, b) => Err(Fault::raised(
            "TypeError",
            format!("unsupported operand type(s) for +: '{}' and '{}'", a.kind(), b.kind()),
        )),
    }
}

fn big(a: &Value, b: &Value) -> Value {
    let number = |value: &Value| match value {
        Value::Int(number) => BigInt::from(*number),
        Value::Big(number) => (**number).clone(),
        _ => BigInt::default(),
    };
    Value::from_big(number(a) + number(b))
}
