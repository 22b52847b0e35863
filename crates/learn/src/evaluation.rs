//! Measures a method, or a finished model, on texts that it does not know.
//!
//! Owns: what is held out, and that nothing of it is known. Refuses: figures on texts that training has seen.

use crate::calibrate::Points;
use crate::corpus::{Corpus, Origin, Record, hash};
use crate::folds::{Unit, cross_validate};
use crate::judging::{Judge, Judged, judge_all};
use crate::report::{self, Report};
use crate::training::judge_of;
use crate::{Data, EvalOptions, LearnError, Measure, Progress, robustness};
use detect::Indicators;
use detect::model::Model;
use evidence::Language;
use evidence::text::escape;
use std::collections::{HashMap, HashSet};

/// Of how many benign sources one is held out with the later malicious texts.
const BENIGN_PARTS: u64 = 3;

/// What was judged, by whom.
struct Examined<'c> {
    split: String,
    corpus: &'c Corpus,
    judges: Vec<Judge>,
    judged: Vec<Judged<'c>>,
}

/// Measures as the options say.
pub fn evaluate(options: &EvalOptions, progress: &mut dyn FnMut(Progress)) -> Result<Report, LearnError> {
    options.training.check()?;
    match &options.by {
        Measure::Clusters => in_folds(Unit::Cluster, options, progress),
        Measure::Sources => in_folds(Unit::Source, options, progress),
        Measure::Since(date) => since(date, options, progress),
        Measure::Test { data, leave_known_out } => on_test(data, *leave_known_out, options, progress),
        Measure::Model(model) => by_model(model, options, progress),
    }
}

