//! Column types: which one fits all values of a column, and how it is announced.

use polyport_core::{Time, Type, Value};

use super::put_lenenc_bytes;
use crate::sql::Charset;

/// The type of a column on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ColumnType {
    /// Truth.
    Tiny,
    /// An integer within 32 bits. Node's mariadb 3.5 makes a number of it, and a `BigInt` of the
    /// longer ones, which is why short ones are not widened.
    Long,
    /// An integer within 64 bits.
    LongLong {
        unsigned: bool,
    },
    Double,
    Decimal {
        digits: u32,
        scale: u8,
    },
    Date,
    DateTime {
        micros: bool,
    },
    Span {
        micros: bool,
    },
    Text {
        longest: u32,
    },
    Blob {
        longest: u32,
    },
    Json {
        longest: u32,
    },
}

/// Digits after the point that a decimal column has at most.
const MOST_SCALE: u8 = 30;

/// Stands for a number of digits after the point that differs from row to row.
pub(crate) const NOT_FIXED: u8 = 31;

/// The length announced for text that is not yet known: MySQL's longest `VARCHAR`.
const UNKNOWN_LENGTH: u32 = 16_383;

impl ColumnType {
    /// The type of a column whose values are not known yet, from what is declared.
    pub(crate) const fn declared(kind: Type) -> Self {
        match kind {
            Type::Bool => Self::Tiny,
            Type::Int => Self::LongLong { unsigned: false },
            Type::Number | Type::Float => Self::Double,
            Type::Decimal => Self::Decimal { digits: 65, scale: NOT_FIXED },
            Type::Time => Self::DateTime { micros: true },
            Type::Bytes => Self::Blob { longest: UNKNOWN_LENGTH },
            Type::List | Type::Map => Self::Json { longest: UNKNOWN_LENGTH },
            Type::Any | Type::Text => Self::Text { longest: UNKNOWN_LENGTH },
        }
    }

    /// Type number, length, flags, decimals.
    fn facts(self) -> (u8, u32, u16, u8) {
        const UNSIGNED: u16 = 0x20;
        const BINARY: u16 = 0x80;
        const BLOB: u16 = 0x10;
        let fraction = |micros: bool| if micros { 6 } else { 0 };
        let point = |decimals: u8| if decimals == 0 { 0 } else { u32::from(decimals) + 1 };
        match self {
            Self::Tiny => (0x01, 1, BINARY, 0),
            Self::Long => (0x03, 11, BINARY, 0),
            Self::LongLong { unsigned: false } => (0x08, 20, BINARY, 0),
            Self::LongLong { unsigned: true } => (0x08, 20, BINARY | UNSIGNED, 0),
            Self::Double => (0x05, 22, BINARY, NOT_FIXED),
            Self::Decimal { digits, scale } => (0xf6, digits + 2, BINARY, scale),
            Self::Date => (0x0a, 10, BINARY, 0),
            Self::DateTime { micros } => {
                let decimals = fraction(micros);
                (0x0c, 19 + point(decimals), BINARY, decimals)
            }
            Self::Span { micros } => {
                let decimals = fraction(micros);
                (0x0b, 10 + point(decimals), BINARY, decimals)
            }
            // A length in bytes of up to four for each character.
            Self::Text { longest } => (0xfd, longest.saturating_mul(4), 0, NOT_FIXED),
            Self::Blob { longest } => (0xfc, longest, BINARY | BLOB, 0),
            Self::Json { longest } => (0xf5, longest.saturating_mul(4), BINARY | BLOB, NOT_FIXED),
        }
    }
}

/// Writes a column's definition. It never says `NOT NULL`: the `mariadb` client widens columns
/// that may be null to four characters, as the tables of pymysqlrpc's users look.
pub(crate) fn write(out: &mut Vec<u8>, name: &str, kind: ColumnType, charset: Charset) {
    write_head(out, name, charset);
    let collation = match charset {
        _ if !matches!(kind, ColumnType::Text { .. }) => BINARY_COLLATION,
        Charset::Latin1 => 8,
        Charset::Ascii => 11,
        // Connector/J asks for no conversion at all, and still reads what text is from here.
        Charset::Utf8 | Charset::Binary => 45,
    };
    write_fixed(out, kind, collation);
}

