//! How many checks passed, as the programs that make them say.

use std::fmt;
use std::io::{BufRead as _, BufReader};
use std::ops::AddAssign;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

/// Checks that passed and that failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

impl Tally {
    /// Counts one more check.
    pub(crate) fn note(&mut self, passed: bool) {
        *self += if passed { Self { passed: 1, failed: 0 } } else { Self { passed: 0, failed: 1 } };
    }

    /// Ends a task: the last line is the sum, and a failure is an error.
    pub(crate) fn conclude(self) -> anyhow::Result<()> {
        println!("{self}");
        if self.failed > 0 || self.passed == 0 {
            bail!("not every check passed");
        }
        Ok(())
    }
}

/// What a line of output counts for.
pub(crate) type Reader = fn(&str) -> Tally;

/// Lines `ok NAME` and `FAIL NAME why`, as the client scripts write.
pub(crate) fn client_line(line: &str) -> Tally {
    Tally {
        passed: usize::from(line.starts_with("ok ")),
        failed: usize::from(line.starts_with("FAIL ")),
    }
}

/// The summaries of `cargo nextest` and `cargo test`.
pub(crate) fn cargo_line(line: &str) -> Tally {
    let line = line.trim();
    if !line.starts_with("Summary [") && !line.starts_with("test result: ") {
        return Tally::default();
    }
    let before = |word: &str| {
        let words: Vec<_> = line.split([' ', ',', ';']).filter(|w| !w.is_empty()).collect();
        let counts = words.windows(2).filter(|pair| pair[1] == word);
        counts.filter_map(|pair| pair[0].parse::<usize>().ok()).sum::<usize>()
    };
    let failed = before("failed") + before("timed-out");
    Tally { passed: before("passed"), failed }
}

/// The summary of pytest.
pub(crate) fn pytest_line(line: &str) -> Tally {
    let line = line.trim_matches(['=', ' ']);
    let mut tally = Tally::default();
    let Some((counts, time)) = line.rsplit_once(" in ") else { return tally };
    if !time.starts_with(|digit: char| digit.is_ascii_digit()) {
        return tally;
    }
    for part in counts.split(", ") {
        match part.split_once(' ').map(|(count, what)| (count.parse::<usize>(), what)) {
            Some((Ok(count), "passed")) => tally.passed += count,
            Some((Ok(count), "failed" | "error" | "errors")) => tally.failed += count,
            _ => {}
        }
    }
    tally
}

/// Runs a command, shows what it writes, and counts. A command that fails without having named a
/// failed check is one.
pub(crate) fn count(command: &mut Command, read: Reader) -> anyhow::Result<Tally> {
    let (output, input) = std::io::pipe()?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(input.try_clone()?)
        .stderr(input)
        .spawn()
        .with_context(|| format!("cannot start {}", command.get_program().display()))?;
    // The command holds the writing ends of the pipe as long as it lives.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut tally = Tally::default();
    for line in BufReader::new(output).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).into_owned();
        println!("{line}");
        tally += read(&line);
    }
    let status = child.wait()?;
    if !status.success() && tally.failed == 0 {
        println!("FAIL {} ({status})", command.get_program().display());
        tally.note(false);
    }
    Ok(tally)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(passed: usize, failed: usize) -> Tally {
        Tally { passed, failed }
    }

    #[test]
    fn reads_what_the_test_programs_write() {
        for (line, counts) in [
            ("     Summary [   0.8s] 76 tests run: 74 passed, 2 failed, 3 skipped", tally(74, 2)),
            ("     Summary [   0.8s] 76 tests run: 76 passed (1 slow), 0 skipped", tally(76, 0)),
            ("     Summary [   9s] 2/9 tests run: 1 passed, 1 timed-out, 0 skipped", tally(1, 1)),
            (
                "test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 9 filtered out",
                tally(5, 0),
            ),
            ("test result: FAILED. 1 passed; 2 failed; 0 ignored", tally(1, 2)),
            ("test tests::two_passed ... ok", tally(0, 0)),
        ] {
            assert_eq!(cargo_line(line), counts, "{line}");
        }
        assert_eq!(client_line("ok pymysql.call"), tally(1, 0));
        assert_eq!(client_line("FAIL pymysql.call why"), tally(0, 1));
        assert_eq!(client_line("2 passed, 0 failed"), tally(0, 0));
    }

    #[test]
    fn reads_what_pytest_writes() {
        for (line, counts) in [
            ("===== 1 failed, 12 passed, 2 skipped, 1 error in 3.21s =====", tally(12, 2)),
            ("12 passed, 1 warning in 65.00s (0:01:05)", tally(12, 0)),
            ("no tests ran in 0.01s", tally(0, 0)),
            ("two words passed in order", tally(0, 0)),
            ("tests/test_values.py::test_4_passed in_order PASSED", tally(0, 0)),
        ] {
            assert_eq!(pytest_line(line), counts, "{line}");
        }
    }

    #[test]
    fn a_command_that_fails_in_silence_is_a_failed_check() {
        let script =
            |text: &str| count(Command::new("sh").arg("-c").arg(text), client_line).unwrap();
        assert_eq!(script("echo ok a; echo ok b >&2"), tally(2, 0));
        assert_eq!(script("echo ok a; exit 3"), tally(1, 1));
        assert_eq!(script("echo FAIL a; exit 3"), tally(0, 1));
    }
}
