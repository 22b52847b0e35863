//! Processes that the probes have stopped until their texts are judged.
//!
//! Owns: letting them go, killing them, or leaving them as they are, and the time after which nobody waits any longer.
//! Guarantee: a process is continued at the latest when its time is over, and when urva ends; the table of stopped
//! processes is the kernel's, so a sensor that has crashed leaves none behind that its successor's parent cannot find.
//! Blind spot: a process that is let go for want of a verdict runs unjudged text; it is counted, and its finding follows.

use crate::error::SensorError;
use crate::probe::refused;
use crate::running::start_ticks;
use crate::sensor::{Seen, Stop, spawn};
use crate::wire::{HeldProcess, read};
use evidence::{Gap, GapKind, Timestamp};
use libbpf_rs::{MapCore, MapFlags, MapHandle, MapType};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::collections::VecDeque;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How often processes are looked for whose time is over.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Processes that can be held at a time.
const PROCESSES_MAX: u32 = 4096;

/// How many are remembered that were let go for want of a verdict: as many as can be held.
const LATE_MAX: usize = PROCESSES_MAX as usize;

/// The entry that counts those that found no room in the table.
const NOBODY: u32 = 0;

/// Whether and how long processes are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HoldSettings {
    /// How long a process waits for the verdict on its text before it is let go.
    pub within: Duration,
    /// Also processes with a controlling terminal, whose shell notices that they stop.
    pub terminals: bool,
}

/// What becomes of a process that is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// It goes on.
    Continue,
    /// It is killed.
    Kill,
    /// It stays stopped, for somebody to look at.
    Keep,
}

/// Makes the table of processes that are held, which all probes share: `held` in `bpf/hold.h`.
pub(crate) fn table() -> Result<MapHandle, SensorError> {
    let size = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
    let options = libbpf_sys::bpf_map_create_opts {
        sz: size_of::<libbpf_sys::bpf_map_create_opts>() as _,
        ..Default::default()
    };
    let value = size(size_of::<HeldProcess>());
    MapHandle::create(MapType::Hash, Some("held"), size(size_of::<u32>()), value, PROCESSES_MAX, &options)
        .map_err(refused)
}

/// The processes that are held.
pub(crate) struct Holds {
    table: Option<MapHandle>,
    /// Processes that were let go for want of a verdict, the latest ones.
    late: Mutex<VecDeque<(u32, u64)>>,
}

impl Holds {
    /// With the kernel's table; without one nothing is held.
    pub(crate) fn new(table: Option<MapHandle>) -> Self {
        Self { table, late: Mutex::default() }
    }

    /// One text of the process is judged. It goes on when no other one waits.
    pub(crate) fn decide(&self, pid: u32, ticks: u64, release: Release) {
        let Some((table, known)) = self.table.as_ref().zip(self.known(pid)) else { return };
        if known.start_time / 10_000_000 != ticks {
            return;
        }
        if release == Release::Continue && known.texts > 1 {
            let fewer = HeldProcess { texts: known.texts - 1, ..known };
            let _ = table.update(&pid.to_ne_bytes(), &bytes_of(&fewer), MapFlags::EXIST);
            return;
        }
        self.finish(pid, ticks, release);
    }

    /// Whether the process is held.
    pub(crate) fn holds(&self, pid: u32, ticks: u64) -> bool {
        self.known(pid).is_some_and(|known| known.start_time / 10_000_000 == ticks)
    }

    /// Whether the process was let go before it was judged. Tells it once.
    pub(crate) fn was_late(&self, pid: u32, ticks: u64) -> bool {
        let mut late = self.late.lock().unwrap_or_else(PoisonError::into_inner);
        let found = late.iter().position(|known| *known == (pid, ticks));
        found.and_then(|at| late.remove(at)).is_some()
    }

    fn remember_late(&self, pid: u32, ticks: u64) {
        let mut late = self.late.lock().unwrap_or_else(PoisonError::into_inner);
        if late.len() == LATE_MAX {
            late.pop_front();
        }
        late.push_back((pid, ticks));
    }

    fn finish(&self, pid: u32, ticks: u64, release: Release) {
        let Some(table) = &self.table else { return };
        // First the entry: what the process runs into next holds it anew.
        let _ = table.delete(&pid.to_ne_bytes());
        let signal = match release {
            Release::Continue => Signal::CONT,
            Release::Kill => Signal::KILL,
            Release::Keep => return,
        };
        send(pid, ticks, signal);
    }

    fn known(&self, pid: u32) -> Option<HeldProcess> {
        let value = self.table.as_ref()?.lookup(&pid.to_ne_bytes(), MapFlags::ANY).ok()??;
        read(&value).ok()
    }

