//! Gives up what the sensor does not need once its probes are attached.

use crate::error::SensorError;
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities, set_no_new_privs};

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

fn give_up(error: rustix::io::Errno) -> SensorError {
    SensorError::Privileges(error.into())
}
