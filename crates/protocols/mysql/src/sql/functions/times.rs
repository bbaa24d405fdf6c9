//! Functions of dates and times.

use std::fmt::Write;

use jiff::civil::{Date, DateTime};
use jiff::{SignedDuration, Span, Unit as TimeUnit};
use polyport_core::{Text, Time, Value};

use super::super::SqlError;
use super::super::clock;
use super::super::evaluate::Context;
use super::super::expression::Unit;
use super::super::number;
use super::super::parser::Parsed;
use super::super::text::to_text;
use super::{Function, argument, count, open, strict, text};

pub(super) static FUNCTIONS: &[Function] = &[
    open("NOW", 0, 1, |c, v| Ok(point(c.now(), v))),
    open("CURRENT_TIMESTAMP", 0, 1, |c, v| Ok(point(c.now(), v))),
    open("LOCALTIME", 0, 1, |c, v| Ok(point(c.now(), v))),
    open("LOCALTIMESTAMP", 0, 1, |c, v| Ok(point(c.now(), v))),
    open("SYSDATE", 0, 1, |c, v| Ok(point(clock::now(&c.zone()), v))),
    open("CURDATE", 0, 0, |c, _| Ok(day(c.now()))),
    open("CURRENT_DATE", 0, 0, |c, _| Ok(day(c.now()))),
    open("CURTIME", 0, 1, |c, v| Ok(time_of_day(c.now(), v))),
    open("CURRENT_TIME", 0, 1, |c, v| Ok(time_of_day(c.now(), v))),
    open("UTC_TIMESTAMP", 0, 1, |_, v| Ok(point(clock::now("+00:00"), v))),
    open("UTC_DATE", 0, 0, |_, _| Ok(day(clock::now("+00:00")))),
    open("UTC_TIME", 0, 1, |_, v| Ok(time_of_day(clock::now("+00:00"), v))),
    strict("UNIX_TIMESTAMP", 0, 1, |c, v| {
        let at = if v.is_empty() { Some(c.now()) } else { date_time(argument(v, 0)) };
        let zone = c.zone();
        Ok(at.and_then(|at| clock::seconds_of(at, &zone)).map_or(Value::Int(0), Value::Int))
    }),
    strict("FROM_UNIXTIME", 1, 2, |c, v| {
        let zone = c.zone();
        #[expect(clippy::cast_possible_truncation, reason = "out of range gives no time below")]
        let micros = (number::float(argument(v, 0)) * 1e6).round() as i64;
        let at = if micros < 0 { None } else { clock::time_of(micros, &zone) };
        match (at, v.get(1)) {
            (None, _) => Ok(Value::Null),
            (Some(at), None) => Ok(Value::Time(Time::DateTime(at))),
            (Some(at), Some(format)) => {
                let format = to_text(format);
                c.spend(format.len().saturating_mul(5))?;
                Ok(formatted(at, &format).into())
            }
        }
    }),
    strict("DATE", 1, 1, |_, v| Ok(date_time(argument(v, 0)).map_or(Value::Null, day))),
    strict("TIME", 1, 1, |_, v| {
        Ok(match time(argument(v, 0)) {
            Some(Time::Span(span)) => Value::Time(Time::Span(span)),
            Some(Time::DateTime(at)) => time_of_day(at, &[Value::Int(6)]),
            Some(Time::Date(_)) => Value::Time(Time::Span(SignedDuration::ZERO)),
            None => Value::Null,
        })
    }),
    strict("TIMESTAMP", 1, 1, |_, v| Ok(of_point(v, |at| Value::Time(Time::DateTime(at))))),
    strict("YEAR", 1, 1, |_, v| Ok(of_point(v, |at| Value::Int(at.year().into())))),
    strict("MONTH", 1, 1, |_, v| Ok(of_point(v, |at| Value::Int(at.month().into())))),
    strict("QUARTER", 1, 1, |_, v| Ok(of_point(v, |at| Value::Int(i64::from(at.month() + 2) / 3)))),
    strict("DAY", 1, 1, |_, v| Ok(of_point(v, |at| Value::Int(at.day().into())))),
    strict("DAYOFMONTH", 1, 1, |_, v| Ok(of_point(v, |at| Value::Int(at.day().into())))),
    strict("DAYOFYEAR", 1, 1, |_, v| Ok(of_point(v, |at| Value::Int(at.day_of_year().into())))),
    strict("DAYOFWEEK", 1, 1, |_, v| {
        Ok(of_point(v, |at| Value::Int(at.weekday().to_sunday_one_offset().into())))
    }),
    strict("WEEKDAY", 1, 1, |_, v| {
        Ok(of_point(v, |at| Value::Int(at.weekday().to_monday_zero_offset().into())))
    }),
    strict("DAYNAME", 1, 1, |_, v| Ok(of_point(v, |at| at.strftime("%A").to_string().into()))),
    strict("MONTHNAME", 1, 1, |_, v| Ok(of_point(v, |at| at.strftime("%B").to_string().into()))),
    strict("LAST_DAY", 1, 1, |_, v| {
        Ok(of_point(v, |at| Value::Time(Time::Date(at.date().last_of_month()))))
    }),
    strict("HOUR", 1, 1, |_, v| Ok(of_clock(v, |seconds, _| seconds / 3600))),
    strict("MINUTE", 1, 1, |_, v| Ok(of_clock(v, |seconds, _| seconds / 60 % 60))),
    strict("SECOND", 1, 1, |_, v| Ok(of_clock(v, |seconds, _| seconds % 60))),
    strict("MICROSECOND", 1, 1, |_, v| Ok(of_clock(v, |_, micros| micros))),
    strict("SEC_TO_TIME", 1, 1, |_, v| {
        let seconds = number::float(argument(v, 0)).clamp(-3_020_399.0, 3_020_399.0);
        let span = SignedDuration::try_from_secs_f64(seconds).ok();
        Ok(span.map_or(Value::Null, |span| Value::Time(Time::Span(span))))
    }),
    strict("TIME_TO_SEC", 1, 1, |_, v| Ok(of_clock(v, |seconds, _| seconds))),
    strict("TO_DAYS", 1, 1, |_, v| {
        // Day 719,528 is the first of 1970.
        let days = |at: DateTime| at.duration_since(jiff::civil::date(1970, 1, 1).at(0, 0, 0, 0));
        Ok(of_point(v, |at| Value::Int(days(at).as_secs().div_euclid(86_400) + 719_528)))
    }),
    strict("ADDTIME", 2, 2, |_, v| Ok(moved(v, 1))),
    strict("SUBTIME", 2, 2, |_, v| Ok(moved(v, -1))),
    strict("DATEDIFF", 2, 2, |_, v| {
        let days = date_time(argument(v, 0)).zip(date_time(argument(v, 1))).and_then(|(a, b)| {
            a.date().since((TimeUnit::Day, b.date())).ok().map(|span| span.get_days())
        });
        Ok(days.map_or(Value::Null, |days| Value::Int(days.into())))
    }),
    strict("TIMEDIFF", 2, 2, |_, v| {
        Ok(match (time(argument(v, 0)), time(argument(v, 1))) {
            (Some(Time::Span(a)), Some(Time::Span(b))) => {
                a.checked_sub(b).map_or(Value::Null, |span| Value::Time(Time::Span(span)))
            }
            (Some(Time::DateTime(a)), Some(Time::DateTime(b))) => {
                Value::Time(Time::Span(a.duration_since(b)))
            }
            _ => Value::Null,
        })
    }),
    strict("TIMESTAMPDIFF", 3, 3, difference),
    strict("TIMESTAMPADD", 3, 3, |_, v| match Unit::named(&text(v, 0)) {
        Some(unit) => shift_time(argument(v, 2), argument(v, 1), unit, 1),
        None => Err(SqlError::unsupported("this unit of TIMESTAMPADD")),
    }),
    strict("DATE_FORMAT", 2, 2, |c, v| {
        let format = text(v, 1);
        c.spend(format.len().saturating_mul(5))?;
        Ok(of_point(v, |at| formatted(at, &format).into()))
    }),
    strict("CONVERT_TZ", 3, 3, |_, v| {
        let (from, to) = (text(v, 1), text(v, 2));
        let known = clock::zone(&from).is_some() && clock::zone(&to).is_some();
        let at = date_time(argument(v, 0)).filter(|_| known);
        let seconds = at.and_then(|at| clock::seconds_of(at, &from));
        let moved = seconds.and_then(|s| clock::time_of(s.checked_mul(1_000_000)?, &to));
        Ok(moved.map_or(Value::Null, |at| Value::Time(Time::DateTime(at))))
    }),
];

