//! What the server counts. No protocol counts by itself; all are rendered from one snapshot.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use jiff::Zoned;
use tokio::time::Instant;

#[cfg(doc)]
use crate::limits::Limits;
use crate::value::Text;

/// Upper bounds of the latency buckets, in microseconds; a last bucket has no bound.
pub const BUCKETS_US: [u64; 17] = [
    25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 10_000_000,
];

/// Durations counted by size.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; BUCKETS_US.len() + 1],
    sum_ns: AtomicU64,
}

impl Histogram {
    pub(crate) fn record(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let index = BUCKETS_US.iter().position(|bound| micros <= *bound);
        if let Some(bucket) = self.buckets.get(index.unwrap_or(BUCKETS_US.len())) {
            bucket.fetch_add(1, Relaxed);
        }
        self.sum_ns.fetch_add(nanos, Relaxed);
    }

    /// The counts of the buckets, in the order of [`BUCKETS_US`], the unbounded one last.
    #[must_use]
    pub fn counts(&self) -> Vec<u64> {
        self.buckets.iter().map(|bucket| bucket.load(Relaxed)).collect()
    }

    /// The sum of all durations.
    #[must_use]
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.sum_ns.load(Relaxed))
    }
}

macro_rules! counters {
    ($(#[$doc:meta])* $live:ident, $frozen:ident { $($(#[$field_doc:meta])* $field:ident: $atomic:ident => $plain:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Default)]
        pub struct $live {
            $($(#[$field_doc])* pub $field: $atomic,)*
        }

        /// The counters at one moment.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $frozen {
            $($(#[$field_doc])* pub $field: $plain,)*
        }

        impl $live {
            /// Reads all counters.
            #[must_use]
            pub fn read(&self) -> $frozen {
                $frozen { $($field: self.$field.load(Relaxed),)* }
            }
        }

        impl std::ops::AddAssign for $frozen {
            fn add_assign(&mut self, other: Self) {
                $(self.$field += other.$field;)*
            }
        }
    };
}

counters! {
    /// What one protocol counts.
    Counters, Counts {
        /// Connections that are open.
        connections: AtomicI64 => i64,
        /// Connections that were ever accepted.
        connections_total: AtomicU64 => u64,
        /// Connections refused for want of a place.
        connections_refused: AtomicU64 => u64,
        /// Connections that ended as the protocol has it.
        closed_normal: AtomicU64 => u64,
        /// Connections that ended otherwise.
        closed_error: AtomicU64 => u64,
        /// Logins that were let in.
        logins_good: AtomicU64 => u64,
        /// Logins that were refused.
        logins_bad: AtomicU64 => u64,
        /// Requests of any kind, pings and such included.
        requests: AtomicU64 => u64,
        /// Calls and other operations that succeeded.
        calls_good: AtomicU64 => u64,
        /// Calls and other operations that failed.
        calls_bad: AtomicU64 => u64,
        /// Calls and other operations that took longer than [`Limits::slow_s`].
        calls_slow: AtomicU64 => u64,
        /// Calls and streams that are running.
        in_flight: AtomicI64 => i64,
        /// Bytes received.
        bytes_in: AtomicU64 => u64,
        /// Bytes sent.
        bytes_out: AtomicU64 => u64,
    }
}

/// One protocol's counters and latencies.
#[derive(Debug, Default)]
pub struct ProtocolStats {
    /// The counters.
    pub counters: Counters,
    /// How long calls took.
    pub latency: Histogram,
}

/// What a worker, a process that runs functions, is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WorkerState {
    /// It was started and has not said which functions it has.
    #[default]
    Starting,
    /// It takes calls.
    Ready,
    /// It takes no more calls and ends when those it has are done.
    Draining,
    /// It is gone, and another is to be started in its place.
    Down,
}

impl WorkerState {
    /// The state in one word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Draining => "draining",
            Self::Down => "down",
        }
    }
}

/// One place for a worker, and what the workers that had it have done.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WorkerStats {
    /// The pool, workers that run the same functions.
    pub pool: Text,
    /// The number of the place in its pool, from 0.
    pub index: u32,
    /// The process that has the place, 0 while there is none.
    pub pid: u32,
    /// What that process is doing.
    pub state: WorkerState,
    /// Which version of the application it runs, from 1; each reload makes the next.
    pub generation: u64,
    /// Calls that the place has been given.
    pub calls: u64,
    /// Calls that it has now.
    pub running: u32,
    /// Bytes of memory that the process has, as last seen.
    pub memory_bytes: u64,
    /// How often a process had to be replaced that had not been told to end.
    pub restarts: u64,
}

