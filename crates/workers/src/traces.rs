//! Tracebacks in the server's log: they are for whoever runs the server, not for clients.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use polyport_core::{Call, Fault, Kind};

/// Tracebacks of one function that are logged in one second; clients that make it fail all the time
/// must not fill the disk.
const A_SECOND: u64 = 5;

/// What one function's failures have been logged of late.
#[derive(Debug)]
pub(crate) struct Traces {
    since: Instant,
    /// The second, from the start, in the upper bits, and in the lower sixteen how many there were.
    lately: AtomicU64,
}

impl Default for Traces {
    fn default() -> Self {
        Self { since: Instant::now(), lately: AtomicU64::new(0) }
    }
}

impl Traces {
    /// Logs an exception. One with an error number is an answer of the function's own, as
    /// pymysqlrpc's `LogicError` is, and needs no attention.
    pub(crate) fn note(&self, name: &str, call: &Call, fault: &Fault) {
        if fault.kind() != Kind::Raised || fault.errno().is_some() || fault.trace().is_empty() {
            return;
        }
        if self.is_one_more(self.since.elapsed().as_secs()) {
            tracing::warn!(
                target: "polyport::worker",
                function = name,
                user = %call.user(),
                protocol = call.protocol(),
                "an exception\n{}", fault.trace().trim_end()
            );
        }
    }

    /// Whether another is logged in this second.
    fn is_one_more(&self, second: u64) -> bool {
        const COUNT: u64 = 0xffff;
        let next = |lately: u64| match lately >> 16 == second {
            true if lately & COUNT >= A_SECOND => None,
            true => Some(lately + 1),
            false => Some(second << 16 | 1),
        };
        self.lately.fetch_update(Relaxed, Relaxed, next).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_are_logged_each_second() {
        let traces = Traces::default();
        for second in [0, 1, 7] {
            let logged = (0..100).filter(|_| traces.is_one_more(second)).count();
            assert_eq!(logged as u64, A_SECOND);
        }
    }
}
