//! Gives up what the sensor does not need once its probes are attached.

use crate::error::SensorError;
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities, set_no_new_privs};
use std::sync::atomic::{AtomicI32, Ordering};

/// What is still needed: to see other processes' executables and roots, to read their files, and to attach probes and
/// update their tables.
const NEEDED: CapabilitySet =
    CapabilitySet::SYS_PTRACE.union(CapabilitySet::DAC_READ_SEARCH).union(CapabilitySet::BPF);

/// Drops all other capabilities of this thread, and of those that it starts; none can come back through an exec.
/// Kernels before 6.6 let nobody attach to a file without `CAP_PERFMON`.
/// Processes of other users can be continued and killed with `CAP_KILL` only.
pub(crate) fn keep_needed(needs_perfmon: bool, needs_kill: bool) -> Result<(), SensorError> {
    let held = capabilities(None).map_err(give_up)?;
    let mut needed = NEEDED;
    needed.set(CapabilitySet::PERFMON, needs_perfmon);
    needed.set(CapabilitySet::KILL, needs_kill);
    let kept = held.permitted.intersection(needed);
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    set_capabilities(None, sets).map_err(give_up)?;
    set_no_new_privs(true).map_err(give_up)
}

/// What a thread that must react within some hundred µs runs at; it does little.
const URGENT: i32 = -10;

/// What this process ran at before, for threads that do much. Where urva as a whole goes before others, that is as urgent.
static ORDINARY: AtomicI32 = AtomicI32::new(0);

/// Puts this thread, and those that it starts, before others, where that is allowed.
pub(crate) fn be_urgent() {
    let before = rustix::process::getpriority_process(None).unwrap_or(0);
    ORDINARY.store(before, Ordering::Relaxed);
    if before <= URGENT {
        return;
    }
    if let Err(error) = rustix::process::setpriority_process(None, URGENT) {
        tracing::debug!(%error, "the sensor runs at the priority of everybody");
    }
}

/// Takes that back for this thread.
pub(crate) fn be_ordinary() {
    let ordinary = ORDINARY.load(Ordering::Relaxed);
    if ordinary > URGENT {
        // Nobody is kept from being less urgent.
        let _ = rustix::process::setpriority_process(None, ordinary);
    }
}

fn give_up(error: rustix::io::Errno) -> SensorError {
    SensorError::Privileges(error.into())
}
