//! The figures of a model, for people and for machines.
//!
//! Owns: what is counted and how it is written. All shares are of clusters: near-duplicates count as one.

use crate::calibrate::{Outcome, share_at, threshold_at};
use crate::corpus::{Confidence, Corpus, CorpusCounts, Sample};
use evidence::Language;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::fmt;

/// Rates of false alarms at which recall is given.
const RATES: [f64; 3] = [0.01, 0.001, 0.0003];

/// How well texts are told apart that the model has not seen.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// How the texts were held out, in plain words.
    pub split: String,
    /// What was read.
    pub corpus: CorpusCounts,
    /// Python, then shell; a language without samples of both labels is absent.
    pub languages: Vec<LanguageReport>,
}

/// The figures of one language.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LanguageReport {
    /// The language.
    pub language: Language,
    /// Clusters of malicious texts with labels of high confidence.
    pub malicious_clusters: usize,
    /// Clusters of benign texts.
    pub benign_clusters: usize,
    /// Recall at fixed rates of false alarms.
    pub recall: Vec<RecallAt>,
    /// At the threshold that the other folds would have set for "malicious".
    pub malicious: Rates,
    /// At the threshold that the other folds would have set for "suspicious".
    pub suspicious: Rates,
    /// Share of each benign file's clusters that raise a false alarm at the malicious threshold.
    pub false_alarms: Vec<SourceShare>,
    /// Share of each malicious file's clusters that are found at the malicious threshold, labels of all confidences.
    pub recall_by_source: Vec<SourceShare>,
}

/// Recall at one rate of false alarms.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RecallAt {
    /// Share of benign clusters above the threshold, at most.
    pub false_alarm_rate: f64,
    /// Share of malicious clusters of high confidence above it.
    pub recall: f64,
}

/// Both rates at a model's own threshold.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rates {
    /// Share of malicious clusters of high confidence.
    pub recall: f64,
    /// Share of benign clusters.
    pub false_alarm_rate: f64,
}

/// A share of the clusters of one corpus file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SourceShare {
    /// The file's name, without its ending.
    pub source: String,
    /// Its clusters.
    pub clusters: usize,
    /// The share that is flagged.
    pub flagged: f64,
}

/// A held-out sample with what the model said, and the thresholds that did not know it.
pub(crate) struct HeldOut<'s> {
    pub(crate) sample: &'s Sample,
    pub(crate) margin: f32,
    pub(crate) malicious_at: f32,
    pub(crate) suspicious_at: f32,
}

