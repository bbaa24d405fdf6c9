//! The task beside each worker: reads what it sends, keeps its times, and ends it.

use std::sync::Arc;
use std::time::Duration;

use polyport_core::limits::Limits;
use polyport_core::{Column, Fault, Kind, Ran, Reply, Text, Value};
use polyport_worker::{Bounds, Frame, Level, Log, Sender, decode};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::OwnedReadHalf;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::config::Config;
use crate::nested;
use crate::pool::Pool;
use crate::process::Process;
use crate::worker::{Answer, CREDIT, Items, Sent, State, Worker};

/// Bytes that are read from a socket at once.
const READ_BYTES: usize = 64 * 1024;

/// How long answers may wait for the call that comes after them before they are looked for in the
/// worker's progress file.
const KEPT: Duration = Duration::from_millis(10);

/// How long a process may take to exit after it has closed its socket.
pub(crate) const EXIT: Duration = Duration::from_secs(1);

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
    pub(crate) pool: Arc<Pool>,
    pub(crate) process: Process,
    pub(crate) reader: OwnedReadHalf,
    pub(crate) events: mpsc::UnboundedSender<Event>,
    pub(crate) bounds: Bounds,
    /// Bytes that are not yet a frame.
    pub(crate) input: Vec<u8>,
    /// When anything last came from it.
    pub(crate) heard: Instant,
    /// The call that was running when it had last said nothing for a while.
    pub(crate) slow: u64,
    pub(crate) ping: Ping,
    /// It has asked to be replaced.
    pub(crate) retires: bool,
}

/// Whether a worker still answers.
#[derive(Debug)]
pub(crate) struct Ping {
    every: Option<Duration>,
    next: Instant,
    number: u64,
    answered: bool,
    /// Calls that the worker had been given when it was asked.
    calls: u64,
    /// It gets no calls, since it does not answer.
    stuck: bool,
}

impl Ping {
    pub(crate) fn new(config: &Config) -> Self {
        let every = (!config.ping_s.is_zero()).then_some(config.ping_s);
        let next = Instant::now() + every.unwrap_or_default();
        Self { every, next, number: 0, answered: true, calls: 0, stuck: false }
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
        let why = self.drive().await;
        // Before its calls are told, or those that have to go elsewhere would come back to it.
        self.pool.leave(&self.worker);
        if !matches!(why, Why::Broken(_)) {
            self.read_rest();
            let _ = self.look_into_outbox();
        }
        let how = match why {
            Why::Exited(how) => how,
            Why::Closed => {
                // A process that exits closes its socket a moment earlier.
                let exited = tokio::time::timeout(EXIT, self.process.ended()).await;
                exited.unwrap_or_else(|_| "closed its socket".to_owned())
            }
            Why::Ended(why) | Why::Broken(why) => format!("was ended: {why}"),
        };
        self.process.kill();
        let how = Text::from(how);
        self.worker.lost(&how);
        let _ = self.events.send(Event::Gone(how));
    }

    async fn drive(&mut self) -> Why {
        // Bytes may have come right behind the worker's HELLO.
        if let Err(why) = self.frames() {
            return Why::Broken(why);
        }
        let worker = self.worker.clone();
        // One timer that only ever moves forward costs less than a new one for each thing that
        // arrives.
        let mut timer = std::pin::pin!(tokio::time::sleep_until(self.ping.next));
        loop {
            let (writes, broken, due) = {
                let mut state = worker.lock();
                worker.write_out(&mut state);
                (state.unwritten() > 0, state.broken, self.due(&state))
            };
            if broken {
                return Why::Closed;
            }
            self.input.reserve(READ_BYTES);
            if let Some(due) = due.filter(|due| *due < timer.deadline() || timer.is_elapsed()) {
                timer.as_mut().reset(due);
            }
            tokio::select! {
                read = self.reader.read_buf(&mut self.input) => {
                    if let Ok(0) | Err(_) = read {
                        return Why::Closed;
                    }
                    self.heard = Instant::now();
                    if let Err(why) = self.frames() {
                        return Why::Broken(why);
                    }
                }
                () = worker.is_writable(), if writes => {}
                () = worker.wake.notified() => {}
                () = &mut timer, if due.is_some() => {
                    if let Some(why) = self.look() {
                        return Why::Ended(why);
                    }
                }
                how = self.process.ended() => return Why::Exited(how),
            }
        }
    }

