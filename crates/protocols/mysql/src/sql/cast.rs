//! `CAST` and `CONVERT`.

use bigdecimal::RoundingMode;
use jiff::civil::DateTimeRound;
use jiff::{SignedDuration, Unit};
use num_bigint::BigInt;
use num_traits::Signed;
use polyport_core::{Time, Value};

use super::evaluate::Context;
use super::expression::Cast;
use super::number;
use super::parser::Parsed;
use super::text::{to_bytes, to_text};

/// Turns a value into a type. Null stays null; what cannot become the type becomes null or the
/// nearest value, with a warning, as in MySQL.
pub(super) fn cast(context: &mut Context<'_>, value: Value, kind: Cast) -> Parsed<Value> {
    if matches!(value, Value::Null) {
        return Ok(value);
    }
    Ok(match kind {
        Cast::Text(length) => {
            let text = to_text(&value);
            match length.and_then(|length| text.char_indices().nth(length)) {
                Some((end, _)) => text.get(..end).unwrap_or_default().to_owned().into(),
                None => Value::Text(text),
            }
        }
        Cast::Bytes(length) => {
            let mut bytes = to_bytes(&value);
            context.spend(bytes.len())?;
            if let Some(length) = length {
                context.spend(length)?;
                bytes.resize(length, 0);
            }
            Value::Bytes(bytes.into())
        }
        Cast::Signed | Cast::Unsigned => {
            let number = integer(context, &value);
            let unsigned = kind == Cast::Unsigned;
            let wrapped = match (unsigned, number.is_negative()) {
                // Negative numbers come out in two's complement.
                (true, true) => BigInt::from(number::unsigned(&Value::from_big(number))),
                (true, false) => number.min(BigInt::from(u64::MAX)),
                (false, _) => number.clamp(BigInt::from(i64::MIN), BigInt::from(i64::MAX)),
            };
            Value::from_big(wrapped)
        }
        Cast::Decimal(digits, scale) => {
            context.warn_text(&value);
            let number =
                number::decimal(&value).with_scale_round(scale.into(), RoundingMode::HalfUp);
            let most: BigInt = BigInt::from(10).pow(digits) - 1;
            let (unscaled, own) = number.into_bigint_and_exponent();
            let kept = unscaled.clamp(-most.clone(), most);
            Value::Decimal(Box::new(bigdecimal::BigDecimal::new(kept, own)))
        }
        Cast::Float => {
            context.warn_text(&value);
            Value::Float(number::float(&value))
        }
        Cast::Date => time(context, &value, |time| match time {
            Time::DateTime(at) => Some(Time::Date(at.date())),
            Time::Date(_) => Some(time),
            Time::Span(_) => None,
        }),
        Cast::DateTime(digits) => time(context, &value, |time| match time {
            Time::Date(day) => Some(Time::DateTime(day.at(0, 0, 0, 0))),
            Time::DateTime(at) => at.round(rounding(digits)).ok().map(Time::DateTime),
            Time::Span(_) => None,
        }),
        Cast::Time(digits) => time(context, &value, |time| {
            let span = match time {
                Time::DateTime(at) => at.duration_since(at.date().at(0, 0, 0, 0)),
                Time::Date(_) => SignedDuration::ZERO,
                Time::Span(span) => span,
            };
            let step = 10_i128.pow(9 - digits);
            let nanos = (span.as_nanos() + step / 2).div_euclid(step) * step;
            SignedDuration::try_from_nanos_i128(nanos).map(Time::Span)
        }),
        Cast::Json => match value {
            Value::Text(text) => match polyport_core::json::parse(text.as_bytes()) {
                Ok(_) => Value::Text(text),
                Err(why) => {
                    let text = format!(
                        "Invalid JSON text in argument 1 to function cast_as_json: \"{why}\""
                    );
                    return Err(super::SqlError::new(3141, "22032", text));
                }
            },
            other => Value::Text(to_text(&other)),
        },
    })
}

/// To so many digits of the second, six at most.
fn rounding(digits: u32) -> DateTimeRound {
    let (unit, increment) = match digits {
        0 => (Unit::Second, 1),
        1..=3 => (Unit::Millisecond, 10_i64.pow(3 - digits)),
        _ => (Unit::Microsecond, 10_i64.pow(6_u32.saturating_sub(digits))),
    };
    DateTimeRound::new().smallest(unit).increment(increment)
}

/// Whole texts are read exactly, all else is rounded.
fn integer(context: &mut Context<'_>, value: &Value) -> BigInt {
    if let Value::Text(text) = value {
        match polyport_core::types::parse_int(text) {
            Some(exact) => return number::big(&exact),
            None => {
                let shown: String = text.chars().take(80).collect();
                context.state.warn(1292, format!("Truncated incorrect INTEGER value: '{shown}'"));
                // '3.7' is cut, not rounded.
                return number::big(&Value::Float(number::float(value).trunc()));
            }
        }
    }
    number::big(value)
}

fn time(context: &mut Context<'_>, value: &Value, part: impl Fn(Time) -> Option<Time>) -> Value {
    let parsed = match value {
        Value::Time(time) => Some(*time),
        other => super::functions::parse_time(&to_text(other)),
    };
    if let Some(time) = parsed.and_then(part) {
        return Value::Time(time);
    }
    let shown: String = to_text(value).chars().take(80).collect();
    context.state.warn(1292, format!("Incorrect datetime value: '{shown}'"));
    Value::Null
}
