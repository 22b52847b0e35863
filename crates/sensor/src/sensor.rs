//! The sensor as its user sees it, and its threads.
//!
//! ```text
//! ring ─▶ poll thread ─▶ execs (bounded, lossy, counted) ─▶ readers ─▶ seen (bounded, waits) ─▶ next()
//!                                                             └▶ large files ─▶ hasher ─▶ seen
//! ```
//!
//! The poll thread never waits for anybody, so that the kernel's ring does not fill because a file is slow to
//! read. What the queue behind it cannot take is counted and becomes a [`Gap`].

use crate::assemble::{Assembler, Exec};
use crate::capture::{self, CaptureSettings, Taken, complete};
use crate::error::SensorError;
use crate::executable::Catalogue;
use crate::file::OpenFile;
use crate::privileges;
use crate::probe::{Counts, ExecProbe, Executables, ProbeSettings, host_namespace};
use crate::running;
use evidence::{Capture, Gap, GapKind, Timestamp};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// Execs that wait for a reader.
const EXECS_MAX: usize = 8192;
/// Captures that wait for the caller.
const SEEN_MAX: usize = 64;
/// Threads that read files: two, so that one slow file system does not stop the other.
const READERS: usize = 2;
/// Large files that wait to be hashed.
const TO_HASH_MAX: usize = 8;
/// Bytes of one file that are hashed at the most; it takes some 10 s.
const HASH_MAX: u64 = 8 * 1024 * 1024 * 1024;
/// How often the counters are read. A wake-up costs some 10 µs.
const COUNTERS_EVERY: Duration = Duration::from_secs(1);

/// What the sensor shall see.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Whether processes that run in no container are captured too.
    pub include_host: bool,
    /// Bytes of a script that are captured whole; of a longer one this many from head and tail together.
    pub content_limit: u64,
    /// Bytes of environment that are captured, at most 128 KiB.
    pub environment_limit: u32,
    /// The wall clock.
    pub now: fn() -> Timestamp,
}

/// One thing that the sensor saw.
#[derive(Debug)]
pub enum Seen {
    /// A script was executed; or a capture that was yielded before is complete now.
    Captured(Box<Capture>),
    /// Something was lost.
    Gap(Gap),
}

/// The running sensor.
pub struct Sensor {
    seen: Receiver<Seen>,
}

/// Keeps the probes attached: dropping it detaches them, and the [`Sensor`] ends once it has handed out what
/// was seen until then.
#[derive(Debug)]
pub struct Stopper {
    /// The poll thread sees the other end of the pipe close.
    _wake: OwnedFd,
    is_stopping: Arc<AtomicBool>,
}

impl Drop for Stopper {
    fn drop(&mut self) {
        self.is_stopping.store(true, Ordering::Relaxed);
    }
}

impl Sensor {
    /// Attaches the probes, and gives up every privilege that is not needed from then on. Every exec after this
    /// is seen; scripts that are running already follow as captures with the note
    /// [`evidence::CoverageNote::StartedEarlier`].
    ///
    /// Call it before the process has other threads: they would keep their privileges.
    pub fn open(settings: &Settings) -> Result<(Self, Stopper), SensorError> {
        let (execs, waiting) = sync_channel(EXECS_MAX);
        let (seen_by, seen) = sync_channel(SEEN_MAX);
        let (wake, stopped) = wake_pair()?;
        let is_stopping = Arc::new(AtomicBool::new(false));

        let shared = Arc::new(shared(settings)?);
        let intake = Arc::new(Intake::new(execs));
        let (probe, executables) = attach(settings, &intake)?;
        privileges::keep_needed()?;

        let catalogue = Arc::new(Catalogue::new(Some(executables)));
        let hasher = start_hasher(seen_by.clone(), Arc::clone(&is_stopping))?;
        start_readers(waiting, &catalogue, &shared, &seen_by, &hasher)?;
        running::start(&catalogue, &shared, seen_by.clone(), hasher)?;
        let now = settings.now;
        spawn("urva-poll", move || poll(&probe, &stopped, &intake, &seen_by, now))?;
        Ok((Self { seen }, Stopper { _wake: wake, is_stopping }))
    }

