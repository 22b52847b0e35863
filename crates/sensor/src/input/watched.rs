//! The processes that are watched, and the thread that turns what they read into captures.
//!
//! Owns: texts and their bound in bytes, the moments at which they are handed on, the ends of watches.
//! Refuses: waiting. A capture that finds no room is offered again; the ring is emptied meanwhile.

use super::pipe::Input;
use super::probe::{Attached, HoldAt, InputEvent, Probe, kind, wait};
use super::text::{Growing, Pace};
use super::{Inputs, Key, is_typed, lock};
use crate::capture::boot_time;
use crate::hold::Release;
use crate::losses::{Tally, What};
use crate::sensor::{Seen, Stop};
use evidence::{Capture, Content, CoverageNote, GapKind};
use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::Duration;

/// Bytes of text that all processes together may hold; beyond that, those that grow keep less.
const BYTES_MAX: usize = 64 * 1024 * 1024;
/// What a text keeps of head and tail then.
const SHRUNK: usize = 64 * 1024;
/// How long records may gather before they are read: each wake-up costs some 25 µs, and Bash reads byte by byte.
const GATHER: Duration = Duration::from_millis(3);
/// How soon a capture that found no room is offered again.
const AGAIN_NS: u64 = 20_000_000;
/// How long a text waits for its capture after its process has ended.
const UNCLAIMED_NS: u64 = 30_000_000_000;
/// How often one process is held for what it reads.
const PIECES_MAX: u32 = 1000;
/// Execs of which one half may be waiting.
const HALVES_MAX: usize = 4096;
/// The longest that a watch is left unlooked at.
const LONGEST_NS: u64 = 3_600_000_000_000;

/// A number for a watch, which is used once.
pub(super) fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// See the module.
pub(super) struct Watched {
    tally: Arc<Tally>,
    by_id: HashMap<u64, Process>,
    /// Execs of which one half is known: the watch or the capture.
    halves: HashMap<Key, Half>,
    bytes: usize,
    /// The sensor is ending: nothing more is accepted.
    is_closed: bool,
}

/// What is known of an exec on whose input there may be a script.
enum Half {
    /// Neither is there.
    Expected,
    /// The capture, or that nobody is interested in it; probes are still to be put in place.
    Capture(Option<Box<Capture>>),
    /// The watch has begun, or cannot (`None`); whose text it is, is still to be found out.
    Watch(Option<u64>),
}

/// What came of putting both halves together.
#[derive(Default)]
pub(super) struct Joined {
    /// The capture whose text will not come.
    pub(super) refused: Option<Capture>,
    /// The watch that nobody is interested in.
    pub(super) over: Option<(u64, Process)>,
}

/// What is known of a process when its watch begins.
pub(super) struct Beginning {
    /// None where it had ended.
    pub(super) input: Option<Input>,
    /// What lay in its input.
    pub(super) early: Vec<u8>,
    pub(super) hold_at: HoldAt,
    /// Whether it may have read before.
    pub(super) is_late: bool,
    pub(super) has_ended: bool,
}

/// One process that is watched.
pub(super) struct Process {
    pub(super) pid: u32,
    /// On whose budget it was executed.
    budget: u64,
    /// Whose text it is; none until that is found out.
    capture: Option<Capture>,
    /// The exec whose texts wait until this one is handed on.
    awaited: Option<Key>,
    text: Growing,
    pace: Pace,
    /// When the last byte came, in nanoseconds since the host's start.
    last_at: u64,
    has_ended: bool,
    /// Whether it was seen to read the end of its input.
    is_drained: bool,
    /// Whether it may have read before it was watched.
    is_late: bool,
    /// Whether it reads on and nobody sees it.
    is_cut: bool,
    pub(super) attached: Option<Attached>,
    /// Where it reads from.
    input: Option<Input>,
    hold_at: HoldAt,
    /// It is stopped until somebody lets it go.
    waits: bool,
    /// What lies in its input while it is stopped.
    ahead: Ahead,
    /// Up to where its reads need not be held: what lay in its input when it was judged last.
    allowed: u64,
    /// Times that it was held and judged.
    pieces: u32,
}

