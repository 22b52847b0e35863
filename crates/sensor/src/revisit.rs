//! Scripts that run for longer: their files are looked at again, since a shell reads on while it runs, and what was read when the
//! process started need not be what its interpreter opened.
//!
//! Guarantee: of Bash, dash and BusyBox the file is looked at that they hold open, whatever lies at its path by then: 30 ms
//! after the start, then with pauses that grow to half a minute. What is another file, or changed, is read again and
//! judged; the capture says so.
//! Blind spots: text that is put in place and taken away between two looks; other interpreters close the file that they
//! have read, so for them the path is looked at, and for 3 s only. A shell that was stopped before it opened its file is looked
//! at for as long as it lives.

use crate::capture::boot_time;
use crate::error::SensorError;
use crate::file::{OpenFile, Root};
use crate::running::start_ticks;
use crate::sensor::{Seen, Shared, spawn};
use evidence::{Capture, Content, CoverageNote, Family, FileIdentity, NotCaptured, ScriptKind, WholeFile};
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

/// When a script is looked at, from one time to the next, in ms: seldom while nothing happens, and soon while it is young. The
/// last pause again and again.
const PAUSES_MS: [u64; 8] = [30, 70, 200, 700, 2_000, 7_000, 20_000, 30_000];
/// Looks at a path, rather than at an open file.
const PATH_LOOKS: usize = 5;
/// Scripts that are looked at; more are not looked at again.
const SCRIPTS_MAX: usize = 4096;
/// Scripts that wait to be taken in.
const WAITING_MAX: usize = 1024;
/// How often one script is read again.
const READ_AGAIN_MAX: u32 = 64;
/// Looks that fall into this time are taken together: one wake-up serves them all.
const TOGETHER: Duration = Duration::from_millis(10);

/// Where scripts are handed in.
#[derive(Clone)]
pub(crate) struct Revisits(SyncSender<Box<Script>>);

/// One that runs.
struct Script {
    /// Without its text.
    capture: Capture,
    identity: FileIdentity,
    looks: usize,
    read_again: u32,
}

/// Starts the thread that looks. It ends when nobody can hand in any more.
pub(crate) fn start(settings: Shared, seen: SyncSender<Seen>) -> Result<Revisits, SensorError> {
    let (sender, scripts) = sync_channel(WAITING_MAX);
    spawn("urva-revisit", move || serve(&scripts, &settings, &seen))?;
    Ok(Revisits(sender))
}

impl Revisits {
    /// Looks at the script's file again, where it has one.
    pub(crate) fn add(&self, capture: &Capture) {
        let Some(file) = capture.script.file.as_ref().filter(|_| capture.script.kind == ScriptKind::File)
        else {
            return;
        };
        let identity = file.identity;
        let mut capture = capture.clone();
        capture.script.content = Content::NotCaptured(NotCaptured::ProcessGone);
        // A queue that is full leaves the script as it is: read once.
        let _ = self.0.try_send(Box::new(Script { capture, identity, looks: 0, read_again: 0 }));
    }
}

fn serve(scripts: &Receiver<Box<Script>>, settings: &Shared, seen: &SyncSender<Seen>) {
    // By the boot time at which each is due, and a number that makes them different.
    let mut due: BTreeMap<(u64, u64), Box<Script>> = BTreeMap::new();
    let mut number = 0;
    loop {
        let next = due.first_key_value().map(|((at, _), _)| *at);
        let wait = next.map(|at| Duration::from_nanos(at.saturating_sub(boot_time())) + TOGETHER);
        let script = match wait {
            Some(wait) => scripts.recv_timeout(wait),
            None => scripts.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        let now = boot_time();
        let mut ready = Vec::new();
        match script {
            Ok(script) => ready.push(script),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        if next.is_some_and(|at| at <= now) {
            let later = due.split_off(&(now, u64::MAX));
            for mut script in std::mem::replace(&mut due, later).into_values() {
                if script.look(settings, seen) {
                    ready.push(script);
                }
            }
        }
        for mut script in ready.into_iter().take(SCRIPTS_MAX.saturating_sub(due.len())) {
            let pause = PAUSES_MS[script.looks.min(PAUSES_MS.len() - 1)];
            script.looks += 1;
            number += 1;
            due.insert((now + pause * 1_000_000, number), script);
        }
    }
}

impl Script {
    /// Looks once. Returns whether it shall be looked at again.
    fn look(&mut self, settings: &Shared, seen: &SyncSender<Seen>) -> bool {
        let process = &self.capture.process;
        if start_ticks(process.pid) != Some(process.start_ticks) || !self.runs_the_interpreter() {
            return false;
        }
        let namespace = process.namespaces.mount;
        let Some(root) = Root::of(process.pid, process.pid_in_container, namespace) else { return false };
        let (file, goes_on) = match self.descriptor() {
            Some(number) => (self.held_open(&root, number), true),
            None => (self.at_path(&root), self.looks < PATH_LOOKS),
        };
        let Some(file) = file else { return goes_on };
        self.identity = file.identity;
        self.read_again += 1;
        if let Some(capture) = self.read(&file, settings) {
            // Nobody listens any more when the sensor is dropped.
            let _ = seen.send(Seen::Completed(Box::new(capture)));
        }
        goes_on && self.read_again < READ_AGAIN_MAX
    }

    /// Where a shell keeps its script open.
    fn descriptor(&self) -> Option<u32> {
        match self.capture.interpreter.family {
            Family::Bash => Some(255),
            Family::Dash | Family::Busybox => Some(10),
            Family::CPython | Family::PyPy | Family::Zsh => None,
        }
    }

    /// The process may have executed something else since, which has a capture of its own.
    fn runs_the_interpreter(&self) -> bool {
        let process = &self.capture.process;
        let link = rustix::fs::readlink(format!("/proc/{}/exe", process.pid), Vec::new());
        link.is_ok_and(|link| link.as_bytes() == &process.executable.path[..])
    }

    /// The open file, where it is not in the state in which it was read.
    fn held_open(&self, root: &Root, number: u32) -> Option<OpenFile> {
        // It is not open yet, or it is something that holds no script.
        let file = root.open(format!("/proc/self/fd/{number}").as_bytes()).ok()?;
        (file.identity != self.identity).then_some(file)
    }

    /// What lies at the path by now, where it is something else. Nothing there is no sign of another text.
    fn at_path(&self, root: &Root) -> Option<OpenFile> {
        let path = self.capture.script.path.as_ref()?;
        let file = root.open(path).ok()?;
        (file.identity != self.identity).then_some(file)
    }

    /// The capture with the text of now.
    fn read(&self, file: &OpenFile, settings: &Shared) -> Option<Capture> {
        let read = file.read(settings.content_limit).ok()?;
        let mut capture = self.capture.clone();
        let is_cut = matches!(read.content, Content::HeadAndTail { .. });
        for (note, is_true) in [
            (CoverageNote::IdentityChanged, true),
            (CoverageNote::HeadAndTail, is_cut),
            (CoverageNote::HashIncomplete, read.hash.is_none()),
        ] {
            capture.coverage.remove(&note);
            capture.coverage.extend(is_true.then_some(note));
        }
        capture.script.file = Some(WholeFile {
            identity: file.identity,
            sha256: read.hash.map(|(sha256, _)| sha256),
            hashed_size: read.hash.map_or(0, |(_, size)| size),
        });
        capture.script.content = read.content;
        Some(capture)
    }
}
