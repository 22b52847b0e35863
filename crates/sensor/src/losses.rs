//! What was lost between the kernel and the readers: counted in four places, told as gaps.

use crate::executable::Catalogue;
use crate::probe::{Counts, ExecProbe};
use crate::sensor::Intake;
use evidence::{Gap, GapKind, Timestamp};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Losses, from what was counted to what was told.
pub(crate) struct Losses {
    pub(crate) intake: Arc<Intake>,
    catalogue: Arc<Catalogue>,
    now: fn() -> Timestamp,
    before: Counts,
    since: Timestamp,
    untold: [u64; KINDS.len()],
}

/// Kinds of loss in the order of `Losses::untold`, in words.
const KINDS: [(GapKind, &str); 5] = [
    (GapKind::KernelBufferFull, "the ring buffer between kernel and sensor was full"),
    (GapKind::ProbeSkipped, "the kernel skipped the probe: it was already running on that CPU"),
    (GapKind::CaptureQueueFull, "the queue of the file readers was full"),
    (GapKind::UndecodableEvent, "messages from the kernel were incomplete"),
    (
        GapKind::ExecutableGone,
        "programs had ended, and their files were gone, before urva could tell what they were",
    ),
];

impl Losses {
    pub(crate) fn new(intake: Arc<Intake>, catalogue: Arc<Catalogue>, now: fn() -> Timestamp) -> Self {
        Self { intake, catalogue, now, before: Counts::default(), since: now(), untold: [0; KINDS.len()] }
    }

    /// Tells what was lost since the last time. What `tell` refuses is told the next time.
    pub(crate) fn report(&mut self, probe: &ExecProbe, mut tell: impl FnMut(Gap) -> bool) {
        let counts = probe.counts();
        let new = [
            counts.lost.saturating_sub(self.before.lost),
            counts.skipped.saturating_sub(self.before.skipped),
            self.intake.queue_full.swap(0, Ordering::Relaxed),
            self.intake.undecodable.swap(0, Ordering::Relaxed),
            self.catalogue.take_unseen(),
        ];
        self.before = counts;
        let to = (self.now)();
        let mut is_told = true;
        for ((untold, new), (kind, detail)) in self.untold.iter_mut().zip(new).zip(KINDS) {
            *untold += new;
            if *untold == 0 {
                continue;
            }
            let gap = Gap { kind, from: self.since, to, lost: Some(*untold), detail: detail.to_owned() };
            if tell(gap) {
                *untold = 0;
            } else {
                is_told = false;
            }
        }
        if is_told {
            self.since = to;
        }
    }
}