/// Tells what the workers are doing now.
pub type WorkerSource = dyn Fn() -> Vec<WorkerStats> + Send + Sync;

/// A call that took longer than [`Limits::slow_s`].
#[derive(Clone, Debug, PartialEq)]
pub struct SlowCall {
    /// When it ended, by the wall clock.
    pub ended: Zoned,
    /// How long it took.
    pub took: Duration,
    /// The name that was called.
    pub name: Text,
    /// The caller.
    pub user: Text,
    /// The protocol that it came through.
    pub protocol: &'static str,
    /// Whether it succeeded.
    pub good: bool,
}

/// Slow calls that are remembered; the oldest gives way.
pub const SLOW_CALLS_KEPT: usize = 100;

/// All that the server counts.
pub struct Stats {
    /// When the server began, by the wall clock.
    pub began: Zoned,
    started: Instant,
    protocols: RwLock<BTreeMap<&'static str, Arc<ProtocolStats>>>,
    workers: ArcSwapOption<Box<WorkerSource>>,
    slow_calls: Mutex<VecDeque<SlowCall>>,
}

impl std::fmt::Debug for Stats {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stats").field("total", &self.total()).finish_non_exhaustive()
    }
}

impl Default for Stats {
    fn default() -> Self {
        Self {
            began: Zoned::now(),
            started: Instant::now(),
            protocols: RwLock::default(),
            workers: ArcSwapOption::empty(),
            slow_calls: Mutex::default(),
        }
    }
}

impl Stats {
    /// How long the server has been running.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// One protocol's counters; they begin at zero when first asked for.
    #[must_use]
    pub fn protocol(&self, name: &'static str) -> Arc<ProtocolStats> {
        let mut protocols = self.protocols.write().unwrap_or_else(PoisonError::into_inner);
        protocols.entry(name).or_default().clone()
    }

    /// Every protocol's counters, by name.
    #[must_use]
    pub fn protocols(&self) -> BTreeMap<&'static str, Arc<ProtocolStats>> {
        self.protocols.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Lets whoever runs workers tell what they are doing.
    pub fn set_workers(&self, source: Box<WorkerSource>) {
        self.workers.store(Some(Arc::new(source)));
    }

    /// What each worker is doing; none when no functions run in workers.
    #[must_use]
    pub fn workers(&self) -> Vec<WorkerStats> {
        self.workers.load().as_ref().map_or_else(Vec::new, |source| source())
    }

    /// The last slow calls, the oldest first; at most [`SLOW_CALLS_KEPT`].
    #[must_use]
    pub fn slow_calls(&self) -> Vec<SlowCall> {
        let slow = self.slow_calls.lock().unwrap_or_else(PoisonError::into_inner);
        slow.iter().cloned().collect()
    }

    pub(crate) fn was_slow(&self, call: SlowCall) {
        let mut slow = self.slow_calls.lock().unwrap_or_else(PoisonError::into_inner);
        if slow.len() == SLOW_CALLS_KEPT {
            slow.pop_front();
        }
        slow.push_back(call);
    }

    /// The counters of all protocols together.
    #[must_use]
    pub fn total(&self) -> Counts {
        let mut sum = Counts::default();
        for protocol in self.protocols().values() {
            sum += protocol.counters.read();
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_falls_into_the_first_bucket_that_holds_it() {
        let histogram = Histogram::default();
        for micros in [0, 25, 26, 1_000, 60_000_000] {
            histogram.record(Duration::from_micros(micros));
        }
        let counts = histogram.counts();
        assert_eq!(counts.iter().sum::<u64>(), 5);
        assert_eq!((counts[0], counts[1], counts[5], counts[17]), (2, 1, 1, 1));
        assert_eq!(histogram.sum(), Duration::from_micros(60_001_051));
    }
}
