//! A process from its start to its welcome.

use std::sync::Arc;

use polyport_core::{Fault, Kind, Text};
use polyport_worker::{Bounds, Description, Frame, Hello, Level, Sender, Welcome, decode};
use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::config::Config;
use crate::driver::{Driver, EXIT, Event, Ping};
use crate::pool::Pool;
use crate::process::Process;
use crate::slot::Slot;
use crate::worker::Worker;

/// A process that has said which functions it has.
#[derive(Debug)]
pub(crate) struct Candidate {
    process: Process,
    socket: UnixStream,
    input: Vec<u8>,
    pub(crate) files: Vec<Text>,
    pub(crate) description: Description,
}

/// Why a process does not serve.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) fault: Fault,
    /// The files that it had loaded, a change of which may be its mending.
    pub(crate) files: Vec<Text>,
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self { fault, files: Vec::new() }
    }
}

fn unavailable(text: String) -> Failure {
    Fault::new(Kind::Unavailable, text).into()
}

/// Starts a process and waits for what it says of itself.
pub(crate) async fn launch(config: &Config, bounds: Bounds) -> Result<Candidate, Failure> {
    let command = config.command();
    let shown = command.join(" ");
    let (mut process, socket) = Process::start(&command)
        .map_err(|error| unavailable(format!("cannot start the worker `{shown}`: {error}")))?;
    let mut socket = UnixStream::from_std(socket)
        .map_err(|error| unavailable(format!("cannot use the worker's socket: {error}")))?;
    let mut input = Vec::new();
    let said = tokio::time::timeout(config.start_s, hello(&mut socket, &mut input, bounds)).await;
    let hello = match said {
        Err(_) => Err(format!(
            "did not say which functions it has within {:?} (workers.start_s)",
            config.start_s
        )),
        Ok(Ok(Some(hello))) => Ok(hello),
        Ok(Ok(None)) => Err(match tokio::time::timeout(EXIT, process.ended()).await {
            Ok(how) => {
                format!("{how} before it said which functions it has; its output is in the log")
            }
            Err(_) => "closed its socket before it said which functions it has".to_owned(),
        }),
        Ok(Err(why)) => Err(why),
    };
    let hello = hello.map_err(|why| unavailable(format!("the worker `{shown}` {why}")))?;
    let Hello { files, loaded } = hello;
    match loaded {
        Ok(description) => Ok(Candidate { process, socket, input, files, description }),
        Err(fault) => Err(Failure { fault, files }),
    }
}

/// Reads the first frame; `None` when the socket ends before it.
async fn hello(
    socket: &mut UnixStream,
    input: &mut Vec<u8>,
    bounds: Bounds,
) -> Result<Option<Hello>, String> {
    loop {
        match decode(input, Sender::Worker, bounds) {
            Ok(Some((Frame::Hello(hello), used))) => {
                input.drain(..used);
                return Ok(Some(hello));
            }
            Ok(Some(_)) => return Err("did not begin with HELLO".to_owned()),
            Ok(None) => {}
            Err(error) => return Err(format!("broke the protocol: {error}")),
        }
        match socket.read_buf(input).await {
            Ok(0) | Err(_) => return Ok(None),
            Ok(_) => {}
        }
    }
}

impl Candidate {
    /// Makes the process a worker of a pool, and begins to drive it.
    pub(crate) fn welcome(
        self,
        pool: &Arc<Pool>,
        slot: &Slot,
        config: &Config,
        bounds: Bounds,
    ) -> Result<(Arc<Worker>, mpsc::UnboundedReceiver<Event>), Fault> {
        let Self { process, socket, input, description, .. } = self;
        let keeps = description.progress && pool.shape.concurrency == 1;
        let progress = keeps.then(|| process.progress.reader()).transpose().map_err(|error| {
            Fault::new(Kind::Unavailable, format!("cannot read the progress file: {error}"))
        })?;
        let path = progress.as_ref().map(|_| process.progress.path().to_string_lossy());
        let welcome = Welcome {
            pool: pool.name.clone(),
            index: slot.index.into(),
            message_bytes: config.message_bytes as u64,
            progress: path.map(|path| path.into_owned().into()),
            log: level(),
        };
        let (pid, calls) = (process.pid, slot.totals.calls.clone());
        let (reader, writer) = socket.into_split();
        let worker = Worker::new(pid, &pool.shape, config, progress, writer, calls);
        let worker = Arc::new(worker);
        worker.write(&Frame::Welcome(welcome))?;
        let (events, listen) = mpsc::unbounded_channel();
        let ping = Ping::new(config);
        let driver = Driver {
            worker: worker.clone(),
            pool: pool.clone(),
            process,
            reader,
            events,
            bounds,
            input,
            heard: Instant::now(),
            slow: 0,
            ping,
            retires: false,
        };
        tokio::spawn(driver.run());
        Ok((worker, listen))
    }
}

/// The least level that the server logs.
fn level() -> Level {
    match tracing::level_filters::LevelFilter::current().into_level() {
        None | Some(tracing::Level::ERROR) => Level::Error,
        Some(tracing::Level::WARN) => Level::Warn,
        Some(tracing::Level::INFO) => Level::Info,
        Some(tracing::Level::DEBUG) => Level::Debug,
        Some(tracing::Level::TRACE) => Level::Trace,
    }
}
