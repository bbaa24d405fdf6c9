//! `CAST` and `CONVERT`.

use bigdecimal::RoundingMode;
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
        Cast::DateTime => time(context, &value, |time| match time {
            Time::Date(day) => Some(Time::DateTime(day.at(0, 0, 0, 0))),
            Time::DateTime(_) => Some(time),
            Time::Span(_) => None,
        }),
        Cast::Time => time(context, &value, |time| match time {
            Time::DateTime(at) => Time::parse(Time::DateTime(at).to_string().get(11..)?),
            Time::Date(_) => Time::parse("00:00:00"),
            Time::Span(_) => Some(time),
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
