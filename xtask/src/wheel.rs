//! `cargo xtask wheel`: the program and the Python package as one file for pip.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::step::{forget_own_package, root, run, say, target};
use crate::tools;

/// Builds the wheel into `target/wheels` and returns where it is.
pub(crate) fn build() -> anyhow::Result<PathBuf> {
    let python = tools::venv("build", &root().join("python/requirements-build.txt"))?;
    let folder = target().join("wheels");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    say("maturin build --release");
    let mut maturin = Command::new(python);
    maturin.current_dir(root()).env("CARGO_TARGET_DIR", target());
    maturin.args(["-m", "maturin", "build", "--release", "--locked", "--out"]).arg(&folder);
    forget_own_package(&mut maturin);
    run(&mut maturin)?;
    let wheels = fs::read_dir(&folder).context("no wheel was built")?;
    let wheels: Vec<_> = wheels.filter_map(|file| Some(file.ok()?.path())).collect();
    let [wheel] = &wheels[..] else { bail!("there should be one wheel: {wheels:?}") };
    Ok(wheel.clone())
}

/// Builds the wheel and says where it is and how large.
pub(crate) fn alone() -> anyhow::Result<()> {
    let wheel = build()?;
    let mib = fs::metadata(&wheel)?.len() as f64 / f64::from(1 << 20);
    println!("{} ({mib:.1} MiB)", wheel.display());
    Ok(())
}

/// A virtual environment with the wheel.
pub(crate) struct Installed {
    pub(crate) python: PathBuf,
}

impl Installed {
    /// Installs the wheel, as pip does for everybody, into a new environment.
    pub(crate) fn new(base: &Path, name: &str, wheel: &Path) -> anyhow::Result<Self> {
        say(&format!("pip install {}", wheel.file_name().unwrap_or_default().display()));
        let python = tools::fresh_venv(base, &target().join(format!("venv-{name}")))?;
        tools::pip_install(&python, [wheel.as_os_str()])?;
        Ok(Self { python })
    }

    /// The program that the wheel brought.
    pub(crate) fn polyport(&self) -> Command {
        Command::new(self.python.with_file_name("polyport"))
    }
}
