//! Values as numbers, and what operators make of them.

use bigdecimal::{BigDecimal, RoundingMode};
use num_bigint::BigInt;
use num_traits::{FromPrimitive, ToPrimitive, Zero};
use polyport_core::types::{NUMBER_DIGITS, parse_decimal, parse_int};
use polyport_core::{Time, Value};

use super::SqlError;
use super::expression::Operator;

/// Digits after the point that a division adds, MySQL's `div_precision_increment`.
const DIVISION_DIGITS: i64 = 4;

/// Digits after the point that a decimal has at most.
const SCALE_MOST: i64 = 30;

/// Turns a value into a number as MySQL does: the digits that a text begins with, the big-endian
/// number that bytes are. Never fails; what is no number is 0. Null stays null.
pub(super) fn numeric(value: &Value) -> Value {
    match value {
        Value::Null | Value::Int(_) | Value::Big(_) | Value::Float(_) | Value::Decimal(_) => {
            value.clone()
        }
        Value::Bool(flag) => Value::Int(i64::from(*flag)),
        Value::Text(text) => Value::Float(leading_float(text)),
        Value::Bytes(bytes) => match bytes.as_slice() {
            short if short.len() <= 8 => {
                let number = short.iter().fold(0_u64, |n, byte| n << 8 | u64::from(*byte));
                Value::from_big(number.into())
            }
            long => Value::Float(leading_float(&String::from_utf8_lossy(long))),
        },
        Value::Time(time) => time_number(*time),
        _ => Value::Int(0),
    }
}

/// The digits of a time in a row: 20200102030405.
fn time_number(time: Time) -> Value {
    let digits: String =
        time.to_string().chars().filter(|c| c.is_ascii_digit() || matches!(c, '.' | '-')).collect();
    let plain = match time {
        Time::Span(_) => digits,
        _ => digits.replace('-', ""),
    };
    parse_int(&plain)
        .or_else(|| parse_decimal(&plain).map(|number| Value::Decimal(Box::new(number))))
        .unwrap_or(Value::Int(0))
}

/// The number that a text begins with.
fn leading_float(text: &str) -> f64 {
    let text = text.trim_start();
    let text = text.get(..leading_number(text.as_bytes())).unwrap_or_default();
    text.parse().unwrap_or(0.0)
}

/// How many bytes at the front are a number.
fn leading_number(bytes: &[u8]) -> usize {
    let digits =
        |from: usize| bytes.iter().skip(from).take_while(|byte| byte.is_ascii_digit()).count();
    let byte = |at: usize| bytes.get(at).copied().unwrap_or(0);
    let sign = usize::from(matches!(byte(0), b'+' | b'-'));
    let whole = digits(sign);
    let mut end = sign + whole;
    let mut any = whole > 0;
    if byte(end) == b'.' {
        let fraction = digits(end + 1);
        if any || fraction > 0 {
            end += 1 + fraction;
            any = true;
        }
    }
    if any && matches!(byte(end), b'e' | b'E') {
        let sign = usize::from(matches!(byte(end + 1), b'+' | b'-'));
        let exponent = digits(end + 1 + sign);
        if exponent > 0 {
            end += 1 + sign + exponent;
        }
    }
    if any { end } else { 0 }
}

/// Whether all of a text is a number, so that nothing is lost in [`numeric`].
pub(super) fn is_number(text: &str) -> bool {
    let text = text.trim();
    !text.is_empty() && leading_number(text.as_bytes()) == text.len()
}

/// The value as a float.
pub(super) fn float(value: &Value) -> f64 {
    match numeric(value) {
        #[expect(clippy::cast_precision_loss, reason = "a float was asked for")]
        Value::Int(number) => number as f64,
        Value::Big(number) => number.to_f64().unwrap_or(f64::INFINITY),
        Value::Decimal(number) => number.to_f64().unwrap_or(0.0),
        Value::Float(number) => number,
        _ => 0.0,
    }
}

