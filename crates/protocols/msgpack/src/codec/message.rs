//! Standard MessagePack-RPC messages: arrays, back to back.

use polyport_core::{Text, Value};

use super::value::{Reader, Scan};
use super::{Bounds, Error};

/// What a peer sends.
#[derive(Debug, PartialEq)]
pub(crate) enum Message {
    /// `[0, id, method, params]`, or without an id `[2, method, params]`.
    Call {
        /// What the response repeats; `None` in a notification, which has none.
        id: Option<u32>,
        /// The function's name.
        method: Text,
        /// The arguments, by position.
        params: Vec<Value>,
    },
    /// `[1, id, error, result]`: an answer to a question that this server never asks.
    Response,
}

/// Finds and reads messages at the front of the input. Each byte is looked at a fixed number of
/// times, in whatever pieces it comes.
#[derive(Debug, Default)]
pub(crate) struct Messages {
    scan: Scan,
    /// Whether the peer has sent a head of 2013, and so understands them.
    pub(crate) new_style: bool,
}

impl Messages {
    /// The first message and its length; `None` when it is not there yet.
    pub(crate) fn next(
        &mut self,
        input: &[u8],
        limit: usize,
        bounds: Bounds,
    ) -> Result<Option<(Message, usize)>, Error> {
        if input.is_empty() {
            return Ok(None);
        }
        let mut reader = Reader::new(input, bounds);
        // Mostly a message comes whole. When it does not, it is not read again before it is.
        let fresh = self.scan.position() == 0;
        if fresh || self.scan.advance(input)? {
            match read(&mut reader) {
                Ok(message) => {
                    self.new_style |= reader.new_style;
                    self.scan = Scan::default();
                    return Ok(Some((message, input.len() - reader.rest().len())));
                }
                Err(Error::Incomplete) if fresh && !self.scan.advance(input)? => {}
                Err(Error::Incomplete) => return Err(Error::Malformed("a message ends too early")),
                Err(error) => return Err(error),
            }
        }
        if self.scan.position() > limit {
            return Err(Error::TooLarge("a message is longer than a message may be"));
        }
        Ok(None)
    }

    /// The id of the request at the front of the input, for the answer that refuses it.
    pub(crate) fn id(input: &[u8]) -> Option<u32> {
        let mut reader = Reader::new(input, Bounds { depth: 0, values: 2 });
        reader.array_length().ok()?;
        match (reader.value(), reader.value()) {
            (Ok(Value::Int(0)), Ok(Value::Int(id))) => u32::try_from(id).ok(),
            _ => None,
        }
    }
}

fn read(reader: &mut Reader<'_>) -> Result<Message, Error> {
    let length = reader.array_length()?;
    if !(3..=4).contains(&length) {
        return Err(Error::Malformed("a message has three or four parts"));
    }
    match (reader.value()?, length) {
        (Value::Int(0), 4) => {
            let id = reader.value()?.as_int().and_then(|id| u32::try_from(id).ok());
            let id = id.ok_or(Error::Malformed("a message id is an integer of 32 bits"))?;
            read_call(reader, Some(id))
        }
        (Value::Int(1), 4) => {
            for _ in 0..3 {
                reader.value()?;
            }
            Ok(Message::Response)
        }
        (Value::Int(2), 3) => read_call(reader, None),
        _ => Err(Error::Malformed("a message is a request, a response or a notification")),
    }
}

fn read_call(reader: &mut Reader<'_>, id: Option<u32>) -> Result<Message, Error> {
    let Value::Text(method) = reader.value()? else {
        return Err(Error::Malformed("a method's name is text"));
    };
    let Value::List(params) = reader.value()? else {
        return Err(Error::Malformed("the parameters are an array"));
    };
    Ok(Message::Call { id, method, params })
}

/// Appends a response up to its result or error, which the caller appends.
pub(crate) fn begin_response(out: &mut Vec<u8>, id: u32) {
    out.extend_from_slice(&[0x94, 0x01]);
    let written = rmp::encode::write_uint(out, id.into());
    debug_assert!(written.is_ok());
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { depth: 10, values: 1000 };

    fn call(id: Option<u32>, method: &str, params: impl IntoIterator<Item = i64>) -> Message {
        let params = params.into_iter().map(Value::Int).collect();
        Message::Call { id, method: Text::from(method), params }
    }

    #[test]
    fn messages_come_out_whole_wherever_the_input_is_cut() {
        // As msgpack-rpc-python 0.4.1 sends them, then a response, then a long form array.
        let bytes = b"\x94\0\0\xa8testfunc\x92\x01\x02\x93\x02\xa1n\x91\x01\x94\x01\x07\xc0\xc0\
            \xdc\0\x04\0\xce\xff\xff\xff\xff\xa1f\x90";
        let want = [
            call(Some(0), "testfunc", [1, 2]),
            call(None, "n", [1]),
            Message::Response,
            call(Some(u32::MAX), "f", []),
        ];
        for cut in 0..bytes.len() {
            let (mut messages, mut input, mut read) = (Messages::default(), Vec::new(), Vec::new());
            for piece in [&bytes[..cut], &bytes[cut..]] {
                input.extend_from_slice(piece);
                while let Some((message, used)) = messages.next(&input, 100, BOUNDS).unwrap() {
                    read.push(message);
                    input.drain(..used);
                }
            }
            assert_eq!(read, want);
            assert!(input.is_empty());
        }
    }

    #[test]
    fn what_is_no_message_is_malformed_and_its_id_is_known_where_it_has_one() {
        let cases: [(&[u8], Option<u32>); 7] = [
            (b"\x93\0\x07\xa1f", Some(7)),
            (b"\x94\0\x07\x05\x90", Some(7)),
            (b"\x94\0\x07\xa1f\x80", Some(7)),
            (b"\x94\0\x07\xa1f\x91\xc1", Some(7)),
            (b"\x94\0\xff\xa1f\x90", None),
            (b"\x94\x05\x07\xa1f\x90", None),
            (b"\x90", None),
        ];
        for (bytes, id) in cases {
            let read = Messages::default().next(bytes, 100, BOUNDS);
            assert!(matches!(read, Err(Error::Malformed(_))), "{bytes:?} {read:?}");
            assert_eq!(Messages::id(bytes), id);
        }
    }

    #[test]
    fn a_message_that_announces_too_much_is_refused_before_it_comes() {
        let read = Messages::default().next(b"\x94\0\x07\xdb\xff\xff\xff\xff", 100, BOUNDS);
        assert!(matches!(read, Err(Error::TooLarge(_))));
    }

    #[test]
    fn the_style_is_that_of_the_peer() {
        let mut messages = Messages::default();
        messages.next(b"\x94\0\0\xa1f\x90", 100, BOUNDS).unwrap();
        assert!(!messages.new_style);
        messages.next(b"\x94\0\0\xd9\x01f\x90", 100, BOUNDS).unwrap();
        messages.next(b"\x94\0\0\xa1f\x90", 100, BOUNDS).unwrap();
        assert!(messages.new_style);
    }
}
