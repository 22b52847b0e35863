//! Captures what interpreters read from their standard input: pipes, FIFOs, sockets, terminals.
//!
//! ```text
//! exec ─▶ expect ─▶ urva-attach: what lies in the pipe, probes on this process ─▶ watched
//!  └▶ reader: who runs what, where ─▶ settle: whose text it is ──────────────────▶
//! reads ─▶ ring ─▶ urva-input ─▶ Captured when there is enough to judge, Completed when there is more
//! ```
//!
//! Owns: the beginnings of watches, and the places of those that are under way, bounded in number.
//! Guarantee: probes stand in the interpreter's process only, and only for as long as it runs as such and its input
//! lasts. Whatever could not be seen is a note on the capture.
//! Blind spots: children that share the input (`cat` in a script that comes over the same pipe) are not followed; see
//! also `sites`, `library` and `bpf/input.bpf.c`.

mod library;
mod pipe;
mod probe;
mod share;
mod sites;
mod text;
mod watched;

use crate::assemble::Exec;
use crate::capture::boot_time;
use crate::command_line::{self, ScriptSource};
use crate::error::SensorError;
use crate::executable::{Catalogue, is_running};
use crate::fair::{Fair, Limits};
use crate::hold::{HoldSettings, Holds};
use crate::losses::{Tally, What};
use crate::sensor::{Seen, Stop, spawn};
use crate::texts::Executions;
use crate::wire::value;
use evidence::{Capture, Content, Family, GapKind, NotCaptured, ScriptKind};
use libbpf_rs::MapHandle;
use library::{Libraries, Library};
use pipe::Input;
use probe::{Attached, Attacher, HoldAt, Probe, Watch};
use rustix::event::{EventfdFlags, eventfd};
use share::{Entry, Shares};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, TrySendError, channel, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use text::Growing;
use watched::{Beginning, Look, Process, Watched};

/// Processes that are watched at a time, with those whose probes are being taken away.
const WATCHED_MAX: usize = 256;

/// Processes that wait for their probes.
const ADULTS_MAX: usize = 256;
/// Execs that nobody has looked at yet, in number and bytes, and threads for one container; containers take turns.
const EXPECTED: Limits = Limits { count: 512, bytes: 32 * 1024 * 1024, at_a_time: 2 };
/// Threads that see a process first. A container that keeps its pipe locked keeps two of them at the most.
const ATTACHERS: usize = 6;
/// Threads that put probes in place, which takes some 10 ms each, and that take them away, which takes some 30 ms each:
/// nearly all of it they wait for the kernel.
const PROBERS: usize = 4;
const DETACHERS: usize = 4;
/// How often those look whether the sensor is ending.
const LISTEN: Duration = Duration::from_millis(200);
/// How old a process becomes without probes of its own. Most have ended by then.
const YOUNG_NS: u64 = 20_000_000;
/// How long its reads are seen in both ways at a time, and how often that is prolonged while it computes and reads nothing.
const BOTH: Duration = Duration::from_millis(4);
const HANDED_OVER_WITHIN: usize = 25;

/// The watch on all standard inputs.
pub(crate) struct Inputs {
    attacher: Attacher,
    libraries: Libraries,
    watched: Arc<Mutex<Watched>>,
    tally: Arc<Tally>,
    waiting: Arc<Waiting>,
    holds: Arc<Holds>,
    executions: Arc<Executions>,
    content_limit: usize,
    detacher: Detacher,
    young: Arc<Mutex<Young>>,
    probers: SyncSender<Adult>,
    /// Tells the thread that there is something to be done.
    wake: OwnedFd,
}

/// The processes whose reads are seen with all calls of the host.
#[derive(Default)]
struct Young {
    count: usize,
    seen: Option<OwnedFd>,
    shares: Shares,
}

/// A process that is to get probes of its own, unless it has ended by then.
struct Adult {
    exec: Exec,
    id: u64,
    born_at: u64,
    entry: Entry,
}

/// Hands execs to the threads that put probes in place.
pub(crate) struct Doorkeeper {
    waiting: Arc<Waiting>,
    watched: Arc<Mutex<Watched>>,
}

/// What nobody has looked at yet, by budget.
struct Waiting {
    jobs: Mutex<Option<Fair<u64, Job>>>,
    changed: Condvar,
}

