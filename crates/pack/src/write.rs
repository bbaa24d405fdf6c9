//! Values to MessagePack bytes.

use num_traits::ToPrimitive as _;
use polyport_core::function::OWN_DEFAULT;
use polyport_core::{Column, Fault, Kind, Reply, Rows, Text, Time, Type, Value};
use rmp::Marker;
use rmp::encode as write;

use crate::extension::{
    ABSENT, DATE, DATE_TIME, DECIMAL, INTEGER, MANY, OPAQUE, SET, SPAN, TABLE, TUPLE, type_name,
};

/// The byte that begins a frame, which makes its length a MessagePack integer.
pub const FRAME: u8 = 0xce;

/// That byte and the four bytes of the length.
pub const FRAME_HEAD_BYTES: usize = 5;

/// Appends a value.
///
/// # Errors
/// A text or a list beyond 4 GiB. What was appended until then has to be taken off again.
pub fn append(out: &mut Vec<u8>, value: &Value) -> Result<(), Fault> {
    match value {
        Value::Null => append_nil(out),
        Value::Bool(flag) => sure(write::write_bool(out, *flag)),
        Value::Int(number) => sure(write::write_sint(out, *number)),
        Value::Big(number) => match number.to_u64() {
            Some(number) => append_u64(out, number),
            None => extension(out, INTEGER, |out| {
                out.extend_from_slice(&number.to_signed_bytes_be());
                Ok(())
            })?,
        },
        Value::Float(number) => sure(write::write_f64(out, *number)),
        Value::Decimal(number) => text_extension(out, DECIMAL, &number.to_plain_string())?,
        Value::Text(text) => append_str(out, text)?,
        Value::Bytes(bytes) => append_bytes(out, bytes)?,
        Value::Time(time) => append_time(out, *time)?,
        Value::List(items) => append_list(out, items, append)?,
        Value::Tuple(items) => extension(out, TUPLE, |out| append_list(out, items, append))?,
        Value::Set(items) => extension(out, SET, |out| append_list(out, items, append_key))?,
        Value::Map(pairs) => {
            sure(write::write_map_len(out, length(pairs.len())?));
            for (key, value) in pairs {
                append_key(out, key)?;
                append(out, value)?;
            }
        }
        Value::Opaque(object) if object.dialect == OWN_DEFAULT => {
            extension(out, ABSENT, |_| Ok(()))?;
        }
        Value::Opaque(object) => extension(out, OPAQUE, |out| {
            append_array(out, 2);
            append_str(out, object.dialect)?;
            append_bytes(out, &object.bytes)
        })?,
    }
    Ok(())
}

/// Appends a key of a map or an element of a set, with lists as tuples and maps as tuples of
/// pairs: Python and most other languages have only constant keys.
fn append_key(out: &mut Vec<u8>, key: &Value) -> Result<(), Fault> {
    match key {
        Value::List(items) | Value::Tuple(items) => {
            extension(out, TUPLE, |out| append_list(out, items, append_key))
        }
        Value::Map(pairs) => extension(out, TUPLE, |out| {
            append_list(out, pairs, |out, (key, value)| {
                extension(out, TUPLE, |out| {
                    append_array(out, 2);
                    append_key(out, key)?;
                    append_key(out, value)
                })
            })
        }),
        key => append(out, key),
    }
}

fn append_time(out: &mut Vec<u8>, time: Time) -> Result<(), Fault> {
    match time {
        Time::Date(day) => text_extension(out, DATE, &day.to_string()),
        Time::DateTime(at) => {
            // Python before 3.11 reads fractions of three or six digits only.
            let digits = match at.subsec_nanosecond() {
                0 => 0,
                nanos if nanos % 1_000 == 0 => 6,
                _ => 9,
            };
            text_extension(out, DATE_TIME, &format!("{} {:.*}", at.date(), digits, at.time()))
        }
        Time::Span(span) => extension(out, SPAN, |out| {
            out.extend_from_slice(&span.as_secs().to_be_bytes());
            out.extend_from_slice(&span.subsec_nanos().to_be_bytes());
            Ok(())
        }),
    }
}

/// Appends what answers a call.
///
/// # Errors
/// What no frame can hold, a stream first of all.
pub fn append_reply(out: &mut Vec<u8>, reply: &Reply) -> Result<(), Fault> {
    match reply {
        Reply::Value(value) => append(out, value),
        Reply::Rows(Rows { columns, rows }) => extension(out, TABLE, |out| {
            append_array(out, 2);
            append_list(out, columns, append_column)?;
            append_list(out, rows, |out, row| append_list(out, row, append))
        }),
        Reply::Many(replies) => extension(out, MANY, |out| append_list(out, replies, append_reply)),
        Reply::Stream(_) => Err(Fault::new(
            Kind::Unsupported,
            "a stream is answered item by item, not within a reply",
        )),
    }
}