fn in_folds(
    unit: Unit,
    options: &EvalOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<Report, LearnError> {
    let training = &options.training;
    let corpus = Corpus::read(&training.data, training.cluster_limit, progress)?;
    let indicators = Indicators::compile()?;
    let done = cross_validate(&corpus, unit, false, &indicators, training, progress)?;
    let split = report::by_folds(training.folds, unit);
    let examined = Examined { split, corpus: &corpus, judges: done.judges, judged: done.judged };
    count(&examined, &indicators, options, progress)
}

fn since(
    date: &str,
    options: &EvalOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<Report, LearnError> {
    let is_date = date.len() >= 4 && date.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    if !is_date {
        return Err(LearnError::Option("the date must be as 2025-01-31, 2025-01 or 2025"));
    }
    let training = &options.training;
    let mut corpus = Corpus::read(&training.data, training.cluster_limit, progress)?;
    let is_held_out = |record: &Record| match record.sample.is_malicious {
        true => record.origin.date.as_str() >= date,
        false => hash(&(record.sample.source ^ training.seed).to_le_bytes()).is_multiple_of(BENIGN_PARTS),
    };
    let (held_out, mut known): (Vec<_>, Vec<_>) =
        std::mem::take(&mut corpus.records).into_iter().partition(is_held_out);
    let hidden = Known::of(&held_out);
    known.retain(|record| hidden.like(record).is_none());
    let test =
        Corpus { records: held_out, collections: corpus.collections.clone(), counts: corpus.counts.clone() };
    corpus.records = known;
    let split = format!(
        "malicious texts of {date} and later, and one in {BENIGN_PARTS} of the benign sources, judged by a model that was \
         trained on the others; what resembles them was left out of training"
    );
    trained_on(&corpus, &test, split, options, progress)
}

fn on_test(
    data: &Data,
    leave_known_out: bool,
    options: &EvalOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<Report, LearnError> {
    let training = &options.training;
    let mut corpora = Corpus::read_together(&[&training.data, data], progress)?;
    let (Some(mut test), Some(mut corpus)) = (corpora.pop(), corpora.pop()) else {
        return Err(LearnError::OneSided);
    };
    let mut split = "test data, judged by a model that was trained on other data".to_owned();
    let known = Known::of(&corpus.records);
    let leaks: Vec<_> =
        test.records.iter().filter_map(|record| Some((record, known.like(record)?))).collect();
    if let (Some((record, (at, what))), false) = (leaks.first(), leave_known_out) {
        return Err(LearnError::Leak {
            test: named(&test, record),
            trained: named(&corpus, &corpus.records[*at]),
            what,
            count: leaks.len(),
        });
    }
    if !leaks.is_empty() {
        split = format!("{split}; {} texts that training knows were left out", leaks.len());
        test.records.retain(|record| known.like(record).is_none());
    }
    corpus.limit_clusters(training.cluster_limit);
    test.limit_clusters(training.cluster_limit);
    trained_on(&corpus, &test, split, options, progress)
}

fn trained_on(
    corpus: &Corpus,
    test: &Corpus,
    split: String,
    options: &EvalOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<Report, LearnError> {
    let indicators = Indicators::compile()?;
    let training = &options.training;
    let judge = judge_of(cross_validate(corpus, Unit::Cluster, true, &indicators, training, progress)?);
    let judges = vec![judge];
    let texts: Vec<_> = test.records.iter().map(|record| (record, 0)).collect();
    let judged = judge_all(&texts, &judges, &indicators, training.thread_count(), progress)?;
    count(&Examined { split, corpus: test, judges, judged }, &indicators, options, progress)
}

fn by_model(
    model: &[u8],
    options: &EvalOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<Report, LearnError> {
    let model = Model::from_bytes(model)?;
    let training = &options.training;
    let corpus = Corpus::read(&training.data, training.cluster_limit, progress)?;
    let indicators = Indicators::compile()?;
    let mut judge = Judge::default();
    for language in [Language::Python, Language::Shell] {
        let scorer = model.scorer(language).clone();
        let points = Points::of(scorer.parameters());
        judge.set(language, scorer, points);
    }
    let judges = vec![judge];
    let texts: Vec<_> = corpus.records.iter().map(|record| (record, 0)).collect();
    let judged = judge_all(&texts, &judges, &indicators, training.thread_count(), progress)?;
    let split = "none: a finished model judged all texts".to_owned();
    let mut report =
        count(&Examined { split, corpus: &corpus, judges, judged }, &indicators, options, progress)?;
    report.model = Some(model.id().to_owned());
    report.warnings.push(
        "the model may have been trained on these texts or on others like them: these are no figures of what it does on \
         new ones"
            .to_owned(),
    );
    Ok(report)
}

fn count(
    examined: &Examined<'_>,
    indicators: &Indicators,
    options: &EvalOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<Report, LearnError> {
    let Examined { split, corpus, judges, judged } = examined;
    let mut report = Report::new(split.clone(), corpus, (judges, judged), options.training.seed, progress);
    if report.languages.is_empty() {
        return Err(LearnError::OneSided);
    }
    if options.disguised_clusters > 0 {
        report.robustness = robustness::measure(judges, judged, indicators, options, progress)?;
    }
    Ok(report)
}

/// What one side of a split consists of.
struct Known {
    clusters: HashMap<u64, usize>,
    texts: HashMap<[u8; 32], usize>,
}

impl Known {
    fn of(records: &[Record]) -> Self {
        let (mut clusters, mut texts) = (HashMap::new(), HashMap::new());
        for (at, record) in records.iter().enumerate() {
            clusters.entry(record.sample.cluster).or_insert(at);
            texts.entry(record.origin.sha256.0).or_insert(at);
        }
        Self { clusters, texts }
    }

    /// The text that is one with a record, or like it, and in what.
    fn like(&self, record: &Record) -> Option<(usize, &'static str)> {
        let same = self.texts.get(&record.origin.sha256.0).map(|&at| (at, "the same text"));
        same.or_else(|| self.clusters.get(&record.sample.cluster).map(|&at| (at, "of one cluster")))
    }
}

/// A record for a message.
fn named(corpus: &Corpus, record: &Record) -> String {
    let Origin { line, id, path, .. } = &record.origin;
    let collection = corpus.collection_of(&record.sample);
    let name = match line {
        0 => format!("{collection}/{path}"),
        line if id.is_empty() => format!("{collection}, line {line}"),
        line => format!("{collection}, line {line} ({id})"),
    };
    escape(name.as_bytes()).to_string()
}

/// Clusters of some judged texts, in the order of the texts.
pub(crate) fn first_of_clusters<'j, 'c>(judged: impl Iterator<Item = &'j Judged<'c>>) -> Vec<&'j Judged<'c>>
where
    'c: 'j,
{
    let mut seen = HashSet::new();
    judged.filter(|one| seen.insert(one.record.sample.cluster)).collect()
}