    /// Lets all go that were held before this boot time in nanoseconds. Returns how many.
    pub(crate) fn release_before(&self, time: u64) -> u64 {
        let Some(table) = &self.table else { return 0 };
        let pids = table.keys().filter_map(|key| Some(u32::from_ne_bytes(key.try_into().ok()?)));
        let mut released = 0;
        for pid in pids.filter(|pid| *pid != NOBODY).collect::<Vec<_>>() {
            let Some(known) = self.known(pid).filter(|known| known.held_at < time) else { continue };
            let ticks = known.start_time / 10_000_000;
            self.remember_late(pid, ticks);
            self.finish(pid, ticks, Release::Continue);
            released += 1;
        }
        released
    }

    /// The id of the kernel's table, for whoever shall let go of all when this process has crashed.
    pub(crate) fn table(&self) -> Option<u32> {
        Some(self.table.as_ref()?.info().ok()?.info.id)
    }

    /// Starts the thread that lets go of those whose time is over.
    pub(crate) fn start(
        self: &Arc<Self>,
        settings: HoldSettings,
        now: fn() -> Timestamp,
        stop: &Arc<Stop>,
        seen: SyncSender<Seen>,
    ) -> Result<(), SensorError> {
        if let Some(table) = &self.table {
            let none = bytes_of(&HeldProcess::default());
            // Without it nothing is counted; it is the first entry of a table that is empty.
            let _ = table.update(&NOBODY.to_ne_bytes(), &none, MapFlags::ANY);
        }
        let (holds, stop) = (Arc::clone(self), Arc::clone(stop));
        spawn("urva-hold", move || {
            let within = u64::try_from(settings.within.as_nanos()).unwrap_or(u64::MAX);
            let mut untold = [(GapKind::HeldTooLong, 0), (GapKind::NotHeld, 0)];
            let mut refused_before = 0;
            while !stop.is_told() {
                std::thread::sleep(LOOK_EVERY);
                untold[0].1 += holds.release_before(crate::capture::boot_time().saturating_sub(within));
                let refused = holds.known(NOBODY).map_or(0, |nobody| nobody.texts);
                untold[1].1 += u64::from(refused.wrapping_sub(refused_before));
                refused_before = refused;
                for (kind, lost) in untold.iter_mut().filter(|(_, lost)| *lost > 0) {
                    let gap = gap(*kind, *lost, now());
                    if seen.try_send(Seen::Gap(Box::new(gap))).is_ok() {
                        *lost = 0;
                    }
                }
            }
            holds.release_before(u64::MAX);
        })?;
        Ok(())
    }
}

fn gap(kind: GapKind, lost: u64, at: Timestamp) -> Gap {
    let detail = match kind {
        GapKind::NotHeld => {
            "processes went on before their texts were judged, since too many were held at a time"
        }
        _ => "processes that were held were let go without a verdict, since it took too long",
    };
    Gap { kind, from: at, to: at, lost: Some(lost), detail: detail.to_owned(), container: None }
}

/// The table of held processes, in the hands of a process that outlives the sensor.
pub struct HeldProcesses(Holds);

impl HeldProcesses {
    /// The table that a running sensor named; see [`crate::Sensor::held_table`].
    ///
    /// # Errors
    /// Where the sensor has ended, or without `CAP_SYS_ADMIN`.
    pub fn of(id: u32) -> std::io::Result<Self> {
        let table = MapHandle::from_map_id(id).map_err(std::io::Error::other)?;
        Ok(Self(Holds::new(Some(table))))
    }

    /// Lets go of every process in it. Returns how many they were.
    pub fn release(&self) -> u64 {
        self.0.release_before(u64::MAX)
    }
}

/// Signals the process unless it is another one of the same id by now.
fn send(pid: u32, ticks: u64, signal: Signal) {
    let Some(id) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return };
    let Ok(process) = pidfd_open(id, PidfdFlags::empty()) else { return };
    if start_ticks(pid) != Some(ticks) {
        return;
    }
    if let Err(error) = pidfd_send_signal(&process, signal) {
        tracing::warn!(pid, %error, "a process that was held could not be signalled");
    }
}

fn bytes_of(value: &HeldProcess) -> [u8; size_of::<HeldProcess>()] {
    let mut bytes = [0; size_of::<HeldProcess>()];
    bytes[..8].copy_from_slice(&value.start_time.to_ne_bytes());
    bytes[8..16].copy_from_slice(&value.held_at.to_ne_bytes());
    bytes[16..20].copy_from_slice(&value.texts.to_ne_bytes());
    bytes
}
