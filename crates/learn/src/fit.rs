//! From samples to a scorer: rows of whole texts, then the windows that the first weights get wrong.
//!
//! A text is judged by its highest window, so the model must learn from windows too. But a window of a
//! malicious file is often harmless, so the first round learns from whole texts, and later rounds
//! add the highest windows of each text (multiple instance learning, as in Andrews et al. 2002).

use crate::corpus::{Confidence, Sample};
use crate::disguise::DisguisedCopy;
use crate::imitate::NO_COLLECTION;
use crate::solve::{Rows, Weights};
use crate::{LearnError, Progress, Stage};
use detect::Indicators;
use detect::features::Extractor;
use detect::model::{Parameters, Scorer, quantise};
use evidence::Language;
use std::collections::HashMap;

/// Rounds of adding windows.
const WINDOW_ROUNDS: u64 = 1;

/// Windows of one text that are added at most. Of a malicious text more than the highest one, for there the first weights
/// may be wrong.
const WINDOWS: usize = 3;

/// Benign windows below this margin teach nothing.
const EASY_MARGIN: f32 = -1.0;

/// A sample with the cost of getting it wrong.
#[derive(Clone, Copy)]
pub(crate) struct Weighed<'s> {
    pub(crate) sample: &'s Sample,
    pub(crate) cost: f32,
}

/// Cost of an imitated attack: a template counts somewhat more than a cluster, for what it stands for is rare in corpora.
const ATTACK_COST: f32 = 0.6;

/// Cost of an imitation of everyday text: what it stands for runs thousands of times an hour.
const EVERYDAY_COST: f32 = 0.5;

/// Gives each sample its cost: trusted labels count more, and a cluster counts as the square root of its size. A copy in
/// disguise costs its share of what its original does.
pub(crate) fn weigh<'s>(
    samples: impl Iterator<Item = &'s Sample>,
    copies: impl Iterator<Item = &'s DisguisedCopy>,
) -> Vec<Weighed<'s>> {
    let samples: Vec<_> = samples.collect();
    let mut size_of: HashMap<(u64, bool), f32> = HashMap::new();
    for sample in &samples {
        *size_of.entry((sample.cluster, sample.is_malicious)).or_default() += 1.0;
    }
    let cost = |sample: &Sample| {
        if sample.collection == NO_COLLECTION {
            return if sample.is_malicious { ATTACK_COST } else { EVERYDAY_COST };
        }
        let trust = match sample.confidence {
            Confidence::High => 1.0,
            Confidence::Medium => 0.6,
            // Most of them are not attacks: any more than this costs recall.
            Confidence::Low => 0.02,
        };
        trust / size_of.get(&(sample.cluster, sample.is_malicious)).map_or(1.0, |size| size.sqrt())
    };
    let originals = samples.iter().map(|&sample| Weighed { sample, cost: cost(sample) });
    let copies = copies.map(|copy| Weighed { sample: &copy.sample, cost: copy.share * cost(&copy.sample) });
    originals.chain(copies).collect()
}

/// Trains a scorer that is not calibrated yet. Of samples in the other language, what they carry in this one counts.
pub(crate) fn fit(
    language: Language,
    samples: &[Weighed<'_>],
    indicators: &Indicators,
    strength: f32,
    seed: u64,
    progress: &mut dyn FnMut(Progress),
) -> Result<Scorer, LearnError> {
    let mut rows = Rows::default();
    let mut extractor = Extractor::new(language, indicators);
    let total = samples.len() as u64;
    for (done, one) in (0..).zip(samples) {
        if done % 512 == 0 {
            progress(Progress { stage: Stage::Features(language), done, total });
        }
        if one.sample.language != language {
            continue;
        }
        whole(&mut extractor, one.sample, &mut |buckets| {
            rows.push(buckets, one.sample.is_malicious, one.cost)
        });
    }
    progress(Progress { stage: Stage::Solving(language), done: 0, total: WINDOW_ROUNDS + 1 });
    let mut scorer = scorer(&rows.solve(strength, seed))?;
    for round in 1..=WINDOW_ROUNDS {
        for (done, one) in (0..).zip(samples) {
            if done % 512 == 0 {
                progress(Progress { stage: Stage::Windows(language), done, total });
            }
            add_windows(language, &mut rows, &mut extractor, &scorer, *one);
        }
        progress(Progress { stage: Stage::Solving(language), done: round, total: WINDOW_ROUNDS + 1 });
        scorer = self::scorer(&rows.solve(strength, seed + round))?;
    }
    Ok(scorer)
}

/// The highest margin over the windows of a text.
pub(crate) fn highest_margin(extractor: &mut Extractor<'_>, scorer: &Scorer, text: &[u8]) -> f32 {
    let mut highest = f32::NEG_INFINITY;
    extractor.windows(text, b"", &mut |window| highest = highest.max(scorer.margin(window.buckets)));
    highest
}

fn whole(extractor: &mut Extractor<'_>, sample: &Sample, take: &mut dyn FnMut(&[u32])) {
    let mut last = Vec::new();
    extractor.windows(&sample.text, b"", &mut |window| {
        last.clear();
        last.extend_from_slice(window.buckets);
    });
    take(&last);
}

/// Adds the highest windows of a text and of what it carries, as far as that is in the language.
fn add_windows(
    language: Language,
    rows: &mut Rows,
    extractor: &mut Extractor<'_>,
    scorer: &Scorer,
    one: Weighed<'_>,
) {
    let mut windows: Vec<(f32, Vec<u32>)> = Vec::new();
    let mut count = 0;
    let opened = detect::open(one.sample.language, &one.sample.text);
    for text in opened.texts_in(one.sample.language, language) {
        extractor.windows(text, b"", &mut |window| {
            count += 1;
            let margin = scorer.margin(window.buckets);
            let teaches = one.sample.is_malicious || margin > EASY_MARGIN;
            let lowest_kept = windows.last().map_or(f32::NEG_INFINITY, |(margin, _)| *margin);
            if teaches && (windows.len() < WINDOWS || margin > lowest_kept) {
                windows.truncate(WINDOWS - 1);
                windows.push((margin, window.buckets.to_vec()));
                windows.sort_by(|a, b| b.0.total_cmp(&a.0));
            }
        });
    }
    // A text of one window is a row already, unless it was carried here.
    if count > 1 || one.sample.language != language {
        for (_, buckets) in windows {
            rows.push(&buckets, one.sample.is_malicious, one.cost);
        }
    }
}

/// The scorer that quantised weights make; probabilities come with calibration.
fn scorer(weights: &Weights) -> Result<Scorer, LearnError> {
    let (quantised, largest) = quantise(&weights.buckets);
    Ok(Scorer::new(Parameters {
        weights: quantised,
        largest,
        bias: weights.bias,
        slope: 1.0,
        offset: 0.0,
        malicious_at: 1.0,
        suspicious_at: 1.0,
        malicious_rate: 0.0,
        suspicious_rate: 0.0,
    })?)
}
