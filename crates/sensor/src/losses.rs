//! What was lost between the kernel and the readers: counted where it happens, told as gaps, for each container.
//!
//! A flood is told when it is first noticed, then every half minute, and once more when it is over: not one gap for
//! each second, and none for each exec.

use crate::budgets::Budgets;
use crate::capture::boot_time;
use crate::probe::{ExecProbe, Ledger, Spent};
use crate::texts::TextTables;
use evidence::{Gap, GapKind, Timestamp};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How often the counters are read.
const LOOKED_EVERY_NS: u64 = 1_000_000_000;
/// How often a loss that goes on is told.
const TOLD_EVERY: Duration = Duration::from_secs(30);

/// What was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum What {
    /// Programs that were executed.
    Execs,
    /// Texts that were compiled at run time.
    Texts,
}

/// By budget, what and how. Budget 0 is nobody's.
type LossKey = (u64, What, GapKind);

/// Losses that user space has counted.
#[derive(Debug, Default)]
pub(crate) struct Tally(Mutex<HashMap<LossKey, u64>>);

impl Tally {
    pub(crate) fn add(&self, budget: u64, what: What, kind: GapKind, lost: u64) {
        if lost > 0 {
            *self
                .0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .entry((budget, what, kind))
                .or_default() += lost;
        }
    }

    fn take(&self) -> HashMap<LossKey, u64> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Losses, from what was counted to what was told.
pub(crate) struct Losses {
    budgets: Arc<Budgets>,
    tally: Arc<Tally>,
    texts: Option<Arc<TextTables>>,
    now: fn() -> Timestamp,
    of_execs: Account,
    of_texts: Account,
    skipped: u64,
    /// The last look at the counters.
    looked_at: Timestamp,
    /// The next one, on the boot clock.
    look_at: u64,
    untold: HashMap<LossKey, Untold>,
}

/// What of a program's ledger was taken in.
#[derive(Default)]
struct Account {
    sums: Spent,
    by_budget: HashMap<u64, Spent>,
    /// What of `sums` was found in some budget.
    attributed: Spent,
}

#[derive(Debug)]
struct Untold {
    lost: u64,
    since: Timestamp,
    told_at: Option<Timestamp>,
    /// Something was lost since the look before.
    goes_on: bool,
}

impl Losses {
    /// `texts` are the tables of the probe of texts, where there is one.
    pub(crate) fn new(
        budgets: Arc<Budgets>,
        tally: Arc<Tally>,
        texts: Option<Arc<TextTables>>,
        now: fn() -> Timestamp,
    ) -> Self {
        Self {
            budgets,
            tally,
            texts,
            now,
            of_execs: Account::default(),
            of_texts: Account::default(),
            skipped: 0,
            looked_at: now(),
            look_at: 0,
            untold: HashMap::new(),
        }
    }

    /// Tells what was lost and is due; looks at most once a second. What `tell` refuses is told the next time.
    pub(crate) fn report(&mut self, probe: &ExecProbe, tell: impl FnMut(Gap) -> bool) {
        // The wall clock may be set back.
        let now = boot_time();
        if now < self.look_at {
            return;
        }
        self.look_at = now + LOOKED_EVERY_NS;
        self.count(probe);
        self.tell(|untold, now| untold.is_due(now), tell);
    }

    /// Tells everything that is untold.
    pub(crate) fn report_all(&mut self, probe: &ExecProbe, tell: impl FnMut(Gap) -> bool) {
        self.count(probe);
        self.tell(|_, _| true, tell);
    }

    fn count(&mut self, probe: &ExecProbe) {
        let since = std::mem::replace(&mut self.looked_at, (self.now)());
        for untold in self.untold.values_mut() {
            untold.goes_on = false;
        }
        let mut new = self.tally.take();
        let skipped = probe.skipped();
        new.insert((0, What::Execs, GapKind::ProbeSkipped), skipped.saturating_sub(self.skipped));
        self.skipped = skipped;
        self.of_execs.take_in(probe.ledger(), What::Execs, &mut new);
        if let Some(texts) = &self.texts {
            self.of_texts.take_in(texts.ledger(), What::Texts, &mut new);
        }
        for (key, lost) in new.into_iter().filter(|(_, lost)| *lost > 0) {
            let fresh = Untold { lost: 0, since, told_at: None, goes_on: true };
            let untold = self.untold.entry(key).or_insert(fresh);
            untold.lost += lost;
            untold.goes_on = true;
        }
    }

