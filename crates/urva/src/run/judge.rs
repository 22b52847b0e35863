//! Judges captures, each text once.
//!
//! Owns: the verdicts that were given, by hash of the text, for all containers together.

use crate::config::Config;
use crate::model;
use detect::Detector;
use evidence::{Capture, Label, Language, Sha256, Verdict};
use std::collections::{BTreeMap, HashMap};
use store::Counters;

/// Verdicts that are remembered; then all are forgotten. A benign one takes some 150 bytes.
const KNOWN_MAX: usize = 65_536;

/// See the module.
pub(super) struct Judge {
    detector: Detector,
    known: HashMap<(Sha256, Language), Verdict>,
}

impl Judge {
    /// With the model that the config names, or the one that is built in.
    pub(super) fn load(config: &Config) -> anyhow::Result<Self> {
        let detector = model::detector(&config.detector, None)?;
        Ok(Self { detector, known: HashMap::new() })
    }

    pub(super) fn model_id(&self) -> &str {
        self.detector.model_id()
    }

    /// The verdict on a capture, and its place in the counters. `None` where no text was captured.
    pub(super) fn inspect(&mut self, capture: &Capture, counters: &mut Counters) -> Option<Verdict> {
        counters.captured += 1;
        counters.compiled += u64::from(capture.compiled.is_some());
        for note in &capture.coverage {
            count(&mut counters.notes, note.as_str());
        }
        let Some(sha256) = capture.script.content.sha256() else {
            counters.not_captured += 1;
            return None;
        };
        let key = (sha256, capture.interpreter.language());
        let verdict = match self.known.get(&key) {
            Some(known) => known.clone(),
            None => self.remember(key, capture)?,
        };
        counters.judged += 1;
        counters.held += u64::from(capture.held);
        match verdict.label {
            Label::Malicious => {
                counters.malicious += 1;
                counters.held_malicious += u64::from(capture.held);
            }
            Label::Suspicious => counters.suspicious += 1,
            Label::Benign => {}
        }
        Some(verdict)
    }

    fn remember(&mut self, key: (Sha256, Language), capture: &Capture) -> Option<Verdict> {
        let verdict = self.detector.inspect(capture)?;
        if self.known.len() >= KNOWN_MAX {
            self.known.clear();
        }
        self.known.insert(key, verdict.clone());
        Some(verdict)
    }
}

fn count(counters: &mut BTreeMap<String, u64>, name: &str) {
    match counters.get_mut(name) {
        Some(counter) => *counter += 1,
        None => _ = counters.insert(name.to_owned(), 1),
    }
}
