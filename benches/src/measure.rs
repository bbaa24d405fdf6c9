//! What a process costs: processor time and memory, from `/proc`.

use std::time::Duration;

use crate::Result;

/// Processor time that a process has used, and the processes that it has started.
pub(crate) fn cpu(pid: u32) -> Result<Duration> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task"))?.flatten();
    let children =
        threads.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    let children: Vec<String> = children.collect();
    let mut children: Vec<u32> =
        children.iter().flat_map(|line| line.split_whitespace()).flat_map(str::parse).collect();
    children.sort_unstable();
    children.dedup();
    let mut total = own_cpu(pid)?;
    for child in children {
        // One that has ended meanwhile has taken its time with it.
        total += cpu(child).unwrap_or_default();
    }
    Ok(total)
}

fn own_cpu(pid: u32) -> Result<Duration> {
    let mut total = 0;
    for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let stat = std::fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
        let nanos = stat.split(' ').next().and_then(|nanos| nanos.parse::<u64>().ok());
        total += nanos.unwrap_or_default();
    }
    Ok(Duration::from_nanos(total))
}

/// Bytes of memory that a process has now.
pub(crate) fn memory(pid: u32) -> Result<u64> {
    status(pid, "VmRSS:")
}

/// The most bytes of memory that a process has had.
pub(crate) fn peak(pid: u32) -> Result<u64> {
    status(pid, "VmHWM:")
}

fn status(pid: u32, key: &str) -> Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(key)).ok_or("no such line")?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib * 1024)
}

/// The median.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
