//! One worker's process: started, listened to, looked at, ended.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::NamedTempFile;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};
use tokio::sync::oneshot;

use crate::orphans;

/// The version of the worker protocol, as the process finds it in its environment.
const VERSION: &str = "1";

/// Bytes of one line of output that are logged together; a longer one is divided.
const LINE_BYTES: usize = 8 * 1024;

/// A running process with its end of the socket.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) progress: Progress,
    /// Told by the task that waits for the process; asking this is cheap, and is done for
    /// everything that arrives.
    ended: oneshot::Receiver<String>,
    /// Makes that task end the process.
    kill: Option<oneshot::Sender<()>>,
}

impl Process {
    /// Starts the program with a socket as its standard input. Its output goes to the log.
    ///
    /// # Errors
    /// When the program cannot be started, or there is no place for the progress file.
    pub(crate) fn start(command: &[String]) -> io::Result<(Self, UnixStream)> {
        let [program, arguments @ ..] = command else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the command is empty"));
        };
        let (near, far) = UnixStream::pair()?;
        near.set_nonblocking(true)?;
        let progress = Progress::new()?;
        let mut child = Command::new(program)
            .args(arguments)
            .env("POLYPORT_WORKER", VERSION)
            .stdin(Stdio::from(OwnedFd::from(far)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A group of its own, so that whatever it starts ends with it, and so that the
            // terminal's Ctrl-C reaches the server alone, which lets calls finish.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let pid = child.id().unwrap_or_default();
        orphans::begun(pid);
        if let Some(out) = child.stdout.take() {
            tokio::spawn(log_lines(out, pid, "stdout"));
        }
        if let Some(err) = child.stderr.take() {
            tokio::spawn(log_lines(err, pid, "stderr"));
        }
        let ((told, ended), (kill, killed)) = (oneshot::channel(), oneshot::channel());
        tokio::spawn(wait_for(child, told, killed));
        Ok((Self { pid, progress, ended, kill: Some(kill) }, near))
    }

    /// Waits until the process has ended, and says how. To be asked until it has told, and not
    /// after.
    pub(crate) async fn ended(&mut self) -> String {
        let how = (&mut self.ended).await;
        how.unwrap_or_else(|_| "is gone".to_owned())
    }

    /// Ends the process and all that it started, at once.
    pub(crate) fn kill(&mut self) {
        kill_group(self.pid);
        // Should it have left its group, it is still ended itself.
        drop(self.kill.take());
    }
}

/// Waits until a process has ended, or is to be ended.
async fn wait_for(mut child: Child, told: oneshot::Sender<String>, killed: oneshot::Receiver<()>) {
    let status = tokio::select! {
        status = child.wait() => status,
        _ = killed => {
            let _ = child.start_kill();
            child.wait().await
        }
    };
    let _ = told.send(match status {
        Ok(status) => describe(status),
        Err(error) => format!("cannot be waited for: {error}"),
    });
}

impl Drop for Process {
    fn drop(&mut self) {
        // The group outlives its leader if that has started others.
        kill_group(self.pid);
        orphans::ended(self.pid);
    }
}

fn kill_group(pid: u32) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(pid, Signal::KILL);
    }
}

/// How a process ended, in words.
fn describe(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with status {code}"),
        (_, Some(signal)) => {
            let name = Signal::from_named_raw(signal).map(|signal| format!("{signal:?}"));
            let name = name.as_deref().map(|name| name.trim_matches('"').replace("Signal::", ""));
            format!("was ended by signal {}", name.unwrap_or_else(|| signal.to_string()))
        }
        _ => "ended".to_owned(),
    }
}

