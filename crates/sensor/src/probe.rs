//! Loads the exec probe and reads its ring buffer.
//!
//! Owns: the loaded BPF object, its link and its maps.
//! Refuses: meaning. Records leave as bytes.

use crate::error::SensorError;
use crate::hold::HoldSettings;
use crate::memory;
use crate::skeleton::{ExecSkel, ExecSkelBuilder, types};
use crate::wire::{ExecHeader, value};
use libbpf_rs::skel::{OpenSkel, SkelBuilder};
use libbpf_rs::{Link, Map, MapCore, MapFlags, MapHandle, OpenObject, RingBuffer, RingBufferBuilder};
use rustix::thread::{CapabilitySet, capabilities};
use std::fs::File;
use std::io::Read;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::Duration;

/// What the probe shall send.
pub(crate) struct ProbeSettings<'a> {
    /// Whether execs in the host's own mount namespace are sent.
    pub(crate) include_host: bool,
    /// Bytes of environment to send with each exec.
    pub(crate) environment_max: u32,
    /// The process whose children are canaries; 0 for none.
    pub(crate) canary_parent: u32,
    /// Whether processes are stopped until their texts are judged.
    pub(crate) hold: Option<HoldSettings>,
    /// The table of processes that are held.
    pub(crate) held: &'a MapHandle,
}

/// The attached probe. Dropping it detaches.
pub(crate) struct ExecProbe {
    ring: RingBuffer<'static>,
    ledger: Ledger,
    program: ProgramId,
    _link: Link,
    skeleton: ExecSkel<'static>,
}

/// Tables that the exec probe shares with other programs.
pub(crate) struct ExecTables {
    /// Processes that are held.
    pub(crate) held: MapHandle,
    /// Execs that user space was told of, by process and by layout: see `bpf/executed.h`.
    pub(crate) executed: MapHandle,
    pub(crate) layouts: MapHandle,
}

/// What a program has counted: in all, and against the budget of each container.
pub(crate) struct Ledger {
    counters: MapHandle,
    budgets: MapHandle,
}

/// What a program has not sent since it was loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Spent {
    /// Since a container had used up its budget.
    pub(crate) refused: u64,
    /// Since there was no room.
    pub(crate) lost: u64,
}

/// The probe's table of executables, for the threads that look at them.
pub(crate) struct Executables(MapHandle);

/// Budgets that the probe keeps.
const BUDGETS_MAX: usize = 8192;

struct ProgramId(std::os::fd::OwnedFd);

impl ExecProbe {
    /// Loads and attaches; `on_record` then gets each record while [`ExecProbe::consume`] runs.
    pub(crate) fn attach(
        settings: &ProbeSettings<'_>,
        mut on_record: impl FnMut(&[u8]) + 'static,
    ) -> Result<(Self, Executables), SensorError> {
        if !Path::new("/sys/kernel/btf/vmlinux").exists() {
            return Err(SensorError::NoBtf);
        }
        silence_libbpf();
        // One object for the life of the process: leaking it gives the skeleton the lifetime that threads need.
        let storage: &'static mut MaybeUninit<OpenObject> = Box::leak(Box::new(MaybeUninit::uninit()));
        let mut open = ExecSkelBuilder::default().open(storage).map_err(refused)?;
        let Some(constants) = open.maps.rodata_data.as_deref_mut() else {
            return Err(SensorError::Refused { program: "on_exec", reason: "it has no constants".into() });
        };
        constants.host_mount_namespace = host_namespace("mnt")?;
        constants.host_pid_namespace = host_namespace("pid")?;
        constants.include_host = settings.include_host;
        constants.environment_max = settings.environment_max;
        constants.canary_parent = settings.canary_parent;
        constants.hold_enabled = settings.hold.is_some();
        constants.hold_terminals = settings.hold.is_some_and(|hold| hold.terminals);
        open.maps.held.reuse_fd(settings.held.as_fd()).map_err(refused)?;
        let skeleton = open.load().map_err(refused)?;

        let found = secret().map_err(|error| error.to_string());
        let found =
            found.and_then(|secret| memory::find(&skeleton, secret).map_err(|error| error.to_string()));
        if let Err(reason) = found {
            tracing::debug!(reason, "what lies in a pipe at an exec is looked at later");
        }
        let executables = Executables(MapHandle::try_from(&skeleton.maps.executables).map_err(refused)?);
        let ledger = Ledger::new(&skeleton.maps.counters, &skeleton.maps.budgets)?;
        let events = MapHandle::try_from(&skeleton.maps.events).map_err(refused)?;
        let mut ring = RingBufferBuilder::new();
        let record = move |record: &[u8]| {
            on_record(record);
            0
        };
        ring.add(&events, record).map_err(refused)?;
        let ring = ring.build().map_err(refused)?;
        let program = skeleton.progs.on_exec.as_fd().try_clone_to_owned();
        let program = ProgramId(program.map_err(|source| refused(libbpf_rs::Error::from(source)))?);
        let link = skeleton.progs.on_exec.attach().map_err(refused)?;
        Ok((Self { ring, ledger, program, _link: link, skeleton }, executables))
    }

