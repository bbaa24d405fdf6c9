//! Bodies and headers as Polyport's values, both ways. hyper has taken the messages apart.

pub(crate) mod credentials;
pub(crate) mod origin;
mod packed;

use std::time::Duration;

use polyport_core::{Arguments, Column, Fault, Kind, Text, Value, json};
use polyport_pack::Bounds;

use crate::fault;

pub(crate) use packed::{MEDIA_TYPE as PACKED, fault as packed_fault, result as packed_result};

/// Reads the body of a call: MessagePack where its type says so, else JSON, since curl calls what
/// `-d` sends a form.
pub(crate) fn arguments(
    content_type: &str,
    body: &[u8],
    bounds: Bounds,
) -> Result<Arguments, Fault> {
    if body.is_empty() {
        return Ok(Arguments::default());
    }
    let packed = content_type.split(';').next().unwrap_or("").trim();
    if packed.eq_ignore_ascii_case(PACKED) {
        return taken(packed::read(body, bounds)?);
    }
    if body.trim_ascii().is_empty() {
        return Ok(Arguments::default());
    }
    check(body, bounds)?;
    let syntax = |error| Fault::new(Kind::Syntax, format!("the body is no JSON: {error}"));
    taken(json::parse(body).map_err(syntax)?)
}

/// The arguments that the body of a call stands for:
///
/// - nothing: no arguments;
/// - a list: arguments by position;
/// - a map with no other keys than `args` and `kwargs`, and at least one of them: arguments by
///   position and by name. A function whose parameter is itself called `args` is reached through
///   `{"kwargs": {"args": ...}}`;
/// - any other map: arguments by name.
fn taken(body: Value) -> Result<Arguments, Fault> {
    let syntax = |text: String| Fault::new(Kind::Syntax, text);
    match body {
        Value::List(values) | Value::Tuple(values) => Ok(Arguments::positional(values)),
        Value::Map(pairs) if is_wrapper(&pairs) => unwrap(pairs).map_err(syntax),
        Value::Map(pairs) => {
            Ok(Arguments { positional: Vec::new(), named: named(pairs).map_err(syntax)? })
        }
        other => Err(syntax(format!(
            "the body is one {}; send a list of arguments or a map from name to argument",
            other.kind()
        ))),
    }
}

fn is_wrapper(pairs: &[(Value, Value)]) -> bool {
    let known = |(key, _): &(Value, Value)| matches!(key.as_text(), Some("args" | "kwargs"));
    !pairs.is_empty() && pairs.iter().all(known)
}

fn unwrap(pairs: Vec<(Value, Value)>) -> Result<Arguments, String> {
    let mut arguments = Arguments::default();
    for (key, value) in pairs {
        match (key.as_text(), value) {
            (Some("args"), Value::List(values) | Value::Tuple(values)) => {
                arguments.positional = values
            }
            (Some("kwargs"), Value::Map(pairs)) => arguments.named = named(pairs)?,
            (Some("args"), other) => {
                return Err(format!("'args' is a list, not {}", other.kind()));
            }
            (_, other) => return Err(format!("'kwargs' is a map, not {}", other.kind())),
        }
    }
    Ok(arguments)
}

fn named(pairs: Vec<(Value, Value)>) -> Result<Vec<(Text, Value)>, String> {
    pairs
        .into_iter()
        .map(|(key, value)| match key {
            Value::Text(name) => Ok((name, value)),
            other => Err(format!("the name of an argument is text, not {}", other.kind())),
        })
        .collect()
}

/// Whether JSON text stays within the bounds, which is known before any of it is built.
fn check(text: &[u8], bounds: Bounds) -> Result<(), Fault> {
    let (mut depth, mut values, mut in_text, mut escaped) = (0_usize, 1_usize, false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            _ if in_text => {}
            b'[' | b'{' => (depth, values) = (depth + 1, values + 1),
            b']' | b'}' => depth = depth.saturating_sub(1),
            b',' | b':' => values += 1,
            _ => {}
        }
        if depth > bounds.depth {
            let most = bounds.depth;
            let text = format!("the body is nested more than {most} levels deep (limits.depth)");
            return Err(Fault::new(Kind::TooLarge, text));
        }
        if values > bounds.values {
            let most = bounds.values;
            let text = format!("the body has more than {most} values (protocols.http.values)");
            return Err(Fault::new(Kind::TooLarge, text));
        }
    }
    Ok(())
}

/// Reads how long a client lets a call take: seconds, with or without a fraction.
pub(crate) fn timeout(text: &[u8]) -> Result<Duration, Fault> {
    let wrong = || {
        let text = "Polyport-Timeout is a number of seconds, such as 2 or 0.5";
        Fault::new(Kind::Syntax, text)
    };
    if !text.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.') {
        return Err(wrong());
    }
    let seconds: f64 =
        std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or_else(wrong)?;
    Ok(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
}

/// The body of an answer that succeeded: `{"result": ...}`.
pub(crate) fn result(value: &Value) -> Vec<u8> {
    let mut body = b"{\"result\":".to_vec();
    write(&mut body, value);
    body.push(b'}');
    body
}