    fn tell(&mut self, is_due: impl Fn(&Untold, Timestamp) -> bool, mut tell: impl FnMut(Gap) -> bool) {
        let (now, budgets) = (self.looked_at, &self.budgets);
        self.untold.retain(|(budget, what, kind), untold| {
            if untold.lost > 0 && is_due(untold, now) {
                let gap = Gap {
                    kind: *kind,
                    from: untold.since,
                    to: now,
                    lost: Some(untold.lost),
                    detail: detail(*what, *kind).to_owned(),
                    container: budgets.container(*budget),
                };
                if !tell(gap) {
                    return true;
                }
                *untold = Untold { lost: 0, since: now, told_at: Some(now), goes_on: untold.goes_on };
            }
            untold.lost > 0 || untold.goes_on
        });
    }
}

impl Account {
    /// Finds out whose losses the kernel has counted since the last time. What no budget accounts for, since the kernel has
    /// forgotten it, is nobody's.
    fn take_in(&mut self, ledger: &Ledger, what: What, new: &mut HashMap<LossKey, u64>) {
        let sums = ledger.sums();
        if sums == self.sums {
            return;
        }
        self.sums = sums;
        let mut add = |budget, spent: Spent| {
            *new.entry((budget, what, GapKind::OverBudget)).or_default() += spent.refused;
            *new.entry((budget, what, GapKind::KernelBufferFull)).or_default() += spent.lost;
            self.attributed.refused += spent.refused;
            self.attributed.lost += spent.lost;
        };
        let before = std::mem::take(&mut self.by_budget);
        for (budget, now) in ledger.by_budget() {
            // A budget that was forgotten begins at zero again.
            let then = before.get(&budget).copied().unwrap_or_default();
            let refused = now.refused.checked_sub(then.refused).unwrap_or(now.refused);
            let lost = now.lost.checked_sub(then.lost).unwrap_or(now.lost);
            add(budget, Spent { refused, lost });
            self.by_budget.insert(budget, now);
        }
        // The sums were read first, so that budgets account for more rather than less.
        let refused = sums.refused.saturating_sub(self.attributed.refused);
        let lost = sums.lost.saturating_sub(self.attributed.lost);
        self.attributed.refused += refused;
        self.attributed.lost += lost;
        *new.entry((0, what, GapKind::OverBudget)).or_default() += refused;
        *new.entry((0, what, GapKind::KernelBufferFull)).or_default() += lost;
    }
}

impl Untold {
    fn is_due(&self, now: Timestamp) -> bool {
        !self.goes_on || self.told_at.is_none_or(|told_at| now.since(told_at) >= TOLD_EVERY)
    }
}

fn detail(what: What, kind: GapKind) -> &'static str {
    match (what, kind) {
        (What::Texts, GapKind::OverBudget) => {
            "more texts were compiled at run time than one container may have looked at"
        }
        (What::Texts, GapKind::KernelBufferFull) => {
            "there was no room for texts that were compiled at run time between kernel and sensor"
        }
        (What::Texts, GapKind::CaptureQueueFull) => {
            "the queue of texts that were compiled at run time was full"
        }
        (What::Texts, GapKind::UndecodableEvent) => "texts that were compiled at run time were incomplete",
        (_, GapKind::OverBudget) => "more programs were executed than one container may have looked at",
        (_, GapKind::KernelBufferFull) => "the ring buffer between kernel and sensor was full",
        (_, GapKind::ProbeSkipped) => "the kernel skipped the probe: it was already running on that CPU",
        (_, GapKind::CaptureQueueFull) => "the queue of the file readers was full",
        (_, GapKind::UndecodableEvent) => "messages from the kernel were incomplete",
        (_, GapKind::ExecutableGone) => {
            "programs had ended, and their files were gone, before urva could tell what they were"
        }
        (_, GapKind::InputLate) => {
            "interpreters may have read the beginning of their standard input before it was watched"
        }
        (_, GapKind::InputLost) => {
            "parts of what interpreters read from their standard input were not seen, or nothing of it"
        }
        (_, GapKind::InputOverBudget) => {
            "more interpreters with a script on standard input were executed than are watched of one container from their first moment on"
        }
        (_, GapKind::HeldTooLong) => {
            "processes were held so often for lines of their standard input that they are held no longer"
        }
        _ => "something was lost",
    }
}
