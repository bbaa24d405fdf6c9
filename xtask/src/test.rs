//! `cargo xtask test`: all that can be tested, on a machine that has only Rust, Python and Node.

use crate::server::{self, Server};
use crate::step::{cargo, say};
use crate::tally::{self, Tally};
use crate::{acceptance, conform, python, tools, wheel};

pub(crate) fn run(with_acceptance: bool) -> anyhow::Result<()> {
    tools::system_packages()?;
    let mut tally = rust()?;
    // Clients of a server that does not build would tell nothing more.
    if tally.passed > 0 {
        server::build()?;
        tally += conform::run(&[], &Server::start)?;
        let wheel = wheel::build()?;
        tally += python::run(&wheel)?;
        if with_acceptance {
            tally += acceptance::run(&wheel)?;
        }
    }
    tally.conclude()
}

/// The tests in Rust, and the examples in its documentation, which nextest does not run.
fn rust() -> anyhow::Result<Tally> {
    let rest = ["--workspace", "--all-features"];
    let runner: &[&str] = if tools::cargo_command("nextest") {
        &["nextest", "run", "--no-fail-fast", "--color", "never", "--status-level", "fail"]
    } else {
        &["test", "--no-fail-fast", "--lib", "--bins", "--tests", "--examples"]
    };
    say(&format!("cargo {}", runner.join(" ")));
    let mut tests = cargo(runner.iter().copied().chain(rest));
    let mut tally = tally::count(&mut tests, tally::cargo_line)?;
    say("cargo test --doc");
    let mut examples = cargo(["test", "--doc", "--no-fail-fast"].into_iter().chain(rest));
    tally += tally::count(&mut examples, tally::cargo_line)?;
    Ok(tally)
}
