//! How long a container may have each system call of the host looked at for its own young processes.
//!
//! Owns: the account of each container, in times that are passed in.
//! Refuses: clocks, probes.
//!
//! What a container has used is kept as in `bpf/budget.h`: as a time that lies ahead of a clock that runs `BURST_NS`
//! behind. While at least one process of it is young, this time runs `COST` times as fast as the clock.

use std::collections::HashMap;

/// Of so much time one part may be used, in the long run.
const COST: u64 = 5;
/// What an account holds after a rest: two seconds of looking.
const BURST_NS: u64 = COST * 2_000_000_000;
/// Processes of one container that may be watched at a time, with those whose probes are being put in place or taken
/// away: a quarter of all.
const AT_A_TIME: usize = super::WATCHED_MAX / 4;
/// Containers whose accounts are kept; then those are closed of which nothing is under way.
const ACCOUNTS_MAX: usize = 4096;

/// How a process is seen until it has probes of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    /// With all system calls of the host.
    Young,
    /// Not at all: the container has used up its time.
    Spent,
    /// Not at all, and it will get no probes: too many processes of the container are watched.
    Crowded,
}

/// The accounts, by budget.
#[derive(Debug, Default)]
pub(super) struct Shares(HashMap<u64, Share>);

#[derive(Debug, Default)]
struct Share {
    watched: usize,
    young: usize,
    charged_at: u64,
    used_until: u64,
}

impl Shares {
    /// A process begins. [`Shares::grow_up`] must follow, and then [`Shares::leave`].
    pub(super) fn enter(&mut self, budget: u64, now: u64) -> Entry {
        if self.0.len() >= ACCOUNTS_MAX {
            self.0.retain(|_, share| share.watched > 0);
        }
        let share = self.0.entry(budget).or_default();
        if share.watched >= AT_A_TIME {
            return Entry::Crowded;
        }
        share.charge(now);
        share.watched += 1;
        if share.used_until > now {
            return Entry::Spent;
        }
        share.young += 1;
        Entry::Young
    }

    /// A process begins that needs no calls of the host. [`Shares::leave`] must follow unless it is [`Entry::Crowded`].
    pub(super) fn enter_grown(&mut self, budget: u64, now: u64) -> Entry {
        let entry = self.enter(budget, now);
        self.grow_up(budget, entry, now)
    }

    /// The process has probes of its own, or will never have any. Returns what it is from then on.
    pub(super) fn grow_up(&mut self, budget: u64, entry: Entry, now: u64) -> Entry {
        if entry != Entry::Young {
            return entry;
        }
        if let Some(share) = self.0.get_mut(&budget) {
            share.charge(now);
            share.young = share.young.saturating_sub(1);
        }
        Entry::Spent
    }

    /// A process that was not [`Entry::Crowded`] is not watched any more.
    pub(super) fn leave(&mut self, budget: u64) {
        if let Some(share) = self.0.get_mut(&budget) {
            share.watched = share.watched.saturating_sub(1);
        }
    }
}

impl Share {
    fn charge(&mut self, now: u64) {
        let passed = if self.young > 0 { now.saturating_sub(self.charged_at) } else { 0 };
        self.used_until = self.used_until.max(now.saturating_sub(BURST_NS));
        self.used_until = self.used_until.saturating_add(passed.saturating_mul(COST));
        self.charged_at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;
    const START: u64 = 1_000_000 * MS;

    fn end(shares: &mut Shares, budget: u64, entry: Entry, now: u64) {
        if shares.grow_up(budget, entry, now) != Entry::Crowded {
            shares.leave(budget);
        }
    }

    /// Runs one process after the other, each young for 40 ms; returns how many milliseconds of ten seconds were looked at.
    fn looked_at(shares: &mut Shares, budget: u64, start: u64) -> u64 {
        let runs = (0..250).map(|number| {
            let now = start + number * 40 * MS;
            let entry = shares.enter(budget, now);
            end(shares, budget, entry, now + 40 * MS);
            if entry == Entry::Young { 40 } else { 0 }
        });
        runs.sum()
    }

    #[test]
    fn a_container_that_never_rests_gets_its_burst_and_then_a_fifth() {
        let mut shares = Shares::default();
        let first = looked_at(&mut shares, 1, START);
        assert!((3_400..4_200).contains(&first), "{first}");
        let second = looked_at(&mut shares, 1, START + 10_000 * MS);
        assert!((1_900..2_100).contains(&second), "{second}");
        assert_eq!(
            looked_at(&mut shares, 2, START).min(3_400),
            3_400,
            "another one has an account of its own"
        );
    }

    #[test]
    fn processes_at_the_same_time_use_the_same_time() {
        let mut shares = Shares::default();
        for round in 0..10 {
            let now = START + round * 100 * MS;
            let entries: Vec<Entry> = (0..20).map(|_| shares.enter(7, now)).collect();
            assert_eq!(entries, [Entry::Young; 20], "round {round}");
            entries.into_iter().for_each(|entry| end(&mut shares, 7, entry, now + 40 * MS));
        }
    }

    #[test]
    fn one_that_stays_young_uses_up_the_time_all_the_same() {
        let mut shares = Shares::default();
        assert_eq!(shares.enter(7, START), Entry::Young);
        assert_eq!(shares.enter(7, START + 100 * MS), Entry::Young);
        assert_eq!(shares.enter(7, START + 3_000 * MS), Entry::Spent);
    }

    #[test]
    fn only_so_many_are_watched_at_a_time() {
        let mut shares = Shares::default();
        for _ in 0..AT_A_TIME {
            let entry = shares.enter(7, START);
            assert_eq!(shares.grow_up(7, entry, START), Entry::Spent);
        }
        assert_eq!(shares.enter(7, START), Entry::Crowded);
        assert_eq!(shares.grow_up(7, Entry::Crowded, START), Entry::Crowded);
        assert_eq!(shares.enter(8, START), Entry::Young);
        shares.leave(7);
        assert_eq!(shares.enter(7, START), Entry::Young);
    }

    #[test]
    fn accounts_of_containers_at_rest_are_closed() {
        let mut shares = Shares::default();
        for budget in 0..2 * ACCOUNTS_MAX as u64 {
            let entry = shares.enter(budget, START);
            end(&mut shares, budget, entry, START);
        }
        assert!(shares.0.len() <= ACCOUNTS_MAX);
    }
}
