//! Frames: what the server and its workers say to each other.

use polyport_core::{Arguments, Column, Fault, Kind, Ran, Reply, Text, Value};
use polyport_pack::{
    FRAME, FRAME_HEAD_BYTES, Reader, append, append_array, append_columns, append_frame,
    append_list, append_named, append_nil, append_reply, append_str, append_u64, fault,
};

use super::description::Hello;
use super::{Bounds, Error, TOO_LONG};

const HELLO: u64 = 0;
const WELCOME: u64 = 1;
const CALL: u64 = 2;
const STREAM: u64 = 3;
const ITEM: u64 = 4;
const DONE: u64 = 5;
const FAIL: u64 = 6;
const CANCEL: u64 = 7;
const CREDIT: u64 = 8;
const PING: u64 = 9;
const PONG: u64 = 10;
const DRAIN: u64 = 11;
const LOG: u64 = 12;
const LEAVE: u64 = 13;

/// Elements of a frame, by its kind.
const ELEMENTS: [u32; 14] = [2, 2, 6, 3, 3, 3, 3, 2, 3, 2, 2, 1, 5, 2];

/// One thing that the server says to a worker, or a worker to the server.
///
/// It is not [`PartialEq`], since a [`Reply`] is not.
#[derive(Debug)]
pub enum Frame {
    /// A worker tells which functions it has.
    Hello(Hello),
    /// The server tells a worker which pool it is for.
    Welcome(Welcome),
    /// One side calls a function of the other.
    Call(Call),
    /// A call is answered by a stream.
    Stream {
        /// The call.
        id: u64,
        /// The columns of each item; none when they are not declared.
        columns: Vec<Column>,
    },
    /// The next item of a stream.
    Item {
        /// The call.
        id: u64,
        /// The item.
        value: Value,
    },
    /// An item of a stream that cannot be taken, such as one that is nested too deep: it was passed
    /// over, and the stream cannot go on.
    ItemRefused {
        /// The call.
        id: u64,
        /// What to tell the caller.
        fault: Fault,
    },
    /// A call whose arguments cannot be taken, such as ones that are nested too deep: it was passed
    /// over, and is to be answered by the fault.
    CallRefused {
        /// The call.
        id: u64,
        /// The answer.
        fault: Fault,
    },
    /// A call succeeded, or a stream ended; that one with null.
    Done {
        /// The call.
        id: u64,
        /// Its result, which is never [`Reply::Stream`].
        reply: Reply,
    },
    /// A call failed, or a stream broke off, or its result cannot be taken.
    Fail {
        /// The call.
        id: u64,
        /// Why.
        fault: Fault,
    },
    /// Nobody wants the result of a call any more.
    Cancel {
        /// The call.
        id: u64,
    },
    /// More items of a stream may be sent.
    Credit {
        /// The call.
        id: u64,
        /// How many more.
        count: u64,
    },
    /// Asks whether the other side is there.
    Ping(u64),
    /// Answers a ping, with its number.
    Pong(u64),
    /// The server sends no further calls, or a worker wants none.
    Drain,
    /// A record for the server's log.
    Log(Log),
    /// A session is over.
    Leave {
        /// Its number.
        session: u64,
    },
    /// A kind of frame that this version of the protocol does not have, to be passed over.
    Unknown(u64),
}

/// What the server tells a worker first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// The pool that the worker is for.
    pub pool: Text,
    /// The number of the worker in its pool, from 0.
    pub index: u64,
    /// The longest frame, in bytes after its head.
    pub message_bytes: u64,
    /// The path of the progress file; `None` when the worker keeps none.
    pub progress: Option<Text>,
    /// The least level of log records worth sending.
    pub log: Level,
}

/// A call, as it is read.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The caller's number for it, higher with each.
    pub id: u64,
    /// The function.
    pub name: Text,
    /// The arguments. To a worker: one by position for each parameter.
    pub arguments: Arguments,
    /// Where it comes from.
    pub context: Context,
}

/// Where a call comes from; which of the two, is decided by who sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Context {
    /// From the server to a worker.
    Origin(Origin),
    /// From a worker to the server.
    Nested(Nested),
}

