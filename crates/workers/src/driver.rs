//! The task beside each worker: reads what it sends, keeps its times, and ends it.

use std::sync::Arc;
use std::time::Duration;

use polyport_core::limits::Limits;
use polyport_core::{Column, Fault, Reply, Text, Value};
use polyport_worker::{Bounds, Frame, Level, Log, Sender, decode};
use tokio::io::Interest;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::config::Config;
use crate::nested;
use crate::process::Process;
use crate::worker::{Answer, CREDIT, Items, Sent, State, Worker};

/// Bytes that are read from a socket at once.
const READ_BYTES: usize = 64 * 1024;

/// How long a process may take to exit after it has closed its socket.
const EXIT: Duration = Duration::from_secs(1);

/// What a driver tells the keeper of the worker's place.
#[derive(Debug)]
pub(crate) enum Event {
    /// It is better replaced, for this reason. It goes on with what it has.
    Retire(Text),
    /// It is gone, for this reason. Nothing comes after this.
    Gone(Text),
}

/// A worker's process and socket.
#[derive(Debug)]
pub(crate) struct Driver {
    pub(crate) worker: Arc<Worker>,
    pub(crate) process: Process,
    pub(crate) events: mpsc::UnboundedSender<Event>,
    pub(crate) bounds: Bounds,
    /// Bytes that are not yet a frame.
    pub(crate) input: Vec<u8>,
    pub(crate) ping: Ping,
}

/// Whether a worker that runs nothing still answers.
#[derive(Debug)]
pub(crate) struct Ping {
    every: Option<Duration>,
    next: Instant,
    number: u64,
    answered: u64,
}

impl Ping {
    pub(crate) fn new(config: &Config) -> Self {
        let every = (!config.ping_s.is_zero()).then_some(config.ping_s);
        let next = Instant::now() + every.unwrap_or_default();
        Self { every, next, number: 0, answered: 0 }
    }
}

/// What one frame from a worker may hold.
pub(crate) fn bounds(config: &Config, limits: &Limits) -> Bounds {
    /// Beyond this the values would take far more memory than the frame.
    const VALUES: usize = 4_000_000;
    Bounds { bytes: config.message_bytes, depth: limits.depth, values: VALUES }
}

impl Driver {
    /// Drives the worker until it is gone.
    pub(crate) async fn run(mut self) {
        let how = match self.drive().await {
            Why::Exited(how) => how,
            Why::Closed => {
                // A process that exits closes its socket a moment earlier.
                let exited = tokio::time::timeout(EXIT, self.process.ended()).await;
                exited.unwrap_or_else(|_| "closed its socket".to_owned())
            }
            Why::Ended(why) => format!("was ended: {why}"),
        };
        self.process.kill();
        let how = Text::from(how);
        self.worker.lost(&how);
        let _ = self.events.send(Event::Gone(how));
    }

    async fn drive(&mut self) -> Why {
        // Bytes may have come right behind the worker's HELLO.
        if let Err(why) = self.frames() {
            return Why::Ended(why);
        }
        loop {
            let (writes, due) = {
                let state = self.worker.lock();
                (!state.out.is_empty(), self.due(&state))
            };
            let interest =
                if writes { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
            let worker = self.worker.clone();
            tokio::select! {
                ready = worker.socket.ready(interest) => match ready {
                    Err(_) => return Why::Closed,
                    Ok(ready) => {
                        if ready.is_writable() {
                            worker.flush(&mut worker.lock());
                        }
                        if ready.is_readable() && !self.read() {
                            return Why::Closed;
                        }
                        if let Err(why) = self.frames() {
                            return Why::Ended(why);
                        }
                    }
                },
                () = worker.wake.notified() => {}
                () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    if let Some(why) = self.look() {
                        return Why::Ended(why);
                    }
                }
                how = self.process.ended() => {
                    // What it sent before it ended still counts.
                    while self.read_now() {}
                    let _ = self.frames();
                    return Why::Exited(how);
                }
            }
        }
    }

    /// When something is to be looked at.
    fn due(&self, state: &State) -> Option<Instant> {
        let overdue = state.sent.values().filter_map(|sent| sent.overdue).min();
        let ping = self.ping.every.filter(|_| state.sent.is_empty()).map(|_| self.ping.next);
        [overdue, state.kill_at, ping].into_iter().flatten().min()
    }

