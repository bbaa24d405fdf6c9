//! MessagePack bytes to values and back.

use jiff::Timestamp;
use jiff::tz::Offset;
use num_traits::ToPrimitive as _;
use polyport_core::{Blob, Opaque, Text, Time, Value};
use rmp::Marker;
use rmp::encode as write;

use super::{Bounds, Error, TOO_DEEP, TOO_MANY};

/// The dialect of extension values, which go back as they came.
pub(crate) const EXTENSION: &str = "msgpack";

/// The extension type that every implementation knows as a point of time.
const TIMESTAMP: u8 = 0xff;

/// Reserved before the elements have arrived; longer arrays and maps grow.
const RESERVED_ITEMS: usize = 64;

/// Reads values off the front of some bytes.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    depth: usize,
    values: usize,
    /// Whether a head was seen that writers before 2013 did not have.
    pub(crate) new_style: bool,
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8], bounds: Bounds) -> Self {
        let Bounds { depth, values } = bounds;
        Self { rest: bytes, depth, values, new_style: false }
    }

    /// The bytes that are not read yet.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Reads one value with all that is in it.
    pub(crate) fn value(&mut self) -> Result<Value, Error> {
        self.values = self.values.checked_sub(1).ok_or(TOO_MANY)?;
        Ok(match Marker::from_u8(self.u8()?) {
            Marker::Null => Value::Null,
            Marker::True => Value::Bool(true),
            Marker::False => Value::Bool(false),
            Marker::FixPos(number) => Value::Int(number.into()),
            Marker::FixNeg(number) => Value::Int(number.into()),
            Marker::U8 => Value::Int(self.u8()?.into()),
            Marker::U16 => Value::Int(u16::from_be_bytes(self.array()?).into()),
            Marker::U32 => Value::Int(u32::from_be_bytes(self.array()?).into()),
            Marker::U64 => {
                let number = u64::from_be_bytes(self.array()?);
                i64::try_from(number).map_or_else(|_| Value::from_big(number.into()), Value::Int)
            }
            Marker::I8 => Value::Int(i8::from_be_bytes(self.array()?).into()),
            Marker::I16 => Value::Int(i16::from_be_bytes(self.array()?).into()),
            Marker::I32 => Value::Int(i32::from_be_bytes(self.array()?).into()),
            Marker::I64 => Value::Int(i64::from_be_bytes(self.array()?)),
            Marker::F32 => Value::Float(f32::from_be_bytes(self.array()?).into()),
            Marker::F64 => Value::Float(f64::from_be_bytes(self.array()?)),
            Marker::FixStr(length) => text(self.bytes(length.into())?),
            Marker::Str8 => {
                self.new_style = true;
                let length = self.u8()?;
                text(self.bytes(length.into())?)
            }
            Marker::Str16 => {
                let length = self.u16()?;
                text(self.bytes(length)?)
            }
            Marker::Str32 => {
                let length = self.u32()?;
                text(self.bytes(length)?)
            }
            Marker::Bin8 => {
                let length = self.u8()?;
                self.binary(length.into())?
            }
            Marker::Bin16 => {
                let length = self.u16()?;
                self.binary(length)?
            }
            Marker::Bin32 => {
                let length = self.u32()?;
                self.binary(length)?
            }
            Marker::FixArray(length) => self.list(length.into())?,
            Marker::Array16 => {
                let length = self.u16()?;
                self.list(length)?
            }
            Marker::Array32 => {
                let length = self.u32()?;
                self.list(length)?
            }
            Marker::FixMap(length) => self.map(length.into())?,
            Marker::Map16 => {
                let length = self.u16()?;
                self.map(length)?
            }
            Marker::Map32 => {
                let length = self.u32()?;
                self.map(length)?
            }
            Marker::FixExt1 => self.extension(1)?,
            Marker::FixExt2 => self.extension(2)?,
            Marker::FixExt4 => self.extension(4)?,
            Marker::FixExt8 => self.extension(8)?,
            Marker::FixExt16 => self.extension(16)?,
            Marker::Ext8 => {
                let length = self.u8()?;
                self.extension(length.into())?
            }
            Marker::Ext16 => {
                let length = self.u16()?;
                self.extension(length)?
            }
            Marker::Ext32 => {
                let length = self.u32()?;
                self.extension(length)?
            }
            Marker::Reserved => return Err(Error::Malformed("the byte c1 begins no value")),
        })
    }

    /// Reads the head of an array and gives its length.
    pub(crate) fn array_length(&mut self) -> Result<usize, Error> {
        match Marker::from_u8(self.u8()?) {
            Marker::FixArray(length) => Ok(length.into()),
            Marker::Array16 => self.u16(),
            Marker::Array32 => self.u32(),
            _ => Err(Error::Malformed("a message is an array")),
        }
    }

    /// Reads the head of a map and gives its length; `None` when it is no map.
    pub(crate) fn map_length(&mut self) -> Result<Option<usize>, Error> {
        self.depth = self.depth.checked_sub(1).ok_or(TOO_DEEP)?;
        Ok(Some(match Marker::from_u8(self.u8()?) {
            Marker::FixMap(length) => length.into(),
            Marker::Map16 => self.u16()?,
            Marker::Map32 => self.u32()?,
            _ => return Ok(None),
        }))
    }

    /// Reads the key of a map; `None` when it is no text, or a longer one than any name.
    pub(crate) fn name(&mut self) -> Result<Option<&'a [u8]>, Error> {
        let length = match self.rest {
            [head @ 0xa0..=0xbf, rest @ ..] => {
                self.rest = rest;
                usize::from(head & 0x1f)
            }
            [0xd9, length, rest @ ..] => {
                self.rest = rest;
                usize::from(*length)
            }
            _ => return self.value().map(|_| None),
        };
        self.bytes(length).map(Some)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(Error::Incomplete)?;
        self.rest = rest;
        Ok(*taken)
    }

    fn bytes(&mut self, length: usize) -> Result<&'a [u8], Error> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Error::Incomplete)?;
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
        let length = u32::from_be_bytes(self.array()?);
        usize::try_from(length).map_err(|_| Error::TooLarge("a length does not fit into memory"))
    }

    fn binary(&mut self, length: usize) -> Result<Value, Error> {
        self.new_style = true;
        self.bytes(length).map(|bytes| Value::Bytes(Blob::from(bytes)))
    }

    fn list(&mut self, length: usize) -> Result<Value, Error> {
        self.depth = self.depth.checked_sub(1).ok_or(TOO_DEEP)?;
        let mut items = Vec::with_capacity(length.min(RESERVED_ITEMS));
        for _ in 0..length {
            items.push(self.value()?);
        }
        self.depth += 1;
        Ok(Value::List(items))
    }

    fn map(&mut self, length: usize) -> Result<Value, Error> {
        self.depth = self.depth.checked_sub(1).ok_or(TOO_DEEP)?;
        let mut pairs = Vec::with_capacity(length.min(RESERVED_ITEMS));
        for _ in 0..length {
            pairs.push((self.value()?, self.value()?));
        }
        self.depth += 1;
        Ok(Value::Map(pairs))
    }

    /// Reads what follows the head of an extension value.
    fn extension(&mut self, length: usize) -> Result<Value, Error> {
        let kind = self.u8()?;
        let data = self.bytes(length)?;
        if kind == TIMESTAMP
            && let Some(time) = timestamp(data)
        {
            return Ok(time);
        }
        let mut bytes = Vec::with_capacity(data.len() + 6);
        // The length was read from 32 bits.
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        sure(write::write_ext_meta(&mut bytes, length, i8::from_be_bytes([kind])));
        bytes.extend_from_slice(data);
        let object = Opaque { dialect: EXTENSION, bytes: Blob::from(bytes) };
        Ok(Value::Opaque(std::sync::Arc::new(object)))
    }
}

