//! The clock. No other module reads it: each is told the time, so that each can be tested at any time.

use evidence::Timestamp;
use std::time::{SystemTime, UNIX_EPOCH};

/// The wall clock's time; the epoch itself where the clock stands before it.
#[allow(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
pub(crate) fn now() -> Timestamp {
    let passed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(passed.as_nanos()).unwrap_or(u64::MAX))
}
