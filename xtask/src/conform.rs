//! `cargo xtask conform`: the real clients of `tests/conformance`, each script against a server of
//! its own.
//!
//! A script is any file there in Python, JavaScript, Perl or PHP. One whose name begins with a
//! protocol's, as `mysql_perl.pl`, is given that protocol's `HOST PORT`. One whose name ends with
//! `_worker` or `_workers` starts servers of its own, from `$POLYPORT_BIN`, whose functions run in
//! workers. Any other gets `--pid P` and, for each protocol, `--NAME HOST:PORT`. Each writes
//! `ok NAME` or `FAIL NAME why` for each check. The packages that the scripts need stand beside
//! them in `requirements.txt` and `package.json`.

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;

use crate::server::{self, PROTOCOLS, Server, Start};
use crate::step::{root, say, target};
use crate::tally::{self, Tally};
use crate::tools;

/// What a script may take before it is ended.
pub(crate) const SCRIPT_LIMIT_S: &str = "600";

pub(crate) fn alone(words: &[String]) -> anyhow::Result<()> {
    tools::system_packages()?;
    server::build()?;
    run(words, &Server::start)?.conclude()
}

/// Runs the scripts whose name has one of the words; without words all of them.
pub(crate) fn run(words: &[String], start: Start<'_>) -> anyhow::Result<Tally> {
    let files = fs::read_dir(folder()).context("cannot list tests/conformance")?;
    let mut scripts: Vec<_> = files.filter_map(|file| Some(file.ok()?.path())).collect();
    scripts.sort();
    let mut tally = Tally::default();
    for script in scripts {
        let (stem, ending) = (part(script.file_stem()), part(script.extension()));
        let wanted = words.is_empty() || words.iter().any(|word| stem.contains(word.as_str()));
        if wanted && let Some(mut command) = interpreter(&ending)? {
            say(&format!("clients: {stem}.{ending}"));
            tally += one(command.arg(&script), &stem, start)?;
        }
    }
    Ok(tally)
}

/// What starts a script of this ending; `None` when it is no script.
fn interpreter(ending: &str) -> anyhow::Result<Option<Command>> {
    let mut command = limited();
    match ending {
        "py" => {
            let list = folder().join("requirements.txt");
            command.arg(tools::venv("conformance", &list)?);
        }
        "js" => {
            command.arg("node");
            let list = folder().join("package.json");
            if list.is_file() {
                command.env("NODE_PATH", tools::node_modules("conformance", &list)?);
            }
        }
        "pl" => drop(command.arg("perl")),
        "php" => drop(command.arg("php")),
        _ => return Ok(None),
    }
    Ok(Some(command))
}

fn folder() -> PathBuf {
    root().join("tests/conformance")
}

fn part(part: Option<&OsStr>) -> String {
    part.unwrap_or_default().to_string_lossy().into_owned()
}

fn one(command: &mut Command, name: &str, start: Start<'_>) -> anyhow::Result<Tally> {
    if has_own_servers(name) {
        command.env("POLYPORT_BIN", target().join("release/polyport"));
        return tally::count(command, tally::client_line);
    }
    let server = start(name)?;
    match PROTOCOLS.iter().find(|own| name.split('_').next() == Some(own)) {
        Some(protocol) => {
            command.args(["127.0.0.1", server.port(protocol)?]);
        }
        None => {
            command.arg("--pid").arg(server.id().to_string());
            for protocol in PROTOCOLS {
                command.arg(format!("--{protocol}")).arg(server.address(protocol)?);
            }
        }
    }
    let mut tally = tally::count(command, tally::client_line)?;
    tally.note(ends_well(server)?);
    Ok(tally)
}

/// Whether a script is about workers, and thus about servers that have some.
fn has_own_servers(name: &str) -> bool {
    name.ends_with("_worker") || name.ends_with("_workers")
}

/// A command that is ended when it takes too long.
pub(crate) fn limited() -> Command {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=10", SCRIPT_LIMIT_S]).env("PYTHONUNBUFFERED", "1");
    command
}

/// Ends the server, which is a check of its own.
pub(crate) fn ends_well(server: Server) -> anyhow::Result<bool> {
    let well = server.stop()?;
    println!("{} server.ends_in_good_order", if well { "ok" } else { "FAIL" });
    Ok(well)
}
