//! MessagePack bytes to values.

use std::sync::Arc;

use jiff::SignedDuration;
use jiff::civil::{Date, DateTime};
use num_bigint::BigInt;
use polyport_core::function::OWN_DEFAULT;
use polyport_core::types::{NUMBER_DIGITS, parse_decimal};
use polyport_core::{Blob, Column, Kind, Opaque, Reply, Rows, Text, Time, Value};
use rmp::Marker;

use crate::extension::{
    ABSENT, DATE, DATE_TIME, DECIMAL, DIALECTS, INTEGER, MANY, OPAQUE, SET, SPAN, TABLE, TUPLE,
    type_of,
};
use crate::{Bounds, Error, TOO_DEEP, TOO_MANY, TOO_SHORT};

/// Bytes that an integer may have; more are refused, because printing one costs their square.
const INTEGER_BYTES: usize = 64 * 1024;

/// Reserved before the elements are read; longer arrays and maps grow.
const RESERVED_ITEMS: usize = 64;

const FOREIGN: Error =
    Error::Refused(Kind::Unsupported, "foreign objects and absent arguments are not taken here");

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

/// Reads values off the front of bytes that have all arrived.
#[derive(Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    /// What is left of the bounds.
    bounds: Bounds,
}

impl<'a> Reader<'a> {
    /// Reads these bytes.
    #[must_use]
    pub const fn new(bytes: &'a [u8], bounds: Bounds) -> Self {
        Self { rest: bytes, bounds }
    }

    /// Makes sure that nothing is left to read.
    ///
    /// # Errors
    /// [`Error::Malformed`] when something is.
    pub const fn end(&self) -> Result<(), Error> {
        if self.rest.is_empty() { Ok(()) } else { Err(Error::Malformed("bytes follow the value")) }
    }

    /// Reads one value with all that is in it.
    ///
    /// # Errors
    /// When the bytes are no value, or one beyond the bounds.
    pub fn value(&mut self) -> Result<Value, Error> {
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
            Head::Map(length) => Value::Map(self.pairs(length, Self::value)?),
            Head::Extension(kind, length) => self.extension(kind, length)?,
        })
    }

    /// Reads what answers a call: a value, a table, or several answers.
    ///
    /// # Errors
    /// When the bytes are no answer, or one beyond the bounds.
    pub fn reply(&mut self) -> Result<Reply, Error> {
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
    ///
    /// # Errors
    /// When the bytes are neither.
    pub fn columns(&mut self) -> Result<Vec<Column>, Error> {
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
    ///
    /// # Errors
    /// When the bytes are no such array.
    pub fn elements(&mut self, needed: usize) -> Result<usize, Error> {
        match self.head()? {
            Head::Array(length) if length >= needed => Ok(length),
            Head::Array(_) => Err(Error::Malformed("an array has too few elements")),
            _ => Err(Error::Malformed("an array was expected")),
        }
    }

    /// Reads an array.
    ///
    /// # Errors
    /// When the bytes are no array, and those of `item`.
    pub fn list<T>(
        &mut self,
        item: impl FnMut(&mut Self) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let length = self.elements(0)?;
        self.items(length, item)
    }

    /// Reads a map whose keys are text.
    ///
    /// # Errors
    /// When the bytes are no such map.
    pub fn named(&mut self) -> Result<Vec<(Text, Value)>, Error> {
        match self.head()? {
            Head::Map(length) => self.pairs(length, Self::text),
            _ => Err(Error::Malformed("a map was expected")),
        }
    }

    /// Reads text.
    ///
    /// # Errors
    /// When the bytes are no text.
    pub fn text(&mut self) -> Result<Text, Error> {
        self.str().map(Text::from)
    }

    /// Reads text without a copy.
    ///
    /// # Errors
    /// When the bytes are no text.
    pub fn str(&mut self) -> Result<&'a str, Error> {
        match self.head()? {
            Head::Text(length) => utf8(self.bytes(length)?),
            _ => Err(Error::Malformed("text was expected")),
        }
    }

    /// Reads an integer that is not negative.
    ///
    /// # Errors
    /// When the bytes are no such integer.
    pub fn u64(&mut self) -> Result<u64, Error> {
        let number = match self.head()? {
            Head::Int(number) => u64::try_from(number).ok(),
            Head::Large(number) => Some(number),
            _ => None,
        };
        number.ok_or(Error::Malformed("an integer from 0 up was expected"))
    }

    /// Reads nil as nothing.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn optional<T>(
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

    /// Reads what follows the head of an array.
    fn items<T>(
        &mut self,
        length: usize,
        mut item: impl FnMut(&mut Self) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let Bounds { depth, values, .. } = &mut self.bounds;
        *values = values.checked_sub(length).ok_or(TOO_MANY)?;
        *depth = depth.checked_sub(1).ok_or(TOO_DEEP)?;
        let mut items = Vec::with_capacity(length.min(RESERVED_ITEMS));
        for _ in 0..length {
            items.push(item(self)?);
        }
        self.bounds.depth += 1;
        Ok(items)
    }

    /// Reads what follows the head of a map.
    fn pairs<K>(
        &mut self,
        length: usize,
        key: impl Fn(&mut Self) -> Result<K, Error>,
    ) -> Result<Vec<(K, Value)>, Error> {
        // Once more, since a pair takes twice the memory of an item.
        let values = &mut self.bounds.values;
        *values = values.checked_sub(length).ok_or(TOO_MANY)?;
        self.items(length, |reader| Ok((key(reader)?, reader.value()?)))
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
            OPAQUE | ABSENT if !self.bounds.foreign => return Err(FOREIGN),
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
