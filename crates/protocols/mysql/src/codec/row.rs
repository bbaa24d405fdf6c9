//! Rows, as text and as binary.

use std::io::Write as _;

use bigdecimal::BigDecimal;
use num_traits::ToPrimitive as _;
use polyport_core::{Time, Value, json};

use super::column::{ColumnType, NOT_FIXED};
use super::{put_lenenc, put_lenenc_bytes};
use crate::sql::Charset;

/// Writes a row's cells as text. Cells that the row lacks are null.
pub(crate) fn write_text(out: &mut Vec<u8>, kinds: &[ColumnType], row: &[Value], to: Charset) {
    for (index, kind) in kinds.iter().enumerate() {
        match row.get(index) {
            None | Some(Value::Null) => out.push(0xfb),
            Some(value) => write_cell(out, *kind, value, to),
        }
    }
}

/// A cell that its column's type cannot hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutOfRange;

/// Writes a row's cells as binary.
///
/// # Errors
/// When a value does not fit the column's type, which only a declared type can bring about.
pub(crate) fn write_binary(
    out: &mut Vec<u8>,
    kinds: &[ColumnType],
    row: &[Value],
    to: Charset,
) -> Result<(), OutOfRange> {
    out.push(0);
    // The map of nulls leaves two bits free.
    let nulls = out.len();
    out.resize(nulls + (kinds.len() + 2).div_ceil(8), 0);
    for (index, kind) in kinds.iter().enumerate() {
        match row.get(index) {
            None | Some(Value::Null) => {
                if let Some(byte) = out.get_mut(nulls + (index + 2) / 8) {
                    *byte |= 1 << ((index + 2) % 8);
                }
            }
            Some(value) => write_binary_cell(out, *kind, value, to)?,
        }
    }
    Ok(())
}

fn write_binary_cell(
    out: &mut Vec<u8>,
    kind: ColumnType,
    value: &Value,
    to: Charset,
) -> Result<(), OutOfRange> {
    match kind {
        ColumnType::Tiny => out.push(u8::from(integer(value)? != 0)),
        ColumnType::Long => {
            let number = i32::try_from(integer(value)?).map_err(|_| OutOfRange)?;
            out.extend_from_slice(&number.to_le_bytes());
        }
        ColumnType::LongLong { unsigned: false } => {
            let number = i64::try_from(integer(value)?).map_err(|_| OutOfRange)?;
            out.extend_from_slice(&number.to_le_bytes());
        }
        ColumnType::LongLong { unsigned: true } => {
            let number = u64::try_from(integer(value)?).map_err(|_| OutOfRange)?;
            out.extend_from_slice(&number.to_le_bytes());
        }
        ColumnType::Double => {
            let number = match value {
                Value::Float(number) => *number,
                Value::Bool(flag) => f64::from(u8::from(*flag)),
                Value::Int(number) => number.to_f64().ok_or(OutOfRange)?,
                Value::Big(number) => number.to_f64().ok_or(OutOfRange)?,
                Value::Decimal(number) => number.to_f64().ok_or(OutOfRange)?,
                _ => return Err(OutOfRange),
            };
            out.extend_from_slice(&number.to_le_bytes());
        }
        ColumnType::Date | ColumnType::DateTime { .. } => write_date_time(out, value)?,
        ColumnType::Span { .. } => write_span(out, value)?,
        ColumnType::Decimal { .. }
        | ColumnType::Text { .. }
        | ColumnType::Blob { .. }
        | ColumnType::Json { .. } => write_cell(out, kind, value, to),
    }
    Ok(())
}

fn integer(value: &Value) -> Result<i128, OutOfRange> {
    match value {
        Value::Bool(flag) => Ok(i128::from(*flag)),
        Value::Int(number) => Ok(i128::from(*number)),
        Value::Big(number) => number.to_i128().ok_or(OutOfRange),
        _ => Err(OutOfRange),
    }
}

fn write_date_time(out: &mut Vec<u8>, value: &Value) -> Result<(), OutOfRange> {
    let at = match value {
        Value::Time(Time::Date(day)) => day.to_datetime(jiff::civil::Time::midnight()),
        Value::Time(Time::DateTime(at)) => *at,
        _ => return Err(OutOfRange),
    };
    let (date, time) = (at.date(), at.time());
    let micros = time.subsec_nanosecond().unsigned_abs() / 1000;
    let length = match (time.hour(), time.minute(), time.second(), micros) {
        (0, 0, 0, 0) => 4,
        (_, _, _, 0) => 7,
        _ => 11,
    };
    out.push(length);
    let year = u16::try_from(date.year()).map_err(|_| OutOfRange)?;
    out.extend_from_slice(&year.to_le_bytes());
    out.extend([date.month(), date.day()].map(i8::unsigned_abs));
    if length >= 7 {
        out.extend([time.hour(), time.minute(), time.second()].map(i8::unsigned_abs));
    }
    if length == 11 {
        out.extend_from_slice(&micros.to_le_bytes());
    }
    Ok(())
}

