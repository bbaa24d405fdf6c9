//! Functions of texts.

use std::cmp::Ordering;
use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use polyport_core::{Text, Value};
use sha1::Digest;

use super::super::compare::{compare, truth};
use super::super::evaluate::Context;
use super::super::literal;
use super::super::number;
use super::super::parser::Parsed;
use super::super::text::{to_bytes, to_text};
use super::{ANY, Function, argument, count, int, open, strict, text, whole};

pub(super) static FUNCTIONS: &[Function] = &[
    strict("CONCAT", 1, ANY, concat),
    open("CONCAT_WS", 2, ANY, concat_with),
    strict("LENGTH", 1, 1, |_, v| Ok(int(byte_count(v)))),
    strict("OCTET_LENGTH", 1, 1, |_, v| Ok(int(byte_count(v)))),
    strict("BIT_LENGTH", 1, 1, |_, v| Ok(int(byte_count(v) * 8))),
    strict("CHAR_LENGTH", 1, 1, |_, v| Ok(int(text(v, 0).chars().count()))),
    strict("CHARACTER_LENGTH", 1, 1, |_, v| Ok(int(text(v, 0).chars().count()))),
    strict("UPPER", 1, 1, |c, v| made(c, v, |t| t.to_uppercase())),
    strict("UCASE", 1, 1, |c, v| made(c, v, |t| t.to_uppercase())),
    strict("LOWER", 1, 1, |c, v| made(c, v, |t| t.to_lowercase())),
    strict("LCASE", 1, 1, |c, v| made(c, v, |t| t.to_lowercase())),
    strict("REVERSE", 1, 1, |c, v| made(c, v, |t| t.chars().rev().collect())),
    strict("LTRIM", 1, 1, |c, v| made(c, v, |t| t.trim_start_matches(' ').to_owned())),
    strict("RTRIM", 1, 1, |c, v| made(c, v, |t| t.trim_end_matches(' ').to_owned())),
    strict("TRIM", 2, 3, trim),
    strict("SUBSTRING", 2, 3, substring),
    strict("SUBSTR", 2, 3, substring),
    strict("MID", 3, 3, substring),
    strict("LEFT", 2, 2, |c, v| {
        let length = count(v, 1);
        made(c, v, |t| t.chars().take(length).collect())
    }),
    strict("RIGHT", 2, 2, |c, v| {
        let skip = text(v, 0).chars().count().saturating_sub(count(v, 1));
        made(c, v, |t| t.chars().skip(skip).collect())
    }),
    strict("SUBSTRING_INDEX", 3, 3, substring_index),
    strict("REPLACE", 3, 3, replace),
    strict("REPEAT", 2, 2, |c, v| repeat(c, &text(v, 0), count(v, 1))),
    strict("SPACE", 1, 1, |c, v| repeat(c, " ", count(v, 0))),
    strict("LPAD", 3, 3, |c, v| pad(c, v, true)),
    strict("RPAD", 3, 3, |c, v| pad(c, v, false)),
    strict("INSTR", 2, 2, |c, v| locate(c, &text(v, 1), &text(v, 0), 1)),
    strict("LOCATE", 2, 3, |c, v| {
        let from = if v.len() > 2 { count(v, 2) } else { 1 };
        locate(c, &text(v, 0), &text(v, 1), from)
    }),
    strict("ASCII", 1, 1, |_, v| {
        Ok(Value::Int(to_bytes(argument(v, 0)).first().copied().unwrap_or(0).into()))
    }),
    strict("ORD", 1, 1, |_, v| {
        let text = text(v, 0);
        let first = text.chars().next().map(|c| c.len_utf8()).unwrap_or(0);
        let bytes = text.as_bytes().get(..first).unwrap_or_default();
        Ok(Value::Int(bytes.iter().fold(0, |n, byte| n << 8 | i64::from(*byte))))
    }),
    strict("CHAR", 1, ANY, |c, v| {
        c.spend(v.len() * 4)?;
        let mut bytes = Vec::new();
        for value in v {
            let number = number::unsigned(value) & 0xffff_ffff;
            let all = u32::try_from(number).unwrap_or(0).to_be_bytes();
            let skip = all.iter().take(3).take_while(|byte| **byte == 0).count();
            bytes.extend(all.iter().skip(skip));
        }
        Ok(Value::Bytes(bytes.into()))
    }),
    strict("STRCMP", 2, 2, |_, v| {
        let order = compare(&Value::Text(text(v, 0)), &Value::Text(text(v, 1)), false);
        Ok(Value::Int(order.map_or(0, |order| order as i64)))
    }),
    open("FIELD", 2, ANY, |_, v| {
        let first = argument(v, 0);
        let same = |own: &Value| compare(own, first, false) == Some(Ordering::Equal);
        Ok(int(v.iter().skip(1).position(same).map_or(0, |at| at + 1)))
    }),
    open("ELT", 2, ANY, |_, v| {
        let index = count(v, 0);
        Ok(if index == 0 { Value::Null } else { argument(v, index).clone() })
    }),
    strict("FIND_IN_SET", 2, 2, |_, v| {
        let (wanted, list) = (Value::Text(text(v, 0)), text(v, 1));
        let same = |own: &str| {
            let own = Value::Text(own.to_owned().into());
            compare(&own, &wanted, false) == Some(Ordering::Equal)
        };
        let found = (!list.is_empty()).then(|| list.split(',').position(|own| same(&own)));
        let found = found.flatten();
        Ok(int(found.map_or(0, |at| at + 1)))
    }),
    open("QUOTE", 1, 1, |c, v| match argument(v, 0) {
        Value::Null => Ok("NULL".into()),
        _ => made(c, v, |t| {
            let escaped = t.replace('\\', "\\\\").replace('\'', "\\'").replace('\0', "\\0");
            format!("'{}'", escaped.replace('\u{1a}', "\\Z"))
        }),
    }),
    strict("HEX", 1, 1, hex),
    strict("UNHEX", 1, 1, |c, v| {
        c.spend(byte_count(v))?;
        let bytes = literal::hex(&to_bytes(argument(v, 0)));
        Ok(bytes.map_or(Value::Null, |bytes| Value::Bytes(bytes.into())))
    }),
    strict("SHA", 1, 1, digest::<sha1::Sha1>),
    strict("SHA1", 1, 1, digest::<sha1::Sha1>),
    strict("SHA2", 2, 2, |c, v| match whole(v, 1) {
        0 | 256 => digest::<sha2::Sha256>(c, v),
        224 => digest::<sha2::Sha224>(c, v),
        384 => digest::<sha2::Sha384>(c, v),
        512 => digest::<sha2::Sha512>(c, v),
        _ => Ok(Value::Null),
    }),
    strict("MD5", 1, 1, digest::<md5::Md5>),
    strict("CRC32", 1, 1, |c, v| {
        let bytes = to_bytes(argument(v, 0));
        c.spend(bytes.len())?;
        Ok(Value::Int(crc32(&bytes).into()))
    }),
    strict("TO_BASE64", 1, 1, |c, v| {
        let bytes = to_bytes(argument(v, 0));
        c.spend(bytes.len().saturating_mul(3))?;
        Ok(to_base64(&bytes).into())
    }),
    strict("FROM_BASE64", 1, 1, |c, v| {
        let mut bytes = to_bytes(argument(v, 0));
        c.spend(bytes.len())?;
        bytes.retain(|byte| !byte.is_ascii_whitespace());
        let decoded = STANDARD.decode(&bytes);
        Ok(decoded.map_or(Value::Null, |bytes| Value::Bytes(bytes.into())))
    }),
    strict("FORMAT", 2, 3, format_number),
    strict("INSERT", 4, 4, insert),
    strict("BIN", 1, 1, |_, v| Ok(radix(number::unsigned(argument(v, 0)), 2).into())),
    strict("OCT", 1, 1, |_, v| Ok(radix(number::unsigned(argument(v, 0)), 8).into())),
    strict("CONV", 3, 3, |_, v| {
        let bases = (whole(v, 1).unsigned_abs(), whole(v, 2).unsigned_abs());
        let (Ok(from @ 2..=36), Ok(to @ 2..=36)) = (u32::try_from(bases.0), u32::try_from(bases.1))
        else {
            return Ok(Value::Null);
        };
        let text = text(v, 0);
        let (negative, digits) = match text.trim().strip_prefix('-') {
            Some(rest) => (true, rest.to_owned()),
            None => (false, text.trim().to_owned()),
        };
        let number = digits.chars().map_while(|c| c.to_digit(from)).fold(0_u64, |number, digit| {
            number.saturating_mul(from.into()).saturating_add(digit.into())
        });
        Ok(radix(if negative { number.wrapping_neg() } else { number }, to).into())
    }),
    strict("XOR", 2, 2, |_, v| {
        let both = truth(argument(v, 0)).zip(truth(argument(v, 1)));
        Ok(both.map_or(Value::Null, |(a, b)| Value::Int(i64::from(a != b))))
    }),
];

