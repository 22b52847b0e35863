//! From a corpus to a model file, with the figures of its method.

use crate::calibrate::{Points, share_at};
use crate::corpus::Corpus;
use crate::folds::{CrossValidation, Unit, cross_validate};
use crate::judging::{Judge, Judged, outcomes, points_of};
use crate::report::{self, Report, is_counted};
use crate::{LearnError, Progress, TrainOptions};
use detect::model::{Model, Parameters, Scorer};
use detect::{Detector, Indicators};
use evidence::{Label, Language};

/// A trained model.
#[derive(Debug, Clone)]
pub struct Trained {
    /// The model file.
    pub model: Vec<u8>,
    /// `NAME@FIRST-12-HEX-OF-ITS-SHA256`.
    pub model_id: String,
    /// How its method does on held-out clusters.
    pub report: Report,
}

/// Trains a model on all of the corpora; its thresholds and its report come from held-out clusters. A language of which
/// the corpora have no text at all is taken from the built-in model.
pub fn train(options: &TrainOptions, progress: &mut dyn FnMut(Progress)) -> Result<Trained, LearnError> {
    options.check()?;
    let corpus = Corpus::read(&options.data, options.cluster_limit, progress)?;
    let indicators = Indicators::compile()?;
    let validation = cross_validate(&corpus, Unit::Cluster, true, &indicators, options, progress)?;
    let [python, shell] =
        [Language::Python, Language::Shell].map(|language| parameters(language, &validation));
    let model = Model::to_bytes(&options.name, &python?, &shell?)?;
    let model_id = Model::from_bytes(&model)?.id().to_owned();
    let split = report::by_folds(options.folds, Unit::Cluster);
    let mut report =
        Report::new(split, &corpus, (&validation.judges, &validation.judged), options.seed, progress);
    report.model = Some(model_id.clone());
    for language in [Language::Python, Language::Shell] {
        if validation.whole.iter().all(|(trained, _)| *trained != language) {
            report.warnings.push(format!("no {language} texts: that part is the built-in model's"));
        }
    }
    Ok(Trained { model, model_id, report })
}

/// The judge that a model trained on a whole corpus is, and what it learnt its thresholds from.
pub(crate) fn judge_of(validation: CrossValidation<'_>) -> Judge {
    let mut judge = Judge::default();
    for (language, scorer) in validation.whole {
        let judged = of_language(language, &validation.judged);
        judge.set(language, scorer, points_of(&judged));
    }
    judge
}

fn of_language<'j, 'c>(language: Language, judged: &'j [Judged<'c>]) -> Vec<&'j Judged<'c>> {
    judged.iter().filter(|one| one.record.sample.language == language).collect()
}

fn parameters(language: Language, validation: &CrossValidation<'_>) -> Result<Parameters, LearnError> {
    let Some((_, scorer)) = validation.whole.iter().find(|(trained, _)| *trained == language) else {
        return Ok(Detector::built_in().model().scorer(language).parameters().clone());
    };
    let judged = of_language(language, &validation.judged);
    let points = points_of(&judged);
    let counted: Vec<_> = judged.into_iter().filter(|one| is_counted(&one.record.sample)).collect();
    let rate_of = |is_flagged: &dyn Fn(Label) -> bool| {
        let mut flags = outcomes(&counted);
        for (flag, one) in flags.iter_mut().zip(&counted) {
            flag.margin = if is_flagged(one.label) { 1.0 } else { 0.0 };
        }
        share_at(&flags, 1.0, |one| !one.is_malicious).unwrap_or(0.0)
    };
    calibrated(
        scorer,
        points,
        rate_of(&|label| label == Label::Malicious),
        rate_of(&|label| label != Label::Benign),
    )
}

#[allow(clippy::cast_possible_truncation, reason = "a model file keeps f32")]
fn calibrated(
    scorer: &Scorer,
    points: Points,
    malicious_rate: f64,
    suspicious_rate: f64,
) -> Result<Parameters, LearnError> {
    let Points { slope, offset, .. } = points;
    let fitted = Parameters { slope, offset, ..scorer.parameters().clone() };
    let judge = Scorer::new(fitted.clone())?;
    let score_at = |margin: f32| {
        let margin = margin.max(-100.0);
        let (score, below) = (judge.probability(margin), judge.probability(margin.next_down()));
        // Margins that differ in their last digit may be one score, and the lower one must stay below.
        if score > below { score } else { score.next_up().min(1.0) }
    };
    Ok(Parameters {
        malicious_at: score_at(points.malicious_at),
        suspicious_at: score_at(points.suspicious_at),
        malicious_rate: malicious_rate as f32,
        suspicious_rate: suspicious_rate as f32,
        ..fitted
    })
}
