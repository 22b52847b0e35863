//! Plain folders of scripts: one folder for each label, the language by name or `#!` line.
//!
//! Owns: what stands for the fields that a script by itself does not have.
//! Refuses: to pass over a script that cannot be read unless that was asked for.

use super::{Confidence, Corpus, Origin, Record, Sample, hash};
use crate::{Data, LearnError, Progress};
use artifact::{Item, Limits, Reader};
use evidence::Sha256;
use evidence::text::escape;
use std::ops::ControlFlow::{Break, Continue};
use std::path::Path;
use std::sync::atomic::AtomicU64;

/// Bytes of a script that are kept, of a longer one its two ends: more says nothing new.
const LONGEST_TEXT: usize = 4 << 20;

impl Corpus {
    /// Reads all scripts below the folders that the data names.
    pub(super) fn read_scripts(
        &mut self,
        data: &Data,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), LearnError> {
        let folders = data.malicious.iter().map(|folder| (folder, true));
        let folders: Vec<_> = folders.chain(data.benign.iter().map(|folder| (folder, false))).collect();
        for (done, (folder, is_malicious)) in folders.iter().enumerate() {
            progress(Self::reading(done, folders.len()));
            self.read_scripts_below(folder, *is_malicious, data.skip_broken)?;
        }
        Ok(())
    }

    fn read_scripts_below(
        &mut self,
        folder: &Path,
        is_malicious: bool,
        skip_broken: bool,
    ) -> Result<(), LearnError> {
        let collection = self.collections.len();
        let name = folder.file_name().unwrap_or(folder.as_os_str()).to_string_lossy().into_owned();
        let root = folder.as_os_str().as_encoded_bytes();
        let (mut broken, mut first_broken) = (0, None);
        let read = AtomicU64::new(0);
        let options = artifact::Options {
            limits: Limits { text: LONGEST_TEXT, ..Limits::default() },
            ..artifact::Options::default()
        };
        let mut sink = |item| {
            match item {
                Item::Script(script) => {
                    let record = record(script, root, collection, is_malicious);
                    self.records.push(record);
                }
                Item::Unread { path, fault } => {
                    broken += 1;
                    first_broken.get_or_insert((escape(&path).to_string(), fault.to_string()));
                }
                Item::Skipped(_) => self.counts.no_script += 1,
            }
            if broken > 0 && !skip_broken { Break(()) } else { Continue(()) }
        };
        let flow = Reader::new(&options, &read, &mut sink).path(folder);
        if let (true, Some((path, why))) = (flow.is_break(), first_broken) {
            return Err(LearnError::BrokenScript { path, why });
        }
        if broken > 0 {
            self.counts.corrupt.push((name.clone(), broken));
        }
        self.collections.push(name);
        self.counts.files += 1;
        Ok(())
    }
}

fn record(script: artifact::Script, root: &[u8], collection: usize, is_malicious: bool) -> Record {
    let inner = script.path.strip_prefix(root).unwrap_or(&script.path);
    let inner = String::from_utf8_lossy(inner).trim_start_matches('/').to_owned();
    let mut text = script.text.head;
    text.extend_from_slice(&script.text.tail);
    // The folder directly below the root is most likely one project or one feed.
    let source = inner.split_once('/').map_or("", |(first, _)| first).to_owned();
    let name = inner.rsplit('/').next().unwrap_or_default();
    let origin = Origin {
        line: 0,
        id: String::new(),
        kind: if name == "setup.py" { name.to_owned() } else { String::new() },
        path: inner,
        date: String::new(),
        cluster: String::new(),
        sha256: Sha256::of(&text),
        source,
    };
    let sample = Sample {
        language: script.language,
        is_malicious,
        confidence: Confidence::High,
        collection,
        source: hash(format!("{collection}/{}", origin.source).as_bytes()),
        cluster: 0,
        text,
    };
    Record { sample, origin }
}
