//! Serves a connection, the only code that awaits a socket.
//!
//! A connection is one task: it answers all requests that have arrived, polls the calls that are
//! still running beside the socket, and sends what has gathered in one write.

mod jobs;
mod pymprpc;
mod standard;

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use polyport_core::{Fault, Guest, Interrupt, Kind, Reason, Session};
use polyport_wire::{Accepted, Ended, Wire};
use tokio::time::{Instant, Sleep};

use crate::Shared;
use crate::codec::{Bounds, Error};
use crate::state;
use jobs::{Event, Job, Work};

/// Serves a connection until it ends.
pub(crate) async fn serve(shared: Arc<Shared>, accepted: Accepted) {
    let Accepted { io, guest, tls: _ } = accepted;
    let mut wire = Wire::new(io, &guest);
    let first = loop {
        if let Some(first) = wire.input().first() {
            break *first;
        }
        if wire.fill(&guest).await.is_err() {
            guest.connection().closed(true);
            return Box::pin(wire.close()).await;
        }
    };
    match state::Dialect::detect(first) {
        Some(state::Dialect::Pymprpc(mode)) => {
            Line::new(wire, guest, shared).run(pymprpc::Pymprpc::new(mode)).await;
        }
        Some(state::Dialect::Standard) => {
            Line::new(wire, guest, shared).run(standard::Standard::default()).await;
        }
        None => {
            tracing::debug!(peer = %guest.connection().peer, first, "unknown dialect");
            pymprpc::refuse(wire.output());
            guest.connection().closed(false);
            Box::pin(wire.close()).await;
        }
    }
}

/// How a dialect serves the requests of its connection and tells their results.
trait Dialect: Send {
    /// Who is to be told the result of a call.
    type Ticket: Send + Unpin + 'static;

    /// How long the connection may be idle; zero is for ever.
    fn idle_limit(shared: &Shared) -> Duration;

    /// Serves the first request of the input; false when it is not there yet.
    fn serve_one(
        &mut self,
        line: &mut Line<Self::Ticket>,
    ) -> impl Future<Output = Result<bool, End>> + Send;

    /// Tells the client what a call or a stream has come to.
    fn tell(
        &mut self,
        line: &mut Line<Self::Ticket>,
        event: Event<Self::Ticket>,
    ) -> impl Future<Output = ()> + Send;

    /// Tells the client why its connection ends.
    fn say_goodbye(
        &mut self,
        line: &mut Line<Self::Ticket>,
        end: &End,
    ) -> impl Future<Output = ()> + Send;
}

/// Why a connection ends.
#[derive(Debug)]
enum End {
    /// No more input comes.
    Ended(Ended),
    /// The client was idle for too long.
    Idle,
    /// The login was refused.
    Refused,
    /// What came is no message.
    Bad(Error),
    /// A message of another version of the protocol came.
    Version,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended(Ended::Eof) => f.write_str("the client left"),
            Self::Ended(Ended::Io(error)) => error.fmt(f),
            Self::Ended(Ended::NoRoom) => f.write_str("no memory for its message is left"),
            Self::Ended(Ended::Interrupted(Interrupt::Close(reason))) => f.write_str(reason.text()),
            Self::Ended(Ended::Interrupted(Interrupt::Call)) => {
                f.write_str("its login was stopped")
            }
            Self::Idle => f.write_str(Reason::Idle.text()),
            Self::Refused => f.write_str("its login was refused"),
            Self::Bad(error) => f.write_str(error.text()),
            Self::Version => f.write_str("a message is of another version"),
        }
    }
}

impl From<Ended> for End {
    fn from(ended: Ended) -> Self {
        Self::Ended(ended)
    }
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Ended(Ended::Io(error))
    }
}

impl From<Error> for End {
    fn from(error: Error) -> Self {
        Self::Bad(error)
    }
}

/// One connection, whichever dialect it speaks.
struct Line<T> {
    wire: Wire,
    guest: Guest,
    session: Option<Session>,
    shared: Arc<Shared>,
    jobs: FuturesUnordered<Job<T>>,
}

/// What a connection waited for.
enum Woken<T> {
    Input(Result<(), Ended>),
    Event(Option<Event<T>>),
    Clock,
    Work,
}

