//! Looks once, at the start, at the processes that were running before the probes were attached.
//!
//! Guarantee: a script that runs when urva starts, or starts again, is judged too; what an interpreter reads over
//! standard input is judged from then on. Blind spot: its arguments are what the process shows now, which it can have
//! overwritten, and its file is that of now.

use crate::assemble::{Exec, Waiting};
use crate::capture::{self, Taken, mark_as_earlier};
use crate::error::SensorError;
use crate::executable::Catalogue;
use crate::input::Inputs;
use crate::revisit::Revisits;
use crate::sensor::{Hasher, Seen, Shared, Stop, hand_on, spawn};
use crate::texts::Watching;
use crate::wire::{ExecHeader, value};
use evidence::Untrusted;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

/// Bytes of arguments and of environment that are read of each process.
const STRINGS_MAX: u64 = 2 * 1024 * 1024;

/// What the look needs of the sensor.
pub(crate) struct Context {
    /// The boot time in nanoseconds from which on the probe tells of execs.
    pub(crate) attached_at: u64,
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) watching: Watching,
    pub(crate) revisits: Revisits,
    pub(crate) inputs: Option<Arc<Inputs>>,
    pub(crate) settings: Shared,
    pub(crate) stop: Arc<Stop>,
}

/// Starts the look in a thread of its own: it takes some 50 µs for each process of the host, and 10 ms for one whose
/// standard input is watched.
pub(crate) fn start(context: Context, seen: SyncSender<Seen>, hasher: Hasher) -> Result<(), SensorError> {
    spawn("urva-running", move || {
        let host = crate::probe::host_namespace("mnt").unwrap_or(0);
        let Context { attached_at, catalogue, watching, revisits, inputs, settings, stop } = context;
        for pid in pids() {
            if stop.is_told() {
                break;
            }
            let Some(mut exec) = read(pid) else { continue };
            let is_left_out = exec.header.mount_namespace == host && !settings.include_host;
            // What was forked since then was executed since then, and the probe has told of it.
            if is_left_out || exec.header.start_time >= attached_at {
                continue;
            }
            let taken = capture::take(&mut exec, &catalogue, &watching, &settings);
            let Some(mut taken) = taken else { continue };
            mark_as_earlier(&mut taken.capture);
            revisits.add(&taken.capture);
            let Taken { capture, to_hash } = taken;
            let capture = match &inputs {
                Some(inputs) => inputs.join(&exec, capture),
                None => Some(capture),
            };
            if let Some(capture) = capture {
                hand_on(Taken { capture, to_hash }, &seen, &hasher);
                watching.executions.settle(exec.header.budget, exec.key());
            }
        }
        watching.executions.looked();
    })?;
    Ok(())
}

fn pids() -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let own = std::process::id();
    let names = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    names.filter(|pid| *pid != own).collect()
}

/// What the probe would have sent, as far as /proc still tells it.
pub(crate) fn read(pid: u32) -> Option<Exec> {
    let folder = format!("/proc/{pid}");
    // A kernel thread has no executable.
    let executable = std::fs::metadata(format!("{folder}/exe")).ok()?;
    let link = |name: &str| -> Option<Untrusted> {
        let path = rustix::fs::readlink(format!("{folder}/{name}"), Vec::new()).ok()?;
        Some(path.into_bytes().into())
    };
    let namespace = |name: &str| crate::probe::namespace_of(&format!("{folder}/ns/{name}")).unwrap_or(0);
    let status = bounded(&format!("{folder}/status"))?;
    let stat = bounded(&format!("{folder}/stat"))?;
    let (parent_pid, start_ticks) = parent_and_start(&stat)?;
    let input = std::fs::metadata(format!("{folder}/fd/0")).ok();
    let header = ExecHeader {
        kind: value::EVENT_EXEC,
        pid,
        parent_pid,
        pid_in_container: last_number(&status, b"NSpid:").unwrap_or(pid),
        uid: number_at(&status, b"Uid:", 1).unwrap_or(0),
        gid: number_at(&status, b"Gid:", 1).unwrap_or(0),
        exec_time: start_ticks.saturating_mul(10_000_000),
        start_time: start_ticks.saturating_mul(10_000_000),
        // As the probe finds it where the container's PID namespace is the host's child.
        budget: u64::from(namespace("pid")),
        executable_device: executable.dev(),
        executable_inode: executable.ino(),
        executable_size: executable.len(),
        executable_changed: u64::try_from(executable.ctime()).unwrap_or(0),
        executable_changed_ns: u32::try_from(executable.ctime_nsec()).unwrap_or(0),
        mount_namespace: namespace("mnt"),
        pid_namespace: namespace("pid"),
        network_namespace: namespace("net"),
        user_namespace: namespace("user"),
        stdin_mode: input.as_ref().map_or(0, MetadataExt::mode),
        stdin_device: input.as_ref().map_or(0, |input| kernel_device(input.rdev())),
        comm: comm(&stat),
        ..ExecHeader::default()
    };
    Some(Exec {
        header,
        executable: link("exe")?,
        cwd: link("cwd").unwrap_or_default(),
        cgroup: Untrusted::default(),
        arguments: strings(&bounded(&format!("{folder}/cmdline"))?),
        environment: strings(&bounded(&format!("{folder}/environ")).unwrap_or_default()),
        arguments_cut: false,
        environment_cut: false,
        waiting: Waiting::default(),
    })
}