fn byte_count(values: &[Value]) -> usize {
    match argument(values, 0) {
        Value::Bytes(bytes) => bytes.len(),
        other => to_text(other).len(),
    }
}

fn made(
    context: &mut Context<'_>,
    values: &[Value],
    make: impl Fn(&str) -> String,
) -> Parsed<Value> {
    let text = text(values, 0);
    context.spend(text.len())?;
    Ok(make(&text).into())
}

/// Joins texts; with bytes among them the result is bytes.
pub(in super::super) fn concat(context: &mut Context<'_>, values: &[Value]) -> Parsed<Value> {
    if values.iter().any(|value| matches!(value, Value::Bytes(_))) {
        let mut joined = Vec::new();
        for value in values {
            let bytes = to_bytes(value);
            context.spend(bytes.len())?;
            joined.extend_from_slice(&bytes);
        }
        return Ok(Value::Bytes(joined.into()));
    }
    join(context, values.iter(), "")
}

fn concat_with(context: &mut Context<'_>, values: &[Value]) -> Parsed<Value> {
    let Some((separator, rest)) = values.split_first() else { return Ok(Value::Null) };
    if matches!(separator, Value::Null) {
        return Ok(Value::Null);
    }
    let given = rest.iter().filter(|value| !matches!(value, Value::Null));
    join(context, given, &to_text(separator))
}

