//! Where texts wait to be described: for their turn, and for the script that they belong to.
//!
//! Owns: the queue between the thread that empties the ring and the one that describes texts, in which containers take
//! turns; and the waiting room for texts whose exec is still being read.
//! Guarantee: a text comes after the capture of the script that its process runs, unless that takes longer than
//! `SCRIPT_WITHIN_NS`, or the room of its container is full: then it goes on alone. Nobody waits for one exec because of
//! another. Blocks nobody but the thread that asks for the next text.

use super::assemble::Text;
use super::executions::{ExecKey, Executions, Found};
use crate::capture::boot_time;
use crate::fair::{Fair, Limits};
use crate::wire::value;
use evidence::Capture;
use std::collections::{HashMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Texts that wait for their turn, in number and bytes. One thread describes them, so there is no need for more bounds.
const LIMITS: Limits = Limits { count: 16_384, bytes: 64 * 1024 * 1024, at_a_time: usize::MAX };
/// Texts of one container that wait for their script, in number and bytes.
const PARKED_MAX: usize = 512;
const PARKED_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The same of all containers together.
const PARKED_OF_ALL_MAX: usize = 8192;
const PARKED_BYTES_OF_ALL_MAX: usize = 64 * 1024 * 1024;
/// How long a text waits for the script of its process. A slow file system may take that long.
const SCRIPT_WITHIN_NS: u64 = 5_000_000_000;
/// How long it waits for what its process reads over standard input. What runs before that is read, such as the modules
/// that an interpreter starts with, waits as long.
const INPUT_WITHIN_NS: u64 = 1_000_000_000;
/// The same once the sensor is told to end.
const END_WITHIN_NS: u64 = 200_000_000;
/// How often texts are looked for that have waited too long.
const LOOK_EVERY_NS: u64 = 20_000_000;

/// See the module.
pub(crate) struct Waiting {
    queue: Mutex<Queue>,
    changed: Condvar,
    /// How long a text waits for its script where its process is held.
    held_within: u64,
}

struct Queue {
    texts: Fair<u64, Text>,
    parked: HashMap<ExecKey, Parked>,
    /// What is parked of each budget, and of all.
    shares: HashMap<u64, Share>,
    all: Share,
    /// Texts whose script is settled, or that have waited too long.
    ready: VecDeque<Text>,
    /// When those are to be looked for that have waited too long, on the boot clock.
    look_at: u64,
    closed_at: Option<u64>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Share {
    texts: usize,
    bytes: usize,
}

/// The texts of one exec that wait for it.
#[derive(Default)]
struct Parked {
    texts: VecDeque<Text>,
    /// On the boot clock.
    until: u64,
}

impl Waiting {
    /// `hold_within` is how long a process may be held, where any is.
    pub(crate) fn new(hold_within: Option<Duration>) -> Self {
        let half = hold_within
            .map_or(SCRIPT_WITHIN_NS, |within| within.as_nanos().try_into().unwrap_or(u64::MAX) / 2);
        let queue = Queue {
            texts: Fair::new(LIMITS),
            parked: HashMap::new(),
            shares: HashMap::new(),
            all: Share::default(),
            ready: VecDeque::new(),
            look_at: 0,
            closed_at: None,
        };
        let held_within = half.min(SCRIPT_WITHIN_NS);
        Self { queue: Mutex::new(queue), changed: Condvar::new(), held_within }
    }

    /// A text comes in. Returns those that are lost for it.
    pub(super) fn push(&self, text: Text) -> Vec<(u64, Text)> {
        let mut queue = self.lock();
        let lost = queue.texts.push(text.header.budget, text.weight(), text);
        self.changed.notify_all();
        lost
    }

    /// The next text, with the capture that says who compiled it, where that is known; waits for it. `None` once the queue
    /// is closed and empty.
    pub(super) fn next(&self, executions: &Executions) -> Option<(Text, Option<Box<Capture>>)> {
        let mut queue = self.lock();
        loop {
            queue.give_up_overdue(boot_time(), executions);
            if let Some(text) = queue.ready.pop_front() {
                let script = executions.script(text.exec());
                return Some((text, script));
            }
            if let Some((budget, text)) = queue.texts.pop() {
                queue.texts.done(&budget);
                // A text must not overtake those that wait for the same exec.
                let found = match queue.parked.contains_key(&text.exec()) {
                    true => Found::Pending,
                    false => executions.find(budget, text.exec(), text.is_told()),
                };
                let is_held = text.has(value::TEXT_HELD);
                let within = match found {
                    Found::Known | Found::Nothing => None,
                    // What a process compiles that is held came over standard input before, or needs none.
                    Found::AwaitsInput if is_held => None,
                    Found::AwaitsInput => Some(INPUT_WITHIN_NS),
                    Found::Pending if is_held => Some(self.held_within),
                    Found::Pending => Some(SCRIPT_WITHIN_NS),
                };
                let ready = match within {
                    None => Some(text),
                    Some(within) => queue.park(text, boot_time().saturating_add(within)),
                };
                queue.ready.extend(ready);
                continue;
            }
            if queue.closed_at.is_some() && queue.parked.is_empty() {
                return None;
            }
            queue = self.wait(queue);
        }
    }

    /// The texts of this exec need not wait any longer.
    pub(super) fn settled(&self, exec: ExecKey) {
        let mut queue = self.lock();
        if queue.unpark(exec) {
            self.changed.notify_all();
        }
    }

    /// No text need wait any longer for an exec that the probe has not told of.
    pub(super) fn untold_settled(&self) {
        let mut queue = self.lock();
        let is_untold = |parked: &Parked| parked.texts.front().is_some_and(|text| !text.is_told());
        let untold: Vec<_> =
            queue.parked.iter().filter(|(_, parked)| is_untold(parked)).map(|(exec, _)| *exec).collect();
        for exec in untold {
            queue.unpark(exec);
        }
        self.changed.notify_all();
    }

    /// No text comes any more.
    pub(super) fn close(&self) {
        self.lock().closed_at = Some(boot_time());
        self.changed.notify_all();
    }

    fn wait<'a>(&self, queue: MutexGuard<'a, Queue>) -> MutexGuard<'a, Queue> {
        if queue.parked.is_empty() {
            return self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        let (queue, _) = self
            .changed
            .wait_timeout(queue, Duration::from_nanos(LOOK_EVERY_NS))
            .unwrap_or_else(PoisonError::into_inner);
        queue
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// Has a text wait for its exec. It comes back where there is no room.
    fn park(&mut self, text: Text, until: u64) -> Option<Text> {
        let share = self.shares.get(&text.header.budget).copied().unwrap_or_default();
        let (own, all) = (share.with(&text), self.all.with(&text));
        let fits = own.texts <= PARKED_MAX
            && own.bytes <= PARKED_BYTES_MAX
            && all.texts <= PARKED_OF_ALL_MAX
            && all.bytes <= PARKED_BYTES_OF_ALL_MAX;
        if !fits {
            return Some(text);
        }
        self.shares.insert(text.header.budget, own);
        self.all = all;
        let parked = self.parked.entry(text.exec()).or_insert(Parked { until, ..Parked::default() });
        parked.until = parked.until.min(until);
        parked.texts.push_back(text);
        None
    }

    /// Makes the texts of an exec ready. Returns whether there were any.
    fn unpark(&mut self, exec: ExecKey) -> bool {
        let Some(parked) = self.parked.remove(&exec) else { return false };
        for text in parked.texts {
            let budget = text.header.budget;
            self.all = self.all.without(&text);
            if let Some(share) = self.shares.get_mut(&budget) {
                *share = share.without(&text);
                if share.texts == 0 {
                    self.shares.remove(&budget);
                }
            }
            self.ready.push_back(text);
        }
        true
    }

    fn give_up_overdue(&mut self, now: u64, executions: &Executions) {
        if self.parked.is_empty() || now < self.look_at {
            return;
        }
        self.look_at = now + LOOK_EVERY_NS;
        let ends = self.closed_at.map_or(u64::MAX, |at| at.saturating_add(END_WITHIN_NS));
        let is_over = |parked: &Parked| parked.until.min(ends) <= now;
        let overdue = self.parked.iter().filter(|(_, parked)| is_over(parked));
        let overdue: Vec<_> =
            overdue.filter_map(|(exec, parked)| Some((*exec, parked.texts.front()?.header.budget))).collect();
        for (exec, budget) in overdue {
            executions.give_up(budget, exec);
            self.unpark(exec);
        }
    }
}

impl Share {
    fn with(self, text: &Text) -> Self {
        Self { texts: self.texts + 1, bytes: self.bytes.saturating_add(text.weight()) }
    }

    fn without(self, text: &Text) -> Self {
        Self { texts: self.texts.saturating_sub(1), bytes: self.bytes.saturating_sub(text.weight()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::texts::assemble::Parts;
    use crate::wire::TextHeader;
    use std::sync::Arc;

    const BUDGET: u64 = 7;

    fn text(exec: ExecKey, is_told: bool, bytes: &[u8]) -> Text {
        let time = if is_told { exec.1 } else { 0 };
        let header = TextHeader {
            budget: BUDGET,
            exec_pid: exec.0,
            exec_start: exec.1,
            exec_time: time,
            ..TextHeader::default()
        };
        Text { header, bytes: Parts { head: bytes.to_vec(), ..Parts::default() } }
    }

    fn executions() -> Executions {
        let executions = Executions::new(Arc::new(Waiting::new(None)));
        executions.looked();
        executions
    }

    /// The texts that can go on now, each with whether its script is known.
    fn ready(executions: &Executions) -> Vec<(Vec<u8>, bool)> {
        let waiting = &executions.waiting;
        waiting.push(text((1, 0), false, b"stop"));
        let next = || waiting.next(executions).map(|(text, of)| (text.bytes.head, of.is_some()));
        std::iter::from_fn(next).take_while(|(text, _)| text != b"stop").collect()
    }

    fn capture() -> Capture {
        super::super::executions::tests::capture()
    }

    #[test]
    fn texts_come_after_what_their_process_reads() {
        let executions = executions();
        let exec = (2, 20_000_000_000);
        executions.begin(BUDGET, exec, &capture());
        executions.await_input(exec);
        executions.waiting.push(text(exec, true, b"a"));
        assert_eq!(ready(&executions), []);
        // Time is over for these, not for what comes later.
        executions.give_up(BUDGET, exec);
        executions.waiting.settled(exec);
        assert_eq!(ready(&executions), [(b"a".to_vec(), true)]);
        executions.waiting.push(text(exec, true, b"b"));
        assert_eq!(ready(&executions), []);
        executions.settle(BUDGET, exec);
        executions.waiting.push(text(exec, true, b"c"));
        assert_eq!(ready(&executions), [(b"b".to_vec(), true), (b"c".to_vec(), true)]);
    }

    #[test]
    fn texts_come_after_their_script_and_wait_for_no_other() {
        let executions = executions();
        let (slow, quick) = ((2, 20_000_000_000), (3, 30_000_000_000));
        for (exec, bytes) in [(slow, b"a"), (quick, b"b"), (slow, b"c")] {
            executions.waiting.push(text(exec, true, bytes));
        }
        executions.begin(BUDGET, quick, &capture());
        executions.settle(BUDGET, quick);
        assert_eq!(ready(&executions), [(b"b".to_vec(), true)]);
        executions.begin(BUDGET, slow, &capture());
        executions.settle(BUDGET, slow);
        assert_eq!(ready(&executions), [(b"a".to_vec(), true), (b"c".to_vec(), true)]);
    }

    #[test]
    fn an_exec_that_runs_no_script_or_that_was_not_told_of_is_not_waited_for() {
        let executions = executions();
        executions.settle(BUDGET, (2, 20_000_000_000));
        executions.waiting.push(text((2, 20_000_000_000), true, b"a"));
        executions.waiting.push(text((3, 30_000_000_000), false, b"b"));
        assert_eq!(ready(&executions), [(b"a".to_vec(), false), (b"b".to_vec(), false)]);
    }

    #[test]
    fn processes_that_ran_before_the_sensor_are_waited_for_until_all_are_looked_at() {
        let waiting = Arc::new(Waiting::new(None));
        let executions = Executions::new(Arc::clone(&waiting));
        // Its start is known to a hundredth of a second only.
        waiting.push(text((3, 31_234_567_890), false, b"b"));
        waiting.push(text((4, 40_000_000_000), false, b"c"));
        let parked = std::thread::scope(|scope| {
            let next =
                scope.spawn(|| waiting.next(&executions).map(|(text, of)| (text.bytes.head, of.is_some())));
            while waiting.lock().parked.len() < 2 {
                std::thread::yield_now();
            }
            executions.begin(0, (3, 31_230_000_000), &capture());
            executions.looked();
            next.join().unwrap()
        });
        let mut all = ready(&executions);
        all.extend(parked);
        all.sort();
        assert_eq!(all, [(b"b".to_vec(), true), (b"c".to_vec(), false)]);
    }

    #[test]
    fn a_container_whose_room_is_full_loses_nothing() {
        let executions = executions();
        let slow = (2, 20_000_000_000);
        for number in 0..PARKED_MAX + 10 {
            executions.waiting.push(text(slow, true, &number.to_le_bytes()));
        }
        assert_eq!(ready(&executions).len(), 10);
        executions.settle(BUDGET, slow);
        assert_eq!(ready(&executions).len(), PARKED_MAX);
        let queue = executions.waiting.lock();
        assert!(queue.shares.is_empty() && (queue.all.texts, queue.all.bytes) == (0, 0));
    }

    #[test]
    fn what_nobody_settles_goes_on_alone_and_so_do_its_successors() {
        let executions = Executions::new(Arc::new(Waiting::new(Some(Duration::from_millis(2)))));
        executions.looked();
        let lost = (2, 20_000_000_000);
        let mut held = text(lost, true, b"a");
        held.header.flags = value::TEXT_HELD;
        executions.waiting.push(held);
        assert_eq!(executions.waiting.next(&executions).unwrap().0.bytes.head, b"a");
        executions.waiting.push(text(lost, true, b"b"));
        assert_eq!(ready(&executions), [(b"b".to_vec(), false)]);
    }

    #[test]
    fn the_end_waits_for_nothing() {
        let executions = executions();
        executions.waiting.push(text((2, 20_000_000_000), true, b"a"));
        executions.waiting.close();
        assert_eq!(executions.waiting.next(&executions).unwrap().0.bytes.head, b"a");
        assert!(executions.waiting.next(&executions).is_none());
    }
}
