//! The sensor as its user sees it, and its threads.
//!
//! ```text
//! ring ─▶ poll thread ─▶ execs (bounded, lossy, counted) ─▶ readers ─▶ seen (bounded, waits) ─▶ next()
//!                                                             └▶ large files ─▶ hasher ─▶ seen
//! ```
//!
//! The poll thread never waits for anybody, so that the kernel's ring does not fill because a file is slow to
//! read. What the queue behind it cannot take is counted and becomes a [`Gap`]. Containers take turns in it.

use crate::assemble::{Assembler, Exec};
use crate::budgets::Budgets;
use crate::capture::{self, CaptureSettings, Taken, complete};
use crate::error::SensorError;
use crate::executable::Catalogue;
use crate::file::OpenFile;
use crate::hold::{self, HoldSettings, Holds, Release};
use crate::input::{self, Doorkeeper, Inputs, Settled};
use crate::intake::Intake;
use crate::losses::{Losses, Tally};
use crate::privileges;
use crate::probe::{ExecProbe, Executables, ProbeSettings, host_namespace};
use crate::revisit::{self, Revisits};
use crate::running;
use crate::texts::{Describing, Executions, TextSettings, TextTables, Texts, Waiting, Watching};
use crate::wire::{is_canary, value};
use evidence::{Capture, Gap, Timestamp};
use libbpf_rs::MapHandle;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Captures that wait for the caller.
const SEEN_MAX: usize = 64;
/// Threads that read files. Each container has two of them at the most, so that one with slow file systems does
/// not stop the others.
const READERS: usize = 6;
/// Large files that wait to be hashed.
const TO_HASH_MAX: usize = 8;
/// How long the readers may take to finish once the sensor is told to end; what is left then is counted as lost.
const FINISH_WITHIN_NS: u64 = 400_000_000;
/// Bytes of one file that are hashed at the most; it takes some 10 s.
const HASH_MAX: u64 = 8 * 1024 * 1024 * 1024;
/// How often the counters are looked at while nothing happens. A wake-up costs some 10 µs.
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
    /// The process whose children are canaries: what they execute is told as [`Seen::Canary`], so that somebody can see
    /// whether the probe sees.
    pub canary_parent: Option<u32>,
    /// Whether processes are stopped until their texts are judged.
    pub hold: Option<HoldSettings>,
    /// The wall clock.
    pub now: fn() -> Timestamp,
}

/// One thing that the sensor saw.
#[derive(Debug)]
pub enum Seen {
    /// A script was executed.
    Captured(Box<Capture>),
    /// A capture that was handed out before is complete now: its whole file is hashed.
    Completed(Box<Capture>),
    /// A canary was executed.
    Canary,
    /// Something was lost.
    Gap(Box<Gap>),
}

/// The running sensor.
pub struct Sensor {
    seen: Receiver<Seen>,
    canary: Arc<AtomicBool>,
    verdicts: Verdicts,
}

/// Tells the probes what became of the texts that they sent.
#[derive(Clone)]
pub struct Verdicts {
    tables: Option<Arc<TextTables>>,
    holds: Arc<Holds>,
}

impl Verdicts {
    /// A text was judged and is harmless: it need not be seen again, in any process. `key` is
    /// [`evidence::Compiled::key`].
    pub fn mark_harmless(&self, key: u64) {
        if let Some(tables) = &self.tables {
            tables.mark_harmless(key);
        }
    }

    /// Lets go of every process that is held.
    pub fn release_all(&self) {
        self.holds.release_before(u64::MAX);
    }

    /// A text of a process that is held was judged. `start_ticks` is [`evidence::Process::start_ticks`]. Returns whether
    /// it had waited for that.
    pub fn release(&self, pid: u32, start_ticks: u64, release: Release) -> bool {
        let was_late = self.holds.was_late(pid, start_ticks);
        // What is harmless and comes too late lets nobody go that is held for a later text.
        if !was_late || release != Release::Continue {
            self.holds.decide(pid, start_ticks, release);
        }
        !was_late
    }
}

