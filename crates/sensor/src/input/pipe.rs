//! Looks at what lies in another process's standard input without taking it away.
//!
//! Owns: `tee` from a pipe, `MSG_PEEK` from a socket, and what tells one input from another.
//! Guarantee: nothing is consumed, and nothing waits.
//! Side effect: for some microseconds this process is one more reader of the pipe or holder of the socket, so that a
//! writer whose reader ends in that moment hears of it at its next write rather than at this one.

use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, tee};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
use std::os::fd::OwnedFd;

/// Bytes that are looked at at the most: what a pipe holds as a rule.
const WAITING_MAX: usize = 64 * 1024;
/// File systems of which the kernel's inode number is that which `stat` shows: pipes, sockets, pseudo terminals.
const PLAIN: [i64; 3] = [0x5049_5045, 0x534f_434b, 0x1cd1];

/// The standard input of a process.
#[derive(Debug, Clone)]
pub(super) struct Input {
    kind: FileType,
    /// Inode and device in the kernel's own form; 0 where `stat` may show others than the kernel uses.
    pub(super) inode: u64,
    pub(super) device: u32,
}

impl Input {
    /// What descriptor 0 of a process leads to; None where it is closed, or the process gone.
    pub(super) fn of(pid: u32) -> Option<Self> {
        let path = format!("/proc/{pid}/fd/0");
        let handle = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()?;
        let stat = rustix::fs::fstat(&handle).ok()?;
        #[allow(clippy::unnecessary_cast, reason = "the field's type differs between architectures")]
        let is_plain = rustix::fs::fstatfs(&handle).is_ok_and(|found| PLAIN.contains(&(found.f_type as i64)));
        let (inode, device) =
            if is_plain { (stat.st_ino, crate::running::kernel_device(stat.st_dev)) } else { (0, 0) };
        Some(Self { kind: FileType::from_raw_mode(stat.st_mode), inode, device })
    }

    /// The bytes that lie in it unread. None of a terminal.
    pub(super) fn waiting(&self, pid: u32) -> Vec<u8> {
        let seen = match self.kind {
            FileType::Fifo => in_pipe(pid),
            FileType::Socket => in_socket(pid),
            _ => return Vec::new(),
        };
        seen.unwrap_or_else(|error| {
            tracing::debug!(%error, pid, "what waits on standard input could not be looked at");
            Vec::new()
        })
    }
}

fn in_pipe(pid: u32) -> Result<Vec<u8>, Errno> {
    let (ours, into) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    // As many buffers as the other pipe may have; where the system's limit is reached, the first ones have to do.
    let _ = fcntl_setpipe_size(&into, WAITING_MAX);
    {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let theirs = rustix::fs::openat(CWD, format!("/proc/{pid}/fd/0"), flags, Mode::empty())?;
        match tee(&theirs, &into, WAITING_MAX, SpliceFlags::NONBLOCK) {
            Ok(_) | Err(Errno::AGAIN) => {}
            Err(error) => return Err(error),
        }
    }
    drop(into);
    let mut bytes = vec![0; WAITING_MAX];
    let mut filled = 0;
    while filled < bytes.len() {
        match rustix::io::read(&ours, &mut bytes[filled..])? {
            0 => break,
            count => filled += count,
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

fn in_socket(pid: u32) -> Result<Vec<u8>, Errno> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH)?;
    let process: OwnedFd = pidfd_open(pid, PidfdFlags::empty())?;
    let theirs = pidfd_getfd(&process, 0, PidfdGetfdFlags::empty())?;
    let mut bytes = vec![0; WAITING_MAX];
    match recv(&theirs, &mut bytes[..], RecvFlags::PEEK | RecvFlags::DONTWAIT) {
        Ok((count, _)) => bytes.truncate(count),
        Err(Errno::AGAIN) => bytes.clear(),
        Err(error) => return Err(error),
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::process::{Command, Stdio};

    #[test]
    fn what_lies_in_a_pipe_is_seen_and_left_there() {
        let mut command = Command::new("cat");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        // Stopped, so that it does not read yet.
        let pid = Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
        let status = format!("/proc/{}/stat", child.id());
        while !std::fs::read_to_string(&status).unwrap().contains(") T ") {
            std::thread::yield_now();
        }
        let already = Input::of(child.id()).unwrap();
        let before = already.waiting(child.id());
        child.stdin.as_mut().unwrap().write_all(b"echo 1\n").unwrap();
        assert_eq!(already.waiting(child.id()), b"echo 1\n");
        assert_eq!(already.waiting(child.id()), b"echo 1\n", "it is still there");
        assert!(before.is_empty());
        rustix::process::kill_process(pid, rustix::process::Signal::CONT).unwrap();
        drop(child.stdin.take());
        assert_eq!(child.wait_with_output().unwrap().stdout, b"echo 1\n");
    }
}
