//! One thread reads, several judge, and one writes in the order of reading.
//!
//! Owns: that the output does not depend on the number of threads, and that memory is bounded by the bytes in flight.

use super::outcome::Outcome;
use anyhow::{Context, Result};
use artifact::{Flow, Item};
use detect::Detector;
use std::collections::BTreeMap;
use std::ops::ControlFlow::{Break, Continue};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;

/// Bytes of items between reading and writing; one item may be more than that by itself.
const BYTES_IN_FLIGHT: usize = 64 << 20;

/// Items between reading and writing.
const ITEMS_IN_FLIGHT: usize = 4096;

/// Stack of each thread, so that deep nesting does not end one.
const STACK: usize = 16 << 20;

/// Something in the order of reading.
struct Numbered<T> {
    number: u64,
    cost: usize,
    value: T,
}

/// Judges what `produce` hands over, on `threads` threads, and gives each outcome to `consume` in that order. Ends
/// early where `consume` fails.
pub(super) fn run(
    detector: &Detector,
    threads: usize,
    produce: impl FnOnce(&mut dyn FnMut(Item) -> Flow) -> Flow + Send,
    consume: &mut dyn FnMut(&Outcome) -> Result<()>,
) -> Result<()> {
    let gate = &Gate::default();
    let (items, to_judge) = sync_channel(ITEMS_IN_FLIGHT);
    let (judged, outcomes) = sync_channel(ITEMS_IN_FLIGHT);
    let to_judge = &Mutex::new(to_judge);
    std::thread::scope(|scope| {
        let start = |name: &str| Builder::new().name(name.to_owned()).stack_size(STACK);
        start("read")
            .spawn_scoped(scope, move || read(produce, &items, gate))
            .context("no thread to read")?;
        for _ in 0..threads {
            let judged = judged.clone();
            let started = start("judge").spawn_scoped(scope, move || judge(detector, to_judge, &judged));
            if let Err(error) = started {
                gate.close();
                return Err(error).context("too few threads: give a smaller --threads");
            }
        }
        drop(judged);
        let written = write(&outcomes, gate, consume);
        // The others end when they find that nobody waits for them.
        gate.close();
        drop(outcomes);
        written
    })
}

fn read(
    produce: impl FnOnce(&mut dyn FnMut(Item) -> Flow) -> Flow,
    items: &SyncSender<Numbered<Item>>,
    gate: &Gate,
) {
    let mut number = 0;
    // Whether it was read to the end or broken off is known to the writer already.
    let _ = produce(&mut |item| {
        let cost = Outcome::cost(&item);
        if !gate.enter(cost) || items.send(Numbered { number, cost, value: item }).is_err() {
            return Break(());
        }
        number += 1;
        Continue(())
    });
}

fn judge(
    detector: &Detector,
    items: &Mutex<Receiver<Numbered<Item>>>,
    judged: &SyncSender<Numbered<Outcome>>,
) {
    loop {
        let next = locked(items).recv();
        let Ok(Numbered { number, cost, value }) = next else { return };
        let value = Outcome::of(value, detector);
        if judged.send(Numbered { number, cost, value }).is_err() {
            return;
        }
    }
}

fn write(
    outcomes: &Receiver<Numbered<Outcome>>,
    gate: &Gate,
    consume: &mut dyn FnMut(&Outcome) -> Result<()>,
) -> Result<()> {
    let mut next = 0;
    let mut early = BTreeMap::new();
    for outcome in outcomes {
        early.insert(outcome.number, outcome);
        while let Some(outcome) = early.remove(&next) {
            consume(&outcome.value)?;
            gate.leave(outcome.cost);
            next += 1;
        }
    }
    Ok(())
}

/// Lets the reader wait while too much is in flight.
#[derive(Default)]
struct Gate {
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Default)]
struct GateState {
    items: usize,
    bytes: usize,
    is_closed: bool,
}

impl GateState {
    fn is_full_for(&self, cost: usize) -> bool {
        self.items >= ITEMS_IN_FLIGHT || (self.items > 0 && self.bytes + cost > BYTES_IN_FLIGHT)
    }
}

impl Gate {
    /// Waits until there is room; false where nobody wants anything any more.
    fn enter(&self, cost: usize) -> bool {
        let mut state = locked(&self.state);
        while !state.is_closed && state.is_full_for(cost) {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.items += 1;
        state.bytes += cost;
        !state.is_closed
    }

    fn leave(&self, cost: usize) {
        let mut state = locked(&self.state);
        state.items = state.items.saturating_sub(1);
        state.bytes = state.bytes.saturating_sub(cost);
        self.changed.notify_all();
    }

    fn close(&self) {
        locked(&self.state).is_closed = true;
        self.changed.notify_all();
    }
}

/// What a panicking thread left behind is whole: nothing here is changed in two steps.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