/// Old writers mark text and bytes alike, so what is no UTF-8 was bytes.
fn text(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => Value::Text(Text::from(text)),
        Err(_) => Value::Bytes(Blob::from(bytes)),
    }
}

/// Reads a timestamp of 32, 64 or 96 bits as the time of day in UTC.
fn timestamp(data: &[u8]) -> Option<Value> {
    let (seconds, nanos) = match data.len() {
        4 => (u32::from_be_bytes(data.try_into().ok()?).into(), 0),
        8 => {
            let both = u64::from_be_bytes(data.try_into().ok()?);
            (i64::try_from(both & 0x3_ffff_ffff).ok()?, i32::try_from(both >> 34).ok()?)
        }
        12 => {
            let (nanos, seconds) = data.split_first_chunk()?;
            let nanos = i32::try_from(u32::from_be_bytes(*nanos)).ok()?;
            (i64::from_be_bytes(seconds.try_into().ok()?), nanos)
        }
        _ => return None,
    };
    let at = Timestamp::new(seconds, nanos).ok()?;
    Some(Value::Time(Time::DateTime(Offset::UTC.to_datetime(at))))
}

/// Finds the end of a value without reading it. Takes each byte once, however often more come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scan {
    position: usize,
    wanted: u64,
}

impl Default for Scan {
    fn default() -> Self {
        Self { position: 0, wanted: 1 }
    }
}