fn bounded(path: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path).ok()?.take(STRINGS_MAX).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

fn strings(bytes: &[u8]) -> Vec<Untrusted> {
    let Some(bytes) = bytes.strip_suffix(b"\0") else { return Vec::new() };
    bytes.split(|byte| *byte == 0).map(Untrusted::from).collect()
}

/// The start of a process in 1/100 s since boot.
pub(crate) fn start_ticks(pid: u32) -> Option<u64> {
    Some(parent_and_start(&bounded(&format!("/proc/{pid}/stat"))?)?.1)
}

/// Fields 4 and 22 of `/proc/PID/stat`. The name in field 2 may hold anything, a parenthesis too.
fn parent_and_start(stat: &[u8]) -> Option<(u32, u64)> {
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let text = std::str::from_utf8(stat.get(end + 1..)?).ok()?;
    let mut fields = text.split_ascii_whitespace();
    let parent = fields.nth(1)?.parse().ok()?;
    let start = fields.nth(17)?.parse().ok()?;
    Some((parent, start))
}

fn comm(stat: &[u8]) -> [u8; 16] {
    let mut comm = [0; 16];
    let start = stat.iter().position(|byte| *byte == b'(').map_or(0, |at| at + 1);
    let end = stat.iter().rposition(|byte| *byte == b')').unwrap_or(start);
    let name = stat.get(start..end).unwrap_or_default();
    let length = name.len().min(15);
    comm[..length].copy_from_slice(&name[..length]);
    comm
}

fn line<'a>(status: &'a [u8], name: &[u8]) -> Option<&'a str> {
    let line = status.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(name))?;
    std::str::from_utf8(line).ok()
}

fn last_number(status: &[u8], name: &[u8]) -> Option<u32> {
    line(status, name)?.split_ascii_whitespace().last()?.parse().ok()
}

fn number_at(status: &[u8], name: &[u8], index: usize) -> Option<u32> {
    line(status, name)?.split_ascii_whitespace().nth(index)?.parse().ok()
}

/// The kernel's own form of a device number, as the probe sends it.
pub(crate) fn kernel_device(device: u64) -> u32 {
    (rustix::fs::major(device) << 20) | (rustix::fs::minor(device) & 0xf_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let stat = b"42 (a) b (c) S 7 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 12345 1 2";
        assert_eq!(parent_and_start(stat), Some((7, 12345)));
        assert_eq!(&comm(stat)[..8], b"a) b (c\0");
        assert_eq!(parent_and_start(b"42 (x"), None);
    }

    #[test]
    fn the_innermost_pid_is_that_of_the_container() {
        let status = b"Name:\tsh\nUid:\t0\t1000\t0\t0\nNSpid:\t4711\t12\n";
        assert_eq!(last_number(status, b"NSpid:"), Some(12));
        assert_eq!(number_at(status, b"Uid:", 1), Some(1000));
    }

    #[test]
    fn this_very_process_can_be_read() {
        let exec = read(std::process::id()).unwrap();
        assert_eq!(exec.header.parent_pid, std::os::unix::process::parent_id());
        assert!(!exec.arguments.is_empty());
    }
}