/// What lies in the input of a process that is stopped.
enum Ahead {
    Unknown,
    /// Somebody looks.
    Asked,
    Known(Vec<u8>),
}

/// Somebody shall look what lies in an input. It can take as long as a container likes that writes there meanwhile.
pub(super) struct Look {
    pub(super) id: u64,
    pub(super) pid: u32,
    pub(super) input: Input,
}

/// What is done with processes, and with what is known of them.
pub(super) trait Hands {
    /// Hands something on. Returns whether there was room.
    fn offer(&mut self, seen: Seen) -> bool;
    /// Lets a process go.
    fn release(&mut self, pid: u32, ticks: u64);
    /// Has [`Watched::looked`] told what lies in an input.
    fn look(&mut self, budget: u64, look: Look);
    /// Texts that wait for the capture of this exec, on this budget, need wait no longer.
    fn settle(&mut self, budget: u64, exec: Key);
    /// Lets a process read up to a position without being stopped.
    fn allow(&mut self, pid: u32, id: u64, judged: u64);
}

impl Process {
    pub(super) fn new(pid: u32, budget: u64, text: Growing, now: u64) -> Self {
        Self {
            input: None,
            hold_at: HoldAt::Never,
            waits: false,
            ahead: Ahead::Unknown,
            allowed: 0,
            pieces: 0,
            pid,
            budget,
            capture: None,
            awaited: None,
            text,
            pace: Pace::default(),
            last_at: now,
            has_ended: false,
            is_drained: false,
            is_late: false,
            is_cut: false,
            attached: None,
        }
    }

    /// One of which nothing will be known.
    fn nothing(pid: u32, budget: u64) -> Self {
        let mut process = Self::new(pid, budget, Growing::new(0), 0);
        (process.has_ended, process.is_late, process.is_cut) = (true, true, true);
        process
    }

    /// Counts it where it was a script and not all of it was seen.
    fn count(&self, tally: &Tally) {
        let lost = match self {
            Self { capture: None, .. } => return,
            _ if self.text.has_holes() || self.is_cut => GapKind::InputLost,
            Self { is_late: true, .. } => GapKind::InputLate,
            _ => return,
        };
        tally.add(self.budget, What::Execs, lost, 1);
    }

    fn take(&mut self, event: &InputEvent, bytes: &[u8], now: u64) {
        match event.kind {
            kind::BYTES => {
                self.text.push(event.position, bytes);
                self.last_at = now;
            }
            kind::HELD => self.waits = true,
            kind::HELD_AT_EOF => (self.waits, self.is_drained, self.has_ended) = (true, true, true),
            // A terminal goes on after its user has typed the end.
            kind::EOF if self.capture.as_ref().is_some_and(is_typed) => {}
            kind::EOF => (self.is_drained, self.has_ended) = (true, true),
            _ => self.has_ended = true,
        }
    }

    /// In how many nanoseconds at the latest there is something to hand on; None for not before more comes.
    fn due(&self, now: u64) -> Option<u64> {
        if self.capture.is_none() {
            let waits = now.saturating_sub(self.last_at);
            return self.has_ended.then(|| UNCLAIMED_NS.saturating_sub(waits));
        }
        if self.has_ended {
            return Some(0);
        }
        self.pace.due(&self.text, now.saturating_sub(self.last_at))
    }

    /// Whose text it is was found out. Where its process is held, it waits from now on.
    fn belongs_to(&mut self, mut capture: Capture, exec: Key) {
        self.waits |= std::mem::take(&mut capture.held);
        self.capture = Some(capture);
        self.awaited = Some(exec);
    }

