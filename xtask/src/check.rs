//! `cargo xtask check`: what every commit passes.

use crate::step::{cargo, run, say};
use crate::tools;

pub(crate) fn run_lints() -> anyhow::Result<()> {
    say("cargo fmt --check");
    run(&mut cargo(["fmt", "--all", "--check"]))?;
    say("cargo clippy");
    let words =
        ["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"];
    run(&mut cargo(words))
}

pub(crate) fn run_tests() -> anyhow::Result<()> {
    let runner: &[&str] =
        if tools::cargo_command("nextest") { &["nextest", "run"] } else { &["test"] };
    say(&format!("cargo {}", runner.join(" ")));
    run(cargo(runner.iter().copied()).args(["--workspace", "--all-features"]))
}

pub(crate) fn run_all() -> anyhow::Result<()> {
    run_lints()?;
    run_tests()
}
