//! Trains urva's model on labelled corpora and measures it, always on texts that it has not seen.
//!
//! [`train`] makes a model file with the figures of its method, [`evaluate`] only the figures. Both hold out
//! whole clusters of near-duplicates in turn, so every text is judged once by a model that knows
//! neither it nor its likes.
//!
//! Owns: corpora, imitations, fitting, calibration, the report.
//! Refuses: being needed at run time; writing corpus text anywhere. The same corpus, options and release
//! give the same bytes, on any number of threads.

mod calibrate;
mod corpus;
pub mod disguise;
mod error;
mod evaluation;
mod fit;
mod folds;
mod imitate;
mod judging;
mod options;
mod progress;
mod random;
pub mod report;
mod robustness;
mod solve;
mod training;

pub use corpus::{Confidence, CorpusCounts};
pub use error::LearnError;
pub use evaluation::evaluate;
pub use options::{Data, EvalOptions, Measure, TrainOptions};
pub use progress::{Progress, Stage};
pub use random::Random;
pub use report::{LanguageReport, Report};
pub use robustness::Robustness;
pub use training::{Trained, train};

/// Share of benign clusters that may be called malicious.
const MALICIOUS_RATE: f64 = 0.001;

/// Share of benign clusters that may be called suspicious.
const SUSPICIOUS_RATE: f64 = 0.01;
