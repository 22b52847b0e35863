//! Programs that may load an interpreter while they run: when to look at what they have mapped.
//!
//! Owns: the looks that are due, bounded in number. A process is looked at 5 ms after it was seen, then each time after four
//! times as long, five times in all; one that does not find room is not looked at.

use super::images::CLEAN_EVERY;
use evidence::Timestamp;
use std::collections::BTreeSet;
use std::time::Duration;

/// Processes that wait for a look.
const WAITING_MAX: usize = 256;
/// Nanoseconds before the first look, and by how much the pause grows.
const FIRST_PAUSE_NS: u64 = 5_000_000;
const GROWTH: u64 = 4;
const LOOKS: u32 = 5;

/// A look that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Look {
    at: u64,
    pub(super) pid: u32,
    pause: u64,
    left: u32,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Later {
    looks: BTreeSet<Look>,
}

impl Later {
    /// A process of a program that may load an interpreter was executed.
    pub(super) fn add(&mut self, pid: u32, now: Timestamp) {
        if self.looks.len() < WAITING_MAX {
            let at = now.0.saturating_add(FIRST_PAUSE_NS);
            self.looks.insert(Look { at, pid, pause: FIRST_PAUSE_NS, left: LOOKS });
        }
    }

    /// The next look whose time has come.
    pub(super) fn due(&mut self, now: Timestamp) -> Option<Look> {
        let first = self.looks.first().filter(|look| look.at <= now.0).copied()?;
        self.looks.remove(&first);
        Some(first)
    }

    /// The process had loaded nothing by then, and runs on.
    pub(super) fn again(&mut self, look: Look) {
        if look.left > 1 {
            let pause = look.pause * GROWTH;
            let at = look.at.saturating_add(pause);
            self.looks.insert(Look { at, pause, left: look.left - 1, ..look });
        }
    }

    /// How long to wait for something else to happen.
    pub(super) fn wait(&self, now: Timestamp) -> Duration {
        let first = self.looks.first().map(|look| Duration::from_nanos(look.at.saturating_sub(now.0)));
        first.map_or(CLEAN_EVERY, |wait| wait.min(CLEAN_EVERY))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn a_process_is_looked_at_some_times_with_pauses_that_grow() {
        let mut later = Later::default();
        later.add(7, Timestamp(0));
        let mut looks = Vec::new();
        for now in (0..10_000).map(|ms| Timestamp(ms * MS)) {
            while let Some(look) = later.due(now) {
                looks.push((now.0 / MS, look.pid));
                later.again(look);
            }
        }
        assert_eq!(looks, [(5, 7), (25, 7), (105, 7), (425, 7), (1705, 7)]);
        assert_eq!(later.wait(Timestamp(0)), CLEAN_EVERY);
    }

    #[test]
    fn a_flood_of_programs_finds_no_more_room_than_there_is() {
        let mut later = Later::default();
        (0..10_000).for_each(|pid| later.add(pid, Timestamp(0)));
        assert_eq!(later.looks.len(), WAITING_MAX);
        assert_eq!(later.wait(Timestamp(0)), Duration::from_millis(5));
    }
}