    /// Waits until records are there, `wake` is readable, or the time is over. Hands out what is there.
    /// Returns whether `wake` is readable.
    pub(crate) fn consume(&self, wake: BorrowedFd<'_>, timeout: Duration) -> bool {
        consume(&self.ring, wake, timeout)
    }

    /// The tables that other programs use as well.
    pub(crate) fn tables(&self) -> Result<ExecTables, SensorError> {
        let maps = &self.skeleton.maps;
        Ok(ExecTables {
            held: MapHandle::try_from(&maps.held).map_err(refused)?,
            executed: MapHandle::try_from(&maps.executed).map_err(refused)?,
            layouts: MapHandle::try_from(&maps.layouts).map_err(refused)?,
        })
    }

    /// What was not sent.
    pub(crate) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// How often the kernel skipped the probe since it was running on that CPU already.
    pub(crate) fn skipped(&self) -> u64 {
        self.program.recursion_misses()
    }
}

impl Ledger {
    /// Of the maps `counters` and `budgets` of a program: see `bpf/budget.h`.
    pub(crate) fn new(counters: &Map<'_>, budgets: &Map<'_>) -> Result<Self, SensorError> {
        let handle = |map| MapHandle::try_from(map).map_err(refused);
        Ok(Self { counters: handle(counters)?, budgets: handle(budgets)? })
    }

    /// All together.
    pub(crate) fn sums(&self) -> Spent {
        Spent {
            refused: sum(&self.counters, value::COUNTER_REFUSED),
            lost: sum(&self.counters, value::COUNTER_LOST),
        }
    }

    /// By budget. It asks the kernel twice for each container: only where a sum has changed.
    pub(crate) fn by_budget(&self) -> Vec<(u64, Spent)> {
        let read = |key: Vec<u8>| {
            let value = self.budgets.lookup(&key, MapFlags::ANY).ok()??;
            let number = |at: usize| Some(u64::from_ne_bytes(value.get(at..at + 8)?.try_into().ok()?));
            let refused = number(std::mem::offset_of!(types::budget, refused))?;
            let lost = number(std::mem::offset_of!(types::budget, lost))?;
            Some((u64::from_ne_bytes(key.try_into().ok()?), Spent { refused, lost }))
        };
        // More than the table holds: one that changes while it is read can be gone through again from the beginning.
        self.budgets.keys().take(2 * BUDGETS_MAX).filter_map(read).collect()
    }
}

/// Waits until records are there, `wake` is readable, or the time is over. Hands out what is there.
/// Returns whether `wake` is readable.
pub(crate) fn consume(ring: &RingBuffer<'_>, wake: BorrowedFd<'_>, timeout: Duration) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    // SAFETY: the ring owns its epoll descriptor and outlives this borrow.
    let records = unsafe { BorrowedFd::borrow_raw(ring.epoll_fd()) };
    let mut ready = [PollFd::new(&records, PollFlags::IN), PollFd::new(&wake, PollFlags::IN)];
    let timeout = Timespec::try_from(timeout).ok();
    // An interrupted wait is a short wait.
    let _ = poll(&mut ready, timeout.as_ref());
    let is_woken = !ready[1].revents().is_empty();
    // The callback never fails, so consuming cannot.
    let _ = ring.consume();
    is_woken
}

/// The sum of a counter over all CPUs.
fn sum(counters: &MapHandle, counter: u32) -> u64 {
    let Ok(Some(cpus)) = counters.lookup_percpu(&counter.to_ne_bytes(), MapFlags::ANY) else {
        return 0;
    };
    cpus.iter().filter_map(|value| Some(u64::from_ne_bytes(value.get(..8)?.try_into().ok()?))).sum()
}