/// Keeps the probes attached: dropping it detaches them, and the [`Sensor`] ends once it has handed out what
/// was seen until then.
#[derive(Debug)]
pub struct Stopper {
    /// The poll thread sees the other end of the pipe close.
    _wake: OwnedFd,
    stop: Arc<Stop>,
}

/// Whether the sensor is ending.
#[derive(Debug)]
pub(crate) struct Stop {
    late_after: AtomicU64,
    now: fn() -> Timestamp,
}

impl Stop {
    /// Whether it was told to end.
    pub(crate) fn is_told(&self) -> bool {
        self.late_after.load(Ordering::Relaxed) != u64::MAX
    }

    /// Whether it should have ended by now.
    fn is_late(&self) -> bool {
        self.is_told() && (self.now)().0 > self.late_after.load(Ordering::Relaxed)
    }
}

impl Drop for Stopper {
    fn drop(&mut self) {
        self.stop.late_after.store((self.stop.now)().0.saturating_add(FINISH_WITHIN_NS), Ordering::Relaxed);
    }
}

impl Sensor {
    /// Attaches the probes, and gives up every privilege that is not needed from then on. Every exec after this
    /// is seen; scripts that are running already follow as captures with the note
    /// [`evidence::CoverageNote::StartedEarlier`].
    ///
    /// Call it before the process has other threads: they would keep their privileges.
    pub fn open(settings: &Settings) -> Result<(Self, Stopper), SensorError> {
        let (seen_by, seen) = sync_channel(SEEN_MAX);
        let (wake, stopped) = wake_pair()?;
        let stop = Arc::new(Stop { late_after: AtomicU64::new(u64::MAX), now: settings.now });

        let shared = Arc::new(shared(settings)?);
        let waiting = Arc::new(Waiting::new(settings.hold.map(|hold| hold.within)));
        let executions = Arc::new(Executions::new(Arc::clone(&waiting)));
        let (tally, budgets) = (Arc::new(Tally::default()), Arc::new(Budgets::default()));
        let table = hold::table()?;
        let (loaded, doorkeeper) = load_input(settings, &table, &tally, &executions).unzip();
        let intake =
            Intake::new(Arc::clone(&tally), Arc::clone(&budgets), Arc::clone(&executions), doorkeeper);
        let intake = Arc::new(intake);
        let canary = Arc::new(AtomicBool::new(false));
        let (probe, executables) = attach(settings, &intake, &table, seen_by.clone(), &canary)?;
        let attached_at = capture::boot_time();
        let tables = probe.tables()?;
        let held = settings.hold.map(|_| probe.tables().map(|tables| tables.held)).transpose()?;
        let holds = Arc::new(Holds::new(held));
        let text_settings =
            TextSettings { include_host: settings.include_host, hold: settings.hold, tables: &tables };
        let texts = Texts::load(&text_settings, &waiting, Arc::clone(&tally), Arc::clone(&holds));
        let of_input = loaded.as_ref().is_some_and(input::Loaded::needs_perfmon);
        let needs_perfmon = of_input || texts.as_ref().is_ok_and(Texts::needs_perfmon);
        privileges::keep_needed(needs_perfmon, settings.hold.is_some())?;

        let catalogue = Arc::new(Catalogue::new(Some(executables), Arc::clone(&tally)));
        let hasher = start_hasher(seen_by.clone(), Arc::clone(&stop))?;
        let inputs = match loaded {
            Some(loaded) => {
                let stopped = stopped.try_clone().map_err(pipe_failed)?;
                Some(loaded.start(stopped, &catalogue, &holds, &stop, seen_by.clone())?)
            }
            None => None,
        };
        let watching = match texts {
            Ok(texts) => {
                let stopped = stopped.try_clone().map_err(pipe_failed)?;
                let describing = Describing {
                    executions,
                    budgets: Arc::clone(&budgets),
                    catalogue: Arc::clone(&catalogue),
                    settings: Arc::clone(&shared),
                };
                texts.start(stopped, describing, Arc::clone(&holds), &seen_by)?
            }
            Err(error) => {
                tracing::warn!("texts that are compiled at run time are not seen: {error}");
                Watching::nothing(executions, Arc::clone(&holds))
            }
        };
        if let Some(hold) = settings.hold {
            holds.start(hold, settings.now, &stop, seen_by.clone())?;
        }
        let verdicts = Verdicts { tables: watching.tables(), holds: Arc::clone(&holds) };
        let revisits = revisit::start(Arc::clone(&shared), seen_by.clone())?;
        let reading = Reading {
            inputs: inputs.clone(),
            revisits: revisits.clone(),
            intake: Arc::clone(&intake),
            catalogue: Arc::clone(&catalogue),
            watching: watching.clone(),
            stop: Arc::clone(&stop),
        };
        let readers = start_readers(&reading, &shared, &seen_by, &hasher)?;
        let losses = Losses::new(budgets, tally, watching.tables(), settings.now);
        let settings = shared;
        let stopping = Arc::clone(&stop);
        let context =
            running::Context { attached_at, catalogue, watching, revisits, inputs, settings, stop: stopping };
        running::start(context, seen_by.clone(), hasher)?;
        spawn("urva-poll", move || {
            poll(&probe, &stopped, losses, &intake, readers, &seen_by);
        })?;
        Ok((Self { seen, canary, verdicts }, Stopper { _wake: wake, stop }))
    }

