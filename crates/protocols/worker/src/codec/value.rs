//! MessagePack bytes to values and back, with extensions for what MessagePack lacks.

use std::sync::Arc;

use jiff::SignedDuration;
use jiff::civil::{Date, DateTime};
use num_bigint::BigInt;
use num_traits::ToPrimitive as _;
use polyport_core::function::OWN_DEFAULT;
use polyport_core::types::{NUMBER_DIGITS, parse_decimal};
use polyport_core::{Blob, Column, Fault, Kind, Opaque, Reply, Rows, Text, Time, Type, Value};
use rmp::Marker;
use rmp::encode as write;

use super::{Bounds, Error, TOO_DEEP, TOO_MANY, TOO_SHORT};

const INTEGER: u8 = 1;
const DECIMAL: u8 = 2;
const DATE: u8 = 3;
const DATE_TIME: u8 = 4;
const SPAN: u8 = 5;
const TUPLE: u8 = 6;
const SET: u8 = 7;
const OPAQUE: u8 = 8;
const ABSENT: u8 = 9;
const TABLE: u8 = 16;
const MANY: u8 = 17;

/// The dialects whose objects a worker can hold and give back.
const DIALECTS: [&str; 2] = ["pickle", "msgpack"];

/// Bytes that an integer may have; more are refused, because printing one costs their square.
const INTEGER_BYTES: usize = 64 * 1024;

/// Reserved before the elements are read; longer arrays and maps grow.
const RESERVED_ITEMS: usize = 64;

/// What the first bytes of a value say.
enum Head {
    Null,
    Bool(bool),
    Int(i64),
    /// An integer that may be beyond [`i64`].
    Large(u64),
    Float(f64),
    Text(usize),
    Bytes(usize),
    Array(usize),
    Map(usize),
    Extension(u8, usize),
}

