//! Which findings are about processes that were held, for the case that they had been let go before the verdict came.
//!
//! Owns: the latest of them, bounded in number.
//! Blind spot: after a restart of the detector, a finding about a process that was let go meanwhile says that it was held.

use evidence::{Finding, FindingId, Held};
use std::collections::VecDeque;
use store::{Store, StoreError};

/// As many as can be held at a time.
const FINDINGS_MAX: usize = 4096;

/// The findings, by process.
#[derive(Default)]
pub(super) struct HeldFindings {
    latest: VecDeque<(u32, u64, FindingId)>,
}

impl HeldFindings {
    /// Remembers a finding that was stored under this id, where its process was held.
    pub(super) fn remember(&mut self, finding: &Finding, id: &FindingId) {
        if finding.script().is_none_or(|judged| judged.held.is_none()) {
            return;
        }
        if self.latest.len() == FINDINGS_MAX {
            self.latest.pop_front();
        }
        let execution = finding.execution();
        self.latest.push_back((execution.pid, execution.start_ticks, id.clone()));
    }

    /// The latest finding about this process, as it is to be stored again: its process was let go before it was judged.
    pub(super) async fn correct(
        &self,
        store: &Store,
        pid: u32,
        start_ticks: u64,
    ) -> Result<Option<Finding>, StoreError> {
        let is_it = |known: &&(u32, u64, FindingId)| (known.0, known.1) == (pid, start_ticks);
        let Some((_, _, id)) = self.latest.iter().rev().find(is_it) else { return Ok(None) };
        let finding = match store.get(id).await {
            Err(StoreError::NotFound { .. } | StoreError::Unreadable { .. }) => return Ok(None),
            found => found?,
        };
        // It shows its latest execution, which may be another one by now.
        let execution = finding.execution();
        let is_shown = (execution.pid, execution.start_ticks) == (pid, start_ticks);
        Ok(is_shown.then(|| finding.with_hold(Some(Held::Late))))
    }
}
