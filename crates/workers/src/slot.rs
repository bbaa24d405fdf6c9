//! One place for a worker in a pool: it starts one, and another when that is gone or too old.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use polyport_core::stats::{WorkerState, WorkerStats};
use polyport_core::{Ran, Text};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::driver::Event;
use crate::generation::Generation;
use crate::launch::{Candidate, Failure, launch};
use crate::pool::Pool;
use crate::process::memory_bytes;
use crate::worker::Worker;

/// How often a worker's memory and age are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The longest wait before a worker that cannot start is started again.
const BACK_OFF_MOST: Duration = Duration::from_secs(5);

/// What all workers that had a place have done, before a reload and after.
#[derive(Clone, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) calls: Arc<AtomicU64>,
    restarts: Arc<AtomicU64>,
}

/// A place for a worker of one generation.
#[derive(Debug)]
pub(crate) struct Slot {
    pool: Text,
    pub(crate) index: u32,
    pub(crate) totals: Totals,
    generation: AtomicU64,
    memory_bytes: AtomicU64,
    pid: AtomicU32,
    now: Mutex<Now>,
}

#[derive(Debug, Default)]
struct Now {
    state: WorkerState,
    worker: Option<(Arc<Worker>, Arc<Pool>)>,
}

impl Slot {
    pub(crate) fn new(pool: Text, index: u32, totals: Totals) -> Self {
        Self {
            pool,
            index,
            totals,
            generation: AtomicU64::new(0),
            memory_bytes: AtomicU64::new(0),
            pid: AtomicU32::new(0),
            now: Mutex::default(),
        }
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn stats(&self) -> WorkerStats {
        let now = self.now();
        let running = now.worker.as_ref().map_or(0, |(worker, pool)| pool.load(worker.pid));
        WorkerStats {
            pool: self.pool.clone(),
            index: self.index,
            pid: self.pid.load(Relaxed),
            state: now.state,
            generation: self.generation.load(Relaxed),
            calls: self.totals.calls.load(Relaxed),
            running,
            memory_bytes: self.memory_bytes.load(Relaxed),
            restarts: self.totals.restarts.load(Relaxed),
        }
    }

    fn starting(&self) {
        let mut now = self.now();
        if now.worker.is_none() {
            now.state = WorkerState::Starting;
        }
    }

    fn taken(&self, worker: &Arc<Worker>, pool: &Arc<Pool>, generation: u64) {
        let mut now = self.now();
        now.worker = Some((worker.clone(), pool.clone()));
        now.state = WorkerState::Ready;
        self.generation.store(generation, Relaxed);
        self.pid.store(worker.pid, Relaxed);
        self.memory_bytes.store(memory_bytes(worker.pid).unwrap_or_default(), Relaxed);
    }

    /// The worker is gone, unless another has the place already.
    fn left(&self, worker: &Arc<Worker>) {
        let mut now = self.now();
        if now.worker.as_ref().is_some_and(|(own, _)| Arc::ptr_eq(own, worker)) {
            *now = Now { state: WorkerState::Down, worker: None };
            self.pid.store(0, Relaxed);
            self.memory_bytes.store(0, Relaxed);
        }
    }
}

/// How a worker's time in its place came to an end.
enum Ending {
    Gone(Text),
    /// It is to be replaced; at once, or as soon as the next is there.
    Retire(Text, bool),
    /// The whole generation ends.
    Stop,
}

/// Keeps a worker in a place until the generation ends. `ready` is told once, when the first worker
/// takes calls or why it cannot.
pub(crate) async fn keep(
    slot: Arc<Slot>,
    pool: Arc<Pool>,
    generation: Arc<Generation>,
    first: Option<Candidate>,
    ready: oneshot::Sender<Result<(), Failure>>,
) {
    let (mut first, mut ready) = (first, Some(ready));
    let mut failures = 0;
    let mut old: Option<(Arc<Worker>, mpsc::UnboundedReceiver<Event>)> = None;
    while !generation.stop.is_cancelled() {
        slot.starting();
        let started = match first.take() {
            Some(candidate) => Ok(candidate),
            None => {
                let launched = launch(&generation.config, generation.bounds);
                match generation.stop.run_until_cancelled(launched).await {
                    Some(launched) => launched,
                    None => break,
                }
            }
        };
        let welcomed = started.and_then(|candidate| {
            generation.compare(&candidate);
            let welcomed = candidate.welcome(&pool, &slot, &generation.config, generation.bounds);
            welcomed.map_err(Failure::from)
        });
        let (worker, mut events) = match (welcomed, ready.take()) {
            (Ok(welcomed), told) => {
                slot.taken(&welcomed.0, &pool, generation.number);
                pool.join(welcomed.0.clone());
                told.map(|told| told.send(Ok(())));
                welcomed
            }
            (Err(failure), Some(told)) => {
                let _ = told.send(Err(failure));
                return;
            }
            (Err(failure), None) => {
                failures += 1;
                let wait = back_off(failures);
                tracing::error!(
                    pool = %pool.name, worker = slot.index, error = %failure.fault, ?wait,
                    "a worker cannot start; it is tried again"
                );
                pool.fail(&failure.fault.with_ran(Ran::No));
                generation.stop.run_until_cancelled(tokio::time::sleep(wait)).await;
                continue;
            }
        };
        if let Some((old, events)) = old.take() {
            tokio::spawn(generation.clone().retire(old, pool.clone(), events));
        }
        let began = Instant::now();
        let ending = watch(&slot, &worker, &generation, &mut events).await;
        // One that did some work is worth another at once; one that did not may never do any.
        let did_work = worker.lock().calls > 0 || began.elapsed() >= LOOK_EVERY;
        failures = if did_work { 0 } else { failures + 1 };
        let wait = back_off(failures);
        match ending {
            Ending::Stop => {
                slot.left(&worker);
                return generation.retire(worker, pool, events).await;
            }
            Ending::Retire(why, at_once) => {
                tracing::info!(pool = %pool.name, worker = slot.index, pid = worker.pid, %why,
                    "replacing a worker");
                if at_once {
                    slot.left(&worker);
                    tokio::spawn(generation.clone().retire(worker, pool.clone(), events));
                } else {
                    old = Some((worker, events));
                }
            }
            Ending::Gone(why) => {
                slot.left(&worker);
                slot.totals.restarts.fetch_add(1, Relaxed);
                tracing::warn!(pool = %pool.name, worker = slot.index, pid = worker.pid, ?wait,
                    "a worker {why}; starting another");
            }
        }
        generation.stop.run_until_cancelled(tokio::time::sleep(wait)).await;
    }
    if let Some((old, events)) = old {
        slot.left(&old);
        generation.retire(old, pool, events).await;
    }
}

/// Nothing at first, then 100 ms, and twice as long each time.
fn back_off(failures: u32) -> Duration {
    match failures.checked_sub(1) {
        None => Duration::ZERO,
        Some(more) => Duration::from_millis(100 << more.min(6)).min(BACK_OFF_MOST),
    }
}

async fn watch(
    slot: &Slot,
    worker: &Arc<Worker>,
    generation: &Generation,
    events: &mut mpsc::UnboundedReceiver<Event>,
) -> Ending {
    let config = &generation.config;
    let began = Instant::now();
    let mut look = tokio::time::interval_at(began + LOOK_EVERY, LOOK_EVERY);
    loop {
        tokio::select! {
            event = events.recv() => return match event {
                Some(Event::Retire(why)) => Ending::Retire(why, true),
                Some(Event::Gone(why)) => Ending::Gone(why),
                None => Ending::Gone("is gone".into()),
            },
            () = generation.stop.cancelled() => return Ending::Stop,
            _ = look.tick() => {
                let memory = memory_bytes(worker.pid).unwrap_or_default();
                slot.memory_bytes.store(memory, Relaxed);
                let calls = worker.lock().calls;
                if config.recycle_calls > 0 && calls >= config.recycle_calls {
                    let why = format!("it has had {calls} calls (workers.recycle_calls)");
                    return Ending::Retire(why.into(), false);
                }
                if config.recycle_bytes > 0 && memory >= config.recycle_bytes {
                    let why = format!("it takes {memory} bytes (workers.recycle_bytes)");
                    return Ending::Retire(why.into(), false);
                }
                if !config.recycle_s.is_zero() && began.elapsed() >= config.recycle_s {
                    return Ending::Retire("it is old (workers.recycle_s)".into(), false);
                }
            }
        }
    }
}