    /// Lets the process go that waits, or has it judged first what it has read, and what lies in its input already: then it
    /// need not be held again for that. Returns whether it was done.
    fn answer(&mut self, id: u64, hands: &mut impl Hands, tally: &Tally) -> bool {
        let Some(capture) = &self.capture else { return true };
        let (pid, ticks) = (self.pid, capture.process.start_ticks);
        let goes_on = self.hold_at == HoldAt::Lines && !self.has_ended && self.text.read() > 0;
        let ahead = match (&self.ahead, &self.input) {
            (Ahead::Asked, _) => return true,
            (Ahead::Unknown, Some(input)) if goes_on => {
                hands.look(self.budget, Look { id, pid, input: input.clone() });
                self.ahead = Ahead::Asked;
                return true;
            }
            (Ahead::Known(bytes), _) => bytes.clone(),
            _ => Vec::new(),
        };
        let is_due = self.hold_at == HoldAt::Lines || (self.hold_at == HoldAt::End && self.is_drained);
        let has_text = self.text.len() > 0 || !ahead.is_empty();
        let is_patient = self.pieces < PIECES_MAX;
        if !(is_due && has_text && is_patient) {
            if !is_patient {
                hands.allow(pid, id, u64::MAX);
                tally.add(self.budget, What::Execs, GapKind::HeldTooLong, 1);
            }
            hands.release(pid, ticks);
            (self.waits, self.ahead) = (false, Ahead::Unknown);
            return true;
        }
        self.allowed = self.allowed.max(self.text.len()).max(self.text.read() + ahead.len() as u64);
        hands.allow(pid, id, self.allowed);
        let Some(seen) = self.seen(Some(&ahead)) else { return true };
        if !hands.offer(seen) {
            return false;
        }
        self.told(hands);
        self.pace.judged(&self.text, ahead.len());
        (self.waits, self.ahead, self.pieces) = (false, Ahead::Unknown, self.pieces + 1);
        true
    }

    /// The capture was handed on, or never will be.
    fn told(&mut self, hands: &mut impl Hands) {
        if let Some(exec) = self.awaited.take() {
            hands.settle(self.budget, exec);
        }
    }

    /// The capture with the text as it is now. `ahead` is there where its process is held, and follows the text.
    fn seen(&self, ahead: Option<&[u8]>) -> Option<Seen> {
        let mut capture = self.capture.clone()?;
        let content = match (self.text.content(), ahead) {
            (Content::Whole(text), Some(ahead @ [_, ..])) => Content::Whole([&text, ahead].concat().into()),
            (content, _) => content,
        };
        capture.held = ahead.is_some();
        capture.coverage.extend((capture.held && self.pieces > 0).then_some(CoverageNote::HeldLate));
        let is_nothing = self.text.len() == 0 && (self.is_late || !self.is_drained);
        if !is_nothing {
            let notes = &mut capture.coverage;
            notes.retain(|note| !matches!(note, CoverageNote::ContentNotCaptured(_)));
            notes.extend(matches!(content, Content::HeadAndTail { .. }).then_some(CoverageNote::HeadAndTail));
            notes.extend(self.is_late.then_some(CoverageNote::InputLate));
            let is_lost = self.text.has_holes() || self.is_cut;
            notes.extend(is_lost.then_some(CoverageNote::InputLost));
            capture.script.content = content;
        }
        let capture = Box::new(capture);
        Some(if self.pace.has_begun() { Seen::Completed(capture) } else { Seen::Captured(capture) })
    }
}

impl Watched {
    /// Watches nothing yet. What is lost goes into the tally.
    pub(super) fn new(tally: Arc<Tally>) -> Self {
        Self { tally, by_id: HashMap::new(), halves: HashMap::new(), bytes: 0, is_closed: false }
    }

    /// Takes one record.
    pub(super) fn take(&mut self, event: &InputEvent, bytes: &[u8], now: u64) {
        let Some(process) = self.by_id.get_mut(&event.id) else { return };
        let before = process.text.weight();
        process.take(event, bytes, now);
        if self.bytes > BYTES_MAX {
            process.text.shrink(SHRUNK);
        }
        self.bytes = (self.bytes + process.text.weight()).saturating_sub(before);
    }

    /// An exec whose input may be watched. It must be told to [`Watched::begun`] next.
    pub(super) fn expect(&mut self, key: Key) {
        if self.halves.len() >= HALVES_MAX {
            // Their other halves were lost on the way.
            self.halves.clear();
        }
        self.halves.insert(key, Half::Expected);
    }

