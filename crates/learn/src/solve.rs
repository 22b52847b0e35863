//! Finds the weights: an L2-regularised support vector machine with squared hinge loss, by dual coordinate
//! descent (Hsieh et al. 2008, the method of LIBLINEAR). It needs no step size and ends at one optimum.
//!
//! Owns: the numbers. Refuses: text, labels' meaning.

use crate::random::Random;
use detect::features::BUCKETS;
use detect::model::Values;

/// Passes over the rows; later ones change the order of scores no more.
const PASSES: usize = 12;

/// Part of the cost that would lie halfway between the corpus's balance and an even one. A false alarm is the dearer
/// error: thresholds lie where one in a thousand harmless texts is beyond them.
const MALICE: f32 = 0.4;

/// Rows of buckets with a label and a cost.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    buckets: Vec<u32>,
    rows: Vec<Row>,
}

#[derive(Debug, Clone, Copy)]
struct Row {
    start: usize,
    end: usize,
    is_malicious: bool,
    cost: f32,
    values: Values,
    squared_length: f32,
}

/// The weights of the buckets, and the bias.
#[derive(Debug, Clone)]
pub(crate) struct Weights {
    pub(crate) buckets: Vec<f32>,
    pub(crate) bias: f32,
}

impl Rows {
    /// Adds a row; a cost of 1 is that of one trusted text.
    pub(crate) fn push(&mut self, buckets: &[u32], is_malicious: bool, cost: f32) {
        let start = self.buckets.len();
        self.buckets.extend_from_slice(buckets);
        let values = Values::of(buckets);
        let squared_length = values.squared_length(buckets);
        self.rows.push(Row { start, end: self.buckets.len(), is_malicious, cost, values, squared_length });
    }

    /// The weights that separate the rows. `strength` is the cost of an error against the size of weights.
    pub(crate) fn solve(&self, strength: f32, seed: u64) -> Weights {
        let mut weights = Weights { buckets: vec![0.0; BUCKETS], bias: 0.0 };
        let mut duals = vec![0.0_f32; self.rows.len()];
        let mut order: Vec<usize> = (0..self.rows.len()).collect();
        let mut random = Random::new(seed);
        let balance = self.balance();
        for _ in 0..PASSES {
            random.shuffle(&mut order);
            for &at in &order {
                let row = self.rows[at];
                let cost = strength * row.cost * if row.is_malicious { balance } else { 1.0 };
                self.step(row, cost, &mut duals[at], &mut weights);
            }
        }
        weights
    }

    /// Moves one dual variable to its optimum while the others rest.
    fn step(&self, row: Row, cost: f32, dual: &mut f32, weights: &mut Weights) {
        let buckets = &self.buckets[row.start..row.end];
        let sign = if row.is_malicious { 1.0 } else { -1.0 };
        let values = row.values;
        let sum: f32 =
            buckets.iter().map(|&bucket| values.of_bucket(bucket) * weights.buckets[bucket as usize]).sum();
        let softness = 0.5 / cost;
        let gradient = sign * (sum + weights.bias) - 1.0 + softness * *dual;
        let before = *dual;
        // The bias adds 1 to the length.
        *dual = (before - gradient / (row.squared_length + 1.0 + softness)).max(0.0);
        let change = (*dual - before) * sign;
        if change.abs() > 1e-9 {
            for &bucket in buckets {
                weights.buckets[bucket as usize] += change * values.of_bucket(bucket);
            }
            weights.bias += change;
        }
    }

    /// What a malicious row costs beside a benign one.
    fn balance(&self) -> f32 {
        let total = |wanted| {
            self.rows.iter().filter(|row| row.is_malicious == wanted).map(|row| row.cost).sum::<f32>()
        };
        MALICE * (total(false).max(1.0) / total(true).max(1.0)).sqrt()
    }
}