/// Reads values off the front of a whole frame.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    depth: usize,
    values: usize,
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8], bounds: Bounds) -> Self {
        let Bounds { depth, values, .. } = bounds;
        Self { rest: bytes, depth, values }
    }

    /// Reads one value with all that is in it.
    pub(crate) fn value(&mut self) -> Result<Value, Error> {
        Ok(match self.head()? {
            Head::Null => Value::Null,
            Head::Bool(flag) => Value::Bool(flag),
            Head::Int(number) => Value::Int(number),
            Head::Large(number) => {
                i64::try_from(number).map_or_else(|_| Value::from_big(number.into()), Value::Int)
            }
            Head::Float(number) => Value::Float(number),
            Head::Text(length) => Value::Text(utf8(self.bytes(length)?)?.into()),
            Head::Bytes(length) => Value::Bytes(Blob::from(self.bytes(length)?)),
            Head::Array(length) => Value::List(self.items(length, Self::value)?),
            Head::Map(length) => {
                Value::Map(self.items(length, |reader| Ok((reader.value()?, reader.value()?)))?)
            }
            Head::Extension(kind, length) => self.extension(kind, length)?,
        })
    }

    /// Reads what answers a call: a value, a table, or several answers.
    pub(crate) fn reply(&mut self) -> Result<Reply, Error> {
        let bytes = self.rest;
        match self.head()? {
            Head::Extension(TABLE, length) => self.within(length, Self::rows).map(Reply::Rows),
            Head::Extension(MANY, length) => {
                self.within(length, |reader| reader.list(Self::reply)).map(Reply::Many)
            }
            _ => {
                self.rest = bytes;
                self.value().map(Reply::Value)
            }
        }
    }

    fn rows(&mut self) -> Result<Rows, Error> {
        const UNEVEN: Error = Error::Refused(
            Kind::Raised,
            "a row has more or fewer cells than its table has columns",
        );
        self.pair("a table is an array of columns and rows")?;
        let columns = self.list(Self::column)?;
        let rows = self.list(|reader| {
            let row = reader.list(Self::value)?;
            let fits = row.len() == columns.len();
            fits.then_some(row).ok_or(UNEVEN)
        })?;
        Ok(Rows { columns, rows })
    }

    /// Reads an array of columns, or null for none.
    pub(crate) fn columns(&mut self) -> Result<Vec<Column>, Error> {
        Ok(self.optional(|reader| reader.list(Self::column))?.unwrap_or_default())
    }

    fn column(&mut self) -> Result<Column, Error> {
        const WRONG: Error = Error::Malformed("a column is a name, or an array of name and type");
        match self.head()? {
            Head::Text(length) => Ok(Column::from(utf8(self.bytes(length)?)?)),
            Head::Array(2) => {
                let name = self.text()?;
                let unknown = Error::Malformed("the type of a column is none that there is");
                Ok(Column::typed(name, type_of(self.str()?).ok_or(unknown)?))
            }
            _ => Err(WRONG),
        }
    }

    /// Reads the head of an array of at least `needed` elements.
    pub(crate) fn elements(&mut self, needed: usize) -> Result<usize, Error> {
        match self.head()? {
            Head::Array(length) if length >= needed => Ok(length),
            Head::Array(_) => Err(Error::Malformed("an array has too few elements")),
            _ => Err(Error::Malformed("an array was expected")),
        }
    }

    /// Reads an array.
    pub(crate) fn list<T>(
        &mut self,
        item: impl FnMut(&mut Self) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let length = self.elements(0)?;
        self.items(length, item)
    }

    /// Reads a map whose keys are text.
    pub(crate) fn named(&mut self) -> Result<Vec<(Text, Value)>, Error> {
        match self.head()? {
            Head::Map(length) => self.items(length, |reader| Ok((reader.text()?, reader.value()?))),
            _ => Err(Error::Malformed("a map was expected")),
        }
    }

    /// Reads text.
    pub(crate) fn text(&mut self) -> Result<Text, Error> {
        self.str().map(Text::from)
    }

    /// Reads text without a copy.
    pub(crate) fn str(&mut self) -> Result<&'a str, Error> {
        match self.head()? {
            Head::Text(length) => utf8(self.bytes(length)?),
            _ => Err(Error::Malformed("text was expected")),
        }
    }

    /// Reads an integer that is not negative.
    pub(crate) fn u64(&mut self) -> Result<u64, Error> {
        let number = match self.head()? {
            Head::Int(number) => u64::try_from(number).ok(),
            Head::Large(number) => Some(number),
            _ => None,
        };
        number.ok_or(Error::Malformed("an integer from 0 up was expected"))
    }

    /// Reads nil as nothing.
    pub(crate) fn optional<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        match self.rest.split_first() {
            Some((head, rest)) if *head == Marker::Null.to_u8() => {
                self.rest = rest;
                Ok(None)
            }
            _ => read(self).map(Some),
        }
    }

    fn head(&mut self) -> Result<Head, Error> {
        Ok(match Marker::from_u8(self.u8()?) {
            Marker::Null => Head::Null,
            Marker::True => Head::Bool(true),
            Marker::False => Head::Bool(false),
            Marker::FixPos(number) => Head::Int(number.into()),
            Marker::FixNeg(number) => Head::Int(number.into()),
            Marker::U8 => Head::Int(self.u8()?.into()),
            Marker::U16 => Head::Int(u16::from_be_bytes(self.array()?).into()),
            Marker::U32 => Head::Int(u32::from_be_bytes(self.array()?).into()),
            Marker::U64 => Head::Large(u64::from_be_bytes(self.array()?)),
            Marker::I8 => Head::Int(i8::from_be_bytes(self.array()?).into()),
            Marker::I16 => Head::Int(i16::from_be_bytes(self.array()?).into()),
            Marker::I32 => Head::Int(i32::from_be_bytes(self.array()?).into()),
            Marker::I64 => Head::Int(i64::from_be_bytes(self.array()?)),
            Marker::F32 => Head::Float(f32::from_be_bytes(self.array()?).into()),
            Marker::F64 => Head::Float(f64::from_be_bytes(self.array()?)),
            Marker::FixStr(length) => Head::Text(length.into()),
            Marker::Str8 => Head::Text(self.u8()?.into()),
            Marker::Str16 => Head::Text(self.u16()?),
            Marker::Str32 => Head::Text(self.u32()?),
            Marker::Bin8 => Head::Bytes(self.u8()?.into()),
            Marker::Bin16 => Head::Bytes(self.u16()?),
            Marker::Bin32 => Head::Bytes(self.u32()?),
            Marker::FixArray(length) => Head::Array(length.into()),
            Marker::Array16 => Head::Array(self.u16()?),
            Marker::Array32 => Head::Array(self.u32()?),
            Marker::FixMap(length) => Head::Map(length.into()),
            Marker::Map16 => Head::Map(self.u16()?),
            Marker::Map32 => Head::Map(self.u32()?),
            Marker::FixExt1 => Head::Extension(self.u8()?, 1),
            Marker::FixExt2 => Head::Extension(self.u8()?, 2),
            Marker::FixExt4 => Head::Extension(self.u8()?, 4),
            Marker::FixExt8 => Head::Extension(self.u8()?, 8),
            Marker::FixExt16 => Head::Extension(self.u8()?, 16),
            Marker::Ext8 => {
                let length = self.u8()?.into();
                Head::Extension(self.u8()?, length)
            }
            Marker::Ext16 => {
                let length = self.u16()?;
                Head::Extension(self.u8()?, length)
            }
            Marker::Ext32 => {
                let length = self.u32()?;
                Head::Extension(self.u8()?, length)
            }
            Marker::Reserved => return Err(Error::Malformed("the byte c1 begins no value")),
        })
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(TOO_SHORT)?;
        self.rest = rest;
        Ok(*taken)
    }

    fn bytes(&mut self, length: usize) -> Result<&'a [u8], Error> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(TOO_SHORT)?;
        self.rest = rest;
        Ok(taken)
    }

    fn u8(&mut self) -> Result<u8, Error> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Result<usize, Error> {
        self.array().map(|bytes| u16::from_be_bytes(bytes).into())
    }

    fn u32(&mut self) -> Result<usize, Error> {
        usize::try_from(u32::from_be_bytes(self.array()?)).map_err(|_| TOO_SHORT)
    }

    /// Reads what follows the head of an array or a map.
    fn items<T>(
        &mut self,
        length: usize,
        mut item: impl FnMut(&mut Self) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        self.values = self.values.checked_sub(length).ok_or(TOO_MANY)?;
        self.depth = self.depth.checked_sub(1).ok_or(TOO_DEEP)?;
        let mut items = Vec::with_capacity(length.min(RESERVED_ITEMS));
        for _ in 0..length {
            items.push(item(self)?);
        }
        self.depth += 1;
        Ok(items)
    }

    /// Reads what is in an extension, to its end.
    fn within<T>(
        &mut self,
        length: usize,
        read: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let inside = self.bytes(length)?;
        let after = std::mem::replace(&mut self.rest, inside);
        let read = read(self)?;
        if !self.rest.is_empty() {
            return Err(Error::Malformed("an extension goes on after its value"));
        }
        self.rest = after;
        Ok(read)
    }

    fn pair(&mut self, otherwise: &'static str) -> Result<(), Error> {
        match self.head()? {
            Head::Array(2) => Ok(()),
            _ => Err(Error::Malformed(otherwise)),
        }
    }

    /// Reads what follows the head of an extension.
    fn extension(&mut self, kind: u8, length: usize) -> Result<Value, Error> {
        match kind {
            TUPLE => {
                return self.within(length, |reader| reader.list(Self::value)).map(Value::Tuple);
            }
            SET => return self.within(length, |reader| reader.list(Self::value)).map(Value::Set),
            OPAQUE => return self.within(length, Self::opaque),
            TABLE | MANY => return Err(Error::Malformed("a table or several replies in a value")),
            _ => {}
        }
        let data = self.bytes(length)?;
        let text = || std::str::from_utf8(data).ok();
        let (value, what) = match kind {
            INTEGER if length > INTEGER_BYTES => {
                let why = "an integer has more than 65,536 bytes";
                return Err(Error::Refused(Kind::TooLarge, why));
            }
            DECIMAL if length > NUMBER_DIGITS => {
                let why = "a decimal has more than 4,300 digits";
                return Err(Error::Refused(Kind::TooLarge, why));
            }
            INTEGER => (Some(Value::from_big(BigInt::from_signed_bytes_be(data))), ""),
            DECIMAL => {
                let number = text().and_then(parse_decimal);
                (number.map(|number| Value::Decimal(number.into())), "no decimal in extension 2")
            }
            DATE => {
                let day = text().and_then(date);
                (day.map(|day| Value::Time(Time::Date(day))), "no date in extension 3")
            }
            DATE_TIME => {
                let at = text().and_then(date_time);
                (at.map(|at| Value::Time(Time::DateTime(at))), "no date and time in extension 4")
            }
            SPAN => {
                let span = span(data);
                (span.map(|span| Value::Time(Time::Span(span))), "no span of time in extension 5")
            }
            ABSENT => {
                let object = Opaque { dialect: OWN_DEFAULT, bytes: Blob::new() };
                (Some(Value::Opaque(Arc::new(object))), "")
            }
            _ => (None, "an extension of a type that is no value's"),
        };
        value.ok_or(Error::Malformed(what))
    }

    fn opaque(&mut self) -> Result<Value, Error> {
        self.pair("a foreign object is an array of its dialect's name and its bytes")?;
        let name = self.str()?;
        let dialect = DIALECTS.into_iter().find(|dialect| *dialect == name);
        let unknown = "a foreign object is of no dialect that there is (pickle, msgpack)";
        let dialect = dialect.ok_or(Error::Refused(Kind::Unsupported, unknown))?;
        match self.head()? {
            Head::Bytes(length) => {
                let bytes = Blob::from(self.bytes(length)?);
                Ok(Value::Opaque(Arc::new(Opaque { dialect, bytes })))
            }
            _ => Err(Error::Malformed("the bytes of a foreign object are no bytes")),
        }
    }
}