/// Writes a column's definition with its default value, as the list of a table's fields has it.
pub(crate) fn write_field(out: &mut Vec<u8>, name: &str, default: Option<&str>, charset: Charset) {
    write(out, name, ColumnType::Text { longest: UNKNOWN_LENGTH }, charset);
    match default {
        Some(text) => put_lenenc_bytes(out, text.as_bytes()),
        None => out.push(0xfb),
    }
}

/// Writes the definition of a prepared statement's parameter, whose type comes with its value.
pub(crate) fn write_parameter(out: &mut Vec<u8>) {
    write_head(out, "?", Charset::Utf8);
    write_fixed(out, ColumnType::Text { longest: 0 }, BINARY_COLLATION);
}

fn write_head(out: &mut Vec<u8>, name: &str, charset: Charset) {
    // Catalogue, then the names of database and table, as alias and original: none.
    out.extend_from_slice(b"\x03def\0\0\0");
    match charset.encode(name) {
        None => put_lenenc_bytes(out, name.as_bytes()),
        Some(name) => put_lenenc_bytes(out, &name),
    }
    out.push(0);
}

/// The collation of all that is no text; Python's drivers decode a column that has another.
const BINARY_COLLATION: u16 = 63;

fn write_fixed(out: &mut Vec<u8>, kind: ColumnType, collation: u16) {
    let (number, length, flags, decimals) = kind.facts();
    out.push(0x0c);
    out.extend_from_slice(&collation.to_le_bytes());
    out.extend_from_slice(&length.to_le_bytes());
    out.push(number);
    out.extend_from_slice(&flags.to_le_bytes());
    out.extend_from_slice(&[decimals, 0, 0]);
}

/// Finds the type that fits all values of a column, fed one by one. Nulls fit every type.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Common {
    kinds: u16,
    negative: bool,
    beyond_i32: bool,
    beyond_i64: bool,
    beyond_u64: bool,
    digits: u32,
    scale: u8,
    micros: bool,
    longest: u32,
}

const BOOL: u16 = 1;
const INT: u16 = 1 << 1;
const DECIMAL: u16 = 1 << 2;
const FLOAT: u16 = 1 << 3;
const DATE: u16 = 1 << 4;
const DATE_TIME: u16 = 1 << 5;
const SPAN: u16 = 1 << 6;
const TEXT: u16 = 1 << 7;
const BYTES: u16 = 1 << 8;
const JSON: u16 = 1 << 9;
const ANY_TIME: u16 = 1 << 10;

impl Common {
    /// Begins with what is declared; values then widen it.
    pub(crate) const fn new(declared: Type) -> Self {
        let kinds = match declared {
            Type::Any => 0,
            Type::Bool => BOOL,
            Type::Int => INT,
            Type::Number | Type::Float => FLOAT,
            Type::Decimal => DECIMAL,
            Type::Text => TEXT,
            Type::Bytes => BYTES,
            Type::Time => ANY_TIME,
            Type::List | Type::Map => JSON,
        };
        Self {
            kinds,
            negative: false,
            beyond_i32: false,
            beyond_i64: false,
            beyond_u64: false,
            digits: 0,
            scale: 0,
            micros: false,
            longest: 0,
        }
    }