/// What was left to do when the output was worth a write.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Left {
    /// Nothing: all that has arrived is answered or runs.
    Nothing,
    /// Results that are ready, or may be.
    Results,
    /// Requests that have arrived.
    Requests,
}

impl<T: Send + Unpin + 'static> Line<T> {
    fn new(wire: Wire, guest: Guest, shared: Arc<Shared>) -> Self {
        Self { wire, guest, session: None, shared, jobs: FuturesUnordered::new() }
    }

    async fn run<D: Dialect<Ticket = T>>(mut self, mut dialect: D) {
        let end = match self.serve(&mut dialect).await {
            Ok(never) => match never {},
            Err(end) => end,
        };
        tracing::debug!(peer = %self.guest.connection().peer, %end, "connection ends");
        let unfinished = !self.wire.input().is_empty();
        let normal = match &end {
            End::Ended(Ended::Eof) => !unfinished,
            End::Ended(Ended::Interrupted(_)) | End::Idle => true,
            End::Ended(Ended::Io(_) | Ended::NoRoom)
            | End::Refused
            | End::Bad(_)
            | End::Version => false,
        };
        Box::pin(dialect.say_goodbye(&mut self, &end)).await;
        self.guest.connection().closed(normal);
        // What still runs is stopped before the client is given time to read the goodbye.
        self.jobs.clear();
        drop(dialect);
        Box::pin(self.wire.close()).await;
    }

    async fn serve<D: Dialect<Ticket = T>>(
        &mut self,
        dialect: &mut D,
    ) -> Result<std::convert::Infallible, End> {
        let limit = D::idle_limit(&self.shared);
        let mut clock = (!limit.is_zero()).then(|| Box::pin(tokio::time::sleep(limit)));
        let mut event = None;
        loop {
            // What serving needs is many times what waiting does, and an idle connection waits.
            let left = Box::pin(self.serve_batch(dialect, event.take())).await?;
            match self.wait(left, clock.as_mut().map(Pin::as_mut)).await {
                Woken::Input(Ok(())) | Woken::Work => {}
                Woken::Event(ready) => event = ready,
                Woken::Clock => self.check_idle(limit, clock.as_mut().map(Pin::as_mut))?,
                Woken::Input(Err(Ended::Interrupted(Interrupt::Call))) => {
                    Box::pin(self.stop_calls(dialect)).await;
                }
                Woken::Input(Err(ended)) => {
                    if let Ended::Interrupted(Interrupt::Close(Reason::Shutdown)) = ended {
                        Box::pin(self.finish_calls(dialect)).await?;
                    }
                    return Err(ended.into());
                }
            }
        }
    }

    /// Answers what has arrived and what has become ready, in one write, until that is much.
    async fn serve_batch<D: Dialect<Ticket = T>>(
        &mut self,
        dialect: &mut D,
        event: Option<Event<T>>,
    ) -> Result<Left, End> {
        if let Some(event) = event {
            dialect.tell(self, event).await;
        }
        let mut requests = true;
        while requests && !self.wire.is_output_high() {
            requests = dialect.serve_one(self).await?;
        }
        // At least one, so that many requests do not hold up the results of earlier ones.
        while let Some(event) = self.ready().await {
            dialect.tell(self, event).await;
            if self.wire.is_output_high() {
                break;
            }
        }
        let left = match (requests, self.wire.is_output_high()) {
            (true, _) => Left::Requests,
            (false, true) => Left::Results,
            (false, false) => Left::Nothing,
        };
        self.wire.flush().await?;
        Ok(left)
    }

    /// Waits for something to do. When there is, this only looks whether the client or the core
    /// wants something else, which an endless stream must not hide.
    async fn wait(&mut self, left: Left, clock: Option<Pin<&mut Sleep>>) -> Woken<T> {
        let ticks = clock.is_some();
        let tick = async {
            if let Some(clock) = clock {
                clock.await;
            }
        };
        // While requests are left no more are read, so that a client that sends faster than it is
        // answered fills its own buffers and not the server's.
        let reads = left != Left::Requests;
        tokio::select! {
            biased;
            input = self.wire.fill(&self.guest), if reads => Woken::Input(input),
            interrupt = self.guest.connection().interrupted(), if !reads => {
                Woken::Input(Err(Ended::Interrupted(interrupt)))
            }
            () = std::future::ready(()), if !reads => Woken::Work,
            event = self.jobs.next(), if !self.jobs.is_empty() => Woken::Event(event),
            () = tick, if ticks => Woken::Clock,
            () = std::future::ready(()), if left != Left::Nothing => Woken::Work,
        }
    }

    /// Begins a call or goes on with a stream. What is ready at once, as an inline function is,
    /// is told without a task or a place among the running.
    async fn begin(&mut self, ticket: T, work: Work) -> Option<Event<T>> {
        let mut job = Job::new(ticket, work);
        let first = poll_fn(|cx| Poll::Ready(Pin::new(&mut job).poll(cx))).await;
        match first {
            Poll::Ready(event) => Some(event),
            Poll::Pending => {
                self.jobs.push(job);
                None
            }
        }
    }

    /// Goes on with a stream after the output that it made was sent.
    fn postpone(&mut self, ticket: T, work: Work) {
        self.jobs.push(Job::new(ticket, work));
    }

    /// What has become ready meanwhile.
    async fn ready(&mut self) -> Option<Event<T>> {
        if self.jobs.is_empty() {
            return None;
        }
        poll_fn(|cx| match self.jobs.poll_next_unpin(cx) {
            Poll::Ready(event) => Poll::Ready(event),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }

    /// Ends the connection if nothing was asked or answered for too long, or sets the clock anew.
    fn check_idle(&self, limit: Duration, clock: Option<Pin<&mut Sleep>>) -> Result<(), End> {
        let idle = self.guest.connection().idle();
        let left = if self.jobs.is_empty() { limit.saturating_sub(idle) } else { limit };
        if left.is_zero() {
            return Err(End::Idle);
        }
        if let Some(clock) = clock {
            clock.reset(Instant::now() + left);
        }
        Ok(())
    }

    /// Stops all that runs, as an operator asked.
    async fn stop_calls<D: Dialect<Ticket = T>>(&mut self, dialect: &mut D) {
        for job in std::mem::take(&mut self.jobs) {
            let fault = Fault::new(Kind::Cancelled, "the call was stopped by an operator");
            if let Some(event) = stopped(job, fault) {
                dialect.tell(self, event).await;
            }
        }
        self.guest.connection().clear_call_interrupt();
    }

    /// Ends all streams and waits for the calls that run.
    async fn finish_calls<D: Dialect<Ticket = T>>(&mut self, dialect: &mut D) -> Result<(), End> {
        for job in std::mem::take(&mut self.jobs) {
            match job.into_parts() {
                Some((ticket, Work::Stream(stream))) => {
                    let fault = Fault::new(Kind::Unavailable, Reason::Shutdown.text());
                    dialect.tell(self, Event::Item(ticket, stream, Some(Err(fault)))).await;
                }
                Some((ticket, call)) => self.jobs.push(Job::new(ticket, call)),
                None => {}
            }
        }
        loop {
            self.wire.flush().await?;
            match self.wire.during(self.jobs.next()).await? {
                Some(event) => dialect.tell(self, event).await,
                None => return Ok(()),
            }
        }
    }

    /// The most bytes that one message may have.
    fn message_limit(&self) -> usize {
        self.guest.connections().message_limit(self.guest.connection())
    }

    /// What one message may hold, when it brings `levels` of its own around a user's values.
    fn bounds(&self, levels: usize) -> Bounds {
        let depth = self.guest.limits().depth.saturating_add(levels);
        Bounds { depth, values: self.shared.config.values }
    }

    /// Takes a message off the input. A long one's memory goes with it.
    fn consume(&mut self, bytes: usize) {
        if bytes > polyport_wire::READ_AHEAD_BYTES && bytes == self.wire.input().len() {
            drop(self.wire.take(bytes));
        } else {
            self.wire.consume(bytes);
        }
    }
}

/// A job that was stopped, as what its client is told.
fn stopped<T>(job: Job<T>, fault: Fault) -> Option<Event<T>> {
    Some(match job.into_parts()? {
        (ticket, Work::Call(_)) => Event::Done(ticket, Err(fault)),
        (ticket, Work::Stream(stream)) => Event::Item(ticket, stream, Some(Err(fault))),
    })
}
