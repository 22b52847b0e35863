//! Cross-validation: each sample of the corpus judged by a model that was trained without its fold.
//!
//! Owns: the split. Refuses: imitations as tests; they train, in the fold of their template, and are not counted.

use crate::calibrate::threshold_at;
use crate::corpus::{Corpus, Sample, hash};
use crate::fit::{fit, highest_margin, weigh};
use crate::report::{HeldOut, outcomes};
use crate::{LearnError, MALICIOUS_RATE, Progress, SUSPICIOUS_RATE, Split, Stage, TrainOptions, imitate};
use detect::Indicators;
use detect::features::Extractor;
use evidence::Language;
use std::collections::HashSet;

/// Margins of all samples of one language, each from a model that does not know it.
pub(crate) fn judge<'c>(
    language: Language,
    corpus: &'c Corpus,
    split: Split,
    indicators: &Indicators,
    options: &TrainOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<Vec<HeldOut<'c>>, LearnError> {
    let samples: Vec<_> = corpus.samples.iter().filter(|sample| sample.language == language).collect();
    for (is_malicious, name) in [(true, "malicious"), (false, "benign")] {
        let of_label = samples.iter().filter(|sample| sample.is_malicious == is_malicious);
        if of_label.map(|sample| sample.cluster).collect::<HashSet<_>>().len() < 2 {
            return Err(LearnError::TooFew(name));
        }
    }
    let imitations = imitate::samples(language, options.imitations, options.seed)?;
    let fold_of = |sample: &Sample| fold_of(sample, split, options);
    let mut folds = Vec::new();
    for fold in 0..options.folds {
        progress(Progress { stage: Stage::Fold(language), done: fold, total: options.folds + 1 });
        let held_out: Vec<_> = samples.iter().copied().filter(|sample| fold_of(sample) == fold).collect();
        let hidden: HashSet<_> = held_out.iter().map(|sample| sample.cluster).collect();
        let known = samples.iter().copied().chain(&imitations);
        let known =
            weigh(known.filter(|sample| fold_of(sample) != fold && !hidden.contains(&sample.cluster)));
        let scorer = fit(language, &known, indicators, options.strength, options.seed, progress)?;
        let mut extractor = Extractor::new(language, indicators);
        progress(Progress { stage: Stage::Judging(language), done: 0, total: held_out.len() as u64 });
        folds.push(
            held_out
                .into_iter()
                .map(|sample| HeldOut {
                    sample,
                    margin: highest_margin(&mut extractor, &scorer, language, &sample.text),
                    malicious_at: f32::INFINITY,
                    suspicious_at: f32::INFINITY,
                })
                .collect::<Vec<_>>(),
        );
    }
    Ok(set_thresholds(folds))
}

/// Gives each fold the thresholds that the other folds would set.
fn set_thresholds(mut folds: Vec<Vec<HeldOut<'_>>>) -> Vec<HeldOut<'_>> {
    for at in 0..folds.len() {
        let others: Vec<_> = folds
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != at)
            .flat_map(|(_, fold)| fold.iter().map(|one| HeldOut { ..*one }))
            .collect();
        let outcomes = outcomes(&others);
        let (malicious_at, suspicious_at) =
            (threshold_at(&outcomes, MALICIOUS_RATE), threshold_at(&outcomes, SUSPICIOUS_RATE));
        for one in &mut folds[at] {
            (one.malicious_at, one.suspicious_at) = (malicious_at, suspicious_at);
        }
    }
    folds.into_iter().flatten().collect()
}

fn fold_of(sample: &Sample, split: Split, options: &TrainOptions) -> u64 {
    let key = match split {
        Split::Cluster => sample.cluster,
        Split::Source => sample.source,
    };
    hash(&(key ^ options.seed.rotate_left(32)).to_le_bytes()) % options.folds
}