fn join<'v>(
    context: &mut Context<'_>,
    values: impl Iterator<Item = &'v Value>,
    separator: &str,
) -> Parsed<Value> {
    let mut joined = String::new();
    for (index, value) in values.enumerate() {
        let text = to_text(value);
        context.spend(text.len() + separator.len())?;
        if index > 0 {
            joined.push_str(separator);
        }
        joined.push_str(&text);
    }
    Ok(joined.into())
}

/// Arguments as the parser orders them: side, text, what.
fn trim(context: &mut Context<'_>, values: &[Value]) -> Parsed<Value> {
    let (side, whole) = (text(values, 0), text(values, 1));
    let what = if values.len() > 2 { text(values, 2) } else { Text::from(" ") };
    context.spend(whole.len())?;
    let mut rest = whole.as_str();
    if !what.is_empty() && side != "TRAILING" {
        rest = rest.trim_start_matches(what.as_str());
    }
    if !what.is_empty() && side != "LEADING" {
        rest = rest.trim_end_matches(what.as_str());
    }
    Ok(rest.to_owned().into())
}

fn substring(context: &mut Context<'_>, values: &[Value]) -> Parsed<Value> {
    let text = text(values, 0);
    context.spend(text.len())?;
    let from = whole(values, 1);
    let length = if values.len() > 2 { count(values, 2) } else { usize::MAX };
    let skip = match from {
        0 => return Ok("".into()),
        1.. => usize::try_from(from - 1).unwrap_or(usize::MAX),
        _ => {
            let back = usize::try_from(from.unsigned_abs()).unwrap_or(usize::MAX);
            match text.chars().count().checked_sub(back) {
                Some(skip) => skip,
                None => return Ok("".into()),
            }
        }
    };
    Ok(text.chars().skip(skip).take(length).collect::<String>().into())
}

fn substring_index(context: &mut Context<'_>, values: &[Value]) -> Parsed<Value> {
    let (text, by, nth) = (text(values, 0), text(values, 1), whole(values, 2));
    context.spend(text.len())?;
    if by.is_empty() || nth == 0 {
        return Ok("".into());
    }
    let index = usize::try_from(nth.unsigned_abs()).unwrap_or(usize::MAX) - 1;
    let part = if nth > 0 {
        text.match_indices(by.as_str()).nth(index).and_then(|(at, _)| text.get(..at))
    } else {
        let found = text.rmatch_indices(by.as_str()).nth(index);
        found.and_then(|(at, _)| text.get(at + by.len()..))
    };
    Ok(part.unwrap_or(&text).to_owned().into())
}

fn replace(context: &mut Context<'_>, values: &[Value]) -> Parsed<Value> {
    let (whole, from, to) = (text(values, 0), text(values, 1), text(values, 2));
    if from.is_empty() {
        return Ok(Value::Text(whole));
    }
    context.spend(whole.len())?;
    let hits = whole.matches(from.as_str()).count();
    context.spend(hits.saturating_mul(to.len()))?;
    Ok(whole.replace(from.as_str(), &to).into())
}

fn repeat(context: &mut Context<'_>, text: &str, count: usize) -> Parsed<Value> {
    context.spend(text.len().saturating_mul(count))?;
    Ok(if text.is_empty() { "".into() } else { text.repeat(count).into() })
}

fn pad(context: &mut Context<'_>, values: &[Value], left: bool) -> Parsed<Value> {
    let (whole, by) = (text(values, 0), text(values, 2));
    let (length, wanted) = (whole.chars().count(), count(values, 1));
    context.spend(whole.len())?;
    if wanted <= length {
        return Ok(whole.chars().take(wanted).collect::<String>().into());
    }
    if by.is_empty() {
        return Ok(Value::Null);
    }
    context.spend((wanted - length).saturating_mul(4))?;
    let padding: String = by.chars().cycle().take(wanted - length).collect();
    Ok(if left { padding + &whole } else { whole.to_string() + &padding }.into())
}

