//! From margins of texts that the model has not seen to a probability and to thresholds.
//!
//! Owns: Platt's sigmoid and weighted quantiles. Refuses: text and weights.

use crate::{MALICIOUS_RATE, SUSPICIOUS_RATE};
use detect::model::Parameters;
use evidence::Label;

/// A held-out text: its margin, its label, and its share of its cluster.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outcome {
    pub(crate) margin: f32,
    pub(crate) is_malicious: bool,
    pub(crate) share: f64,
}

/// Calibration and thresholds of one language.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Points {
    pub(crate) slope: f32,
    pub(crate) offset: f32,
    /// Margins at and above which a text has a label.
    pub(crate) malicious_at: f32,
    pub(crate) suspicious_at: f32,
}

impl Default for Points {
    fn default() -> Self {
        Self { slope: 1.0, offset: 0.0, malicious_at: f32::INFINITY, suspicious_at: f32::INFINITY }
    }
}

impl Points {
    /// Those of a model file.
    #[allow(clippy::cast_possible_truncation, reason = "margins are f32")]
    pub(crate) fn of(parameters: &Parameters) -> Self {
        let Parameters { slope, offset, malicious_at, suspicious_at, .. } = *parameters;
        let margin_at = |score: f32| {
            let score = f64::from(score);
            (((score / (1.0 - score)).ln() - f64::from(offset)) / f64::from(slope)) as f32
        };
        Self { slope, offset, malicious_at: margin_at(malicious_at), suspicious_at: margin_at(suspicious_at) }
    }

    /// In f64: high probabilities lie so near to 1 that fewer digits would make them one.
    pub(crate) fn probability(self, margin: f32) -> f64 {
        1.0 / (1.0 + (-(f64::from(self.slope) * f64::from(margin) + f64::from(self.offset))).exp())
    }

    pub(crate) fn label(self, margin: f32) -> Label {
        match margin {
            _ if margin >= self.malicious_at => Label::Malicious,
            _ if margin >= self.suspicious_at => Label::Suspicious,
            _ => Label::Benign,
        }
    }
}

/// What these outcomes would set.
pub(crate) fn points(outcomes: &[Outcome]) -> Points {
    let (slope, offset) = sigmoid(outcomes);
    Points {
        slope,
        offset,
        malicious_at: threshold_at(outcomes, MALICIOUS_RATE),
        suspicious_at: threshold_at(outcomes, SUSPICIOUS_RATE),
    }
}

/// Slope and offset of the probability that a text of a margin is malicious, where both classes are equally
/// likely beforehand. Newton's method with a step that is halved until it helps (Lin, Lin, Weng 2007).
#[allow(clippy::cast_possible_truncation, reason = "the model keeps f32")]
pub(crate) fn sigmoid(outcomes: &[Outcome]) -> (f32, f32) {
    let total =
        |wanted| outcomes.iter().filter(|one| one.is_malicious == wanted).map(|one| one.share).sum::<f64>();
    let (malicious, benign) = (total(true).max(1.0), total(false).max(1.0));
    let targets = ((malicious + 1.0) / (malicious + 2.0), 1.0 / (benign + 2.0));
    let points: Vec<(f64, f64, f64)> = outcomes
        .iter()
        .map(|one| {
            let (target, of) = if one.is_malicious { (targets.0, malicious) } else { (targets.1, benign) };
            (f64::from(one.margin), target, one.share / of)
        })
        .collect();
    let (mut slope, mut offset) = (1.0, 0.0);
    for _ in 0..100 {
        let (step_slope, step_offset) = newton_step(&points, slope, offset);
        let before = loss(&points, slope, offset);
        let scale = (0..20)
            .map(|halvings| 0.5_f64.powi(halvings))
            .find(|scale| loss(&points, slope + scale * step_slope, offset + scale * step_offset) < before);
        let Some(scale) = scale else { break };
        slope += scale * step_slope;
        offset += scale * step_offset;
    }
    // Margins that do not separate at all would turn the scale round.
    (slope.max(0.01) as f32, offset as f32)
}

fn newton_step(points: &[(f64, f64, f64)], slope: f64, offset: f64) -> (f64, f64) {
    let (mut gs, mut go, mut hss, mut hso, mut hoo) = (0.0, 0.0, 1e-9, 0.0, 1e-9);
    for &(margin, target, weight) in points {
        let probability = 1.0 / (1.0 + (-(slope * margin + offset)).exp());
        let error = weight * (probability - target);
        let curve = weight * probability * (1.0 - probability);
        gs += error * margin;
        go += error;
        hss += curve * margin * margin;
        hso += curve * margin;
        hoo += curve;
    }
    let determinant: f64 = (hss * hoo - hso * hso).max(1e-12);
    ((hso * go - hoo * gs) / determinant, (hso * gs - hss * go) / determinant)
}

/// Cross entropy.
fn loss(points: &[(f64, f64, f64)], slope: f64, offset: f64) -> f64 {
    points
        .iter()
        .map(|&(margin, target, weight)| {
            let odds = slope * margin + offset;
            weight * (odds.max(0.0) + (-odds.abs()).exp().ln_1p() - target * odds)
        })
        .sum()
}

/// The lowest margin at and above which at most `rate` of the benign clusters lie. Never below the
/// highest benign margin that it must leave out.
pub(crate) fn threshold_at(outcomes: &[Outcome], rate: f64) -> f32 {
    let mut benign: Vec<_> = outcomes.iter().filter(|one| !one.is_malicious).collect();
    benign.sort_by(|a, b| b.margin.total_cmp(&a.margin));
    let total: f64 = benign.iter().map(|one| one.share).sum();
    let mut flagged = 0.0;
    for one in benign {
        flagged += one.share;
        if flagged > rate * total + 1e-9 {
            return one.margin.next_up();
        }
    }
    f32::NEG_INFINITY
}

/// Share of the clusters that lie at or above a margin, among outcomes that `counts` picks; none where it picks none.
pub(crate) fn share_at(
    outcomes: &[Outcome],
    threshold: f32,
    counts: impl Fn(&Outcome) -> bool,
) -> Option<f64> {
    let (mut above, mut total) = (0.0, 0.0);
    for one in outcomes.iter().filter(|one| counts(one)) {
        total += one.share;
        above += if one.margin >= threshold { one.share } else { 0.0 };
    }
    (total > 0.0).then(|| above / total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcomes() -> Vec<Outcome> {
        let one = |margin, is_malicious| Outcome { margin, is_malicious, share: 1.0 };
        (0..1000_u16)
            .flat_map(|at| [one(f32::from(at) / 1000.0 - 1.2, false), one(f32::from(at) / 1000.0, true)])
            .collect()
    }

    #[test]
    fn a_threshold_keeps_its_rate() {
        let outcomes = outcomes();
        let threshold = threshold_at(&outcomes, 0.01);
        let flagged = share_at(&outcomes, threshold, |one| !one.is_malicious).unwrap();
        assert!((0.009..=0.01).contains(&flagged), "{flagged}");
        assert_eq!(share_at(&outcomes, threshold_at(&outcomes, 0.0), |one| !one.is_malicious), Some(0.0));
    }

    #[test]
    fn a_probability_rises_with_the_margin_and_is_even_in_the_middle() {
        let (slope, offset) = sigmoid(&outcomes());
        assert!(slope > 1.0);
        let middle = 1.0 / (1.0 + (-(slope * -0.1 + offset)).exp());
        assert!((0.4..0.6).contains(&middle), "{middle}");
    }
}