/// Reads a date or a time of any form that MySQL takes: with one digit, with other punctuation,
/// or all digits in a row.
pub(in super::super) fn parse_time(text: &str) -> Option<Time> {
    let text = text.trim();
    if text.len() > 40 {
        return None;
    }
    if let Some(time) = Time::parse(text) {
        return Some(time);
    }
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let spread = match (digits, text.len()) {
        (true, 8) => format!("{}-{}-{}", text.get(..4)?, text.get(4..6)?, text.get(6..)?),
        (true, 14) => format!(
            "{}-{}-{} {}:{}:{}",
            text.get(..4)?,
            text.get(4..6)?,
            text.get(6..8)?,
            text.get(8..10)?,
            text.get(10..12)?,
            text.get(12..)?
        ),
        (true, _) => return None,
        (false, _) => {
            let (date, time) = text.split_once([' ', 'T']).unwrap_or((text, ""));
            let mut parts = date.split(['-', '/', '.']);
            let mut part = |width: usize| {
                let part = parts.next()?;
                let plain = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
                plain.then(|| format!("{part:0>width$}"))
            };
            let date = format!("{}-{}-{}", part(4)?, part(2)?, part(2)?);
            if time.is_empty() { date } else { format!("{date} {}", padded_clock(time)?) }
        }
    };
    Time::parse(&spread)
}

