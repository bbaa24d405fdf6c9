//! What a load measures: how many, and how long each took.

use std::time::{Duration, Instant};

/// The outcome of a load, printed as one line that [`Outcome::parse`] reads back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    pub(crate) rate: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
}

/// Gathers the durations of a load.
pub(crate) struct Gauge {
    began: Instant,
    until: Instant,
    took_ns: Vec<u64>,
}

impl Gauge {
    pub(crate) fn new(seconds: f64) -> Self {
        let began = Instant::now();
        let until = began + Duration::from_secs_f64(seconds);
        Self { began, until, took_ns: Vec::with_capacity(1 << 20) }
    }

    /// Whether to go on after a request that began at `since` is done now.
    pub(crate) fn lap(&mut self, since: Instant) -> Option<Instant> {
        let now = Instant::now();
        self.took_ns.push(u64::try_from((now - since).as_nanos()).unwrap_or(u64::MAX));
        (now < self.until).then_some(now)
    }

    /// Puts several gauges of one load together.
    pub(crate) fn merge(gauges: Vec<Self>) -> Outcome {
        let elapsed = gauges.iter().map(|g| g.began.elapsed()).max().unwrap_or_default();
        let mut all: Vec<u64> = gauges.into_iter().flat_map(|gauge| gauge.took_ns).collect();
        all.sort_unstable();
        let at = |share: usize| {
            let index = all.len().saturating_sub(1) * share / 100;
            all.get(index).copied().unwrap_or_default() as f64 / 1000.0
        };
        Outcome { rate: all.len() as f64 / elapsed.as_secs_f64(), p50_us: at(50), p99_us: at(99) }
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "rate {:.0}/s p50 {:.1} us p99 {:.1} us", self.rate, self.p50_us, self.p99_us)
    }
}

impl Outcome {
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let mut number = |name: &str| -> Option<f64> {
            words.find(|word| *word == name)?;
            words.next()?.trim_end_matches("/s").parse().ok()
        };
        Some(Self { rate: number("rate")?, p50_us: number("p50")?, p99_us: number("p99")? })
    }
}
