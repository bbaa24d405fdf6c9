//! `stats.*`: what the server counts.

use crate::function::Function;
use crate::reply::Rows;
use crate::stats::Counts;
use crate::time::Time;
use crate::value::Value;

pub(super) fn functions() -> Vec<Function> {
    vec![
        Function::build("stats.snapshot")
            .help("Uptime in seconds and the counters of all protocols together.")
            .inline(|call, _| {
                let stats = call.session().stats()?;
                let mut map = vec![("uptime_s", Value::from(stats.uptime().as_secs()))];
                map.push(("busy_threads", call.session().core().busy_threads().into()));
                map.extend(counts(&stats.total()));
                Ok::<_, crate::Fault>(Value::map(map))
            }),
        Function::build("stats.protocols")
            .help("The counters of each protocol, as a table.")
            .inline(|call, _| {
                let protocols = call.session().stats()?.protocols();
                let names = counts(&Counts::default()).into_iter().map(|(name, _)| name);
                let mut table = Rows::new(std::iter::once("protocol").chain(names));
                for (name, stats) in protocols {
                    let mut row = vec![Value::from(name)];
                    row.extend(counts(&stats.counters.read()).into_iter().map(|(_, value)| value));
                    table.push(row);
                }
                Ok::<_, crate::Fault>(table)
            }),
        Function::build("stats.workers")
            .help("The processes that run functions: process number, state, calls, memory.")
            .inline(|call, _| {
                let columns = ["pool", "worker", "pid", "state", "generation", "calls"];
                let more = ["running", "memory_bytes", "restarts"];
                let mut table = Rows::new(columns.into_iter().chain(more));
                for worker in call.session().stats()?.workers() {
                    table.push(vec![
                        Value::Text(worker.pool),
                        worker.index.into(),
                        worker.pid.into(),
                        worker.state.word().into(),
                        worker.generation.into(),
                        worker.calls.into(),
                        worker.running.into(),
                        worker.memory_bytes.into(),
                        worker.restarts.into(),
                    ]);
                }
                Ok::<_, crate::Fault>(table)
            }),
        Function::build("stats.slow_calls")
            .help("The last calls that took longer than limits.slow_s, the oldest first.")
            .inline(|call, _| {
                let columns = ["ended", "seconds", "name", "user", "protocol", "good"];
                let mut table = Rows::new(columns);
                for slow in call.session().stats()?.slow_calls() {
                    table.push(vec![
                        Value::Time(Time::DateTime(slow.ended.datetime())),
                        slow.took.as_secs_f64().into(),
                        Value::Text(slow.name),
                        Value::Text(slow.user),
                        slow.protocol.into(),
                        slow.good.into(),
                    ]);
                }
                Ok::<_, crate::Fault>(table)
            }),
        Function::build("stats.connections")
            .help("The open connections: the caller's own, or all for an administrator.")
            .inline(|call, _| {
                let columns = ["id", "protocol", "peer", "user", "calls", "running", "idle_s"];
                let mut table = Rows::new(columns);
                for connection in call.session().connections() {
                    table.push(vec![
                        connection.id.into(),
                        connection.protocol.into(),
                        connection.peer.to_string().into(),
                        Value::Text(connection.user().0),
                        connection.calls().into(),
                        connection.in_flight().into(),
                        connection.idle().as_secs().into(),
                    ]);
                }
                table
            }),
    ]
}

fn counts(counts: &Counts) -> Vec<(&'static str, Value)> {
    vec![
        ("connections", counts.connections.into()),
        ("connections_total", counts.connections_total.into()),
        ("connections_refused", counts.connections_refused.into()),
        ("closed_normal", counts.closed_normal.into()),
        ("closed_error", counts.closed_error.into()),
        ("logins_good", counts.logins_good.into()),
        ("logins_bad", counts.logins_bad.into()),
        ("requests", counts.requests.into()),
        ("calls_good", counts.calls_good.into()),
        ("calls_bad", counts.calls_bad.into()),
        ("calls_slow", counts.calls_slow.into()),
        ("in_flight", counts.in_flight.into()),
        ("bytes_in", counts.bytes_in.into()),
        ("bytes_out", counts.bytes_out.into()),
    ]
}
