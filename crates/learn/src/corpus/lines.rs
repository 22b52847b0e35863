//! Corpora of JSON lines: files `*.jsonl.zst` and `*.jsonl` of a folder, or single files of any name.
//!
//! Owns: the fields that are read of a line. Refuses: to pass over a broken line unless that was asked for.

use super::{Confidence, Corpus, Origin, Record, Sample, hash};
use crate::{Data, LearnError, Progress};
use evidence::text::escape;
use evidence::{Language, Sha256};
use serde::Deserialize;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// Longest line that is read, in bytes; a longer one is broken.
const LONGEST_LINE: u64 = 16 << 20;

/// First bytes of a zstd frame.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

#[derive(Deserialize)]
struct Line {
    label: Label,
    lang: Lang,
    text: String,
    id: Option<String>,
    path: Option<String>,
    kind: Option<String>,
    source: Option<String>,
    date: Option<String>,
    cluster: Option<String>,
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
    /// Reads each corpus file that the data names, or that lies directly inside a folder which it names.
    pub(super) fn read_lines(
        &mut self,
        data: &Data,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), LearnError> {
        let files = corpus_files(&data.corpora)?;
        for (done, path) in files.iter().enumerate() {
            progress(Self::reading(done, files.len()));
            self.read_file(path, data.skip_broken)?;
        }
        progress(Self::reading(files.len(), files.len()));
        Ok(())
    }

    fn read_file(&mut self, path: &Path, skip_broken: bool) -> Result<(), LearnError> {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let collection = self.collections.len();
        self.collections.push(name.split('.').next().unwrap_or_default().to_owned());
        let unreadable = |source| LearnError::Unreadable { path: path.to_owned(), source };
        let mut reader = open(path).map_err(unreadable)?;
        let mut broken = 0;
        let mut bytes = Vec::new();
        for line in 1.. {
            bytes.clear();
            let read = reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut bytes);
            let is_damaged = read.is_err();
            let record = match read {
                Ok(0) => break,
                Ok(_) if bytes.trim_ascii().is_empty() => continue,
                Ok(_) => record(&bytes, collection, line),
                Err(error) => Err(format!("the file is damaged from here on: {error}")),
            };
            match record {
                Ok(record) => self.records.push(record),
                Err(_) if skip_broken => broken += 1,
                Err(why) => return Err(LearnError::BrokenLine { path: path.to_owned(), line, why }),
            }
            if is_damaged {
                break;
            }
        }
        self.counts.files += 1;
        if broken > 0 {
            self.counts.corrupt.push((name, broken));
        }
        Ok(())
    }
}

fn record(bytes: &[u8], collection: usize, line: usize) -> Result<Record, String> {
    let read: Line = serde_json::from_slice(bytes).map_err(|error| {
        // The parser sees one line at a time, so its own line number would mislead.
        let why = error.to_string();
        let why = why.split(" at line ").next().unwrap_or_default();
        format!("{} (column {})", escape(why.as_bytes()), error.column())
    })?;
    let origin = Origin {
        line,
        sha256: Sha256::of(read.text.as_bytes()),
        id: read.id.unwrap_or_default(),
        path: read.path.unwrap_or_default(),
        kind: read.kind.unwrap_or_default(),
        source: read.source.unwrap_or_default(),
        date: read.date.unwrap_or_default(),
        cluster: read.cluster.unwrap_or_default(),
    };
    let sample = Sample {
        language: match read.lang {
            Lang::Python => Language::Python,
            Lang::Bash => Language::Shell,
        },
        is_malicious: read.label == Label::Malicious,
        confidence: read.label_confidence.unwrap_or(Confidence::High),
        collection,
        source: hash(origin.source.as_bytes()),
        cluster: hash(origin.cluster.as_bytes()),
        text: read.text.into_bytes(),
    };
    Ok(Record { sample, origin })
}

fn corpus_files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, LearnError> {
    let mut files = Vec::new();
    for path in paths {
        let fault = |source| LearnError::Unreadable { path: path.clone(), source };
        if !std::fs::metadata(path).map_err(fault)?.is_dir() {
            files.push(path.clone());
            continue;
        }
        let before = files.len();
        for entry in std::fs::read_dir(path).map_err(fault)? {
            let path = entry.map_err(fault)?.path();
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if name.ends_with(".jsonl.zst") || name.ends_with(".jsonl") {
                files.push(path);
            }
        }
        if files.len() == before {
            return Err(LearnError::NoCorpus(vec![path.clone()]));
        }
    }
    files.sort();
    files.dedup();
    Ok(files)
}

fn open(path: &Path) -> std::io::Result<Box<dyn BufRead>> {
    // Opening a FIFO would wait for somebody to write.
    if !std::fs::metadata(path)?.is_file() {
        return Err(std::io::Error::other("it is neither a file nor a folder"));
    }
    let mut file = BufReader::new(File::open(path)?);
    Ok(match file.fill_buf()?.starts_with(&ZSTD_MAGIC) {
        true => Box::new(BufReader::new(zstd::Decoder::with_buffer(file)?)),
        false => Box::new(file),
    })
}