/// What a thread is to look at.
enum Job {
    /// A process that may read its script from standard input.
    Begin(Box<Exec>),
    /// What lies in the input of one that is stopped.
    Look(Look),
}

/// What is loaded and has no thread yet.
pub(crate) struct Loaded {
    inputs: Inputs,
    probe: Probe,
    detached: Receiver<Attached>,
    waiting: Arc<Waiting>,
    adults: Receiver<Adult>,
}

/// Takes probes away, in threads of their own.
struct Detacher {
    attached: Sender<Attached>,
    /// How many processes have probes.
    count: Arc<AtomicUsize>,
}

/// Loads the programs. The error says why the kernel refuses; standard input is then not captured, and the captures
/// say so.
pub(crate) fn load(
    content_limit: u64,
    hold: Option<HoldSettings>,
    held: &MapHandle,
    tally: &Arc<Tally>,
    executions: &Arc<Executions>,
) -> Result<(Loaded, Doorkeeper), String> {
    let watched = Arc::new(Mutex::new(Watched::new(Arc::clone(tally))));
    let into = Arc::clone(&watched);
    let (probe, attacher) = Probe::load(hold, held, move |record| {
        if let Some((event, bytes)) = probe::decode(record) {
            lock(&into).take(&event, bytes, boot_time());
        }
    })?;
    let flags = EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC;
    let wake = eventfd(0, flags).map_err(|error| error.to_string())?;
    let (attached, detached) = channel();
    let waiting = Arc::new(Waiting { jobs: Mutex::new(Some(Fair::new(EXPECTED))), changed: Condvar::new() });
    let (probers, adults) = sync_channel(ADULTS_MAX);
    let inputs = Inputs {
        attacher,
        libraries: Libraries::default(),
        watched: Arc::clone(&watched),
        tally: Arc::clone(tally),
        waiting: Arc::clone(&waiting),
        holds: Arc::new(Holds::new(None)),
        executions: Arc::clone(executions),
        content_limit: usize::try_from(content_limit).unwrap_or(usize::MAX),
        detacher: Detacher { attached, count: Arc::default() },
        young: Arc::default(),
        probers,
        wake,
    };
    let doorkeeper = Doorkeeper { waiting: Arc::clone(&waiting), watched };
    Ok((Loaded { inputs, probe, detached, waiting, adults }, doorkeeper))
}

impl Loaded {
    /// Whether probes can only be attached with `CAP_PERFMON`.
    pub(crate) fn needs_perfmon(&self) -> bool {
        self.inputs.attacher.needs_perfmon()
    }

    /// Starts the threads; `stopped` becomes readable when the sensor shall end.
    pub(crate) fn start(
        self,
        stopped: OwnedFd,
        catalogue: &Arc<Catalogue>,
        holds: &Arc<Holds>,
        stop: &Arc<Stop>,
        seen: SyncSender<Seen>,
    ) -> Result<Arc<Inputs>, SensorError> {
        let Self { mut inputs, probe, detached, waiting, adults } = self;
        inputs.holds = Arc::clone(holds);
        let inputs = Arc::new(inputs);
        let (count, young) = (Arc::clone(&inputs.detacher.count), Arc::clone(&inputs.young));
        let detached = Arc::new(Mutex::new(detached));
        for _ in 0..DETACHERS {
            let (count, young, detached) = (Arc::clone(&count), Arc::clone(&young), Arc::clone(&detached));
            spawn("urva-detach", move || {
                loop {
                    let next = lock(&detached).recv();
                    let Ok(attached) = next else { return };
                    let budget = attached.budget;
                    drop(attached);
                    lock(&young).shares.leave(budget);
                    count.fetch_sub(1, Ordering::Relaxed);
                }
            })?;
        }
        for _ in 0..ATTACHERS {
            let (waiting, catalogue, inputs) =
                (Arc::clone(&waiting), Arc::clone(catalogue), Arc::clone(&inputs));
            spawn("urva-attach", move || {
                while let Some((budget, job)) = waiting.next() {
                    match job {
                        Job::Begin(exec) => inputs.begin(&exec, &catalogue),
                        Job::Look(Look { id, pid, input }) => inputs.looked(id, input.waiting(pid)),
                    }
                    waiting.done(budget);
                }
            })?;
        }
        let adults = Arc::new(Mutex::new(adults));
        for _ in 0..PROBERS {
            let (adults, inputs, stop) = (Arc::clone(&adults), Arc::clone(&inputs), Arc::clone(stop));
            spawn("urva-probe", move || {
                while !stop.is_told() {
                    // Not for ever, since this thread could send to itself.
                    let next = lock(&adults).recv_timeout(LISTEN);
                    if let Ok(adult) = next {
                        inputs.equip(&adult);
                    }
                }
            })?;
        }
        let (of_thread, stop) = (Arc::clone(&inputs), Arc::clone(stop));
        spawn("urva-input", move || watched::serve(&of_thread, &probe, &stopped, &stop, &seen))?;
        Ok(inputs)
    }
}

