//! Waits for a change of some files.

use std::path::Path;
use std::time::{Duration, SystemTime};

use polyport_core::Text;

/// How often the files are looked at. Looking needs no limit of the system, works on every file
/// system, and costs little for the files of one application.
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// What tells one version of a file from the next; nothing while there is none.
pub(crate) type Mark = Option<(SystemTime, u64)>;

/// Watches files, or never sees a change if it is switched off.
#[derive(Debug)]
pub(crate) struct Watch {
    on: bool,
    seen: Vec<(Text, Mark)>,
}

impl Watch {
    pub(crate) const fn new(on: bool) -> Self {
        Self { on, seen: Vec::new() }
    }

    /// Waits until one of the files has changed since this was last asked.
    pub(crate) async fn until_changed(&mut self, files: &[Text]) {
        if !self.on {
            return std::future::pending().await;
        }
        // A change between two questions must not be missed, so what was seen stays.
        for file in files {
            if !self.seen.iter().any(|(seen, _)| seen == file) {
                self.seen.push((file.clone(), mark(file)));
            }
        }
        self.seen.retain(|(seen, _)| files.contains(seen));
        loop {
            let mut changed = false;
            for (file, seen) in &mut self.seen {
                let now = mark(file);
                changed |= std::mem::replace(seen, now) != now;
            }
            if changed {
                return;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// What tells the versions of these files from others.
pub(crate) fn marks(files: &[Text]) -> Vec<Mark> {
    files.iter().map(|file| mark(file)).collect()
}

fn mark(file: &str) -> Mark {
    let about = std::fs::metadata(Path::new(file)).ok()?;
    Some((about.modified().ok()?, about.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_change_is_seen_once_whenever_it_came() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.py");
        std::fs::write(&path, "1").unwrap();
        let files = [Text::from(path.to_str().unwrap().to_owned())];
        let mut watch = Watch::new(true);
        let mut wait = Box::pin(watch.until_changed(&files));
        assert!(futures_util::FutureExt::now_or_never(&mut wait).is_none());
        std::fs::write(&path, "22").unwrap();
        wait.await;
        let again = futures_util::FutureExt::now_or_never(watch.until_changed(&files));
        assert!(again.is_none());
        std::fs::remove_file(&path).unwrap();
        watch.until_changed(&files).await;
    }
}