    /// When something is to be looked at.
    fn due(&self, state: &State) -> Option<Instant> {
        let overdue = state.sent.values().filter_map(|sent| sent.overdue).min();
        let ping = self.ping.every.map(|_| self.ping.next);
        let kept = self.worker.takes_calls_ahead() && state.sent.len() > 1;
        let kept = kept.then(|| self.heard + KEPT);
        [overdue, state.kill_at, ping, kept].into_iter().flatten().min()
    }

    /// Reads what the process sent before it ended, since that still counts. Somebody whom it has
    /// left its socket to may go on writing for ever, and be too quick for this to come to an end.
    fn read_rest(&mut self) {
        let mut left = self.bounds.bytes.saturating_add(READ_BYTES);
        let mut chunk = vec![0; READ_BYTES];
        // Straight from the system, which knows about the last bytes before the runtime does.
        while let Ok(length @ 1..) = rustix::io::read(self.reader.as_ref(), &mut chunk) {
            self.input.extend_from_slice(chunk.get(..length).unwrap_or_default());
            left = left.saturating_sub(length);
            if self.frames().is_err() || left == 0 {
                return;
            }
        }
    }

    /// Takes the answers that the worker keeps while it runs another call, which may never end.
    /// Those that it sends as well find nobody waiting.
    fn look_into_outbox(&mut self) -> Result<(), String> {
        let Some(progress) = &self.worker.progress else { return Ok(()) };
        let kept = progress.outbox();
        let mut rest = kept.as_slice();
        while let Ok(Some((frame, length))) = decode(rest, Sender::Worker, self.bounds) {
            rest = rest.get(length..).unwrap_or_default();
            self.frame(frame)?;
        }
        Ok(())
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
            Frame::CallRefused { id, fault } => worker.respond(&Frame::Fail { id, fault })?,
            Frame::Call(call) => nested::begin(worker, call)?,
            Frame::Cancel { id } => nested::cancel(worker, id)?,
            Frame::Credit { id, count } => nested::credit(worker, id, count),
            Frame::Ping(number) => worker.respond(&Frame::Pong(number))?,
            Frame::Pong(number) => self.pong(number),
            Frame::Drain => {
                if !std::mem::replace(&mut self.retires, true) {
                    let _ = self.events.send(Event::Retire("it asked for it".into()));
                }
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
        {
            let mut state = self.worker.lock();
            if state.kill_at.is_some_and(|at| at <= now) {
                return Some("it did not finish in time".to_owned());
            }
            if let Some(why) = overdue(&self.worker, &mut state, self.ping.stuck, &self.events) {
                return Some(why);
            }
        }
        if now >= self.heard + KEPT {
            self.heard = now;
            if let Err(why) = self.look_into_outbox() {
                return Some(why);
            }
            self.recall();
        }
        if self.ping.next <= now { self.ping(now) } else { None }
    }

    /// Takes back the calls that wait behind one that takes long, though its function used to be
    /// quick, so that others run them.
    ///
    /// After a call that took long a worker reads before it begins the next. So if the call is
    /// still seen to run when the socket has what takes the others back, none of them will begin.
    fn recall(&mut self) {
        let Some(progress) = &self.worker.progress else { return };
        let (running, begun) = (progress.running(), progress.begun());
        if running == 0 || std::mem::replace(&mut self.slow, running) != running {
            return;
        }
        let recalled: Vec<Sent> = {
            let mut state = self.worker.lock();
            let Some(slow) = state.sent.get_mut(&running) else { return };
            slow.place.note_slow();
            let chain = slow.chain;
            let waits = |sent: &Sent| sent.chain != chain && !sent.cancelled && !sent.recalled;
            let ids = state.sent.iter_mut().filter(|(id, sent)| **id > begun && waits(sent));
            let ids: Vec<u64> = ids.map(|(id, sent)| (sent.recalled = true, *id).1).collect();
            for id in &ids {
                self.worker.tell(&mut state, &Frame::Cancel { id: *id });
            }
            // Else the worker answers that it has not begun them.
            if state.unwritten() > 0 || (progress.running(), progress.begun()) != (running, begun) {
                return;
            }
            ids.iter().filter_map(|id| state.sent.remove(id)).collect()
        };
        for sent in recalled {
            sent.place.give_back();
            if let Some(answer) = sent.answer {
                let _ = answer.send(Answer::Recalled);
            }
        }
    }

    /// Asks whether the worker is there, unless it runs something that keeps it from answering.
    /// Returns why it has to end, if it did not answer when it should have.
    fn ping(&mut self, now: Instant) -> Option<String> {
        let every = self.ping.every?;
        self.ping.next = now + every;
        let (idle, calls) = {
            let state = self.worker.lock();
            (state.sent.is_empty(), state.calls)
        };
        let answers = idle
            || self.worker.concurrency > 1
            || self.worker.progress.as_ref().is_some_and(|progress| progress.running() == 0);
        let answered = std::mem::replace(&mut self.ping.answered, true);
        if !answers {
            return None;
        }
        if !answered && self.worker.concurrency > 1 && !idle {
            // One call holds up all the others. They may still end, but no more should join them.
            if !std::mem::replace(&mut self.ping.stuck, true) {
                tracing::warn!(pid = self.worker.pid, pool = %self.pool.name,
                    "a worker has not answered for {every:?} and gets no calls until it does");
                self.pool.set_stuck(&self.worker, true);
            }
            self.ping.answered = false;
            return None;
        }
        // A call that came after the question may have run since.
        if !answered && calls == self.ping.calls {
            return Some(format!("it has not answered for {every:?}"));
        }
        self.ping.number += 1;
        (self.ping.answered, self.ping.calls) = (false, calls);
        self.worker.tell_now(&Frame::Ping(self.ping.number));
        None
    }

    fn pong(&mut self, number: u64) {
        if number == self.ping.number {
            self.ping.answered = true;
            if std::mem::take(&mut self.ping.stuck) {
                self.pool.set_stuck(&self.worker, false);
            }
        }
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
    /// It sent what it may not, and nothing more of it is read.
    Broken(String),
}

/// Looks at calls that nobody waits for and that should have ended.
fn overdue(
    worker: &Worker,
    state: &mut State,
    stuck: bool,
    events: &mpsc::UnboundedSender<Event>,
) -> Option<String> {
    const LOOK_AGAIN: Duration = Duration::from_millis(100);
    let now = Instant::now();
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
                if stuck || state.sent.values().all(late) {
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
            self.cancel_inside(&mut state, id);
            (state.sent.remove(&id), state.retired)
        };
        let Some(Sent { answer, items, place, recalled, .. }) = sent else { return };
        // The place is free before the answer is seen, so that who calls again finds it.
        drop(place);
        let not_begun = |fault: &Fault| (fault.kind(), fault.ran()) == (Kind::Cancelled, Ran::No);
        match (answer, items) {
            (Some(answer), _) => {
                let answered = match result {
                    Err(fault) if recalled && not_begun(&fault) => Answer::Recalled,
                    result => Answer::Done(result),
                };
                let _ = answer.send(answered);
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
            return match sent.cancelled {
                true => Ok(()),
                false => Err("it began a stream twice".to_owned()),
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
            return match sent.cancelled {
                true => Ok(()),
                false => Err("it sent an item of no stream".to_owned()),
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
        let mut state = self.lock();
        if let Some(sent) = state.sent.get_mut(&id)
            && let Some(items) = sent.items.take()
        {
            let _ = items.sender.send(Err(fault));
            sent.cancelled = true;
            sent.overdue = self.patience(&sent.call);
            self.tell(&mut state, &Frame::Cancel { id });
        }
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