/// The value as a whole number, rounded, and moved into range.
pub(super) fn whole(value: &Value) -> i64 {
    let number = big(value);
    number.to_i64().unwrap_or(if number.sign() == num_bigint::Sign::Minus {
        i64::MIN
    } else {
        i64::MAX
    })
}

/// The value as a whole number of any size, rounded.
pub(super) fn big(value: &Value) -> BigInt {
    match numeric(value) {
        Value::Int(number) => number.into(),
        Value::Big(number) => *number,
        Value::Float(number) => BigInt::from_f64(number.round()).unwrap_or_default(),
        Value::Decimal(number) => {
            number.with_scale_round(0, RoundingMode::HalfUp).into_bigint_and_scale().0
        }
        _ => BigInt::zero(),
    }
}

/// The value as a decimal; a float by its shortest digits.
pub(super) fn decimal(value: &Value) -> BigDecimal {
    match numeric(value) {
        Value::Int(number) => number.into(),
        Value::Big(number) => (*number).into(),
        Value::Decimal(number) => *number,
        Value::Float(number) => parse_decimal(&number.to_string()).unwrap_or_default(),
        _ => BigDecimal::zero(),
    }
}

/// Applies an operator to two values that are not null.
pub(super) fn apply(operator: Operator, left: &Value, right: &Value) -> Result<Value, SqlError> {
    let (left, right) = (numeric(left), numeric(right));
    match operator {
        Operator::Add | Operator::Subtract | Operator::Multiply => exact(operator, &left, &right),
        Operator::Divide => divide(&left, &right),
        Operator::IntegerDivide => {
            let (left, right) = (decimal(&left), decimal(&right));
            if right.is_zero() {
                return Ok(Value::Null);
            }
            let quotient = (left / right).with_scale_round(0, RoundingMode::Down);
            Ok(Value::from_big(quotient.into_bigint_and_scale().0))
        }
        Operator::Remainder => remainder(&left, &right),
        Operator::BitAnd => Ok(bits(unsigned(&left) & unsigned(&right))),
        Operator::BitOr => Ok(bits(unsigned(&left) | unsigned(&right))),
        Operator::BitXor => Ok(bits(unsigned(&left) ^ unsigned(&right))),
        Operator::ShiftLeft => Ok(bits(shift(&right, |n| unsigned(&left).checked_shl(n)))),
        Operator::ShiftRight => Ok(bits(shift(&right, |n| unsigned(&left).checked_shr(n)))),
        Operator::Concat => Ok(Value::Null),
    }
}

fn shift(by: &Value, shifted: impl Fn(u32) -> Option<u64>) -> u64 {
    u32::try_from(whole(by)).ok().and_then(shifted).unwrap_or(0)
}

/// The value as bit operators see it: 64 bits, negative ones in two's complement.
pub(super) fn unsigned(value: &Value) -> u64 {
    let number = big(value);
    number
        .to_u64()
        .or_else(|| number.to_i64().map(i64::cast_unsigned))
        .unwrap_or(if number.sign() == num_bigint::Sign::Minus { 0 } else { u64::MAX })
}

/// A number of 64 bits without a sign.
pub(super) fn bits(number: u64) -> Value {
    Value::from_big(number.into())
}

fn exact(operator: Operator, left: &Value, right: &Value) -> Result<Value, SqlError> {
    if matches!(left, Value::Float(_)) || matches!(right, Value::Float(_)) {
        let (left, right) = (float(left), float(right));
        let number = match operator {
            Operator::Add => left + right,
            Operator::Subtract => left - right,
            _ => left * right,
        };
        return finite(number);
    }
    if let (Value::Int(left), Value::Int(right)) = (left, right) {
        let number = match operator {
            Operator::Add => left.checked_add(*right),
            Operator::Subtract => left.checked_sub(*right),
            _ => left.checked_mul(*right),
        };
        if let Some(number) = number {
            return Ok(Value::Int(number));
        }
    }
    if matches!(left, Value::Decimal(_)) || matches!(right, Value::Decimal(_)) {
        let (left, right) = (decimal(left), decimal(right));
        return bounded(match operator {
            Operator::Add => left + right,
            Operator::Subtract => left - right,
            _ => left * right,
        });
    }
    let (left, right) = (big(left), big(right));
    let number = match operator {
        Operator::Add => left + right,
        Operator::Subtract => left - right,
        _ => left * right,
    };
    if number.bits() > BITS_MOST {
        return Err(out_of_range("BIGINT"));
    }
    Ok(Value::from_big(number))
}