    /// The next thing seen; waits for it. `None` once the sensor was stopped and everything was handed out.
    pub fn next(&self) -> Option<Seen> {
        self.seen.recv().ok()
    }
}

fn shared(settings: &Settings) -> Result<CaptureSettings, SensorError> {
    Ok(CaptureSettings {
        content_limit: settings.content_limit,
        include_host: settings.include_host,
        booted_at: booted_at((settings.now)()),
        host_pid_namespace: host_namespace("pid")?,
    })
}

fn attach(settings: &Settings, intake: &Arc<Intake>) -> Result<(ExecProbe, Executables), SensorError> {
    let intake = Arc::clone(intake);
    let mut assembler = Assembler::default();
    let settings = ProbeSettings {
        include_host: settings.include_host,
        environment_max: settings.environment_limit.min(ENVIRONMENT_MAX),
    };
    ExecProbe::attach(&settings, move |record| intake.take(record, &mut assembler))
}

/// Most bytes of environment that may be asked for.
const ENVIRONMENT_MAX: u32 = 128 * 1024;

/// What the readers and the hasher share.
pub(crate) type Shared = Arc<CaptureSettings>;

/// A file to hash, and the capture that it completes.
pub(crate) type Hasher = SyncSender<(Capture, OpenFile)>;

/// From records to execs, with everything that is lost on the way.
struct Intake {
    execs: Mutex<Option<SyncSender<Exec>>>,
    queue_full: AtomicU64,
    undecodable: AtomicU64,
}

impl Intake {
    fn new(execs: SyncSender<Exec>) -> Self {
        Self { execs: Mutex::new(Some(execs)), queue_full: AtomicU64::new(0), undecodable: AtomicU64::new(0) }
    }

