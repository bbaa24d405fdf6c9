//! The lines of `CALL pymysqlrpcinfo`, which are also those of pymysqlrpc's web page.

use std::time::Duration;

use jiff::{Unit, Zoned};
use polyport_core::{Connection, Peer, SWEEP_EVERY, Session};

use polyport_core::stats::Stats;

/// What the lines tell that no session knows.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The address that the MySQL protocol listens on.
    pub listen: &'a str,
    /// The port of the web page; 0 for none.
    pub web_port: u16,
    /// All that the server counts.
    pub stats: &'a Stats,
}

/// The server's figures as pairs of name and value, in the order and with the names that
/// pymysqlrpc gives them. Only the clients that the session may see are listed.
#[must_use]
pub fn lines(session: &Session, facts: Facts<'_>) -> Vec<(String, String)> {
    let counts = facts.stats.protocol("mysql").counters.read();
    let limits = session.limits();
    let mut clients = session.connections();
    clients.retain(|client| client.protocol == "mysql");
    let names = [
        ("python_version", "none, this is Polyport".to_owned()),
        ("gevent_version", "none, this is Polyport".to_owned()),
        ("pymysqlrpc_ver", format!("Polyport {}", env!("CARGO_PKG_VERSION"))),
        ("server listen", python_address(facts.listen)),
        ("webviewer port", web_port(facts.web_port)),
        ("monitor", monitor(session)),
        ("begin   time", facts.stats.began.strftime("%Y-%m-%d %H:%M:%S").to_string()),
        ("running time", running(facts.stats.uptime())),
        ("pool  stat", format!("using:{:7}; size:{:9};", counts.connections, limits.connections)),
        (
            "conn  stat",
            format!(
                "active:{:6}; total:{:8}; normal close:{:6}; error close:{:6};",
                counts.connections,
                counts.connections_total,
                counts.closed_normal,
                counts.closed_error
            ),
        ),
        ("auth  stat", stat(counts.logins_good, counts.logins_bad)),
        ("query stat", stat(counts.calls_good, counts.calls_bad)),
        ("online client", format!("online:{:6}", clients.len())),
    ];
    let fixed = names.into_iter().map(|(name, value)| (name.to_owned(), value));
    let now = Zoned::now();
    let listed = clients.iter().enumerate();
    let listed = listed.map(|(i, client)| (format!("client {}", i + 1), line(client, &now)));
    fixed.chain(listed).collect()
}

fn stat(good: u64, bad: u64) -> String {
    format!("good:{good:8}; total:{:8}; error:{bad:6};", good + bad)
}

fn web_port(port: u16) -> String {
    if port == 0 { "none".into() } else { port.to_string() }
}

/// An address as Python prints one: `('127.0.0.1', 3308)`.
fn python_address(address: &str) -> String {
    match address.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() => {
            let host = host.trim_start_matches('[').trim_end_matches(']');
            format!("('{host}', {port})")
        }
        _ => format!("'{address}'"),
    }
}

/// The limits that the monitor watches, as they hold for the one who asks.
fn monitor(session: &Session) -> String {
    let limits = session.limits();
    let user = session.user();
    let call = user.time_limits.get("mysql").or_else(|| user.time_limits.get("*"));
    format!(
        "interval:{:3}s; querytimeout:{}; activetimeout:{}; conntimeout:{:3}s",
        SWEEP_EVERY.as_secs(),
        seconds(call.copied().unwrap_or_default()),
        seconds(limits.idle_s),
        limits.login_s.as_secs(),
    )
}

fn seconds(limit: Duration) -> String {
    if limit.is_zero() { " none".into() } else { format!("{:3}s", limit.as_secs_f64()) }
}

fn running(uptime: Duration) -> String {
    let seconds = uptime.as_secs();
    format!("{} days {} hours {} seconds", seconds / 86_400, seconds / 3600 % 24, seconds % 3600)
}

fn line(client: &Connection, now: &Zoned) -> String {
    let (user, since) = client.user();
    let form = "%m-%d %H:%M:%S";
    let login = since.map_or_else(|| "none".into(), |at| at.strftime(form).to_string());
    let user = if user.is_empty() { "not logged in" } else { &*user };
    let last = now.checked_sub(client.idle()).and_then(|at| at.round(Unit::Second));
    let last = last.map_or_else(|_| "none".into(), |at| at.strftime(form).to_string());
    let peer = match client.peer {
        Peer::Ip(address) => python_address(&address.to_string()),
        other => format!("'{other}'"),
    };
    let calls = client.calls();
    format!("{user}@{peer} authBEG: {login} lastqueryBEG: {last}  totalquery:{calls} ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_times_look_as_python_prints_them() {
        assert_eq!(python_address("127.0.0.1:3308"), "('127.0.0.1', 3308)");
        assert_eq!(python_address("[::1]:3308"), "('::1', 3308)");
        assert_eq!(python_address("/run/polyport.sock"), "'/run/polyport.sock'");
        assert_eq!(running(Duration::from_secs(90_791)), "1 days 1 hours 791 seconds");
        assert_eq!(seconds(Duration::from_secs(3)), "  3s");
        assert_eq!(seconds(Duration::from_secs(1800)), "1800s");
        assert_eq!(stat(4, 6), "good:       4; total:      10; error:     6;");
    }
}
