//! The figures of a model, for people and for machines.
//!
//! Owns: what is counted. All shares are of clusters: near-duplicates count as one. Headline figures are of benign texts
//! and of malicious ones with labels of high confidence; what is less sure stands apart.
//! Refuses: showing any text of a corpus.

mod calibration;
mod groups;
mod interval;
mod page;
mod table;

pub use calibration::{Bin, Calibration};
pub use groups::{Group, HardNegatives};
pub use interval::Share;

use crate::calibrate::{Outcome, Points, points, share_at, threshold_at};
use crate::corpus::{Confidence, Corpus, CorpusCounts, Sample};
use crate::folds::Unit;
use crate::judging::{Judge, Judged, outcomes};
use crate::robustness::Robustness;
use crate::{MALICIOUS_RATE, Progress, SUSPICIOUS_RATE, Stage};
use evidence::{Label, Language};
use serde::Serialize;
use std::collections::HashSet;

/// Rates of false alarms at which recall is given.
pub(crate) const RATES: [f64; 3] = [0.01, 0.001, 0.0003];

/// Errors of each kind that are listed.
const WORST: usize = 15;

/// How well texts are told apart that the model has not seen.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// How the texts were held out, in plain words.
    pub split: String,
    /// The model's id, where one was judged or made.
    pub model: Option<String>,
    /// What was judged.
    pub corpus: CorpusCounts,
    /// What to bear in mind when reading the figures.
    pub warnings: Vec<String>,
    /// Python, then shell; a language without samples of both labels is absent.
    pub languages: Vec<LanguageReport>,
    /// What disguises cost; empty where it was not asked for.
    pub robustness: Vec<Robustness>,
}

/// The figures of one language.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LanguageReport {
    /// The language.
    pub language: Language,
    /// Clusters of malicious texts with labels of high confidence.
    pub malicious_clusters: usize,
    /// Clusters of benign texts, those with labels of low confidence left out.
    pub benign_clusters: usize,
    /// Recall at fixed rates of false alarms, by the thresholds that give these rates on these very texts.
    pub recall: Vec<RecallAt>,
    /// The two thresholds that these texts would set, with the rates of error of the thresholds in force: those that
    /// other folds, the training data or the model file set.
    pub thresholds: Vec<OperatingPoint>,
    /// By the file or folder that a text is from.
    pub by_source: Vec<Group>,
    /// By the corpus's field `kind`.
    pub by_kind: Vec<Group>,
    /// By the system that a text is meant for.
    pub by_platform: Vec<Group>,
    /// Labels by how sure they are; only the first line is in the figures above.
    pub by_confidence: Vec<Group>,
    /// Harmless code that looks like an attack, at the threshold for "malicious".
    pub hard_negatives: Vec<HardNegatives>,
    /// Whether scores are probabilities.
    pub calibration: Calibration,
    /// Benign texts with the highest scores, one for each cluster.
    pub highest_benign: Vec<WorstError>,
    /// Malicious texts of high confidence with the lowest scores, one for each cluster.
    pub lowest_malicious: Vec<WorstError>,
}

/// Recall at one rate of false alarms.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RecallAt {
    /// Share of benign clusters above the threshold, at most.
    pub false_alarm_rate: f64,
    /// Share of malicious clusters of high confidence above it.
    pub recall: f64,
    /// Ends of its 95 % interval, by bootstrap over clusters: the threshold is set anew in each draw.
    pub low: f64,
    /// See `low`.
    pub high: f64,
}

/// A threshold and what it does on texts that did not set it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OperatingPoint {
    /// `malicious` or `suspicious`.
    pub label: Label,
    /// The share of benign clusters that it is set for.
    pub wanted_rate: f64,
    /// Score at and above which a text has the label.
    pub score: f64,
    /// Malicious clusters of high confidence that have it.
    pub recall: Share,
    /// Benign clusters that have it.
    pub false_alarms: Share,
}

/// A text that was judged badly; its own words are never shown.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WorstError {
    /// File or folder.
    pub file: String,
    /// Line, counted from 1; 0 for a script of its own.
    pub line: usize,
    /// The corpus's fields `id` and `path`.
    pub id: String,
    /// See `id`.
    pub path: String,
    /// Name of its cluster.
    pub cluster: String,
    /// What the model gave it.
    pub score: f64,
}

/// Whether a sample counts in the headline figures.
pub(crate) fn is_counted(sample: &Sample) -> bool {
    match sample.is_malicious {
        true => sample.confidence == Confidence::High,
        false => sample.confidence != Confidence::Low,
    }
}

/// The split in plain words.
pub(crate) fn by_folds(folds: u64, unit: Unit) -> String {
    let unit = match unit {
        Unit::Cluster => "clusters of near-duplicates",
        Unit::Source => "whole sources",
    };
    format!("{folds} folds by {unit}: each text is judged by a model that was trained without its fold")
}

