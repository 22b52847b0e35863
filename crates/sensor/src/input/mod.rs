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
mod sites;
mod text;
mod watched;

use crate::assemble::Exec;
use crate::capture::boot_time;
use crate::command_line::{self, ScriptSource};
use crate::error::SensorError;
use crate::executable::{Catalogue, is_running};
use crate::sensor::{Seen, Stop, spawn, spawn_urgent};
use evidence::{Capture, Content, NotCaptured, ScriptKind};
use library::{Libraries, Library};
use pipe::Input;
use probe::{Attached, Attacher, Probe, Watch};
use rustix::event::{EventfdFlags, eventfd};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use text::Growing;
use watched::{Process, Watched};

/// Processes that are watched at a time, with those whose probes are being taken away.
const WATCHED_MAX: usize = 256;

/// Execs that wait for their probes; of what comes beyond, standard input is not captured.
const EXPECTED_MAX: usize = 256;
/// Threads that see a process first: two, so that one slow file system does not stop the other.
const ATTACHERS: usize = 2;
/// Threads that put probes in place, which takes some 10 ms each.
const PROBERS: usize = 4;
/// How often those look whether the sensor is ending.
const LISTEN: Duration = Duration::from_millis(200);
/// How old a process becomes without probes of its own. Most have ended by then.
const YOUNG_NS: u64 = 20_000_000;
/// How long its reads are seen in both ways, so that no read falls between them; more than the program's `SAME_READ_NS`.
const BOTH: Duration = Duration::from_millis(4);

/// The watch on all standard inputs.
pub(crate) struct Inputs {
    attacher: Attacher,
    libraries: Libraries,
    watched: Arc<Mutex<Watched>>,
    content_limit: usize,
    detacher: Detacher,
    young: Mutex<Young>,
    probers: SyncSender<Adult>,
    /// Tells the thread that there is something to be done.
    wake: OwnedFd,
}

/// The processes whose reads are seen with all calls of the host.
#[derive(Default)]
struct Young {
    count: usize,
    seen: Option<OwnedFd>,
}

/// A process that is to get probes of its own, unless it has ended by then.
struct Adult {
    exec: Exec,
    id: u64,
    born_at: u64,
}

/// Hands execs to the threads that put probes in place.
pub(crate) struct Doorkeeper {
    execs: SyncSender<Exec>,
    watched: Arc<Mutex<Watched>>,
}

/// What is loaded and has no thread yet.
pub(crate) struct Loaded {
    inputs: Inputs,
    probe: Probe,
    detached: Receiver<Attached>,
    waiting: Receiver<Exec>,
    adults: Receiver<Adult>,
}

/// Takes probes away, in a thread of its own: it takes some milliseconds for each process.
struct Detacher {
    attached: Sender<Attached>,
    /// How many processes have probes.
    count: Arc<AtomicUsize>,
}

