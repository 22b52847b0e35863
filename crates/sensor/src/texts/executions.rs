//! Which process runs which script: what the texts of a process are layers of.
//!
//! Owns: the latest execution of each process, without the script's text and the environment, bounded in number and
//! bytes; how many texts each has compiled.

use evidence::{Capture, Content, Execution, NotCaptured, Script, ScriptKind};
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Executions that are remembered; then the oldest is forgotten. A text of it then stands alone.
const KNOWN_MAX: usize = 8192;
/// Bytes of arguments that they may hold together.
const BYTES_MAX: usize = 64 * 1024 * 1024;
/// Texts of one execution that are known by their key, so that a text can name the one that it was compiled in.
const TEXTS_MAX: usize = 256;
/// How long a text waits for its process's execution, which is being read meanwhile.
const WAIT: Duration = Duration::from_millis(100);

/// A process for as long as the host is up: its id and its start in 1/100 s since boot.
pub(crate) type ProcessKey = (u32, u64);

/// See the module.
#[derive(Default)]
pub(crate) struct Executions {
    state: Mutex<State>,
    settled: Condvar,
}

#[derive(Default)]
struct State {
    known: HashMap<ProcessKey, Known>,
    order: VecDeque<ProcessKey>,
    bytes: usize,
    /// Processes whose execution waits for a reader.
    awaited: HashSet<ProcessKey>,
}

struct Known {
    capture: Capture,
    execution: Execution,
    texts: u32,
    /// Key of a text to its number.
    numbers: HashMap<u64, u32>,
}

/// A text's place among those of its execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Numbered {
    pub(crate) execution: Execution,
    pub(crate) number: u32,
    pub(crate) within: Option<u32>,
}

impl Executions {
    /// An exec of this process was seen and will be settled.
    pub(crate) fn expect(&self, process: ProcessKey) {
        self.lock().awaited.insert(process);
    }

    /// The exec that was expected is read, whatever came of it.
    pub(crate) fn settle(&self, process: ProcessKey) {
        self.lock().awaited.remove(&process);
        self.settled.notify_all();
    }

    /// From now on the process runs this.
    pub(crate) fn begin(&self, capture: &Capture) {
        let process = (capture.process.pid, capture.process.start_ticks);
        let execution = capture.execution();
        let known = Known { capture: light(capture), execution, texts: 0, numbers: HashMap::new() };
        let mut state = self.lock();
        state.bytes += known.weight();
        if let Some(former) = state.known.insert(process, known) {
            state.bytes = state.bytes.saturating_sub(former.weight());
        } else {
            state.order.push_back(process);
        }
        while state.known.len() > KNOWN_MAX || state.bytes > BYTES_MAX {
            let Some(oldest) = state.order.pop_front() else { break };
            if let Some(forgotten) = state.known.remove(&oldest) {
                state.bytes = state.bytes.saturating_sub(forgotten.weight());
            }
        }
    }

    /// What the process runs; waits a moment where that is being found out.
    pub(crate) fn of(&self, process: ProcessKey) -> Option<Capture> {
        let state = self.lock();
        let is_awaited = |state: &mut State| state.awaited.contains(&process);
        let (state, _) =
            self.settled.wait_timeout_while(state, WAIT, is_awaited).unwrap_or_else(PoisonError::into_inner);
        state.known.get(&process).map(|known| known.capture.clone())
    }

    /// Counts a text of the process. `None` where the execution is not known.
    pub(crate) fn number(&self, process: ProcessKey, key: u64, caller: u64) -> Option<Numbered> {
        let mut state = self.lock();
        let known = state.known.get_mut(&process)?;
        known.texts = known.texts.saturating_add(1);
        if known.numbers.len() < TEXTS_MAX {
            known.numbers.insert(key, known.texts);
        }
        let within = known.numbers.get(&caller).copied();
        Some(Numbered { execution: known.execution, number: known.texts, within })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn weight(&self) -> usize {
        let args = &self.capture.process.args;
        size_of::<Self>() + args.iter().map(|arg| arg.len() + 40).sum::<usize>()
    }
}

/// Without what a text has no use for.
fn light(capture: &Capture) -> Capture {
    let mut process = capture.process.clone();
    process.environment = Vec::new();
    Capture {
        observed_at: capture.observed_at,
        process,
        interpreter: capture.interpreter,
        script: Script::new(ScriptKind::Compiled, Content::NotCaptured(NotCaptured::ProcessGone)),
        container: capture.container.clone(),
        coverage: BTreeSet::new(),
        compiled: None,
        held: false,
    }
}
