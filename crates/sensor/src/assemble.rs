//! Puts the records of one exec together again.
//!
//! Owns: the execs of which some records are still to come, bounded in number and bytes.
//! Refuses: waiting for ever. When the bound is reached the oldest is given up and counted.

use crate::wire::{Event, ExecHeader, ExecRecord, StringsHeader, WireError, decode, value};
use evidence::Untrusted;
use std::collections::BTreeMap;

/// Execs that may be incomplete at the same time; each CPU writes one at a time, so this is far more than needed.
const PENDING_MAX: usize = 256;
/// Bytes that the pending execs may hold together.
const PENDING_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Bytes that are kept of what lies in a pipe.
const WAITING_MAX: usize = 64 * 1024;
/// Arguments, and variables of the environment, that are kept of one exec; each costs some 40 bytes beside its text.
const STRINGS_COUNT_MAX: usize = 32 * 1024;

/// One exec, complete.
#[derive(Debug, Clone)]
pub struct Exec {
    /// The numbers of its first record.
    pub header: ExecHeader,
    /// Absolute path of the executable inside the container.
    pub executable: Untrusted,
    /// Working directory.
    pub cwd: Untrusted,
    /// Path of the cgroup.
    pub cgroup: Untrusted,
    /// All arguments that came.
    pub arguments: Vec<Untrusted>,
    /// The environment as far as it came.
    pub environment: Vec<Untrusted>,
    /// Whether arguments are missing.
    pub arguments_cut: bool,
    /// Whether some of the environment is missing.
    pub environment_cut: bool,
    /// What lay in the pipe that is its standard input.
    pub waiting: Waiting,
}

/// What lay in a pipe at an exec.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Waiting {
    /// From its beginning, as far as it came.
    pub bytes: Vec<u8>,
    /// Whether nothing can follow: nobody could write any more.
    pub is_all: bool,
}

impl Exec {
    /// Whether one of `value::EXEC_*` is set.
    pub fn has(&self, flag: u32) -> bool {
        self.header.flags & flag != 0
    }

    /// The process: its id and its start in 1/100 s since boot.
    pub fn process(&self) -> (u32, u64) {
        (self.header.pid, self.header.start_time / 10_000_000)
    }

    /// What tells it from every other exec: the process's id, and when it was, in nanoseconds since boot.
    pub fn key(&self) -> (u32, u64) {
        (self.header.pid, self.header.exec_time)
    }

    /// About how many bytes of memory it takes.
    pub fn weight(&self) -> usize {
        let strings = self.arguments.iter().chain(&self.environment);
        size_of::<Self>() + self.waiting.bytes.len() + strings.map(|string| string.len() + 40).sum::<usize>()
    }
}

/// Records in, execs out.
#[derive(Debug, Default)]
pub struct Assembler {
    /// By time, so that the first is the oldest.
    pending: BTreeMap<(u64, u32), Pending>,
    /// What lay in pipes, of execs that are still to come.
    waiting: BTreeMap<(u64, u32), Waiting>,
    bytes: usize,
    given_up: u64,
}

#[derive(Debug)]
struct Pending {
    exec: Exec,
    strings: Vec<u8>,
}

impl Assembler {
    /// Takes one record; returns the exec that it completes.
    pub fn push(&mut self, record: &[u8]) -> Result<Option<Exec>, WireError> {
        match decode(record)? {
            Event::Exec(first) => Ok(self.begin(*first)),
            Event::Strings { header, bytes } if header.kind == value::EVENT_WAITING => {
                self.wait(header, bytes);
                Ok(None)
            }
            Event::Strings { header, bytes } => {
                let key = (header.exec_time, header.pid);
                let Some(pending) = self.pending.get_mut(&key) else { return Ok(None) };
                // A hole means that a record was lost: what follows cannot be placed and ends the exec.
                let is_next = pending.strings.len() as u64 == header.offset;
                if is_next {
                    let room = pending.exec.header.strings_size.saturating_sub(header.offset);
                    let fits = usize::try_from(room).unwrap_or(usize::MAX).min(bytes.len());
                    pending.strings.extend_from_slice(&bytes[..fits]);
                    self.bytes += fits;
                }
                if header.is_last != 0 || !is_next {
                    return Ok(self.take(key));
                }
                self.shrink();
                Ok(None)
            }
        }
    }

