//! What pymprpc answers, in either format.

use polyport_core::Value;

use super::{json, value};
use crate::state::Format;

/// What every message says of itself, in both directions.
pub(crate) const VERSION: &str = "0.1";

/// Appends the answer to one call: its id, and a result where the code has one.
///
/// # Errors
/// What the format cannot say. What was appended until then has to be taken off again.
pub(crate) fn message(
    out: &mut Vec<u8>,
    format: Format,
    code: u16,
    id: &Value,
    result: Option<&Value>,
) -> Result<(), &'static str> {
    match format {
        Format::Json => {
            out.extend_from_slice(br#"{"MPRPC":"0.1","CODE":"#);
            json::append(out, &Value::Int(code.into()))?;
            out.extend_from_slice(br#","MESSAGE":{"ID":"#);
            json::append(out, id)?;
            if let Some(result) = result {
                out.extend_from_slice(br#","RESULT":"#);
                json::append(out, result)?;
            }
            out.extend_from_slice(b"}}");
        }
        Format::Packed => {
            out.extend_from_slice(b"\x83\xa5MPRPC\xa30.1\xa4CODE");
            value::append(out, &Value::Int(code.into()), true)?;
            out.extend_from_slice(b"\xa7MESSAGE");
            out.push(if result.is_some() { 0x82 } else { 0x81 });
            out.extend_from_slice(b"\xa2ID");
            value::append(out, id, true)?;
            if let Some(result) = result {
                out.extend_from_slice(b"\xa6RESULT");
                value::append(out, result, true)?;
            }
        }
    }
    Ok(())
}

/// Appends an answer that is made of a code and other fields.
///
/// # Errors
/// As [`message`].
pub(crate) fn fields<const N: usize>(
    out: &mut Vec<u8>,
    format: Format,
    code: u16,
    fields: [(&'static str, Value); N],
) -> Result<(), &'static str> {
    let head = [("MPRPC", VERSION.into()), ("CODE", Value::Int(code.into()))];
    let map = Value::map(head.into_iter().chain(fields));
    match format {
        Format::Json => json::append(out, &map),
        Format::Packed => value::append(out, &map, true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Bounds;

    #[test]
    fn both_ways_of_writing_and_both_formats_say_the_same() {
        let bounds = Bounds { depth: 10, values: 100 };
        let (id, result) = (Value::from("job"), Value::List(vec![1.into()]));
        for format in [Format::Json, Format::Packed] {
            let read = |out: &[u8]| match format {
                Format::Json => json::read(out, bounds).unwrap(),
                Format::Packed => value::Reader::new(out, bounds).value().unwrap(),
            };
            let (mut short, mut long) = (Vec::new(), Vec::new());
            message(&mut short, format, 200, &id, Some(&result)).unwrap();
            let body = Value::map([("ID", id.clone()), ("RESULT", result.clone())]);
            fields(&mut long, format, 200, [("MESSAGE", body)]).unwrap();
            assert_eq!(read(&short), read(&long));
            let mut bare = Vec::new();
            message(&mut bare, format, 206, &id, None).unwrap();
            assert_eq!(read(&bare).get("MESSAGE"), Some(&Value::map([("ID", id.clone())])));
        }
    }
}
