//! How sure a share is: Wilson's interval, and the bootstrap where a threshold was set on the same texts.

use crate::Random;
use crate::calibrate::Outcome;
use crate::judging::{Judged, outcomes};
use serde::Serialize;
use std::collections::HashMap;

/// Draws of the bootstrap.
const DRAWS: usize = 1000;

/// Half-width of a 95 % interval in standard deviations.
const Z: f64 = 1.96;

/// A share of clusters with its 95 % interval after Wilson (1927).
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Share {
    /// Clusters in all.
    pub clusters: usize,
    /// The share, 0 to 1; a cluster counts by the part of its texts that were flagged.
    pub share: f64,
    /// The interval's ends.
    pub low: f64,
    /// See `low`.
    pub high: f64,
}

impl Share {
    /// Of texts with one label.
    pub(crate) fn of(judged: &[&Judged<'_>], is_flagged: &dyn Fn(&Judged<'_>) -> bool) -> Self {
        let (mut flagged, mut total) = (0.0, 0.0);
        for (one, outcome) in judged.iter().zip(outcomes(judged)) {
            total += outcome.share;
            flagged += if is_flagged(one) { outcome.share } else { 0.0 };
        }
        Self::new(flagged, total)
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of clusters")]
    fn new(flagged: f64, total: f64) -> Self {
        let clusters = total.round().max(0.0) as usize;
        if total <= 0.0 {
            return Self { clusters, share: 0.0, low: 0.0, high: 1.0 };
        }
        let share = flagged / total;
        let middle = share + Z * Z / (2.0 * total);
        let half = Z * (share * (1.0 - share) / total + Z * Z / (4.0 * total * total)).sqrt();
        let scale = 1.0 + Z * Z / total;
        let (low, high) = ((middle - half) / scale, (middle + half) / scale);
        Self { clusters, share, low: low.max(0.0), high: high.min(1.0) }
    }
}

/// One label's texts, highest margin first, each with the number of its cluster.
struct Side {
    members: Vec<(f32, f64, usize)>,
    clusters: usize,
}

impl Side {
    fn of(judged: &[&Judged<'_>], outcomes: &[Outcome], is_malicious: bool) -> Self {
        let mut number_of = HashMap::new();
        let mut members = Vec::new();
        for (one, outcome) in judged.iter().zip(outcomes) {
            if one.record.sample.is_malicious == is_malicious {
                let next = number_of.len();
                let number = *number_of.entry(one.record.sample.cluster).or_insert(next);
                members.push((outcome.margin, outcome.share, number));
            }
        }
        members.sort_by(|a, b| b.0.total_cmp(&a.0));
        Self { members, clusters: number_of.len() }
    }

    /// How often each cluster is drawn, with putting back.
    fn draw(&self, random: &mut Random) -> Vec<f64> {
        let mut times = vec![0.0; self.clusters];
        for _ in 0..self.clusters {
            times[random.below(self.clusters)] += 1.0;
        }
        times
    }

    /// Share of a draw at and above a margin.
    fn share_at(&self, times: &[f64], threshold: f32) -> f64 {
        let above = self.members.iter().take_while(|(margin, ..)| *margin >= threshold);
        above.map(|(_, share, cluster)| share * times[*cluster]).sum::<f64>() / total(self.clusters)
    }

    /// See [`crate::calibrate::threshold_at`].
    fn threshold_at(&self, times: &[f64], rate: f64) -> f32 {
        let mut flagged = 0.0;
        for (margin, share, cluster) in &self.members {
            flagged += share * times[*cluster];
            if flagged > rate * total(self.clusters) + 1e-9 {
                return margin.next_up();
            }
        }
        f32::NEG_INFINITY
    }
}

#[allow(clippy::cast_precision_loss, reason = "no corpus has 2^53 clusters")]
fn total(clusters: usize) -> f64 {
    clusters.max(1) as f64
}

/// The ends of the 95 % interval of recall at each rate of false alarms: clusters of both labels are drawn anew, and the
/// threshold is set by the drawn benign ones.
pub(crate) fn bootstrap<const N: usize>(
    judged: &[&Judged<'_>],
    outcomes: &[Outcome],
    rates: [f64; N],
    seed: u64,
) -> [(f64, f64); N] {
    let [malicious, benign] = [true, false].map(|label| Side::of(judged, outcomes, label));
    let mut random = Random::new(seed);
    let mut recalls: [Vec<f64>; N] = std::array::from_fn(|_| Vec::with_capacity(DRAWS));
    for _ in 0..DRAWS {
        let (found, alarms) = (malicious.draw(&mut random), benign.draw(&mut random));
        for (recalls, rate) in recalls.iter_mut().zip(rates) {
            recalls.push(malicious.share_at(&found, benign.threshold_at(&alarms, rate)));
        }
    }
    recalls.map(|mut recalls| {
        recalls.sort_by(f64::total_cmp);
        (recalls[DRAWS / 40], recalls[DRAWS - 1 - DRAWS / 40])
    })
}

#[cfg(test)]
mod tests {
    use super::Share;

    #[test]
    fn wilsons_interval_is_that_of_the_textbook() {
        let check = |flagged: f64, total: f64, low: f64, high: f64| {
            let share = Share::new(flagged, total);
            assert!((share.low - low).abs() < 5e-4 && (share.high - high).abs() < 5e-4, "{share:?}");
        };
        check(0.0, 10.0, 0.0, 0.2775);
        check(5.0, 10.0, 0.2366, 0.7634);
        check(81.0, 263.0, 0.2553, 0.3662);
        check(0.0, 0.0, 0.0, 1.0);
    }
}
