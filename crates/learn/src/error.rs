//! Why there is no model, or no report.

use detect::{ModelError, TableError};
use evidence::Language;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why there is no model.
#[derive(Debug, Error)]
pub enum LearnError {
    /// There is nothing to read.
    #[error("no corpus file (*.jsonl.zst or *.jsonl) in {}: give the folder that holds them", folders(.0))]
    NoCorpus(Vec<PathBuf>),
    /// A file or folder cannot be read.
    #[error("cannot read {}: {source}", shown(path))]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// A line of a corpus is no sample.
    #[error(
        "{}, line {line}: {why}; correct the line, or pass over broken lines with --skip-broken",
        shown(path)
    )]
    BrokenLine {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong, escaped.
        why: String,
    },
    /// A script of a plain folder cannot be read.
    #[error("{path} cannot be read: {why}; remove it, or pass over such files with --skip-broken")]
    BrokenScript {
        /// Its path, escaped.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// The corpus lacks what is to be told apart.
    #[error("too few {label} texts in {language}: it takes both labels, each in at least two clusters")]
    TooFew {
        /// The language.
        language: Language,
        /// The label that lacks texts.
        label: &'static str,
    },
    /// No language has both labels.
    #[error(
        "there is nothing to measure: no language has both benign texts and malicious ones with labels of high confidence in the data that is judged"
    )]
    OneSided,
    /// The same text, or near-duplicates, stand on both sides of the split.
    #[error(
        "the test data is known to training: {test} and {trained} are {what}, and {} more; figures on known texts mean \
         nothing: remove them, or leave them out with --leave-known-out",
        count - 1
    )]
    Leak {
        /// A text of the test data.
        test: String,
        /// Its like in the training data.
        trained: String,
        /// What they have in common.
        what: &'static str,
        /// Test texts that are known.
        count: usize,
    },
    /// An option is out of range.
    #[error("{0}")]
    Option(&'static str),
    /// The model cannot be written.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The detector's own table is broken.
    #[error(transparent)]
    Table(#[from] TableError),
}

fn shown(path: &Path) -> String {
    evidence::text::escape(path.as_os_str().as_encoded_bytes()).to_string()
}

fn folders(paths: &[PathBuf]) -> String {
    match paths {
        [] => "no folder at all".to_owned(),
        _ => paths.iter().map(|path| shown(path)).collect::<Vec<_>>().join(", "),
    }
}