    /// Execs that were given up since the last call.
    pub fn take_given_up(&mut self) -> u64 {
        std::mem::take(&mut self.given_up)
    }

    fn begin(&mut self, first: ExecRecord<'_>) -> Option<Exec> {
        let exec = Exec {
            header: first.header,
            executable: first.executable,
            cwd: first.cwd,
            cgroup: first.cgroup,
            arguments: Vec::new(),
            environment: Vec::new(),
            arguments_cut: false,
            environment_cut: false,
            waiting: self.waiting.remove(&(first.header.exec_time, first.header.pid)).unwrap_or_default(),
        };
        if first.strings.len() as u64 == first.header.strings_size {
            return Some(finish(exec, first.strings));
        }
        let key = (first.header.exec_time, first.header.pid);
        self.bytes += first.strings.len();
        if let Some(twin) = self.pending.insert(key, Pending { exec, strings: first.strings.to_vec() }) {
            self.bytes -= twin.strings.len();
            self.given_up += 1;
        }
        self.shrink();
        None
    }

    /// Keeps what lies in a pipe until its exec comes, which is the next record of the same CPU.
    fn wait(&mut self, header: StringsHeader, bytes: &[u8]) {
        let waiting = self.waiting.entry((header.exec_time, header.pid)).or_default();
        let has_room = waiting.bytes.len() + bytes.len() <= WAITING_MAX;
        if has_room && waiting.bytes.len() as u64 == header.offset {
            waiting.bytes.extend_from_slice(bytes);
            waiting.is_all = header.is_last != 0;
        }
        if self.waiting.len() > PENDING_MAX {
            // Its exec was lost, and is counted.
            self.waiting.pop_first();
        }
    }

    fn take(&mut self, key: (u64, u32)) -> Option<Exec> {
        let pending = self.pending.remove(&key)?;
        self.bytes -= pending.strings.len();
        Some(finish(pending.exec, &pending.strings))
    }

    fn shrink(&mut self) {
        while self.pending.len() > PENDING_MAX || self.bytes > PENDING_BYTES_MAX {
            let Some((_, oldest)) = self.pending.pop_first() else { return };
            self.bytes -= oldest.strings.len();
            self.given_up += 1;
        }
    }
}

/// Cuts the strings into arguments and environment.
fn finish(mut exec: Exec, strings: &[u8]) -> Exec {
    let arguments_size = usize::try_from(exec.header.arguments_size).unwrap_or(usize::MAX);
    let environment_size = usize::try_from(exec.header.environment_size).unwrap_or(usize::MAX);
    let (arguments, environment) = strings.split_at(arguments_size.min(strings.len()));
    exec.arguments_cut = arguments.len() < arguments_size;
    exec.environment_cut = environment.len() < environment_size;
    exec.arguments = split(arguments, &mut exec.arguments_cut);
    exec.environment = split(environment, &mut exec.environment_cut);
    exec
}