    /// Takes one value into account.
    pub(crate) fn add(&mut self, value: &Value) {
        let length = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        self.kinds |= match value {
            Value::Null => 0,
            Value::Bool(_) => BOOL,
            Value::Int(number) => {
                self.negative |= *number < 0;
                self.beyond_i32 |= i32::try_from(*number).is_err();
                self.digits = self.digits.max(19);
                INT
            }
            Value::Big(number) => {
                self.negative |= number.sign() == num_bigint::Sign::Minus;
                self.beyond_i32 = true;
                self.beyond_i64 = true;
                self.beyond_u64 |= u64::try_from(&**number).is_err();
                self.digits = self.digits.max(length(number.to_string().len()));
                INT
            }
            Value::Float(_) => FLOAT,
            Value::Decimal(number) => {
                let (_, scale) = number.as_bigint_and_scale();
                let scale = scale.clamp(0, i64::from(MOST_SCALE));
                self.scale = self.scale.max(u8::try_from(scale).unwrap_or(MOST_SCALE));
                self.digits = self.digits.max(u32::try_from(number.digits()).unwrap_or(u32::MAX));
                DECIMAL
            }
            Value::Time(Time::Date(_)) => DATE,
            Value::Time(Time::DateTime(at)) => {
                self.micros |= at.time().subsec_nanosecond() >= 1000;
                DATE_TIME
            }
            Value::Time(Time::Span(span)) => {
                self.micros |= span.subsec_nanos().unsigned_abs() >= 1000;
                SPAN
            }
            Value::Text(text) => {
                self.longest = self.longest.max(length(text.len()));
                TEXT
            }
            Value::Bytes(bytes) => {
                self.longest = self.longest.max(length(bytes.len()));
                BYTES
            }
            Value::List(_) | Value::Tuple(_) | Value::Set(_) | Value::Map(_) => {
                self.longest = self.longest.max(UNKNOWN_LENGTH);
                JSON
            }
            Value::Opaque(_) => TEXT,
        };
    }

    /// The type that fits all.
    pub(crate) fn column_type(self) -> ColumnType {
        let only = |allowed: u16| self.kinds & !allowed == 0;
        let has = |kind: u16| self.kinds & kind != 0;
        // What does not fit its own type is shown as text, which is this long at most.
        let longest = if only(TEXT | BYTES | JSON) { self.longest } else { self.longest.max(255) };
        if self.kinds == 0 {
            ColumnType::Text { longest }
        } else if only(BOOL) {
            ColumnType::Tiny
        } else if only(BOOL | INT) {
            self.integer()
        } else if only(BOOL | INT | DECIMAL) {
            self.decimal()
        } else if only(BOOL | INT | DECIMAL | FLOAT) {
            ColumnType::Double
        } else if only(DATE) {
            ColumnType::Date
        } else if only(SPAN | ANY_TIME) && has(SPAN) {
            ColumnType::Span { micros: self.micros }
        } else if only(DATE | ANY_TIME) && has(DATE) {
            ColumnType::Date
        } else if only(DATE | DATE_TIME | ANY_TIME) {
            ColumnType::DateTime { micros: self.micros }
        } else if only(JSON) {
            ColumnType::Json { longest }
        } else if has(BYTES) {
            ColumnType::Blob { longest: longest.saturating_mul(if has(TEXT) { 4 } else { 1 }) }
        } else {
            ColumnType::Text { longest }
        }
    }

    fn integer(self) -> ColumnType {
        if self.beyond_u64 || (self.beyond_i64 && self.negative) {
            ColumnType::Decimal { digits: self.digits, scale: 0 }
        } else if self.beyond_i32 {
            ColumnType::LongLong { unsigned: self.beyond_i64 }
        } else {
            ColumnType::Long
        }
    }