/// The place, counted from 1, of a text in another; 0 when it is not there.
fn locate(context: &mut Context<'_>, wanted: &str, within: &str, from: usize) -> Parsed<Value> {
    context.spend(2 * (wanted.len() + within.len()))?;
    let (wanted, within) = (wanted.to_lowercase(), within.to_lowercase());
    let Some(skip) = from.checked_sub(1) else { return Ok(Value::Int(0)) };
    let start = match within.char_indices().nth(skip) {
        Some((start, _)) => start,
        None if skip == within.chars().count() => within.len(),
        None => return Ok(Value::Int(0)),
    };
    let rest = within.get(start..).unwrap_or_default();
    let found = rest.find(&wanted).and_then(|at| rest.get(..at));
    Ok(int(found.map_or(0, |before| skip + before.chars().count() + 1)))
}

fn hex(context: &mut Context<'_>, values: &[Value]) -> Parsed<Value> {
    let value = argument(values, 0);
    if matches!(value, Value::Int(_) | Value::Big(_) | Value::Float(_) | Value::Decimal(_)) {
        return Ok(format!("{:X}", number::unsigned(value)).into());
    }
    let bytes = to_bytes(value);
    context.spend(bytes.len().saturating_mul(2))?;
    Ok(hexadecimal(&bytes, true).into())
}

fn hexadecimal(bytes: &[u8], upper: bool) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = if upper { write!(text, "{byte:02X}") } else { write!(text, "{byte:02x}") };
    }
    text
}

fn digest<D: Digest>(context: &mut Context<'_>, values: &[Value]) -> Parsed<Value> {
    let bytes = to_bytes(argument(values, 0));
    context.spend(bytes.len())?;
    Ok(hexadecimal(&D::digest(&bytes), false).into())
}

/// A number's digits in another base.
fn radix(mut number: u64, base: u32) -> String {
    let mut digits = Vec::new();
    loop {
        let digit = u32::try_from(number % u64::from(base)).unwrap_or(0);
        digits.extend(char::from_digit(digit, base).map(|digit| digit.to_ascii_uppercase()));
        number /= u64::from(base);
        if number == 0 {
            return digits.into_iter().rev().collect();
        }
    }
}

/// `INSERT('abcd', 2, 2, 'xyz')` is `axyzd`.
fn insert(context: &mut Context<'_>, values: &[Value]) -> Parsed<Value> {
    let (whole_text, new) = (text(values, 0), text(values, 3));
    context.spend(whole_text.len() + new.len())?;
    let length = whole_text.chars().count();
    let skip = match usize::try_from(whole(values, 1) - 1) {
        Ok(skip) if skip < length => skip,
        _ => return Ok(Value::Text(whole_text)),
    };
    let cut = match usize::try_from(whole(values, 2)) {
        Ok(cut) => cut,
        Err(_) => length,
    };
    let mut made: String = whole_text.chars().take(skip).collect();
    made.push_str(&new);
    made.extend(whole_text.chars().skip(skip.saturating_add(cut)));
    Ok(made.into())
}

/// Base 64 in lines of 76 characters, as MySQL writes it.
fn to_base64(bytes: &[u8]) -> String {
    let plain = STANDARD.encode(bytes);
    let mut lines = String::with_capacity(plain.len() + plain.len() / 76);
    for (index, c) in plain.chars().enumerate() {
        if index > 0 && index % 76 == 0 {
            lines.push('\n');
        }
        lines.push(c);
    }
    lines
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |sum: u32, byte: &u8| {
        let mixed = sum ^ u32::from(*byte);
        (0..8).fold(mixed, |sum, _| if sum & 1 == 1 { sum >> 1 ^ 0xedb8_8320 } else { sum >> 1 })
    };
    !bytes.iter().fold(u32::MAX, step)
}

/// `FORMAT(1234.5, 2)` is `1,234.50`.
fn format_number(_: &mut Context<'_>, values: &[Value]) -> Parsed<Value> {
    let digits = whole(values, 1).clamp(0, 30);
    let number = number::decimal(argument(values, 0));
    let number = number.with_scale_round(digits, bigdecimal::RoundingMode::HalfUp);
    let plain = number.to_plain_string();
    let (sign, plain) = plain.strip_prefix('-').map_or(("", plain.as_str()), |rest| ("-", rest));
    let (whole, fraction) = plain.split_once('.').unwrap_or((plain, ""));
    let mut grouped = String::from(sign);
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if !fraction.is_empty() {
        grouped.push('.');
        grouped.push_str(fraction);
    }
    Ok(grouped.into())
}
