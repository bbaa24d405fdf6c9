//! pymprpc: logs in, calls, streams and keeps results, in the client's mode.

use std::time::Duration;

use polyport_core::{Fault, Interrupt, Kind, Proof, Reason, Session, Stream, Text, Value};
use polyport_wire::Ended;

use super::jobs::{Event, Outcome, Work};
use super::{Dialect, End};
use crate::Shared;
use crate::codec::compression::Compression;
use crate::codec::fields::Fields;
use crate::codec::frame::{self, Frames};
use crate::codec::{Error, answer};
use crate::commands::delayed::{Delayed, Found};
use crate::commands::{self, Call, GET_RESULT, Request};
use crate::fault::{self, Failure};
use crate::state::{Format, Mode};

type Line = super::Line<Ticket>;

/// Levels that a request has around its arguments: the map and the list.
const LEVELS: usize = 2;

/// Requests over this size are not repeated in the errors they cause. The async client of
/// pymprpc 0.0.3 dies of an answer over 64 KiB.
const ECHO_BYTES: usize = 32 * 1024;

/// Bodies up to this size are unpacked, and packed, where the connection lives, since that takes
/// less than a millisecond or few; larger ones on a thread of their own.
const UNPACK_BYTES: usize = 64 * 1024;
const PACK_BYTES: usize = 4 * 1024;

/// One pymprpc connection.
pub(super) struct Pymprpc {
    mode: Mode,
    frames: Frames,
    delayed: Delayed<Ticket>,
}

/// Who called, and what an error repeats of the call.
pub(super) struct Ticket {
    id: Value,
    method: Text,
    echo: Option<Box<(Value, Value)>>,
    /// The number under which the result is kept, of a call that wants no answer.
    job: Option<u64>,
}

/// Appends what a peer is told whose first byte no dialect begins with.
pub(super) fn refuse(out: &mut Vec<u8>) {
    let written = answer::fields(out, Format::Json, 505, []);
    debug_assert!(written.is_ok());
    out.extend_from_slice(frame::MARK);
}

impl Dialect for Pymprpc {
    type Ticket = Ticket;

    fn idle_limit(shared: &Shared) -> Duration {
        shared.config.idle_s
    }

    async fn serve_one(&mut self, line: &mut Line) -> Result<bool, End> {
        let Some((frame, bytes)) = self.next_frame(line).await? else { return Ok(false) };
        line.guest.connection().request();
        match Request::read(frame).ok_or(End::Version)? {
            Request::Call(call) => self.call(line, call, bytes).await,
            Request::Login { user, password } => {
                line.guest.connection().touch();
                self.log_in(line, &user, &password).await?;
            }
            Request::Heartbeat => {
                line.guest.connection().touch();
                let pong = [("HEARTBEAT", "pong".into())];
                let _ = self.put(line, |out, format| answer::fields(out, format, 101, pong)).await;
            }
            Request::Unknown => self.connection_error(line, 506).await,
        }
        Ok(true)
    }

    async fn tell(&mut self, line: &mut Line, event: Event<Ticket>) {
        match event {
            Event::Done(ticket, result) => self.done(line, ticket, result).await,
            Event::Item(ticket, stream, item) => self.items(line, ticket, stream, item).await,
        }
    }

    async fn say_goodbye(&mut self, line: &mut Line, end: &End) {
        let code = match end {
            End::Refused => 501,
            End::Idle => 504,
            End::Bad(_) | End::Version => 505,
            End::Ended(Ended::NoRoom) => 503,
            End::Ended(Ended::Interrupted(Interrupt::Close(reason))) => match reason {
                Reason::LoginTimeout | Reason::Evicted => 501,
                Reason::Idle | Reason::Stalled => 504,
                Reason::Killed | Reason::Shutdown => 503,
            },
            End::Ended(Ended::Eof | Ended::Io(_) | Ended::Interrupted(Interrupt::Call)) => return,
        };
        self.connection_error(line, code).await;
    }
}

impl Pymprpc {
    pub(super) fn new(mode: Mode) -> Self {
        Self { mode, frames: Frames::default(), delayed: Delayed::default() }
    }

