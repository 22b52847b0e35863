//! Wall-clock time as one number. Reading the clock is the binary's business.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// Nanoseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// From whole seconds since the epoch.
    pub const fn from_seconds(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1_000_000_000))
    }

    /// Parses RFC 3339, as container runtimes write it.
    pub fn parse(text: &str) -> Option<Self> {
        let instant: jiff::Timestamp = text.parse().ok()?;
        u64::try_from(instant.as_nanosecond()).ok().map(Self)
    }

    /// The time that passed from `earlier` to `self`; zero where the clock was set back.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// So much later, at the most the last time that there is (the year 2554).
    #[must_use]
    pub fn plus(self, time: Duration) -> Self {
        Self(self.0.saturating_add(nanoseconds(time)))
    }

    /// So much earlier, not before 1970.
    #[must_use]
    pub fn minus(self, time: Duration) -> Self {
        Self(self.0.saturating_sub(nanoseconds(time)))
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with as many decimals as are needed, as protobuf's JSON mapping wants it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_nanosecond(i128::from(self.0)) {
            Ok(instant) => write!(f, "{instant}"),
            Err(_) => write!(f, "{}ns", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_is_written_and_read_as_rfc_3339() {
        let noon = Timestamp(1_795_262_400_250_000_000);
        assert_eq!(noon.to_string(), "2026-11-21T12:00:00.25Z");
        assert_eq!(Timestamp::parse(&noon.to_string()), Some(noon));
        assert_eq!(Timestamp::parse("2026-11-21T21:00:00.25+09:00"), Some(noon));
        assert_eq!(Timestamp::parse("yesterday"), None);
        assert_eq!(Timestamp::parse("1960-01-01T00:00:00Z"), None, "before the epoch");
    }

    #[test]
    fn a_time_and_a_duration_are_a_time_within_what_there_is() {
        let noon = Timestamp::from_seconds(1_795_262_400);
        let hour = Duration::from_secs(3600);
        assert_eq!(noon.plus(hour).since(noon), hour);
        assert_eq!(noon.plus(hour).minus(hour), noon);
        assert_eq!(noon.minus(Duration::MAX), Timestamp(0));
        assert_eq!(noon.plus(Duration::MAX), Timestamp(u64::MAX));
    }
}
