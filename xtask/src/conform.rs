//! `cargo xtask conform`: the real clients of `tests/conformance`, each script against a server of
//! its own.
//!
//! A script is any `.py` or `.js` file there, in a folder or not. It is given `--pid P` and, for
//! each protocol, `--NAME HOST:PORT`; it writes `ok NAME` or `FAIL NAME why` for each check. The
//! nearest `requirements.txt` or `package.json` above it, up to `tests/conformance`, names the
//! packages that it needs.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

use anyhow::Context as _;

use crate::server::{self, PROTOCOLS, Server};
use crate::step::{root, say};
use crate::tally::{self, Tally};
use crate::tools;

/// What a script may take before it is ended.
pub(crate) const SCRIPT_LIMIT_S: &str = "600";

pub(crate) fn alone(words: &[String]) -> anyhow::Result<()> {
    tools::system_packages()?;
    server::build()?;
    run(words)?.conclude()
}

/// Runs the scripts whose path has one of the words; without words all of them.
pub(crate) fn run(words: &[String]) -> anyhow::Result<Tally> {
    let mut scripts = Vec::new();
    collect(&folder(), &mut scripts).context("cannot list tests/conformance")?;
    scripts.sort();
    let mut tally = Tally::default();
    for script in scripts {
        let name = name(&script);
        if words.is_empty() || words.iter().any(|word| name.contains(word.as_str())) {
            tally += one(&script, &name)?;
        }
    }
    Ok(tally)
}

fn folder() -> PathBuf {
    root().join("tests/conformance")
}

/// A path below the folder as one word.
fn name(path: &Path) -> String {
    let below = path.strip_prefix(folder()).unwrap_or(path);
    below.with_extension("").to_string_lossy().replace('/', "-")
}

fn collect(folder: &Path, scripts: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, scripts)?;
        } else if path.extension().is_some_and(|ext| ext == "py" || ext == "js") {
            scripts.push(path);
        }
    }
    Ok(())
}

fn one(script: &Path, name: &str) -> anyhow::Result<Tally> {
    let mut command = limited();
    if script.extension().is_some_and(|ext| ext == "py") {
        command.arg(match nearest(script, "requirements.txt") {
            Some(list) => tools::venv(&environment(&list), &list)?,
            None => "python3".into(),
        });
    } else {
        command.arg("node");
        if let Some(list) = nearest(script, "package.json") {
            command.env("NODE_PATH", tools::node_modules(&environment(&list), &list)?);
        }
    }
    say(&format!("clients: {name}"));
    let server = Server::start(name)?;
    command.arg(script).arg("--pid").arg(server.id().to_string());
    for protocol in PROTOCOLS {
        command.arg(format!("--{protocol}")).arg(server.address(protocol)?);
    }
    let mut tally = tally::count(&mut command, tally::client_line)?;
    tally.note(ends_well(server)?);
    Ok(tally)
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

/// The nearest file of this name above a script.
fn nearest(script: &Path, file: &str) -> Option<PathBuf> {
    let top = folder();
    let above = script.ancestors().skip(1).take_while(|folder| folder.starts_with(&top));
    above.map(|folder| folder.join(file)).find(|path| path.is_file())
}

/// What the folder of a list of packages is called among those that are installed.
fn environment(list: &Path) -> String {
    let own = list.parent().map(name).unwrap_or_default();
    if own.is_empty() { "conformance".into() } else { format!("conformance-{own}") }
}