    /// Takes the next frame off the input, and gives its size.
    async fn next_frame(&mut self, line: &mut Line) -> Result<Option<(Fields, usize)>, Error> {
        let limit = line.message_limit();
        let bounds = line.bounds(LEVELS);
        while let Some(mark) = self.frames.mark(line.wire.input()) {
            let body = line.wire.input().get(..mark).unwrap_or_default();
            if body.len() > limit {
                break;
            }
            let read = match self.mode.compression {
                None => self.frames.read(body, &mut self.mode, bounds),
                Some(compression) => {
                    self.frames.may_retry()?;
                    unpacked(compression, body, limit).await.and_then(|plain| {
                        let format = Format::detect(plain.first().copied().unwrap_or_default());
                        let format = *self.mode.format.get_or_insert(format);
                        frame::read_plain(&plain, format, bounds)
                    })
                }
            };
            match read {
                Ok(value) => {
                    self.frames.taken();
                    line.consume(mark + frame::MARK.len());
                    return Ok(Some((value, mark)));
                }
                Err(Error::Incomplete) => self.frames.pass(mark),
                Err(error) => return Err(error),
            }
        }
        if line.wire.input().len() > limit.saturating_add(frame::MARK.len()) {
            return Err(Error::TooLarge("a message is longer than a message may be"));
        }
        Ok(None)
    }

    async fn log_in(&mut self, line: &mut Line, user: &Value, password: &Value) -> Result<(), End> {
        let anonymous = (user.is_falsy() && password.is_falsy())
            .then(|| line.guest.anonymous("pymprpc"))
            .flatten();
        let session = match (anonymous, user, password) {
            (Some(session), _, _) => session,
            (None, Value::Text(user), Value::Text(password)) => {
                check(line, user, password).await?.map_err(|_| End::Refused)?
            }
            (None, Value::Text(user), Value::Null) => {
                check(line, user, "").await?.map_err(|_| End::Refused)?
            }
            _ => return Err(End::Refused),
        };
        line.session = Some(session);
        let fields = [
            ("VERSION", "0.0.1".into()),
            ("DESC", line.shared.description.clone()),
            ("DEBUG", (self.mode.format() == Format::Json).into()),
            ("COMPRESER", self.mode.compression.map_or(Value::Null, |c| c.name().into())),
            ("TIMEOUT", line.shared.timeout.clone()),
        ];
        let _ = self.put(line, |out, format| answer::fields(out, format, 100, fields)).await;
        Ok(())
    }

    async fn call(&mut self, line: &mut Line, call: Call, bytes: usize) {
        let Call { id, method, answers, args, kwargs } = call;
        if line.session.is_none() {
            line.session = line.guest.anonymous("pymprpc");
        }
        let Some(session) = line.session.clone() else {
            return self.connection_error(line, 501).await;
        };
        let echo = (bytes <= ECHO_BYTES).then(|| Box::new((args.clone(), kwargs.clone())));
        let Some(method) = method else {
            let ticket = Ticket { id, method: Text::new(), echo, job: None };
            return self.fail(line, &ticket, Failure::no_method(), String::new()).await;
        };
        let mut ticket = Ticket { id, method, echo, job: None };
        if ticket.method.starts_with('_') {
            let failure = Failure::not_found(&ticket.method);
            return self.fail(line, &ticket, failure, String::new()).await;
        }
        let Some(arguments) = commands::arguments(args, kwargs) else {
            let failure = Failure::arguments(&ticket.method);
            return self.fail(line, &ticket, failure, String::new()).await;
        };
        if ticket.method == GET_RESULT {
            return match commands::wanted_job(arguments) {
                Some(job) => self.get_result(line, ticket, &job).await,
                None => {
                    let failure = Failure::arguments(GET_RESULT);
                    self.fail(line, &ticket, failure, String::new()).await;
                }
            };
        }
        if !answers {
            let most = line.shared.config.delayed_results;
            let (number, forsaken) = self.delayed.begin(ticket.id.clone(), most);
            ticket.job = Some(number);
            for waiting in forsaken {
                self.no_such_job(line, &waiting).await;
            }
        }
        self.start(line, &session, ticket, arguments).await;
    }

    async fn start(
        &mut self,
        line: &mut Line,
        session: &Session,
        ticket: Ticket,
        arguments: polyport_core::Arguments,
    ) {
        let work = Work::call(session, ticket.method.clone(), arguments, true);
        if let Some(event) = line.begin(ticket, work).await {
            self.tell(line, event).await;
        }
    }

