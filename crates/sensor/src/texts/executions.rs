//! Which exec runs which script: what the texts of a process are layers of.
//!
//! Owns: what the latest execs run, without the script's text, the environment and long arguments, bounded in number and
//! bytes for all containers together; how many texts each has compiled. Where a bound is met, the container with the most
//! execs loses its oldest: a text of that stands alone then.

use super::waiting::Waiting;
use evidence::{Capture, Content, CoverageNote, Execution, NotCaptured, Script, ScriptKind, Untrusted};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Execs that are remembered.
const KNOWN_MAX: usize = 16_384;
/// Bytes that they may hold together.
const BYTES_MAX: usize = 64 * 1024 * 1024;
/// Texts of one execution that are known by their key, so that a text can name the one that it was compiled in.
const TEXTS_MAX: usize = 256;
/// Bytes that each of these takes.
const NUMBER_WEIGHT: usize = 24;
/// Bytes of arguments that a text repeats of its script; all of them are in the script's own capture.
const ARGUMENTS_MAX: usize = 4096;

/// An exec: the id of its process, and when it was, in nanoseconds since boot. One that the probe has not told of has the
/// start of its process there, in whole hundredths of a second.
pub(crate) type ExecKey = (u32, u64);

/// See the module.
pub(crate) struct Executions {
    state: Mutex<State>,
    /// Hears which execs are settled.
    pub(crate) waiting: Arc<Waiting>,
}

#[derive(Default)]
struct State {
    /// `None` for an exec that runs no script, or of which nothing is known.
    known: HashMap<ExecKey, Option<Known>>,
    /// By budget.
    lanes: HashMap<u64, Lane>,
    bytes: usize,
    /// The processes that ran before the sensor did have been looked at.
    is_looked: bool,
}

/// The execs of one container, the oldest first.
#[derive(Default)]
struct Lane {
    order: VecDeque<ExecKey>,
    /// Until when its execs may have been forgotten.
    forgotten: u64,
}

struct Known {
    capture: Capture,
    stage: Stage,
    execution: Execution,
    texts: u32,
    /// Key of a text to its number.
    numbers: HashMap<u64, u32>,
}

/// How far the script's own capture is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// It is about to be handed on.
    Read,
    /// Its text is still to come over standard input.
    AwaitsInput,
    /// It was handed on, or nobody waits for it any longer.
    Told,
}

/// What is known of an exec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// It runs a script: see [`Executions::script`].
    Known,
    /// It runs none, or nobody will ever know.
    Nothing,
    /// It is being found out.
    Pending,
    /// It runs what comes over its standard input, of which nothing was handed on so far.
    AwaitsInput,
}

/// A text's place among those of its execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Numbered {
    pub(crate) execution: Execution,
    pub(crate) number: u32,
    pub(crate) within: Option<u32>,
}

impl Executions {
    pub(crate) fn new(waiting: Arc<Waiting>) -> Self {
        Self { state: Mutex::default(), waiting }
    }

    /// From now on the exec, on this budget, is known to run this.
    pub(crate) fn begin(&self, budget: u64, exec: ExecKey, capture: &Capture) {
        let execution = capture.execution();
        let known = Known {
            capture: light(capture),
            stage: Stage::Read,
            execution,
            texts: 0,
            numbers: HashMap::new(),
        };
        self.lock().insert(budget, exec, Some(known));
    }

    /// The text of the exec's script is to come over its standard input. [`Executions::settle`] follows.
    pub(crate) fn await_input(&self, exec: ExecKey) {
        if let Some(Some(known)) = self.lock().known.get_mut(&exec) {
            known.stage = Stage::AwaitsInput;
        }
    }

    /// What can be known of the exec is known and handed on, whatever came of it: its texts wait no longer.
    pub(crate) fn settle(&self, budget: u64, exec: ExecKey) {
        self.lock().tell(budget, exec);
        self.waiting.settled(exec);
    }

    /// The texts that wait for the exec have waited long enough. Later ones wait again only where it still reads its input.
    pub(super) fn give_up(&self, budget: u64, exec: ExecKey) {
        let mut state = self.lock();
        let known = state.known.get(&exec).and_then(Option::as_ref);
        if known.is_none_or(|known| known.stage != Stage::AwaitsInput) {
            state.tell(budget, exec);
        }
    }

