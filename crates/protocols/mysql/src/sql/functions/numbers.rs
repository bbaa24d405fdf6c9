//! Functions of numbers.

use std::cmp::Ordering;

use bigdecimal::RoundingMode;
use polyport_core::Value;

use super::super::compare::compare;
use super::super::expression::Operator;
use super::super::number;
use super::super::parser::Parsed;
use super::{ANY, Function, argument, open, strict, whole};

pub(super) static FUNCTIONS: &[Function] = &[
    strict("ABS", 1, 1, |_, v| {
        let value = number::numeric(argument(v, 0));
        match compare(&value, &Value::Int(0), true) {
            Some(Ordering::Less) => number::negate(&value),
            _ => Ok(value),
        }
    }),
    strict("SIGN", 1, 1, |_, v| {
        let order = compare(&number::numeric(argument(v, 0)), &Value::Int(0), true);
        Ok(Value::Int(order.map_or(0, |order| order as i64)))
    }),
    strict("ROUND", 1, 2, |_, v| Ok(rounded(v, RoundingMode::HalfUp))),
    strict("TRUNCATE", 2, 2, |_, v| Ok(rounded(v, RoundingMode::Down))),
    strict("FLOOR", 1, 1, |_, v| Ok(to_whole(v, RoundingMode::Floor))),
    strict("CEIL", 1, 1, |_, v| Ok(to_whole(v, RoundingMode::Ceiling))),
    strict("CEILING", 1, 1, |_, v| Ok(to_whole(v, RoundingMode::Ceiling))),
    strict("MOD", 2, 2, |_, v| number::apply(Operator::Remainder, argument(v, 0), argument(v, 1))),
    strict("POW", 2, 2, |_, v| power(v)),
    strict("POWER", 2, 2, |_, v| power(v)),
    strict("SQRT", 1, 1, |_, v| Ok(float(v, f64::sqrt))),
    strict("EXP", 1, 1, |_, v| Ok(float(v, f64::exp))),
    strict("LN", 1, 1, |_, v| Ok(float(v, f64::ln))),
    strict("LOG10", 1, 1, |_, v| Ok(float(v, f64::log10))),
    strict("LOG2", 1, 1, |_, v| Ok(float(v, f64::log2))),
    strict("LOG", 1, 2, |_, v| match v {
        [base, number] => {
            let (base, number) = (number::float(base), number::float(number));
            Ok(finite(number.ln() / base.ln()))
        }
        _ => Ok(float(v, f64::ln)),
    }),
    strict("PI", 0, 0, |_, _| Ok(Value::Float(std::f64::consts::PI))),
    strict("BIT_COUNT", 1, 1, |_, v| {
        Ok(Value::Int(number::unsigned(argument(v, 0)).count_ones().into()))
    }),
    open("RAND", 0, 1, |_, _| {
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes).unwrap_or_default();
        #[expect(clippy::cast_precision_loss, reason = "53 bits are a float's precision")]
        let number = (u64::from_le_bytes(bytes) >> 11) as f64 / (1_u64 << 53) as f64;
        Ok(Value::Float(number))
    }),
    strict("GREATEST", 2, ANY, |_, v| Ok(best(v, Ordering::Greater))),
    strict("LEAST", 2, ANY, |_, v| Ok(best(v, Ordering::Less))),
    strict("INTERVAL", 2, ANY, |_, v| {
        let first = argument(v, 0);
        let bounds = v.iter().skip(1);
        let below =
            bounds.take_while(|bound| compare(bound, first, true) != Some(Ordering::Greater));
        Ok(super::int(below.count()))
    }),
];

fn rounded(values: &[Value], mode: RoundingMode) -> Value {
    number::round(argument(values, 0), whole(values, 1), mode)
}

fn to_whole(values: &[Value], mode: RoundingMode) -> Value {
    number::round(argument(values, 0), 0, mode)
}

fn power(values: &[Value]) -> Parsed<Value> {
    let power = number::float(argument(values, 0)).powf(number::float(argument(values, 1)));
    if power.is_finite() {
        return Ok(Value::Float(power));
    }
    Err(super::SqlError::new(1690, "22003", "DOUBLE value is out of range"))
}

fn float(values: &[Value], function: fn(f64) -> f64) -> Value {
    finite(function(number::float(argument(values, 0))))
}

/// What has no result is null, as `SQRT(-1)`.
fn finite(number: f64) -> Value {
    if number.is_finite() { Value::Float(number) } else { Value::Null }
}

fn best(values: &[Value], wanted: Ordering) -> Value {
    let better = |best: Value, value: Value| {
        if compare(&value, &best, false) == Some(wanted) { value } else { best }
    };
    values.iter().cloned().reduce(better).unwrap_or_default()
}
