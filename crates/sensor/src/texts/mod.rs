//! Texts that interpreters compile while they run: decoded layers, second stages, imported modules, what Bash evaluates.
//!
//! ```text
//! exec ─▶ reader ─▶ images: attach to the interpreter's file, once
//!            └▶ executions: who runs what
//! ring ─▶ poll thread ─▶ texts (bounded, lossy, counted) ─▶ texts thread ─▶ seen
//! ```
//!
//! Guarantee: where the probe is attached, each text of a process is handed out once, as the compiler got it, unless its
//! verdict is known to be harmless.
//! Blind spots: those of `bpf/texts.bpf.c` and of `images`.

mod assemble;
mod executions;
mod images;
mod later;
mod probe;

use crate::capture;
use crate::error::SensorError;
use crate::executable::{Catalogue, Kind};
use crate::hold::{Holds, Release};
use crate::running;
use crate::sensor::{Seen, Shared, spawn};
use crate::wire::value;
use assemble::{Text, TextAssembler};
use evidence::{
    Capture, Compiled, CompiledBy, Content, CoverageNote, Family, Gap, GapKind, Script, ScriptKind,
    Timestamp, Untrusted,
};
pub(crate) use executions::Executions;
use images::Started;
pub(crate) use probe::TextSettings;
pub(crate) use probe::TextTables;
use probe::{TextCounts, TextProbe, TextRing};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

/// Texts that wait to be handed on.
const TEXTS_MAX: usize = 16_384;
/// Bytes that they may take together.
const TEXTS_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Processes that wait for the probe to be attached to their interpreter.
const PROCESSES_MAX: usize = 1024;
/// How often the counters are read.
const COUNTERS_EVERY: Duration = Duration::from_secs(1);

/// The probe of texts, loaded and not yet attached to any file.
pub(crate) struct Texts {
    probe: TextProbe,
    ring: TextRing,
    texts: Receiver<Text>,
    shared: Arc<Losses>,
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

#[derive(Default)]
struct Losses {
    waiting: AtomicU64,
    queue_full: AtomicU64,
    undecodable: AtomicU64,
}

impl Texts {
    /// Loads the probe.
    pub(crate) fn load(settings: &TextSettings<'_>) -> Result<Self, SensorError> {
        let (sender, texts) = sync_channel(TEXTS_MAX);
        let shared = Arc::new(Losses::default());
        let mut assembler = TextAssembler::default();
        let losses = Arc::clone(&shared);
        let (probe, ring, tables) =
            probe::load(settings, move |record| losses.take(record, &mut assembler, &sender))?;
        Ok(Self { probe, ring, texts, shared, tables: Arc::new(tables) })
    }

    /// Whether attaching needs `CAP_PERFMON` beside `CAP_BPF`.
    pub(crate) fn needs_perfmon(&self) -> bool {
        !self.probe.is_multi()
    }

