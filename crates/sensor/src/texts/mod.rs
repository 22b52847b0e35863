//! Texts that interpreters compile while they run: decoded layers, second stages, imported modules, what Bash evaluates.
//!
//! ```text
//! exec ─▶ reader ─▶ images: attach to the interpreter's file, once
//!            └▶ executions: who runs what
//! ring ─▶ ring thread ─▶ waiting: turns, and the script that a text belongs to ─▶ texts thread ─▶ seen
//! ```
//!
//! Guarantee: where the probe is attached, each text of a process is handed out once, as the compiler got it, unless its
//! verdict is known to be harmless.
//! Blind spots: those of `bpf/texts.bpf.c` and of `images`.

mod assemble;
mod describe;
mod executions;
mod images;
mod later;
mod probe;
mod waiting;

use crate::error::SensorError;
use crate::executable::Kind;
use crate::hold::{Holds, Release};
use crate::losses::{Tally, What};
use crate::sensor::{Seen, spawn};
use crate::wire::value;
use assemble::{Text, TextAssembler};
pub(crate) use describe::Describing;
use evidence::{Family, GapKind};
pub(crate) use executions::Executions;
use images::Started;
use probe::{TextProbe, TextRing};
pub(crate) use probe::{TextSettings, TextTables};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;
pub(crate) use waiting::Waiting;

/// Processes that wait for the probe to be attached to their interpreter.
const PROCESSES_MAX: usize = 1024;
/// How long the thread that empties the ring sleeps where nothing comes. A wake-up costs some 10 µs.
const IDLE: Duration = Duration::from_secs(60);

/// The probe of texts, loaded and not yet attached to any file.
pub(crate) struct Texts {
    probe: TextProbe,
    ring: TextRing,
    tables: Arc<TextTables>,
}

/// The faces of the threads that serve it.
#[derive(Clone)]
pub(crate) struct Watching {
    processes: Option<SyncSender<Started>>,
    pub(crate) executions: Arc<Executions>,
    tables: Option<Arc<TextTables>>,
    pub(crate) holds: Arc<Holds>,
}

impl Texts {
    /// Loads the probe. Its texts wait in `waiting`; what finds no room there is counted in `tally`, and let go.
    pub(crate) fn load(
        settings: &TextSettings<'_>,
        waiting: &Arc<Waiting>,
        tally: Arc<Tally>,
        holds: Arc<Holds>,
    ) -> Result<Self, SensorError> {
        let mut intake =
            Intake { assembler: TextAssembler::default(), waiting: Arc::clone(waiting), tally, holds };
        let (probe, ring, tables) = probe::load(settings, move |record| intake.take(record))?;
        Ok(Self { probe, ring, tables: Arc::new(tables) })
    }

    /// Whether attaching needs `CAP_PERFMON` beside `CAP_BPF`.
    pub(crate) fn needs_perfmon(&self) -> bool {
        !self.probe.is_multi()
    }

    /// Starts the threads that attach, read and hand on. They end when `wake` is readable.
    pub(crate) fn start(
        self,
        wake: OwnedFd,
        describing: Describing,
        holds: Arc<Holds>,
        seen: &SyncSender<Seen>,
    ) -> Result<Watching, SensorError> {
        let Self { probe, ring, tables } = self;
        let (processes, to_attach) = sync_channel(PROCESSES_MAX);
        let now = describing.settings.now;
        spawn("urva-attach", {
            // The sensor has ended when nobody can tell it anything: not before the probe is detached.
            let seen = seen.clone();
            move || {
                images::serve(probe, &to_attach, now);
                drop(seen);
            }
        })?;
        let waiting = Arc::clone(&describing.executions.waiting);
        spawn("urva-ring", move || {
            while !ring.consume(wake.as_fd(), IDLE) {}
            waiting.close();
        })?;
        let executions = Arc::clone(&describing.executions);
        spawn("urva-texts", {
            let (seen, holds) = (seen.clone(), Arc::clone(&holds));
            move || hand_on(&describing, &holds, &seen)
        })?;
        Ok(Watching { processes: Some(processes), executions, tables: Some(tables), holds })
    }
}

impl Watching {
    /// Where the kernel lets nobody watch texts.
    pub(crate) fn nothing(executions: Arc<Executions>, holds: Arc<Holds>) -> Self {
        Self { processes: None, executions, tables: None, holds }
    }

    /// The process executes an interpreter: its texts shall be seen.
    pub(crate) fn watch(&self, pid: u32, family: Family) {
        let has_texts = matches!(family, Family::CPython | Family::Bash);
        if let Some(processes) = self.processes.as_ref().filter(|_| has_texts)
            && processes.try_send(Started::Interpreter(pid)).is_err()
        {
            tracing::debug!(pid, "too many processes wait for the probe of texts");
        }
    }

    /// The process executes a program that is no interpreter, and may hold one all the same.
    pub(crate) fn watch_program(&self, pid: u32, kind: Kind) {
        let started = match kind {
            Kind::Embedding => Started::Interpreter(pid),
            Kind::Other { loads: true } => Started::MayLoad(pid),
            _ => return,
        };
        if let Some(processes) = &self.processes
            && processes.try_send(started).is_err()
        {
            tracing::debug!(pid, "too many processes wait for the probe of texts");
        }
    }

    /// The probe's tables, where there is a probe.
    pub(crate) fn tables(&self) -> Option<Arc<TextTables>> {
        self.tables.clone()
    }
}

/// What the thread that empties the ring works with.
struct Intake {
    assembler: TextAssembler,
    waiting: Arc<Waiting>,
    tally: Arc<Tally>,
    holds: Arc<Holds>,
}

impl Intake {
    fn take(&mut self, record: &[u8]) {
        let text = self.assembler.push(record).unwrap_or_else(|error| {
            tracing::warn!(%error, "a text from the kernel was refused");
            self.tally.add(0, What::Texts, GapKind::UndecodableEvent, 1);
            None
        });
        self.tally.add(0, What::Texts, GapKind::UndecodableEvent, self.assembler.take_given_up());
        let Some(text) = text else { return };
        for (budget, lost) in self.waiting.push(text) {
            self.tally.add(budget, What::Texts, GapKind::CaptureQueueFull, 1);
            let_go(&lost, &self.holds);
        }
    }
}

/// Nobody will judge this text: its process goes on.
fn let_go(text: &Text, holds: &Holds) {
    if text.has(value::TEXT_HELD) {
        let (pid, ticks) = text.process();
        holds.decide(pid, ticks, Release::Continue);
    }
}

/// Describes and hands on texts until none comes any more.
fn hand_on(describing: &Describing, holds: &Holds, seen: &SyncSender<Seen>) {
    let executions = &describing.executions;
    while let Some((text, of_script)) = executions.waiting.next(executions) {
        let held = text.has(value::TEXT_HELD).then_some(text.process());
        let Some(mut capture) = describing.describe(text, of_script) else {
            held.into_iter().for_each(|(pid, ticks)| holds.decide(pid, ticks, Release::Continue));
            continue;
        };
        capture.held = held.is_some();
        if seen.send(Seen::Captured(Box::new(capture))).is_err() {
            return;
        }
    }
}
