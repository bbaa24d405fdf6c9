//! A worker as its callers see it: calls go in, answers come out.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;
use std::time::Duration;

use polyport_core::{Arguments, Call, Column, Fault, Kind, Ran, Reply, Text, Value};
use polyport_worker::{Context, Frame, Origin, Pool as Shape, encode_call};
use tokio::net::unix::OwnedWriteHalf;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::config::Config;
use crate::pool::Place;
use crate::process::ProgressReader;

/// Items of a stream that a worker may send before it is given more credit.
pub(crate) const CREDIT: u32 = 16;

/// Calls that a worker may have under way in the server.
pub(crate) const NESTED_CALLS: usize = 1_000;

/// Bytes that a worker has not read, above which the results of its own calls wait.
const UNREAD_BYTES: usize = 1 << 20;

/// Short answers that a worker has not read, above which it is ended: it asks and does not listen.
const UNREAD_ANSWERS: u32 = 10_000;

/// How long a call that runs alone may take to stop once its time is over.
const STOP: Duration = Duration::from_millis(100);

/// A worker that has said what it can do and been welcomed.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) pid: u32,
    pub(crate) concurrency: u32,
    /// Whether what it keeps between calls would be missed.
    pub(crate) has_state: bool,
    /// How long a call whose client has left may still run.
    pub(crate) leave: Duration,
    pub(crate) message_bytes: usize,
    pub(crate) progress: Option<ProgressReader>,
    socket: OwnedWriteHalf,
    /// The thread that its driver stays on, if it does.
    home: Option<ThreadId>,
    /// Wakes the driver: there is something to write, to wait for, or to end.
    pub(crate) wake: Notify,
    /// Calls that all workers of its place were given.
    calls_of_place: Arc<AtomicU64>,
    /// It has read what it was sent.
    has_read: Notify,
    gone: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    /// Why it takes no more calls, once it does not.
    pub(crate) ended: Option<Text>,
    out: Vec<u8>,
    /// Of those bytes, the ones that are written.
    out_written: usize,
    /// The socket takes nothing any more.
    pub(crate) broken: bool,
    /// Short answers to what it asked since it last read all.
    unread_answers: u32,
    pub(crate) sent: HashMap<u64, Sent>,
    pub(crate) nested: HashMap<u64, Nested>,
    /// Calls that it was given.
    pub(crate) calls: u64,
    /// When the whole process is to be ended.
    pub(crate) kill_at: Option<Instant>,
    /// It is to be replaced as soon as nothing runs in it that anybody waits for.
    pub(crate) retired: bool,
    next_id: u64,
}

/// A call that the worker has not answered.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) call: Call,
    pub(crate) chain: NonZeroU64,
    pub(crate) place: Place,
    pub(crate) answer: Option<oneshot::Sender<Answer>>,
    pub(crate) items: Option<Items>,
    /// Nobody waits for it any more.
    pub(crate) cancelled: bool,
    /// It is to run elsewhere, if it has not begun.
    pub(crate) recalled: bool,
    /// When a call that nobody waits for any more is reason enough to end the process.
    pub(crate) overdue: Option<Instant>,
}

/// The sending end of a stream.
#[derive(Debug)]
pub(crate) struct Items {
    pub(crate) sender: mpsc::UnboundedSender<Result<Value, Fault>>,
    pub(crate) credit: u32,
}

/// A call that the worker has made and that the server is running.
#[derive(Debug)]
pub(crate) struct Nested {
    pub(crate) inside: u64,
    pub(crate) task: AbortHandle,
    pub(crate) credit: Arc<tokio::sync::Semaphore>,
}

/// What becomes of a call.
#[derive(Debug)]
pub(crate) enum Answer {
    Done(Result<Reply, Fault>),
    Stream(Vec<Column>, mpsc::UnboundedReceiver<Result<Value, Fault>>),
    /// It waited behind one that takes long, and has not begun.
    Recalled,
    /// The worker is gone; whether the call had begun, and why.
    Lost {
        begun: bool,
        why: Text,
    },
}

/// Why a call was not sent.
#[derive(Debug)]
pub(crate) enum Unsent {
    /// The worker is gone; another may run the call.
    Gone,
    /// The arguments cannot be sent.
    Fault(Fault),
}

