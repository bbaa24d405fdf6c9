//! Bodies in MessagePack, in which no value loses anything.

use polyport_core::{Column, Fault, Kind, Reply, Value};
use polyport_pack::{
    Bounds, Error, Reader, append, append_array, append_columns, append_frame, append_nil,
    append_reply, append_str, append_u64, fault as fault_map,
};

/// The media type of one document.
pub(crate) const MEDIA_TYPE: &str = "application/vnd.polyport.msgpack";

/// The media type of a stream of frames.
pub(crate) const FRAMES: &str = "application/vnd.polyport.msgpack-seq";

/// The kinds of frames, which are those of the worker protocol.
const COLUMNS: u64 = 3;
const ITEM: u64 = 4;
const DONE: u64 = 5;
const FAIL: u64 = 6;
const PING: u64 = 9;

/// Reads a body.
pub(crate) fn read(body: &[u8], bounds: Bounds) -> Result<Value, Fault> {
    let mut reader = Reader::new(body, bounds);
    let value = reader.value().and_then(|value| reader.end().map(|()| value));
    value.map_err(|error| match error {
        Error::Malformed(why) => {
            Fault::new(Kind::Syntax, format!("the body is no MessagePack: {why}"))
        }
        Error::Refused(kind, why) => Fault::new(kind, why),
    })
}

/// The body of an answer that succeeded: a map with the key `result`. There are no streams in the
/// reply.
pub(crate) fn result(mut reply: Reply) -> Result<Vec<u8>, Fault> {
    name_foreign_in(&mut reply);
    let mut body = map_of_one();
    append_str(&mut body, "result")?;
    append_reply(&mut body, &reply)?;
    Ok(body)
}

/// The body of an answer that failed: a map with the key `error`.
pub(crate) fn fault(fault: &Fault) -> Vec<u8> {
    let mut body = map_of_one();
    let written = append_str(&mut body, "error").and_then(|()| append(&mut body, &told(fault)));
    debug_assert!(written.is_ok(), "no fault has 4 GiB");
    body
}

/// The head of a map of one pair.
fn map_of_one() -> Vec<u8> {
    vec![0x81]
}

/// All that a client is told about a fault. A traceback is for the server's log.
fn told(fault: &Fault) -> Value {
    let mut map = fault_map::to_value(&fault.clone().with_trace(""));
    name_foreign(&mut map);
    map
}

/// Appends the columns of the items that follow.
pub(super) fn columns(to: &mut Vec<u8>, columns: &[Column]) -> Result<(), Fault> {
    frame(to, COLUMNS, |to| append_columns(to, columns))
}

/// Appends an item of a stream.
pub(super) fn item(to: &mut Vec<u8>, mut item: Value) -> Result<(), Fault> {
    name_foreign(&mut item);
    frame(to, ITEM, |to| append(to, &item))
}

/// Appends the fault that ended a stream.
pub(super) fn fail(to: &mut Vec<u8>, fault: &Fault) {
    let written = frame(to, FAIL, |to| append(to, &told(fault)));
    debug_assert!(written.is_ok(), "no fault has 4 GiB");
}

/// Appends the end of a stream.
pub(super) fn end(to: &mut Vec<u8>) {
    let written = frame(to, DONE, |to| {
        append_nil(to);
        Ok(())
    });
    debug_assert!(written.is_ok());
}

/// Appends a frame that means nothing.
pub(super) fn still_here(to: &mut Vec<u8>) {
    let written = frame(to, PING, |to| {
        append_u64(to, 0);
        Ok(())
    });
    debug_assert!(written.is_ok());
}

