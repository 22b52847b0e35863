//! Cross-validation: each text of the corpus judged by a model that was trained without its fold.
//!
//! Owns: the split, and the thresholds that each fold gets from the others.
//! Refuses: imitations as tests; they train, in the fold of their template, and are not counted.

use crate::calibrate::Points;
use crate::corpus::{Corpus, Record, Sample, hash};
use crate::disguise::DisguisedCopy;
use crate::fit::{fit, weigh};
use crate::judging::{BATCH, Judge, Judged, judge_all, points_of};
use crate::progress::in_parallel;
use crate::{LearnError, Progress, Stage, TrainOptions, imitate};
use detect::Indicators;
use detect::model::Scorer;
use evidence::Language;
use std::collections::{HashMap, HashSet};

/// Benign texts of a fold and a language that pad its malicious texts.
const PADDING: usize = 400;

/// What is held out together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Cluster,
    Source,
}

/// All texts of a corpus that were judged by models that do not know them.
pub(crate) struct CrossValidation<'c> {
    /// One for each fold; a language that the corpus lacks is missing in all.
    pub(crate) judges: Vec<Judge>,
    /// In the order of the corpus. `judge` is the fold.
    pub(crate) judged: Vec<Judged<'c>>,
    /// The scorers that were trained on all, if they were asked for.
    pub(crate) whole: Vec<(Language, Scorer)>,
}

/// One training: of a language, without a fold, or on all where there is none.
#[derive(Clone, Copy)]
struct Task<'c> {
    language: Language,
    imitations: &'c [Sample],
    copies: &'c [DisguisedCopy],
    fold: Option<usize>,
}

/// Judges the whole corpus. With `with_whole` a scorer is trained on all of it besides.
pub(crate) fn cross_validate<'c>(
    corpus: &'c Corpus,
    unit: Unit,
    with_whole: bool,
    indicators: &Indicators,
    options: &TrainOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<CrossValidation<'c>, LearnError> {
    let mut imitations = Vec::new();
    for language in languages_of(corpus)? {
        imitations.push((language, imitate::samples(language, options.imitations, options.seed)?));
    }
    let copies = disguised_copies(corpus, unit, options, progress)?;
    let copies = copies.as_slice();
    let fold_count = usize::try_from(options.folds).unwrap_or(usize::MAX);
    let folds: Vec<_> = (0..fold_count).map(Some).chain(with_whole.then_some(None)).collect();
    let task_of = |(language, imitations), fold| Task { language, imitations, copies, fold };
    let tasks: Vec<Task<'_>> = imitations
        .iter()
        .flat_map(|(language, made)| folds.iter().map(move |&fold| task_of((*language, made), fold)))
        .collect();
    let work =
        |at: usize, tell: &mut dyn FnMut(Progress)| train(tasks[at], corpus, unit, indicators, options, tell);
    let scorers = in_parallel(tasks.len(), options.thread_count(), work, progress)?;
    let mut judges: Vec<Judge> = (0..fold_count).map(|_| Judge::default()).collect();
    let mut whole = Vec::new();
    for (task, scorer) in tasks.iter().zip(scorers) {
        match task.fold {
            None => whole.push((task.language, scorer)),
            Some(fold) => judges[fold].set(task.language, scorer, Points::default()),
        }
    }
    let texts: Vec<_> =
        corpus.records.iter().map(|record| (record, fold_of(&record.sample, unit, options))).collect();
    let mut judged = judge_all(&texts, &judges, indicators, options.thread_count(), progress)?;
    for (language, _) in imitations {
        set_points(language, &mut judges, &mut judged);
    }
    Ok(CrossValidation { judges, judged, whole })
}

/// The languages of the corpus; each must have both labels.
fn languages_of(corpus: &Corpus) -> Result<Vec<Language>, LearnError> {
    let mut languages = Vec::new();
    for language in [Language::Python, Language::Shell] {
        if corpus.of_language(language).next().is_none() {
            continue;
        }
        for (is_malicious, label) in [(true, "malicious"), (false, "benign")] {
            let of_label = corpus.of_language(language).filter(|one| one.sample.is_malicious == is_malicious);
            if of_label.map(|record| record.sample.cluster).collect::<HashSet<_>>().len() < 2 {
                return Err(LearnError::TooFew { language, label });
            }
        }
        languages.push(language);
    }
    if languages.is_empty() { Err(LearnError::OneSided) } else { Ok(languages) }
}

