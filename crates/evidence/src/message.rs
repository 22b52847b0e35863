//! What the sensor tells the detector.

use crate::{Capture, Container, Gap};
use serde::{Deserialize, Serialize};

/// Version of everything that crosses the socket. Both ends are one binary, so a difference means that
/// the file was replaced under a running urva: the ends then refuse each other.
pub const PROTOCOL_VERSION: u32 = 3;

/// One thing that the sensor has to say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// A script was executed.
    Capture(Box<Capture>),
    /// A capture that was sent before is complete now.
    Completed(Box<Capture>),
    /// Something was or may have been lost.
    Gap(Gap),
    /// The probe has seen what was executed for it to be seen. It is acknowledged like everything else.
    Canary,
    /// A container's metadata, for captures that were sent before it was known.
    Container(Container),
    /// A process whose text was judged malicious had been let go before, since its verdict took too long.
    LetGo {
        /// [`crate::Process::pid`].
        pid: u32,
        /// [`crate::Process::start_ticks`].
        start_ticks: u64,
    },
}

/// A message with its number. The detector acknowledges the highest number up to which everything is on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numbered {
    /// Counts up by one from 1 for each message of one sensor process.
    pub number: u64,
    /// The message.
    pub message: Message,
}
