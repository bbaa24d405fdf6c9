//! The configuration table `[workers]`.

use std::path::PathBuf;
use std::time::Duration;

use polyport_core::limits::seconds;
use serde::Deserialize;

/// Which functions run in workers, and how these are kept.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The Python file, or the dotted name of the module, whose functions are served. None by
    /// default; `polyport serve app.py` sets it.
    pub app: Option<String>,
    /// The Python that runs it. By default the one of the virtual environment that is active or
    /// that `polyport` is installed in, else `python3`.
    pub python: Option<PathBuf>,
    /// A program in any language that speaks the worker protocol, with its arguments, instead of
    /// `app`.
    pub command: Vec<String>,
    /// Workers of each pool that does not say itself how many it needs. As many as processors by
    /// default.
    pub count: Option<usize>,
    /// Seconds that a worker has to start. Default 30.
    #[serde(with = "seconds")]
    pub start_s: Duration,
    /// Seconds that a call whose client has left may still run before its worker is replaced.
    /// Default 5. A call past its time limit has as long only where others run beside it.
    #[serde(with = "seconds")]
    pub leave_s: Duration,
    /// Seconds that workers of an old version have to finish their calls after a reload, and
    /// workers that are replaced for their age. Default 60.
    #[serde(with = "seconds")]
    pub drain_s: Duration,
    /// Seconds within which a worker that runs nothing must answer a ping. Default 5; 0 is for ever.
    #[serde(with = "seconds")]
    pub ping_s: Duration,
    /// Calls after which a worker is replaced; 0 is never. Default 0.
    pub recycle_calls: u64,
    /// Bytes of memory above which a worker is replaced; 0 is never. Default 0.
    pub recycle_bytes: u64,
    /// Seconds after which a worker is replaced; 0 is never. Default 0.
    #[serde(with = "seconds")]
    pub recycle_s: Duration,
    /// Calls that may wait for a worker of one pool. Default 10,000.
    pub waiting_calls: usize,
    /// Bytes of one frame between the server and a worker. Default 128 MiB.
    pub message_bytes: usize,
    /// Whether a change of the application's files makes the workers load it anew. Off by default;
    /// `--reload` switches it on.
    pub reload: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            app: None,
            python: None,
            command: Vec::new(),
            count: None,
            start_s: Duration::from_secs(30),
            leave_s: Duration::from_secs(5),
            drain_s: Duration::from_secs(60),
            ping_s: Duration::from_secs(5),
            recycle_calls: 0,
            recycle_bytes: 0,
            recycle_s: Duration::ZERO,
            waiting_calls: 10_000,
            message_bytes: 128 << 20,
            reload: false,
        }
    }
}

impl Config {
    /// Whether any functions run in workers.
    #[must_use]
    pub fn is_used(&self) -> bool {
        self.app.is_some() || !self.command.is_empty()
    }

    /// Workers of a pool that does not say how many it needs.
    pub(crate) fn usual_count(&self) -> usize {
        let processors = || std::thread::available_parallelism().map_or(1, usize::from);
        self.count.unwrap_or_else(processors).max(1)
    }

    /// The program that a worker is, with its arguments.
    pub(crate) fn command(&self) -> Vec<String> {
        match &self.app {
            Some(app) => {
                let python = self.python.clone().unwrap_or_else(usual_python);
                let python = python.to_string_lossy().into_owned();
                [&python, "-m", "polyport.worker", app].map(str::to_owned).into()
            }
            None => self.command.clone(),
        }
    }
}

/// The Python of the virtual environment that is active, or that this program is installed in, or
/// else the one on the path.
fn usual_python() -> PathBuf {
    let active = std::env::var_os("VIRTUAL_ENV").map(|folder| PathBuf::from(folder).join("bin"));
    let own = std::env::current_exe().ok().and_then(|own| Some(own.parent()?.to_owned()));
    let places = active.into_iter().chain(own).map(|folder| folder.join("python"));
    places.into_iter().find(|python| python.is_file()).unwrap_or_else(|| "python3".into())
}
