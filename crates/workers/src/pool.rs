//! Which worker runs a call, and which calls wait for one.

use std::collections::{HashMap, VecDeque};
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use polyport_core::{Fault, Kind, Text};
use polyport_worker::Pool as Shape;
use tokio::sync::{Notify, oneshot};

use crate::worker::Worker;

/// Functions that take less than this, one run with the next, are quick: a call of one may be sent
/// ahead to a worker that is still running another, since it will not have to wait for long.
const QUICK: Duration = Duration::from_millis(1);

/// Calls of quick functions that may be sent ahead to one worker.
const AHEAD: i32 = 15;

/// How much less a worker has to do, in calls, before a connection on another thread takes it
/// instead of one on its own.
const FAR: i32 = 2;

/// Runs that are seen before a function can count as quick.
const RUNS_SEEN: u32 = 8;

/// How long a function takes, roughly.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// A moving average, in microseconds, of an eighth for each run.
    micros: AtomicU32,
    runs: AtomicU32,
}

impl Pace {
    fn note(&self, took: Duration) {
        let took = u32::try_from(took.as_micros()).unwrap_or(u32::MAX / 2);
        let before = self.micros.load(Relaxed);
        self.micros.store(before - before / 8 + took / 8, Relaxed);
        if self.runs.load(Relaxed) < RUNS_SEEN {
            self.runs.fetch_add(1, Relaxed);
        }
    }

    fn is_quick(&self) -> bool {
        self.runs.load(Relaxed) >= RUNS_SEEN
            && Duration::from_micros(self.micros.load(Relaxed).into()) < QUICK
    }
}

/// Workers that run the same functions, and the calls that wait for one of them.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) name: Text,
    pub(crate) shape: Shape,
    waiting_most: usize,
    state: Mutex<State>,
    /// A call has ended, or a session.
    pub(crate) changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    members: Vec<Member>,
    waiting: VecDeque<Waiting>,
    /// Workers that wait for a call of their own, by the chain that it is of. They may run calls of
    /// that chain whatever else they have to do, or it would wait for itself.
    parked: HashMap<NonZeroU64, Vec<Arc<Worker>>>,
    /// Why there are no members, when none can be started.
    down: Option<Fault>,
    closed: bool,
}

#[derive(Debug)]
struct Member {
    worker: Arc<Worker>,
    /// Calls that it has, without those that wait for calls of their own. It is negative for a
    /// moment when such a call ends before the one it waits for.
    load: i32,
    /// Of those, the ones that are not quick.
    slow: i32,
    /// When it last ended a call, or began to have one.
    since: Instant,
    /// It gets no calls but those that only it can run.
    retiring: bool,
    /// It does not answer, so calls go to the others until it does.
    stuck: bool,
}

#[derive(Debug)]
struct Waiting {
    place: oneshot::Sender<Result<Place, Fault>>,
    pace: Arc<Pace>,
    /// The only worker that will do.
    only: Option<Arc<Worker>>,
}

/// Why a call gets no place.
#[derive(Debug)]
pub(crate) enum NoPlace {
    /// A newer generation has taken over.
    Closed,
    /// The fault that the caller is told.
    Fault(Fault),
}

/// The right to run one call on one worker, given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    pool: Arc<Pool>,
    worker: Arc<Worker>,
    pace: Arc<Pace>,
    quick: bool,
    held: bool,
}

