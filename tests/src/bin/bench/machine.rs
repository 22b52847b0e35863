//! The machine: its clocks, what it is called, and what the kernel counts of processes and BPF programs.

use anyhow::{Context, Result, ensure};
use evidence::Timestamp;
use rustix::time::{ClockId, clock_gettime};
use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

const BPF_STATS: &str = "/proc/sys/kernel/bpf_stats_enabled";

/// The wall clock.
pub(crate) fn now() -> Timestamp {
    let time = clock_gettime(ClockId::Realtime);
    Timestamp(nanoseconds(time.tv_sec, time.tv_nsec))
}

/// Time since some moment, which nobody sets.
pub(crate) fn uptime() -> Duration {
    let time = clock_gettime(ClockId::Monotonic);
    Duration::from_nanos(nanoseconds(time.tv_sec, time.tv_nsec))
}

fn nanoseconds(seconds: i64, nanoseconds: i64) -> u64 {
    u64::try_from(seconds * 1_000_000_000 + nanoseconds).unwrap_or(0)
}

/// Processor, how many, memory, kernel.
pub(crate) fn description() -> Result<String> {
    let processors = fs::read_to_string("/proc/cpuinfo").context("read /proc/cpuinfo")?;
    let model = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("an unnamed processor", |(_, name)| name);
    let gibibytes = rustix::system::sysinfo().totalram >> 30;
    let kernel = rustix::system::uname();
    Ok(format!(
        "{model}, {} cores, {gibibytes} GiB of memory, Linux {}",
        cores(),
        kernel.release().to_string_lossy()
    ))
}

/// How many threads ran or wanted to, over the last minute.
pub(crate) fn load_average() -> Result<f64> {
    let text = fs::read_to_string("/proc/loadavg").context("read /proc/loadavg")?;
    let first = text.split(' ').next().and_then(|number| number.parse().ok());
    first.with_context(|| format!("/proc/loadavg holds no number: {text}"))
}

pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// A process and those that descend from it.
pub(crate) fn family(pid: u32) -> Result<Vec<u32>> {
    let mut found = vec![pid];
    let mut at = 0;
    while let Some(parent) = found.get(at).copied() {
        let more = children(parent);
        // One that has just ended has none.
        found.extend(if parent == pid { more? } else { more.unwrap_or_default() });
        at += 1;
    }
    Ok(found)
}

fn children(pid: u32) -> Result<Vec<u32>> {
    let mut children = Vec::new();
    for task in tasks(pid)? {
        let path = format!("{task}/children");
        let list = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
        children.extend(list.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
    }
    Ok(children)
}

fn tasks(pid: u32) -> Result<Vec<String>> {
    let folder = format!("/proc/{pid}/task");
    let entries = fs::read_dir(&folder).with_context(|| format!("read {folder}: has urva ended?"))?;
    Ok(entries.flatten().map(|entry| entry.path().to_string_lossy().into_owned()).collect())
}

/// Nanoseconds of processor time that all threads of these processes have had.
pub(crate) fn processor_time(pids: &[u32]) -> Result<u64> {
    let mut total = 0;
    for pid in pids {
        for task in tasks(*pid)? {
            let path = format!("{task}/schedstat");
            let line = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
            let time = line.split(' ').next().and_then(|field| field.parse::<u64>().ok());
            total += time.with_context(|| format!("{path} holds no time: {line}"))?;
        }
    }
    Ok(total)
}

/// KiB of memory of these processes together: resident, and resident with shared pages divided among those who share.
pub(crate) fn memory(pids: &[u32]) -> Result<(u64, u64)> {
    let mut total = (0, 0);
    for pid in pids {
        let path = format!("/proc/{pid}/smaps_rollup");
        let text = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
        total.0 += field(&text, "Rss:").with_context(|| format!("{path} names no Rss"))?;
        total.1 += field(&text, "Pss:").with_context(|| format!("{path} names no Pss"))?;
    }
    Ok(total)
}

/// The number behind a name at the beginning of a line.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The kernel's measuring of BPF programs, on for as long as the value lives.
#[derive(Debug)]
pub(crate) struct BpfStats {
    before: String,
}

impl BpfStats {
    pub(crate) fn enable() -> Result<Self> {
        let before = fs::read_to_string(BPF_STATS).with_context(|| format!("read {BPF_STATS}"))?;
        fs::write(BPF_STATS, "1").with_context(|| format!("write {BPF_STATS}"))?;
        Ok(Self { before })
    }
}

impl Drop for BpfStats {
    fn drop(&mut self) {
        if let Err(error) = fs::write(BPF_STATS, self.before.trim()) {
            eprintln!("bench: {BPF_STATS} was {} and could not be set back: {error}", self.before.trim());
        }
    }
}

/// What all BPF programs together did that these processes hold.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct BpfTime {
    pub(crate) nanoseconds: u64,
    pub(crate) runs: u64,
}

/// Reads it from the descriptors, as the kernel shows them in `/proc`.
pub(crate) fn bpf_time(pids: &[u32]) -> Result<BpfTime> {
    let mut programs = BTreeMap::new();
    for pid in pids {
        let folder = format!("/proc/{pid}/fdinfo");
        for entry in fs::read_dir(&folder).with_context(|| format!("read {folder}"))?.flatten() {
            // A descriptor may be closed meanwhile.
            let text = fs::read_to_string(entry.path()).unwrap_or_default();
            let numbers = [field(&text, "prog_id:"), field(&text, "run_time_ns:"), field(&text, "run_cnt:")];
            if let [Some(program), Some(nanoseconds), Some(runs)] = numbers {
                programs.insert(program, BpfTime { nanoseconds, runs });
            }
        }
    }
    ensure!(!programs.is_empty(), "urva holds no BPF program");
    Ok(programs.values().fold(BpfTime::default(), |sum, program| BpfTime {
        nanoseconds: sum.nanoseconds + program.nanoseconds,
        runs: sum.runs + program.runs,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_time_memory_and_a_family() {
        let own = std::process::id();
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let family = family(own).unwrap();
        let (time, memory) = (processor_time(&family).unwrap(), memory(&family).unwrap());
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(family, [own, child.id()]);
        assert!(time > 0 && memory.0 > memory.1 && memory.1 > 0, "{time} {memory:?}");
    }

    #[test]
    fn a_field_is_a_number_behind_a_name() {
        assert_eq!(field("Rss:    1234 kB\nPss:\t7 kB\n", "Pss:"), Some(7));
        assert_eq!(field("run_cnt:\tmany\n", "run_cnt:"), None);
    }
}
