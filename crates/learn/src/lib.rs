//! Trains urva's model on labelled corpora and measures it, always on texts that it has not seen.
//!
//! [`train`] makes a model file with the figures of its method, [`evaluate`] only the figures. Both hold out
//! whole clusters of near-duplicates in turn, so every text is judged once by a model that knows
//! neither it nor its likes.
//!
//! Owns: corpora, imitations, fitting, calibration, the report.
//! Refuses: being needed at run time; writing corpus text anywhere. The same corpus, options and release
//! give the same bytes.

mod calibrate;
mod corpus;
pub mod disguise;
mod fit;
mod folds;
mod imitate;
mod random;
mod report;
mod solve;

pub use corpus::CorpusCounts;
pub use random::Random;
pub use report::{LanguageReport, Rates, RecallAt, Report, SourceShare};

use corpus::Corpus;
use detect::model::{Model, Parameters};
use detect::{Indicators, ModelError, TableError};
use evidence::Language;
use std::fmt;
use std::path::PathBuf;
use thiserror::Error;

/// Share of benign clusters that may be called malicious.
const MALICIOUS_RATE: f64 = 0.001;

/// Share of benign clusters that may be called suspicious.
const SUSPICIOUS_RATE: f64 = 0.01;

/// How a model is trained.
#[derive(Debug, Clone)]
pub struct TrainOptions {
    /// Folders with corpus files `*.jsonl.zst` or `*.jsonl`; files in deeper folders are left alone.
    pub corpora: Vec<PathBuf>,
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
}

impl Default for TrainOptions {
    fn default() -> Self {
        Self {
            corpora: Vec::new(),
            name: "linear".to_owned(),
            seed: 1,
            cluster_limit: 6,
            folds: 5,
            strength: 1.0,
            imitations: 8,
        }
    }
}

/// How a method is measured.
#[derive(Debug, Clone, Default)]
pub struct EvalOptions {
    /// What is held out.
    pub split: Split,
    /// The method; `corpora` and `name` are not used.
    pub training: TrainOptions,
}

/// What is held out together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Split {
    /// Clusters of near-duplicates.
    #[default]
    Cluster,
    /// Whole repositories and feeds: how the model does on authors that it has not met.
    Source,
}

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

/// Where the work stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub stage: Stage,
    /// Steps done of `total`.
    pub done: u64,
    /// See `done`.
    pub total: u64,
}

/// Steps of the work, in their order; those behind `Fold` come again for each fold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Reading corpus files.
    Reading,
    /// Beginning with a fold; the last one is the model itself.
    Fold(Language),
    /// Taking features from whole texts.
    Features(Language),
    /// Taking features from windows.
    Windows(Language),
    /// Solving for the weights.
    Solving(Language),
    /// Judging held-out texts.
    Judging(Language),
}