fn split(strings: &[u8], is_cut: &mut bool) -> Vec<Untrusted> {
    if strings.is_empty() {
        return Vec::new();
    }
    let strings = strings.strip_suffix(b"\0").unwrap_or(strings);
    let mut parts = strings.split(|byte| *byte == 0).map(Untrusted::from);
    let kept = parts.by_ref().take(STRINGS_COUNT_MAX).collect();
    *is_cut |= parts.next().is_some();
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::tests::{bytes_of, exec_record};
    use proptest::prelude::*;

    fn strings_record(offset: u64, bytes: &[u8], is_last: u32) -> Vec<u8> {
        let mut record = bytes_of(&StringsHeader {
            exec_time: 7,
            offset,
            kind: value::EVENT_STRINGS,
            pid: 42,
            length: u32::try_from(bytes.len()).unwrap(),
            is_last,
        });
        record.extend_from_slice(bytes);
        record
    }

    fn texts(strings: &[Untrusted]) -> Vec<String> {
        strings.iter().map(Untrusted::to_text).collect()
    }

    #[test]
    fn a_short_exec_is_complete_at_once() {
        let mut assembler = Assembler::default();
        let record = exec_record(b"sh\0-c\0\0HOME=/\0", 14, |header| {
            (header.arguments_size, header.environment_size) = (7, 7);
        });
        let exec = assembler.push(&record).unwrap().unwrap();
        assert_eq!(texts(&exec.arguments), ["sh", "-c", ""]);
        assert_eq!(texts(&exec.environment), ["HOME=/"]);
        assert!(!exec.arguments_cut && !exec.environment_cut);
    }

    #[test]
    fn a_long_exec_is_put_together() {
        let mut assembler = Assembler::default();
        assert!(assembler.push(&exec_record(b"sh\0-c\0ec", 13, |_| {})).unwrap().is_none());
        assert!(assembler.push(&strings_record(8, b"ho", 0)).unwrap().is_none());
        let exec = assembler.push(&strings_record(10, b" x\0", 1)).unwrap().unwrap();
        assert_eq!(texts(&exec.arguments), ["sh", "-c", "echo x"]);
        assert_eq!((assembler.bytes, assembler.pending.len()), (0, 0));
    }

    #[test]
    fn what_lies_in_a_pipe_comes_before_its_exec() {
        let mut assembler = Assembler::default();
        let waiting = |offset, bytes: &[u8], is_last| {
            let mut record = strings_record(offset, bytes, is_last);
            let kind = std::mem::offset_of!(StringsHeader, kind);
            record[kind..kind + 4].copy_from_slice(&value::EVENT_WAITING.to_ne_bytes());
            record
        };
        for (offset, bytes, is_last) in [(0, b"echo ", 0), (7, b"lost!", 0), (5, b"hello", 1)] {
            assert!(assembler.push(&waiting(offset, bytes, is_last)).unwrap().is_none());
        }
        let exec = assembler.push(&exec_record(b"sh\0", 3, |_| {})).unwrap().unwrap();
        assert_eq!(exec.waiting, Waiting { bytes: b"echo hello".to_vec(), is_all: true });
        let other = assembler.push(&exec_record(b"sh\0", 3, |header| header.exec_time = 8)).unwrap().unwrap();
        assert_eq!(other.waiting, Waiting::default());
        assert!(assembler.waiting.is_empty());
    }

    #[test]
    fn a_lost_record_cuts_the_arguments_and_says_so() {
        let mut assembler = Assembler::default();
        assembler.push(&exec_record(b"sh\0-c\0ec", 13, |_| {})).unwrap();
        let exec = assembler.push(&strings_record(10, b" x\0", 1)).unwrap().unwrap();
        assert_eq!(texts(&exec.arguments), ["sh", "-c", "ec"]);
        assert!(exec.arguments_cut);
    }

    #[test]
    fn an_environment_beyond_the_limit_is_cut_and_says_so() {
        let mut assembler = Assembler::default();
        let record = exec_record(b"sh\0A=1\0B", 8, |header| {
            (header.arguments_size, header.environment_size) = (3, 1000);
        });
        let exec = assembler.push(&record).unwrap().unwrap();
        assert_eq!(texts(&exec.environment), ["A=1", "B"]);
        assert!(exec.environment_cut && !exec.arguments_cut);
    }

    #[test]
    fn what_never_completes_is_given_up_and_counted() {
        let mut assembler = Assembler::default();
        for time in 0..PENDING_MAX as u64 + 10 {
            let record = exec_record(b"sh\0", 100, |header| header.exec_time = time);
            assembler.push(&record).unwrap();
        }
        assert_eq!(assembler.take_given_up(), 10);
        assert_eq!(assembler.take_given_up(), 0);
    }

    proptest! {
        #[test]
        fn any_order_of_records_is_survived(parts in prop::collection::vec((0u64..40, prop::collection::vec(any::<u8>(), 0..20), 0u32..2, any::<bool>()), 0..40)) {
            let mut assembler = Assembler::default();
            for (offset, bytes, is_last, is_first) in parts {
                let record = if is_first {
                    exec_record(&bytes, 20, |_| {})
                } else {
                    strings_record(offset, &bytes, is_last)
                };
                let _ = assembler.push(&record);
                prop_assert!(assembler.bytes <= PENDING_BYTES_MAX);
            }
        }
    }
}
