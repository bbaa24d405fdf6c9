//! Literals as written → values.

use std::borrow::Cow;

use polyport_core::types::{parse_decimal, parse_int};
use polyport_core::{Text, Value};

use super::lexer::Dialect;

/// Whose rules a literal follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    /// SQL's own.
    Sql,
    /// SQL's and Python's, as the arguments of `CALL` are read: pymysqlrpc's users wrote Python
    /// literals, so `0.5` is a float, `b'..'` is bytes, and `\x41` and `\u4e2d` are characters.
    /// Drivers double every backslash of their data, so the two escapes cost them nothing.
    Call,
}

/// Takes doubled quotes and escapes off the inside of a string literal.
pub(super) fn unescape<'t>(
    inside: &'t [u8],
    quote: u8,
    dialect: Dialect,
    language: Language,
) -> Cow<'t, [u8]> {
    let escapes = !dialect.plain_backslash;
    let special = |b: &u8| if escapes { *b == quote || *b == b'\\' } else { *b == quote };
    let Some(first) = inside.iter().position(special) else {
        return Cow::Borrowed(inside);
    };
    let mut bytes = Vec::with_capacity(inside.len());
    let mut rest = inside;
    let mut next = Some(first);
    while let Some((plain, special)) = next.and_then(|at| rest.split_at_checked(at)) {
        bytes.extend_from_slice(plain);
        rest = match special {
            [b'\\', after @ ..] if escapes => unescape_one(after, dialect, language, &mut bytes),
            [byte, after @ ..] => {
                bytes.push(*byte);
                after.get(1..).unwrap_or_default()
            }
            [] => special,
        };
        next =
            if escapes { memchr::memchr2(quote, b'\\', rest) } else { memchr::memchr(quote, rest) };
    }
    bytes.extend_from_slice(rest);
    Cow::Owned(bytes)
}

/// Takes one escape, of which the backslash is read; returns what follows it.
fn unescape_one<'t>(
    after: &'t [u8],
    dialect: Dialect,
    language: Language,
    bytes: &mut Vec<u8>,
) -> &'t [u8] {
    let Some((letter, rest)) = after.split_first() else { return after };
    let plain = match letter {
        b'0' => 0,
        b'b' => 8,
        b't' => b'\t',
        b'n' => b'\n',
        b'r' => b'\r',
        b'Z' => 0x1a,
        b'%' | b'_' => {
            bytes.push(b'\\');
            *letter
        }
        b'x' | b'u' if language == Language::Call => {
            let count = if *letter == b'x' { 2 } else { 4 };
            if let Some((digits, rest)) = rest.split_at_checked(count)
                && let Some(code) = hex_number(digits)
                && let Some(c) = char::from_u32(code)
            {
                let mut utf8 = [0; 4];
                let text = c.encode_utf8(&mut utf8);
                match dialect.charset.encode(text) {
                    Some(own) => bytes.extend_from_slice(&own),
                    None => bytes.extend_from_slice(text.as_bytes()),
                }
                return rest;
            }
            *letter
        }
        other => *other,
    };
    bytes.push(plain);
    rest
}

fn hex_number(digits: &[u8]) -> Option<u32> {
    let plain = digits.iter().all(u8::is_ascii_hexdigit);
    plain.then(|| u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok())?
}

/// Takes the escapes off the inside of Python's `b'..'`, where `\x41` is a byte.
pub(super) fn unescape_bytes(inside: &[u8], quote: u8) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(inside.len());
    let mut rest = inside;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte == quote {
            rest = after.get(1..).unwrap_or_default();
        }
        if *byte != b'\\' {
            bytes.push(*byte);
            continue;
        }
        if let [b'x', high, low, after @ ..] = after
            && let Some(code) = hex_number(&[*high, *low])
        {
            bytes.extend(u8::try_from(code));
            rest = after;
            continue;
        }
        rest = unescape_one(after, Dialect::default(), Language::Sql, &mut bytes);
    }
    bytes
}

/// Takes doubled quotes off a name.
pub(super) fn unquote(name: &[u8], quote: u8) -> Cow<'_, [u8]> {
    let plain = Dialect { plain_backslash: true, ..Dialect::default() };
    unescape(name, quote, plain, Language::Sql)
}

/// Reads hexadecimal digits; an odd count has a zero before it, as in MySQL's `0x` form.
pub(super) fn hex(digits: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let (odd, pairs) = digits.split_at_checked(digits.len() % 2)?;
    let mut bytes = Vec::with_capacity(digits.len().div_ceil(2));
    if let Some(byte) = odd.first() {
        bytes.push(digit(byte)?);
    }
    for pair in pairs.chunks_exact(2) {
        let [high, low] = pair else { return None };
        bytes.push(digit(high)? << 4 | digit(low)?);
    }
    Some(bytes)
}

