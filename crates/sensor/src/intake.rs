//! Where execs wait for a reader: containers take turns, and each has its own share of the room.
//!
//! Owns: the queue between the thread that empties the ring and those that read files.
//! Refuses: keeping the ring's thread waiting. What finds no room is counted for its container.

use crate::assemble::{Assembler, Exec};
use crate::budgets::Budgets;
use crate::fair::{Fair, Limits};
use crate::input::Doorkeeper;
use crate::losses::{Tally, What};
use crate::texts::Executions;
use evidence::GapKind;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Execs that wait for a reader, in number and bytes, and readers for one container.
const LIMITS: Limits = Limits { count: 8192, bytes: 64 * 1024 * 1024, at_a_time: 2 };

/// See the module.
pub(crate) struct Intake {
    queue: Mutex<Queue>,
    changed: Condvar,
    budgets: Arc<Budgets>,
    tally: Arc<Tally>,
    executions: Arc<Executions>,
    /// Sees each exec first.
    doorkeeper: Option<Doorkeeper>,
}

struct Queue {
    execs: Fair<u64, Exec>,
    is_closed: bool,
}

impl Intake {
    pub(crate) fn new(
        tally: Arc<Tally>,
        budgets: Arc<Budgets>,
        executions: Arc<Executions>,
        doorkeeper: Option<Doorkeeper>,
    ) -> Self {
        let queue = Mutex::new(Queue { execs: Fair::new(LIMITS), is_closed: false });
        Self { queue, changed: Condvar::new(), budgets, tally, executions, doorkeeper }
    }

    /// Takes a record of the kernel; what it completes waits for a reader from then on.
    pub(crate) fn take(&self, record: &[u8], assembler: &mut Assembler) {
        let exec = assembler.push(record).unwrap_or_else(|error| {
            tracing::warn!(%error, "a message from the kernel was refused");
            self.tally.add(0, What::Execs, GapKind::UndecodableEvent, 1);
            None
        });
        self.tally.add(0, What::Execs, GapKind::UndecodableEvent, assembler.take_given_up());
        let Some(exec) = exec else { return };
        if let Some(doorkeeper) = &self.doorkeeper {
            doorkeeper.expect(&exec);
        }
        let budget = exec.header.budget;
        self.budgets.learn(budget, &exec.cgroup);
        let mut queue = self.lock();
        if queue.is_closed {
            return;
        }
        let lost = queue.execs.push(budget, exec.weight(), exec);
        drop(queue);
        for (budget, exec) in lost {
            self.executions.settle(budget, exec.key());
            self.lost(budget);
        }
        self.changed.notify_one();
    }

    /// The next exec and its budget, which [`Intake::done`] gets afterwards; waits for it. `None` once the queue is closed
    /// and empty.
    pub(crate) fn next(&self) -> Option<(u64, Exec)> {
        let mut queue = self.lock();
        loop {
            if let Some(next) = queue.execs.pop() {
                return Some(next);
            }
            if queue.is_closed && queue.execs.is_empty() {
                return None;
            }
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A reader is through with an exec of this budget.
    pub(crate) fn done(&self, budget: u64) {
        self.lock().execs.done(&budget);
        self.changed.notify_one();
    }

    /// An exec was given up.
    pub(crate) fn lost(&self, budget: u64) {
        self.tally.add(budget, What::Execs, GapKind::CaptureQueueFull, 1);
    }

    /// No exec is accepted any more: the readers end when the queue is empty.
    pub(crate) fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