/// Bits of an integer with as many digits as the core reads.
const BITS_MOST: u64 = NUMBER_DIGITS as u64 * 10 / 3;

fn finite(number: f64) -> Result<Value, SqlError> {
    if number.is_finite() { Ok(Value::Float(number)) } else { Err(out_of_range("DOUBLE")) }
}

fn out_of_range(kind: &str) -> SqlError {
    SqlError::new(1690, "22003", format!("{kind} value is out of range"))
}

/// Keeps a decimal's scale and size within their limits.
pub(super) fn bounded(number: BigDecimal) -> Result<Value, SqlError> {
    let (digits, scale) = number.as_bigint_and_scale();
    if digits.bits() > BITS_MOST {
        return Err(out_of_range("DECIMAL"));
    }
    let number = match scale {
        ..0 => number.with_scale(0),
        0..=SCALE_MOST => number,
        _ => number.with_scale_round(SCALE_MOST, RoundingMode::HalfUp),
    };
    Ok(Value::Decimal(Box::new(number)))
}

fn divide(left: &Value, right: &Value) -> Result<Value, SqlError> {
    if matches!(left, Value::Float(_)) || matches!(right, Value::Float(_)) {
        let divisor = float(right);
        return if divisor == 0.0 { Ok(Value::Null) } else { finite(float(left) / divisor) };
    }
    let (left, right) = (decimal(left), decimal(right));
    if right.is_zero() {
        return Ok(Value::Null);
    }
    let scale = (left.as_bigint_and_scale().1 + DIVISION_DIGITS).clamp(0, SCALE_MOST);
    bounded((left / right).with_scale_round(scale, RoundingMode::HalfUp))
}

fn remainder(left: &Value, right: &Value) -> Result<Value, SqlError> {
    if matches!(left, Value::Float(_)) || matches!(right, Value::Float(_)) {
        let divisor = float(right);
        return if divisor == 0.0 { Ok(Value::Null) } else { finite(float(left) % divisor) };
    }
    if let (Value::Int(left), Value::Int(right)) = (left, right) {
        return Ok(match right {
            0 => Value::Null,
            _ => Value::Int(left.checked_rem(*right).unwrap_or(0)),
        });
    }
    let decimals = matches!(left, Value::Decimal(_)) || matches!(right, Value::Decimal(_));
    if decimals {
        let (left, right) = (decimal(left), decimal(right));
        return if right.is_zero() { Ok(Value::Null) } else { bounded(left % right) };
    }
    let (left, right) = (big(left), big(right));
    Ok(if right.is_zero() { Value::Null } else { Value::from_big(left % right) })
}

/// Changes the sign.
pub(super) fn negate(value: &Value) -> Result<Value, SqlError> {
    exact(Operator::Subtract, &Value::Int(0), &numeric(value))
}

