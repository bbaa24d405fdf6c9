//! What pymprpc clients ask.
//!
//! Pure: a request becomes typed here, and nothing behind it checks it again. Results that wait
//! to be fetched are kept in [`delayed`].

pub(crate) mod delayed;

use polyport_core::{Arguments, Text, Value};

use crate::codec::answer::VERSION;
use crate::codec::fields::Fields;

/// The function that every connection answers itself, from the results that it keeps.
pub(crate) const GET_RESULT: &str = "system.getresult";

/// What a pymprpc frame asks.
#[derive(Debug, PartialEq)]
pub(crate) enum Request {
    /// To log in; both are null in an address without a user.
    Login {
        /// The user's name.
        user: Value,
        /// The password.
        password: Value,
    },
    /// To be answered.
    Heartbeat,
    /// To call a function.
    Call(Call),
    /// Nothing that is known.
    Unknown,
}

/// A call as it was sent.
#[derive(Debug, PartialEq)]
pub(crate) struct Call {
    /// What the answer repeats, a text from all known clients. They use it for several calls.
    pub(crate) id: Value,
    /// The function's name.
    pub(crate) method: Option<Text>,
    /// Whether a success is to be answered; a failure always is.
    pub(crate) answers: bool,
    /// The arguments by position, null where there are none.
    pub(crate) args: Value,
    /// The arguments by name, null where there are none.
    pub(crate) kwargs: Value,
}

impl Request {
    /// Reads a frame; `None` when it is not of version 0.1.
    pub(crate) fn read(fields: Fields) -> Option<Self> {
        let Fields { version, auth, heartbeat, id, method, returns, args, kwargs } = fields;
        if version.as_text() != Some(VERSION) {
            return None;
        }
        // In the order of the original, so that a frame of two kinds means the same here.
        Some(if !auth.is_falsy() {
            let part = |name| auth.get(name).cloned().unwrap_or_default();
            Self::Login { user: part("USERNAME"), password: part("PASSWORD") }
        } else if !heartbeat.is_falsy() {
            Self::Heartbeat
        } else if !id.is_falsy() {
            let method = match method {
                Value::Null => None,
                Value::Text(name) => Some(name),
                other => Some(other.to_string().into()),
            };
            Self::Call(Call { id, method, answers: !returns.is_falsy(), args, kwargs })
        } else {
            Self::Unknown
        })
    }
}

/// The arguments of a call; `None` when they are no list and no map of names.
pub(crate) fn arguments(args: Value, kwargs: Value) -> Option<Arguments> {
    let positional = match args {
        Value::List(items) => items,
        none if none.is_falsy() => Vec::new(),
        _ => return None,
    };
    let named = match kwargs {
        Value::Map(pairs) => pairs
            .into_iter()
            .map(|(key, value)| match key {
                Value::Text(name) => Some((name, value)),
                _ => None,
            })
            .collect::<Option<_>>()?,
        none if none.is_falsy() => Vec::new(),
        _ => return None,
    };
    Some(Arguments { positional, named })
}

/// The job whose result [`GET_RESULT`] is to fetch; the original names its parameter `_ID`.
pub(crate) fn wanted_job(arguments: Arguments) -> Option<Value> {
    let Arguments { mut positional, mut named } = arguments;
    match (positional.pop(), named.pop()) {
        (Some(id), None) if positional.is_empty() => Some(id),
        (None, Some((name, id))) if named.is_empty() && (name == "_ID" || name == "id") => Some(id),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(fields: &[(&'static str, Value)]) -> Option<Request> {
        let version = ("MPRPC", Value::from("0.1"));
        let map = Value::map([version].into_iter().chain(fields.iter().cloned()));
        Request::read(Fields::from_map(map).unwrap())
    }

    #[test]
    fn the_kind_is_what_is_true_first() {
        let auth = Value::map([("USERNAME", Value::from("ann")), ("PASSWORD", Value::Null)]);
        let login = Request::Login { user: "ann".into(), password: Value::Null };
        let both = [("ID", Value::from("x")), ("AUTH", auth), ("HEARTBEAT", "ping".into())];
        assert_eq!(request(&both), Some(login));
        let both = [("ID", Value::from("x")), ("HEARTBEAT", "ping".into())];
        assert_eq!(request(&both), Some(Request::Heartbeat));
        for empty in [Value::Null, Value::Int(0), "".into(), Value::Map(vec![])] {
            assert_eq!(request(&[("ID", empty.clone())]), Some(Request::Unknown));
            assert_eq!(request(&[("AUTH", empty)]), Some(Request::Unknown));
        }
    }

    #[test]
    fn another_version_is_no_request() {
        for version in ["9.9".into(), Value::Null, Value::Float(0.1)] {
            let fields = Fields { version, id: "x".into(), ..Fields::default() };
            assert_eq!(Request::read(fields), None);
        }
    }

    #[test]
    fn a_call_may_leave_out_all_but_its_id() {
        let Some(Request::Call(call)) = request(&[("ID", 7.into())]) else { panic!() };
        assert_eq!((call.id, call.method, call.answers), (Value::Int(7), None, false));
        assert_eq!(arguments(call.args, call.kwargs), Some(Arguments::default()));
    }

    #[test]
    fn arguments_are_a_list_and_names() {
        let named = Value::map([("b", Value::Int(2))]);
        let both = arguments(Value::List(vec![1.into()]), named);
        assert_eq!(both, Some(Arguments::from_iter([1]).named("b", 2)));
        assert_eq!(arguments("text".into(), Value::Null), None);
        let numbered = Value::Map(vec![(Value::Int(1), Value::Null)]);
        assert_eq!(arguments(Value::Null, numbered), None);
    }

    #[test]
    fn a_job_is_named_by_position_or_by_name() {
        assert_eq!(wanted_job(Arguments::from_iter(["x"])), Some("x".into()));
        assert_eq!(wanted_job(Arguments::default().named("_ID", "x")), Some("x".into()));
        assert_eq!(wanted_job(Arguments::default()), None);
        assert_eq!(wanted_job(Arguments::from_iter(["x", "y"])), None);
        assert_eq!(wanted_job(Arguments::from_iter(["x"]).named("_ID", "y")), None);
    }
}
