//! Ends what workers have left when the server dies without a chance to do so itself.
//!
//! A worker that reads its socket sees that the server is gone. One that hangs, or that has forked
//! processes, does not; and so that no other language has to solve this, one small process watches
//! over all of them. It learns of the server's death from its standard input.

use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use crate::process::Progress;

/// Keeps a list of process groups, and kills those on it when its input ends. The progress files,
/// whose names begin with the first argument, are removed with them.
const SCRIPT: &str = r#"
groups=
while read -r what group; do
    case $what in
        begun) groups="$groups $group " ;;
        ended) groups="${groups%% $group *}${groups#* $group }" ;;
    esac
done
for group in $groups; do kill -KILL "-$group"; done
rm -f "$1"*
"#;

static WATCHER: Mutex<Option<Watcher>> = Mutex::new(None);

/// A worker's process group has begun.
pub(crate) fn begun(group: u32) {
    tell("begun", group);
}

/// All of a worker's process group has been killed.
pub(crate) fn ended(group: u32) {
    tell("ended", group);
}

fn tell(what: &str, group: u32) {
    let mut watcher = WATCHER.lock().unwrap_or_else(PoisonError::into_inner);
    if watcher.is_none() {
        let (folder, prefix) = Progress::place();
        *watcher = Watcher::start(&folder.join(prefix))
            .inspect_err(|error| {
                tracing::debug!("workers that hang may outlive a killed server: {error}");
            })
            .ok();
    }
    if watcher.as_mut().is_some_and(|watcher| watcher.tell(what, group).is_err()) {
        *watcher = None;
    }
}

#[derive(Debug)]
struct Watcher(ChildStdin);

impl Watcher {
    fn start(progress: &Path) -> io::Result<Self> {
        let mut child = Command::new("sh")
            .args(["-c", SCRIPT, "sh"])
            .arg(progress)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // The terminal's Ctrl-C is for the server.
            .process_group(0)
            .spawn()?;
        child.stdin.take().map(Self).ok_or_else(|| io::ErrorKind::BrokenPipe.into())
    }

    fn tell(&mut self, what: &str, group: u32) -> io::Result<()> {
        self.0.write_all(format!("{what} {group}\n").as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper() -> std::process::Child {
        Command::new("sleep").arg("1000").process_group(0).spawn().unwrap()
    }

    #[test]
    fn what_is_left_is_killed_when_the_server_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let (own, other) = (folder.path().join("own-1"), folder.path().join("other-1"));
        std::fs::write(&own, "").unwrap();
        std::fs::write(&other, "").unwrap();
        let mut watcher = Watcher::start(&folder.path().join("own-")).unwrap();
        let mut sleepers: Vec<_> = (0..4).map(|_| sleeper()).collect();
        for sleeper in &sleepers {
            watcher.tell("begun", sleeper.id()).unwrap();
        }
        watcher.tell("ended", sleepers[1].id()).unwrap();
        watcher.tell("ended", sleepers[3].id()).unwrap();
        drop(watcher);
        for at in [0, 2] {
            assert!(sleepers[at].wait().unwrap().code().is_none());
        }
        while own.exists() {
            std::thread::yield_now();
        }
        assert!(other.exists());
        for at in [1, 3] {
            assert!(sleepers[at].try_wait().unwrap().is_none());
            sleepers[at].kill().unwrap();
            sleepers[at].wait().unwrap();
        }
    }
}