/// Bytes of memory that a process has, if it can be seen.
pub(crate) fn memory_bytes(pid: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = text.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

/// Gives each line of a worker's output to the log.
async fn log_lines(mut from: impl AsyncRead + Unpin, pid: u32, stream: &'static str) {
    let mut buffer = Vec::new();
    loop {
        match from.read_buf(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
        let mut rest = buffer.as_slice();
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let (line, after) = rest.split_at(end);
            log_line(line, pid, stream);
            rest = after.get(1..).unwrap_or_default();
        }
        if rest.len() >= LINE_BYTES {
            log_line(rest, pid, stream);
            rest = &[];
        }
        let used = buffer.len() - rest.len();
        buffer.drain(..used);
    }
    log_line(&buffer, pid, stream);
}

fn log_line(line: &[u8], pid: u32, stream: &'static str) {
    if !line.is_empty() {
        let text = String::from_utf8_lossy(line);
        tracing::info!(target: "polyport::worker", pid, stream, "{}", text.trim_end());
    }
}

/// Bytes of answers that a worker may keep in its progress file before it sends them.
const OUTBOX_BYTES: u64 = 64 * 1024;

/// Where the word about the outbox stands, and the outbox itself.
const OUTBOX_WORD: u64 = 16;
const OUTBOX: u64 = 24;

/// What a worker with a concurrency of 1 tells about its progress, which can be read even when it
/// has been killed. The layout is that of the protocol's progress file.
#[derive(Debug)]
pub(crate) struct Progress(NamedTempFile);

impl Progress {
    fn new() -> io::Result<Self> {
        let (folder, prefix) = Self::place();
        let file = tempfile::Builder::new().prefix(&prefix).tempfile_in(folder)?;
        file.as_file().set_len(OUTBOX + OUTBOX_BYTES)?;
        Ok(Self(file))
    }

    /// The folder of all progress files, and what the names of this server's begin with.
    pub(crate) fn place() -> (PathBuf, String) {
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        (folder, format!("polyport-worker-{}-", std::process::id()))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// The file itself, to be read from another thread.
    pub(crate) fn reader(&self) -> io::Result<ProgressReader> {
        self.0.as_file().try_clone().map(ProgressReader)
    }
}

/// Reads a worker's progress.
#[derive(Debug)]
pub(crate) struct ProgressReader(File);

impl ProgressReader {
    /// The call that is running, 0 between calls.
    pub(crate) fn running(&self) -> u64 {
        self.at(0)
    }

    /// The highest call that ever began.
    pub(crate) fn begun(&self) -> u64 {
        self.at(8)
    }

    /// The answers that the worker keeps to send them together with later ones. Some may have been
    /// sent meanwhile.
    pub(crate) fn outbox(&self) -> Vec<u8> {
        let word = self.at(OUTBOX_WORD);
        let length = word & u64::from(u32::MAX);
        if length == 0 || length > OUTBOX_BYTES {
            return Vec::new();
        }
        let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
        let read = self.0.read_exact_at(&mut bytes, OUTBOX);
        // Should they have been sent, others may be half written in their place.
        if read.is_ok() && self.at(OUTBOX_WORD) == word { bytes } else { Vec::new() }
    }

    fn at(&self, offset: u64) -> u64 {
        let mut bytes = [0; 8];
        match self.0.read_exact_at(&mut bytes, offset) {
            Ok(()) => u64::from_le_bytes(bytes),
            // Nothing is known, so everything may have begun.
            Err(_) => u64::MAX,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_process_is_told_apart_by_how_it_ended() {
        let shell = |line: &str| ["sh", "-c", line].map(str::to_owned);
        for (line, text) in [("exit 3", "exited with status 3"), ("kill -9 $$", "signal KILL")] {
            let (mut process, _socket) = Process::start(&shell(line)).unwrap();
            let told = process.ended().await;
            assert!(told.ends_with(text), "{told}");
        }
    }

    #[tokio::test]
    async fn what_a_process_started_ends_with_it() {
        let line = "sleep 1000 & echo $! >&0; wait".to_owned();
        let (mut process, socket) = Process::start(&["sh".into(), "-c".into(), line]).unwrap();
        let mut socket = tokio::net::UnixStream::from_std(socket).unwrap();
        let mut text = vec![0; 20];
        let length = socket.read(&mut text).await.unwrap();
        let child: u32 = std::str::from_utf8(&text[..length]).unwrap().trim().parse().unwrap();
        assert!(memory_bytes(child).is_some());
        process.kill();
        process.ended().await;
        drop(process);
        // The socket closes when the last process that has it is gone.
        assert_eq!(socket.read(&mut text).await.unwrap(), 0);
    }
}
