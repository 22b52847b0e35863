//! What was not seen. Every loss is a value that reaches the user.

use crate::Timestamp;
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
}

/// Kinds of loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum GapKind {
    /// The ring buffer between kernel and sensor was full.
    KernelBufferFull,
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
    /// urva itself did not run.
    NotRunning,
}

impl GapKind {
    /// The name under which the store, metrics and JSON know it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::KernelBufferFull => "KERNEL_BUFFER_FULL",
            Self::ProbeSkipped => "PROBE_SKIPPED",
            Self::CaptureQueueFull => "CAPTURE_QUEUE_FULL",
            Self::UndecodableEvent => "UNDECODABLE_EVENT",
            Self::ExecutableGone => "EXECUTABLE_GONE",
            Self::SensorRestarted => "SENSOR_RESTARTED",
            Self::DetectorRestarted => "DETECTOR_RESTARTED",
            Self::CaptureGivenUp => "CAPTURE_GIVEN_UP",
            Self::NotRunning => "NOT_RUNNING",
        }
    }
}

impl fmt::Display for GapKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