impl Doorkeeper {
    /// Has a process watched that may read its script from standard input. To be called before anything else is done
    /// with an exec: the process is about to read. Never waits.
    pub(crate) fn expect(&self, exec: &Exec) {
        if !has_stream(exec) {
            return;
        }
        let key = key(exec);
        lock(&self.watched).expect(key);
        let job = Job::Begin(Box::new(exec.clone()));
        let lost = self.waiting.push(exec.header.budget, exec.weight(), job);
        give_up(&self.watched, lost);
    }
}

/// Nobody will look at these.
fn give_up(watched: &Mutex<Watched>, lost: Vec<(u64, Job)>) {
    for (budget, job) in lost {
        match job {
            Job::Begin(exec) => {
                tracing::debug!(pid = exec.header.pid, "standard input is not captured: too many wait");
                let _ = lock(watched).begun(key(&exec), budget, None);
            }
            Job::Look(Look { id, .. }) => lock(watched).looked(id, Vec::new()),
        }
    }
}

impl Drop for Doorkeeper {
    fn drop(&mut self) {
        *lock(&self.waiting.jobs) = None;
        self.waiting.changed.notify_all();
    }
}

impl Waiting {
    /// Returns those that found no room.
    fn push(&self, budget: u64, weight: usize, job: Job) -> Vec<(u64, Job)> {
        let lost = lock(&self.jobs).as_mut().map(|jobs| jobs.push(budget, weight, job));
        self.changed.notify_one();
        lost.unwrap_or_default()
    }