impl State {
    /// Bytes that the worker's socket has not taken yet.
    pub(crate) const fn unwritten(&self) -> usize {
        self.out.len() - self.out_written
    }
}

impl Worker {
    pub(crate) fn new(
        pid: u32,
        shape: &Shape,
        config: &Config,
        progress: Option<ProgressReader>,
        socket: OwnedWriteHalf,
        calls_of_place: Arc<AtomicU64>,
    ) -> Self {
        Self {
            pid,
            concurrency: shape.concurrency,
            has_state: shape.state,
            leave: config.leave_s,
            message_bytes: config.message_bytes,
            progress,
            socket,
            home: home(),
            wake: Notify::new(),
            calls_of_place,
            has_read: Notify::new(),
            gone: AtomicBool::new(false),
            state: Mutex::default(),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a call may be sent while another still runs: if it has not begun by the time that
    /// the worker dies, this is known, and another worker runs it.
    pub(crate) const fn takes_calls_ahead(&self) -> bool {
        self.concurrency == 1 && self.progress.is_some()
    }

    /// Whether its driver runs on this very thread.
    pub(crate) fn is_near(&self) -> bool {
        self.home.is_some_and(|home| home == std::thread::current().id())
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.gone.load(Relaxed)
    }

    /// Sends a call.
    pub(crate) fn send(
        self: &Arc<Self>,
        name: &str,
        arguments: &Arguments,
        call: &mut Call,
        place: Place,
    ) -> Result<Pending, Unsent> {
        let chain = call.chain();
        let (sender, answer) = oneshot::channel();
        let mut state = self.lock();
        if state.ended.is_some() {
            drop(state);
            return Err(Unsent::Gone);
        }
        let (id, context) = (state.next_id + 1, Context::Origin(origin(call, chain)));
        encode_call(&mut state.out, self.message_bytes, id, name, arguments, &context)
            .map_err(Unsent::Fault)?;
        state.next_id = id;
        state.calls += 1;
        self.calls_of_place.fetch_add(1, Relaxed);
        let (call, answer_to) = (call.clone(), Some(sender));
        let sent = Sent {
            call,
            chain,
            place,
            answer: answer_to,
            items: None,
            cancelled: false,
            recalled: false,
            overdue: None,
        };
        state.sent.insert(id, sent);
        if self.is_near() {
            // The driver writes it once all connections that are ready have had their turn, and
            // with it what these send.
            drop(state);
            self.wake.notify_one();
        } else {
            self.flush(&mut state);
            drop(state);
        }
        Ok(Pending { worker: self.clone(), id, answer, answered: false })
    }

    /// Appends a frame and writes what the socket takes.
    ///
    /// # Errors
    /// When the frame cannot be said; nothing is written then.
    pub(crate) fn write(&self, frame: &Frame) -> Result<(), Fault> {
        self.write_with(&mut self.lock(), frame)
    }

    fn write_with(&self, state: &mut State, frame: &Frame) -> Result<(), Fault> {
        if state.ended.is_none() && !state.broken {
            frame.encode(&mut state.out, self.message_bytes)?;
            self.flush(state);
        }
        Ok(())
    }

    /// Writes a frame that is always short and can always be said.
    pub(crate) fn tell(&self, state: &mut State, frame: &Frame) {
        let _ = self.write_with(state, frame);
    }

    /// Writes a short answer to what the worker asked.
    ///
    /// # Errors
    /// When it has asked too often without reading.
    pub(crate) fn respond(&self, frame: &Frame) -> Result<(), String> {
        let mut state = self.lock();
        self.tell(&mut state, frame);
        if !state.out.is_empty() {
            state.unread_answers += 1;
        }
        match state.unread_answers {
            0..UNREAD_ANSWERS => Ok(()),
            _ => Err("it does not read the answers to what it asks".to_owned()),
        }
    }

    /// Gives the worker something of a call of its own, if it still wants it; the end of it when it
    /// is `last`.
    ///
    /// # Errors
    /// As [`Worker::write`].
    pub(crate) fn answer_nested(&self, id: u64, frame: &Frame, last: bool) -> Result<(), Fault> {
        let mut state = self.lock();
        if !state.nested.contains_key(&id) {
            return Ok(());
        }
        self.write_with(&mut state, frame)?;
        if last {
            state.nested.remove(&id);
        }
        Ok(())
    }

    /// Waits until the worker has read most of what it was sent.
    pub(crate) async fn has_room(&self) {
        loop {
            let mut has_read = std::pin::pin!(self.has_read.notified());
            has_read.as_mut().enable();
            if self.lock().unwritten() < UNREAD_BYTES {
                return;
            }
            has_read.await;
        }
    }

    /// Waits until the socket takes more.
    pub(crate) async fn is_writable(&self) {
        // A socket that fails shows it to the driver, which reads it.
        let _ = self.socket.writable().await;
    }

    /// Writes what the socket takes, and leaves the rest to the driver.
    fn flush(&self, state: &mut State) {
        self.write_out(state);
        if state.unwritten() > 0 {
            self.wake.notify_one();
        }
    }

    /// Writes what the socket takes.
    pub(crate) fn write_out(&self, state: &mut State) {
        let mut written = state.out_written;
        while let Some(rest) = state.out.get(written..).filter(|rest| !rest.is_empty()) {
            match self.socket.try_write(rest) {
                Ok(length) => written += length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => {
                    state.broken = true;
                    break;
                }
            }
        }
        let waited = state.out_written > 0 || state.unread_answers > 0;
        state.out_written = written;
        if written == state.out.len() {
            (state.out_written, state.unread_answers) = (0, 0);
            state.out.clear();
            // One large message must not be paid for ever after.
            if state.out.capacity() > 64 * 1024 {
                state.out = Vec::new();
            }
            if waited {
                self.has_read.notify_waiters();
            }
        } else {
            // What is left moves to the front only when that is less than what was written.
            if written > state.out.len() / 2 {
                state.out.drain(..written);
                state.out_written = 0;
            }
            self.has_read.notify_waiters();
        }
    }

    /// Nobody waits for the call any more, nor for those that are made inside it.
    fn cancel(&self, id: u64) {
        let mut state = self.lock();
        let Some(sent) = state.sent.get_mut(&id) else { return };
        sent.answer = None;
        sent.items = None;
        sent.cancelled = true;
        sent.overdue = self.patience(&sent.call);
        self.tell(&mut state, &Frame::Cancel { id });
        self.cancel_inside(&mut state, id);
        drop(state);
        self.wake.notify_one();
    }

    /// Ends the calls that were made inside one that has ended, or is to end.
    pub(crate) fn cancel_inside(&self, state: &mut State, outer: u64) {
        if state.nested.is_empty() {
            return;
        }
        let inside = |nested: &Nested| nested.inside == outer;
        let inside = state.nested.extract_if(|_, nested| inside(nested)).collect::<Vec<_>>();
        for (id, nested) in inside {
            nested.task.abort();
            let fault = Fault::new(Kind::Cancelled, "the call that this one was made in is over");
            self.tell(state, &Frame::Fail { id, fault });
        }
    }

    /// Until when a call that nobody waits for may run. What a worker keeps between calls is worth
    /// more than the time, so there only the call's own limit counts.
    pub(crate) fn patience(&self, call: &Call) -> Option<Instant> {
        let now = Instant::now();
        // Replacing a worker for one call would cost those that run beside it.
        let stop = if self.concurrency > 1 { self.leave } else { STOP };
        let limit = call.deadline().map(|at| at.max(now) + stop);
        match self.has_state {
            true => limit,
            false => Some(limit.map_or(now + self.leave, |at| at.min(now + self.leave))),
        }
    }

    /// Whether the worker has not answered all its calls.
    pub(crate) fn has_calls(&self) -> bool {
        !self.lock().sent.is_empty()
    }

    /// Allows a stream to go on.
    fn credit(&self, id: u64, count: u32) {
        let mut state = self.lock();
        let Some(sent) = state.sent.get_mut(&id) else { return };
        let Some(items) = &mut sent.items else { return };
        let waited = items.credit == 0;
        items.credit += count;
        if waited {
            sent.place.retake();
        }
        self.tell(&mut state, &Frame::Credit { id, count: count.into() });
    }

    /// Tells the worker that a session is over.
    pub(crate) fn leave(&self, session: u32) {
        self.tell(&mut self.lock(), &Frame::Leave { session: session.into() });
    }

    /// No further calls come; it ends when those it has are done, or at the latest then.
    pub(crate) fn drain(&self, latest: Instant) {
        {
            let mut state = self.lock();
            let earlier = state.kill_at.map_or(latest, |at| at.min(latest));
            state.kill_at = Some(earlier);
            self.tell(&mut state, &Frame::Drain);
        }
        self.wake.notify_one();
    }

    /// Answers all that is still open: the worker is gone.
    pub(crate) fn lost(&self, why: &Text) {
        self.gone.store(true, Relaxed);
        let (sent, nested) = {
            let mut state = self.lock();
            state.ended = Some(why.clone());
            (state.out, state.out_written) = (Vec::new(), 0);
            (std::mem::take(&mut state.sent), std::mem::take(&mut state.nested))
        };
        nested.into_values().for_each(|nested| nested.task.abort());
        let begun = self.progress.as_ref().map_or(u64::MAX, ProgressReader::begun);
        for (id, sent) in sent {
            let begun = id <= begun;
            if let Some(items) = sent.items {
                let _ = items.sender.send(Err(lost(why, begun)));
            }
            if let Some(answer) = sent.answer {
                let _ = answer.send(Answer::Lost { begun, why: why.clone() });
            }
        }
    }
}

/// This thread, if tasks of the current runtime stay on it.
fn home() -> Option<ThreadId> {
    let one = Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread;
    one.then(|| std::thread::current().id())
}

/// The fault of a call whose worker is gone.
pub(crate) fn lost(why: &Text, begun: bool) -> Fault {
    let (may, ran) = match begun {
        true => ("the call may have run", Ran::Maybe),
        false => ("the call has not run", Ran::No),
    };
    Fault::new(Kind::Unavailable, format!("the worker {why}; {may}")).with_ran(ran)
}

fn origin(call: &Call, chain: NonZeroU64) -> Origin {
    let left = call.deadline().map(|at| at.saturating_duration_since(Instant::now()));
    Origin {
        session: call.session().connection().id.into(),
        user: call.user(),
        protocol: call.protocol().into(),
        peer: call.session().connection().peer_text(),
        left_ms: left.map(|left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX)),
        chain: chain.get(),
        depth: call.depth().into(),
    }
}

/// A call that was sent. Dropped before it is answered, it is cancelled.
#[derive(Debug)]
pub(crate) struct Pending {
    worker: Arc<Worker>,
    id: u64,
    answer: oneshot::Receiver<Answer>,
    answered: bool,
}

impl Pending {
    /// Waits for what becomes of the call.
    pub(crate) async fn answer(mut self) -> Result<Answered, Fault> {
        let answer = (&mut self.answer).await;
        self.answered = true;
        match answer {
            Ok(Answer::Done(result)) => result.map(Answered::Reply),
            Ok(Answer::Stream(columns, items)) => {
                let (worker, id) = (self.worker.clone(), self.id);
                Ok(Answered::Stream(columns, Source { worker, id, items, taken: 0 }))
            }
            Ok(Answer::Recalled) => Ok(Answered::Again(None)),
            Ok(Answer::Lost { begun: false, why }) => Ok(Answered::Again(Some(why))),
            Ok(Answer::Lost { begun: true, why }) => Err(lost(&why, true)),
            Err(_) => Err(Fault::new(Kind::Internal, "the call was dropped by its worker")),
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if !self.answered {
            self.worker.cancel(self.id);
        }
    }
}

/// What a call that was answered becomes.
#[derive(Debug)]
pub(crate) enum Answered {
    Reply(Reply),
    Stream(Vec<Column>, Source),
    /// It has not begun, and another worker can run it; why its worker died, if it has.
    Again(Option<Text>),
}

/// The receiving end of a stream. Dropped before its end, it ends the stream.
#[derive(Debug)]
pub(crate) struct Source {
    worker: Arc<Worker>,
    id: u64,
    items: mpsc::UnboundedReceiver<Result<Value, Fault>>,
    taken: u32,
}

impl Source {
    pub(crate) async fn next(&mut self) -> Option<Result<Value, Fault>> {
        let item = self.items.recv().await?;
        self.taken += 1;
        if self.taken == CREDIT / 2 {
            self.worker.credit(self.id, std::mem::take(&mut self.taken));
        }
        Some(item)
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        // Of a stream that has ended the worker knows nothing any more.
        self.worker.cancel(self.id);
    }
}