/// Reads binary digits as bytes, the first byte filled up with zeros.
pub(super) fn bits(digits: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(digits.len().div_ceil(8));
    let (first, rest) = digits.split_at_checked(digits.len() % 8)?;
    let byte = |digits: &[u8]| {
        digits.iter().try_fold(0_u8, |byte, digit| match digit {
            b'0' => Some(byte << 1),
            b'1' => Some(byte << 1 | 1),
            _ => None,
        })
    };
    if !first.is_empty() {
        bytes.push(byte(first)?);
    }
    for eight in rest.chunks_exact(8) {
        bytes.push(byte(eight)?);
    }
    Some(bytes)
}

/// Reads a number: whole ones are integers of any size, `1e3` is a float, `1.50` a decimal that
/// keeps its scale, or a float in `CALL`. `None` for more digits than the core takes.
pub(super) fn number(digits: &[u8], language: Language) -> Option<Value> {
    if digits.len() <= 18 && digits.iter().all(u8::is_ascii_digit) {
        let value = digits.iter().fold(0, |number, digit| number * 10 + i64::from(digit - b'0'));
        return Some(Value::Int(value));
    }
    let text = std::str::from_utf8(digits).ok()?;
    if !digits.iter().any(|b| matches!(b, b'.' | b'e' | b'E')) {
        return parse_int(text);
    }
    if language == Language::Call || digits.iter().any(|b| matches!(b, b'e' | b'E')) {
        return text.parse().ok().filter(|n: &f64| n.is_finite()).map(Value::Float);
    }
    parse_decimal(text).map(|number| Value::Decimal(Box::new(number)))
}

/// Makes text of a literal's bytes, sharing long ones.
pub(super) fn text(bytes: Cow<'_, [u8]>, dialect: Dialect) -> Option<Text> {
    use super::charset::Charset;
    match (dialect.charset, bytes) {
        (Charset::Utf8, Cow::Owned(bytes)) => String::from_utf8(bytes).ok().map(Text::from),
        (charset, bytes) => charset.decode(&bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sql(inside: &str) -> Vec<u8> {
        unescape(inside.as_bytes(), b'\'', Dialect::default(), Language::Sql).into_owned()
    }

    fn call(inside: &str) -> Vec<u8> {
        unescape(inside.as_bytes(), b'\'', Dialect::default(), Language::Call).into_owned()
    }

    #[test]
    fn escapes_are_mysqls() {
        assert_eq!(sql(r"a''b\'c\\d\n\t\r\b\0\Z"), b"a'b'c\\d\n\t\r\x08\0\x1a");
        assert_eq!(sql(r"50\%\_\q"), br"50\%\_q");
        assert_eq!(sql(r"\x41"), b"x41");
        assert_eq!(sql("\\"), b"");
        let plain = Dialect { plain_backslash: true, ..Dialect::default() };
        assert_eq!(&*unescape(br"\n''", b'\'', plain, Language::Sql), br"\n'");
    }

    #[test]
    fn call_understands_pythons_escapes_as_well() {
        assert_eq!(call(r"\x41\u4e2d"), "A中".as_bytes());
        assert_eq!(call(r"\xZ\u12"), b"xZu12");
        assert_eq!(call(r"\ud800"), b"ud800");
        assert_eq!(unescape_bytes(br"\x00\xffa\n", b'\''), b"\0\xffa\n");
    }

    #[test]
    fn numbers_keep_their_kind() {
        let decimal = |text: &str| Value::Decimal(Box::new(text.parse().unwrap()));
        let big = |text: &str| Value::from_big(text.parse().unwrap());
        for (text, language, value) in [
            ("7", Language::Sql, Value::Int(7)),
            ("9223372036854775807", Language::Sql, Value::Int(i64::MAX)),
            ("18446744073709551616", Language::Sql, big("18446744073709551616")),
            ("1.50", Language::Sql, decimal("1.50")),
            ("1.50", Language::Call, Value::Float(1.5)),
            (".5", Language::Sql, decimal("0.5")),
            ("5.", Language::Call, Value::Float(5.0)),
            ("1.5e0", Language::Sql, Value::Float(1.5)),
        ] {
            assert_eq!(number(text.as_bytes(), language), Some(value), "{text}");
        }
        assert_eq!(number("9".repeat(5000).as_bytes(), Language::Sql), None);
        assert_eq!(number(b"1e999", Language::Sql), None);
    }

    #[test]
    fn hexadecimal_and_binary_digits() {
        assert_eq!(hex(b"00ff"), Some(vec![0, 255]));
        assert_eq!(hex(b"abc"), Some(vec![0x0a, 0xbc]));
        assert_eq!(hex(b"g0"), None);
        assert_eq!(bits(b"101"), Some(vec![5]));
        assert_eq!(bits(b"100000001"), Some(vec![1, 1]));
        assert_eq!(bits(b"2"), None);
    }
}
