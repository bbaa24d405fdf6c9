//! Both sides alternately, the median of several rounds.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use crate::Result;
use crate::load::Outcome;
use crate::measure::{cpu, median};
use crate::server::{Server, pinned};

/// How to compare.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Rounds, each measuring both sides.
    #[arg(long, default_value_t = 5)]
    pub(crate) rounds: usize,
    /// Seconds for each measurement.
    #[arg(long, default_value_t = 3.0)]
    pub(crate) seconds: f64,
    /// A Python that has the original server, for `compare-msgpack`.
    #[arg(long)]
    python: Option<PathBuf>,
}

/// One side of a comparison: a name, a process, and the flags of its load.
pub(crate) struct Side<'s> {
    pub(crate) name: &'s str,
    pub(crate) server: &'s Server,
    pub(crate) load: Vec<String>,
}

#[derive(Default)]
struct Results {
    rates: Vec<f64>,
    p50: Vec<f64>,
    p99: Vec<f64>,
    cpu_us: Vec<f64>,
}

pub(crate) fn mysql(options: &Options) -> Result {
    for (statement, connections) in
        [("call myadd(3,4)", 1), ("call myadd(3,4)", 16), ("select 1", 1), ("select 1", 16)]
    {
        let (server_cpu, load_cpu) = processors(connections);
        let ours = Server::ours(Some(server_cpu))?;
        let theirs = Server::mariadb(Some(server_cpu))?;
        let load = |server: &Server| -> Result<Vec<String>> {
            let flags = ["mysql", "--database", "polyport", "--statement", statement];
            let mut flags: Vec<String> = flags.map(String::from).to_vec();
            flags.extend(["--connections".into(), connections.to_string()]);
            flags.extend(["--address".into(), server.address("mysql")?.to_owned()]);
            Ok(flags)
        };
        let sides = [
            Side { name: "polyport", server: &ours, load: load(&ours)? },
            Side { name: "mariadb", server: &theirs, load: load(&theirs)? },
        ];
        compare(&format!("{statement}, {connections} connections"), &sides, options, load_cpu)?;
    }
    Ok(())
}

pub(crate) fn msgpack(options: &Options) -> Result {
    for in_flight in [1, 50] {
        let (server_cpu, load_cpu) = processors(in_flight);
        let ours = Server::ours(Some(server_cpu))?;
        let echo = Server::echo(Some(server_cpu))?;
        let load = |address: &str| -> Vec<String> {
            let in_flight = in_flight.to_string();
            ["msgpack", "--in-flight", &in_flight, "--address", address].map(String::from).to_vec()
        };
        let sides = [
            Side { name: "polyport", server: &ours, load: load(ours.address("msgpack")?) },
            Side { name: "echo", server: &echo, load: load(echo.address("echo")?) },
        ];
        compare(&format!("testfunc(1, 2), {in_flight} in flight"), &sides, options, load_cpu)?;
    }
    match &options.python {
        Some(python) => original_msgpack(options, python),
        None => Ok(()),
    }
}

/// The pymprpc dialect beside the original server.
fn original_msgpack(options: &Options, python: &Path) -> Result {
    for in_flight in [1, 50] {
        let (server_cpu, load_cpu) = processors(in_flight);
        let theirs = match Server::original_pymprpc(python, Some(server_cpu)) {
            Ok(theirs) => theirs,
            Err(error) => {
                println!("the original server does not start on this Python: {error}");
                return Ok(());
            }
        };
        let ours = Server::ours(Some(server_cpu))?;
        let load = |server: &Server| -> Result<Vec<String>> {
            let (in_flight, address) = (in_flight.to_string(), server.address("msgpack")?);
            let flags = ["msgpack", "--pymprpc", "--in-flight", &in_flight, "--address", address];
            Ok(flags.map(String::from).to_vec())
        };
        let sides = [
            Side { name: "polyport", server: &ours, load: load(&ours)? },
            Side { name: "pymprpc", server: &theirs, load: load(&theirs)? },
        ];
        let title = format!("pymprpc's testfunc(1, 2), {in_flight} in flight");
        if let Err(error) = compare(&title, &sides, options, load_cpu) {
            println!("the original server does not serve on this Python: {error}");
            return Ok(());
        }
    }
    Ok(())
}

/// Where the server and the load run: on one processor for one in flight, else apart.
pub(crate) fn processors(in_flight: usize) -> (usize, usize) {
    if in_flight == 1 { (0, 0) } else { (0, 1) }
}

pub(crate) fn compare(
    title: &str,
    sides: &[Side<'_>; 2],
    options: &Options,
    load_cpu: usize,
) -> Result {
    let mut results = [Results::default(), Results::default()];
    for side in sides {
        run(side, 0.5, load_cpu)?;
    }
    for _ in 0..options.rounds {
        for (side, results) in sides.iter().zip(&mut results) {
            let before = cpu(side.server.pid)?;
            let outcome = run(side, options.seconds, load_cpu)?;
            let used = cpu(side.server.pid)?.saturating_sub(before);
            results.rates.push(outcome.rate);
            results.p50.push(outcome.p50_us);
            results.p99.push(outcome.p99_us);
            let calls = outcome.rate * options.seconds;
            results.cpu_us.push(used.as_secs_f64() * 1e6 / calls);
        }
    }
    println!("\n{title}: median of {} rounds", options.rounds);
    println!("{:<10} {:>10} {:>10} {:>10} {:>12}", "", "rate/s", "p50 us", "p99 us", "CPU us/call");
    let mut table = Vec::new();
    for (side, results) in sides.iter().zip(results) {
        let row = [
            median(results.rates),
            median(results.p50),
            median(results.p99),
            median(results.cpu_us),
        ];
        let [rate, p50, p99, cpu] = row;
        println!("{:<10} {rate:>10.0} {p50:>10.1} {p99:>10.1} {cpu:>12.2}", side.name);
        table.push(row);
    }
    if let [ours, theirs] = table.as_slice() {
        let ratios: Vec<f64> =
            ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect();
        if let [rate, p50, p99, cpu] = ratios.as_slice() {
            println!("{:<10} {rate:>10.2} {p50:>10.2} {p99:>10.2} {cpu:>12.2}", "ratio");
        }
    }
    Ok(())
}

/// Runs a load as a process of its own, so that it can be held to a processor.
fn run(side: &Side<'_>, seconds: f64, load_cpu: usize) -> Result<Outcome> {
    let own = std::env::current_exe()?;
    let output = pinned(Path::new(&own), Some(load_cpu))
        .args(&side.load)
        .args(["--seconds", &seconds.to_string()])
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    Outcome::parse(&text).ok_or_else(|| {
        let why = String::from_utf8_lossy(&output.stderr).into_owned();
        format!("the load on {} failed: {why}", side.name).into()
    })
}

/// How long a watched server may take to settle.
pub(crate) const SETTLE: Duration = Duration::from_millis(500);