fn train(
    Task { language, imitations, copies, fold }: Task<'_>,
    corpus: &Corpus,
    unit: Unit,
    indicators: &Indicators,
    options: &TrainOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<Scorer, LearnError> {
    progress(Progress { stage: Stage::Fold(language), done: 0, total: 1 });
    let is_held_out = |sample: &Sample| fold == Some(fold_of(sample, unit, options));
    let all = || corpus.records.iter().map(|record| &record.sample);
    let hidden: HashSet<_> =
        all().filter(|sample| is_held_out(sample)).map(|sample| sample.cluster).collect();
    // What harmless texts of the other language carry teaches what is harmless in this one.
    let samples = all().filter(|sample| sample.language == language);
    let carriers = all().filter(|sample| sample.language != language && !sample.is_malicious);
    let is_known = |sample: &&Sample| !is_held_out(sample) && !hidden.contains(&sample.cluster);
    let is_known_copy = |copy: &&DisguisedCopy| copy.sample.language == language && is_known(&&copy.sample);
    let copies = copies.iter().filter(is_known_copy);
    let known = weigh(samples.chain(imitations).chain(carriers).filter(is_known), copies);
    fit(language, &known, indicators, options.strength, options.seed, progress)
}

/// Copies of the corpus in disguise. What pads a text is of its own fold, so that no fold shows in another.
fn disguised_copies(
    corpus: &Corpus,
    unit: Unit,
    options: &TrainOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<Vec<DisguisedCopy>, LearnError> {
    let fold = |sample: &Sample| fold_of(sample, unit, options);
    let mut padding: HashMap<(Language, usize), Vec<&[u8]>> = HashMap::new();
    for Record { sample, .. } in corpus.records.iter().filter(|record| !record.sample.is_malicious) {
        let texts = padding.entry((sample.language, fold(sample))).or_default();
        if texts.len() < PADDING {
            texts.push(&sample.text);
        }
    }
    let batches: Vec<_> = corpus.records.chunks(BATCH).collect();
    let work = |at: usize, tell: &mut dyn FnMut(Progress)| {
        let mut copies = Vec::new();
        for (done, Record { sample, .. }) in (0..).zip(batches[at]) {
            let total = batches[at].len() as u64;
            tell(Progress { stage: Stage::Disguising(sample.language), done, total });
            let padding = padding.get(&(sample.language, fold(sample))).map_or(&[][..], Vec::as_slice);
            copies.extend(DisguisedCopy::all_of(sample, padding, options.seed));
        }
        Ok(copies)
    };
    let copies = in_parallel(batches.len(), options.thread_count(), work, progress)?;
    Ok(copies.into_iter().flatten().collect())
}

/// Gives each fold the calibration and the thresholds that the other folds set.
fn set_points(language: Language, judges: &mut [Judge], judged: &mut [Judged<'_>]) {
    for (fold, judge) in judges.iter_mut().enumerate() {
        let is_of_language = |one: &Judged<'_>| one.record.sample.language == language;
        let others: Vec<_> = judged.iter().filter(|one| is_of_language(one) && one.judge != fold).collect();
        let points = points_of(&others);
        judge.set_points(language, points);
        let own = judged.iter_mut().filter(|one| is_of_language(one) && one.judge == fold);
        own.for_each(|one| one.apply(points));
    }
}

#[allow(clippy::cast_possible_truncation, reason = "the number of folds is a usize")]
fn fold_of(sample: &Sample, unit: Unit, options: &TrainOptions) -> usize {
    let key = match unit {
        Unit::Cluster => sample.cluster,
        Unit::Source => sample.source,
    };
    (hash(&(key ^ options.seed.rotate_left(32)).to_le_bytes()) % options.folds) as usize
}
