//! The threads that connections live on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::error::Error;

/// A place for connections: a runtime and how many connections it has.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) runtime: Handle,
    load: Arc<AtomicUsize>,
}

/// Counts as one connection of a place until it is dropped.
#[derive(Debug)]
pub(crate) struct Seat(Arc<AtomicUsize>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Place {
    pub(crate) fn new(runtime: Handle) -> Self {
        Self { runtime, load: Arc::default() }
    }

    fn sit(&self) -> Seat {
        self.load.fetch_add(1, Relaxed);
        Seat(self.load.clone())
    }
}

/// All places; the least loaded takes the next connection.
#[derive(Clone, Debug)]
pub(crate) struct Places(Arc<[Place]>);

impl Places {
    /// The runtime of the program that the server runs in.
    pub(crate) fn here() -> Self {
        Self([Place::new(Handle::current())].into())
    }

    /// The runtimes, each once.
    #[cfg(feature = "workers")]
    pub(crate) fn runtimes(&self) -> Vec<Handle> {
        self.0.iter().map(|place| place.runtime.clone()).collect()
    }

    pub(crate) fn least_loaded(&self) -> Option<(&Place, Seat)> {
        let place = self.0.iter().min_by_key(|place| place.load.load(Relaxed))?;
        Some((place, place.sit()))
    }
}

/// One thread with a runtime of its own for each processor, ended when dropped.
#[derive(Debug)]
pub(crate) struct Threads {
    pub(crate) places: Places,
    stop: CancellationToken,
    joins: Vec<std::thread::JoinHandle<()>>,
}

impl Threads {
    /// Starts the threads.
    pub(crate) fn start(count: usize) -> Result<Self, Error> {
        let stop = CancellationToken::new();
        let (mut places, mut joins) = (Vec::new(), Vec::new());
        for index in 0..count.max(1) {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .thread_name("polyport-function")
                .build()
                .map_err(|error| Error::new(format!("cannot start a runtime: {error}")))?;
            places.push(Place::new(runtime.handle().clone()));
            let stop = stop.clone();
            let thread = std::thread::Builder::new()
                .name(format!("polyport-{index}"))
                .spawn(move || {
                    runtime.block_on(stop.cancelled());
                    runtime.shutdown_background();
                })
                .map_err(|error| Error::new(format!("cannot start a thread: {error}")))?;
            joins.push(thread);
        }
        Ok(Self { places: Places(places.into()), stop, joins })
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.stop.cancel();
        for join in self.joins.drain(..) {
            let _ = join.join();
        }
    }
}