fn write(to: &mut Vec<u8>, value: &Value) {
    // Writing to a vector cannot fail and every value has a JSON form.
    let _ = json::write(to, value);
}

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// One JSON document.
    Json,
    /// One JSON document a line, as the items come.
    Lines,
    /// Server-sent events, as the items come.
    Events,
    /// One MessagePack document.
    Packed,
    /// Frames of MessagePack, as the items come.
    Frames,
}

impl Format {
    /// The form that the client likes best by its `Accept` header. A client that names none that
    /// is offered gets JSON, since an answer in the wrong form says more than none.
    pub(crate) fn wanted(accept: &str) -> Self {
        let mut best = (0, Self::Json);
        for part in accept.split(',') {
            let mut words = part.split(';').map(str::trim);
            let format = match words.next().unwrap_or("").to_ascii_lowercase().as_str() {
                "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Self::Lines,
                "text/event-stream" => Self::Events,
                "application/json" | "application/*" | "*/*" => Self::Json,
                PACKED => Self::Packed,
                packed::FRAMES => Self::Frames,
                _ => continue,
            };
            let weight = words.find_map(|word| word.strip_prefix("q=")).map_or(1000, thousandths);
            if weight > best.0 {
                best = (weight, format);
            }
        }
        best.1
    }

    /// The media type.
    pub(crate) const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Lines => "application/x-ndjson",
            Self::Events => "text/event-stream",
            Self::Packed => PACKED,
            Self::Frames => packed::FRAMES,
        }
    }

    /// Whether faults and results are MessagePack.
    pub(crate) const fn is_packed(self) -> bool {
        matches!(self, Self::Packed | Self::Frames)
    }

    /// Whether items are sent as they come.
    pub(crate) const fn is_stream(self) -> bool {
        matches!(self, Self::Lines | Self::Events | Self::Frames)
    }

    /// Whether a table is sent as its columns and rows; else each row is a map.
    pub(crate) const fn has_columns(self) -> bool {
        matches!(self, Self::Frames)
    }

    /// Writes the columns of the items that follow.
    pub(crate) fn columns(self, to: &mut Vec<u8>, columns: &[Column]) -> Result<(), Fault> {
        if self.has_columns() { packed::columns(to, columns) } else { Ok(()) }
    }

    /// Writes one item of a stream.
    pub(crate) fn item(self, to: &mut Vec<u8>, item: Value) -> Result<(), Fault> {
        match self {
            Self::Json | Self::Lines => {
                write(to, &item);
                to.push(b'\n');
            }
            Self::Events => {
                to.extend(b"data: ");
                write(to, &item);
                to.extend(b"\n\n");
            }
            Self::Packed | Self::Frames => packed::item(to, item)?,
        }
        Ok(())
    }

    /// Writes the fault that ended a stream.
    pub(crate) fn fault(self, to: &mut Vec<u8>, fault: &Fault) {
        match self {
            Self::Json | Self::Lines => {
                to.extend(fault::body(fault));
                to.push(b'\n');
            }
            Self::Events => {
                to.extend(b"event: fault\ndata: ");
                to.extend(fault::body(fault));
                to.extend(b"\n\n");
            }
            Self::Packed | Self::Frames => packed::fail(to, fault),
        }
    }

    /// Writes what tells the client that the stream came to its own end.
    pub(crate) fn end(self, to: &mut Vec<u8>) {
        match self {
            Self::Json | Self::Lines => {}
            Self::Events => to.extend(b"event: end\ndata: null\n\n"),
            Self::Packed | Self::Frames => packed::end(to),
        }
    }

    /// Writes what shows proxies and clients that a quiet stream is not dead, where there is
    /// something that stands for it.
    pub(crate) fn still_here(self, to: &mut Vec<u8>) {
        match self {
            Self::Json | Self::Lines => {}
            Self::Events => to.extend(b":\n\n"),
            Self::Packed | Self::Frames => packed::still_here(to),
        }
    }
}

