//! The parameters of a prepared statement, as a client sends them.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use jiff::civil::{Date, DateTime};
use polyport_core::{Blob, Text, Time, Type, Value};

use super::{Malformed, Reader};
use crate::sql::Charset;

/// A parameter's type: its number, and whether it is unsigned.
pub(crate) type ParameterType = (u8, bool);

/// Bytes sent ahead of an execution, by parameter number.
pub(crate) type LongData = BTreeMap<u16, Vec<u8>>;

/// Parameters that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// The packet breaks the protocol.
    Malformed(Malformed),
    /// The first execution tells no types.
    NoTypes,
}

impl From<Malformed> for Unreadable {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

/// Reads `count` parameters. `types` are those of the last execution, which hold when this one
/// tells none, and are replaced when it does.
pub(crate) fn read(
    payload: &[u8],
    count: usize,
    types: &mut Vec<ParameterType>,
    mut long_data: LongData,
    from: Charset,
) -> Result<Vec<Value>, Unreadable> {
    if count == 0 {
        return Ok(Vec::new());
    }
    let mut reader = Reader::new(payload);
    let nulls = reader.bytes(count.div_ceil(8), "map of nulls")?;
    if reader.u8("mark of new types")? == 1 {
        // The types arrive before room is made for them.
        let listed = reader.bytes(2 * count, "types")?;
        types.clear();
        types.extend(listed.chunks_exact(2).map(|pair| match *pair {
            [number, flags] => (number, flags & 0x80 != 0),
            _ => (0, false),
        }));
    }
    if types.len() != count {
        return Err(Unreadable::NoTypes);
    }
    let mut values = Vec::with_capacity(count);
    for (index, kind) in types.iter().enumerate() {
        let null = nulls.get(index / 8).is_some_and(|byte| byte >> (index % 8) & 1 == 1);
        let sent = u16::try_from(index).ok().and_then(|index| long_data.remove(&index));
        values.push(match sent {
            Some(bytes) => long_value(*kind, bytes, from),
            None if null => Value::Null,
            None => read_value(&mut reader, *kind, from)?,
        });
    }
    Ok(values)
}

fn long_value((number, _): ParameterType, bytes: Vec<u8>, from: Charset) -> Value {
    if is_binary(number) { Value::Bytes(bytes.into()) } else { text_or_bytes(&bytes, from) }
}

/// Whether a type of this number holds bytes: blobs, bits and geometry.
const fn is_binary(number: u8) -> bool {
    matches!(number, 0x10 | 0xf9..=0xfc | 0xff)
}

/// Text, unless the bytes are none: clients such as go-sql-driver and mysql_async send bytes as
/// they send text.
fn text_or_bytes(bytes: &[u8], from: Charset) -> Value {
    from.decode(bytes).map_or_else(|| Value::Bytes(Blob::from(bytes)), Value::Text)
}

fn read_value(
    reader: &mut Reader<'_>,
    (number, unsigned): ParameterType,
    from: Charset,
) -> Result<Value, Malformed> {
    Ok(match number {
        0x06 => Value::Null,
        0x01 => {
            let byte = reader.u8("byte")?;
            Value::Int(if unsigned { byte.into() } else { i8::from_le_bytes([byte]).into() })
        }
        0x02 | 0x0d => {
            let short = reader.u16("short integer")?;
            let signed = i16::from_le_bytes(short.to_le_bytes());
            Value::Int(if unsigned { short.into() } else { signed.into() })
        }
        0x03 | 0x09 => {
            let long = reader.u32("integer")?;
            let signed = i32::from_le_bytes(long.to_le_bytes());
            Value::Int(if unsigned { long.into() } else { signed.into() })
        }
        0x08 => {
            let long = reader.u64("long integer")?;
            if unsigned { Value::from_big(long.into()) } else { Value::Int(long.cast_signed()) }
        }
        0x04 => Value::Float(widened(f32::from_bits(reader.u32("float")?))),
        0x05 => Value::Float(f64::from_bits(reader.u64("double")?)),
        0x07 | 0x0a | 0x0c => read_date_time(reader, number == 0x0a)?,
        0x0b => read_span(reader)?,
        0x00 | 0xf6 => {
            let digits = reader.lenenc_bytes("decimal")?;
            let text = text_or_bytes(digits, from);
            Type::Decimal.coerce(text).map_err(|_| reader.malformed("decimal"))?
        }
        number if is_binary(number) => Value::Bytes(Blob::from(reader.lenenc_bytes("parameter")?)),
        0x0e | 0x0f | 0x11 | 0xf5 | 0xf7 | 0xf8 | 0xfd | 0xfe => {
            text_or_bytes(reader.lenenc_bytes("parameter")?, from)
        }
        _ => return Err(reader.malformed("known parameter type")),
    })
}

/// The double that a short float was meant to be: 0.1 stays 0.1.
fn widened(short: f32) -> f64 {
    short.to_string().parse().unwrap_or_else(|_| f64::from(short))
}

fn read_date_time(reader: &mut Reader<'_>, only_date: bool) -> Result<Value, Malformed> {
    let length = reader.u8("length of a date")?;
    let start = *reader;
    let mut fields = Reader::new(reader.bytes(usize::from(length), "date")?);
    if length == 0 {
        // MySQL's zero date, which no calendar has.
        return Ok(Value::Text(Text::from("0000-00-00")));
    }
    let wrong = || start.malformed("date");
    let year = i16::try_from(fields.u16("year")?).map_err(|_| wrong())?;
    let month = i8::try_from(fields.u8("month")?).map_err(|_| wrong())?;
    let day = i8::try_from(fields.u8("day")?).map_err(|_| wrong())?;
    let date = Date::new(year, month, day).map_err(|_| wrong())?;
    if only_date && fields.is_empty() {
        return Ok(Value::Time(Time::Date(date)));
    }
    let mut part = |expected| -> Result<i8, Malformed> {
        if fields.is_empty() {
            return Ok(0);
        }
        i8::try_from(fields.u8(expected)?).map_err(|_| wrong())
    };
    let (hour, minute, second) = (part("hour")?, part("minute")?, part("second")?);
    let micros = if fields.is_empty() { 0 } else { fields.u32("microseconds")? };
    let nanos = micros.checked_mul(1000).and_then(|nanos| i32::try_from(nanos).ok());
    let time = jiff::civil::Time::new(hour, minute, second, nanos.ok_or_else(wrong)?);
    let time = time.map_err(|_| wrong())?;
    Ok(Value::Time(Time::DateTime(DateTime::from_parts(date, time))))
}

fn read_span(reader: &mut Reader<'_>) -> Result<Value, Malformed> {
    let length = reader.u8("length of a time")?;
    let start = *reader;
    let mut fields = Reader::new(reader.bytes(usize::from(length), "time")?);
    if length == 0 {
        return Ok(Value::Time(Time::Span(SignedDuration::ZERO)));
    }
    let negative = fields.u8("sign")? == 1;
    let days = i64::from(fields.u32("days")?);
    let hours = i64::from(fields.u8("hours")?);
    let minutes = i64::from(fields.u8("minutes")?);
    let seconds = i64::from(fields.u8("seconds")?);
    let micros = if fields.is_empty() { 0 } else { fields.u32("microseconds")? };
    let nanos = micros.checked_mul(1000).and_then(|nanos| i32::try_from(nanos).ok());
    let nanos = nanos.filter(|nanos| *nanos < 1_000_000_000);
    let nanos = nanos.ok_or_else(|| start.malformed("microseconds"))?;
    let seconds = ((days * 24 + hours) * 60 + minutes) * 60 + seconds;
    let span = SignedDuration::new(seconds, nanos);
    Ok(Value::Time(Time::Span(if negative { -span } else { span })))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(kind: ParameterType, bytes: &[u8]) -> Result<Value, Unreadable> {
        let mut payload = vec![0, 1, kind.0, if kind.1 { 0x80 } else { 0 }];
        payload.extend_from_slice(bytes);
        let none = LongData::new();
        let values = read(&payload, 1, &mut Vec::new(), none, Charset::Utf8)?;
        Ok(values.into_iter().next().unwrap())
    }

    #[test]
    fn reads_numbers_of_every_width() {
        assert_eq!(one((0x01, false), b"\xff"), Ok(Value::Int(-1)));
        assert_eq!(one((0x01, true), b"\xff"), Ok(Value::Int(255)));
        assert_eq!(one((0x02, false), b"\xfe\xff"), Ok(Value::Int(-2)));
        assert_eq!(one((0x03, true), b"\xff\xff\xff\xff"), Ok(Value::Int(0xffff_ffff)));
        let most = Value::from_big(u64::MAX.into());
        assert_eq!(one((0x08, true), &[0xff; 8]), Ok(most));
        assert_eq!(one((0x04, false), &0.1f32.to_le_bytes()), Ok(Value::Float(0.1)));
        assert_eq!(one((0x05, false), &2.5f64.to_le_bytes()), Ok(Value::Float(2.5)));
        let price = Value::Decimal(Box::new("1.50".parse().unwrap()));
        assert_eq!(one((0xf6, false), b"\x041.50"), Ok(price));
        assert_eq!(one((0x06, false), b""), Ok(Value::Null));
    }

    #[test]
    fn reads_text_bytes_and_times() {
        assert_eq!(one((0xfd, false), b"\x02\xc3\xa9"), Ok(Value::Text("é".into())));
        assert_eq!(one((0xfd, false), b"\x01\xff"), Ok(Value::Bytes(b"\xff".into())));
        assert_eq!(one((0xfc, false), b"\x01a"), Ok(Value::Bytes(b"a".into())));
        let time = |text| Ok(Value::Time(Time::parse(text).unwrap()));
        assert_eq!(one((0x0a, false), b"\x04\xe4\x07\x01\x02"), time("2020-01-02"));
        assert_eq!(one((0x0c, false), b"\x04\xe4\x07\x01\x02"), time("2020-01-02 00:00:00"));
        let exact = b"\x0b\xe4\x07\x01\x02\x03\x04\x05\x07\0\0\0";
        assert_eq!(one((0x0c, false), exact), time("2020-01-02 03:04:05.000007"));
        assert_eq!(one((0x0b, false), b"\x08\x01\x01\0\0\0\x01\x01\x02"), time("-25:01:02"));
    }

    #[test]
    fn types_are_kept_from_one_execution_to_the_next() {
        let mut types = Vec::new();
        let mut run = |payload: &[u8]| read(payload, 2, &mut types, LongData::new(), Charset::Utf8);
        assert_eq!(run(b"\0\0\x07\x07"), Err(Unreadable::NoTypes));
        let first = run(b"\0\x01\x01\0\x01\0\x05\x06");
        assert_eq!(first, Ok(vec![Value::Int(5), Value::Int(6)]));
        assert_eq!(run(b"\x01\0\x08"), Ok(vec![Value::Null, Value::Int(8)]));
    }

    #[test]
    fn long_data_stands_in_for_a_value_in_the_packet() {
        let sent = LongData::from([(0, b"abc".to_vec())]);
        let payload = b"\0\x01\xfc\0\x01\0\x07";
        let values = read(payload, 2, &mut Vec::new(), sent, Charset::Utf8).unwrap();
        assert_eq!(values, [Value::Bytes(b"abc".into()), Value::Int(7)]);
    }

    #[test]
    fn hostile_parameters_are_refused() {
        for (kind, bytes) in [
            (0x0c, &b"\x0b\xe4\x07\x0d\x02\x03\x04\x05\x07\0\0\0"[..]),
            (0x0c, b"\x02\xe4\x07"),
            (0x0b, b"\x0c\0\0\0\0\0\0\0\0\xff\xff\xff\xff"),
            (0xf6, b"\x03abc"),
            (0xfd, b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff"),
            (0x77, b""),
        ] {
            assert!(one((kind, false), bytes).is_err(), "{kind:#x}");
        }
    }
}
