//! The data folder: what outlives the process.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use polyport_core::{Fault, Kind, User};
use serde::Serialize;

use crate::config::UserSettings;
use crate::error::Error;

/// The data folder. Only its owner can read it, and only one server at a time has it.
#[derive(Debug)]
pub(crate) struct Folder {
    root: PathBuf,
    /// Locked as long as this is open.
    _lock: Option<File>,
}

impl Folder {
    /// Opens a folder for a server, making it if need be.
    pub(crate) fn claim(root: &Path) -> Result<Self, Error> {
        DirBuilder::new().recursive(true).mode(0o700).create(root).map_err(|error| {
            Error::new(format!("cannot make the data folder {}: {error}", root.display()))
        })?;
        let path = root.join("lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(|error| Error::new(format!("{}: {error}", path.display())))?;
        lock.try_lock().map_err(|_| {
            Error::new(format!("another server has the data folder {}", root.display()))
                .hint("stop it, or give this one its own with --data DIR")
        })?;
        Ok(Self { root: root.into(), _lock: Some(lock) })
    }

    /// A folder that a command looks into while a server may have it.
    #[cfg(feature = "cli")]
    pub(crate) fn visit(root: &Path) -> Self {
        Self { root: root.into(), _lock: None }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The password that a server without configured users made for itself.
    pub(crate) fn generated_password(&self) -> Result<String, Error> {
        let path = self.path("password");
        if let Ok(password) = fs::read_to_string(&path) {
            return Ok(password.trim().to_owned());
        }
        let password = random_word()?;
        write_private(&path, format!("{password}\n").as_bytes())?;
        Ok(password)
    }

    /// The users that were added by `polyport user` and `user.add`.
    pub(crate) fn users(&self) -> Result<BTreeMap<String, UserSettings>, Error> {
        let path = self.path("users.toml");
        match fs::read_to_string(&path) {
            Ok(text) => toml::from_str::<UsersFile>(&text)
                .map(|file| file.users)
                .map_err(|error| Error::new(format!("{}: {error}", path.display()))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(BTreeMap::new()),
            Err(error) => Err(Error::new(format!("{}: {error}", path.display()))),
        }
    }

    /// Keeps users, all or none.
    pub(crate) fn keep_users(&self, users: &BTreeMap<String, UserSettings>) -> Result<(), Error> {
        let file = UsersFile { users: users.clone() };
        let text = toml::to_string_pretty(&file)
            .map_err(|error| Error::new(format!("cannot write users: {error}")))?;
        write_private(&self.path("users.toml"), text.as_bytes())
    }
}

/// Keeps the users that were added while the server ran. Those of the configuration are not kept:
/// they stand there.
pub(crate) fn keeper(
    folder: Arc<Folder>,
    configured: Vec<String>,
) -> impl Fn(&[Arc<User>]) -> Result<(), Fault> + Send + Sync {
    move |users| {
        let own = |user: &&Arc<User>| !configured.iter().any(|name| *name == *user.name);
        let kept = users
            .iter()
            .filter(own)
            .map(|user| (user.name.to_string(), UserSettings::from(&**user)))
            .collect();
        folder.keep_users(&kept).map_err(|error| Fault::new(Kind::Unavailable, error.to_string()))
    }
}

#[derive(Default, serde::Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct UsersFile {
    #[serde(default)]
    users: BTreeMap<String, UserSettings>,
}

/// A word that nobody guesses: 24 letters and digits, 120 bits.
pub(crate) fn random_word() -> Result<String, Error> {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut bytes = [0; 24];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::new(format!("the system gives no random numbers: {error}")))?;
    let letter = |byte: &u8| char::from(LETTERS[usize::from(*byte) % LETTERS.len()]);
    Ok(bytes.iter().map(letter).collect())
}

/// Writes a file that only its owner reads: whole or not at all, and on the disk before it counts.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let write = || -> std::io::Result<()> {
        let folder = path.parent().unwrap_or(Path::new("."));
        let part = path.with_extension("part");
        let mut file =
            OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&part)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&part, path)?;
        File::open(folder)?.sync_all()
    };
    write().map_err(|error| Error::new(format!("cannot write {}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("polyport-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        path
    }

    #[test]
    fn a_folder_has_one_server_at_a_time() {
        let root = scratch("lock");
        let first = Folder::claim(&root).unwrap();
        let second = Folder::claim(&root).unwrap_err();
        assert!(second.to_string().contains("another server"), "{second}");
        drop(first);
        Folder::claim(&root).unwrap();
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn the_password_is_made_once_and_only_its_owner_reads_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let root = scratch("password");
        let folder = Folder::claim(&root).unwrap();
        let password = folder.generated_password().unwrap();
        assert_eq!(password.len(), 24);
        assert_eq!(folder.generated_password().unwrap(), password);
        let mode = fs::metadata(folder.path("password")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::remove_dir_all(&root).unwrap();
    }
}
