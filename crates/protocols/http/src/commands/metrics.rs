//! `/metrics`: the statistics in Prometheus' text format, version 0.0.4.

use std::fmt::{Display, Write as _};
use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::http::HeaderMap;
use axum::response::Response;
use polyport_core::stats::{BUCKETS_US, Counts, ProtocolStats, Stats, WorkerState, WorkerStats};

use super::{Site, answer};
use crate::connection::Visit;
use crate::fault::Failure;

const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Shows the statistics to users with the right `call stats.*`, or to all if so configured.
pub(super) async fn metrics(
    State(site): State<Arc<Site>>,
    Extension(visit): Extension<Arc<Visit>>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    if site.config.metrics_public {
        return Ok(answer(MEDIA_TYPE, render(visit.guest().stats())));
    }
    let session = visit.session(&headers).await?;
    Ok(answer(MEDIA_TYPE, render(session.stats()?)))
}

fn render(stats: &Stats) -> String {
    let mut page = Page(String::new());
    page.head("build_info", "gauge", "The version of the server.");
    page.line("build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    page.head("start_time_seconds", "gauge", "When the server began, in Unix time.");
    page.line("start_time_seconds", &[], stats.began.timestamp().as_second());
    page.head("uptime_seconds", "gauge", "How long the server has been running.");
    page.line("uptime_seconds", &[], stats.uptime().as_secs_f64());

    let protocols = stats.protocols();
    let counts: Vec<_> =
        protocols.iter().map(|(name, stats)| (*name, stats.counters.read())).collect();
    for family in families() {
        let kind = if family.name.ends_with("_total") { "counter" } else { "gauge" };
        page.head(family.name, kind, family.help);
        for (protocol, counts) in &counts {
            for (outcome, value) in (family.values)(counts) {
                let labels = [("protocol", *protocol), ("outcome", outcome)];
                let shown = if outcome.is_empty() { &labels[..1] } else { &labels[..] };
                page.line(family.name, shown, value);
            }
        }
    }
    page.head("call_duration_seconds", "histogram", "How long calls took.");
    for (protocol, stats) in &protocols {
        page.histogram("call_duration_seconds", protocol, stats);
    }
    page.workers(&stats.workers());
    page.0
}

/// Counters that are one metric, told apart by their outcome.
struct Family {
    name: &'static str,
    help: &'static str,
    values: fn(&Counts) -> Vec<(&'static str, i128)>,
}

fn families() -> [Family; 10] {
    let family = |name, help, values| Family { name, help, values };
    [
        family("connections", "Connections that are open.", |c| vec![("", c.connections.into())]),
        family("connections_total", "Connections that came in.", |c| {
            let refused = c.connections_refused.into();
            vec![("accepted", c.connections_total.into()), ("refused", refused)]
        }),
        family("connections_closed_total", "Connections that ended.", |c| {
            vec![("normal", c.closed_normal.into()), ("error", c.closed_error.into())]
        }),
        family("logins_total", "Logins.", |c| {
            vec![("good", c.logins_good.into()), ("bad", c.logins_bad.into())]
        }),
        family("requests_total", "Requests of any kind, pings included.", |c| {
            vec![("", c.requests.into())]
        }),
        family("calls_total", "Calls and other operations.", |c| {
            vec![("good", c.calls_good.into()), ("bad", c.calls_bad.into())]
        }),
        family("slow_calls_total", "Calls that took longer than limits.slow_s.", |c| {
            vec![("", c.calls_slow.into())]
        }),
        family("calls_in_flight", "Calls and streams that are running.", |c| {
            vec![("", c.in_flight.into())]
        }),
        family("received_bytes_total", "Bytes received.", |c| vec![("", c.bytes_in.into())]),
        family("sent_bytes_total", "Bytes sent.", |c| vec![("", c.bytes_out.into())]),
    ]
}

/// The text so far. Writing to it cannot fail.
struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP polyport_{name} {help}\n# TYPE polyport_{name} {kind}");
    }

    /// Writes one sample. The values of the labels must be escaped already, which names of
    /// protocols, outcomes and bounds need not be.
    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let _ = write!(self.0, "polyport_{name}");
        for (index, (label, text)) in labels.iter().enumerate() {
            let before = if index == 0 { '{' } else { ',' };
            let _ = write!(self.0, "{before}{label}=\"{text}\"");
        }
        let after = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.0, "{after} {value}");
    }

    /// What each worker is doing. The names of pools come from an application, which may call them
    /// whatever it likes.
    fn workers(&mut self, workers: &[WorkerStats]) {
        type Sample = fn(&WorkerStats) -> u64;
        let families: [(&str, &str, &str, Sample); 6] = [
            ("worker_up", "gauge", "Whether a worker takes calls.", |worker| {
                u64::from(worker.state == WorkerState::Ready)
            }),
            ("worker_pid", "gauge", "The worker's process.", |worker| worker.pid.into()),
            ("worker_calls_total", "counter", "Calls given to a worker.", |worker| worker.calls),
            ("worker_calls_in_flight", "gauge", "Calls that a worker has.", |worker| {
                worker.running.into()
            }),
            ("worker_memory_bytes", "gauge", "Memory of a worker.", |worker| worker.memory_bytes),
            ("worker_restarts_total", "counter", "Workers replaced unasked.", |worker| {
                worker.restarts
            }),
        ];
        for (name, kind, help, value) in families.into_iter().filter(|_| !workers.is_empty()) {
            self.head(name, kind, help);
            for worker in workers {
                let pool = worker.pool.replace('\\', "\\\\").replace('"', "\\\"");
                let pool = pool.replace('\n', "\\n");
                let labels = [("pool", pool.as_str()), ("worker", &worker.index.to_string())];
                self.line(name, &labels, value(worker));
            }
        }
    }

    fn histogram(&mut self, name: &str, protocol: &str, stats: &ProtocolStats) {
        let bounds = BUCKETS_US.iter().map(|micros| seconds(*micros)).chain(["+Inf".to_owned()]);
        let mut below = 0;
        for (bound, count) in bounds.zip(stats.latency.counts()) {
            below += count;
            let labels = [("protocol", protocol), ("le", bound.as_str())];
            self.line(&format!("{name}_bucket"), &labels, below);
        }
        let labels = [("protocol", protocol)];
        self.line(&format!("{name}_sum"), &labels, stats.latency.sum().as_secs_f64());
        self.line(&format!("{name}_count"), &labels, below);
    }
}

