//! One version of an application, with all its workers.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::Duration;

use polyport_core::{Fault, Function, Kind, Text, Value};
use polyport_worker::{Bounds, Description};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::driver::Event;
use crate::function::function;
use crate::launch::{Candidate, Failure, launch};
use crate::pool::Pool;
use crate::sessions::Sessions;
use crate::slot::{Slot, keep};
use crate::supervisor::Inner;
use crate::watch::{self, Mark};
use crate::worker::Worker;

/// How long a worker that has nothing to do may take to exit.
const EXIT: Duration = Duration::from_secs(5);

/// One version of an application, with all its workers.
#[derive(Debug)]
pub(crate) struct Generation {
    /// From 1; each reload makes the next.
    pub(crate) number: u64,
    pub(crate) config: Config,
    pub(crate) bounds: Bounds,
    pub(crate) description: Description,
    pub(crate) files: Vec<Text>,
    /// What tells this version of the files from others.
    marks: Vec<Mark>,
    /// One of its workers has told other functions.
    differs: AtomicBool,
    pub(crate) pools: BTreeMap<Text, Arc<Pool>>,
    /// Its workers retire, and none takes their place.
    pub(crate) stop: CancellationToken,
    sessions: Sessions,
    supervisor: Weak<Inner>,
}

impl Generation {
    /// Starts all workers and waits until each takes calls. Nothing stays if one cannot.
    pub(crate) async fn start(supervisor: &Arc<Inner>, number: u64) -> Result<Started, Failure> {
        let Inner { config, bounds, sessions, .. } = &**supervisor;
        let (config, bounds) = (config.clone(), *bounds);
        let first = {
            let config = config.clone();
            let launched = supervisor.place(0).spawn(async move { launch(&config, bounds).await });
            let failed = |error: tokio::task::JoinError| {
                Failure::from(Fault::new(Kind::Unavailable, error.to_string()))
            };
            launched.await.map_err(failed)??
        };
        let description = first.description.clone();
        let pools = description.pools.iter().map(|(name, shape)| {
            (name.clone(), Pool::new(name.clone(), shape.clone(), config.waiting_calls))
        });
        let generation = Arc::new(Self {
            number,
            pools: pools.collect(),
            marks: watch::marks(&first.files),
            differs: AtomicBool::new(false),
            files: first.files.clone(),
            config,
            bounds,
            description,
            stop: CancellationToken::new(),
            sessions: sessions.clone(),
            supervisor: Arc::downgrade(supervisor),
        });
        generation.fill(supervisor, first).await
    }

    async fn fill(
        self: Arc<Self>,
        supervisor: &Arc<Inner>,
        first: Candidate,
    ) -> Result<Started, Failure> {
        let (mut keepers, mut waits, mut slots) = (JoinSet::new(), Vec::new(), Vec::new());
        let mut first = Some(first);
        for pool in self.pools.values() {
            let count =
                pool.shape.workers.map_or_else(|| self.config.usual_count(), |n| n as usize);
            for index in 0..u32::try_from(count).unwrap_or(u32::MAX) {
                let slot = supervisor.slot(&pool.name, index);
                let (ready, wait) = oneshot::channel();
                let kept = keep(slot.clone(), pool.clone(), self.clone(), first.take(), ready);
                keepers.spawn_on(kept, supervisor.place(slots.len()));
                slots.push(slot);
                waits.push(wait);
            }
        }
        // From here on what has started ends when this is dropped.
        let started = Started { generation: self, slots, keepers };
        for wait in waits {
            // A keeper that is gone without a word was stopped with the whole server.
            if let Ok(Err(failure)) = wait.await {
                return Err(failure);
            }
        }
        Ok(started)
    }

    /// Its functions, as the server's.
    pub(crate) fn functions(&self) -> Vec<Function> {
        let pool = |name| self.pools.get(name).cloned();
        let declared = self.description.functions.iter();
        declared
            .filter_map(|own| Some(function(own, pool(&own.pool)?, self.supervisor.clone())))
            .collect()
    }

    /// The names of its functions.
    pub(crate) fn names(&self) -> Vec<Text> {
        self.description.functions.iter().map(|function| function.name.clone()).collect()
    }

    /// A worker that was started later must have the same functions. If it has others since the
    /// application's files have changed, all of it is loaded anew.
    pub(crate) fn compare(&self, candidate: &Candidate) {
        if without_defaults(&candidate.description) == without_defaults(&self.description) {
            return;
        }
        if watch::marks(&self.files) == self.marks {
            // Loading it anew would make no end of it.
            if !self.differs.swap(true, Relaxed) {
                tracing::warn!(
                    "workers tell different functions though their files are the same; calls go by \
                     what the first worker told"
                );
            }
        } else if let Some(supervisor) = self.supervisor.upgrade() {
            tracing::warn!("the application has changed since it was loaded; loading it anew");
            supervisor.changed.notify_one();
        }
    }

    /// Lets a worker finish what it has, and the sessions that are bound to it end, before it goes.
    pub(crate) async fn retire(
        self: Arc<Self>,
        worker: Arc<Worker>,
        pool: Arc<Pool>,
        mut events: mpsc::UnboundedReceiver<Event>,
    ) {
        pool.retire(&worker);
        let latest = Instant::now() + self.config.drain_s;
        let finished = async {
            loop {
                let mut changed = std::pin::pin!(pool.changed.notified());
                changed.as_mut().enable();
                // A stream that waits for its client takes up no place, but is not over.
                let has_calls = pool.is_busy(&worker) || worker.has_calls();
                if !has_calls && !self.sessions.has_any(&worker) {
                    return;
                }
                changed.await;
            }
        };
        let gone = async {
            while let Some(event) = events.recv().await {
                if matches!(event, Event::Gone(_)) {
                    return;
                }
            }
        };
        let mut gone = std::pin::pin!(gone);
        tokio::select! {
            _ = tokio::time::timeout_at(latest, finished) => {}
            () = &mut gone => return pool.leave(&worker),
        }
        pool.leave(&worker);
        worker.drain(Instant::now() + EXIT);
        gone.await;
    }
}

/// A description without the values of defaults: these may be made anew by each worker, such as the
/// time, a random number, or a text that holds an address. The server fills in those of the first.
fn without_defaults(description: &Description) -> Description {
    let mut description = description.clone();
    let functions = description.functions.iter_mut();
    for param in functions.flat_map(|function| &mut function.signature.params) {
        param.default = param.default.take().map(|_| Value::Null);
    }
    description
}

/// A generation whose workers all take calls.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) generation: Arc<Generation>,
    pub(crate) slots: Vec<Arc<Slot>>,
    keepers: JoinSet<()>,
}

impl Drop for Started {
    fn drop(&mut self) {
        self.generation.stop.cancel();
        for worker in self.generation.pools.values().flat_map(|pool| pool.close()) {
            worker.drain(Instant::now());
        }
    }
}

impl Started {
    /// Lets the workers finish what they have, for as long as they may, and ends them.
    pub(crate) async fn end(mut self) {
        for pool in self.generation.pools.values() {
            pool.close();
        }
        self.generation.stop.cancel();
        while self.keepers.join_next().await.is_some() {}
    }
}
