//! Faults as maps.

use polyport_core::{Fault, Kind, Ran, Text, Value};

use crate::Error;

/// A fault as a map.
#[must_use]
pub fn to_value(fault: &Fault) -> Value {
    let mut pairs: Vec<(&str, Value)> = vec![
        ("kind", fault.kind().name().into()),
        ("message", fault.message().into()),
        ("class", fault.class().into()),
        ("ran", ran_name(fault.ran()).into()),
    ];
    pairs.extend(fault.errno().map(|errno| ("errno", Value::Int(errno.into()))));
    if !fault.attributes().is_empty() {
        pairs.push(("attributes", Value::map(fault.attributes().iter().cloned())));
    }
    if !fault.trace().is_empty() {
        pairs.push(("trace", fault.trace().into()));
    }
    Value::map(pairs)
}

/// Reads a fault. A kind that is not known is of a later version, and read as
/// [`Kind::Raised`].
///
/// # Errors
/// When the value is no fault.
pub fn read(value: &Value) -> Result<Fault, Error> {
    const TEXT: Error = Error::Malformed("a fault's kind, message, class and trace are text");
    let field = |key| value.get(key).filter(|value| **value != Value::Null);
    let text = |key| match field(key) {
        Some(Value::Text(text)) => Ok(Some(text.clone())),
        Some(_) => Err(TEXT),
        None => Ok(None),
    };
    let kind = text("kind")?.ok_or(TEXT)?;
    let kind = Kind::ALL.into_iter().find(|known| known.name() == kind).unwrap_or(Kind::Raised);
    let mut fault = Fault::new(kind, text("message")?.ok_or(TEXT)?);
    fault = fault.with_class(text("class")?.unwrap_or_default());
    fault = fault.with_trace(text("trace")?.unwrap_or_default());
    if let Some(errno) = field("errno") {
        let errno = errno.as_int().and_then(|errno| u16::try_from(errno).ok());
        let wrong = Error::Malformed("a fault's errno is an integer from 0 to 65535");
        fault = fault.with_errno(errno.ok_or(wrong)?);
    }
    for (name, value) in attributes(field("attributes"))? {
        fault = fault.with(name, value);
    }
    if let Some(name) = text("ran")? {
        let ran = [Ran::No, Ran::Yes, Ran::Maybe].into_iter().find(|ran| ran_name(*ran) == name);
        fault = fault.with_ran(ran.ok_or(Error::Malformed("a fault's ran is yes, no or maybe"))?);
    }
    Ok(fault)
}

fn attributes(value: Option<&Value>) -> Result<Vec<(Text, Value)>, Error> {
    const WRONG: Error = Error::Malformed("a fault's attributes are a map with text keys");
    match value {
        None => Ok(Vec::new()),
        Some(Value::Map(pairs)) => {
            let named = |(name, value): &(Value, Value)| match name {
                Value::Text(name) => Ok((name.clone(), value.clone())),
                _ => Err(WRONG),
            };
            pairs.iter().map(named).collect()
        }
        Some(_) => Err(WRONG),
    }
}

const fn ran_name(ran: Ran) -> &'static str {
    match ran {
        Ran::No => "no",
        Ran::Yes => "yes",
        Ran::Maybe => "maybe",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_fault_is_read_as_it_was_written() {
        for kind in Kind::ALL {
            for ran in [Ran::No, Ran::Yes, Ran::Maybe] {
                let fault = Fault::new(kind, "why")
                    .with_class("Why")
                    .with_errno(65_535)
                    .with("file", "app.py")
                    .with("line", 3)
                    .with_trace("a\nb")
                    .with_ran(ran);
                assert_eq!(read(&to_value(&fault)), Ok(fault));
            }
        }
    }

    #[test]
    fn a_kind_and_a_message_are_enough() {
        let short = Value::map([("kind", "timeout"), ("message", "late")]);
        assert_eq!(read(&short), Ok(Fault::new(Kind::Timeout, "late")));
        let later = Value::map([("kind", "quota"), ("message", "spent")]);
        assert_eq!(read(&later).unwrap().kind(), Kind::Raised);
    }

    #[test]
    fn what_is_no_fault_is_refused() {
        let with = |key: &str, value: Value| {
            let mut pairs = vec![(key, value)];
            pairs.extend([("kind", "raised".into()), ("message", "m".into())]);
            read(&Value::map(pairs))
        };
        for (key, value) in [
            ("kind", Value::Int(1)),
            ("class", Value::Bytes(b"x".into())),
            ("errno", Value::Int(65_536)),
            ("errno", Value::Int(-1)),
            ("errno", "1".into()),
            ("attributes", Value::List(vec![])),
            ("attributes", Value::Map(vec![(Value::Int(1), Value::Null)])),
            ("ran", "perhaps".into()),
        ] {
            assert!(with(key, value.clone()).is_err(), "{key}: {value}");
        }
        for value in [Value::Null, "raised".into(), Value::map([("kind", "raised")])] {
            assert!(read(&value).is_err());
        }
    }
}