/// Rounds to digits after the point; fewer than none are digits before it.
pub(super) fn round(value: &Value, digits: i64, mode: RoundingMode) -> Value {
    let digits = digits.clamp(-SCALE_MOST, SCALE_MOST);
    match numeric(value) {
        number @ (Value::Int(_) | Value::Big(_)) if digits >= 0 => number,
        number @ (Value::Int(_) | Value::Big(_)) => {
            let rounded = decimal(&number).with_scale_round(digits, mode).with_scale(0);
            Value::from_big(rounded.into_bigint_and_scale().0)
        }
        Value::Decimal(number) => {
            let rounded = number.with_scale_round(digits, mode);
            let rounded = if digits < 0 { rounded.with_scale(0) } else { rounded };
            if digits <= 0 && number.is_integer() || digits == 0 {
                // ROUND(1.5) is a decimal without a scale, which MySQL shows as an integer.
                return Value::from_big(rounded.with_scale(0).into_bigint_and_scale().0);
            }
            Value::Decimal(Box::new(rounded))
        }
        Value::Float(number) => {
            let exact = parse_decimal(&number.to_string());
            let rounded = exact.map(|exact| exact.with_scale_round(digits, mode));
            Value::Float(rounded.and_then(|n| n.to_f64()).unwrap_or(number))
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: Result<Value, SqlError>) -> String {
        match value.unwrap() {
            Value::Decimal(number) => number.to_plain_string(),
            other => other.to_string(),
        }
    }

    fn value(text: &str) -> Value {
        super::super::literal::number(text.as_bytes(), super::super::literal::Language::Sql)
            .unwrap()
    }

    #[test]
    fn arithmetic_is_mysqls() {
        use Operator::{Add, Divide, IntegerDivide, Multiply, Remainder};
        for (left, operator, right, result) in [
            ("1", Add, "2", "3"),
            ("9223372036854775807", Add, "1", "9223372036854775808"),
            ("1.50", Add, "1", "2.50"),
            ("1.5e0", Add, "1", "2.5"),
            ("1.5", Multiply, "1.5", "2.25"),
            ("1", Divide, "2", "0.5000"),
            ("1", Divide, "3", "0.3333"),
            ("2.50", Divide, "2", "1.250000"),
            ("1", Divide, "0", "None"),
            ("7", IntegerDivide, "2", "3"),
            ("7", Remainder, "3", "1"),
            ("7.5", Remainder, "2", "1.5"),
            ("7", Remainder, "0", "None"),
        ] {
            let found = text(apply(operator, &value(left), &value(right)));
            assert_eq!(found, result, "{left} {operator:?} {right}");
        }
    }

    #[test]
    fn texts_are_the_number_they_begin_with() {
        for (from, number) in [
            ("3 apples", 3.0),
            (" 1.5e2x", 150.0),
            ("", 0.0),
            ("x", 0.0),
            ("-.5", -0.5),
            ("1e", 1.0),
        ] {
            assert_eq!(numeric(&from.into()), Value::Float(number), "{from}");
        }
        assert_eq!(numeric(&Value::Bytes(b"\x01\x00".into())), Value::Int(256));
        let time = Time::parse("2020-01-02 03:04:05").unwrap();
        assert_eq!(numeric(&Value::Time(time)), Value::Int(20_200_102_030_405));
    }

    #[test]
    fn bits_have_no_sign() {
        let all = apply(Operator::BitOr, &Value::Int(-1), &Value::Int(0));
        assert_eq!(text(all), "18446744073709551615");
        let gone = apply(Operator::ShiftLeft, &Value::Int(1), &Value::Int(64));
        assert_eq!(text(gone), "0");
    }

    #[test]
    fn numbers_grow_only_so_far() {
        let mut number = value("9999999999999999999");
        for _ in 0..6 {
            number = apply(Operator::Multiply, &number, &number).unwrap();
        }
        let square = apply(Operator::Multiply, &number, &number).unwrap();
        assert!(apply(Operator::Multiply, &number, &square).is_ok());
        assert_eq!(apply(Operator::Multiply, &square, &square).unwrap_err().errno, 1690);
        assert!(apply(Operator::Multiply, &Value::Float(1e300), &Value::Float(1e300)).is_err());
    }

    #[test]
    fn rounds_half_away_from_zero() {
        let half = RoundingMode::HalfUp;
        assert_eq!(round(&value("2.5"), 0, half), Value::Int(3));
        assert_eq!(round(&value("1.298"), 1, half), value("1.3"));
        assert_eq!(round(&value("1234"), -2, half), Value::Int(1200));
        assert_eq!(round(&value("2.55e0"), 1, half), Value::Float(2.6));
    }
}