    fn take(&self, record: &[u8], assembler: &mut Assembler) {
        let exec = assembler.push(record).unwrap_or_else(|error| {
            tracing::warn!(%error, "a message from the kernel was refused");
            self.undecodable.fetch_add(1, Ordering::Relaxed);
            None
        });
        self.undecodable.fetch_add(assembler.take_given_up(), Ordering::Relaxed);
        let Some(exec) = exec else { return };
        let sender = self.execs.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let Some(sender) = sender.as_ref() else { return };
        if let Err(TrySendError::Full(_)) = sender.try_send(exec) {
            self.queue_full.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// No exec is accepted any more: the readers end when the queue is empty.
    fn close(&self) {
        self.execs.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
    }
}

fn poll(
    probe: &ExecProbe,
    stopped: &OwnedFd,
    intake: &Intake,
    seen: &SyncSender<Seen>,
    now: fn() -> Timestamp,
) {
    let mut losses = Losses { before: Counts::default(), since: now(), untold: [0; 4] };
    while !probe.consume(stopped.as_fd(), COUNTERS_EVERY) {
        losses.report(probe, intake, seen, now);
    }
    losses.report(probe, intake, seen, now);
    intake.close();
}

/// Losses, from what was counted to what was told.
struct Losses {
    before: Counts,
    since: Timestamp,
    untold: [u64; 4],
}

/// Kinds of loss in the order of `Losses::untold`, in words.
const LOSSES: [(GapKind, &str); 4] = [
    (GapKind::KernelBufferFull, "the ring buffer between kernel and sensor was full"),
    (GapKind::ProbeSkipped, "the kernel skipped the probe: it was already running on that CPU"),
    (GapKind::CaptureQueueFull, "the queue of the file readers was full"),
    (GapKind::UndecodableEvent, "messages from the kernel were incomplete"),
];

impl Losses {
    fn report(
        &mut self,
        probe: &ExecProbe,
        intake: &Intake,
        seen: &SyncSender<Seen>,
        now: fn() -> Timestamp,
    ) {
        let counts = probe.counts();
        let new = [
            counts.lost - self.before.lost,
            counts.skipped - self.before.skipped,
            intake.queue_full.swap(0, Ordering::Relaxed),
            intake.undecodable.swap(0, Ordering::Relaxed),
        ];
        self.before = counts;
        let to = now();
        let mut is_told = true;
        for ((untold, new), (kind, detail)) in self.untold.iter_mut().zip(new).zip(LOSSES) {
            *untold += new;
            if *untold == 0 {
                continue;
            }
            let gap = Gap { kind, from: self.since, to, lost: Some(*untold), detail: detail.to_owned() };
            // The poll thread must not wait: what finds no room is told the next time.
            match seen.try_send(Seen::Gap(gap)) {
                Ok(()) => *untold = 0,
                Err(_) => is_told = false,
            }
        }
        if is_told {
            self.since = to;
        }
    }
}

fn start_readers(
    waiting: Receiver<Exec>,
    catalogue: &Arc<Catalogue>,
    settings: &Shared,
    seen: &SyncSender<Seen>,
    hasher: &Hasher,
) -> Result<(), SensorError> {
    let waiting = Arc::new(Mutex::new(waiting));
    for _ in 0..READERS {
        let (waiting, catalogue, settings) =
            (Arc::clone(&waiting), Arc::clone(catalogue), Arc::clone(settings));
        let (seen, hasher) = (seen.clone(), hasher.clone());
        spawn("urva-read", move || {
            loop {
                let next = waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner).recv();
                let Ok(exec) = next else { return };
                let Some(taken) = capture::take(&exec, &catalogue, &settings) else { continue };
                hand_on(taken, &seen, &hasher);
            }
        })?;
    }
    Ok(())
}

/// Hands a capture on, and its file to the hasher where it is too large to be hashed at once.
pub(crate) fn hand_on(taken: Taken, seen: &SyncSender<Seen>, hasher: &Hasher) {
    let later = taken.to_hash.map(|file| (taken.capture.clone(), file));
    // Nobody listens any more when the sensor is dropped; then there is nobody to tell.
    let _ = seen.send(Seen::Captured(Box::new(taken.capture)));
    if let Some(later) = later {
        // A full queue leaves the capture as it is, with the note that its hash is incomplete.
        let _ = hasher.try_send(later);
    }
}

/// Hashes large files, so that the readers need not wait for them. Holds on to no capture for longer than `HASH_MAX` takes.
fn start_hasher(seen: SyncSender<Seen>, is_stopping: Arc<AtomicBool>) -> Result<Hasher, SensorError> {
    let (hasher, waiting) = sync_channel::<(Capture, OpenFile)>(TO_HASH_MAX);
    spawn("urva-hash", move || {
        for (mut capture, file) in waiting {
            let Ok((sha256, size)) = file.hash(|at| at < HASH_MAX && !is_stopping.load(Ordering::Relaxed))
            else {
                continue;
            };
            complete(&mut capture, sha256, size);
            if seen.send(Seen::Captured(Box::new(capture))).is_err() {
                return;
            }
        }
    })?;
    Ok(hasher)
}

pub(crate) fn spawn(
    name: &'static str,
    work: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, SensorError> {
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(work);
    thread.map_err(|source| SensorError::Thread { name, source })
}

/// A pipe whose reading end becomes readable when the writing end is dropped.
fn wake_pair() -> Result<(OwnedFd, OwnedFd), SensorError> {
    let pipe = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC);
    let (reader, writer) =
        pipe.map_err(|error| SensorError::Proc { path: "a pipe".to_owned(), source: error.into() })?;
    Ok((writer, reader))
}

/// The wall-clock time at which the kernel's boot clock was zero.
fn booted_at(now: Timestamp) -> Timestamp {
    let up = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let up = u64::try_from(up.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(up.tv_nsec).unwrap_or(0);
    Timestamp(now.0.saturating_sub(up))
}