    async fn done(&mut self, line: &mut Line, ticket: Ticket, result: Result<Outcome, Fault>) {
        match (ticket.job, result) {
            (None, Ok(Outcome::Value(value))) => self.result(line, &ticket, &value).await,
            (None, Ok(Outcome::Stream(stream))) => self.begin_stream(line, ticket, stream).await,
            (None, Err(fault)) => self.fault(line, &ticket, &fault).await,
            (Some(number), Ok(Outcome::Value(value))) => {
                for waiting in self.delayed.waiting(number) {
                    self.result(line, &waiting, &value).await;
                }
                self.delayed.done(number, value, line.shared.config.delayed_bytes);
            }
            (Some(number), Ok(Outcome::Stream(stream))) => {
                if self.delayed.waiting(number).is_empty() {
                    self.delayed.stream(number, stream);
                } else {
                    self.begin_stream(line, ticket, stream).await;
                }
            }
            (Some(number), Err(fault)) => {
                self.fault(line, &ticket, &fault).await;
                for waiting in self.delayed.waiting(number) {
                    self.result(line, &waiting, &Value::Bool(false)).await;
                }
                self.delayed.failed(number);
            }
        }
    }

    async fn get_result(&mut self, line: &mut Line, ticket: Ticket, job: &Value) {
        match self.delayed.fetch(job) {
            Found::Done(value) => {
                let value = value.clone();
                self.result(line, &ticket, &value).await;
            }
            Found::Failed => self.result(line, &ticket, &Value::Bool(false)).await,
            Found::Stream(id, stream) => {
                let ticket = Ticket { id, ..ticket };
                self.begin_stream(line, ticket, stream).await;
            }
            Found::Running(number) => {
                if let Err(ticket) = self.delayed.wait(number, ticket) {
                    let fault = Fault::new(Kind::Busy, "too many calls wait for results");
                    self.fault(line, &ticket, &fault).await;
                }
            }
            Found::Unknown => self.no_such_job(line, &ticket).await,
        }
    }

    /// The original raises this and answers nothing, for which its clients wait for ever.
    async fn no_such_job(&mut self, line: &mut Line, ticket: &Ticket) {
        let fault = Fault::raised("KeyError", "no result is kept for a call of this id");
        self.fault(line, ticket, &fault).await;
    }

    async fn result(&mut self, line: &mut Line, ticket: &Ticket, value: &Value) {
        let answer =
            |out: &mut Vec<u8>, format| answer::message(out, format, 200, &ticket.id, Some(value));
        if let Err(why) = self.put(line, answer).await {
            self.fault(line, ticket, &unsayable(why)).await;
        }
    }

    async fn begin_stream(&mut self, line: &mut Line, ticket: Ticket, stream: Stream) {
        let begin = |out: &mut Vec<u8>, format| answer::message(out, format, 201, &ticket.id, None);
        if let Err(why) = self.put(line, begin).await {
            return self.fault(line, &ticket, &unsayable(why)).await;
        }
        if let Some(Event::Item(ticket, stream, item)) =
            line.begin(ticket, Work::Stream(stream)).await
        {
            self.items(line, ticket, stream, item).await;
        }
    }

    /// Sends an item and all that are ready behind it, until the output is worth a write.
    async fn items(
        &mut self,
        line: &mut Line,
        mut ticket: Ticket,
        mut stream: Stream,
        mut item: Option<Result<Value, Fault>>,
    ) {
        loop {
            let value = match item {
                None => return self.end_stream(line, &ticket, None).await,
                Some(Err(fault)) => return self.end_stream(line, &ticket, Some(fault)).await,
                Some(Ok(value)) => value,
            };
            let answer = |out: &mut Vec<u8>, format| {
                answer::message(out, format, 202, &ticket.id, Some(&value))
            };
            if let Err(why) = self.put(line, answer).await {
                return self.end_stream(line, &ticket, Some(unsayable(why))).await;
            }
            if line.wire.is_output_high() {
                return line.postpone(ticket, Work::Stream(stream));
            }
            match line.begin(ticket, Work::Stream(stream)).await {
                Some(Event::Item(who, rest, next)) => (ticket, stream, item) = (who, rest, next),
                Some(Event::Done(..)) | None => return,
            }
        }
    }

    /// Ends a stream with 206 even where it failed: the sync client waits for it, and the async
    /// one dies of an error for a stream that has begun. Both ignore the further keys.
    async fn end_stream(&mut self, line: &mut Line, ticket: &Ticket, fault: Option<Fault>) {
        let Some(fault) = fault else {
            let end =
                |out: &mut Vec<u8>, format| answer::message(out, format, 206, &ticket.id, None);
            let _ = self.put(line, end).await;
            return;
        };
        let failure = Failure::new(&fault, &ticket.method, line.shared.config.error_details);
        let message = Value::map([
            ("ID", ticket.id.clone()),
            ("EXCEPTION", failure.exception().into()),
            ("MESSAGE", failure.text.into()),
        ]);
        let end =
            |out: &mut Vec<u8>, format| answer::fields(out, format, 206, [("MESSAGE", message)]);
        if self.put(line, end).await.is_err() {
            let bare =
                |out: &mut Vec<u8>, format| answer::message(out, format, 206, &ticket.id, None);
            let _ = self.put(line, bare).await;
        }
    }

