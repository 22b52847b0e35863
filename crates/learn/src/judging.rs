//! Texts judged by models, on the way to figures.
//!
//! Owns: [`Examiner::margin`], the one way from a text to its score that evaluation and robustness both take.

use crate::calibrate::{Outcome, Points, points};
use crate::corpus::Record;
use crate::fit::highest_margin;
use crate::progress::in_parallel;
use crate::report::is_counted;
use crate::{LearnError, Progress, Stage};
use detect::Indicators;
use detect::features::Extractor;
use detect::model::Scorer;
use evidence::{Label, Language};
use std::collections::HashMap;

/// Texts that a thread takes at once.
pub(crate) const BATCH: usize = 256;

/// What judges texts: the scorers of a fold or of a model, with their calibration and thresholds.
#[derive(Default)]
pub(crate) struct Judge {
    python: Option<(Scorer, Points)>,
    shell: Option<(Scorer, Points)>,
}

impl Judge {
    pub(crate) fn set(&mut self, language: Language, scorer: Scorer, points: Points) {
        *self.slot(language) = Some((scorer, points));
    }

    pub(crate) fn set_points(&mut self, language: Language, new: Points) {
        if let Some((_, points)) = self.slot(language) {
            *points = new;
        }
    }

    /// The scorer and the points of a language, if it has any.
    pub(crate) fn part(&self, language: Language) -> Option<&(Scorer, Points)> {
        match language {
            Language::Python => self.python.as_ref(),
            Language::Shell => self.shell.as_ref(),
        }
    }

    fn slot(&mut self, language: Language) -> &mut Option<(Scorer, Points)> {
        match language {
            Language::Python => &mut self.python,
            Language::Shell => &mut self.shell,
        }
    }
}

/// Judges texts as the detector does. Holds the scratch memory of one thread.
pub(crate) struct Examiner<'i> {
    python: Extractor<'i>,
    shell: Extractor<'i>,
}

impl<'i> Examiner<'i> {
    pub(crate) fn new(indicators: &'i Indicators) -> Self {
        let extractor = |language| Extractor::new(language, indicators);
        Self { python: extractor(Language::Python), shell: extractor(Language::Shell) }
    }

    /// The margin of a text, by whatever the detector looks at in it; none where the judge lacks the language.
    pub(crate) fn margin(&mut self, judge: &Judge, language: Language, text: &[u8]) -> Option<f32> {
        judge.part(language)?;
        let opened = detect::open(language, text);
        let mut highest = f32::NEG_INFINITY;
        for (of, extractor) in [(Language::Python, &mut self.python), (Language::Shell, &mut self.shell)] {
            let Some((scorer, _)) = judge.part(of) else { continue };
            for text in opened.texts_in(language, of) {
                highest = highest.max(highest_margin(extractor, scorer, text));
            }
        }
        Some(highest)
    }
}

/// A text with what a model said that does not know it.
#[derive(Clone)]
pub(crate) struct Judged<'c> {
    pub(crate) record: &'c Record,
    /// Index of the judge.
    pub(crate) judge: usize,
    pub(crate) margin: f32,
    pub(crate) probability: f64,
    pub(crate) label: Label,
}

impl Judged<'_> {
    /// Calibrates and labels it.
    pub(crate) fn apply(&mut self, points: Points) {
        self.probability = points.probability(self.margin);
        self.label = points.label(self.margin);
    }
}

/// Judges each text by the judge whose index stands with it; those whose language that judge lacks are left out.
pub(crate) fn judge_all<'c>(
    texts: &[(&'c Record, usize)],
    judges: &[Judge],
    indicators: &Indicators,
    threads: usize,
    progress: &mut dyn FnMut(Progress),
) -> Result<Vec<Judged<'c>>, LearnError> {
    let batches: Vec<_> = texts.chunks(BATCH).collect();
    let judge_batch = |at: usize, tell: &mut dyn FnMut(Progress)| {
        let mut examiner = Examiner::new(indicators);
        let judge_one = |&(record, judge): &(&'c Record, usize)| {
            let margin = examiner.margin(&judges[judge], record.sample.language, &record.sample.text)?;
            let mut judged = Judged { record, judge, margin, probability: 0.0, label: Label::Benign };
            judged.apply(judges[judge].part(record.sample.language)?.1);
            Some(judged)
        };
        let judged: Vec<_> = batches[at].iter().filter_map(judge_one).collect();
        let language = batches[at].first().map_or(Language::Python, |(record, _)| record.sample.language);
        tell(Progress { stage: Stage::Judging(language), done: 1, total: 1 });
        Ok(judged)
    };
    Ok(in_parallel(batches.len(), threads, judge_batch, progress)?.into_iter().flatten().collect())
}

/// Calibration and thresholds that some texts of one language set. Labels that are not sure would make attacks look
/// less likely than they are, so they count only where there are no others.
pub(crate) fn points_of(judged: &[&Judged<'_>]) -> Points {
    let is_sure = |one: &&&Judged<'_>| is_counted(&one.record.sample);
    let sure: Vec<_> = judged.iter().filter(is_sure).copied().collect();
    match sure.iter().any(|one| one.record.sample.is_malicious) {
        true => points(&outcomes(&sure)),
        false => points(&outcomes(judged)),
    }
}

/// Outcomes with the share that each text has in its cluster.
pub(crate) fn outcomes(judged: &[&Judged<'_>]) -> Vec<Outcome> {
    let key = |one: &Judged<'_>| (one.record.sample.cluster, one.record.sample.is_malicious);
    let mut size_of: HashMap<(u64, bool), f64> = HashMap::new();
    judged.iter().for_each(|one| *size_of.entry(key(one)).or_default() += 1.0);
    judged
        .iter()
        .map(|one| Outcome {
            margin: one.margin,
            is_malicious: one.record.sample.is_malicious,
            share: size_of.get(&key(one)).map_or(1.0, |size| 1.0 / size),
        })
        .collect()
}
