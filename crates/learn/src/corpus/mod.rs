//! Reads labelled corpora: files `*.jsonl.zst` and `*.jsonl`, one JSON object a line.
//!
//! Owns: which lines become samples, at most how many of one cluster, and how much a label is trusted.
//! Refuses: writing text anywhere. A line that cannot be read is counted and passed over.

use crate::{LearnError, Progress, Stage};
use evidence::Language;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// Longest line that is read, in bytes; longer ones count as corrupt.
const LONGEST_LINE: u64 = 16 << 20;

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

/// How much a label is trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Confidence {
    High,
    Medium,
    Low,
}

/// All samples of some folders.
#[derive(Debug, Default)]
pub(crate) struct Corpus {
    pub(crate) samples: Vec<Sample>,
    /// Names of the files, without their endings.
    pub(crate) collections: Vec<String>,
    pub(crate) counts: CorpusCounts,
}

/// What was read of a corpus.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CorpusCounts {
    /// Files that were read.
    pub files: usize,
    /// Lines that are samples.
    pub samples: usize,
    /// Samples that were kept; the others lie beyond the limit of their cluster.
    pub kept: usize,
    /// Lines that could not be read, as `FILE: how many`; empty where all could.
    pub corrupt: Vec<(String, usize)>,
}

#[derive(Deserialize)]
struct Line {
    label: Label,
    lang: Lang,
    text: String,
    #[serde(default)]
    source: String,
    #[serde(default)]
    cluster: String,
    #[serde(default)]
    sha256: String,
    label_confidence: Option<Confidence>,
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Label {
    Malicious,
    Benign,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Lang {
    Python,
    #[serde(alias = "sh", alias = "shell")]
    Bash,
}

impl Corpus {
    /// Reads each corpus file directly inside the folders, by name, and keeps at most `cluster_limit` of
    /// a cluster.
    pub(crate) fn read(
        folders: &[PathBuf],
        cluster_limit: usize,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Self, LearnError> {
        let mut corpus = Self::default();
        let mut kept_of = HashMap::new();
        let files = corpus_files(folders)?;
        let total = files.len() as u64;
        for (done, path) in (0..).zip(&files) {
            progress(Progress { stage: Stage::Reading, done, total });
            corpus.read_file(path, cluster_limit, &mut kept_of)?;
        }
        progress(Progress { stage: Stage::Reading, done: total, total });
        corpus.counts.kept = corpus.samples.len();
        Ok(corpus)
    }

    fn read_file(
        &mut self,
        path: &Path,
        cluster_limit: usize,
        kept_of: &mut HashMap<(u64, bool), usize>,
    ) -> Result<(), LearnError> {
        let fault = |source| LearnError::Unreadable { path: path.to_owned(), source };
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let collection = self.collections.len();
        self.collections.push(name.split('.').next().unwrap_or_default().to_owned());
        let mut reader = open(path).map_err(fault)?;
        let mut corrupt = 0;
        let mut line = Vec::new();
        loop {
            line.clear();
            match reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line) {
                Ok(0) => break,
                Ok(_) if line.trim_ascii().is_empty() => continue,
                Ok(_) => {}
                // A damaged compressed file: what was read before the damage counts.
                Err(_) => {
                    corrupt += 1;
                    break;
                }
            }
            let Some(sample) = sample(&line, collection) else {
                corrupt += 1;
                continue;
            };
            self.counts.samples += 1;
            let kept = kept_of.entry((sample.cluster, sample.is_malicious)).or_default();
            *kept += 1;
            if *kept <= cluster_limit {
                self.samples.push(sample);
            }
        }
        self.counts.files += 1;
        if corrupt > 0 {
            self.counts.corrupt.push((name, corrupt));
        }
        Ok(())
    }
}

fn sample(line: &[u8], collection: usize) -> Option<Sample> {
    let line: Line = serde_json::from_slice(line).ok()?;
    // A text without a cluster is a cluster of its own.
    let cluster = match (line.cluster.as_str(), line.sha256.as_str()) {
        ("", "") => hash(line.text.as_bytes()),
        ("", sha256) => hash(sha256.as_bytes()),
        (cluster, _) => hash(cluster.as_bytes()),
    };
    Some(Sample {
        language: match line.lang {
            Lang::Python => Language::Python,
            Lang::Bash => Language::Shell,
        },
        is_malicious: line.label == Label::Malicious,
        confidence: line.label_confidence.unwrap_or(Confidence::Medium),
        collection,
        source: hash(line.source.as_bytes()),
        cluster,
        text: line.text.into_bytes(),
    })
}

fn corpus_files(folders: &[PathBuf]) -> Result<Vec<PathBuf>, LearnError> {
    let mut files = Vec::new();
    for folder in folders {
        let fault = |source| LearnError::Unreadable { path: folder.clone(), source };
        for entry in std::fs::read_dir(folder).map_err(fault)? {
            let path = entry.map_err(fault)?.path();
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if name.ends_with(".jsonl.zst") || name.ends_with(".jsonl") {
                files.push(path);
            }
        }
    }
    if files.is_empty() {
        return Err(LearnError::NoCorpus(folders.to_vec()));
    }
    files.sort();
    Ok(files)
}

fn open(path: &Path) -> std::io::Result<Box<dyn BufRead>> {
    let file = File::open(path)?;
    Ok(match path.extension().is_some_and(|ending| ending == "zst") {
        true => Box::new(BufReader::new(zstd::Decoder::new(file)?)),
        false => Box::new(BufReader::new(file)),
    })
}

/// FNV-1a of 64 bits: the same on each machine, in each release.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}