impl Pool {
    pub(crate) fn new(name: Text, shape: Shape, waiting_most: usize) -> Arc<Self> {
        let (state, changed) = (Mutex::default(), Notify::new());
        Arc::new(Self { name, shape, waiting_most, state, changed })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a worker with room, the one that has the least to do.
    pub(crate) async fn place(
        self: &Arc<Self>,
        chain: NonZeroU64,
        pace: &Arc<Pace>,
        only: Option<&Arc<Worker>>,
    ) -> Result<Place, NoPlace> {
        let waiting = {
            let mut state = self.lock();
            let quick = pace.is_quick();
            if let Some(worker) = state.take(&self.shape, quick, only) {
                return Ok(self.place_at(worker, pace, quick));
            }
            let parked = state.parked.get(&chain).and_then(|workers| workers.last()).cloned();
            if let Some(worker) =
                parked.filter(|worker| only.is_none_or(|o| Arc::ptr_eq(o, worker)))
                && let Some(member) = state.member(&worker)
            {
                member.burden(quick);
                return Ok(self.place_at(worker, pace, quick));
            }
            let possible = match only {
                Some(only) => state.members.iter().any(|m| Arc::ptr_eq(&m.worker, only)),
                None => !state.closed,
            };
            if !possible {
                return Err(NoPlace::Closed);
            }
            if let Some(down) = &state.down {
                return Err(NoPlace::Fault(down.clone()));
            }
            if state.waiting.len() >= self.waiting_most {
                state.waiting.retain(|waiting| !waiting.place.is_closed());
            }
            if state.waiting.len() >= self.waiting_most {
                return Err(NoPlace::Fault(Fault::new(
                    Kind::Busy,
                    format!(
                        "all workers of pool '{}' are busy and {} calls wait already \
                         (workers.waiting_calls)",
                        self.name, self.waiting_most
                    ),
                )));
            }
            let (place, waiting) = oneshot::channel();
            state.waiting.push_back(Waiting { place, pace: pace.clone(), only: only.cloned() });
            waiting
        };
        match waiting.await {
            Ok(place) => place.map_err(NoPlace::Fault),
            Err(_) => Err(NoPlace::Closed),
        }
    }

    fn place_at(self: &Arc<Self>, worker: Arc<Worker>, pace: &Arc<Pace>, quick: bool) -> Place {
        Place { pool: self.clone(), worker, pace: pace.clone(), quick, held: true }
    }

    /// Lets a worker take calls, beginning with those that wait.
    pub(crate) fn join(self: &Arc<Self>, worker: Arc<Worker>) {
        let (load, slow, since) = (0, 0, Instant::now());
        {
            let mut state = self.lock();
            state.down = None;
            let member = Member { worker, load, slow, since, retiring: false, stuck: false };
            state.members.push(member);
        }
        self.serve_waiting();
    }

    /// No worker can be started. Without any, calls are told so rather than left to wait.
    pub(crate) fn fail(&self, fault: &Fault) {
        let turned_away = {
            let mut state = self.lock();
            if !state.members.is_empty() {
                return;
            }
            state.down = Some(fault.clone());
            std::mem::take(&mut state.waiting)
        };
        for waiting in turned_away {
            let _ = waiting.place.send(Err(fault.clone()));
        }
    }

    /// Whether a worker answers. While it does not, calls go to the others.
    pub(crate) fn set_stuck(self: &Arc<Self>, worker: &Arc<Worker>, stuck: bool) {
        if let Some(member) = self.lock().member(worker) {
            member.stuck = stuck;
        }
        if !stuck {
            self.serve_waiting();
        }
    }

    /// Gives a worker no further calls but those of sessions that are bound to it.
    pub(crate) fn retire(&self, worker: &Arc<Worker>) {
        if let Some(member) = self.lock().member(worker) {
            member.retiring = true;
        }
    }

    /// Takes a worker out: it gets no further calls at all.
    pub(crate) fn leave(&self, worker: &Arc<Worker>) {
        let turned_away = {
            let mut state = self.lock();
            state.members.retain(|member| !Arc::ptr_eq(&member.worker, worker));
            let waits_for_it = |waiting: &Waiting| {
                waiting.only.as_ref().is_some_and(|only| Arc::ptr_eq(only, worker))
            };
            let (gone, kept) = state.waiting.drain(..).partition(waits_for_it);
            state.waiting = kept;
            let gone: VecDeque<Waiting> = gone;
            gone
        };
        drop(turned_away);
        self.changed.notify_waiters();
    }

    /// Ends the pool, since a newer generation has taken over: calls that wait look there, and the
    /// workers, which are returned, retire.
    pub(crate) fn close(&self) -> Vec<Arc<Worker>> {
        let (turned_away, workers) = {
            let mut state = self.lock();
            state.closed = true;
            let (bound, others) =
                state.waiting.drain(..).partition(|waiting| waiting.only.is_some());
            state.waiting = bound;
            let others: VecDeque<Waiting> = others;
            state.members.iter_mut().for_each(|member| member.retiring = true);
            let workers = state.members.iter().map(|member| member.worker.clone()).collect();
            (others, workers)
        };
        drop(turned_away);
        workers
    }

    /// Whether a worker has calls that take up its places, or that wait for it alone.
    pub(crate) fn is_busy(&self, worker: &Arc<Worker>) -> bool {
        let mut state = self.lock();
        let bound =
            |waiting: &Waiting| waiting.only.as_ref().is_some_and(|only| Arc::ptr_eq(only, worker));
        state.waiting.iter().any(bound) || state.member(worker).is_some_and(|m| m.load > 0)
    }

    /// Calls that a worker has now.
    pub(crate) fn load(&self, pid: u32) -> u32 {
        let state = self.lock();
        state
            .members
            .iter()
            .find(|member| member.worker.pid == pid)
            .map_or(0, |m| m.load.max(0).unsigned_abs())
    }

    /// The worker waits for a call of its own.
    pub(crate) fn park(self: &Arc<Self>, worker: &Arc<Worker>, chain: NonZeroU64) {
        let mut state = self.lock();
        state.parked.entry(chain).or_default().push(worker.clone());
        if self.shape.concurrency > 1 {
            state.relieve(worker, false);
            drop(state);
            self.serve_waiting();
        }
    }

    /// The call that the worker waited for has been answered.
    pub(crate) fn unpark(&self, worker: &Arc<Worker>, chain: NonZeroU64) {
        let mut state = self.lock();
        if let Some(workers) = state.parked.get_mut(&chain) {
            if let Some(at) = workers.iter().position(|parked| Arc::ptr_eq(parked, worker)) {
                workers.swap_remove(at);
            }
            if workers.is_empty() {
                state.parked.remove(&chain);
            }
        }
        if self.shape.concurrency > 1 {
            state.burden(worker, false);
        }
    }

    /// Gives free places to those that wait, the first first.
    fn serve_waiting(self: &Arc<Self>) {
        loop {
            let (sender, place) = {
                let mut state = self.lock();
                while state.waiting.front().is_some_and(|waiting| waiting.place.is_closed()) {
                    state.waiting.pop_front();
                }
                let State { members, waiting, .. } = &mut *state;
                let found = next(members, waiting, &self.shape);
                let Some((waiting, worker, quick)) = found else { return };
                (waiting.place, self.place_at(worker, &waiting.pace, quick))
            };
            // One who has stopped waiting just now gives the place back at once.
            let _ = sender.send(Ok(place));
        }
    }
}

/// Takes out the first of those that wait whom a worker has room for. Where there is none for the
/// first who would take any worker, those behind can only have one of their own.
fn next(
    members: &mut [Member],
    waiting: &mut VecDeque<Waiting>,
    shape: &Shape,
) -> Option<(Waiting, Arc<Worker>, bool)> {
    let mut any_is_left = true;
    for (at, one) in waiting.iter().enumerate() {
        if one.only.is_none() && !any_is_left {
            continue;
        }
        let quick = one.pace.is_quick();
        if let Some(worker) = take(members, shape, quick, one.only.as_ref()) {
            return waiting.remove(at).map(|waiting| (waiting, worker, quick));
        }
        if one.only.is_none() {
            if !shape.sticky {
                return None;
            }
            any_is_left = false;
        }
    }
    None
}

impl State {
    fn take(
        &mut self,
        shape: &Shape,
        quick: bool,
        only: Option<&Arc<Worker>>,
    ) -> Option<Arc<Worker>> {
        // Those that have waited longer come first.
        if self.waiting.iter().any(|waiting| waiting.only.is_none()) && only.is_none() {
            return None;
        }
        take(&mut self.members, shape, quick, only)
    }