    /// Reads what has arrived; false at the end.
    fn read(&mut self) -> bool {
        self.input.reserve(READ_BYTES);
        match self.worker.socket.try_read_buf(&mut self.input) {
            Ok(0) => false,
            Ok(_) => true,
            Err(error) => error.kind() == std::io::ErrorKind::WouldBlock,
        }
    }

    /// Reads once more; false when there is nothing more.
    fn read_now(&mut self) -> bool {
        self.input.reserve(READ_BYTES);
        matches!(self.worker.socket.try_read_buf(&mut self.input), Ok(1..))
    }

    fn frames(&mut self) -> Result<(), String> {
        let mut used = 0;
        while let Some(rest) = self.input.get(used..).filter(|rest| !rest.is_empty()) {
            match decode(rest, Sender::Worker, self.bounds) {
                Ok(None) => break,
                Ok(Some((frame, length))) => {
                    used += length;
                    self.frame(frame)?;
                }
                Err(error) => return Err(format!("it broke the protocol: {error}")),
            }
        }
        self.input.drain(..used);
        if self.input.is_empty() && self.input.capacity() > 2 * READ_BYTES {
            self.input = Vec::new();
        }
        Ok(())
    }

    fn frame(&mut self, frame: Frame) -> Result<(), String> {
        let worker = &self.worker;
        match frame {
            Frame::Done { id, reply } => worker.done(id, Ok(reply)),
            Frame::Fail { id, fault } => worker.done(id, Err(fault)),
            Frame::Stream { id, columns } => worker.begin_stream(id, columns)?,
            Frame::Item { id, value } => worker.item(id, value)?,
            Frame::ItemRefused { id, fault } => worker.refuse_item(id, fault),
            Frame::CallRefused { id, fault } => worker.tell_now(&Frame::Fail { id, fault }),
            Frame::Call(call) => nested::begin(worker, call)?,
            Frame::Cancel { id } => nested::cancel(worker, id),
            Frame::Credit { id, count } => nested::credit(worker, id, count),
            Frame::Ping(number) => worker.tell_now(&Frame::Pong(number)),
            Frame::Pong(number) => self.ping.answered = number,
            Frame::Drain => {
                let _ = self.events.send(Event::Retire("asked to be replaced".into()));
            }
            Frame::Log(record) => log(worker.pid, &record),
            Frame::Unknown(_) => {}
            Frame::Hello(_) | Frame::Welcome(_) | Frame::Leave { .. } => {
                return Err("it sent a frame that it may not send now".to_owned());
            }
        }
        Ok(())
    }

    /// Looks at what is due. Returns why the process has to end, if it has.
    fn look(&mut self) -> Option<String> {
        let now = Instant::now();
        let idle = {
            let mut state = self.worker.lock();
            if state.kill_at.is_some_and(|at| at <= now) {
                return Some("it did not finish in time".to_owned());
            }
            if let Some(why) = overdue(&self.worker, &mut state, now, &self.events) {
                return Some(why);
            }
            state.sent.is_empty()
        };
        match self.ping.every {
            Some(every) if idle && self.ping.next <= now => {
                if self.ping.answered < self.ping.number {
                    return Some(format!("it has not answered for {every:?}"));
                }
                self.ping.number += 1;
                self.ping.next = now + every;
                self.worker.tell_now(&Frame::Ping(self.ping.number));
            }
            // What it is asked while it runs something may stay unanswered.
            Some(every) if self.ping.next <= now => {
                self.ping.answered = self.ping.number;
                self.ping.next = now + every;
            }
            _ => {}
        }
        None
    }
}

/// How a drive ended.
enum Why {
    /// The worker closed its socket, and is about to end by itself.
    Closed,
    /// The process has ended so.
    Exited(String),
    /// It has to be ended.
    Ended(String),
}

