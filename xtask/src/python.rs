//! `cargo xtask python` and `cargo xtask tour`: the wheel, and all that is in Python.

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

use crate::conform::{self, ends_well, limited};
use crate::server::{PROTOCOLS, Server};
use crate::step::{root, say};
use crate::tally::{self, Tally};
use crate::tools;
use crate::wheel::{self, Installed};

/// The versions that the package is for.
const VERSIONS: [&str; 5] = ["3.10", "3.11", "3.12", "3.13", "3.14"];

/// The user of the examples.
const USER: (&str, &str) = ("ann", "tour-password");

pub(crate) fn alone() -> anyhow::Result<()> {
    tools::system_packages()?;
    run(&wheel::build()?)?.conclude()
}

/// Builds the wheel, installs it in a fresh environment, serves the tour, and calls all of it.
pub(crate) fn tour_alone() -> anyhow::Result<()> {
    tools::system_packages()?;
    let wheel = wheel::build()?;
    tour(&Installed::new(&tools::usual_python()?, "wheel", &wheel)?)?.conclude()
}

/// Every check of the package: lints once, its tests on each version of Python, what the wheel
/// holds, the examples, the guide, and the real clients of each protocol.
pub(crate) fn run(wheel: &Path) -> anyhow::Result<Tally> {
    let mut tally = lints()?;
    for version in VERSIONS {
        match tools::python(version) {
            Some(base) => tally += tests(&base, version, wheel)?,
            None => say(&format!("Python {version} is not on this machine: left out")),
        }
    }
    let installed = Installed::new(&tools::usual_python()?, "wheel", wheel)?;
    tally += holds(&installed, wheel)?;
    tally += tour(&installed)?;
    tally += examples(&installed)?;
    tally += compat(&installed)?;
    tally += guide(&installed)?;
    say("clients of functions in Python");
    let start = |name: &str| conformance(&installed, name);
    tally += conform::run(&PROTOCOLS.map(String::from), &start)?;
    Ok(tally)
}

fn lints() -> anyhow::Result<Tally> {
    let python = tools::venv("lint", &folder().join("requirements-lint.txt"))?;
    let mut tally = Tally::default();
    for words in [
        &["ruff", "check", "python", "examples/python", "tests/python"][..],
        &["ruff", "format", "--check", "python", "examples/python", "tests/python"],
        &["mypy", "--strict", "python/polyport"],
    ] {
        say(&words.join(" "));
        let mut command = Command::new(&python);
        command.current_dir(root()).arg("-m").args(words);
        let well = command.status().context("cannot start a lint")?.success();
        println!("{} {}", if well { "ok" } else { "FAIL" }, words.join(" "));
        tally.note(well);
    }
    Ok(tally)
}

/// The tests of the package as the wheel installs it, on one version of Python.
fn tests(base: &Path, version: &str, wheel: &Path) -> anyhow::Result<Tally> {
    let name = format!("python{version}");
    let python = tools::venv_of(base, &name, &folder().join("requirements-test.txt"))?;
    let again = ["--force-reinstall", "--no-deps"].map(OsStr::new);
    tools::pip_install(&python, again.into_iter().chain([wheel.as_os_str()]))?;
    say(&format!("pytest on Python {version}"));
    let mut command = limited();
    // Not from python/, where the package would be found as it is in the tree.
    command.current_dir(root()).env("POLYPORT_BIN", python.with_file_name("polyport"));
    command.arg(python.with_file_name("pytest")).args(["-q", "python/tests"]);
    tally::count(&mut command, tally::pytest_line)
}

/// What the wheel consists of, and that it works where nothing is set up for it.
fn holds(installed: &Installed, wheel: &Path) -> anyhow::Result<Tally> {
    say("the wheel");
    let mut command = limited();
    command.arg(&installed.python).arg(scripts().join("wheel.py")).arg(wheel);
    tally::count(&mut command, tally::client_line)
}

/// The clients of `tests/python/tour.py` against `examples/python/tour.py`.
fn tour(installed: &Installed) -> anyhow::Result<Tally> {
    let python = tools::venv("tour", &scripts().join("requirements-tour.txt"))?;
    say("clients: examples/python/tour.py");
    let mut serve = installed.polyport();
    serve.arg("serve").arg(root().join("examples/python/tour.py"));
    let server = Server::launch("tour", serve, |data| add_user(installed, data))?;
    let mut command = limited();
    command.arg(python).arg(scripts().join("tour.py")).args([USER.0, USER.1]);
    for protocol in PROTOCOLS {
        command.arg(server.address(protocol)?);
    }
    let mut tally = tally::count(&mut command, tally::client_line)?;
    tally.note(ends_well(server)?);
    Ok(tally)
}

/// The examples besides the tour and the server programs.
fn examples(installed: &Installed) -> anyhow::Result<Tally> {
    say("examples/python");
    let mut command = limited();
    command.arg(&installed.python).arg(scripts().join("examples.py"));
    tally::count(&mut command, tally::client_line)
}

/// The server programs of other frameworks, with these frameworks' clients.
fn compat(installed: &Installed) -> anyhow::Result<Tally> {
    let python = tools::venv("tour", &scripts().join("requirements-tour.txt"))?;
    say("programs of pymysqlrpc and pymprpc");
    let mut command = limited();
    command.arg(python).arg(scripts().join("compat.py")).arg(&installed.python);
    tally::count(&mut command, tally::client_line)
}

/// Adds the user whom the clients of an example log in as.
fn add_user(installed: &Installed, data: &Path) -> anyhow::Result<()> {
    let mut add = installed.polyport();
    add.args(["user", "add", USER.0, "--right", "call *", "--data"]).arg(data);
    let mut add = add.stdin(Stdio::piped()).spawn().context("cannot start polyport")?;
    let mut input = add.stdin.take().context("no standard input")?;
    writeln!(input, "{}", USER.1)?;
    drop(input);
    if !add.wait()?.success() {
        bail!("cannot add the user {}", USER.0);
    }
    Ok(())
}

/// The pages whose snippets are run as they stand.
fn guide(installed: &Installed) -> anyhow::Result<Tally> {
    let mut tally = Tally::default();
    for page in ["docs/guide/python.md", "docs/guide/python-client.md", "README.md"] {
        say(&format!("snippets of {page}"));
        let mut command = limited();
        command.arg(&installed.python).arg(scripts().join("snippets.py"));
        tally += tally::count(command.arg(root().join(page)), tally::client_line)?;
    }
    Ok(tally)
}

/// A server of functions in Python, with the same functions as the conformance server.
pub(crate) fn conformance(installed: &Installed, name: &str) -> anyhow::Result<Server> {
    let mut serve = installed.polyport();
    serve.arg("serve").arg(folder().join("conformance/app.py"));
    serve.arg("--config").arg(folder().join("conformance/polyport.toml"));
    serve.args(["--workers", "2"]).arg("--python").arg(&installed.python);
    Server::launch(&format!("python-{name}"), serve, |_| Ok(()))
}

fn folder() -> PathBuf {
    root().join("python")
}

fn scripts() -> PathBuf {
    root().join("tests/python")
}