    /// A process whose reads are about to be seen.
    pub(super) fn enter(&mut self, id: u64, process: Process) {
        // Another watch of the same process id has ended.
        for other in self.by_id.values_mut().filter(|other| other.pid == process.pid) {
            other.has_ended = true;
        }
        self.by_id.insert(id, process);
    }

    /// What was found out about a process whose reads were seen already.
    pub(super) fn found(&mut self, id: u64, found: Beginning) {
        let Some(process) = self.by_id.get_mut(&id) else { return };
        let before = process.text.weight();
        process.text.precede(found.early);
        process.is_late = found.is_late;
        process.has_ended |= found.has_ended;
        (process.input, process.hold_at) = (found.input, found.hold_at);
        self.bytes = (self.bytes + process.text.weight()).saturating_sub(before);
    }

    /// The same of a process whose capture is known.
    pub(super) fn found_of(&mut self, id: u64, found: Beginning, capture: Capture, exec: Key) {
        self.found(id, found);
        if let Some(process) = self.by_id.get_mut(&id) {
            process.belongs_to(capture, exec);
        }
    }

    /// The watch on an exec has begun, or cannot. Returns it where nobody is interested any more.
    pub(super) fn begun(&mut self, key: Key, budget: u64, watch: Option<u64>) -> Option<(u64, Process)> {
        let half = self.halves.remove(&key);
        match half {
            Some(Half::Capture(None)) => return watch.and_then(|id| Some((id, self.remove(id)?))),
            Some(Half::Capture(Some(capture))) => {
                // Where there is no watch, the capture is handed on as it is.
                let id = watch.unwrap_or_else(next_id);
                let process = self.by_id.entry(id).or_insert_with(|| Process::nothing(key.0, budget));
                process.belongs_to(*capture, key);
            }
            // The capture is not there yet, or its exec was lost.
            Some(Half::Expected | Half::Watch(_)) | None => {
                self.halves.insert(key, Half::Watch(watch));
            }
        }
        None
    }

    /// The capture of an exec is there, or it is of no interest.
    pub(super) fn settle(&mut self, key: Key, capture: Option<Capture>) -> Joined {
        if self.is_closed {
            return Joined { refused: capture, over: None };
        }
        match self.halves.remove(&key) {
            Some(Half::Expected) => {
                self.halves.insert(key, Half::Capture(capture.map(Box::new)));
                Joined::default()
            }
            Some(Half::Watch(Some(id))) => match (self.by_id.get_mut(&id), capture) {
                (Some(process), Some(capture)) => {
                    process.belongs_to(capture, key);
                    Joined::default()
                }
                (_, refused) => Joined { refused, over: self.remove(id).map(|process| (id, process)) },
            },
            _ => Joined { refused: capture, over: None },
        }
    }

    /// Whether there is still something to watch.
    pub(super) fn is_alive(&self, id: u64) -> bool {
        self.by_id.get(&id).is_some_and(|process| !process.has_ended)
    }

    /// Gives a process its probes, or says that there are none and nothing more will be seen. Hands them back where the
    /// process is gone.
    pub(super) fn adopt(&mut self, id: u64, attached: Option<Attached>) -> Option<Attached> {
        let Some(process) = self.by_id.get_mut(&id) else { return attached };
        if attached.is_none() && !process.has_ended {
            (process.has_ended, process.is_cut) = (true, true);
        }
        process.attached = attached;
        None
    }

    /// Ends the watch on a process: what is known of it is the caller's now.
    pub(super) fn remove(&mut self, id: u64) -> Option<Process> {
        let process = self.by_id.remove(&id)?;
        self.bytes = self.bytes.saturating_sub(process.text.weight());
        Some(process)
    }

    /// Whether a process is stopped that somebody must let go.
    fn is_held_up(&self) -> bool {
        let needs_answer = |process: &Process| {
            process.waits && process.capture.is_some() && !matches!(process.ahead, Ahead::Asked)
        };
        self.by_id.values().any(needs_answer)
    }

