//! What became of each thing that was read, and the sum of all.

use artifact::{Fault, Item, Script, Skipped};
use detect::Detector;
use evidence::{Label, Untrusted, Verdict};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What became of one thing.
pub(super) enum Outcome {
    /// It was judged.
    Judged(Box<(Script, Verdict)>),
    /// It could not be read or judged.
    Unread { path: Untrusted, id: Option<Untrusted>, error: String },
    /// It was left alone.
    Skipped(Skipped),
}

/// The sum of all outcomes.
#[derive(Debug, Default)]
pub(super) struct Summary {
    /// Scripts by label.
    pub(super) judged: BTreeMap<Label, u64>,
    /// The worst label.
    pub(super) worst: Option<Label>,
    /// Things that could not be read, or not wholly.
    pub(super) unread: u64,
    /// Things that were left alone.
    pub(super) skipped: BTreeMap<Skipped, u64>,
    /// Bytes of all scripts.
    pub(super) bytes: u64,
}

impl Outcome {
    /// Judges a script; all else stays what it is.
    pub(super) fn of(item: Item, detector: &Detector) -> Self {
        match item {
            Item::Script(script) => Self::judge(script, detector),
            Item::Unread { path, fault } => Self::Unread { path, id: None, error: words(&fault) },
            Item::Skipped(why) => Self::Skipped(why),
        }
    }

    fn judge(script: Script, detector: &Detector) -> Self {
        // One text that finds a defect of the detector must not end the scan of all others.
        let judged = catch_unwind(AssertUnwindSafe(|| detector.judge(script.language, script.text.parts())));
        match judged {
            Ok(verdict) => Self::Judged(Box::new((script, verdict))),
            Err(_) => Self::Unread {
                path: script.path,
                id: script.id,
                error: format!(
                    "the detector failed on the text {}, which is a defect of urva; report it",
                    script.text.sha256
                ),
            },
        }
    }

    /// Bytes that it holds in memory, about.
    pub(super) fn cost(item: &Item) -> usize {
        match item {
            Item::Script(script) => script.text.head.len() + script.text.tail.len() + 1024,
            Item::Unread { .. } => 1024,
            Item::Skipped(_) => 64,
        }
    }
}

fn words(fault: &Fault) -> String {
    fault.to_string()
}

impl Summary {
    /// Counts one outcome.
    pub(super) fn add(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Judged(judged) => {
                let (script, verdict) = &**judged;
                *self.judged.entry(verdict.label).or_default() += 1;
                self.worst = self.worst.max(Some(verdict.label));
                self.bytes += script.text.size;
            }
            Outcome::Unread { .. } => self.unread += 1,
            Outcome::Skipped(why) => *self.skipped.entry(*why).or_default() += 1,
        }
    }

    /// Scripts of all labels.
    pub(super) fn scripts(&self) -> u64 {
        self.judged.values().sum()
    }
}