/// A weight such as `0.25` in thousandths; what is no weight counts as 1.
fn thousandths(text: &str) -> u32 {
    let weight = text.trim().parse::<f32>().unwrap_or(1.0).clamp(0.0, 1.0);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the weight is between 0 and 1"
    )]
    let whole = (weight * 1000.0) as u32;
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { depth: 100, values: 1_000, foreign: false };

    fn read(body: &str) -> Result<Arguments, Fault> {
        arguments("application/x-www-form-urlencoded", body.as_bytes(), BOUNDS)
    }

    #[test]
    fn arguments_come_by_position_by_name_and_both() {
        let none = Arguments::default();
        for body in ["", " \n", "[]", "{}", r#"{"args": []}"#] {
            assert_eq!(read(body), Ok(none.clone()), "{body}");
        }
        let list = Arguments::from_iter([Value::Int(1), "x".into()]);
        assert_eq!(read(r#"[1, "x"]"#), Ok(list.clone()));
        assert_eq!(read(r#"{"args": [1, "x"]}"#), Ok(list.clone()));
        assert_eq!(read(r#"{"a": 5}"#), Ok(none.clone().named("a", 5)));
        assert_eq!(read(r#"{"kwargs": {"args": 5}}"#), Ok(none.clone().named("args", 5)));
        assert_eq!(read(r#"{"args": [1, "x"], "kwargs": {"b": 2}}"#), Ok(list.named("b", 2)));
        let other = none.named("args", 1).named("b", 2);
        assert_eq!(read(r#"{"args": 1, "b": 2}"#), Ok(other));
    }

    #[test]
    fn bodies_that_are_no_arguments_are_refused_with_the_reason() {
        for (body, why) in [
            ("7", "one integer"),
            ("null", "one null"),
            ("[1,", "no JSON"),
            (r#"{"args": {}}"#, "'args' is a list, not map"),
            (r#"{"kwargs": [1]}"#, "'kwargs' is a map, not list"),
            ("a=1&b=2", "no JSON"),
            ("[\"\u{1}\"]", "no JSON"),
        ] {
            let fault = read(body).unwrap_err();
            assert_eq!(fault.kind(), Kind::Syntax, "{body}");
            assert!(fault.message().contains(why), "{body}: {}", fault.message());
        }
        assert_eq!(arguments("", b"[\"\xff\"]", BOUNDS).unwrap_err().kind(), Kind::Syntax);
    }

    #[test]
    fn nesting_is_limited_and_brackets_in_text_are_no_nesting() {
        let nested = |levels| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(read(&nested(100)).is_ok());
        assert_eq!(read(&nested(101)).unwrap_err().kind(), Kind::TooLarge);
        assert_eq!(read(&"{\"a\":".repeat(1_000_000)).unwrap_err().kind(), Kind::TooLarge);
        let text = format!(r#"["\"{}\\", []]"#, "[".repeat(500));
        assert!(read(&text).is_ok());
        let flat = Bounds { depth: 1, ..BOUNDS };
        assert_eq!(arguments("", b"[[1]]", flat).unwrap_err().kind(), Kind::TooLarge);
    }

    #[test]
    fn the_number_of_values_is_limited_and_commas_in_text_are_no_values() {
        let list = |values: usize| format!("[{}0]", "0,".repeat(values - 2));
        assert!(read(&list(1_000)).is_ok());
        assert_eq!(read(&list(1_001)).unwrap_err().kind(), Kind::TooLarge);
        let map = format!("{{{}\"z\":1}}", "\"a\":1,".repeat(500));
        assert_eq!(read(&map).unwrap_err().kind(), Kind::TooLarge);
        assert!(read(&format!("[\"{}\"]", "0,".repeat(5_000))).is_ok());
    }

    #[test]
    fn a_time_limit_is_a_number_of_seconds() {
        for (text, ms) in [("2", 2_000), ("0.5", 500), ("0", 0), ("10.25", 10_250), (".5", 500)] {
            assert_eq!(timeout(text.as_bytes()), Ok(Duration::from_millis(ms)), "{text}");
        }
        let long = "9".repeat(400);
        assert_eq!(timeout(long.as_bytes()), Ok(Duration::MAX));
        for text in ["", ".", "-1", "+1", "1s", "1e3", "inf", "nan", "1.2.3", " 1", "\u{661}"] {
            assert_eq!(timeout(text.as_bytes()).unwrap_err().kind(), Kind::Syntax, "{text}");
        }
    }

    #[test]
    fn integers_of_any_size_keep_every_digit() {
        let digits = "123456789012345678901234567890";
        let value = read(&format!("[{digits}]")).unwrap().positional.remove(0);
        assert_eq!(result(&value), format!("{{\"result\":{digits}}}").into_bytes());
    }

    #[test]
    fn the_format_is_the_one_that_the_client_likes_best() {
        for (accept, format) in [
            ("", Format::Json),
            ("*/*", Format::Json),
            ("application/x-ndjson", Format::Lines),
            ("Application/X-NDJSON; charset=utf-8", Format::Lines),
            ("text/html, text/event-stream", Format::Events),
            ("application/json;q=0.5, application/x-ndjson;q=0.9", Format::Lines),
            ("application/x-ndjson;q=0.1, */*;q=0.8", Format::Json),
            ("application/x-ndjson;q=0", Format::Json),
            ("text/event-stream;q=soon", Format::Events),
            ("image/png", Format::Json),
            ("application/vnd.polyport.msgpack", Format::Packed),
            ("application/vnd.polyport.msgpack-seq, */*;q=0.1", Format::Frames),
        ] {
            assert_eq!(Format::wanted(accept), format, "{accept}");
        }
    }

    #[test]
    fn no_item_can_end_its_own_line_or_event() {
        let item = Value::from("a\nb\r\n\n");
        for format in [Format::Lines, Format::Events] {
            let mut out = Vec::new();
            format.item(&mut out, item.clone()).unwrap();
            let text = String::from_utf8(out).unwrap();
            assert_eq!(text.trim_end().lines().count(), 1);
        }
    }
}