    fn member(&mut self, worker: &Arc<Worker>) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| Arc::ptr_eq(&member.worker, worker))
    }

    fn burden(&mut self, worker: &Arc<Worker>, quick: bool) {
        if let Some(member) = self.member(worker) {
            member.burden(quick);
        }
    }

    fn relieve(&mut self, worker: &Arc<Worker>, quick: bool) -> Option<Duration> {
        self.member(worker).map(|member| member.relieve(quick))
    }
}

impl Member {
    fn burden(&mut self, quick: bool) {
        if self.load == 0 {
            self.since = Instant::now();
        }
        self.load += 1;
        self.slow += i32::from(!quick);
    }

    /// Returns how long the worker took for the call, if it runs one after the other.
    fn relieve(&mut self, quick: bool) -> Duration {
        let now = Instant::now();
        let took = now.saturating_duration_since(self.since);
        self.since = now;
        self.load -= 1;
        self.slow -= i32::from(!quick);
        took
    }

    /// Whether it can have one more, right away or, if all are quick, after the one it runs.
    fn has_room(&self, shape: &Shape, quick: bool) -> bool {
        let most = i32::try_from(shape.concurrency).unwrap_or(i32::MAX);
        if self.load < most {
            return true;
        }
        let ahead = self.worker.takes_calls_ahead() && self.load < most + AHEAD;
        ahead && quick && self.slow == 0 && self.since.elapsed() < QUICK
    }
}

