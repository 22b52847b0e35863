//! What can be asked of training and measuring.

use crate::LearnError;
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// Threads beyond which more would only take more memory: a fold needs up to 1.5 GiB.
const THREADS_MAX: usize = 4;

/// Labelled texts.
#[derive(Debug, Clone, Default)]
pub struct Data {
    /// Corpora: files of JSON lines, or folders with files `*.jsonl.zst` or `*.jsonl`; deeper folders are left alone.
    pub corpora: Vec<PathBuf>,
    /// Folders of malicious scripts, read to any depth.
    pub malicious: Vec<PathBuf>,
    /// Folders of benign scripts, read to any depth.
    pub benign: Vec<PathBuf>,
    /// Whether a line or script that cannot be read is counted and passed over, instead of ending the work.
    pub skip_broken: bool,
}

/// How a model is trained.
#[derive(Debug, Clone)]
pub struct TrainOptions {
    /// What is learnt from.
    pub data: Data,
    /// Name of the model: ASCII letters, digits, `-`, `.`, `_`.
    pub name: String,
    /// Decides the split and the order of training.
    pub seed: u64,
    /// Most texts that are kept of one cluster.
    pub cluster_limit: usize,
    /// Parts of the corpus that are held out in turn, at least 2.
    pub folds: u64,
    /// Cost of an error against the size of weights.
    pub strength: f32,
    /// Texts that are made from each template of the imitations that train along; 0 for none.
    pub imitations: u64,
    /// Threads that work; none for as many as the machine has cores, at most 4. The model does not depend on it.
    pub threads: Option<NonZeroUsize>,
}

impl Default for TrainOptions {
    fn default() -> Self {
        Self {
            data: Data::default(),
            name: "linear".to_owned(),
            seed: 1,
            cluster_limit: 6,
            folds: 5,
            strength: 0.7,
            imitations: 8,
            threads: None,
        }
    }
}

impl TrainOptions {
    pub(crate) fn check(&self) -> Result<(), LearnError> {
        if self.folds < 2 {
            return Err(LearnError::Option("the number of folds must be at least 2"));
        }
        if !(self.strength.is_finite() && self.strength > 0.0) {
            return Err(LearnError::Option("the strength must be a positive number"));
        }
        Ok(())
    }

    pub(crate) fn thread_count(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, |cores| cores.get().min(THREADS_MAX));
        self.threads.map_or_else(cores, NonZeroUsize::get)
    }
}

/// How a method, or a model, is measured.
#[derive(Debug, Clone, Default)]
pub struct EvalOptions {
    /// The method, and the texts that it learns from.
    pub training: TrainOptions,
    /// Which texts it is judged by.
    pub by: Measure,
    /// Clusters of each label and language that are judged in every disguise; 0 for none.
    pub disguised_clusters: usize,
}

/// Which texts a method is judged by.
#[derive(Debug, Clone, Default)]
pub enum Measure {
    /// Parts of the training data that are held out in turn.
    #[default]
    Clusters,
    /// The same by whole repositories and feeds: how the model does on authors that it has not met.
    Sources,
    /// Malicious texts of this date and later, and a third of the benign sources: both are judged by a model that was
    /// trained without them. The date is written as in the corpus, `2025-01-31` or the beginning of it.
    Since(String),
    /// Other data.
    Test {
        /// The data.
        data: Data,
        /// Whether test texts that training knows, or near-duplicates of which it knows, are left out instead of refused.
        leave_known_out: bool,
    },
    /// Nothing is trained: this model file judges all of the data.
    Model(Vec<u8>),
}