    /// What lies in the input of a process, as it was asked for by [`Look`].
    pub(super) fn looked(&mut self, id: u64, ahead: Vec<u8>) {
        if let Some(process) = self.by_id.get_mut(&id) {
            process.ahead = Ahead::Known(ahead);
        }
    }

    /// Hands on what is due. Returns those whose watch has ended, and in how many nanoseconds to come again.
    fn hand_on(&mut self, now: u64, hands: &mut impl Hands) -> (Vec<(u64, Process)>, u64) {
        let mut next = LONGEST_NS;
        let mut over = Vec::new();
        for (id, process) in &mut self.by_id {
            if process.waits && !process.answer(*id, hands, &self.tally) {
                next = next.min(AGAIN_NS);
                continue;
            }
            match process.due(now) {
                None => continue,
                Some(wait @ 1..) => {
                    next = next.min(wait);
                    continue;
                }
                Some(0) => {}
            }
            let is_told = !process.pace.is_behind(&process.text)
                || process.seen(None).is_none_or(|seen| hands.offer(seen));
            if !is_told {
                next = next.min(AGAIN_NS);
                continue;
            }
            process.told(hands);
            process.pace.judged(&process.text, 0);
            over.extend(process.has_ended.then_some(*id));
            next = next.min(process.due(now).unwrap_or(LONGEST_NS));
        }
        let over: Vec<_> = over.into_iter().filter_map(|id| Some((id, self.remove(id)?))).collect();
        over.iter().for_each(|(_, process)| process.count(&self.tally));
        (over, next)
    }

    /// Ends all watches: what is known of them is handed on as it is.
    fn close(&mut self) -> Vec<(u64, Process)> {
        self.is_closed = true;
        self.bytes = 0;
        self.by_id.drain().collect()
    }
}

/// The hands of the thread.
struct Own<'a> {
    inputs: &'a Inputs,
    seen: &'a SyncSender<Seen>,
    looks: Vec<(u64, Look)>,
}

impl Hands for Own<'_> {
    fn offer(&mut self, seen: Seen) -> bool {
        !matches!(self.seen.try_send(seen), Err(TrySendError::Full(_)))
    }

    fn release(&mut self, pid: u32, ticks: u64) {
        self.inputs.holds.decide(pid, ticks, Release::Continue);
    }

    fn look(&mut self, budget: u64, look: Look) {
        self.looks.push((budget, look));
    }

    fn settle(&mut self, budget: u64, exec: Key) {
        self.inputs.executions.settle(budget, exec);
    }

    fn allow(&mut self, pid: u32, id: u64, judged: u64) {
        self.inputs.attacher.allow(pid, id, judged);
    }
}

/// The thread: reads the ring, hands captures on, and ends watches, until the sensor ends.
pub(super) fn serve(inputs: &Inputs, probe: &Probe, stopped: &OwnedFd, stop: &Stop, seen: &SyncSender<Seen>) {
    let mut next = LONGEST_NS;
    while !stop.is_told() {
        wait(probe, [stopped.as_fd(), inputs.wake.as_fd()], Duration::from_nanos(next));
        probe.consume();
        if !lock(&inputs.watched).is_held_up() {
            // What comes within the next moment is read with this.
            std::thread::sleep(GATHER);
        }
        let _ = rustix::io::read(&inputs.wake, &mut [0; 8]);
        probe.consume();
        let mut own = Own { inputs, seen, looks: Vec::new() };
        let (over, soonest) = lock(&inputs.watched).hand_on(boot_time(), &mut own);
        own.looks.into_iter().for_each(|(budget, look)| inputs.ask(budget, look));
        for (id, process) in over {
            inputs.end(id, process);
        }
        next = soonest;
    }
    probe.consume();
    let left = lock(&inputs.watched).close();
    for (id, process) in left {
        // Now there is time to wait for room; and nobody listens where the sensor was dropped.
        if process.pace.is_behind(&process.text) {
            process.seen(None).map(|one| seen.send(one));
        }
        inputs.end(id, process);
    }
}