    fn decimal(self) -> ColumnType {
        let digits = self.digits.saturating_add(u32::from(self.scale));
        ColumnType::Decimal { digits, scale: self.scale }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn common(values: &[Value]) -> ColumnType {
        let mut common = Common::default();
        values.iter().for_each(|value| common.add(value));
        common.column_type()
    }

    fn big(text: &str) -> Value {
        Value::from_big(text.parse().unwrap())
    }

    fn decimal(text: &str) -> Value {
        Value::Decimal(Box::new(text.parse().unwrap()))
    }

    #[test]
    fn integers_take_the_shortest_type_that_holds_them_all() {
        let small = Value::Int(i64::from(i32::MIN));
        assert_eq!(common(&[small.clone(), Value::Null, Value::Bool(true)]), ColumnType::Long);
        let wide = Value::Int(1 << 40);
        assert_eq!(common(&[small, wide]), ColumnType::LongLong { unsigned: false });
        let unsigned = big("18446744073709551615");
        let column = common(&[Value::Int(1), unsigned.clone()]);
        assert_eq!(column, ColumnType::LongLong { unsigned: true });
        let mixed = common(&[Value::Int(-1), unsigned]);
        assert_eq!(mixed, ColumnType::Decimal { digits: 20, scale: 0 });
        let huge = common(&[big("-123456789012345678901234567890")]);
        assert_eq!(huge, ColumnType::Decimal { digits: 31, scale: 0 });
    }

    #[test]
    fn a_null_changes_no_type_wherever_it_stands() {
        for values in [[Value::Null, Value::Int(1)], [Value::Int(1), Value::Null]] {
            assert_eq!(common(&values), ColumnType::Long);
        }
        assert_eq!(common(&[Value::Null]), ColumnType::Text { longest: 0 });
    }

    #[test]
    fn numbers_meet_in_the_type_that_loses_least() {
        let column = common(&[Value::Int(1), decimal("1.50")]);
        assert!(matches!(column, ColumnType::Decimal { scale: 2, .. }));
        assert_eq!(common(&[decimal("1.5"), Value::Float(0.1)]), ColumnType::Double);
        assert_eq!(common(&[Value::Bool(true)]), ColumnType::Tiny);
    }

    #[test]
    fn what_does_not_meet_becomes_text_or_bytes() {
        let text = Value::Text("abc".into());
        assert_eq!(common(std::slice::from_ref(&text)), ColumnType::Text { longest: 3 });
        assert!(matches!(common(&[text.clone(), Value::Int(1)]), ColumnType::Text { .. }));
        let bytes = Value::Bytes(b"\xff".into());
        assert!(matches!(common(&[bytes, text]), ColumnType::Blob { .. }));
        let list = Value::List(vec![]);
        assert!(matches!(common(std::slice::from_ref(&list)), ColumnType::Json { .. }));
        assert!(matches!(common(&[list, Value::Int(1)]), ColumnType::Text { .. }));
    }

    #[test]
    fn times_keep_their_kind() {
        let time = |text| Value::Time(Time::parse(text).unwrap());
        assert_eq!(common(&[time("2020-01-02")]), ColumnType::Date);
        let both = common(&[time("2020-01-02"), time("2020-01-02 03:04:05")]);
        assert_eq!(both, ColumnType::DateTime { micros: false });
        assert_eq!(common(&[time("00:00:00.5")]), ColumnType::Span { micros: true });
        let declared = Common::new(Type::Time).column_type();
        assert_eq!(declared, ColumnType::DateTime { micros: false });
    }

    #[test]
    fn text_has_the_collation_of_the_clients_charset_and_all_else_none() {
        let text = ColumnType::Text { longest: 1 };
        for (charset, collation) in
            [(Charset::Utf8, 45), (Charset::Latin1, 8), (Charset::Ascii, 11), (Charset::Binary, 45)]
        {
            let mut out = Vec::new();
            write(&mut out, "", text, charset);
            assert_eq!(out[out.len() - 12], collation);
            write(&mut out, "", ColumnType::Blob { longest: 1 }, charset);
            assert_eq!(out[out.len() - 12], 63);
        }
    }

    #[test]
    fn the_fixed_part_of_a_definition_has_twelve_bytes() {
        let mut out = Vec::new();
        write(&mut out, "sum", ColumnType::Long, Charset::Utf8);
        let head = b"\x03def\0\0\0\x03sum\0\x0c";
        assert_eq!(&out[..head.len()], head);
        assert_eq!(&out[head.len()..], b"\x3f\0\x0b\0\0\0\x03\x80\0\0\0\0");
    }
}
