//! Whose budget is whose: the container behind each number by which the probes tell containers apart.
//!
//! Owns: what the execs of each container have told of it, bounded in number.

use crate::attribution::named;
use evidence::{Container, Untrusted};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Budgets whose container is remembered: as many as the probe keeps. Then all are forgotten, and learnt again.
const NAMES_MAX: usize = 8192;
/// The probe's mark of a budget that is a cgroup's, and not a PID namespace's: `BUDGET_OF_CGROUP` in `container.h`.
const OF_CGROUP: u64 = 1 << 63;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Budgets(Mutex<HashMap<u64, Name>>);

/// Who was last seen to use a budget. Numbers of namespaces are given out again, so the path is compared each time.
#[derive(Debug)]
struct Name {
    cgroup: Untrusted,
    container: Option<Container>,
}

impl Budgets {
    /// A process in this cgroup was seen to use the budget.
    pub(crate) fn learn(&self, budget: u64, cgroup: &Untrusted) {
        let mut names = self.lock();
        if names.get(&budget).is_some_and(|name| name.cgroup == *cgroup) {
            return;
        }
        if names.len() >= NAMES_MAX {
            names.clear();
        }
        let container = named(cgroup, budget & OF_CGROUP == 0);
        names.insert(budget, Name { cgroup: cgroup.clone(), container });
    }

    /// The container that uses this budget, as far as its execs have told.
    pub(crate) fn container(&self, budget: u64) -> Option<Container> {
        self.lock().get(&budget)?.container.clone()
    }

    /// The cgroup of the last process that used this budget; empty where none is known.
    pub(crate) fn cgroup(&self, budget: u64) -> Untrusted {
        self.lock().get(&budget).map(|name| name.cgroup.clone()).unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Name>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
