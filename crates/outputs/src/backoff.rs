//! How long to wait before something is tried again.

use std::time::Duration;

/// Where randomness comes from: a number below 2⁶⁴, each equally likely.
pub type Random = fn() -> u64;

/// The shortest and the longest wait.
const BOUNDS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));

/// The longest wait that a receiver may ask for.
pub(crate) const LONGEST_ASKED: Duration = Duration::from_secs(1800);

/// Waits that double, each between half of it and all of it, so that many senders do not come at once.
#[derive(Debug, Clone, Copy)]
pub struct Backoff(pub Random);

impl Backoff {
    /// How long to wait after so many failures in a row, from 1; a receiver may have asked for longer.
    pub fn after(self, failures: u32, asked: Option<Duration>) -> Duration {
        let doubled = BOUNDS.0.saturating_mul(2u32.saturating_pow(failures.saturating_sub(1).min(16)));
        let full = doubled.min(BOUNDS.1);
        let half = full / 2;
        let spread = u64::try_from(half.as_millis()).unwrap_or(u64::MAX).max(1);
        let wait = half + Duration::from_millis((self.0)() % (spread + 1));
        wait.max(asked.unwrap_or_default().min(LONGEST_ASKED))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_five_minutes_and_differ() {
        let (low, high) = (Backoff(|| 0), Backoff(|| 499));
        assert_eq!(low.after(1, None), Duration::from_millis(500));
        assert_eq!(high.after(1, None), Duration::from_millis(999));
        assert_eq!(low.after(2, None), Duration::from_secs(1));
        assert_eq!(low.after(9, None), Duration::from_secs(128));
        assert_eq!(low.after(10, None), Duration::from_secs(150));
        assert_eq!(
            Backoff(|| u64::MAX).after(u32::MAX, None),
            low.after(10, None) + Duration::from_millis(u64::MAX % 150_001)
        );
    }

    #[test]
    fn a_receiver_may_ask_for_longer_but_not_for_ever() {
        let low = Backoff(|| 0);
        assert_eq!(low.after(1, Some(Duration::from_secs(120))), Duration::from_secs(120));
        assert_eq!(low.after(1, Some(Duration::from_millis(1))), Duration::from_millis(500));
        assert_eq!(low.after(1, Some(Duration::MAX)), LONGEST_ASKED);
    }
}