impl Scan {
    /// How many bytes the value has at least.
    pub(crate) const fn position(self) -> usize {
        self.position
    }

    /// Goes on through bytes that begin as those of the last time did; true when the value has
    /// ended, at [`Scan::position`].
    pub(crate) fn advance(&mut self, bytes: &[u8]) -> Result<bool, Error> {
        while self.wanted > 0 {
            let Some((head, rest)) = bytes.get(self.position..).and_then(|b| b.split_first())
            else {
                return Ok(false);
            };
            let Some((skip, values)) = content(*head, rest)? else { return Ok(false) };
            self.position = self.position.saturating_add(1).saturating_add(skip);
            self.wanted = (self.wanted - 1).saturating_add(values);
        }
        Ok(self.position <= bytes.len())
    }
}

/// What follows a head byte: how many bytes, then how many values. `None` when the bytes that
/// hold the length are not there yet.
fn content(head: u8, rest: &[u8]) -> Result<Option<(usize, u64)>, Error> {
    let length = |bytes: usize| {
        let bytes = rest.get(..bytes)?;
        Some(bytes.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte)))
    };
    let data = |width: usize, more: usize| {
        let bytes = usize::try_from(length(width)?).unwrap_or(usize::MAX);
        Some((bytes.saturating_add(width + more), 0))
    };
    let items = |width: usize, each: u64| Some((width, length(width)? * each));
    Ok(match Marker::from_u8(head) {
        Marker::Null | Marker::True | Marker::False => Some((0, 0)),
        Marker::FixPos(_) | Marker::FixNeg(_) => Some((0, 0)),
        Marker::U8 | Marker::I8 => Some((1, 0)),
        Marker::U16 | Marker::I16 | Marker::FixExt1 => Some((2, 0)),
        Marker::FixExt2 => Some((3, 0)),
        Marker::U32 | Marker::I32 | Marker::F32 => Some((4, 0)),
        Marker::FixExt4 => Some((5, 0)),
        Marker::U64 | Marker::I64 | Marker::F64 => Some((8, 0)),
        Marker::FixExt8 => Some((9, 0)),
        Marker::FixExt16 => Some((17, 0)),
        Marker::FixStr(bytes) => Some((bytes.into(), 0)),
        Marker::Str8 | Marker::Bin8 => data(1, 0),
        Marker::Str16 | Marker::Bin16 => data(2, 0),
        Marker::Str32 | Marker::Bin32 => data(4, 0),
        Marker::Ext8 => data(1, 1),
        Marker::Ext16 => data(2, 1),
        Marker::Ext32 => data(4, 1),
        Marker::FixArray(items) => Some((0, items.into())),
        Marker::Array16 => items(2, 1),
        Marker::Array32 => items(4, 1),
        Marker::FixMap(pairs) => Some((0, u64::from(pairs) * 2)),
        Marker::Map16 => items(2, 2),
        Marker::Map32 => items(4, 2),
        Marker::Reserved => return Err(Error::Malformed("the byte c1 begins no value")),
    })
}

/// Appends a value. `new_style` tells whether the reader knows the heads of 2013, which tell
/// bytes from text and save a byte for text of 32 to 255 bytes.
///
/// # Errors
/// What MessagePack cannot say. What was appended until then has to be taken off again.
pub(crate) fn append(
    out: &mut Vec<u8>,
    value: &Value,
    new_style: bool,
) -> Result<(), &'static str> {
    match value {
        Value::Null => sure(write::write_nil(out)),
        Value::Bool(flag) => sure(write::write_bool(out, *flag)),
        Value::Int(number) => sure(write::write_sint(out, *number)),
        Value::Big(number) => {
            let number = number.to_u64().ok_or("an integer is wider than 64 bits")?;
            sure(write::write_uint(out, number));
        }
        Value::Float(number) => sure(write::write_f64(out, *number)),
        Value::Decimal(number) => return append_text(out, &number.to_plain_string(), new_style),
        Value::Text(text) => return append_text(out, text, new_style),
        Value::Time(time) => return append_text(out, &time.to_string(), new_style),
        Value::Bytes(bytes) if new_style => {
            sure(write::write_bin_len(out, length(bytes.len())?));
            out.extend_from_slice(bytes);
        }
        Value::Bytes(bytes) => return append_raw(out, bytes),
        Value::List(items) | Value::Tuple(items) | Value::Set(items) => {
            sure(write::write_array_len(out, length(items.len())?));
            for item in items {
                append(out, item, new_style)?;
            }
        }
        Value::Map(pairs) => {
            sure(write::write_map_len(out, length(pairs.len())?));
            for (key, value) in pairs {
                append_key(out, key, new_style)?;
                append(out, value, new_style)?;
            }
        }
        Value::Opaque(object) if object.dialect == EXTENSION => {
            out.extend_from_slice(&object.bytes);
        }
        Value::Opaque(_) => return Err("an object of another dialect"),
    }
    Ok(())
}