fn padded_clock(time: &str) -> Option<String> {
    let parts: Vec<&str> = time.splitn(3, ':').collect();
    match parts.as_slice() {
        [hours, minutes] => Some(format!("{hours:0>2}:{minutes:0>2}:00")),
        [hours, minutes, seconds] => {
            let (whole, fraction) = seconds.split_once('.').unwrap_or((seconds, "0"));
            Some(format!("{hours:0>2}:{minutes:0>2}:{whole:0>2}.{fraction}"))
        }
        _ => None,
    }
}

fn time(value: &Value) -> Option<Time> {
    match value {
        Value::Time(time) => Some(*time),
        Value::Null => None,
        other => parse_time(&to_text(other)),
    }
}

fn date_time(value: &Value) -> Option<DateTime> {
    match time(value)? {
        Time::DateTime(at) => Some(at),
        Time::Date(day) => Some(day.at(0, 0, 0, 0)),
        Time::Span(_) => None,
    }
}

fn of_point(values: &[Value], part: impl Fn(DateTime) -> Value) -> Value {
    date_time(argument(values, 0)).map_or(Value::Null, part)
}

/// A time moved by a span of time. What was text stays text.
fn moved(values: &[Value], sign: i32) -> Value {
    let Some(Time::Span(by)) = time(argument(values, 1)) else { return Value::Null };
    let by = by * sign;
    let sum = match time(argument(values, 0)) {
        Some(Time::Span(span)) => span.checked_add(by).map(Time::Span),
        Some(Time::DateTime(at)) => at.checked_add(by).ok().map(Time::DateTime),
        Some(Time::Date(_)) | None => None,
    };
    match (sum, argument(values, 0)) {
        (None, _) => Value::Null,
        (Some(sum), Value::Text(_)) => sum.to_string().into(),
        (Some(sum), _) => Value::Time(sum),
    }
}

fn of_clock(values: &[Value], part: impl Fn(i64, i64) -> i64) -> Value {
    let span = match time(argument(values, 0)) {
        Some(Time::Span(span)) => span.abs(),
        Some(Time::DateTime(at)) => at.duration_since(at.date().at(0, 0, 0, 0)),
        Some(Time::Date(_)) => SignedDuration::ZERO,
        None => return Value::Null,
    };
    Value::Int(part(span.as_secs(), i64::from(span.subsec_micros())))
}

/// Cuts a time to the digits after the second that are asked for, none by default.
fn cut(at: DateTime, values: &[Value]) -> DateTime {
    let digits = u32::try_from(count(values, 0).min(6)).unwrap_or(0);
    let unit = 10_i32.pow(9 - digits);
    let nanos = at.subsec_nanosecond() / unit * unit;
    at.with().subsec_nanosecond(nanos).build().unwrap_or(at)
}

fn point(at: DateTime, values: &[Value]) -> Value {
    Value::Time(Time::DateTime(cut(at, values)))
}

fn day(at: DateTime) -> Value {
    Value::Time(Time::Date(at.date()))
}

fn time_of_day(at: DateTime, values: &[Value]) -> Value {
    let at = cut(at, values);
    Value::Time(Time::Span(at.duration_since(at.date().at(0, 0, 0, 0))))
}

/// Moves a time by a count of units. A date stays one unless hours or less are added.
pub(in super::super) fn shift_time(
    value: &Value,
    by: &Value,
    unit: Unit,
    sign: i64,
) -> Parsed<Value> {
    if matches!(by, Value::Null) {
        return Ok(Value::Null);
    }
    let Some(from) = time(value) else { return Ok(Value::Null) };
    let Some(span) = span(by, unit, sign) else { return Ok(Value::Null) };
    let days = matches!(unit, Unit::Day | Unit::Week | Unit::Month | Unit::Quarter | Unit::Year);
    let moved = match from {
        Time::Date(day) if days => day.checked_add(span).ok().map(Time::Date),
        Time::Date(day) => day.at(0, 0, 0, 0).checked_add(span).ok().map(Time::DateTime),
        Time::DateTime(at) => at.checked_add(span).ok().map(Time::DateTime),
        Time::Span(own) if !days => {
            let by = span.to_duration(jiff::civil::date(2000, 1, 1)).ok();
            by.and_then(|by| own.checked_add(by)).map(Time::Span)
        }
        Time::Span(_) => None,
    };
    // What was text stays text, as in MySQL.
    Ok(match (moved, value) {
        (None, _) => Value::Null,
        (Some(moved), Value::Text(_)) => moved.to_string().into(),
        (Some(moved), _) => Value::Time(moved),
    })
}