/// Outcomes with the share that each text has in its cluster.
pub(crate) fn outcomes(held_out: &[HeldOut<'_>]) -> Vec<Outcome> {
    let mut size_of: HashMap<(u64, bool), f64> = HashMap::new();
    for one in held_out {
        *size_of.entry((one.sample.cluster, one.sample.is_malicious)).or_default() += 1.0;
    }
    held_out
        .iter()
        .map(|one| {
            let key = (one.sample.cluster, one.sample.is_malicious);
            let share = size_of.get(&key).map_or(1.0, |size| 1.0 / size);
            Outcome { margin: one.margin, is_malicious: one.sample.is_malicious, share }
        })
        .collect()
}

impl LanguageReport {
    /// None where one of the labels is missing.
    pub(crate) fn new(language: Language, held_out: &[HeldOut<'_>], corpus: &Corpus) -> Option<Self> {
        let trusted: Vec<_> = held_out
            .iter()
            .filter(|one| !one.sample.is_malicious || one.sample.confidence == Confidence::High)
            .map(|one| HeldOut { ..*one })
            .collect();
        let outcomes = outcomes(&trusted);
        let recall = RATES
            .into_iter()
            .map(|rate| {
                let recall = share_at(&outcomes, threshold_at(&outcomes, rate), |one| one.is_malicious)?;
                Some(RecallAt { false_alarm_rate: rate, recall })
            })
            .collect::<Option<Vec<_>>>()?;
        Some(Self {
            language,
            malicious_clusters: clusters(&trusted, true),
            benign_clusters: clusters(&trusted, false),
            recall,
            malicious: rates(&trusted, &outcomes, |one| one.margin >= one.malicious_at)?,
            suspicious: rates(&trusted, &outcomes, |one| one.margin >= one.suspicious_at)?,
            false_alarms: by_source(held_out, corpus, false),
            recall_by_source: by_source(held_out, corpus, true),
        })
    }
}

fn clusters(held_out: &[HeldOut<'_>], is_malicious: bool) -> usize {
    let mut clusters: Vec<_> = held_out
        .iter()
        .filter(|one| one.sample.is_malicious == is_malicious)
        .map(|one| one.sample.cluster)
        .collect();
    clusters.sort_unstable();
    clusters.dedup();
    clusters.len()
}

fn rates(
    held_out: &[HeldOut<'_>],
    outcomes: &[Outcome],
    is_flagged: impl Fn(&HeldOut<'_>) -> bool,
) -> Option<Rates> {
    // A flagged text is given a margin of 1 and any other one of 0.
    let flags: Vec<_> = held_out
        .iter()
        .zip(outcomes)
        .map(|(one, outcome)| Outcome { margin: if is_flagged(one) { 1.0 } else { 0.0 }, ..*outcome })
        .collect();
    Some(Rates {
        recall: share_at(&flags, 1.0, |one| one.is_malicious)?,
        false_alarm_rate: share_at(&flags, 1.0, |one| !one.is_malicious)?,
    })
}

fn by_source(held_out: &[HeldOut<'_>], corpus: &Corpus, is_malicious: bool) -> Vec<SourceShare> {
    let mut of_source: BTreeMap<&str, Vec<HeldOut<'_>>> = BTreeMap::new();
    for one in held_out.iter().filter(|one| one.sample.is_malicious == is_malicious) {
        let Some(name) = corpus.collections.get(one.sample.collection) else { continue };
        of_source.entry(name).or_default().push(HeldOut { ..*one });
    }
    let share = |(source, held_out): (&str, Vec<HeldOut<'_>>)| {
        let (mut flagged, mut total) = (0.0, 0.0);
        for (one, outcome) in held_out.iter().zip(outcomes(&held_out)) {
            total += outcome.share;
            flagged += if one.margin >= one.malicious_at { outcome.share } else { 0.0 };
        }
        let clusters = clusters(&held_out, is_malicious);
        SourceShare { source: source.to_owned(), clusters, flagged: flagged / total }
    };
    of_source.into_iter().map(share).collect()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CorpusCounts { files, samples, kept, corrupt } = &self.corpus;
        writeln!(f, "Corpus: {files} files, {samples} texts, {kept} kept after limiting each cluster")?;
        for (file, lines) in corrupt {
            writeln!(
                f,
                "  {}: {lines} unreadable lines passed over",
                evidence::text::escape(file.as_bytes())
            )?;
        }
        writeln!(f, "Split:  {}", self.split)?;
        self.languages.iter().try_for_each(|language| write!(f, "\n{language}"))
    }
}

impl fmt::Display for LanguageReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { language, malicious_clusters, benign_clusters, .. } = self;
        writeln!(
            f,
            "{language}: {malicious_clusters} malicious clusters (high confidence), {benign_clusters} benign"
        )?;
        for RecallAt { false_alarm_rate, recall } in &self.recall {
            writeln!(f, "  recall at {:>5.2} % false alarms   {recall:>6.3}", false_alarm_rate * 100.0)?;
        }
        for (name, rates) in [("malicious", &self.malicious), ("suspicious", &self.suspicious)] {
            let Rates { recall, false_alarm_rate } = rates;
            writeln!(
                f,
                "  own threshold, {name:<10}     {recall:>6.3} at {:.2} % false alarms",
                false_alarm_rate * 100.0
            )?;
        }
        table(f, "false alarms", &self.false_alarms)?;
        table(f, "recall", &self.recall_by_source)
    }
}

fn table(f: &mut fmt::Formatter<'_>, title: &str, rows: &[SourceShare]) -> fmt::Result {
    writeln!(f, "  {title:<28} clusters   share")?;
    for SourceShare { source, clusters, flagged } in rows {
        writeln!(
            f,
            "    {:<26} {clusters:>8} {:>6.2} %",
            evidence::text::escape(source.as_bytes()).to_string(),
            flagged * 100.0
        )?;
    }
    Ok(())
}