fn write_span(out: &mut Vec<u8>, value: &Value) -> Result<(), OutOfRange> {
    let Value::Time(Time::Span(span)) = value else { return Err(OutOfRange) };
    let seconds = span.as_secs().unsigned_abs();
    let micros = span.subsec_nanos().unsigned_abs() / 1000;
    if seconds == 0 && micros == 0 {
        out.push(0);
        return Ok(());
    }
    out.push(if micros == 0 { 8 } else { 12 });
    out.push(u8::from(span.is_negative()));
    let days = u32::try_from(seconds / 86_400).map_err(|_| OutOfRange)?;
    out.extend_from_slice(&days.to_le_bytes());
    let parts = [seconds / 3600 % 24, seconds / 60 % 60, seconds % 60];
    out.extend(parts.map(|part| u8::try_from(part).unwrap_or_default()));
    if micros > 0 {
        out.extend_from_slice(&micros.to_le_bytes());
    }
    Ok(())
}

/// Writes one cell that is not null, as text after its length.
fn write_cell(out: &mut Vec<u8>, kind: ColumnType, value: &Value, to: Charset) {
    match value {
        Value::Null => out.push(0xfb),
        Value::Text(text) => match to.encode(text) {
            None => put_lenenc_bytes(out, text.as_bytes()),
            Some(bytes) => put_lenenc_bytes(out, &bytes),
        },
        Value::Bytes(bytes) => put_lenenc_bytes(out, bytes),
        Value::Bool(flag) => write_int(out, kind, i64::from(*flag)),
        Value::Int(number) => write_int(out, kind, *number),
        Value::Big(number) => match kind {
            ColumnType::Decimal { scale, .. } if scale > 0 && scale != NOT_FIXED => {
                write_decimal(out, &BigDecimal::from((**number).clone()), scale);
            }
            _ => put_lenenc_bytes(out, number.to_string().as_bytes()),
        },
        Value::Float(number) => write_short(out, |to| write_float(to, *number)),
        Value::Decimal(number) => match kind {
            ColumnType::Decimal { scale, .. } => write_decimal(out, number, scale),
            _ => put_lenenc_bytes(out, number.to_plain_string().as_bytes()),
        },
        Value::Time(Time::Date(day)) if matches!(kind, ColumnType::DateTime { .. }) => {
            write_short(out, |to| drop(write!(to, "{day} 00:00:00")));
        }
        Value::Time(time) => write_short(out, |to| drop(write!(to, "{time}"))),
        Value::List(_) | Value::Tuple(_) | Value::Set(_) | Value::Map(_) | Value::Opaque(_) => {
            put_lenenc_bytes(out, &json::to_vec(value));
        }
    }
}

/// Writes text that is shorter than 251 bytes: its length is one byte.
fn write_short(out: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.push(0);
    fill(out);
    let length = out.len() - at - 1;
    debug_assert!(length <= 250, "numbers and times are short");
    if let Some(first) = out.get_mut(at) {
        *first = u8::try_from(length).unwrap_or(250);
    }
}

fn write_int(out: &mut Vec<u8>, kind: ColumnType, number: i64) {
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(number).as_bytes();
    let scale = match kind {
        ColumnType::Decimal { scale, .. } if scale != NOT_FIXED => usize::from(scale),
        _ => 0,
    };
    if scale == 0 {
        put_lenenc_bytes(out, digits);
        return;
    }
    put_lenenc(out, (digits.len() + 1 + scale) as u64);
    out.extend_from_slice(digits);
    out.push(b'.');
    out.resize(out.len() + scale, b'0');
}

/// Writes a decimal with as many digits after the point as its column has, as MySQL does.
fn write_decimal(out: &mut Vec<u8>, number: &BigDecimal, scale: u8) {
    let own = number.as_bigint_and_scale().1;
    let wanted = own.max(i64::from(scale));
    let text = if own == wanted || scale == NOT_FIXED {
        number.to_plain_string()
    } else {
        number.with_scale(wanted).to_plain_string()
    };
    put_lenenc_bytes(out, text.as_bytes());
}

