//! What pymprpc's JSON mode needs beside the reading and writing of JSON itself.

use memchr::memchr2;
use polyport_core::Value;

use super::{Bounds, Error, TOO_DEEP, TOO_MANY};

/// Finds the end of a JSON object without reading it. Takes each byte once, however often more
/// come.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Scan {
    position: usize,
    open: usize,
    in_text: bool,
    escaped: bool,
}

impl Scan {
    /// Goes on through bytes that begin as those of the last time did; true when the object has
    /// ended.
    pub(crate) fn advance(&mut self, bytes: &[u8]) -> bool {
        while let Some(rest) = bytes.get(self.position..).filter(|rest| !rest.is_empty()) {
            if self.escaped {
                self.escaped = false;
                self.position += 1;
            } else if self.in_text {
                let Some(at) = memchr2(b'"', b'\\', rest) else {
                    self.position = bytes.len();
                    return false;
                };
                self.escaped = rest.get(at) == Some(&b'\\');
                self.in_text = self.escaped;
                self.position += at + 1;
            } else if self.plain(rest) {
                return true;
            }
        }
        false
    }

    /// Goes on to the next text; true when the object ends before it.
    fn plain(&mut self, rest: &[u8]) -> bool {
        for byte in rest {
            self.position += 1;
            match byte {
                b'"' => {
                    self.in_text = true;
                    return false;
                }
                b'{' | b'[' => self.open += 1,
                b'}' | b']' => {
                    self.open = self.open.saturating_sub(1);
                    if self.open == 0 {
                        return true;
                    }
                }
                _ => {}
            }
        }
        false
    }
}

/// Reads one JSON document.
pub(crate) fn read(text: &[u8], bounds: Bounds) -> Result<Value, Error> {
    // A value takes two bytes of text at least, so only long text needs to be counted.
    if text.len() / 2 > bounds.values && commas(text) > bounds.values {
        return Err(TOO_MANY);
    }
    let value = polyport_core::json::parse(text).map_err(|error| match error.is_eof() {
        true => Error::Incomplete,
        false => Error::Malformed("a message is no JSON document"),
    })?;
    if fits(&value, bounds.depth) { Ok(value) } else { Err(TOO_DEEP) }
}

/// Values of a document, those of maps counted as one with their key; text with commas in it
/// counts too high, which only matters to documents of many megabytes.
fn commas(text: &[u8]) -> usize {
    memchr::memchr_iter(b',', text).count() + 1
}

/// Whether a value is nested no deeper than this.
fn fits(value: &Value, depth: usize) -> bool {
    match value {
        Value::List(items) => depth > 0 && items.iter().all(|item| fits(item, depth - 1)),
        Value::Map(pairs) => depth > 0 && pairs.iter().all(|(_, value)| fits(value, depth - 1)),
        _ => true,
    }
}

/// Appends a value.
///
/// # Errors
/// What has no JSON form. What was appended until then has to be taken off again.
pub(crate) fn append(out: &mut Vec<u8>, value: &Value) -> Result<(), &'static str> {
    if has_object(value) {
        return Err("an object of another dialect");
    }
    polyport_core::json::write(out, value).map_err(|_| "a value has no JSON form")
}

fn has_object(value: &Value) -> bool {
    match value {
        Value::Opaque(_) => true,
        Value::List(items) | Value::Tuple(items) | Value::Set(items) => {
            items.iter().any(has_object)
        }
        Value::Map(pairs) => pairs.iter().any(|(key, item)| has_object(key) || has_object(item)),
        _ => false,
    }
}

/// Writes every `#` of a document as its escape. Outside of text JSON has none.
pub(crate) fn escape_marks(document: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(document.len() + document.len() / 8);
    let mut pieces = document.split(|byte| *byte == b'#');
    escaped.extend_from_slice(pieces.next().unwrap_or_default());
    for piece in pieces {
        escaped.extend_from_slice(b"\\u0023");
        escaped.extend_from_slice(piece);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { depth: 3, values: 1000 };

    #[test]
    fn the_scan_ends_where_the_object_does_however_the_bytes_are_cut() {
        let document = r#"{"a}\"]": [1, {"b\\": "}}"}], "c": "\\"}"#.as_bytes();
        for cut in 0..document.len() {
            let mut scan = Scan::default();
            assert!(!scan.advance(&document[..cut]));
            assert!(scan.advance(&[document, b" }"].concat()));
            assert_eq!(scan.position, document.len());
        }
    }

    #[test]
    fn a_document_cut_off_is_incomplete_and_nonsense_is_malformed() {
        assert_eq!(read(br#"{"a": "x"#, BOUNDS), Err(Error::Incomplete));
        assert!(matches!(read(b"{nonsense", BOUNDS), Err(Error::Malformed(_))));
        assert!(matches!(read(b"{} {}", BOUNDS), Err(Error::Malformed(_))));
    }

    #[test]
    fn nesting_and_number_of_values_are_bounded() {
        assert!(read(b"[[[1]]]", BOUNDS).is_ok());
        assert_eq!(read(b"[[[[1]]]]", BOUNDS), Err(TOO_DEEP));
        let deep = "[".repeat(100_000);
        assert!(read(deep.as_bytes(), BOUNDS).is_err());
        let many = format!("[0{}]", ",0".repeat(1000));
        assert_eq!(read(many.as_bytes(), BOUNDS), Err(TOO_MANY));
    }

    #[test]
    fn escaped_marks_read_back() {
        let document = br###"{"a#": "##PRO-END##"}"###;
        let escaped = escape_marks(document);
        assert!(!escaped.contains(&b'#'));
        assert_eq!(read(&escaped, BOUNDS), read(document, BOUNDS));
    }

    #[test]
    fn objects_of_another_dialect_are_refused_wherever_they_stand() {
        let object = polyport_core::Opaque { dialect: "pickle", bytes: b"x".into() };
        let value = Value::map([("a", Value::List(vec![Value::Opaque(object.into())]))]);
        assert!(append(&mut Vec::new(), &value).is_err());
    }
}