impl Report {
    pub(crate) fn new(
        split: String,
        corpus: &Corpus,
        (judges, judged): (&[Judge], &[Judged<'_>]),
        seed: u64,
        progress: &mut dyn FnMut(Progress),
    ) -> Self {
        let mut languages = Vec::new();
        for (done, language) in (0..).zip([Language::Python, Language::Shell]) {
            progress(Progress { stage: Stage::Reporting, done, total: 2 });
            let of_language: Vec<_> =
                judged.iter().filter(|one| one.record.sample.language == language).collect();
            // Models of several folds have no scale in common but that which all texts together would set.
            let scale = match judges {
                [judge] => judge.part(language).map(|(_, points)| *points),
                _ => None,
            };
            languages.extend(LanguageReport::new(language, corpus, &of_language, scale, seed));
        }
        let corpus = corpus.counts.clone();
        Self { split, model: None, corpus, warnings: Vec::new(), languages, robustness: Vec::new() }
    }
}

impl LanguageReport {
    /// None where one of the labels is missing.
    fn new(
        language: Language,
        corpus: &Corpus,
        all: &[&Judged<'_>],
        scale: Option<Points>,
        seed: u64,
    ) -> Option<Self> {
        let counted: Vec<_> = all.iter().copied().filter(|one| is_counted(&one.record.sample)).collect();
        let of_label =
            |is_malicious| counted.iter().any(|one| one.record.sample.is_malicious == is_malicious);
        if !(of_label(true) && of_label(false)) {
            return None;
        }
        let outcomes = outcomes(&counted);
        let thresholds = RATES.map(|rate| threshold_at(&outcomes, rate));
        let group = |by: &dyn Fn(&Judged<'_>) -> String| groups::groups(all, thresholds, by);
        Some(Self {
            language,
            malicious_clusters: clusters(&counted, true),
            benign_clusters: clusters(&counted, false),
            recall: recall(&counted, &outcomes, thresholds, seed),
            thresholds: operating_points(&counted, &outcomes, scale),
            by_source: group(&|one| corpus.collection_of(&one.record.sample).to_owned()),
            by_kind: groups::groups(&counted, thresholds, &|one| named_or_none(&one.record.origin.kind)),
            by_platform: groups::groups(&counted, thresholds, &|one| {
                crate::corpus::platform::of(&one.record.sample.text).to_owned()
            }),
            by_confidence: group(&|one| groups::confidence(one.record.sample.confidence).to_owned()),
            hard_negatives: groups::hard_negatives(corpus, all),
            calibration: Calibration::of(&counted, &outcomes),
            highest_benign: worst(corpus, &counted, false),
            lowest_malicious: worst(corpus, &counted, true),
        })
    }
}

fn named_or_none(name: &str) -> String {
    if name.is_empty() { "(none)".to_owned() } else { name.to_owned() }
}

fn recall(counted: &[&Judged<'_>], outcomes: &[Outcome], thresholds: [f32; 3], seed: u64) -> Vec<RecallAt> {
    let ends = interval::bootstrap(counted, outcomes, RATES, seed);
    let one = |((false_alarm_rate, threshold), (low, high))| {
        let recall = share_at(outcomes, threshold, |one| one.is_malicious).unwrap_or(0.0);
        RecallAt { false_alarm_rate, recall, low, high }
    };
    RATES.into_iter().zip(thresholds).zip(ends).map(one).collect()
}

fn operating_points(
    counted: &[&Judged<'_>],
    outcomes: &[Outcome],
    scale: Option<Points>,
) -> Vec<OperatingPoint> {
    let set = points(outcomes);
    let scale = scale.unwrap_or(set);
    let one = |(label, wanted_rate, margin): (Label, f64, f32)| {
        let is_flagged = |one: &Judged<'_>| one.label == Label::Malicious || one.label == label;
        let of = |is_malicious| {
            let of_label = |one: &&&Judged<'_>| one.record.sample.is_malicious == is_malicious;
            Share::of(&counted.iter().filter(of_label).copied().collect::<Vec<_>>(), &is_flagged)
        };
        let score = scale.probability(margin);
        OperatingPoint { label, wanted_rate, score, recall: of(true), false_alarms: of(false) }
    };
    let malicious = (Label::Malicious, MALICIOUS_RATE, set.malicious_at);
    [malicious, (Label::Suspicious, SUSPICIOUS_RATE, set.suspicious_at)].map(one).into()
}

/// How many clusters some texts of one label belong to.
fn clusters(judged: &[&Judged<'_>], is_malicious: bool) -> usize {
    let of_label = judged.iter().filter(|one| one.record.sample.is_malicious == is_malicious);
    of_label.map(|one| one.record.sample.cluster).collect::<HashSet<_>>().len()
}

fn worst(corpus: &Corpus, counted: &[&Judged<'_>], is_malicious: bool) -> Vec<WorstError> {
    let mut of_label: Vec<_> =
        counted.iter().filter(|one| one.record.sample.is_malicious == is_malicious).collect();
    let badness = |one: &Judged<'_>| if is_malicious { -one.probability } else { one.probability };
    of_label.sort_by(|a, b| badness(b).total_cmp(&badness(a)));
    let mut seen = HashSet::new();
    of_label.retain(|one| seen.insert(one.record.sample.cluster));
    let one = |one: &&Judged<'_>| WorstError {
        file: corpus.collection_of(&one.record.sample).to_owned(),
        line: one.record.origin.line,
        id: one.record.origin.id.clone(),
        path: one.record.origin.path.clone(),
        cluster: one.record.origin.cluster.clone(),
        score: one.probability,
    };
    of_label.into_iter().take(WORST).map(one).collect()
}
