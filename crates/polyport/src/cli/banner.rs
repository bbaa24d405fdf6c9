//! What the server shows when it begins: where it listens, and lines to paste.

use std::fmt::Write as _;
use std::io::IsTerminal as _;

use crate::server::{GENERATED_USER, Running};

/// Shows the banner on standard error.
pub(super) fn show(running: &Running) {
    eprint!("{}", text(running, std::io::stderr().is_terminal()));
}

fn text(running: &Running, colours: bool) -> String {
    let (bold, dim, off) = if colours { ("\x1b[1m", "\x1b[2m", "\x1b[0m") } else { ("", "", "") };
    let mut out = format!("\n{bold}Polyport {}{off}\n", env!("CARGO_PKG_VERSION"));
    if let Some(password) = running.generated_password() {
        let _ = writeln!(out, "  user {bold}{GENERATED_USER}{off}, password {bold}{password}{off}");
        let _ = writeln!(
            out,
            "  {dim}made for you, as no users are configured; kept in the data folder{off}"
        );
    }
    for (name, address) in running.addresses() {
        let _ = writeln!(out, "  {bold}{name:<8}{off} {address}");
        if let Some(line) = client_line(name, address, running.generated_password()) {
            let _ = writeln!(out, "  {dim}{:<8} {line}{off}", "");
        }
    }
    out.push('\n');
    out
}

/// A line to paste into a shell.
fn client_line(protocol: &str, address: &str, password: Option<&str>) -> Option<String> {
    let (host, port) = address.rsplit_once(':')?;
    let (user, secret) = match password {
        Some(password) => (GENERATED_USER, password),
        None => ("USER", "PASSWORD"),
    };
    match protocol {
        "mysql" => Some(format!(
            "mariadb -h {host} -P {port} -u {user} -p{secret} -e 'call system.functions()'"
        )),
        "msgpack" => Some(format!(
            "polyport call --to msgpack://{user}:{secret}@{address} system.listMethods"
        )),
        "http" => Some(format!("curl -u {user}:{secret} http://{address}/v1/functions")),
        _ => None,
    }
}