fn frame(
    to: &mut Vec<u8>,
    kind: u64,
    content: impl FnOnce(&mut Vec<u8>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    append_frame(to, |to| {
        append_array(to, 2);
        append_u64(to, kind);
        content(to)
    })
}

/// Puts a text in the place of each foreign object, as JSON does: only the dialect that an object
/// came from gets it back.
fn name_foreign(value: &mut Value) {
    match value {
        Value::Opaque(object) => *value = format!("<{} object>", object.dialect).into(),
        Value::List(items) | Value::Tuple(items) | Value::Set(items) => {
            items.iter_mut().for_each(name_foreign);
        }
        Value::Map(pairs) => pairs.iter_mut().for_each(|(key, value)| {
            name_foreign(key);
            name_foreign(value);
        }),
        _ => {}
    }
}

fn name_foreign_in(reply: &mut Reply) {
    match reply {
        Reply::Value(value) => name_foreign(value),
        Reply::Rows(rows) => rows.rows.iter_mut().flatten().for_each(name_foreign),
        Reply::Many(replies) => replies.iter_mut().for_each(name_foreign_in),
        Reply::Stream(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use polyport_core::{Opaque, Rows};

    use super::*;
    use crate::codec::arguments;

    const BOUNDS: Bounds = Bounds { depth: 100, values: 1_000, foreign: false };

    fn packed(value: &Value) -> Vec<u8> {
        let mut out = Vec::new();
        append(&mut out, value).unwrap();
        out
    }

    fn read_all(body: &[u8]) -> Result<polyport_core::Arguments, Fault> {
        arguments("Application/Vnd.Polyport.MsgPack; v=1", body, BOUNDS)
    }

    #[test]
    fn arguments_are_those_of_json_and_keep_their_types() {
        let price = Value::Decimal(Box::new("1.50".parse().unwrap()));
        let pair = Value::Tuple(vec![price.clone(), Value::Bytes(b"\xff".into())]);
        let list = Value::List(vec![pair.clone(), Value::Set(vec![1.into()])]);
        let read = read_all(&packed(&list)).unwrap();
        assert_eq!(read.positional, [pair.clone(), Value::Set(vec![1.into()])]);

        let named = Value::map([("price", price.clone())]);
        let both = Value::map([("args", Value::List(vec![pair.clone()])), ("kwargs", named)]);
        let read = read_all(&packed(&both)).unwrap();
        assert_eq!(read.positional, [pair]);
        assert_eq!(read.named, [("price".into(), price)]);
        assert_eq!(read_all(b""), Ok(polyport_core::Arguments::default()));
    }

    #[test]
    fn what_is_no_arguments_is_refused_with_the_reason() {
        let map = |pairs| packed(&Value::Map(pairs));
        for (body, kind, why) in [
            (b"\x91".to_vec(), Kind::Syntax, "end within a value"),
            (b"\x90\xc0".to_vec(), Kind::Syntax, "bytes follow the value"),
            (b"\xc1".to_vec(), Kind::Syntax, "no MessagePack"),
            (b" ".to_vec(), Kind::Syntax, "one integer"),
            (map(vec![(1.into(), 2.into())]), Kind::Syntax, "text, not integer"),
            (map(vec![("args".into(), 2.into())]), Kind::Syntax, "'args' is a list"),
            (vec![0x91; 102], Kind::TooLarge, "limits.depth"),
            ([&b"\xdc\x04\0"[..], &[0xc0; 1_024]].concat(), Kind::TooLarge, "too many"),
            (b"\x91\xc7\x0a\x08\x92\xa6pickle\xc4\x00".to_vec(), Kind::Unsupported, "foreign"),
            (b"\x91\xc7\0\x09".to_vec(), Kind::Unsupported, "absent"),
        ] {
            let fault = read_all(&body).unwrap_err();
            assert_eq!(fault.kind(), kind, "{body:x?}");
            assert!(fault.message().contains(why), "{body:x?}: {}", fault.message());
        }
    }

    #[test]
    fn foreign_objects_are_named_and_not_given_away() {
        let object = || {
            let bytes = b"secret".into();
            Value::Opaque(Arc::new(Opaque { dialect: "pickle", bytes }))
        };
        let rows = Rows::new(["a"]).cells(vec![object()]);
        let nested = Value::Map(vec![(object(), Value::Set(vec![object()]))]);
        let reply = Reply::Many(vec![Reply::Rows(rows), Reply::Value(nested)]);
        let body = result(reply).unwrap();
        assert!(!body.windows(6).any(|part| part == b"secret"));
        assert_eq!(body.windows(15).filter(|part| part == b"<pickle object>").count(), 3);
    }
}