    /// The next one; waits for it. None once nobody can push any more.
    fn next(&self) -> Option<(u64, Job)> {
        let mut jobs = lock(&self.jobs);
        loop {
            if let Some(next) = jobs.as_mut()?.pop() {
                return Some(next);
            }
            jobs = self.changed.wait(jobs).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn done(&self, budget: u64) {
        if let Some(jobs) = lock(&self.jobs).as_mut() {
            jobs.done(&budget);
        }
        self.changed.notify_one();
    }
}

/// What became of a capture.
pub(crate) enum Settled<T> {
    /// It is handed on when its text is there; [`Executions::settle`] follows then.
    Taken,
    /// It is as it was.
    Back(Option<Box<T>>),
}

/// What tells one exec from another.
type Key = (u32, u64);

fn key(exec: &Exec) -> Key {
    (exec.header.pid, exec.header.exec_time)
}

impl Inputs {
    /// Gives the text of an exec's standard input, where it is its script, to its capture: that is handed back where its
    /// text is already there or will never be. `None` says that the exec is of no interest. Where the capture is taken and
    /// says that its process is held, that is let go from here.
    pub(crate) fn settle(&self, exec: &Exec, capture: Option<Capture>) -> Settled<Capture> {
        let (ours, theirs) = match capture {
            Some(capture) if awaits(&capture) => (Some(capture), None),
            other => (None, other),
        };
        let is_ours = ours.is_some();
        if is_ours {
            self.executions.await_input(exec.key());
        }
        let settled = lock(&self.watched).settle(key(exec), ours);
        if let Some((id, process)) = settled.over {
            self.end(id, process);
        }
        self.wake();
        self.tally.add(
            exec.header.budget,
            What::Execs,
            GapKind::InputLost,
            u64::from(settled.refused.is_some()),
        );
        match theirs.or(settled.refused) {
            None if is_ours => Settled::Taken,
            capture => Settled::Back(capture.map(Box::new)),
        }
    }

    /// Watches what a process reads from now on that was running before its exec could be seen, where its script comes over
    /// standard input. Hands the capture back where that is not so or cannot be watched. Takes some 10 ms.
    pub(crate) fn join(&self, exec: &Exec, capture: Capture) -> Option<Capture> {
        let input = Input::of(exec.header.pid);
        let Some(input) = input.filter(|_| awaits(&capture) && has_stream(exec)) else {
            return Some(capture);
        };
        let (pid, id, hold_at) = (exec.header.pid, watched::next_id(), HoldAt::Never);
        let process = Process::new(pid, exec.header.budget, Growing::new(self.content_limit), boot_time());
        lock(&self.watched).enter(id, process);
        let watch = Watch { id, inode: input.inode, device: input.device, ..Watch::default() };
        if self.attacher.watch(pid, &watch).is_err() || !self.equip_at_once(exec, id) {
            let over = lock(&self.watched).remove(id);
            over.into_iter().for_each(|process| self.end(id, process));
            return Some(capture);
        }
        let early = input.waiting(pid);
        let has_ended = !is_running(exec);
        let beginning = Beginning { input: Some(input), early, hold_at, is_late: true, has_ended };
        self.executions.await_input(exec.key());
        lock(&self.watched).found_of(id, beginning, capture, key(exec));
        self.wake();
        None
    }

    /// Has somebody look what lies in an input.
    fn ask(&self, budget: u64, look: Look) {
        let lost = self.waiting.push(budget, size_of::<Job>(), Job::Look(look));
        give_up(&self.watched, lost);
    }

    fn looked(&self, id: u64, ahead: Vec<u8>) {
        lock(&self.watched).looked(id, ahead);
        self.wake();
    }

    /// Begins to watch the process of this exec, where it reads its script from standard input.
    fn begin(&self, exec: &Exec, catalogue: &Catalogue) {
        let begun = catalogue.family(exec).and_then(|family| {
            let line = command_line::read(family, &exec.arguments);
            let is_whole = matches!(family, Family::CPython | Family::PyPy) && !line.interactive;
            let hold_at = if is_whole { HoldAt::End } else { HoldAt::Lines };
            (line.source == ScriptSource::Stdin).then(|| self.watch(exec, hold_at)).flatten()
        });
        let (id, entry) = begun.unzip();
        let over = lock(&self.watched).begun(key(exec), exec.header.budget, id);
        if let Some((id, process)) = over {
            self.end(id, process);
        }
        self.wake();
        let Some((id, entry)) = id.zip(entry.flatten()) else { return };
        let adult = Adult { exec: exec.clone(), id, born_at: boot_time(), entry };
        if entry == Entry::Crowded {
            self.refuse(&adult);
        } else if let Err(TrySendError::Full(adult) | TrySendError::Disconnected(adult)) =
            self.probers.try_send(adult)
        {
            self.refuse(&adult);
        }
    }

    /// Takes what lies in the process's input, and sees its reads from now on where that may be. Returns how they are seen;
    /// none where there will be no more.
    fn watch(&self, exec: &Exec, hold_at: HoldAt) -> Option<(u64, Option<Entry>)> {
        let (pid, budget) = (exec.header.pid, exec.header.budget);
        let input = Input::of(pid);
        if input.is_none() && exec.waiting.bytes.is_empty() {
            return None;
        }
        let id = watched::next_id();
        let Some(input) = input else {
            // It has ended.
            let process = Process::new(pid, budget, Growing::new(self.content_limit), boot_time());
            lock(&self.watched).enter(id, process);
            let (early, is_late) = (exec.waiting.bytes.clone(), !exec.waiting.is_all);
            let (input, hold_at, has_ended) = (None, HoldAt::Never, true);
            lock(&self.watched).found(id, Beginning { input, early, hold_at, is_late, has_ended });
            return Some((id, None));
        };
        let hold_at = if exec.has(value::EXEC_HELD) { hold_at } else { HoldAt::Never };
        let watch =
            Watch { id, inode: input.inode, device: input.device, hold: hold_at as u32, ..Watch::default() };
        lock(&self.watched)
            .enter(id, Process::new(pid, budget, Growing::new(self.content_limit), boot_time()));
        if hold_at != HoldAt::Never
            && self.attacher.watch(pid, &watch).is_ok()
            && self.equip_at_once(exec, id)
        {
            let ((early, is_seamless), has_ended) = (since_exec(exec, &input), !is_running(exec));
            // It has not begun to run where it is held still.
            let is_late = !is_seamless && !self.is_held(exec);
            let input = Some(input);
            lock(&self.watched).found(id, Beginning { input, early, hold_at, is_late, has_ended });
            return Some((id, None));
        }
        // In this order, so that the end of the process is told from the moment on at which it is known to live.
        let entry = self.attacher.watch(pid, &watch).map(|()| self.enter(budget));
        let (early, is_seamless) = since_exec(exec, &input);
        let is_alive = is_running(exec);
        let may_have_read = !matches!(entry, Ok(Entry::Young)) || self.may_have_read(exec);
        let is_late = !is_seamless && (!is_alive || (may_have_read && !self.is_held(exec)));
        let entry =
            entry.inspect_err(|error| tracing::debug!(pid, %error, "standard input cannot be watched"));
        let goes_on = entry.ok().filter(|entry| {
            if !is_alive {
                // What lay in the pipe, or was read since, is all that will be known.
                self.attacher.forget(pid, id);
                self.give_up(budget, *entry);
            }
            is_alive
        });
        let (input, has_ended) = (Some(input), goes_on.is_none());
        lock(&self.watched).found(id, Beginning { input, early, hold_at, is_late, has_ended });
        Some((id, goes_on))
    }

    fn is_held(&self, exec: &Exec) -> bool {
        let (pid, ticks) = exec.process();
        self.holds.holds(pid, ticks)
    }

    /// Gives a process its probes without seeing it with all calls of the host before. Returns whether it has them.
    fn equip_at_once(&self, exec: &Exec, id: u64) -> bool {
        let budget = exec.header.budget;
        if lock(&self.young).shares.enter_grown(budget, boot_time()) == Entry::Crowded {
            return false;
        }
        match self.attach(exec) {
            Ok(attached) => {
                if let Some(attached) = lock(&self.watched).adopt(id, Some(attached)) {
                    self.detacher.detach(attached);
                }
                true
            }
            Err(reason) => {
                tracing::debug!(pid = exec.header.pid, reason, "standard input is not held");
                lock(&self.young).shares.leave(budget);
                false
            }
        }
    }

    /// Sees the reads of one more process, with all calls of the host, where its container may have that.
    fn enter(&self, budget: u64) -> Entry {
        let mut young = lock(&self.young);
        let entry = young.shares.enter(budget, boot_time());
        if entry != Entry::Young {
            self.tally.add(budget, What::Execs, GapKind::InputOverBudget, 1);
            return entry;
        }
        if young.seen.is_none() {
            match self.attacher.see_all() {
                Ok(seen) => young.seen = Some(seen),
                Err(error) => {
                    tracing::debug!(%error, "young processes cannot be watched");
                    return young.shares.grow_up(budget, entry, boot_time());
                }
            }
        }
        young.count += 1;
        entry
    }

    /// A process needs the calls of the host no longer.
    fn grow_up(&self, budget: u64, entry: Entry) -> Entry {
        let mut young = lock(&self.young);
        young.count = young.count.saturating_sub(usize::from(entry == Entry::Young));
        if young.count == 0 {
            young.seen = None;
        }
        young.shares.grow_up(budget, entry, boot_time())
    }

    /// A process will not get any probes.
    fn give_up(&self, budget: u64, entry: Entry) {
        if self.grow_up(budget, entry) != Entry::Crowded {
            lock(&self.young).shares.leave(budget);
        }
    }

    /// Gives a process probes of its own, once it has lived for a while; at once where it is not seen otherwise.
    fn equip(&self, adult: &Adult) {
        let (exec, id) = (&adult.exec, adult.id);
        let is_young = adult.entry == Entry::Young;
        if is_young {
            let age = boot_time().saturating_sub(adult.born_at);
            std::thread::sleep(Duration::from_nanos(YOUNG_NS.saturating_sub(age)));
        }
        if !lock(&self.watched).is_alive(id) {
            return self.give_up(exec.header.budget, adult.entry);
        }
        let attached = self.attach(exec).inspect_err(|reason| {
            tracing::debug!(pid = exec.header.pid, reason, "standard input is watched no longer");
        });
        if is_young && attached.is_ok() {
            self.hand_over(exec.header.pid, id);
        }
        let attached = match attached {
            Ok(attached) => attached,
            // Its end is told.
            Err(_) if !is_running(exec) => return self.give_up(exec.header.budget, adult.entry),
            Err(_) => return self.refuse(adult),
        };
        self.grow_up(exec.header.budget, adult.entry);
        if let Some(attached) = lock(&self.watched).adopt(id, Some(attached)) {
            self.detacher.detach(attached);
        }
        self.wake();
    }

    /// Waits until a process's reads come through its own probes, or it sleeps: a busy host can take its processor away between
    /// the two places at which a read is seen.
    fn hand_over(&self, pid: u32, id: u64) {
        for _ in 0..HANDED_OVER_WITHIN {
            if self.attacher.is_probed(pid) {
                return;
            }
            if !is_runnable(pid) {
                break;
            }
            std::thread::sleep(BOTH);
        }
        self.attacher.forget_seen(pid, id);
    }

    /// A process gets no probes, and nothing more of it will be seen.
    fn refuse(&self, adult: &Adult) {
        let _ = lock(&self.watched).adopt(adult.id, None);
        self.wake();
        self.give_up(adult.exec.header.budget, adult.entry);
    }

    /// Puts probes on the process.
    fn attach(&self, exec: &Exec) -> Result<Attached, String> {
        if self.detacher.count.load(Ordering::Relaxed) >= WATCHED_MAX {
            return Err(format!("{WATCHED_MAX} processes are watched already"));
        }
        let library = self.libraries.of(exec).ok_or("where it reads is not known")?;
        let attached = self
            .attacher
            .attach(exec.header.pid, exec.header.budget, &library)
            .map_err(|error| error.to_string())?;
        self.detacher.count.fetch_add(1, Ordering::Relaxed);
        Ok(attached)
    }

    /// Whether the process may have read from its input before its reads were seen.
    fn may_have_read(&self, exec: &Exec) -> bool {
        self.libraries.of(exec).is_none_or(|library| may_have_read(exec.header.pid, &library))
    }

    /// Ends a watch.
    fn end(&self, id: u64, process: Process) {
        self.attacher.forget(process.pid, id);
        if let Some(attached) = process.attached {
            self.detacher.detach(attached);
        }
    }

    fn wake(&self) {
        // The counter is full where the thread has been told often enough.
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
    }
}

impl Detacher {
    fn detach(&self, attached: Attached) {
        // The thread lives as long as there is somebody who can send.
        let _ = self.attached.send(attached);
    }
}

/// What lay in the input at the exec, and what lies there now, behind it. Returns whether nothing can be missing up to now.
fn since_exec(exec: &Exec, input: &Input) -> (Vec<u8>, bool) {
    let (before, now) = (&exec.waiting, input.waiting(exec.header.pid));
    let text = text::merged(&before.bytes, &now);
    let is_overlap = text.len() < before.bytes.len() + now.len();
    (text, before.is_all || is_overlap)
}

/// Whether the process runs, or is about to.
fn is_runnable(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|state| state.starts_with('R'))
}

/// Whether the text of a capture comes over standard input.
fn awaits(capture: &Capture) -> bool {
    let Content::NotCaptured(reason) = &capture.script.content else { return false };
    matches!(reason, NotCaptured::StandardInput | NotCaptured::Interactive)
}

fn has_stream(exec: &Exec) -> bool {
    is_stream(exec.header.stdin_mode, exec.header.stdin_device)
}

/// Whether standard input may hold a script that no file holds: not closed, no file, not /dev/null.
fn is_stream(mode: u32, device: u32) -> bool {
    const NULL: u32 = (1 << 20) | 3;
    match mode & 0o170_000 {
        0o010_000 | 0o140_000 => true,
        0o020_000 => device != NULL,
        _ => false,
    }
}

/// Whether the process has read, or may have. It can not where its C library is not even mapped yet.
fn may_have_read(pid: u32, library: &Library) -> bool {
    if library.is_program {
        // A static program is there from the start; then the kernel's count of the bytes that it has read tells.
        let io = std::fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
        return !io.lines().any(|line| line == "rchar: 0");
    }
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    let inode = library.inode.to_string();
    maps.is_empty() || maps.lines().any(|line| line.split_ascii_whitespace().nth(4) == Some(&inode))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A thread that panicked while holding it left whole entries.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether somebody types the text.
fn is_typed(capture: &Capture) -> bool {
    capture.script.kind == ScriptKind::Interactive
}