/// Looks at calls that nobody waits for and that should have ended.
fn overdue(
    worker: &Worker,
    state: &mut State,
    now: Instant,
    events: &mpsc::UnboundedSender<Event>,
) -> Option<String> {
    const LOOK_AGAIN: Duration = Duration::from_millis(100);
    let late = |sent: &Sent| sent.overdue.is_some_and(|at| at <= now);
    let what = "a call that nobody waits for did not stop";
    match &worker.progress {
        Some(progress) => {
            // Another call may be the one that runs; that one has its own time.
            let running = progress.running();
            if state.sent.get(&running).is_some_and(late) {
                return Some(what.to_owned());
            }
        }
        None if worker.concurrency == 1 => {
            if state.sent.values().any(late) {
                return Some(what.to_owned());
            }
        }
        None => {
            if state.sent.values().any(late) {
                // The calls beside it can finish first, while others go elsewhere.
                if !std::mem::replace(&mut state.retired, true) {
                    let _ = events.send(Event::Retire(what.into()));
                }
                if state.sent.values().all(late) {
                    return Some(what.to_owned());
                }
            }
        }
    }
    for sent in state.sent.values_mut().filter(|sent| late(sent)) {
        sent.overdue = Some(now + LOOK_AGAIN);
    }
    None
}

impl Worker {
    /// A call is answered, or its stream has ended.
    fn done(&self, id: u64, result: Result<Reply, Fault>) {
        let (sent, retired) = {
            let mut state = self.lock();
            let inside = state.nested.values().filter(|nested| nested.inside == id);
            inside.for_each(|nested| nested.task.abort());
            state.nested.retain(|_, nested| nested.inside != id);
            (state.sent.remove(&id), state.retired)
        };
        let Some(Sent { answer, items, place, .. }) = sent else { return };
        // The place is free before the answer is seen, so that who calls again finds it.
        drop(place);
        match (answer, items) {
            (Some(answer), _) => {
                let _ = answer.send(Answer::Done(result));
            }
            (None, Some(items)) => {
                if let Err(fault) = result {
                    let _ = items.sender.send(Err(fault));
                }
            }
            (None, None) => {}
        }
        // This may have been the last call that anybody waited for.
        if retired {
            self.wake.notify_one();
        }
    }

    fn begin_stream(&self, id: u64, columns: Vec<Column>) -> Result<(), String> {
        let mut state = self.lock();
        let Some(sent) = state.sent.get_mut(&id) else { return Ok(()) };
        let Some(answer) = sent.answer.take() else {
            return match sent.overdue {
                Some(_) => Ok(()),
                None => Err("it began a stream twice".to_owned()),
            };
        };
        let (sender, receiver) = mpsc::unbounded_channel();
        sent.items = Some(Items { sender, credit: CREDIT });
        let _ = answer.send(Answer::Stream(columns, receiver));
        Ok(())
    }

    fn item(&self, id: u64, value: Value) -> Result<(), String> {
        let mut state = self.lock();
        let Some(sent) = state.sent.get_mut(&id) else { return Ok(()) };
        let Some(items) = &mut sent.items else {
            return match sent.overdue {
                Some(_) => Ok(()),
                None => Err("it sent an item of no stream".to_owned()),
            };
        };
        items.credit = items.credit.checked_sub(1).ok_or("it sent more items than it may")?;
        let _ = items.sender.send(Ok(value));
        if items.credit == 0 {
            sent.place.release();
        }
        Ok(())
    }

    /// An item cannot be taken, and with it ends the stream.
    fn refuse_item(&self, id: u64, fault: Fault) {
        if let Some(sent) = self.lock().sent.get_mut(&id)
            && let Some(items) = sent.items.take()
        {
            let _ = items.sender.send(Err(fault));
            sent.overdue = Some(Instant::now() + self.leave);
        }
        self.tell_now(&Frame::Cancel { id });
    }

    fn tell_now(&self, frame: &Frame) {
        let _ = self.write(frame);
    }
}

/// Gives a worker's record to the server's log.
fn log(pid: u32, record: &Log) {
    let Log { level, target, message, fields } = record;
    let fields = fields.iter().map(|(name, value)| format!("{name}={value}"));
    let fields = fields.collect::<Vec<_>>().join(" ");
    macro_rules! record {
        ($level:ident) => {
            tracing::$level!(target: "polyport::worker", pid, from = %target, %fields, "{message}")
        };
    }
    match level {
        Level::Error => record!(error),
        Level::Warn => record!(warn),
        Level::Info => record!(info),
        Level::Debug => record!(debug),
        Level::Trace => record!(trace),
    }
}
