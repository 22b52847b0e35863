//! Labelled texts: corpora of JSON lines and plain folders of scripts, as one list in a fixed order.
//!
//! Owns: what becomes a sample, its cluster of near-duplicates, at most how many of one cluster are kept, and how much a
//! label is trusted.
//! Refuses: writing text anywhere.

mod lines;
mod minhash;
pub(crate) mod platform;
mod scripts;

use crate::{Data, LearnError, Progress, Stage};
use evidence::{Language, Sha256};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// One labelled text.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    pub(crate) language: Language,
    pub(crate) is_malicious: bool,
    pub(crate) confidence: Confidence,
    /// Index into [`Corpus::collections`].
    pub(crate) collection: usize,
    /// Hash of the repository or feed that it was found in.
    pub(crate) source: u64,
    /// Hash of the name of its cluster of near-duplicates.
    pub(crate) cluster: u64,
    pub(crate) text: Vec<u8>,
}

/// A sample of a corpus, and what its report needs to name it.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) sample: Sample,
    pub(crate) origin: Origin,
}

/// Where a sample comes from. Fields that its line lacks are empty.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    /// Line of its file, counted from 1; 0 for a script of its own.
    pub(crate) line: usize,
    pub(crate) id: String,
    pub(crate) path: String,
    pub(crate) kind: String,
    pub(crate) source: String,
    pub(crate) date: String,
    /// The cluster's name; empty until it is computed where the corpus does not tell it.
    pub(crate) cluster: String,
    pub(crate) sha256: Sha256,
}

/// How much a label is trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// Someone vouches for it. What a label without a word on it counts as.
    High,
    /// Mostly right.
    Medium,
    /// A guess.
    Low,
}

/// All samples of some corpora.
#[derive(Debug, Default)]
pub(crate) struct Corpus {
    pub(crate) records: Vec<Record>,
    /// Names of the files without their endings, and of the folders of scripts.
    pub(crate) collections: Vec<String>,
    pub(crate) counts: CorpusCounts,
}

/// What was read of a corpus.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CorpusCounts {
    /// Corpus files and folders of scripts that were read.
    pub files: usize,
    /// Texts that are samples.
    pub samples: usize,
    /// Samples that were kept; the others lie beyond the limit of their cluster.
    pub kept: usize,
    /// Lines and scripts that could not be read, as `FILE: how many`; empty where all could.
    pub corrupt: Vec<(String, usize)>,
    /// Files in folders of scripts that are neither Python nor shell.
    pub no_script: usize,
    /// Samples whose cluster was computed here.
    pub clustered: usize,
}

impl Corpus {
    /// Reads all of the data, in the order of names, and keeps at most `cluster_limit` of a cluster.
    pub(crate) fn read(
        data: &Data,
        cluster_limit: usize,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Self, LearnError> {
        let mut corpora = Self::read_together(&[data], progress)?;
        let mut corpus = corpora.pop().unwrap_or_default();
        corpus.limit_clusters(cluster_limit);
        Ok(corpus)
    }

    /// Reads several sets of data whose clusters are computed together, so that one knows the other's near-duplicates.
    pub(crate) fn read_together(
        sets: &[&Data],
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Vec<Self>, LearnError> {
        let mut corpora = Vec::new();
        for data in sets {
            let mut corpus = Self::default();
            corpus.read_lines(data, progress)?;
            corpus.read_scripts(data, progress)?;
            if corpus.counts.files == 0 {
                return Err(LearnError::NoCorpus(data.corpora.clone()));
            }
            corpus.counts.samples = corpus.records.len();
            corpus.counts.kept = corpus.records.len();
            corpora.push(corpus);
        }
        minhash::name_clusters(&mut corpora, progress);
        Ok(corpora)
    }

    /// Keeps the first samples of each cluster and label.
    pub(crate) fn limit_clusters(&mut self, limit: usize) {
        let mut kept_of: HashMap<(u64, bool), usize> = HashMap::new();
        self.records.retain(|record| {
            let kept = kept_of.entry((record.sample.cluster, record.sample.is_malicious)).or_default();
            *kept += 1;
            *kept <= limit
        });
        self.counts.kept = self.records.len();
    }

    /// The samples of one language.
    pub(crate) fn of_language(&self, language: Language) -> impl Iterator<Item = &Record> {
        self.records.iter().filter(move |record| record.sample.language == language)
    }

    /// The file or folder that a sample is from.
    pub(crate) fn collection_of(&self, sample: &Sample) -> &str {
        self.collections.get(sample.collection).map_or("", String::as_str)
    }

    fn reading(done: usize, total: usize) -> Progress {
        Progress { stage: Stage::Reading, done: done as u64, total: total as u64 }
    }
}

/// FNV-1a of 64 bits: the same on each machine, in each release.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}
