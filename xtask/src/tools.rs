//! What the checks need and a fresh machine may lack.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::step::{self, cargo, run, say, succeeds};

/// Makes sure that a command of cargo is there, from its source if need be. Returns whether it is.
pub(crate) fn cargo_command(name: &str) -> bool {
    if succeeds(&mut cargo([name, "--version"])) {
        return true;
    }
    say(&format!("cargo install cargo-{name}"));
    // Its build belongs into cargo's own folder, not among the project's.
    let package = format!("cargo-{name}");
    let mut install = cargo(["install", "--locked", &package]);
    let installed = run(install.env_remove("CARGO_TARGET_DIR"));
    if let Err(error) = &installed {
        println!("{error:#}");
    }
    installed.is_ok()
}

/// A Debian package, and a command that shows whether what it brings is there.
struct Package {
    name: &'static str,
    shows: &'static [&'static str],
}

const PACKAGES: [Package; 9] = [
    Package { name: "mariadb-client", shows: &["mariadb", "--version"] },
    Package { name: "libmariadb-dev", shows: &["mariadb_config", "--version"] },
    Package { name: "pkg-config", shows: &["pkg-config", "--version"] },
    Package { name: "python3-venv", shows: &["python3", "-c", "import ensurepip, venv"] },
    Package { name: "libdbd-mariadb-perl", shows: &["perl", "-MDBD::MariaDB", "-e", "1"] },
    Package { name: "php-cli", shows: &["php", "--version"] },
    Package { name: "php-mysql", shows: &["php", "-r", "exit((int) !class_exists('mysqli'));"] },
    Package { name: "curl", shows: &["curl", "--version"] },
    Package { name: "npm", shows: &["npm", "--version"] },
];

/// Installs the Debian packages that the real clients need and that are missing.
pub(crate) fn system_packages() -> anyhow::Result<()> {
    let there = |package: &&Package| {
        let [program, words @ ..] = package.shows else { return true };
        succeeds(Command::new(program).args(words))
    };
    let missing: Vec<_> =
        PACKAGES.iter().filter(|package| !there(package)).map(|package| package.name).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let root = Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout.trim_ascii() == b"0");
    if !root || !succeeds(Command::new("apt-get").arg("--version")) {
        bail!("these packages are needed: {}; on Debian, apt-get installs them", missing.join(" "));
    }
    say(&format!("apt-get install {}", missing.join(" ")));
    let apt = |words: &[&str]| {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive").arg("-qq").args(words);
        run(&mut command)
    };
    apt(&["update"])?;
    apt(&[&["install", "-y", "--no-install-recommends"][..], &missing].concat())
}

/// A version of Python such as `3.12`, if this machine has it: on the path, or among pyenv's.
pub(crate) fn python(version: &str) -> Option<PathBuf> {
    let name = format!("python{version}");
    let works = |python: &Path| {
        // A shim of pyenv is on the path even when its version is not chosen, and fails then.
        succeeds(Command::new(python).args(["-c", "import ensurepip, venv"]))
    };
    let pyenv = std::env::var_os("PYENV_ROOT").map(PathBuf::from);
    let pyenv = pyenv.or_else(|| Some(std::env::home_dir()?.join(".pyenv")));
    let versions = pyenv.and_then(|folder| fs::read_dir(folder.join("versions")).ok());
    let own = versions.into_iter().flatten().filter_map(Result::ok);
    let own = own.map(|folder| folder.path().join("bin").join(&name));
    std::iter::once(PathBuf::from(&name)).chain(own).find(|python| works(python))
}

/// The Python of the checks that need no certain version.
pub(crate) fn usual_python() -> anyhow::Result<PathBuf> {
    // pymprpc's client imports telnetlib, which Python 3.13 lacks.
    let usual = ["3.11", "3.12", "3"];
    usual.into_iter().find_map(python).context("there is no Python")
}

/// A Python of its own with these requirements, made once for each set of them. Returns the
/// interpreter.
pub(crate) fn venv(name: &str, requirements: &Path) -> anyhow::Result<PathBuf> {
    venv_of(&usual_python()?, name, requirements)
}

/// The same, of a certain version of Python.
pub(crate) fn venv_of(base: &Path, name: &str, requirements: &Path) -> anyhow::Result<PathBuf> {
    let folder = step::target().join(format!("venv-{name}"));
    once(&folder, requirements, || {
        say(&format!("Python packages for {name}"));
        pip_install(&fresh_venv(base, &folder)?, [OsStr::new("-r"), requirements.as_os_str()])
    })?;
    Ok(folder.join("bin/python"))
}

/// A new virtual environment in place of what the folder held. Returns its interpreter.
pub(crate) fn fresh_venv(base: &Path, folder: &Path) -> anyhow::Result<PathBuf> {
    run(Command::new(base).args(["-m", "venv", "--clear"]).arg(folder))?;
    Ok(folder.join("bin/python"))
}

/// Installs packages for a Python.
pub(crate) fn pip_install<'a>(
    python: &Path,
    words: impl IntoIterator<Item = &'a OsStr>,
) -> anyhow::Result<()> {
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    run(pip.args(words))
}

/// A folder with the npm packages that a `package.json` names, installed once for each version of
/// it. Returns what `NODE_PATH` is to be.
pub(crate) fn node_modules(name: &str, package_json: &Path) -> anyhow::Result<PathBuf> {
    let folder = step::target().join("node").join(name);
    once(&folder, package_json, || {
        say(&format!("npm packages for {name}"));
        fs::copy(package_json, folder.join("package.json"))?;
        let mut npm = Command::new("npm");
        npm.current_dir(&folder).args(["install", "--no-audit", "--no-fund", "--loglevel=error"]);
        run(&mut npm)
    })?;
    Ok(folder.join("node_modules"))
}

/// Fills a folder unless it was filled for the same list, which is then kept beside it.
fn once(
    folder: &Path,
    list: &Path,
    fill: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let wanted = fs::read(list).with_context(|| format!("cannot read {}", list.display()))?;
    let filled_for = folder.with_added_extension("filled-for");
    if fs::read(&filled_for).is_ok_and(|had| had == wanted) {
        return Ok(());
    }
    fs::create_dir_all(folder)?;
    fill()?;
    Ok(fs::write(filled_for, wanted)?)
}