/// Writes a float so that it reads back as the same. MySQL has no infinity; its clients' own
/// parsers know these words.
fn write_float(out: &mut Vec<u8>, number: f64) {
    let size = number.abs();
    // Writing to a vector cannot fail.
    let _ = if number.is_nan() {
        write!(out, "NaN")
    } else if number.is_infinite() {
        write!(out, "{}Infinity", if number < 0.0 { "-" } else { "" })
    } else if size != 0.0 && !(1e-5..1e15).contains(&size) {
        write!(out, "{number:e}")
    } else {
        write!(out, "{number}")
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(kind: ColumnType, value: Value) -> Vec<u8> {
        let mut out = Vec::new();
        write_text(&mut out, &[kind], &[value], Charset::Utf8);
        out
    }

    fn binary(kind: ColumnType, value: Value) -> Vec<u8> {
        let mut out = Vec::new();
        write_binary(&mut out, &[kind], &[value], Charset::Utf8).unwrap();
        assert_eq!(&out[..2], b"\0\0");
        out.split_off(2)
    }

    fn time(text: &str) -> Value {
        Value::Time(Time::parse(text).unwrap())
    }

    fn decimal(text: &str) -> Value {
        Value::Decimal(Box::new(text.parse().unwrap()))
    }

    const MONEY: ColumnType = ColumnType::Decimal { digits: 10, scale: 2 };

    #[test]
    fn text_cells_are_written_as_mysql_writes_them() {
        assert_eq!(text(ColumnType::Tiny, Value::Bool(true)), b"\x011");
        assert_eq!(text(ColumnType::Long, Value::Int(-5)), b"\x02-5");
        assert_eq!(text(ColumnType::Long, Value::Null), b"\xfb");
        assert_eq!(text(ColumnType::Double, Value::Float(1.0)), b"\x011");
        assert_eq!(text(ColumnType::Double, Value::Float(1e300)), b"\x051e300");
        assert_eq!(text(ColumnType::Double, Value::Float(f64::NEG_INFINITY)), b"\x09-Infinity");
        assert_eq!(text(MONEY, decimal("1.5")), b"\x041.50");
        assert_eq!(text(MONEY, Value::Int(7)), b"\x047.00");
        assert_eq!(text(MONEY, decimal("1e3")), b"\x071000.00");
        let blob = ColumnType::Blob { longest: 2 };
        assert_eq!(text(blob, Value::Bytes(b"\0\xff".into())), b"\x02\0\xff");
        let json = ColumnType::Json { longest: 9 };
        assert_eq!(text(json, Value::List(vec![Value::Int(1), Value::Null])), b"\x08[1,null]");
        let date_time = ColumnType::DateTime { micros: false };
        assert_eq!(text(date_time, time("2020-01-02")), b"\x132020-01-02 00:00:00");
    }

    #[test]
    fn binary_cells_have_their_fixed_layouts() {
        assert_eq!(binary(ColumnType::Long, Value::Int(-2)), b"\xfe\xff\xff\xff");
        assert_eq!(binary(ColumnType::Tiny, Value::Bool(true)), b"\x01");
        let unsigned = ColumnType::LongLong { unsigned: true };
        assert_eq!(binary(unsigned, Value::from_big(u64::MAX.into())), [0xff; 8]);
        assert_eq!(binary(ColumnType::Double, Value::Int(1)), 1f64.to_le_bytes());
        let at = ColumnType::DateTime { micros: true };
        assert_eq!(binary(at, time("2020-01-02")), b"\x04\xe4\x07\x01\x02");
        assert_eq!(binary(at, time("2020-01-02 03:04:05")), b"\x07\xe4\x07\x01\x02\x03\x04\x05");
        let exact = binary(at, time("2020-01-02 03:04:05.000007"));
        assert_eq!(exact, b"\x0b\xe4\x07\x01\x02\x03\x04\x05\x07\0\0\0");
        let span = ColumnType::Span { micros: true };
        assert_eq!(binary(span, time("00:00:00")), b"\x00");
        assert_eq!(binary(span, time("-25:01:02")), b"\x08\x01\x01\0\0\0\x01\x01\x02");
        assert_eq!(binary(MONEY, decimal("1.50")), b"\x041.50");
    }

    #[test]
    fn the_map_of_nulls_begins_at_its_third_bit() {
        let kinds = [ColumnType::Tiny; 7];
        let mut row = vec![Value::Null; 7];
        row[6] = Value::Bool(true);
        let mut out = Vec::new();
        write_binary(&mut out, &kinds, &row, Charset::Utf8).unwrap();
        assert_eq!(out, [0, 0b1111_1100, 0, 1]);
    }

    #[test]
    fn text_goes_out_in_the_clients_charset_and_bytes_do_not() {
        let (text, blob) = (ColumnType::Text { longest: 1 }, ColumnType::Blob { longest: 1 });
        let row = [Value::Text("é".into()), Value::Bytes("é".as_bytes().into())];
        let mut out = Vec::new();
        write_text(&mut out, &[text, blob], &row, Charset::Latin1);
        assert_eq!(out, b"\x01\xe9\x02\xc3\xa9");
    }

    #[test]
    fn a_value_beyond_a_declared_type_is_an_error() {
        let row = [Value::from_big("9223372036854775808".parse().unwrap())];
        let kinds = [ColumnType::LongLong { unsigned: false }];
        let written = write_binary(&mut Vec::new(), &kinds, &row, Charset::Utf8);
        assert_eq!(written, Err(OutOfRange));
    }

    #[test]
    fn a_float_reads_back_as_the_same() {
        for number in [0.1, -0.0, 1.0 / 3.0, 1e15, 1e-5, 123_456_789.125, f64::MAX, 5e-324] {
            let mut out = Vec::new();
            write_float(&mut out, number);
            let back: f64 = std::str::from_utf8(&out).unwrap().parse().unwrap();
            assert_eq!(back.to_bits(), number.to_bits());
        }
    }
}