fn utf8(bytes: &[u8]) -> Result<&str, Error> {
    std::str::from_utf8(bytes).map_err(|_| Error::Malformed("text is not UTF-8"))
}

/// Reads a date alone; by itself the library takes a time of day or a zone as well, and drops it.
fn date(text: &str) -> Option<Date> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    plain.then(|| text.parse().ok())?
}

fn date_time(text: &str) -> Option<DateTime> {
    let (day, time) = text.split_once([' ', 'T'])?;
    let plain = time.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b':' | b'.'));
    let time: jiff::civil::Time = plain.then(|| time.parse().ok())??;
    Some(date(day)?.to_datetime(time))
}

fn span(data: &[u8]) -> Option<SignedDuration> {
    let (seconds, nanos) = data.split_first_chunk()?;
    let seconds = SignedDuration::from_secs(i64::from_be_bytes(*seconds));
    let nanos = i32::from_be_bytes(nanos.try_into().ok()?);
    seconds.checked_add(SignedDuration::from_nanos(nanos.into()))
}

/// The types by their names on the wire.
pub(crate) const TYPES: [(&str, Type); 11] = [
    ("any", Type::Any),
    ("bool", Type::Bool),
    ("int", Type::Int),
    ("number", Type::Number),
    ("float", Type::Float),
    ("decimal", Type::Decimal),
    ("text", Type::Text),
    ("bytes", Type::Bytes),
    ("time", Type::Time),
    ("list", Type::List),
    ("map", Type::Map),
];