/// Lists and maps cannot be keys in Python and most other languages; there they are their JSON.
fn append_key(out: &mut Vec<u8>, key: &Value, new_style: bool) -> Result<(), &'static str> {
    match key {
        Value::List(_) | Value::Tuple(_) | Value::Set(_) | Value::Map(_) => {
            append_text(out, &polyport_core::json::to_string(key), new_style)
        }
        key => append(out, key, new_style),
    }
}

/// Appends text.
pub(crate) fn append_text(
    out: &mut Vec<u8>,
    text: &str,
    new_style: bool,
) -> Result<(), &'static str> {
    if !new_style {
        return append_raw(out, text.as_bytes());
    }
    sure(write::write_str_len(out, length(text.len())?));
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

/// Appends text or bytes as every reader knows them, without the head `d9` of 2013.
fn append_raw(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), &'static str> {
    match u16::try_from(bytes.len()) {
        Ok(length @ 32..=255) => {
            out.push(Marker::Str16.to_u8());
            out.extend_from_slice(&length.to_be_bytes());
        }
        _ => sure(write::write_str_len(out, length(bytes.len())?)),
    }
    out.extend_from_slice(bytes);
    Ok(())
}

fn length(length: usize) -> Result<u32, &'static str> {
    u32::try_from(length).map_err(|_| "a value is longer than 4 GiB")
}

