//! Whether urva's own processes are at work: the supervisor watches the sensor and the detector, the sensor the supervisor.
//!
//! Owns: the canary, the answers to it, and what their absence means. The supervisor executes itself every two
//! seconds; the probe must see that, and what was sent because of it must pass the whole way to the detector and back.
//! Refuses: restarting by itself what is only slow. A full disk or a busy machine passes; what is in memory would not.

use super::CANARY;
use super::children::{Role, THIS_PROGRAM};
use super::link::Word;
use crate::clock;
use evidence::{Gap, GapKind, Timestamp};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, getppid, kill_process};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How often a canary is executed.
const PERIOD: Duration = Duration::from_millis(2200);
/// How long its answers may take. Then the next one is executed at once.
const ANSWERED_WITHIN: Duration = Duration::from_millis(600);
/// After so many canaries without an answer something is wrong: together less than five seconds. A disk may well need one
/// or two for all that a container has just written.
const MISSED_MAX: u32 = 4;
/// So long the supervisor may be silent.
const SILENT_MAX: Duration = Duration::from_millis(4300);

/// What is known of the last canary.
pub(super) struct Watch {
    canary: Option<Child>,
    heard: Heard,
    missed: u32,
    /// The last time that everything was as it should be.
    well_at: Timestamp,
}

/// Which answers came since the last canary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Heard {
    here: bool,
    seen: bool,
    stored: bool,
}

impl Heard {
    const ALL: Self = Self { here: true, seen: true, stored: true };
}

/// What to do.
#[derive(Debug)]
pub(super) enum Finding {
    /// All is well, or it is too early to tell.
    Nothing,
    /// To be recorded.
    Record(Gap),
    /// The probe is gone: the sensor has to start again, and this is to be recorded.
    Restart(Gap),
}

impl Watch {
    pub(super) fn new() -> Self {
        // Nothing was asked yet.
        Self { canary: None, heard: Heard::ALL, missed: 0, well_at: clock::now() }
    }

    /// The sensor has answered.
    pub(super) fn hear(&mut self, word: Word) {
        match word {
            Word::Watching | Word::Holding(_) => {}
            Word::Here => self.heard.here = true,
            Word::Seen => self.heard.seen = true,
            Word::Stored => {
                self.heard.stored = true;
                self.bury_canary();
            }
        }
    }

    /// The canary has ended, unless it is kept from the processor; nobody needs to see it among the processes until the next one.
    fn bury_canary(&mut self) {
        if self.canary.as_mut().is_some_and(|canary| matches!(canary.try_wait(), Ok(Some(_)))) {
            self.canary = None;
        }
    }

    /// How long to wait until the last canary is judged and the next one executed.
    pub(super) fn pause(&self) -> Duration {
        if self.heard == Heard::ALL { PERIOD } else { ANSWERED_WITHIN }
    }

    /// Judges the answers to the last canary.
    pub(super) fn judge(&mut self, processes: [(Role, Pid); 2]) -> Finding {
        let heard = std::mem::take(&mut self.heard);
        if heard == Heard::ALL {
            (self.missed, self.well_at) = (0, clock::now());
            return Finding::Nothing;
        }
        let stopped = processes.into_iter().find(|(_, pid)| is_stopped(*pid));
        if let Some((role, pid)) = stopped {
            let detail = format!("the {role} (process {}) was stopped", pid.as_raw_nonzero());
            return Finding::Record(self.gap(GapKind::ProcessStopped, go_on(pid, &detail)));
        }
        self.missed += 1;
        if self.missed != MISSED_MAX {
            return Finding::Nothing;
        }
        if heard.here && !heard.seen {
            let detail = "the probe does not see what is executed: somebody removed it";
            return Finding::Restart(self.gap(GapKind::ProbeRemoved, detail.to_owned()));
        }
        let detail = if heard.here {
            "nothing that is seen reaches the disk: the detector does not get to work, or cannot write"
        } else {
            "the sensor does not get to work"
        };
        Finding::Record(self.gap(GapKind::Starved, detail.to_owned()))
    }

    /// Executes a canary. The one before has ended long since, or is ended now.
    pub(super) fn send_canary(&mut self) {
        if let Some(mut before) = self.canary.take() {
            let _ = before.kill();
            let _ = before.wait();
        }
        let mut command = Command::new(THIS_PROGRAM);
        command.arg0("urva").arg(CANARY).env_clear();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        match command.spawn() {
            Ok(canary) => self.canary = Some(canary),
            // Without a canary no answer can be expected.
            Err(error) => {
                tracing::warn!(%error, "no process could be started to see whether the probe sees it");
                self.heard = Heard::ALL;
            }
        }
    }

    fn gap(&self, kind: GapKind, detail: String) -> Gap {
        Gap { kind, from: self.well_at, to: clock::now(), lost: None, detail, container: None }
    }
}

/// What the sensor knows of the supervisor.
pub(super) struct Supervisor {
    pid: Option<Pid>,
    spoke_at: Timestamp,
    is_told: bool,
}

impl Supervisor {
    pub(super) fn new() -> Self {
        Self { pid: getppid(), spoke_at: clock::now(), is_told: false }
    }

    /// Waits a while for the supervisor. Returns whether it has something to say, or is gone.
    pub(super) fn speaks(&mut self, control: impl AsFd) -> bool {
        let mut ready = [PollFd::new(&control, PollFlags::IN)];
        let timeout = Timespec::try_from(SILENT_MAX).ok();
        match poll(&mut ready, timeout.as_ref()) {
            Ok(0) => false,
            _ => {
                (self.spoke_at, self.is_told) = (clock::now(), false);
                true
            }
        }
    }

    /// What the silence means, told once. A stopped supervisor is told to go on.
    pub(super) fn absent(&mut self) -> Option<Gap> {
        let pid = self.pid.filter(|pid| is_stopped(*pid) && !self.is_told)?;
        self.is_told = true;
        let detail = go_on(pid, &format!("the supervisor (process {}) was stopped", pid.as_raw_nonzero()));
        let kind = GapKind::ProcessStopped;
        Some(Gap { kind, from: self.spoke_at, to: clock::now(), lost: None, detail, container: None })
    }
}

/// Tells a stopped process to go on, and says so. One that a debugger holds stays stopped.
fn go_on(pid: Pid, detail: &str) -> String {
    match kill_process(pid, Signal::CONT) {
        Ok(()) => format!("{detail}; it was told to go on"),
        Err(error) => format!("{detail}; it could not be told to go on: {error}"),
    }
}

/// Whether a process is stopped by a signal or a debugger.
fn is_stopped(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    // The name before it may hold anything.
    stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with(['T', 't']))
}
