//! The capabilities that `urva run` needs until its halves have given up what each does not need.

use rustix::thread::CapabilitySet;

/// One capability.
pub(crate) struct Capability {
    pub(crate) set: CapabilitySet,
    pub(crate) name: &'static str,
    /// Completes "urva needs it to …".
    pub(crate) purpose: &'static str,
}

pub(crate) const NEEDED: [Capability; 9] = [
    needed(CapabilitySet::BPF, "CAP_BPF", "load BPF programs"),
    needed(CapabilitySet::PERFMON, "CAP_PERFMON", "attach BPF programs"),
    needed(CapabilitySet::SYS_PTRACE, "CAP_SYS_PTRACE", "see the files of processes in containers"),
    needed(CapabilitySet::DAC_READ_SEARCH, "CAP_DAC_READ_SEARCH", "read scripts of other users"),
    needed(CapabilitySet::CHOWN, "CAP_CHOWN", "give the state folder to the detector's user"),
    needed(CapabilitySet::SETUID, "CAP_SETUID", "make the detector another user than root"),
    needed(CapabilitySet::SETGID, "CAP_SETGID", "make the detector another user than root"),
    needed(CapabilitySet::SETPCAP, "CAP_SETPCAP", "take privileges from the detector for good"),
    needed(CapabilitySet::KILL, "CAP_KILL", "end a detector that hangs"),
];

const fn needed(set: CapabilitySet, name: &'static str, purpose: &'static str) -> Capability {
    Capability { set, name, purpose }
}