/// Writing to a vector does not fail.
fn sure<T, E>(written: Result<T, E>) {
    debug_assert!(written.is_ok());
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { depth: 10, values: 1000 };

    fn read(bytes: &[u8]) -> Result<Value, Error> {
        let mut reader = Reader::new(bytes, BOUNDS);
        let value = reader.value()?;
        assert!(reader.rest().is_empty());
        Ok(value)
    }

    fn written(value: &Value, new_style: bool) -> Vec<u8> {
        let mut out = Vec::new();
        append(&mut out, value, new_style).unwrap();
        out
    }

    fn samples() -> Vec<Value> {
        let text = |length: usize| Value::Text("é".repeat(length / 2).into());
        vec![
            Value::Null,
            Value::Bool(true),
            Value::Bool(false),
            Value::Float(0.25),
            Value::from_big(u64::MAX.into()),
            text(30),
            text(32),
            text(254),
            text(256),
            text(65_534),
            text(65_536),
            Value::Bytes(b"\xff\0".into()),
            Value::Bytes(vec![0xff; 300].into()),
            Value::Bytes(vec![0xff; 70_000].into()),
            Value::List((0..15).map(Value::Int).collect()),
            Value::List((0..16).map(Value::Int).collect()),
            Value::Map(vec![(Value::Int(1), Value::Null), ("k".into(), Value::List(vec![]))]),
        ]
    }

    #[test]
    fn every_value_reads_back_as_written_in_both_styles() {
        for value in samples() {
            for new_style in [false, true] {
                assert_eq!(read(&written(&value, new_style)), Ok(value.clone()));
            }
        }
    }

    #[test]
    fn integers_take_their_narrowest_form() {
        let edges = [0, 127, 128, 255, 256, 65_535, 65_536, 1 << 32, i64::MAX, -1, -32, -33];
        let wide = [-128, -129, -32_768, -32_769, -(1 << 31), -(1 << 31) - 1, i64::MIN];
        for number in edges.into_iter().chain(wide) {
            assert_eq!(read(&written(&Value::Int(number), true)), Ok(Value::Int(number)));
        }
        assert_eq!(written(&Value::Int(180), true), [0xcc, 0xb4]);
        assert_eq!(written(&Value::Int(-1), true), [0xff]);
    }

    #[test]
    fn text_of_32_to_255_bytes_has_no_head_of_2013_in_the_old_style() {
        let value = Value::Text("x".repeat(40).into());
        assert_eq!(written(&value, false)[..3], [0xda, 0, 40]);
        assert_eq!(written(&value, true)[..2], [0xd9, 40]);
    }

    #[test]
    fn bytes_are_raw_in_the_old_style_and_read_as_text_where_they_are_text() {
        let bytes = Value::Bytes(b"ab".into());
        assert_eq!(written(&bytes, false), b"\xa2ab");
        assert_eq!(written(&bytes, true), b"\xc4\x02ab");
        assert_eq!(read(b"\xa2ab"), Ok("ab".into()));
        assert_eq!(read(b"\xa2a\xff"), Ok(Value::Bytes(b"a\xff".into())));
    }

    #[test]
    fn the_reader_notes_heads_of_2013() {
        for (bytes, new) in [(&b"\xd9\x01a"[..], true), (b"\xc4\x01a", true), (b"\xa1a", false)] {
            let mut reader = Reader::new(bytes, BOUNDS);
            reader.value().unwrap();
            assert_eq!(reader.new_style, new);
        }
    }

    #[test]
    fn what_messagepack_cannot_say_is_an_error() {
        let wide = Value::from_big(num_bigint::BigInt::from(u64::MAX) + 1);
        let pickle = Opaque { dialect: "pickle", bytes: b"x".into() };
        for value in [wide, Value::Opaque(pickle.into())] {
            assert!(append(&mut Vec::new(), &Value::List(vec![value]), true).is_err());
        }
    }

    #[test]
    fn extension_values_go_back_as_they_came() {
        for bytes in [&b"\xd4\x05a"[..], b"\xc7\x03\x05abc", b"\xd8\x05abcdefghijklmnop"] {
            let value = read(bytes).unwrap();
            assert_eq!(written(&value, true), bytes);
        }
    }

    #[test]
    fn timestamps_of_all_widths_are_times() {
        let moment = |bytes: &[u8]| read(bytes).unwrap().to_string();
        assert_eq!(moment(b"\xd6\xff\0\0\0\x01"), "1970-01-01 00:00:01");
        let half = (500_000_000_u64 << 34 | 1).to_be_bytes();
        assert_eq!(moment(&[b"\xd7\xff", &half[..]].concat()), "1970-01-01 00:00:01.500000");
        let before = [&b"\xc7\x0c\xff\0\0\0\0"[..], &(-1_i64).to_be_bytes()].concat();
        assert_eq!(moment(&before), "1969-12-31 23:59:59");
    }

    #[test]
    fn keys_that_python_cannot_hash_are_text() {
        let map = Value::Map(vec![(Value::Tuple(vec![Value::Int(1)]), Value::Null)]);
        assert_eq!(written(&map, true), b"\x81\xa3[1]\xc0");
    }

    #[test]
    fn nesting_and_number_of_values_are_bounded() {
        assert!(read(&[&[0x91; 10][..], &[0xc0]].concat()).is_ok());
        assert_eq!(read(&[&[0x91; 11][..], &[0xc0]].concat()), Err(TOO_DEEP));
        assert_eq!(read(&[0x91; 100_000]), Err(TOO_DEEP));
        let many = [&b"\xdc\x03\xe8"[..], &[0xc0; 1000]].concat();
        assert_eq!(read(&many), Err(TOO_MANY));
    }

    #[test]
    fn a_length_reserves_nothing_before_its_bytes_arrive() {
        for head in [&b"\xdd\xff\xff\xff\xff"[..], b"\xdf\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff"]
        {
            assert_eq!(read(head), Err(Error::Incomplete));
        }
    }

    #[test]
    fn the_scan_ends_where_the_reader_does_however_the_bytes_are_cut() {
        for value in samples() {
            let bytes = written(&value, true);
            for cut in (0..bytes.len()).take(300) {
                assert_eq!(read(&bytes[..cut]), Err(Error::Incomplete));
                let mut scan = Scan::default();
                assert_eq!(scan.advance(&bytes[..cut]), Ok(false));
                let more = [&bytes[..], b"\x01"].concat();
                assert_eq!(scan.advance(&more), Ok(true));
                assert_eq!(scan.position(), bytes.len());
            }
        }
        assert!(Scan::default().advance(b"\x91\xc1").is_err());
    }
}