/// Appends columns, or null for none.
///
/// # Errors
/// A list beyond 4 GiB.
pub fn append_columns(out: &mut Vec<u8>, columns: &[Column]) -> Result<(), Fault> {
    if columns.is_empty() {
        append_nil(out);
        return Ok(());
    }
    append_list(out, columns, append_column)
}

fn append_column(out: &mut Vec<u8>, column: &Column) -> Result<(), Fault> {
    if column.kind != Type::Any {
        append_array(out, 2);
        append_str(out, &column.name)?;
        return append_str(out, type_name(column.kind));
    }
    append_str(out, &column.name)
}

/// Appends an array.
///
/// # Errors
/// Those of `each`.
pub fn append_list<T>(
    out: &mut Vec<u8>,
    items: &[T],
    each: impl Fn(&mut Vec<u8>, &T) -> Result<(), Fault>,
) -> Result<(), Fault> {
    sure(write::write_array_len(out, length(items.len())?));
    items.iter().try_for_each(|item| each(out, item))
}

/// Appends a map with text keys.
///
/// # Errors
/// A text or a map beyond 4 GiB.
pub fn append_named(out: &mut Vec<u8>, pairs: &[(Text, Value)]) -> Result<(), Fault> {
    sure(write::write_map_len(out, length(pairs.len())?));
    pairs.iter().try_for_each(|(name, value)| {
        append_str(out, name)?;
        append(out, value)
    })
}

/// Appends text.
///
/// # Errors
/// A text beyond 4 GiB.
pub fn append_str(out: &mut Vec<u8>, text: &str) -> Result<(), Fault> {
    sure(write::write_str_len(out, length(text.len())?));
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

fn append_bytes(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), Fault> {
    sure(write::write_bin_len(out, length(bytes.len())?));
    out.extend_from_slice(bytes);
    Ok(())
}

/// Appends an integer.
pub fn append_u64(out: &mut Vec<u8>, number: u64) {
    sure(write::write_uint(out, number));
}

/// Appends null.
pub fn append_nil(out: &mut Vec<u8>) {
    sure(write::write_nil(out));
}

/// Appends the head of an array.
pub fn append_array(out: &mut Vec<u8>, elements: u32) {
    sure(write::write_array_len(out, elements));
}

fn text_extension(out: &mut Vec<u8>, kind: u8, text: &str) -> Result<(), Fault> {
    extension(out, kind, |out| {
        out.extend_from_slice(text.as_bytes());
        Ok(())
    })
}

/// Appends a frame: the byte [`FRAME`], four bytes of length, and what `content` appends. Nothing is
/// appended when that fails.
///
/// # Errors
/// Those of `content`, and what no frame can hold.
pub fn append_frame(
    out: &mut Vec<u8>,
    content: impl FnOnce(&mut Vec<u8>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let start = out.len();
    out.extend_from_slice(&[FRAME, 0, 0, 0, 0]);
    let written = content(out).and_then(|()| set_length(out, start, FRAME_HEAD_BYTES));
    if written.is_err() {
        out.truncate(start);
    }
    written
}

/// Appends an extension. Its length is known last, so it always has four bytes.
fn extension(
    out: &mut Vec<u8>,
    kind: u8,
    content: impl FnOnce(&mut Vec<u8>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let start = out.len();
    out.extend_from_slice(&[Marker::Ext32.to_u8(), 0, 0, 0, 0, kind]);
    content(out)?;
    set_length(out, start, 6)
}

/// Writes the four bytes of a length behind the byte at `start`: of all that follows the head.
fn set_length(out: &mut [u8], start: usize, head: usize) -> Result<(), Fault> {
    let bytes = length(out.len() - start - head)?.to_be_bytes();
    if let Some(place) = out.get_mut(start + 1..).and_then(<[u8]>::first_chunk_mut) {
        *place = bytes;
    }
    Ok(())
}

fn length(length: usize) -> Result<u32, Fault> {
    u32::try_from(length).map_err(|_| Fault::new(Kind::TooLarge, "a value is longer than 4 GiB"))
}

/// Writing to a vector does not fail.
fn sure<T, E>(written: Result<T, E>) {
    debug_assert!(written.is_ok());
}