/// The type of this name.
pub(crate) fn type_of(name: &str) -> Option<Type> {
    TYPES.into_iter().find(|(known, _)| *known == name).map(|(_, kind)| kind)
}

/// The name of a type.
pub(crate) const fn type_name(kind: Type) -> &'static str {
    match kind {
        Type::Any => "any",
        Type::Bool => "bool",
        Type::Int => "int",
        Type::Number => "number",
        Type::Float => "float",
        Type::Decimal => "decimal",
        Type::Text => "text",
        Type::Bytes => "bytes",
        Type::Time => "time",
        Type::List => "list",
        Type::Map => "map",
    }
}

/// Appends a value.
///
/// # Errors
/// What no frame can hold. What was appended until then has to be taken off again.
pub(crate) fn append(out: &mut Vec<u8>, value: &Value) -> Result<(), Fault> {
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
pub(crate) fn append_reply(out: &mut Vec<u8>, reply: &Reply) -> Result<(), Fault> {
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
pub(crate) fn append_columns(out: &mut Vec<u8>, columns: &[Column]) -> Result<(), Fault> {
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
pub(crate) fn append_list<T>(
    out: &mut Vec<u8>,
    items: &[T],
    each: impl Fn(&mut Vec<u8>, &T) -> Result<(), Fault>,
) -> Result<(), Fault> {
    sure(write::write_array_len(out, length(items.len())?));
    items.iter().try_for_each(|item| each(out, item))
}

/// Appends a map with text keys.
pub(crate) fn append_named(out: &mut Vec<u8>, pairs: &[(Text, Value)]) -> Result<(), Fault> {
    sure(write::write_map_len(out, length(pairs.len())?));
    pairs.iter().try_for_each(|(name, value)| {
        append_str(out, name)?;
        append(out, value)
    })
}

/// Appends text.
pub(crate) fn append_str(out: &mut Vec<u8>, text: &str) -> Result<(), Fault> {
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
pub(crate) fn append_u64(out: &mut Vec<u8>, number: u64) {
    sure(write::write_uint(out, number));
}

/// Appends null.
pub(crate) fn append_nil(out: &mut Vec<u8>) {
    sure(write::write_nil(out));
}

/// Appends the head of an array.
pub(crate) fn append_array(out: &mut Vec<u8>, elements: u32) {
    sure(write::write_array_len(out, elements));
}

fn text_extension(out: &mut Vec<u8>, kind: u8, text: &str) -> Result<(), Fault> {
    extension(out, kind, |out| {
        out.extend_from_slice(text.as_bytes());
        Ok(())
    })
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
pub(crate) fn set_length(out: &mut [u8], start: usize, head: usize) -> Result<(), Fault> {
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