/// Loads the programs. The error says why the kernel refuses; standard input is then not captured, and the captures
/// say so.
pub(crate) fn load(content_limit: u64) -> Result<(Loaded, Doorkeeper), String> {
    let watched = Arc::new(Mutex::new(Watched::default()));
    let into = Arc::clone(&watched);
    let (probe, attacher) = Probe::load(move |record| {
        if let Some((event, bytes)) = probe::decode(record) {
            lock(&into).take(&event, bytes, boot_time());
        }
    })?;
    let flags = EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC;
    let wake = eventfd(0, flags).map_err(|error| error.to_string())?;
    let (attached, detached) = channel();
    let (execs, waiting) = sync_channel(EXPECTED_MAX);
    let (probers, adults) = sync_channel(EXPECTED_MAX);
    let inputs = Inputs {
        attacher,
        libraries: Libraries::default(),
        watched: Arc::clone(&watched),
        content_limit: usize::try_from(content_limit).unwrap_or(usize::MAX),
        detacher: Detacher { attached, count: Arc::default() },
        young: Mutex::default(),
        probers,
        wake,
    };
    Ok((Loaded { inputs, probe, detached, waiting, adults }, Doorkeeper { execs, watched }))
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
        stop: &Arc<Stop>,
        seen: SyncSender<Seen>,
    ) -> Result<Arc<Inputs>, SensorError> {
        let Self { inputs, probe, detached, waiting, adults } = self;
        let inputs = Arc::new(inputs);
        let count = Arc::clone(&inputs.detacher.count);
        spawn("urva-detach", move || {
            for attached in detached {
                drop(attached);
                count.fetch_sub(1, Ordering::Relaxed);
            }
        })?;
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..ATTACHERS {
            let (waiting, catalogue, inputs) =
                (Arc::clone(&waiting), Arc::clone(catalogue), Arc::clone(&inputs));
            spawn_urgent("urva-attach", move || {
                loop {
                    let next = lock(&waiting).recv();
                    let Ok(exec) = next else { return };
                    inputs.begin(&exec, &catalogue);
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
                        inputs.grow_up(&adult);
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
        if !is_stream(exec.header.stdin_mode, exec.header.stdin_device) {
            return;
        }
        let key = key(exec);
        lock(&self.watched).expect(key);
        if self.execs.try_send(exec.clone()).is_err() {
            tracing::debug!(pid = exec.header.pid, "standard input is not captured: too many wait");
            let _ = lock(&self.watched).begun(key, None);
        }
    }
}

/// What tells one exec from another.
type Key = (u32, u64);

fn key(exec: &Exec) -> Key {
    (exec.header.pid, exec.header.exec_time)
}

impl Inputs {
    /// Gives the text of an exec's standard input, where it is its script, to its capture: that is handed back where its
    /// text is already there or will never be. `None` says that the exec is of no interest.
    pub(crate) fn settle(&self, exec: &Exec, capture: Option<Capture>) -> Option<Capture> {
        let (ours, theirs) = match capture {
            Some(capture) if awaits(&capture) => (Some(capture), None),
            other => (None, other),
        };
        let settled = lock(&self.watched).settle(key(exec), ours);
        if let Some((id, process)) = settled.over {
            self.end(id, process);
        }
        self.wake();
        theirs.or(settled.refused)
    }

    /// Begins to watch the process of this exec, where it reads its script from standard input.
    fn begin(&self, exec: &Exec, catalogue: &Catalogue) {
        let is_script = |family| command_line::read(family, &exec.arguments).source == ScriptSource::Stdin;
        let is_wanted = catalogue.family(exec).is_some_and(is_script);
        let begun = is_wanted.then(|| self.watch(exec)).flatten();
        let over = lock(&self.watched).begun(key(exec), begun.map(|(id, _)| id));
        if let Some((id, process)) = over {
            self.end(id, process);
        }
        self.wake();
        if let Some((id, true)) = begun {
            let adult = Adult { exec: exec.clone(), id, born_at: boot_time() };
            if self.probers.try_send(adult).is_err() {
                self.leave_young();
            }
        }
    }

    /// Sees the process's reads from now on, and takes what lies in its input. Returns whether there will be more.
    fn watch(&self, exec: &Exec) -> Option<(u64, bool)> {
        let pid = exec.header.pid;
        let input = Input::of(pid)?;
        let id = watched::next_id();
        let watch = Watch { id, inode: input.inode, device: input.device, ..Watch::default() };
        lock(&self.watched).enter(id, Process::new(pid, Growing::new(self.content_limit), boot_time()));
        // In this order, so that the end of the process is told from the moment on at which it is known to live.
        let seen = self.attacher.watch(pid, &watch).map_err(|error| error.to_string());
        let seen = seen.and_then(|()| self.enter_young());
        let early = input.waiting(pid);
        let is_alive = is_running(exec);
        let is_late = !is_alive || self.may_have_read(exec);
        let goes_on = seen.is_ok() && is_alive;
        if !goes_on {
            // What lay in the pipe, or was read since, is all that will be known.
            tracing::debug!(pid, reason = seen.as_ref().err(), "standard input cannot be watched");
            self.attacher.forget(pid, id);
            if seen.is_ok() {
                self.leave_young();
            }
        }
        lock(&self.watched).found(id, early, is_late, !goes_on);
        Some((id, goes_on))
    }

    fn enter_young(&self) -> Result<(), String> {
        let mut young = lock(&self.young);
        if young.seen.is_none() {
            young.seen = Some(self.attacher.see_all().map_err(|error| error.to_string())?);
        }
        young.count += 1;
        Ok(())
    }

    fn leave_young(&self) {
        let mut young = lock(&self.young);
        young.count = young.count.saturating_sub(1);
        if young.count == 0 {
            young.seen = None;
        }
    }

    /// Gives a process probes of its own, once it has lived for a while.
    fn grow_up(&self, adult: &Adult) {
        let age = boot_time().saturating_sub(adult.born_at);
        std::thread::sleep(Duration::from_nanos(YOUNG_NS.saturating_sub(age)));
        let (exec, id) = (&adult.exec, adult.id);
        if lock(&self.watched).is_alive(id) {
            let attached = self.attach(exec);
            let attached = attached.inspect_err(|reason| {
                tracing::debug!(pid = exec.header.pid, reason, "standard input is watched no longer");
            });
            std::thread::sleep(BOTH);
            if let Some(attached) = lock(&self.watched).adopt(id, attached.ok()) {
                self.detacher.detach(attached);
            }
            self.wake();
        }
        self.leave_young();
    }

    /// Puts probes on the process.
    fn attach(&self, exec: &Exec) -> Result<Attached, String> {
        if self.detacher.count.load(Ordering::Relaxed) >= WATCHED_MAX {
            return Err(format!("{WATCHED_MAX} processes are watched already"));
        }
        let library = self.libraries.of(exec).ok_or("where it reads is not known")?;
        let attached = self.attacher.attach(exec.header.pid, &library).map_err(|error| error.to_string())?;
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

/// Whether the text of a capture comes over standard input.
fn awaits(capture: &Capture) -> bool {
    let Content::NotCaptured(reason) = &capture.script.content else { return false };
    matches!(reason, NotCaptured::StandardInput | NotCaptured::Interactive)
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