    /// The id of the table of processes that are held, where holding is enabled; for [`crate::HeldProcesses::of`].
    pub fn held_table(&self) -> Option<u32> {
        self.verdicts.holds.table()
    }

    /// Where verdicts are to be told.
    pub fn verdicts(&self) -> Verdicts {
        self.verdicts.clone()
    }

    /// The next thing seen; waits for it. `None` once the sensor was stopped and everything was handed out.
    pub fn next(&self) -> Option<Seen> {
        if self.canary.swap(false, Ordering::Relaxed) {
            return Some(Seen::Canary);
        }
        self.seen.recv().ok()
    }
}

fn shared(settings: &Settings) -> Result<CaptureSettings, SensorError> {
    Ok(CaptureSettings {
        content_limit: settings.content_limit,
        include_host: settings.include_host,
        now: settings.now,
        host_pid_namespace: host_namespace("pid")?,
    })
}

fn attach(
    settings: &Settings,
    intake: &Arc<Intake>,
    held: &MapHandle,
    seen: SyncSender<Seen>,
    canary: &Arc<AtomicBool>,
) -> Result<(ExecProbe, Executables), SensorError> {
    let (intake, canary) = (Arc::clone(intake), Arc::clone(canary));
    let mut assembler = Assembler::default();
    let settings = ProbeSettings {
        include_host: settings.include_host,
        environment_max: settings.environment_limit.min(ENVIRONMENT_MAX),
        canary_parent: settings.canary_parent.unwrap_or(0),
        hold: settings.hold,
        held,
    };
    ExecProbe::attach(&settings, move |record| {
        if is_canary(record) {
            // It comes to whoever takes the next thing, also where there is no room for it: a flood is no broken probe.
            // Where nobody takes what is seen, it does not arrive either.
            if seen.try_send(Seen::Canary).is_err() {
                canary.store(true, Ordering::Relaxed);
            }
        } else {
            intake.take(record, &mut assembler);
        }
    })
}

/// Most bytes of environment that may be asked for.
const ENVIRONMENT_MAX: u32 = 128 * 1024;

/// What the readers and the hasher share.
pub(crate) type Shared = Arc<CaptureSettings>;

/// A file to hash, and the capture that it completes.
pub(crate) type Hasher = SyncSender<(Capture, OpenFile)>;

fn poll(
    probe: &ExecProbe,
    stopped: &OwnedFd,
    mut losses: Losses,
    intake: &Intake,
    readers: Vec<JoinHandle<()>>,
    seen: &SyncSender<Seen>,
) {
    while !probe.consume(stopped.as_fd(), COUNTERS_EVERY) {
        losses.report(probe, |gap| seen.try_send(Seen::Gap(Box::new(gap))).is_ok());
    }
    intake.close();
    for reader in readers {
        let _ = reader.join();
    }
    // Now there is time to wait for room.
    losses.report_all(probe, |gap| seen.send(Seen::Gap(Box::new(gap))).is_ok());
}