    /// Starts the threads that attach, read and hand on. They end when `wake` is readable.
    pub(crate) fn start(
        self,
        wake: OwnedFd,
        executions: Arc<Executions>,
        holds: Arc<Holds>,
        catalogue: &Arc<Catalogue>,
        settings: &Shared,
        seen: &SyncSender<Seen>,
    ) -> Result<Watching, SensorError> {
        let Self { probe, ring, texts, shared, tables } = self;
        let (processes, to_attach) = sync_channel(PROCESSES_MAX);
        let now = settings.now;
        spawn("urva-attach", {
            // The sensor has ended when nobody can tell it anything: not before the probe is detached.
            let seen = seen.clone();
            move || {
                images::serve(probe, &to_attach, now);
                drop(seen);
            }
        })?;
        let counting = Counting::new(Arc::clone(&shared), Arc::clone(&tables), now);
        spawn("urva-ring", {
            let seen = seen.clone();
            move || poll(&ring, &wake, counting, &seen)
        })?;
        spawn("urva-texts", {
            let (catalogue, settings, executions) =
                (Arc::clone(catalogue), Arc::clone(settings), Arc::clone(&executions));
            let (seen, holds) = (seen.clone(), Arc::clone(&holds));
            move || {
                for text in texts {
                    shared.waiting.fetch_sub(text.bytes.len() as u64, Ordering::Relaxed);
                    let held = text.has(value::TEXT_HELD).then_some(text.process());
                    let Some(mut capture) = describe(text, &executions, &catalogue, &settings) else {
                        held.into_iter().for_each(|(pid, ticks)| holds.decide(pid, ticks, Release::Continue));
                        continue;
                    };
                    capture.held = held.is_some();
                    if seen.send(Seen::Captured(Box::new(capture))).is_err() {
                        return;
                    }
                }
            }
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

impl Losses {
    fn take(&self, record: &[u8], assembler: &mut TextAssembler, texts: &SyncSender<Text>) {
        let text = assembler.push(record).unwrap_or_else(|error| {
            tracing::warn!(%error, "a text from the kernel was refused");
            self.undecodable.fetch_add(1, Ordering::Relaxed);
            None
        });
        self.undecodable.fetch_add(assembler.take_given_up(), Ordering::Relaxed);
        let Some(text) = text else { return };
        let size = text.bytes.len() as u64;
        let is_room = self.waiting.fetch_add(size, Ordering::Relaxed) < TEXTS_BYTES_MAX;
        if !is_room || texts.try_send(text).is_err() {
            self.waiting.fetch_sub(size, Ordering::Relaxed);
            self.queue_full.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// What is needed to tell what was lost.
struct Counting {
    shared: Arc<Losses>,
    tables: Arc<TextTables>,
    now: fn() -> Timestamp,
    before: TextCounts,
    since: Timestamp,
    untold: [u64; KINDS.len()],
}

fn poll(ring: &TextRing, wake: &OwnedFd, mut counting: Counting, seen: &SyncSender<Seen>) {
    loop {
        let is_over = ring.consume(wake.as_fd(), COUNTERS_EVERY);
        if is_over || (counting.now)().since(counting.since) >= COUNTERS_EVERY {
            counting.tell(seen);
        }
        if is_over {
            return;
        }
    }
}

impl Counting {
    fn new(shared: Arc<Losses>, tables: Arc<TextTables>, now: fn() -> Timestamp) -> Self {
        Self { shared, tables, now, before: TextCounts::default(), since: now(), untold: [0; KINDS.len()] }
    }

    /// Tells what was lost since the last time. What finds no room is told the next time.
    fn tell(&mut self, seen: &SyncSender<Seen>) {
        let counts = self.tables.counts();
        let (lost, no_room) = (counts.lost - self.before.lost, counts.no_room - self.before.no_room);
        self.untold[0] += lost + no_room;
        self.untold[1] += self.shared.queue_full.swap(0, Ordering::Relaxed);
        self.untold[2] += self.shared.undecodable.swap(0, Ordering::Relaxed);
        self.before = counts;
        let to = (self.now)();
        for (untold, (kind, detail)) in self.untold.iter_mut().zip(KINDS) {
            let gap = Gap {
                kind,
                from: self.since,
                to,
                lost: Some(*untold),
                detail: detail.to_owned(),
                container: None,
            };
            if *untold > 0 && seen.try_send(Seen::Gap(Box::new(gap))).is_ok() {
                *untold = 0;
            }
        }
        self.since = to;
    }
}

/// Kinds of loss in the order in which they are counted, in words.
const KINDS: [(GapKind, &str); 3] = [
    (GapKind::KernelBufferFull, "the ring buffer of texts that were compiled at run time was full"),
    (GapKind::CaptureQueueFull, "the queue of texts that were compiled at run time was full"),
    (GapKind::UndecodableEvent, "texts that were compiled at run time were incomplete"),
];

/// Makes a capture of a text: who compiled it, where, within which script.
fn describe(
    text: Text,
    executions: &Executions,
    catalogue: &Catalogue,
    settings: &Shared,
) -> Option<Capture> {
    let header = text.header;
    let family = match header.function {
        value::TEXT_BASH => Family::Bash,
        _ => Family::CPython,
    };
    let own = text.process();
    let mut runs = own;
    let mut capture = executions.of(own).or_else(|| {
        // A fork, or a program that embeds an interpreter.
        let exec = running::read(header.pid).filter(|exec| exec.header.start_time / 10_000_000 == own.1)?;
        let parent = exec.header.parent_pid;
        runs = running::start_ticks(parent).map_or(own, |ticks| (parent, ticks));
        capture::who(&exec, family, catalogue, settings)
    })?;
    let place = executions.number(runs, header.key, header.caller);
    capture.observed_at = Timestamp(capture::booted_at((settings.now)()).0.saturating_add(header.time));
    capture.interpreter.family = family;
    let mut notes = Vec::new();
    notes.extend(text.has(value::TEXT_CUT).then_some(CoverageNote::HeadAndTail));
    notes.extend(text.has(value::TEXT_UNREADABLE).then_some(CoverageNote::TextUnreadable));
    capture.coverage.extend(notes);
    capture.compiled = Some(Compiled {
        execution: place.map(|place| place.execution),
        number: place.map_or(0, |place| place.number),
        within: place.and_then(|place| place.within),
        by: match header.function {
            value::TEXT_BASH => CompiledBy::BashEval,
            value::TEXT_PYTHON_COMPILE => CompiledBy::PythonCompile,
            _ => CompiledBy::PythonExec,
        },
        name: (!text.has(value::TEXT_NAMELESS)).then(|| name(header.function, &header.name)).flatten(),
        key: header.key,
    });
    let content = if text.has(value::TEXT_CUT) {
        Content::HeadAndTail { head: text.bytes.into(), tail: Untrusted::default(), omitted: 1 }
    } else {
        Content::Whole(text.bytes.into())
    };
    capture.script = Script::new(ScriptKind::Compiled, content);
    Some(capture)
}

/// The name that the text was given: a string in Bash, an object in Python's `compile`, none in `exec`.
fn name(function: u32, bytes: &[u8]) -> Option<Untrusted> {
    let text = match function {
        value::TEXT_BASH => bytes,
        value::TEXT_PYTHON_COMPILE => python_name(bytes)?,
        _ => return None,
    };
    let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
    (end > 0).then(|| text[..end].into())
}

/// The characters of a compact ASCII string object: they lie behind four words and the state, before 3.12 behind one
/// pointer more, which is null as a rule.
fn python_name(object: &[u8]) -> Option<&[u8]> {
    const ASCII_AND_COMPACT: u32 = 0b0110_0000;
    let word = |at: usize| Some(u64::from_le_bytes(object.get(at..at + 8)?.try_into().ok()?));
    let length = usize::try_from(word(16)?).ok()?;
    let state = u32::try_from(word(32)? & 0xffff_ffff).ok()?;
    if state & ASCII_AND_COMPACT != ASCII_AND_COMPACT {
        return None;
    }
    let start = if word(40)? == 0 { 48 } else { 40 };
    let text = &object[start..];
    Some(&text[..length.min(text.len())])
}