    /// All processes that ran before the sensor did are known.
    pub(crate) fn looked(&self) {
        self.lock().is_looked = true;
        self.waiting.untold_settled();
    }

    /// What the exec runs. `is_told` says that the probe has told of it.
    pub(super) fn find(&self, budget: u64, exec: ExecKey, is_told: bool) -> Found {
        let state = self.lock();
        match state.known.get(&exec) {
            Some(Some(known)) => {
                return match known.stage {
                    Stage::Told => Found::Known,
                    Stage::Read => Found::Pending,
                    Stage::AwaitsInput => Found::AwaitsInput,
                };
            }
            Some(None) => return Found::Nothing,
            None => {}
        }
        let is_forgotten = state.lanes.get(&budget).is_some_and(|lane| exec.1 <= lane.forgotten);
        let is_to_come = if is_told { !is_forgotten } else { !state.is_looked };
        if is_to_come { Found::Pending } else { Found::Nothing }
    }

    /// What the exec is known to run, whether or not its capture was handed on.
    pub(super) fn script(&self, exec: ExecKey) -> Option<Box<Capture>> {
        self.lock().known.get(&exec)?.as_ref().map(|known| Box::new(known.capture.clone()))
    }

    /// Counts a text of the exec. `None` where that is not known.
    pub(super) fn number(&self, exec: ExecKey, key: u64, caller: u64) -> Option<Numbered> {
        let state = &mut *self.lock();
        let known = state.known.get_mut(&exec)?.as_mut()?;
        known.texts = known.texts.saturating_add(1);
        if known.numbers.len() < TEXTS_MAX && known.numbers.insert(key, known.texts).is_none() {
            state.bytes += NUMBER_WEIGHT;
        }
        let within = known.numbers.get(&caller).copied();
        Some(Numbered { execution: known.execution, number: known.texts, within })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn tell(&mut self, budget: u64, exec: ExecKey) {
        match self.known.get_mut(&exec) {
            Some(Some(known)) => known.stage = Stage::Told,
            Some(None) => {}
            None => self.insert(budget, exec, None),
        }
    }

    fn insert(&mut self, budget: u64, exec: ExecKey, known: Option<Known>) {
        self.bytes += weight(known.as_ref());
        if let Some(former) = self.known.insert(exec, known) {
            self.bytes = self.bytes.saturating_sub(weight(former.as_ref()));
        } else {
            self.lanes.entry(budget).or_default().order.push_back(exec);
        }
        while self.known.len() > KNOWN_MAX || self.bytes > BYTES_MAX {
            let Some(exec) = self.oldest_of_most() else { return };
            if let Some(forgotten) = self.known.remove(&exec) {
                self.bytes = self.bytes.saturating_sub(weight(forgotten.as_ref()));
            }
        }
    }

    fn oldest_of_most(&mut self) -> Option<ExecKey> {
        let (budget, lane) = self.lanes.iter_mut().max_by_key(|(_, lane)| lane.order.len())?;
        let (budget, exec) = (*budget, lane.order.pop_front()?);
        lane.forgotten = lane.forgotten.max(exec.1);
        if lane.order.is_empty() {
            self.lanes.remove(&budget);
        }
        Some(exec)
    }
}

fn weight(known: Option<&Known>) -> usize {
    let strings = known.map_or(0, |known| {
        let args = &known.capture.process.args;
        known.numbers.len() * NUMBER_WEIGHT + args.iter().map(|arg| arg.len() + 40).sum::<usize>()
    });
    size_of::<ExecKey>() * 2 + size_of::<Known>() + strings
}

/// Without what a text has no use for.
fn light(capture: &Capture) -> Capture {
    let mut process = capture.process.clone();
    process.environment = Vec::new();
    let is_cut = bound(&mut process.args);
    Capture {
        observed_at: capture.observed_at,
        process,
        interpreter: capture.interpreter,
        script: Script::new(ScriptKind::Compiled, Content::NotCaptured(NotCaptured::ProcessGone)),
        container: capture.container.clone(),
        coverage: is_cut.then_some(CoverageNote::ArgumentsCut).into_iter().collect(),
        compiled: None,
        held: false,
    }
}

/// Keeps the first bytes of arguments. Returns whether there were more.
pub(super) fn bound(arguments: &mut Vec<Untrusted>) -> bool {
    let mut left = ARGUMENTS_MAX;
    let mut kept = Vec::new();
    for argument in arguments.iter() {
        let cost = argument.len() + size_of::<Untrusted>();
        if cost > left {
            kept.push(Untrusted::from(&argument[..left.saturating_sub(size_of::<Untrusted>())]));
            break;
        }
        left -= cost;
        kept.push(argument.clone());
    }
    let is_cut = kept != *arguments;
    *arguments = kept;
    is_cut
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::assemble::Exec;
    use crate::capture::{CaptureSettings, who};
    use evidence::{Family, Timestamp};

    /// What this very process would be said to be.
    pub(in crate::texts) fn capture() -> Capture {
        let exec: Exec = crate::running::read(std::process::id()).unwrap();
        let settings = CaptureSettings {
            content_limit: 1 << 20,
            include_host: true,
            now: || Timestamp(1),
            host_pid_namespace: 0,
        };
        who(&exec, Family::CPython, None, &settings).unwrap()
    }

    #[test]
    fn the_container_with_the_most_execs_forgets_its_oldest() {
        let executions = Executions::new(Arc::new(Waiting::new(None)));
        let capture = capture();
        executions.begin(1, (1, 5), &capture);
        executions.settle(1, (1, 5));
        for exec in 0..KNOWN_MAX as u64 {
            executions.settle(2, (2, exec));
        }
        assert!(matches!(executions.find(1, (1, 5), true), Found::Known));
        assert!(matches!(executions.find(2, (2, 0), true), Found::Nothing), "it is forgotten, not awaited");
        assert!(matches!(executions.find(2, (2, u64::MAX), true), Found::Pending));
        assert_eq!(executions.lock().known.len(), KNOWN_MAX);
    }

    #[test]
    fn arguments_are_repeated_to_a_bound() {
        let check = |arguments: &[usize], kept: &[usize]| {
            let mut strings: Vec<_> = arguments.iter().map(|length| Untrusted(vec![b'x'; *length])).collect();
            let is_cut = bound(&mut strings);
            let lengths: Vec<_> = strings.iter().map(|string| string.len()).collect();
            assert_eq!((lengths.as_slice(), is_cut), (kept, arguments != kept));
        };
        check(&[], &[]);
        check(&[7, 0, 12], &[7, 0, 12]);
        check(&[7, 1_000_000, 12], &[7, ARGUMENTS_MAX - 7 - 2 * size_of::<Untrusted>()]);
    }

    #[test]
    fn a_process_id_that_is_given_out_again_leads_to_no_earlier_script() {
        let executions = Executions::new(Arc::new(Waiting::new(None)));
        executions.looked();
        executions.begin(1, (7, 5_000_000_000), &capture());
        assert!(matches!(executions.find(1, (7, 5_000_000_000), true), Found::Pending), "not handed on yet");
        executions.settle(1, (7, 5_000_000_000));
        assert!(matches!(executions.find(1, (7, 5_000_000_000), true), Found::Known));
        assert!(matches!(executions.find(1, (7, 5_000_000_001), true), Found::Pending), "a later exec");
        assert!(matches!(executions.find(1, (7, 4_990_000_000), false), Found::Nothing), "another process");
    }

    #[test]
    fn texts_are_numbered_within_their_exec() {
        let executions = Executions::new(Arc::new(Waiting::new(None)));
        let capture = capture();
        executions.begin(1, (1, 5), &capture);
        let number = |exec, key, caller| {
            let numbered = executions.number(exec, key, caller)?;
            assert_eq!(numbered.execution, capture.execution());
            Some((numbered.number, numbered.within))
        };
        assert_eq!(number((1, 5), 10, 0), Some((1, None)));
        assert_eq!(number((1, 5), 11, 10), Some((2, Some(1))));
        assert_eq!(number((1, 6), 12, 10), None);
    }
}
