//! Going before others where the processors are busy: what a container executes in masses shall not keep urva from them.
//!
//! Refuses: real time. Whoever judges texts for long would then keep the host from working.

use std::time::Duration;

/// The niceness of this process.
const NICE: i32 = -10;

/// How long it wants to run at a time. Linux 6.12 and later let those sooner on who want less; the shortest that they take.
const SLICE: Duration = Duration::from_micros(100);

/// `struct sched_attr` of `include/uapi/linux/sched/types.h` in its first size.
#[repr(C)]
struct Attributes {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
}

/// Lets this thread, and all that it starts, and its session go before others. Where that is refused, findings come later when the host is busy.
pub fn go_first() {
    let attributes = Attributes {
        size: u32::try_from(size_of::<Attributes>()).unwrap_or(0),
        policy: libc::SCHED_OTHER.cast_unsigned(),
        flags: 0,
        nice: NICE,
        priority: 0,
        runtime: u64::try_from(SLICE.as_nanos()).unwrap_or(0),
        deadline: 0,
        period: 0,
    };
    // SAFETY: the kernel reads `size` bytes at the address, which are all of the structure, and keeps no pointer to it.
    let set = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    if set < 0 {
        let error = std::io::Error::last_os_error();
        tracing::debug!(%error, "urva runs at the priority of everybody");
    }
    // On hosts that share the processors between sessions first, the session has a niceness as well.
    let _ = std::fs::write("/proc/self/autogroup", NICE.to_string());
}
