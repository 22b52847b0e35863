//! What can be said to `urva train` and `urva eval`.

use crate::cli::Format;
use clap::{Args, ValueEnum};
use learn::{Data, TrainOptions};
use std::num::NonZeroUsize;
use std::path::PathBuf;

const EVAL_EXAMPLES: &str = "\
Examples:
  urva eval corpus/                                    hold out clusters of near-duplicates in turn
  urva eval corpus/ --split source                     hold out whole repositories and feeds
  urva eval corpus/ --split date --since 2025-06       later attacks, and benign sources that were not met
  urva eval corpus/ --test incidents.jsonl.zst         train on the one, judge the other
  urva eval --malicious bad/ --benign good/ --model my.model
                                                       judge your own scripts with a finished model
  urva eval corpus/ --robustness --markdown card.md    what disguises cost, all tables as Markdown";

#[derive(Debug, Args)]
pub(crate) struct TrainArgs {
    #[command(flatten)]
    pub(crate) data: DataArgs,
    /// File to write the model to
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// Replace the file if it exists
    #[arg(long)]
    pub(crate) force: bool,
    /// Name of the model: letters, digits, `-`, `.`, `_`
    #[arg(long, default_value = "linear")]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) training: TrainingArgs,
    /// How to write the figures
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
#[command(after_help = EVAL_EXAMPLES)]
pub(crate) struct EvalArgs {
    #[command(flatten)]
    pub(crate) data: DataArgs,
    /// What is held out together
    #[arg(long, value_enum, default_value_t = SplitName::Cluster, conflicts_with_all = ["test", "model"])]
    pub(crate) split: SplitName,
    /// With `--split date`: malicious texts of this date and later are held out, as 2025, 2025-06 or 2025-06-30
    #[arg(long, value_name = "DATE", required_if_eq("split", "date"))]
    pub(crate) since: Option<String>,
    /// Judge these corpora, by a model that was trained on the others
    #[arg(long, value_name = "CORPUS", num_args = 1..)]
    pub(crate) test: Vec<PathBuf>,
    /// Leave test texts out that training knows, instead of refusing them
    #[arg(long, requires = "test")]
    pub(crate) leave_known_out: bool,
    /// Judge with this model instead of training one
    #[arg(long, value_name = "FILE", conflicts_with = "test")]
    pub(crate) model: Option<PathBuf>,
    /// Judge held-out texts in disguise as well: renamed, encoded, padded, packed …
    #[arg(long)]
    pub(crate) robustness: bool,
    /// With `--robustness`: clusters of each label and language that are disguised
    #[arg(long, value_name = "N", default_value_t = 200, requires = "robustness")]
    pub(crate) sample: usize,
    /// Write the tables to this file too, as Markdown
    #[arg(long, value_name = "FILE")]
    pub(crate) markdown: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) training: TrainingArgs,
    /// How to write the figures
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

/// Labelled texts.
#[derive(Debug, Args)]
pub(crate) struct DataArgs {
    /// Corpus: a file of JSON lines, or a folder with files *.jsonl or *.jsonl.zst
    #[arg(value_name = "CORPUS", required_unless_present_any = ["malicious", "benign"])]
    pub(crate) corpora: Vec<PathBuf>,
    /// Folder of malicious scripts, read to any depth
    #[arg(long, value_name = "DIR")]
    pub(crate) malicious: Vec<PathBuf>,
    /// Folder of benign scripts, read to any depth
    #[arg(long, value_name = "DIR")]
    pub(crate) benign: Vec<PathBuf>,
    /// Count lines and scripts that cannot be read, instead of ending there
    #[arg(long)]
    pub(crate) skip_broken: bool,
}

/// How a model is trained.
#[derive(Debug, Args)]
pub(crate) struct TrainingArgs {
    /// Learn from this data alone, without urva's own imitations of attacks and of everyday code
    #[arg(long)]
    pub(crate) alone: bool,
    /// Decides the split and the order of training: the same seed gives the same model
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Parts of the corpus that are held out in turn
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(2..=100))]
    pub(crate) folds: u64,
    /// Threads that work; the result does not depend on it [default: one for each core, at most 4]
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<NonZeroUsize>,
}

/// What is held out together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SplitName {
    /// Clusters of near-duplicates
    Cluster,
    /// Whole repositories and feeds
    Source,
    /// Malicious texts of a date and later, with a third of the benign sources
    Date,
}

impl DataArgs {
    pub(super) fn data(&self) -> Data {
        let Self { corpora, malicious, benign, skip_broken } = self;
        Data {
            corpora: corpora.clone(),
            malicious: malicious.clone(),
            benign: benign.clone(),
            skip_broken: *skip_broken,
        }
    }
}

impl TrainingArgs {
    pub(super) fn options(&self, data: &DataArgs) -> TrainOptions {
        let default = TrainOptions::default();
        TrainOptions {
            data: data.data(),
            seed: self.seed,
            folds: self.folds,
            threads: self.threads,
            imitations: if self.alone { 0 } else { default.imitations },
            ..default
        }
    }
}
