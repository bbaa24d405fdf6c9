//! A server, as a process that clients are set upon.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::step::{cargo, run, say, target};

/// The protocols that a server speaks.
pub(crate) const PROTOCOLS: [&str; 3] = ["mysql", "msgpack", "http"];

const START_LIMIT: Duration = Duration::from_secs(20);
/// The server gives running calls ten seconds.
const STOP_LIMIT: Duration = Duration::from_secs(15);

/// Builds the server as it is released.
pub(crate) fn build() -> anyhow::Result<()> {
    say("cargo build --release --bin polyport --example conformance");
    let words = ["build", "--release", "--package", "polyport", "--all-features"];
    run(cargo(words).args(["--bin", "polyport", "--example", "conformance"]))
}

/// What starts a server whose log and data folder have this name.
pub(crate) type Start<'a> = &'a dyn Fn(&str) -> anyhow::Result<Server>;

/// A server that runs on free ports, with a data folder of its own.
pub(crate) struct Server {
    process: Child,
    addresses: BTreeMap<String, String>,
    data: PathBuf,
}

impl Server {
    /// Starts the conformance server, and waits until it is ready.
    pub(crate) fn start(name: &str) -> anyhow::Result<Self> {
        let conformance = target().join("release/examples/conformance");
        Self::launch(&format!("conformance-{name}"), Command::new(conformance), |_| Ok(()))
    }

    /// Starts a command that takes the flags of `polyport serve`, and waits until it is ready. Its
    /// log goes to a file. The data folder is filled before.
    pub(crate) fn launch(
        name: &str,
        mut command: Command,
        fill: impl FnOnce(&Path) -> anyhow::Result<()>,
    ) -> anyhow::Result<Self> {
        let data = target().join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(&data)?;
        fill(&data)?;
        let log = target().join(format!("{name}.log"));
        command.arg("--data").arg(&data).env("NO_COLOR", "1");
        for protocol in PROTOCOLS {
            command.arg("--listen").arg(format!("{protocol}=127.0.0.1:0"));
        }
        let log_file = fs::File::create(&log)?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log_file);
        let mut process = command.spawn().with_context(|| format!("cannot start {name}"))?;
        let lines = BufReader::new(process.stdout.take().context("no standard output")?).lines();
        let mut server = Self { process, addresses: BTreeMap::new(), data };

        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                // What comes after `ready` is read and dropped, so that the server never blocks.
                let _ = sender.send(line);
            }
        });
        let until = Instant::now() + START_LIMIT;
        while let Ok(line) = receiver.recv_timeout(until.saturating_duration_since(Instant::now()))
        {
            let words: Vec<_> = line.split_whitespace().collect();
            match words[..] {
                ["ready"] => return Ok(server),
                ["listening", name, address] => {
                    server.addresses.insert(name.into(), address.into());
                }
                _ => {}
            }
        }
        bail!("{name} did not get ready; see {}", log.display())
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Where it listens for a protocol.
    pub(crate) fn address(&self, protocol: &str) -> anyhow::Result<&str> {
        let address = self.addresses.get(protocol);
        address.map(String::as_str).with_context(|| format!("the server does not speak {protocol}"))
    }

    /// The port that it listens on for a protocol.
    pub(crate) fn port(&self, protocol: &str) -> anyhow::Result<&str> {
        let address = self.address(protocol)?;
        Ok(address.rsplit_once(':').map_or(address, |(_, port)| port))
    }

    /// Asks the server to end, and says whether it did so in good order.
    pub(crate) fn stop(mut self) -> anyhow::Result<bool> {
        if self.process.try_wait()?.is_some() {
            return Ok(false);
        }
        run(Command::new("kill").arg("-TERM").arg(self.id().to_string()))?;
        let until = Instant::now() + STOP_LIMIT;
        while Instant::now() < until {
            if let Some(status) = self.process.try_wait()? {
                return Ok(ExitStatus::success(&status));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(false)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.data);
    }
}
