//! Functions in Python: beside a gevent server of pymysqlrpc's shape, and beside a bare echo.

use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use clap::Args;
use polyport::{Arguments, Client, Server as Polyport, User};

use crate::Result;
use crate::compare::{self, Side, compare, processors};
use crate::load::{Gauge, Outcome};
use crate::measure::median;
use crate::server::Server;

/// The application that is measured.
const APP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/python_app.py");

/// The server that it is measured beside.
const GEVENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/gevent_server.py");

/// The Python package, from its sources.
const PACKAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../python");

/// How to measure functions in Python.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    #[command(flatten)]
    options: compare::Options,
    /// A Python that has gevent and msgpack.
    #[arg(long = "with", value_name = "PYTHON")]
    interpreter: PathBuf,
    /// Worker processes.
    #[arg(long, default_value_t = 1)]
    workers: usize,
}

/// MySQL's `call myadd(3,4)`, in Python on both sides. Server and workers share one processor, as
/// the other server has only one.
pub(crate) fn beside_gevent(options: &Options) -> Result {
    for connections in [1, 16] {
        let (server_cpu, load_cpu) = processors(connections);
        let ours = Server::python(APP, PACKAGE, &options.interpreter, options.workers, server_cpu)?;
        let theirs = Server::script(&options.interpreter, GEVENT, server_cpu)?;
        let load = |server: &Server| -> Result<Vec<String>> {
            let (address, connections) = (server.address("mysql")?, connections.to_string());
            let flags = ["mysql", "--address", address, "--connections", &connections];
            Ok(flags.map(String::from).to_vec())
        };
        let sides = [
            Side { name: "polyport", server: &ours, load: load(&ours)? },
            Side { name: "gevent", server: &theirs, load: load(&theirs)? },
        ];
        let title = format!("call myadd(3,4) in Python, {connections} connections");
        compare(&title, &sides, &options.options, load_cpu)?;
    }
    Ok(())
}

/// The way from the server to a worker and back, without any client's protocol, beside an echo of
/// as many bytes between two processes; and what a second worker brings.
pub(crate) async fn round_trips(options: &Options) -> Result {
    let seconds = options.options.seconds;
    let mut echo = Echo::start()?;
    let one = start(options, 1).await?;
    let client = one.client("bench").map_err(|fault| fault.to_string())?;
    for in_flight in [1, 16] {
        let (mut ours, mut bare) = (Vec::new(), Vec::new());
        calls(&client, "add", [3, 4], in_flight, 0.3).await?;
        for _ in 0..options.options.rounds {
            ours.push(calls(&client, "add", [3, 4], in_flight, seconds).await?);
            bare.push(echo.run(in_flight, seconds)?);
        }
        let of = |outcomes: &[Outcome], what: fn(&Outcome) -> f64| {
            median(outcomes.iter().map(what).collect())
        };
        let (rate, p50) = (|o: &Outcome| o.rate, |o: &Outcome| o.p50_us);
        println!(
            "add(3, 4), {in_flight} in flight: {:.0}/s, p50 {:.1} us; echo {:.0}/s, p50 {:.1} us",
            of(&ours, rate),
            of(&ours, p50),
            of(&bare, rate),
            of(&bare, p50)
        );
    }
    let two = start(options, 2).await?;
    let second = two.client("bench").map_err(|fault| fault.to_string())?;
    let (mut alone, mut together) = (Vec::new(), Vec::new());
    for _ in 0..options.options.rounds {
        alone.push(calls(&client, "primes", [4_000], 4, seconds).await?.rate);
        together.push(calls(&second, "primes", [4_000], 4, seconds).await?.rate);
    }
    let (alone, together) = (median(alone), median(together));
    println!(
        "primes(4000): one worker {alone:.1}/s, two {together:.1}/s: {:.2}x",
        together / alone
    );
    one.stop().await;
    two.stop().await;
    Ok(())
}

async fn start(options: &Options, workers: usize) -> Result<polyport::Running> {
    let server = Polyport::builder()
        .user(User::anonymous("bench").right("call *"))
        .listen("http", "127.0.0.1:0")
        .configure(|config| {
            config.workers.command = ["env", &format!("PYTHONPATH={PACKAGE}")]
                .map(str::to_owned)
                .into_iter()
                .chain([options.interpreter.display().to_string()])
                .chain(["-m", "polyport.worker", APP].map(str::to_owned))
                .collect();
            config.workers.count = Some(workers);
        });
    Ok(server.build()?.start().await?)
}

async fn calls<const N: usize>(
    client: &Client,
    name: &str,
    arguments: [i64; N],
    in_flight: usize,
    seconds: f64,
) -> Result<Outcome> {
    let lanes = (0..in_flight).map(async |_| {
        let mut gauge = Gauge::new(seconds);
        let mut since = Instant::now();
        loop {
            let arguments: Arguments = arguments.into_iter().collect();
            client.call_with(name, arguments).await.map_err(|fault| fault.to_string())?;
            match gauge.lap(since) {
                Some(now) => since = now,
                None => return Result::Ok(gauge),
            }
        }
    });
    let gauges = futures_util::future::try_join_all(lanes).await?;
    Ok(Gauge::merge(gauges))
}

/// Bytes of a call of `add` with two small integers, and of its answer, roughly.
const CALL_BYTES: usize = 48;

/// A process that gives back what it gets, and its other end.
struct Echo {
    socket: UnixStream,
    _child: std::process::Child,
}

impl Echo {
    fn start() -> Result<Self> {
        let (socket, far) = UnixStream::pair()?;
        let child = Command::new(std::env::current_exe()?)
            .arg("unix-echo")
            .stdin(Stdio::from(OwnedFd::from(far)))
            .spawn()?;
        Ok(Self { socket, _child: child })
    }

    /// Sends so many messages at once, and again when all are back.
    fn run(&mut self, in_flight: usize, seconds: f64) -> Result<Outcome> {
        let mut gauges: Vec<_> = (0..in_flight).map(|_| Gauge::new(seconds)).collect();
        let mut bytes = vec![0; CALL_BYTES * in_flight];
        let mut since = Instant::now();
        loop {
            self.socket.write_all(&bytes)?;
            self.socket.read_exact(&mut bytes)?;
            let laps: Vec<_> = gauges.iter_mut().map(|gauge| gauge.lap(since)).collect();
            match laps.into_iter().collect::<Option<Vec<_>>>() {
                Some(laps) => since = laps.last().copied().unwrap_or(since),
                None => return Ok(Gauge::merge(gauges)),
            }
        }
    }
}

/// Gives back whatever comes on standard input, a socket, until it ends.
pub(crate) fn unix_echo() -> Result {
    let own = std::os::fd::AsFd::as_fd(&std::io::stdin()).try_clone_to_owned()?;
    let mut socket = UnixStream::from(own);
    let mut bytes = [0; 65_536];
    loop {
        let length = socket.read(&mut bytes)?;
        match bytes.get(..length) {
            None | Some([]) => return Ok(()),
            Some(got) => socket.write_all(got)?,
        }
    }
}
