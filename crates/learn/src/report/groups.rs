//! Figures of parts of the texts: by source, kind, platform, confidence, and the hard negatives.
//!
//! Owns: which benign texts are hard negatives. The thresholds are those of the whole language.

use super::interval::Share;
use crate::corpus::{Confidence, Corpus, Record};
use crate::judging::Judged;
use evidence::Label;
use serde::Serialize;
use std::collections::BTreeMap;

/// Figures of some texts. Each list is as long as the rates of false alarms that recall is given at, or empty where
/// the group has no text of the label.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Group {
    /// What they have in common.
    pub name: String,
    /// Share of malicious clusters that are found.
    pub recall: Vec<Share>,
    /// Share of benign clusters that raise a false alarm.
    pub false_alarms: Vec<Share>,
}

/// False alarms on a kind of harmless code.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HardNegatives {
    /// The kind.
    pub name: String,
    /// Share that is called malicious.
    pub malicious: Share,
    /// Share that is called suspicious or malicious.
    pub suspicious: Share,
}

/// Kinds of code that detectors take for attacks, and the words in a corpus file's name or in `kind` that tell them.
const HARD: [(&str, &[&str]); 10] = [
    ("Ansible wrappers", &["ansiballz"]),
    ("installers", &["installer"]),
    ("security tools", &["security"]),
    ("one-liners", &["oneliner", "one_liner", "one-liner"]),
    ("entrypoints and health checks", &["entrypoint", "healthcheck"]),
    ("configure scripts", &["configure"]),
    ("minified and packed", &["minified", "packed"]),
    ("maintainer scripts", &["maintainer"]),
    ("setup.py", &["setup.py", "setup_py"]),
    ("lines of Dockerfiles", &["dockerfile"]),
];

/// Figures of each group that `by` tells, in the order of names.
pub(super) fn groups(
    judged: &[&Judged<'_>],
    thresholds: [f32; 3],
    by: &dyn Fn(&Judged<'_>) -> String,
) -> Vec<Group> {
    let mut members: BTreeMap<String, [Vec<&Judged<'_>>; 2]> = BTreeMap::new();
    for one in judged {
        members.entry(by(one)).or_default()[usize::from(one.record.sample.is_malicious)].push(one);
    }
    let shares = |judged: &[&Judged<'_>]| match judged {
        [] => Vec::new(),
        _ => thresholds.map(|at| Share::of(judged, &|one| one.margin >= at)).into(),
    };
    members
        .into_iter()
        .map(|(name, [benign, malicious])| Group {
            name,
            recall: shares(&malicious),
            false_alarms: shares(&benign),
        })
        .collect()
}

/// The benign texts that are hard to tell from attacks, then all of these together.
pub(super) fn hard_negatives(corpus: &Corpus, judged: &[&Judged<'_>]) -> Vec<HardNegatives> {
    let benign = || judged.iter().copied().filter(|one| !one.record.sample.is_malicious);
    let row = |name: &str, words: &[&[&str]]| {
        let of_kind: Vec<_> =
            benign().filter(|one| words.iter().any(|words| is_of(corpus, one.record, words))).collect();
        (!of_kind.is_empty()).then(|| HardNegatives {
            name: name.to_owned(),
            malicious: Share::of(&of_kind, &|one| one.label == Label::Malicious),
            suspicious: Share::of(&of_kind, &|one| one.label != Label::Benign),
        })
    };
    let all: Vec<_> = HARD.iter().map(|(_, words)| *words).collect();
    HARD.iter()
        .map(|(name, words)| row(name, &[*words]))
        .chain([row("all of these", &all)])
        .flatten()
        .collect()
}

fn is_of(corpus: &Corpus, record: &Record, words: &[&str]) -> bool {
    let collection = corpus.collection_of(&record.sample);
    words.iter().any(|word| record.origin.kind.contains(word) || collection.contains(word))
}

/// As a corpus writes it.
pub(super) fn confidence(confidence: Confidence) -> &'static str {
    match confidence {
        Confidence::High => "high",
        Confidence::Medium => "medium",
        Confidence::Low => "low",
    }
}
