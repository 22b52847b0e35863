//! The processes of urva as its supervisor sees them: this same program, started in another role.

use super::link::Replaced;
use super::sensor_process::spawn;
use super::supervisor::Event;
use crate::clock;
use anyhow::Context;
use evidence::Timestamp;
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsString;
use std::fmt;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;

/// The program itself, even where its file was replaced meanwhile: both halves must be one version.
pub(super) const THIS_PROGRAM: &str = "/proc/self/exe";

/// What a child does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Role {
    /// Captures.
    Sensor,
    /// Judges and stores.
    Detector,
    /// Serves the API.
    Server,
    /// Tells outputs of findings.
    Sender,
}

/// What the children get of the command line.
#[derive(Debug, Clone)]
pub(super) struct Arguments {
    /// Global options, with absolute paths.
    pub(super) common: Vec<OsString>,
    /// How the detector shows findings.
    pub(super) format: String,
    /// How often the server was started again so far.
    pub(super) restarts: u64,
}

/// A running child.
pub(super) struct Child {
    pub(super) role: Role,
    pub(super) started_at: Timestamp,
    pub(super) pid: Pid,
    has_ended: Arc<AtomicBool>,
}

impl Child {
    /// Starts a child with `socket` as its standard input; its end is told to `events`.
    pub(super) fn start(
        role: Role,
        socket: OwnedFd,
        arguments: &Arguments,
        replaced: Option<&Replaced>,
        events: &Sender<Event>,
    ) -> anyhow::Result<Self> {
        let mut command = Command::new(THIS_PROGRAM);
        command.arg0("urva").args(&arguments.common).arg("process").arg(role.to_string());
        command.arg("--format").arg(&arguments.format);
        if role == Role::Server {
            command.arg("--restarts").arg(arguments.restarts.to_string());
        }
        if let Some(Replaced { since, reason }) = replaced {
            command.arg("--gone-since").arg(since.0.to_string()).arg("--because").arg(reason);
        }
        command.stdin(Stdio::from(socket));
        let mut child = command.spawn().with_context(|| format!("starting the {role}"))?;
        let pid = Pid::from_child(&child);
        let has_ended = Arc::new(AtomicBool::new(false));
        let (events, ended) = (events.clone(), Arc::clone(&has_ended));
        spawn("urva-waiter", move || {
            if let Ok(status) = child.wait() {
                ended.store(true, Ordering::Release);
                let _ = events.send(Event::Ended(role, pid, status));
            }
        })?;
        Ok(Self { role, started_at: clock::now(), pid, has_ended })
    }

    pub(super) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Acquire)
    }

    /// Ends it at once.
    pub(super) fn kill(&self) {
        if !self.has_ended() {
            // It may have ended between the question and the signal; its id is not given away before the wait.
            let _ = kill_process(self.pid, Signal::KILL);
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sensor => "sensor",
            Self::Detector => "detector",
            Self::Server => "server",
            Self::Sender => "sender",
        })
    }
}