    async fn fault(&mut self, line: &mut Line, ticket: &Ticket, fault: &Fault) {
        let failure = Failure::new(fault, &ticket.method, line.shared.config.error_details);
        self.fail(line, ticket, failure, fault::frame(fault)).await;
    }

    /// Answers that a call failed, if need be without what it was called with, which may be what
    /// cannot be said.
    async fn fail(&mut self, line: &mut Line, ticket: &Ticket, failure: Failure, frame: String) {
        let failure = |echo: Option<&(Value, Value)>| {
            let (args, kwargs) = echo.cloned().unwrap_or_default();
            let method = match ticket.method.as_str() {
                "" => Value::Null,
                _ => Value::Text(ticket.method.clone()),
            };
            let data = Value::map([
                ("METHOD", method),
                ("ARGS", args),
                ("KWARGS", kwargs),
                ("FRAME", frame.as_str().into()),
            ]);
            let message = Value::map([
                ("ID", ticket.id.clone()),
                ("EXCEPTION", failure.exception().into()),
                ("MESSAGE", failure.text.as_str().into()),
                ("DATA", data),
            ]);
            let code = failure.code;
            move |out: &mut Vec<u8>, format| {
                answer::fields(out, format, code, [("MESSAGE", message)])
            }
        };
        let full = failure(ticket.echo.as_deref());
        if self.put(line, full).await.is_ok() || self.put(line, failure(None)).await.is_ok() {
            return;
        }
        // The id itself cannot be said, so no call can be told that it failed.
        self.connection_error(line, 506).await;
    }

    async fn connection_error(&mut self, line: &mut Line, code: u16) {
        let _ = self.put(line, |out, format| answer::fields(out, format, code, [])).await;
    }

    /// Appends a frame to the output.
    async fn put(
        &mut self,
        line: &mut Line,
        write: impl FnOnce(&mut Vec<u8>, Format) -> Result<(), &'static str> + Send,
    ) -> Result<(), &'static str> {
        let format = self.mode.format();
        let start = line.wire.output().len();
        if let Some(compression) = self.mode.compression {
            let mut plain = Vec::new();
            write(&mut plain, format)?;
            let packed = packed(compression, plain).await?;
            line.wire.output().extend_from_slice(&packed);
        } else if let Err(why) = write(line.wire.output(), format) {
            line.wire.output().truncate(start);
            return Err(why);
        }
        frame::seal(line.wire.output(), start, &self.mode)
    }
}

/// Checks a user and a password while the client is watched. The outer error is that it left.
async fn check(
    line: &mut Line,
    user: &str,
    password: &str,
) -> Result<Result<Session, Fault>, Ended> {
    let login = Box::pin(line.guest.login(user, Proof::Password(password)));
    line.wire.during(login).await
}

fn unsayable(why: &'static str) -> Fault {
    Fault::raised("ValueError", format!("the result cannot be sent: {why}"))
}

async fn unpacked(compression: Compression, body: &[u8], limit: usize) -> Result<Vec<u8>, Error> {
    if body.len() <= UNPACK_BYTES {
        let here = compression.unpack(body, limit.min(UNPACK_BYTES));
        if limit <= UNPACK_BYTES || !matches!(here, Err(Error::TooLarge(_))) {
            return here;
        }
    }
    let body = body.to_vec();
    let elsewhere = tokio::task::spawn_blocking(move || compression.unpack(&body, limit));
    elsewhere.await.unwrap_or(Err(Error::Malformed("unpacking failed")))
}

async fn packed(compression: Compression, plain: Vec<u8>) -> Result<Vec<u8>, &'static str> {
    let packed = if plain.len() <= PACK_BYTES {
        compression.pack(&plain)
    } else {
        let elsewhere = tokio::task::spawn_blocking(move || compression.pack(&plain));
        elsewhere.await.unwrap_or_else(|error| Err(std::io::Error::other(error)))
    };
    packed.map_err(|_| "it could not be compressed")
}