/// Why there is no model.
#[derive(Debug, Error)]
pub enum LearnError {
    /// There is nothing to read.
    #[error("no corpus file (*.jsonl.zst or *.jsonl) in {}: give the folder that holds them", folders(.0))]
    NoCorpus(Vec<PathBuf>),
    /// A file or folder cannot be read.
    #[error("cannot read {}: {source}", evidence::text::escape(path.as_os_str().as_encoded_bytes()))]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// The corpus lacks what is to be told apart.
    #[error("the corpus has too few {0} texts: each language needs both labels in at least two clusters")]
    TooFew(&'static str),
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

/// Trains a model on all of the corpora; its thresholds and its report come from held-out clusters.
pub fn train(options: &TrainOptions, progress: &mut dyn FnMut(Progress)) -> Result<Trained, LearnError> {
    let (corpus, indicators) = prepare(&options.corpora, options, progress)?;
    let mut parts = Vec::new();
    let mut languages = Vec::new();
    for language in [Language::Python, Language::Shell] {
        let judged = folds::judge(language, &corpus, Split::Cluster, &indicators, options, progress)?;
        languages.extend(LanguageReport::new(language, &judged, &corpus));
        parts.push(final_parameters(language, &judged, &corpus, &indicators, options, progress)?);
    }
    let [python, shell] = parts.as_slice() else { return Err(LearnError::TooFew("malicious and benign")) };
    let model = Model::to_bytes(&options.name, python, shell)?;
    let model_id = Model::from_bytes(&model)?.id().to_owned();
    let report =
        Report { split: split_in_words(Split::Cluster, options.folds), corpus: corpus.counts, languages };
    Ok(Trained { model, model_id, report })
}

/// Measures the method on a corpus: trains on all but one fold, judges that one, for each fold in turn.
pub fn evaluate(
    corpora: &[PathBuf],
    options: &EvalOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<Report, LearnError> {
    let (corpus, indicators) = prepare(corpora, &options.training, progress)?;
    let mut languages = Vec::new();
    for language in [Language::Python, Language::Shell] {
        let judged =
            folds::judge(language, &corpus, options.split, &indicators, &options.training, progress)?;
        languages.extend(LanguageReport::new(language, &judged, &corpus));
    }
    let split = split_in_words(options.split, options.training.folds);
    Ok(Report { split, corpus: corpus.counts, languages })
}

fn prepare(
    corpora: &[PathBuf],
    options: &TrainOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<(Corpus, Indicators), LearnError> {
    if options.folds < 2 {
        return Err(LearnError::Option("the number of folds must be at least 2"));
    }
    if !(options.strength.is_finite() && options.strength > 0.0) {
        return Err(LearnError::Option("the strength must be a positive number"));
    }
    Ok((Corpus::read(corpora, options.cluster_limit, progress)?, Indicators::compile()?))
}

fn final_parameters(
    language: Language,
    judged: &[report::HeldOut<'_>],
    corpus: &Corpus,
    indicators: &Indicators,
    options: &TrainOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<Parameters, LearnError> {
    progress(Progress { stage: Stage::Fold(language), done: options.folds, total: options.folds + 1 });
    let imitations = imitate::samples(language, options.imitations, options.seed)?;
    let of_language = corpus.samples.iter().filter(|sample| sample.language == language);
    let samples = fit::weigh(of_language.chain(&imitations));
    let scorer = fit::fit(language, &samples, indicators, options.strength, options.seed, progress)?;
    let outcomes = report::outcomes(judged);
    let (slope, offset) = calibrate::sigmoid(&outcomes);
    let calibrated = Parameters { slope, offset, ..scorer.parameters().clone() };
    let probability = |rate| {
        let margin = calibrate::threshold_at(&outcomes, rate).max(-100.0);
        1.0 / (1.0 + (-(slope * margin + offset)).exp())
    };
    let (malicious_at, suspicious_at) = (probability(MALICIOUS_RATE), probability(SUSPICIOUS_RATE));
    Ok(Parameters { malicious_at, suspicious_at, ..calibrated })
}

fn split_in_words(split: Split, folds: u64) -> String {
    let unit = match split {
        Split::Cluster => "clusters of near-duplicates",
        Split::Source => "whole sources",
    };
    format!("{folds} folds by {unit}: each text is judged by a model that was trained without its fold")
}

fn folders(paths: &[PathBuf]) -> String {
    let shown = |path: &PathBuf| evidence::text::escape(path.as_os_str().as_encoded_bytes()).to_string();
    match paths {
        [] => "no folder at all".to_owned(),
        _ => paths.iter().map(shown).collect::<Vec<_>>().join(", "),
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reading => f.write_str("reading the corpus"),
            Self::Fold(language) => write!(f, "{language}: fold"),
            Self::Features(language) => write!(f, "{language}: features of whole texts"),
            Self::Windows(language) => write!(f, "{language}: features of windows"),
            Self::Solving(language) => write!(f, "{language}: solving for the weights"),
            Self::Judging(language) => write!(f, "{language}: judging held-out texts"),
        }
    }
}
