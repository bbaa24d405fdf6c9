//! `cargo xtask fuzz`: random input, guided by what it reaches, from seeds of real sessions.

use anyhow::{Context as _, bail};

use crate::step::{cargo, root, run, say};
use crate::tools;

/// Fuzzes the targets whose name begins so, each for so many seconds.
pub(crate) fn run_targets(prefix: &str, seconds: u32) -> anyhow::Result<()> {
    if !tools::cargo_command("fuzz") {
        bail!("cargo-fuzz is missing and cannot be installed");
    }
    let list = cargo(["fuzz", "list"]).output().context("cannot list the fuzz targets")?;
    let list = String::from_utf8_lossy(&list.stdout).into_owned();
    let targets: Vec<_> = list.lines().filter(|target| target.starts_with(prefix)).collect();
    if targets.is_empty() {
        bail!("no fuzz target begins with '{prefix}'; there are: {}", list.replace('\n', " "));
    }
    for target in targets {
        say(&format!("fuzz {target} for {seconds} s"));
        let folder = root().join("fuzz");
        // Without a sanitizer, which needs the unstable toolchain and which safe Rust needs less.
        let mut command = cargo(["fuzz", "run", "--sanitizer", "none", target]);
        for seeds in [folder.join("corpus").join(target), folder.join("seeds").join(target)] {
            std::fs::create_dir_all(&seeds)?;
            command.arg(seeds);
        }
        command.arg("--").arg(format!("-max_total_time={seconds}"));
        command.args(["-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1"]);
        // Without the words of its protocol a fuzzer rarely gets past the first byte.
        let words = folder.join("dictionaries").join(target).with_extension("dict");
        if words.is_file() {
            command.arg(format!("-dict={}", words.display()));
        }
        run(&mut command)?;
    }
    Ok(())
}