/// Who calls a worker's function, until when, and because of what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The same for all calls of one connection of a client.
    pub session: u64,
    /// The user's name.
    pub user: Text,
    /// The protocol that the client speaks.
    pub protocol: Text,
    /// The client's address, or a word such as `unix` or `memory`.
    pub peer: Text,
    /// Milliseconds until the call's time is over.
    pub left_ms: Option<u64>,
    /// The same for all calls that one client's call led to.
    pub chain: u64,
    /// How many calls this one is inside of.
    pub depth: u64,
}

/// Which call a worker's own call serves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Nested {
    /// The id of the call that the worker is serving.
    pub serving: u64,
    /// The most milliseconds that the call may take.
    pub limit_ms: Option<u64>,
}

/// A record for the server's log.
#[derive(Clone, Debug, PartialEq)]
pub struct Log {
    /// How much it matters.
    pub level: Level,
    /// The part of the program that it is from.
    pub target: Text,
    /// What happened.
    pub message: Text,
    /// Details.
    pub fields: Vec<(Text, Value)>,
}

/// How much a log record matters, the most important first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something failed.
    Error,
    /// Something may fail.
    Warn,
    /// Something that operators like to know.
    Info,
    /// Something for those who look for a defect.
    Debug,
    /// Every step.
    Trace,
}

impl Level {
    /// Every level.
    pub const ALL: [Self; 5] = [Self::Error, Self::Warn, Self::Info, Self::Debug, Self::Trace];

    /// The level's name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }

    fn read(name: &str) -> Result<Self, Error> {
        let level = Self::ALL.into_iter().find(|level| level.name() == name);
        level.ok_or(Error::Malformed("a level is none of error, warn, info, debug, trace"))
    }
}

/// Who sent the bytes that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// The server, to a worker.
    Server,
    /// A worker, to the server.
    Worker,
}

/// Reads the frame that the bytes begin with, and says how many bytes it took. `None` is: more
/// bytes are needed. Nothing is kept in between, and nothing is looked at before all is there.
///
/// # Errors
/// When the bytes are no frame, whatever follows them.
pub fn decode(
    input: &[u8],
    sender: Sender,
    bounds: Bounds,
) -> Result<Option<(Frame, usize)>, Error> {
    let Some((head, rest)) = input.split_first() else { return Ok(None) };
    if *head != FRAME {
        return Err(Error::Malformed("a frame begins with the byte ce"));
    }
    let Some((length, rest)) = rest.split_first_chunk() else { return Ok(None) };
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| TOO_LONG)?;
    if length > bounds.bytes {
        return Err(TOO_LONG);
    }
    let Some(body) = rest.get(..length) else { return Ok(None) };
    let Bounds { depth, values, .. } = bounds;
    let bounds = polyport_pack::Bounds { depth, values, foreign: true };
    let frame = read(&mut Reader::new(body, bounds), sender)?;
    Ok(Some((frame, FRAME_HEAD_BYTES + length)))
}

fn read(reader: &mut Reader<'_>, sender: Sender) -> Result<Frame, Error> {
    let elements = reader.elements(1)?;
    let kind = reader.u64()?;
    let needed = usize::try_from(kind).ok().and_then(|kind| ELEMENTS.get(kind));
    if needed.is_some_and(|needed| elements < *needed as usize) {
        return Err(Error::Malformed("a frame has too few elements for its kind"));
    }
    Ok(match kind {
        HELLO => Frame::Hello(Hello::from_value(&reader.value()?)?),
        WELCOME => Frame::Welcome(Welcome::from_value(&reader.value()?)?),
        CALL => {
            let id = reader.u64()?;
            match taken(Call::read(reader, id, sender))? {
                Ok(call) => Frame::Call(call),
                Err(fault) => Frame::CallRefused { id, fault },
            }
        }
        STREAM => Frame::Stream { id: reader.u64()?, columns: reader.columns()? },
        ITEM => {
            let id = reader.u64()?;
            match taken(reader.value())? {
                Ok(value) => Frame::Item { id, value },
                Err(fault) => Frame::ItemRefused { id, fault: fault.with_ran(Ran::Yes) },
            }
        }
        DONE => {
            let id = reader.u64()?;
            match taken(reader.reply())? {
                Ok(reply) => Frame::Done { id, reply },
                Err(fault) => Frame::Fail { id, fault: fault.with_ran(Ran::Yes) },
            }
        }
        FAIL => {
            let id = reader.u64()?;
            let fault = taken(reader.value().and_then(|map| fault::read(&map)))?;
            Frame::Fail { id, fault: fault.unwrap_or_else(|fault| fault.with_ran(Ran::Yes)) }
        }
        CANCEL => Frame::Cancel { id: reader.u64()? },
        CREDIT => Frame::Credit { id: reader.u64()?, count: reader.u64()? },
        PING => Frame::Ping(reader.u64()?),
        PONG => Frame::Pong(reader.u64()?),
        DRAIN => Frame::Drain,
        LOG => Frame::Log(Log {
            level: Level::read(reader.str()?)?,
            target: reader.text()?,
            message: reader.text()?,
            fields: match taken(reader.named())? {
                Ok(fields) => fields,
                Err(fault) => vec![("fields".into(), fault.message().into())],
            },
        }),
        LEAVE => Frame::Leave { session: reader.u64()? },
        unknown => Frame::Unknown(unknown),
    })
}

