//! Tasks of the project that are longer than a line. `cargo xtask help` lists them.

mod acceptance;
mod check;
mod conform;
mod fuzz;
mod python;
mod server;
mod step;
mod tally;
mod test;
mod tools;
mod wheel;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Tasks of the project.")]
struct Command {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Format, lints, fast tests.
    Check,
    /// Every test, real clients included; installs what they need.
    Test {
        /// Also run the acceptance clients that lie beside the project, in ../shared.
        #[arg(long)]
        acceptance: bool,
    },
    /// The real clients of tests/conformance.
    Conform {
        /// Only the scripts whose name has one of these words.
        words: Vec<String>,
    },
    /// Build the wheel, into target/wheels.
    Wheel,
    /// Build the wheel, install it, serve examples/python/tour.py, and call its functions.
    Tour,
    /// Every test of what is in Python, on each version of it that this machine has.
    Python,
    /// The acceptance clients that lie beside the project, in ../shared.
    Acceptance,
    /// Fuzz the parsers, each target for so many seconds.
    Fuzz {
        /// Only the targets whose name begins so.
        #[arg(default_value = "")]
        target: String,
        #[arg(default_value_t = 60)]
        seconds: u32,
    },
    /// Every test, then long fuzzing.
    Full {
        /// Seconds of fuzzing for each target.
        #[arg(long, default_value_t = 600)]
        fuzz_s: u32,
    },
}

fn main() -> ExitCode {
    let done = match Command::parse().verb {
        Verb::Check => check::run_all(),
        Verb::Test { acceptance } => test::run(acceptance),
        Verb::Conform { words } => conform::alone(&words),
        Verb::Wheel => wheel::alone(),
        Verb::Tour => python::tour_alone(),
        Verb::Python => python::alone(),
        Verb::Acceptance => acceptance::alone(),
        Verb::Fuzz { target, seconds } => fuzz::run_targets(&target, seconds),
        Verb::Full { fuzz_s } => test::run(true).and_then(|()| fuzz::run_targets("", fuzz_s)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            step::complain(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}
