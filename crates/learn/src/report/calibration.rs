//! Whether scores are probabilities: bins of the score, Brier score, expected calibration error.

use crate::calibrate::Outcome;
use crate::judging::Judged;
use serde::Serialize;

/// Bins of equal width.
const BINS: usize = 10;

/// How far scores are probabilities, where both labels are equally likely beforehand: a score is calibrated to that.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Calibration {
    /// From the lowest scores to the highest.
    pub bins: Vec<Bin>,
    /// Mean square of the difference between score and label (Brier 1950).
    pub brier: f64,
    /// Mean over the bins, by weight, of the difference between predicted and observed share (Naeini et al. 2015).
    pub expected_error: f64,
}

/// Texts whose scores lie in a range.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Bin {
    /// Lowest score of the range.
    pub from: f64,
    /// Texts.
    pub texts: usize,
    /// Mean score.
    pub predicted: f64,
    /// Share of malicious ones.
    pub observed: f64,
    /// Share of all weight.
    pub weight: f64,
}

impl Calibration {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a bin"
    )]
    pub(crate) fn of(counted: &[&Judged<'_>], outcomes: &[Outcome]) -> Self {
        let mut bins: Vec<Bin> =
            (0..BINS).map(|at| Bin { from: at as f64 / BINS as f64, ..Bin::default() }).collect();
        let total = |label| -> f64 {
            outcomes.iter().filter(|one| one.is_malicious == label).map(|one| one.share).sum()
        };
        let totals = [total(false), total(true)];
        let mut brier = 0.0;
        for (one, outcome) in counted.iter().zip(outcomes) {
            let weight = 0.5 * outcome.share / totals[usize::from(outcome.is_malicious)];
            let truth = f64::from(u8::from(outcome.is_malicious));
            let bin = &mut bins[((one.probability * BINS as f64) as usize).min(BINS - 1)];
            bin.texts += 1;
            bin.weight += weight;
            bin.predicted += weight * one.probability;
            bin.observed += weight * truth;
            brier += weight * (one.probability - truth).powi(2);
        }
        for bin in &mut bins {
            let weight = bin.weight.max(f64::MIN_POSITIVE);
            (bin.predicted, bin.observed) = (bin.predicted / weight, bin.observed / weight);
        }
        let expected_error = bins.iter().map(|bin| bin.weight * (bin.predicted - bin.observed).abs()).sum();
        Self { bins, brier, expected_error }
    }
}