/// What the readers have in common.
#[derive(Clone)]
struct Reading {
    inputs: Option<Arc<Inputs>>,
    revisits: Revisits,
    intake: Arc<Intake>,
    catalogue: Arc<Catalogue>,
    watching: Watching,
    stop: Arc<Stop>,
}

fn start_readers(
    reading: &Reading,
    settings: &Shared,
    seen: &SyncSender<Seen>,
    hasher: &Hasher,
) -> Result<Vec<JoinHandle<()>>, SensorError> {
    let start = |_| {
        let (reading, settings) = (reading.clone(), Arc::clone(settings));
        let (seen, hasher) = (seen.clone(), hasher.clone());
        spawn("urva-read", move || {
            while let Some((budget, mut exec)) = reading.intake.next() {
                let settled = if reading.stop.is_late() {
                    reading.intake.lost(budget);
                    reading.let_go(&exec);
                    Settled::Back(None)
                } else {
                    let taken = capture::take(&mut exec, &reading.catalogue, &reading.watching, &settings);
                    reading.with_input(&exec, taken)
                };
                if let Settled::Back(taken) = settled {
                    if let Some(taken) = taken {
                        reading.revisits.add(&taken.capture);
                        hand_on(*taken, &seen, &hasher);
                    }
                    reading.watching.executions.settle(budget, exec.key());
                }
                reading.intake.done(budget);
            }
        })
    };
    (0..READERS).map(start).collect()
}

impl Reading {
    /// Leaves a capture to the watch on its standard input, where its text is still to come over that. A process that is
    /// held goes on unless there is a text to be judged, or that watch lets it go.
    fn with_input(&self, exec: &Exec, taken: Option<Taken>) -> Settled<Taken> {
        let (mut capture, to_hash) =
            taken.map_or((None, None), |Taken { capture, to_hash }| (Some(capture), to_hash));
        if let Some(capture) = &mut capture {
            capture.held = exec.has(value::EXEC_HELD);
        }
        if let Some(inputs) = &self.inputs {
            capture = match inputs.settle(exec, capture) {
                Settled::Taken => return Settled::Taken,
                Settled::Back(capture) => capture.map(|capture| *capture),
            };
        }
        let has_text = capture.as_ref().is_some_and(|capture| capture.script.content.is_captured());
        if !has_text {
            self.let_go(exec);
        }
        Settled::Back(capture.map(|mut capture| {
            capture.held &= has_text;
            Box::new(Taken { capture, to_hash })
        }))
    }

    fn let_go(&self, exec: &Exec) {
        if exec.has(value::EXEC_HELD) {
            let (pid, ticks) = exec.process();
            self.watching.holds.decide(pid, ticks, Release::Continue);
        }
    }
}

/// The programs that watch standard input; none where the kernel refuses them.
fn load_input(
    settings: &Settings,
    held: &MapHandle,
    tally: &Arc<Tally>,
    executions: &Arc<Executions>,
) -> Option<(input::Loaded, Doorkeeper)> {
    let loaded = input::load(settings.content_limit, settings.hold, held, tally, executions);
    loaded.inspect_err(|error| tracing::warn!("standard input is not captured: {error}")).ok()
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
fn start_hasher(seen: SyncSender<Seen>, stop: Arc<Stop>) -> Result<Hasher, SensorError> {
    let (hasher, waiting) = sync_channel::<(Capture, OpenFile)>(TO_HASH_MAX);
    spawn("urva-hash", move || {
        for (mut capture, file) in waiting {
            let limit = file.identity.size.min(HASH_MAX);
            let Ok((sha256, size)) = file.hash(limit, &|| !stop.is_told()) else { continue };
            complete(&mut capture, sha256, size);
            if seen.send(Seen::Completed(Box::new(capture))).is_err() {
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
    let (reader, writer) = pipe.map_err(|error| pipe_failed(error.into()))?;
    Ok((writer, reader))
}

fn pipe_failed(source: std::io::Error) -> SensorError {
    SensorError::Proc { path: "a pipe".to_owned(), source }
}