fn span(by: &Value, unit: Unit, sign: i64) -> Option<Span> {
    let whole = number::whole(by).checked_mul(sign)?;
    let span = Span::new();
    match unit {
        Unit::Microsecond => span.try_microseconds(whole),
        Unit::Second => {
            #[expect(clippy::cast_possible_truncation, reason = "out of range is no span below")]
            let micros = (number::float(by) * 1e6).round() as i64;
            span.try_microseconds(micros.checked_mul(sign)?)
        }
        Unit::Minute => span.try_minutes(whole),
        Unit::Hour => span.try_hours(whole),
        Unit::Day => span.try_days(whole),
        Unit::Week => span.try_weeks(whole),
        Unit::Month => span.try_months(whole),
        Unit::Quarter => span.try_months(whole.checked_mul(3)?),
        Unit::Year => span.try_years(whole),
    }
    .ok()
}

fn difference(_: &mut Context<'_>, values: &[Value]) -> Parsed<Value> {
    let Some(unit) = Unit::named(&text(values, 0)) else {
        return Err(SqlError::unsupported("this unit of TIMESTAMPDIFF"));
    };
    let both = date_time(argument(values, 1)).zip(date_time(argument(values, 2)));
    let Some((from, to)) = both else { return Ok(Value::Null) };
    let seconds = to.duration_since(from);
    let months = || {
        let span = to.since((TimeUnit::Month, from)).ok()?;
        Some(i64::from(span.get_years()) * 12 + i64::from(span.get_months()))
    };
    let number = match unit {
        Unit::Microsecond => i64::try_from(seconds.as_micros()).ok(),
        Unit::Second => Some(seconds.as_secs()),
        Unit::Minute => Some(seconds.as_secs() / 60),
        Unit::Hour => Some(seconds.as_secs() / 3_600),
        Unit::Day => Some(seconds.as_secs() / 86_400),
        Unit::Week => Some(seconds.as_secs() / 604_800),
        Unit::Month => months(),
        Unit::Quarter => months().map(|months| months / 3),
        Unit::Year => months().map(|months| months / 12),
    };
    Ok(number.map_or(Value::Null, Value::Int))
}

/// `DATE_FORMAT`.
fn formatted(at: DateTime, format: &str) -> String {
    let mut text = String::new();
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            text.push(c);
            continue;
        }
        let hour = at.hour();
        let twelve = if hour % 12 == 0 { 12 } else { hour % 12 };
        let half = if hour < 12 { "AM" } else { "PM" };
        let (minute, second) = (at.minute(), at.second());
        let _ = match chars.next() {
            Some('Y') => write!(text, "{:04}", at.year()),
            Some('y') => write!(text, "{:02}", at.year().rem_euclid(100)),
            Some('m') => write!(text, "{:02}", at.month()),
            Some('c') => write!(text, "{}", at.month()),
            Some('d') => write!(text, "{:02}", at.day()),
            Some('e') => write!(text, "{}", at.day()),
            Some('D') => write!(text, "{}{}", at.day(), ordinal(at.date())),
            Some('j') => write!(text, "{:03}", at.day_of_year()),
            Some('H') => write!(text, "{hour:02}"),
            Some('k') => write!(text, "{hour}"),
            Some('h' | 'I') => write!(text, "{twelve:02}"),
            Some('l') => write!(text, "{twelve}"),
            Some('i') => write!(text, "{minute:02}"),
            Some('s' | 'S') => write!(text, "{second:02}"),
            Some('f') => write!(text, "{:06}", at.subsec_nanosecond() / 1000),
            Some('p') => write!(text, "{half}"),
            Some('T') => write!(text, "{hour:02}:{minute:02}:{second:02}"),
            Some('r') => write!(text, "{twelve:02}:{minute:02}:{second:02} {half}"),
            Some('W') => write!(text, "{}", at.strftime("%A")),
            Some('a') => write!(text, "{}", at.strftime("%a")),
            Some('M') => write!(text, "{}", at.strftime("%B")),
            Some('b') => write!(text, "{}", at.strftime("%b")),
            Some('w') => write!(text, "{}", at.weekday().to_sunday_zero_offset()),
            Some(other) => write!(text, "{other}"),
            None => Ok(()),
        };
    }
    text
}

fn ordinal(day: Date) -> Text {
    Text::from(match day.day() {
        1 | 21 | 31 => "st",
        2 | 22 => "nd",
        3 | 23 => "rd",
        _ => "th",
    })
}
