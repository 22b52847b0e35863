//! What was not seen. Every loss is a value that reaches the user.

use crate::{Container, Timestamp};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A stretch of time in which something was or may have been lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// What happened.
    pub kind: GapKind,
    /// When it began, as far as known.
    pub from: Timestamp,
    /// When it ended.
    pub to: Timestamp,
    /// How many executions were lost; unknown where nobody could count.
    pub lost: Option<u64>,
    /// What exactly, in plain words.
    pub detail: String,
    /// The container whose executions were lost; absent where it concerns the host, or is not known.
    #[serde(default)]
    pub container: Option<Container>,
}

/// Kinds of loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum GapKind {
    /// The ring buffer between kernel and sensor was full.
    KernelBufferFull,
    /// A container executed more than is looked at of one, so that it cannot blind urva to the others.
    OverBudget,
    /// The kernel skipped the probe because it was already running on that core.
    ProbeSkipped,
    /// The queue in front of the file readers was full.
    CaptureQueueFull,
    /// A message from the kernel could not be decoded.
    UndecodableEvent,
    /// A program ended, and its file was gone, before it could be told whether it was an interpreter.
    ExecutableGone,
    /// The sensor ended and was started again.
    SensorRestarted,
    /// The detector ended and was started again.
    DetectorRestarted,
    /// A capture was given up since the detector ended each time it was judged.
    CaptureGivenUp,
    /// The probe did not see what was executed for it to be seen: it was removed, or its table was changed.
    ProbeRemoved,
    /// One of urva's processes was stopped, by a signal or a debugger.
    ProcessStopped,
    /// One of urva's processes did not get to work, or nothing reached the disk.
    Starved,
    /// The supervisor was killed.
    SupervisorEnded,
    /// urva was killed or crashed, or the machine went down, and it did not run until its next start.
    Killed,
    /// urva was stopped in order, and did not run until its next start.
    NotRunning,
    /// A process that was stopped until its text was judged was let go without a verdict.
    HeldTooLong,
    /// A process was not stopped until its text was judged, since too many were stopped at a time.
    NotHeld,
    /// An interpreter may have read the beginning of its standard input before it was watched.
    InputLate,
    /// Parts of what an interpreter read from its standard input were not seen, or nothing of it.
    InputLost,
    /// A container had used up the time for which all system calls of the host are looked at for its young interpreters.
    InputOverBudget,
}

impl GapKind {
    /// The name under which the store, metrics and JSON know it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::KernelBufferFull => "KERNEL_BUFFER_FULL",
            Self::OverBudget => "OVER_BUDGET",
            Self::ProbeSkipped => "PROBE_SKIPPED",
            Self::CaptureQueueFull => "CAPTURE_QUEUE_FULL",
            Self::UndecodableEvent => "UNDECODABLE_EVENT",
            Self::ExecutableGone => "EXECUTABLE_GONE",
            Self::SensorRestarted => "SENSOR_RESTARTED",
            Self::DetectorRestarted => "DETECTOR_RESTARTED",
            Self::CaptureGivenUp => "CAPTURE_GIVEN_UP",
            Self::ProbeRemoved => "PROBE_REMOVED",
            Self::ProcessStopped => "PROCESS_STOPPED",
            Self::Starved => "STARVED",
            Self::SupervisorEnded => "SUPERVISOR_ENDED",
            Self::Killed => "KILLED",
            Self::HeldTooLong => "HELD_TOO_LONG",
            Self::NotHeld => "NOT_HELD",
            Self::InputLate => "INPUT_LATE",
            Self::InputLost => "INPUT_LOST",
            Self::InputOverBudget => "INPUT_OVER_BUDGET",
            Self::NotRunning => "NOT_RUNNING",
        }
    }

    /// Whether somebody may have made such a gap in order to stay unseen, so that it is a finding of its own. A flood is
    /// told by its gap alone: its own container pays for it.
    pub fn impairs(self) -> bool {
        match self {
            Self::SensorRestarted
            | Self::DetectorRestarted
            | Self::ProbeRemoved
            | Self::ProcessStopped
            | Self::Starved
            | Self::SupervisorEnded
            | Self::Killed => true,
            Self::KernelBufferFull
            | Self::OverBudget
            | Self::ProbeSkipped
            | Self::CaptureQueueFull
            | Self::UndecodableEvent
            | Self::ExecutableGone
            | Self::CaptureGivenUp
            | Self::HeldTooLong
            | Self::NotHeld
            | Self::InputLate
            | Self::InputLost
            | Self::InputOverBudget
            | Self::NotRunning => false,
        }
    }
}

impl fmt::Display for GapKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
