//! Gives up what the sensor does not need once its probes are attached.

use crate::error::SensorError;
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities, set_no_new_privs};

/// What is still needed: to see other processes' executables and roots, to read their files, and on kernels
/// that refuse `bpf()` to everybody else, to update the table of executables.
const NEEDED: CapabilitySet =
    CapabilitySet::SYS_PTRACE.union(CapabilitySet::DAC_READ_SEARCH).union(CapabilitySet::BPF);

/// Drops all other capabilities of this thread, and of those that it starts; none can come back through an exec.
pub(crate) fn keep_needed() -> Result<(), SensorError> {
    let held = capabilities(None).map_err(give_up)?;
    let kept = held.permitted.intersection(NEEDED);
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    set_capabilities(None, sets).map_err(give_up)?;
    set_no_new_privs(true).map_err(give_up)
}

fn give_up(error: rustix::io::Errno) -> SensorError {
    SensorError::Privileges(error.into())
}