impl Executables {
    /// Tells the probe what the executable of this exec is. `class` is one of `value::CLASS_*`.
    pub(crate) fn set_class(&self, header: &ExecHeader, class: u32) {
        let mut key = [0; size_of::<types::executable_key>()];
        key[..8].copy_from_slice(&header.executable_device.to_ne_bytes());
        key[8..].copy_from_slice(&header.executable_inode.to_ne_bytes());
        let mut verdict = [0; size_of::<types::executable_verdict>()];
        verdict[..8].copy_from_slice(&header.executable_changed.to_ne_bytes());
        verdict[8..16].copy_from_slice(&header.executable_size.to_ne_bytes());
        verdict[16..20].copy_from_slice(&header.executable_changed_ns.to_ne_bytes());
        verdict[20..].copy_from_slice(&class.to_ne_bytes());
        // Where the table refuses, the executable is looked at again next time.
        if let Err(error) = self.0.update(&key, &verdict, MapFlags::ANY) {
            tracing::debug!(%error, "the table of executables took no entry");
        }
    }
}

impl ProgramId {
    fn recursion_misses(&self) -> u64 {
        use std::os::fd::AsRawFd;
        let mut info = libbpf_sys::bpf_prog_info::default();
        let mut length = u32::try_from(size_of_val(&info)).unwrap_or(0);
        // SAFETY: `info` is a plain structure of integers, zeroed, and `length` is its size; the kernel
        // writes no more than that. The descriptor is open for as long as `self` lives.
        let status = unsafe {
            libbpf_sys::bpf_obj_get_info_by_fd(
                self.0.as_raw_fd(),
                std::ptr::from_mut(&mut info).cast(),
                &raw mut length,
            )
        };
        if status == 0 { info.recursion_misses } else { 0 }
    }
}

/// Two words that nobody can guess.
pub(crate) fn secret() -> Result<[u64; 2], SensorError> {
    let path = "/dev/urandom";
    let mut bytes = [0; 16];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut bytes));
    read.map_err(|source| SensorError::Proc { path: path.to_owned(), source })?;
    let number = u128::from_ne_bytes(bytes);
    #[allow(clippy::cast_possible_truncation, reason = "the two halves")]
    Ok([number as u64, (number >> 64) as u64])
}

/// The inode number of a namespace of the host. `kind` is a file of `/proc/PID/ns`.
pub(crate) fn host_namespace(kind: &str) -> Result<u32, SensorError> {
    // Some virtual machines let nobody look at process 1. There urva runs on the host itself.
    namespace_of(&format!("/proc/1/ns/{kind}")).or_else(|_| namespace_of(&format!("/proc/self/ns/{kind}")))
}

/// The inode number of a namespace.
pub(crate) fn namespace_of(path: &str) -> Result<u32, SensorError> {
    use std::os::unix::fs::MetadataExt;
    let metadata =
        std::fs::metadata(path).map_err(|source| SensorError::Proc { path: path.to_owned(), source })?;
    // The kernel keeps the number in 32 bits.
    u32::try_from(metadata.ino()).map_err(|_| SensorError::Proc {
        path: path.to_owned(),
        source: std::io::ErrorKind::InvalidData.into(),
    })
}

/// A verifier that rejects a program and a kernel that lets nobody load one give the same error number.
pub(crate) fn refused(error: libbpf_rs::Error) -> SensorError {
    let needed = CapabilitySet::BPF | CapabilitySet::PERFMON;
    let is_allowed = capabilities(None).is_ok_and(|held| held.effective.contains(needed));
    if error.kind() == libbpf_rs::ErrorKind::PermissionDenied && !is_allowed {
        return SensorError::Unprivileged("CAP_BPF, CAP_PERFMON, CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH");
    }
    SensorError::Refused { program: "on_exec", reason: error.to_string() }
}

/// libbpf writes to standard error; its words belong into the log.
fn silence_libbpf() {
    libbpf_rs::set_print(Some((libbpf_rs::PrintLevel::Debug, |level, text| {
        let text = text.trim_end();
        match level {
            libbpf_rs::PrintLevel::Warn => tracing::debug!(target: "libbpf", "{text}"),
            _ => tracing::trace!(target: "libbpf", "{text}"),
        }
    })));
}
