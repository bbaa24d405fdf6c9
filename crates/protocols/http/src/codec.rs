//! Bodies and headers as Polyport's values, both ways. hyper has taken the messages apart.

pub(crate) mod credentials;
pub(crate) mod origin;

use polyport_core::{Arguments, Fault, Kind, Text, Value, json};

use crate::fault;

/// Reads the body of a call.
///
/// - nothing: no arguments;
/// - a list: arguments by position;
/// - a map with no other keys than `args` and `kwargs`, and at least one of them: arguments by
///   position and by name. A function whose parameter is itself called `args` is reached through
///   `{"kwargs": {"args": ...}}`;
/// - any other map: arguments by name.
pub(crate) fn arguments(body: &[u8], depth: usize) -> Result<Arguments, Fault> {
    if body.trim_ascii().is_empty() {
        return Ok(Arguments::default());
    }
    if is_deeper(body, depth) {
        let text = format!("the body is nested more than {depth} levels deep (limits.depth)");
        return Err(Fault::new(Kind::TooLarge, text));
    }
    let syntax = |text: String| Fault::new(Kind::Syntax, text);
    let body =
        json::parse(body).map_err(|error| syntax(format!("the body is no JSON: {error}")))?;
    match body {
        Value::List(values) => Ok(Arguments::positional(values)),
        Value::Map(pairs) if is_wrapper(&pairs) => unwrap(pairs).map_err(syntax),
        Value::Map(pairs) => Ok(Arguments { positional: Vec::new(), named: named(pairs) }),
        other => Err(syntax(format!(
            "the body is a JSON {}; send a list of arguments or a map from name to argument",
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
            (Some("args"), Value::List(values)) => arguments.positional = values,
            (Some("kwargs"), Value::Map(pairs)) => arguments.named = named(pairs),
            (Some("args"), other) => {
                return Err(format!("'args' is a list, not {}", other.kind()));
            }
            (_, other) => return Err(format!("'kwargs' is a map, not {}", other.kind())),
        }
    }
    Ok(arguments)
}

fn named(pairs: Vec<(Value, Value)>) -> Vec<(Text, Value)> {
    pairs
        .into_iter()
        .filter_map(|(key, value)| match key {
            Value::Text(name) => Some((name, value)),
            _ => None,
        })
        .collect()
}

/// Whether JSON text nests deeper than a limit, which is known before any of it is built.
fn is_deeper(text: &[u8], limit: usize) -> bool {
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => {
                depth += 1;
                if depth > limit {
                    return true;
                }
            }
            b']' | b'}' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
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
        }
    }

    /// Writes one item of a stream.
    pub(crate) fn item(self, to: &mut Vec<u8>, item: &Value) {
        match self {
            Self::Json | Self::Lines => {
                write(to, item);
                to.push(b'\n');
            }
            Self::Events => {
                to.extend(b"data: ");
                write(to, item);
                to.extend(b"\n\n");
            }
        }
    }

    /// Writes the fault that ended a stream.
    pub(crate) fn fault(self, to: &mut Vec<u8>, fault: &Fault) {
        if self == Self::Events {
            to.extend(b"event: fault\ndata: ");
        }
        to.extend(fault::body(fault));
        to.extend(if self == Self::Events { &b"\n\n"[..] } else { &b"\n"[..] });
    }

    /// Writes what tells the client that the stream came to its own end.
    pub(crate) fn end(self, to: &mut Vec<u8>) {
        if self == Self::Events {
            to.extend(b"event: end\ndata: null\n\n");
        }
    }

    /// Writes what keeps proxies from taking a quiet stream for a dead one.
    pub(crate) fn still_here(self, to: &mut Vec<u8>) {
        if self == Self::Events {
            to.extend(b":\n\n");
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

    fn read(body: &str) -> Result<Arguments, Fault> {
        arguments(body.as_bytes(), 100)
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
            ("7", "a JSON integer"),
            ("null", "a JSON null"),
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
        assert_eq!(arguments(b"[\"\xff\"]", 100).unwrap_err().kind(), Kind::Syntax);
    }

    #[test]
    fn nesting_is_limited_and_brackets_in_text_are_no_nesting() {
        let nested = |levels| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(read(&nested(100)).is_ok());
        assert_eq!(read(&nested(101)).unwrap_err().kind(), Kind::TooLarge);
        assert_eq!(read(&"{\"a\":".repeat(1_000_000)).unwrap_err().kind(), Kind::TooLarge);
        let text = format!(r#"["\"{}\\", []]"#, "[".repeat(500));
        assert!(read(&text).is_ok());
        assert_eq!(arguments(b"[[1]]", 1).unwrap_err().kind(), Kind::TooLarge);
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
        ] {
            assert_eq!(Format::wanted(accept), format, "{accept}");
        }
    }

    #[test]
    fn no_item_can_end_its_own_line_or_event() {
        let item = Value::from("a\nb\r\n\n");
        for format in [Format::Lines, Format::Events] {
            let mut out = Vec::new();
            format.item(&mut out, &item);
            let text = String::from_utf8(out).unwrap();
            assert_eq!(text.trim_end().lines().count(), 1);
        }
    }
}
