//! What can be said to `urva scan`.

use clap::{Args, ValueEnum};
use evidence::{Label, Language};
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  urva scan setup.py                         one script
  urva scan .                                all scripts below a folder, hidden ones too
  curl -s https://example.org/x | urva scan -    what a command writes
  docker save app:1 | urva scan -            a container image, layer by layer
  urva scan app.tar dist/*.whl               images and archives of any kind, also inside each other
  urva scan --format sarif src > urva.sarif  for a code-scanning service
  urva scan --format jsonl . | jq .    one JSON object for each script
  urva scan --corpus texts.jsonl.zst --format jsonl    a corpus, a line for each record
  urva scan --fail-on suspicious src         for a gate that lets nothing doubtful pass

Exit codes: 0 nothing found, 1 found what --fail-on names (also where something else could not be read),
2 something could not be read, or a wrong command line.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ScanArgs {
    /// Files, folders, archives, images as tar or folder; `-` is standard input. A file that is named is judged whatever it is called
    #[arg(value_name = "PATH", required_unless_present = "corpora")]
    pub(super) paths: Vec<PathBuf>,
    /// Corpus: a file of JSON records with a `text` each, plain or compressed by zstd
    #[arg(long = "corpus", value_name = "FILE")]
    pub(super) corpora: Vec<PathBuf>,
    /// How to write verdicts
    #[arg(long, value_enum, default_value_t = ScanFormat::Text)]
    pub(super) format: ScanFormat,
    /// Show benign scripts too; jsonl always does
    #[arg(long)]
    pub(super) all: bool,
    /// Judge files of an image that a later layer replaces or removes, too
    #[arg(long)]
    pub(super) all_layers: bool,
    /// What makes the exit code 1
    #[arg(long, value_enum, default_value_t = FailOn::Malicious, value_name = "LABEL")]
    pub(super) fail_on: FailOn,
    /// Read every script as this language, whatever its name and beginning say
    #[arg(long, value_enum, value_name = "LANGUAGE")]
    language: Option<LanguageName>,
    /// Model to judge by, as `urva train` writes it [default: the config's, else the built-in one]
    #[arg(long, value_name = "FILE")]
    pub(super) model: Option<PathBuf>,
    /// Judge a longer script by its beginning and its end, half of this each: bytes, or with K, M or G
    #[arg(long, value_name = "SIZE", default_value = "4M", value_parser = size)]
    pub(super) max_size: usize,
    /// Scripts judged at a time [default: one for each processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
}

impl ScanArgs {
    /// The language that is forced on everything.
    pub(super) fn language(&self) -> Option<Language> {
        self.language.map(|name| match name {
            LanguageName::Python => Language::Python,
            LanguageName::Shell => Language::Shell,
        })
    }

    /// Threads that judge.
    pub(super) fn threads(&self) -> usize {
        match self.threads {
            Some(threads) => usize::from(threads),
            None => std::thread::available_parallelism().map_or(1, usize::from),
        }
    }
}

/// How verdicts are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ScanFormat {
    /// A report for people
    Text,
    /// One JSON object for each script, benign ones too
    Jsonl,
    /// SARIF 2.1.0, for code-scanning services and editors
    Sarif,
}

/// Labels that make the exit code 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum FailOn {
    /// Suspicious and malicious scripts
    Suspicious,
    /// Malicious scripts
    Malicious,
    /// Nothing
    Never,
}

impl FailOn {
    pub(super) fn includes(self, label: Label) -> bool {
        match self {
            Self::Suspicious => label >= Label::Suspicious,
            Self::Malicious => label >= Label::Malicious,
            Self::Never => false,
        }
    }
}

/// Languages by a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LanguageName {
    Python,
    #[value(alias = "bash", alias = "sh")]
    Shell,
}

/// A number of bytes, up to 1 GiB.
fn size(text: &str) -> Result<usize, String> {
    let digits = text.trim_end_matches(|character: char| !character.is_ascii_digit());
    let unit = match text[digits.len()..].to_ascii_lowercase().trim_end_matches("ib").trim_end_matches('b') {
        "" => 1,
        "k" => 1 << 10,
        "m" => 1 << 20,
        "g" => 1 << 30,
        _ => return Err("a size is a number, perhaps with K, M or G behind it".to_owned()),
    };
    let size = digits.parse::<usize>().ok().and_then(|number| number.checked_mul(unit));
    size.filter(|size| (1 << 10..=1 << 30).contains(size)).ok_or("a size is 1K to 1G".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read() {
        let check = |text: &str, expected: Option<usize>| assert_eq!(size(text).ok(), expected, "{text}");
        check("4096", Some(4096));
        check("64k", Some(65536));
        check("4MiB", Some(4 << 20));
        check("1G", Some(1 << 30));
        check("2G", None);
        check("100", None);
        check("99999999999999999999", None);
        check("4X", None);
        check("", None);
    }
}