/// Makes a value that is refused the fault of one call. The end of the frame is known whatever is
/// in it, so nobody else has to suffer.
fn taken<T>(read: Result<T, polyport_pack::Error>) -> Result<Result<T, Fault>, Error> {
    match read {
        Ok(read) => Ok(Ok(read)),
        Err(polyport_pack::Error::Refused(kind, why)) => Ok(Err(Fault::new(kind, why))),
        Err(error) => Err(error.into()),
    }
}

impl Frame {
    /// Appends the frame. [`encode_call`] does it for a call without building one.
    ///
    /// # Errors
    /// [`Kind::TooLarge`] when it has more than `most` bytes, [`Kind::Unsupported`] when there is a
    /// stream in a reply. Nothing is appended then.
    pub fn encode(&self, out: &mut Vec<u8>, most: usize) -> Result<(), Fault> {
        match self {
            Self::Hello(hello) => framed(out, most, HELLO, |out| append(out, &hello.to_value())),
            Self::Welcome(welcome) => {
                framed(out, most, WELCOME, |out| append(out, &welcome.to_value()))
            }
            Self::Call(Call { id, name, arguments, context }) => {
                encode_call(out, most, *id, name, arguments, context)
            }
            Self::Stream { id, columns } => {
                about(out, most, STREAM, *id, |out| append_columns(out, columns))
            }
            // Neither is ever sent; this is what they stand for.
            Self::ItemRefused { id, fault } | Self::CallRefused { id, fault } => {
                about(out, most, FAIL, *id, |out| append(out, &fault::to_value(fault)))
            }
            Self::Item { id, value } => about(out, most, ITEM, *id, |out| append(out, value)),
            Self::Done { id, reply } => about(out, most, DONE, *id, |out| append_reply(out, reply)),
            Self::Fail { id, fault } => {
                about(out, most, FAIL, *id, |out| append(out, &fault::to_value(fault)))
            }
            Self::Cancel { id } => about(out, most, CANCEL, *id, |_| Ok(())),
            Self::Credit { id, count } => about(out, most, CREDIT, *id, |out| {
                append_u64(out, *count);
                Ok(())
            }),
            Self::Ping(number) => about(out, most, PING, *number, |_| Ok(())),
            Self::Pong(number) => about(out, most, PONG, *number, |_| Ok(())),
            Self::Drain => framed(out, most, DRAIN, |_| Ok(())),
            Self::Log(Log { level, target, message, fields }) => framed(out, most, LOG, |out| {
                append_str(out, level.name())?;
                append_str(out, target)?;
                append_str(out, message)?;
                append_named(out, fields)
            }),
            Self::Leave { session } => about(out, most, LEAVE, *session, |_| Ok(())),
            Self::Unknown(kind) => framed(out, most, *kind, |_| Ok(())),
        }
    }
}

/// Appends a call.
///
/// # Errors
/// [`Kind::TooLarge`] when it has more than `most` bytes. Nothing is appended then.
pub fn encode_call(
    out: &mut Vec<u8>,
    most: usize,
    id: u64,
    name: &str,
    arguments: &Arguments,
    context: &Context,
) -> Result<(), Fault> {
    about(out, most, CALL, id, |out| {
        append_str(out, name)?;
        append_list(out, &arguments.positional, append)?;
        if arguments.named.is_empty() {
            append_nil(out);
        } else {
            append_named(out, &arguments.named)?;
        }
        context.append(out)
    })
}

