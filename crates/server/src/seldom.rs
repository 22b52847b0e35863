//! Lines of the log that somebody outside could cause as often as they like: each is written once a minute at the most.
//!
//! Refuses: counting what happened, which the metrics do.

use evidence::Timestamp;
use std::sync::atomic::{AtomicU64, Ordering};

const EVERY_NANOSECONDS: u64 = 60_000_000_000;

/// One such line.
#[derive(Debug, Default)]
pub(crate) struct Seldom {
    /// When it was written last, 0 for never.
    written_at: AtomicU64,
    left_out: AtomicU64,
}

impl Seldom {
    /// How many lines were left out since the last one, where it is time for the next.
    pub(crate) fn turn(&self, now: Timestamp) -> Option<u64> {
        let written_at = self.written_at.load(Ordering::Relaxed);
        // A clock that is set back is not waited for.
        let is_time = written_at == 0 || now.0.abs_diff(written_at) >= EVERY_NANOSECONDS;
        let swap = || {
            let new = now.0.max(1);
            self.written_at.compare_exchange(written_at, new, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        };
        if is_time && swap() {
            return Some(self.left_out.swap(0, Ordering::Relaxed));
        }
        self.left_out.fetch_add(1, Ordering::Relaxed);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_written_once_a_minute_and_says_how_many_were_not() {
        let seldom = Seldom::default();
        let turn = |second| seldom.turn(Timestamp::from_seconds(second));
        assert_eq!(turn(100), Some(0));
        assert_eq!((turn(100), turn(130), turn(159)), (None, None, None));
        assert_eq!(turn(160), Some(3));
        assert_eq!(turn(10), Some(0), "the clock was set back");
    }
}
