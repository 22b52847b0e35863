//! How often something may happen: a bucket of allowances for each key, which fills with time.
//!
//! Owns: the buckets, at most so many.
//! Refuses: the clock. A clock that is set back fills nothing; one that is set forward fills a bucket at the most.

use evidence::Timestamp;
use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

/// Buckets at the most. Beyond it those that are full, and so mean nothing, are forgotten.
const BUCKETS_LIMIT: usize = 4096;

/// Buckets of allowances.
#[derive(Debug)]
pub(crate) struct Buckets<K> {
    /// The time in which one allowance comes back.
    each: Duration,
    /// The time in which an empty bucket fills.
    whole: Duration,
    /// Until when each bucket is not full.
    full_at: HashMap<K, Timestamp>,
}

impl<K: Eq + Hash> Buckets<K> {
    /// So many allowances at once, and as many again within `period`.
    pub(crate) fn new(allowances: u32, period: Duration) -> Self {
        Self { each: period / allowances.max(1), whole: period, full_at: HashMap::new() }
    }

    /// Takes an allowance. `Err` says after which time there is one again.
    pub(crate) fn take(&mut self, key: K, now: Timestamp) -> Result<(), Duration> {
        if self.full_at.len() >= BUCKETS_LIMIT && !self.full_at.contains_key(&key) {
            self.full_at.retain(|_, full_at| *full_at > now);
            if self.full_at.len() >= BUCKETS_LIMIT {
                return Err(self.each);
            }
        }
        let full_at = self.full_at.entry(key).or_insert(now);
        // Where the clock was set back, the bucket is empty at the most, and fills from here.
        *full_at = (*full_at).min(now.plus(self.whole));
        let missing = full_at.since(now);
        let after = missing + self.each;
        if after > self.whole {
            return Err(after - self.whole);
        }
        *full_at = now.plus(after);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_bucket_empties_and_fills_with_time() {
        let mut buckets = Buckets::new(2, Duration::from_secs(10));
        let mut take = |key: &'static str, second: u64| buckets.take(key, Timestamp(second * SECOND));
        assert_eq!(take("a", 100), Ok(()));
        assert_eq!(take("a", 100), Ok(()));
        assert_eq!(take("a", 100), Err(Duration::from_secs(5)));
        assert_eq!(take("b", 100), Ok(()));
        assert_eq!(take("a", 104), Err(Duration::from_secs(1)));
        assert_eq!(take("a", 105), Ok(()));
        assert_eq!(take("a", 105), Err(Duration::from_secs(5)));
        assert_eq!(take("a", 1000), Ok(()));
    }

    #[test]
    fn a_clock_that_is_set_back_locks_nobody_out_for_longer_than_a_bucket_takes() {
        let mut buckets = Buckets::new(1, Duration::from_secs(10));
        assert_eq!(buckets.take("a", Timestamp(1000 * SECOND)), Ok(()));
        assert_eq!(buckets.take("a", Timestamp(500 * SECOND)), Err(Duration::from_secs(10)));
        assert_eq!(buckets.take("a", Timestamp(510 * SECOND)), Ok(()));
    }

    #[test]
    fn there_are_only_so_many_buckets() {
        let mut buckets = Buckets::new(1, Duration::from_secs(10));
        for key in 0..BUCKETS_LIMIT {
            assert_eq!(buckets.take(key, Timestamp(0)), Ok(()));
        }
        assert!(buckets.take(BUCKETS_LIMIT, Timestamp(0)).is_err());
        assert_eq!(buckets.take(BUCKETS_LIMIT, Timestamp(11 * SECOND)), Ok(()));
        assert_eq!(buckets.full_at.len(), 1);
    }
}