/// Microseconds as seconds, without the noise of binary fractions.
fn seconds(micros: u64) -> String {
    let text = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_plain_decimal_numbers() {
        let bounds: Vec<_> = [25, 1_000, 2_500_000, 10_000_000].map(seconds).into();
        assert_eq!(bounds, ["0.000025", "0.001", "2.5", "10"]);
    }

    #[test]
    fn every_counter_is_shown() {
        // A counter that is added to the core does not compile here until it has a place.
        let one = Counts {
            connections: 1,
            connections_total: 2,
            connections_refused: 3,
            closed_normal: 4,
            closed_error: 5,
            logins_good: 6,
            logins_bad: 7,
            requests: 8,
            calls_good: 9,
            calls_bad: 10,
            in_flight: 11,
            bytes_in: 12,
            bytes_out: 13,
            calls_slow: 14,
        };
        let mut shown: Vec<_> =
            families().iter().flat_map(|f| (f.values)(&one)).map(|(_, value)| value).collect();
        shown.sort_unstable();
        assert_eq!(shown, (1..=14).collect::<Vec<i128>>());
    }

    #[test]
    fn a_pool_of_any_name_is_shown() {
        let stats = Stats::default();
        assert!(!render(&stats).contains("worker"));
        let worker = WorkerStats {
            pool: "a\"b\\".into(),
            state: WorkerState::Ready,
            calls: 7,
            ..WorkerStats::default()
        };
        stats.set_workers(Box::new(move || vec![worker.clone()]));
        let text = render(&stats);
        let labels = r#"{pool="a\"b\\",worker="0"}"#;
        assert!(text.contains(&format!("polyport_worker_up{labels} 1\n")), "{text}");
        assert!(text.contains(&format!("polyport_worker_calls_total{labels} 7\n")), "{text}");
    }

    #[test]
    fn buckets_add_up_and_end_with_all() {
        let stats = Stats::default();
        drop(stats.protocol("mysql"));
        let text = render(&stats);
        assert!(text.contains("polyport_connections{protocol=\"mysql\"} 0\n"));
        assert!(text.contains("polyport_logins_total{protocol=\"mysql\",outcome=\"bad\"} 0\n"));
        let bucket = "polyport_call_duration_seconds_bucket{protocol=\"mysql\",le=";
        assert_eq!(text.matches(bucket).count(), BUCKETS_US.len() + 1);
        assert!(text.contains("le=\"+Inf\"} 0\n"));
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            assert!(line.rsplit_once(' ').unwrap().1.parse::<f64>().is_ok(), "{line}");
        }
    }
}