fn take(
    members: &mut [Member],
    shape: &Shape,
    quick: bool,
    only: Option<&Arc<Worker>>,
) -> Option<Arc<Worker>> {
    let fits = |member: &&mut Member| match only {
        Some(only) => Arc::ptr_eq(only, &member.worker),
        None => !member.retiring && !member.stuck,
    };
    let member = members
        .iter_mut()
        .filter(fits)
        // A worker that is held up by one long call has little to do, and yet no room.
        .filter(|member| member.has_room(shape, quick))
        .min_by_key(|member| member.load + if member.worker.is_near() { 0 } else { FAR })?;
    member.burden(quick);
    Some(member.worker.clone())
}

impl Place {
    pub(crate) const fn worker(&self) -> &Arc<Worker> {
        &self.worker
    }

    pub(crate) const fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// Gives the place back while a stream waits for its client.
    pub(crate) fn release(&mut self) {
        if std::mem::take(&mut self.held) {
            let took = self.pool.lock().relieve(&self.worker, self.quick);
            if let Some(took) = took.filter(|_| self.pool.shape.concurrency == 1) {
                self.pace.note(took);
            }
            self.pool.serve_waiting();
            self.pool.changed.notify_waiters();
        }
    }

    /// Gives the place back before the worker had any work with it.
    pub(crate) fn give_back(mut self) {
        self.held = false;
        self.pool.lock().relieve(&self.worker, self.quick);
        self.pool.serve_waiting();
    }

    /// The call takes longer than was thought: none is sent to wait behind it.
    pub(crate) fn note_slow(&mut self) {
        if std::mem::take(&mut self.quick)
            && self.held
            && let Some(member) = self.pool.lock().member(&self.worker)
        {
            member.slow += 1;
        }
    }

    /// Takes the place again, whether there is room or not: the worker goes on with the stream.
    pub(crate) fn retake(&mut self) {
        if !std::mem::replace(&mut self.held, true) {
            self.pool.lock().burden(&self.worker, self.quick);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        match self.held {
            true => self.release(),
            // A stream that waited has ended, which a worker that retires waits for.
            false => self.pool.changed.notify_waiters(),
        }
    }
}