/// Appends a frame whose first element after its kind is a number.
fn about(
    out: &mut Vec<u8>,
    most: usize,
    kind: u64,
    id: u64,
    content: impl FnOnce(&mut Vec<u8>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    framed(out, most, kind, |out| {
        append_u64(out, id);
        content(out)
    })
}

fn framed(
    out: &mut Vec<u8>,
    most: usize,
    kind: u64,
    content: impl FnOnce(&mut Vec<u8>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let start = out.len() + FRAME_HEAD_BYTES;
    append_frame(out, |out| {
        let elements = usize::try_from(kind).ok().and_then(|kind| ELEMENTS.get(kind));
        append_array(out, *elements.unwrap_or(&1));
        append_u64(out, kind);
        content(out)?;
        let bytes = out.len() - start;
        if bytes > most {
            let why = format!("{bytes} bytes are over the {most} of workers.message_bytes");
            return Err(Fault::new(Kind::TooLarge, why));
        }
        Ok(())
    })
}

impl Call {
    fn read(
        reader: &mut Reader<'_>,
        id: u64,
        sender: Sender,
    ) -> Result<Self, polyport_pack::Error> {
        let name = reader.text()?;
        let positional = reader.list(Reader::value)?;
        let named = reader.optional(Reader::named)?.unwrap_or_default();
        let arguments = Arguments { positional, named };
        Ok(Self { id, name, arguments, context: Context::read(reader, sender)? })
    }
}

impl Context {
    fn read(reader: &mut Reader<'_>, sender: Sender) -> Result<Self, polyport_pack::Error> {
        Ok(match sender {
            Sender::Server => {
                reader.elements(7)?;
                Self::Origin(Origin {
                    session: reader.u64()?,
                    user: reader.text()?,
                    protocol: reader.text()?,
                    peer: reader.text()?,
                    left_ms: reader.optional(Reader::u64)?,
                    chain: reader.u64()?,
                    depth: reader.u64()?,
                })
            }
            Sender::Worker => {
                reader.elements(2)?;
                Self::Nested(Nested {
                    serving: reader.u64()?,
                    limit_ms: reader.optional(Reader::u64)?,
                })
            }
        })
    }

    fn append(&self, out: &mut Vec<u8>) -> Result<(), Fault> {
        let limit = |out: &mut Vec<u8>, ms: Option<u64>| match ms {
            Some(ms) => append_u64(out, ms),
            None => append_nil(out),
        };
        match self {
            Self::Origin(origin) => {
                append_array(out, 7);
                append_u64(out, origin.session);
                append_str(out, &origin.user)?;
                append_str(out, &origin.protocol)?;
                append_str(out, &origin.peer)?;
                limit(out, origin.left_ms);
                append_u64(out, origin.chain);
                append_u64(out, origin.depth);
            }
            Self::Nested(nested) => {
                append_array(out, 2);
                append_u64(out, nested.serving);
                limit(out, nested.limit_ms);
            }
        }
        Ok(())
    }
}

impl Welcome {
    fn from_value(value: &Value) -> Result<Self, Error> {
        const WRONG: Error = Error::Malformed("a WELCOME lacks a setting, or has a wrong one");
        let text = |key| value.get(key).and_then(Value::as_text);
        let number = |key| value.get(key).and_then(Value::as_int).map(u64::try_from);
        Ok(Self {
            pool: text("pool").ok_or(WRONG)?.into(),
            index: number("index").and_then(Result::ok).ok_or(WRONG)?,
            message_bytes: number("message_bytes").and_then(Result::ok).ok_or(WRONG)?,
            progress: text("progress").map(Text::from),
            log: Level::read(text("log").ok_or(WRONG)?)?,
        })
    }

    fn to_value(&self) -> Value {
        let number = |number| Value::Int(i64::try_from(number).unwrap_or(i64::MAX));
        let mut pairs = vec![
            ("pool", Value::Text(self.pool.clone())),
            ("index", number(self.index)),
            ("message_bytes", number(self.message_bytes)),
            ("log", self.log.name().into()),
        ];
        pairs.extend(self.progress.clone().map(|path| ("progress", Value::Text(path))));
        Value::map(pairs)
    }
}
