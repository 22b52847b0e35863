//! The state of unpacking one text: its layers so far, what is still to be looked at, and what is left to spend.

use super::step::{Step, StepSet};
use super::{DEEPEST, Facts, Layer, MOST_LAYERS, MOST_OUTPUT, Unpacked, kind};
use evidence::Language;
use std::collections::{HashMap, VecDeque};

/// Steps of evaluation for one text with all its layers; one for each node that is evaluated, and one for each
/// 16 bytes that are copied or decoded.
const FUEL: u64 = 300_000;

/// Most ticks of the parsers together. A tick is 100 operations of tree-sitter.
const PARSE_TICKS: u32 = 1_400;

/// Most stretches of text that the parsers' lexers look at together, 4 KiB each. Ordinary code needs three times its length;
/// what makes a scanner look from each token to the end of the text needs the square of it.
const PARSE_STRETCHES: usize = 2_500;

/// Most steps that a layer names.
const MOST_STEPS: usize = 16;

/// Shortest layer that is handed to an interpreter.
const SHORTEST_EXECUTED: usize = 8;
/// Shortest layer of which nobody knows what becomes of it.
const SHORTEST_DECODED: usize = 24;

/// A layer (none: the text itself) that is to be looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Task {
    pub(super) layer: Option<usize>,
    pub(super) depth: usize,
}

/// A text that was found in the one that is being looked at.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) text: Vec<u8>,
    /// None where it is to be told from the text.
    pub(super) language: Option<Language>,
    pub(super) steps: Vec<Step>,
    pub(super) lines: Option<(u32, u32)>,
    pub(super) is_executed: bool,
}

#[derive(Debug)]
pub(super) struct Session {
    layers: Vec<Layer>,
    depths: Vec<usize>,
    known: HashMap<Vec<u8>, usize>,
    tasks: VecDeque<Task>,
    pub(super) facts: Facts,
    current: Task,
    fuel: u64,
    output_left: usize,
    pub(super) parse_ticks: u32,
    pub(super) parse_stretches: usize,
}

impl Session {
    pub(super) fn new() -> Self {
        Self {
            layers: Vec::new(),
            depths: Vec::new(),
            known: HashMap::new(),
            tasks: VecDeque::new(),
            facts: Facts::default(),
            current: Task { layer: None, depth: 0 },
            fuel: FUEL,
            output_left: MOST_OUTPUT,
            parse_ticks: PARSE_TICKS,
            parse_stretches: PARSE_STRETCHES,
        }
    }

    /// Takes from what is left to spend. False where nothing is left.
    pub(super) fn spend(&mut self, fuel: usize) -> bool {
        let fuel = fuel as u64;
        if self.fuel < fuel {
            self.fuel = 0;
            self.facts.is_incomplete = true;
            return false;
        }
        self.fuel -= fuel;
        true
    }

    /// Most bytes that one decoding may give.
    pub(super) fn decoded_limit(&self) -> usize {
        self.output_left.min(usize::try_from(self.fuel).unwrap_or(usize::MAX).saturating_mul(16)).min(1 << 21)
    }

    pub(super) fn enter(&mut self, task: Task) {
        self.current = task;
    }

    pub(super) fn current(&self) -> Task {
        self.current
    }

    pub(super) fn next_task(&mut self) -> Option<Task> {
        self.tasks.pop_front()
    }

    pub(super) fn text_of(&self, task: Task) -> Option<(Language, Vec<u8>)> {
        let layer = self.layers.get(task.layer?)?;
        Some((layer.language, layer.text.clone()))
    }

    /// Adds a layer below the current text, and looks at it later.
    pub(super) fn add(&mut self, found: Found) {
        if let Some(task) = self.place(found) {
            self.tasks.push_back(task);
        }
    }

    /// Adds a layer below the current text. None where it is known, means nothing or does not fit; else the
    /// caller looks at it.
    pub(super) fn place(&mut self, mut found: Found) -> Option<Task> {
        let decodes = found.steps.iter().any(|step| step.decodes());
        for &step in &found.steps {
            self.facts.steps.insert(step);
        }
        let shortest = if found.is_executed { SHORTEST_EXECUTED } else { SHORTEST_DECODED };
        if found.text.len() < shortest || found.text.trim_ascii().len() < shortest.min(8) {
            return None;
        }
        if !self.note_kind(&found.text) {
            return None;
        }
        self.facts.executes_decoded |= found.is_executed && decodes;
        if let Some(&known) = self.known.get(&found.text) {
            if let Some(layer) = self.layers.get_mut(known) {
                if found.is_executed && !layer.is_executed {
                    layer.steps = found.steps;
                    layer.steps.truncate(MOST_STEPS);
                }
                layer.is_executed |= found.is_executed;
            }
            return None;
        }
        let depth = self.current.depth + 1;
        if depth > DEEPEST || self.layers.len() >= MOST_LAYERS || found.text.len() > self.output_left {
            self.facts.is_incomplete = true;
            return None;
        }
        self.output_left -= found.text.len();
        found.steps.truncate(MOST_STEPS);
        let language = found.language.unwrap_or_else(|| kind::language_of(&found.text, Language::Python));
        let index = self.layers.len();
        self.known.insert(found.text.clone(), index);
        self.layers.push(Layer {
            text: found.text,
            language,
            parent: self.current.layer,
            line: found.lines.map(|lines| lines.0),
            end_line: found.lines.map(|lines| lines.1),
            steps: found.steps,
            is_executed: found.is_executed,
        });
        self.depths.push(depth);
        self.facts.depth = self.facts.depth.max(u8::try_from(depth).unwrap_or(u8::MAX));
        Some(Task { layer: Some(index), depth })
    }

    /// Records what decoded data is. True where it is text.
    pub(super) fn note_kind(&mut self, data: &[u8]) -> bool {
        match kind::of(data) {
            kind::Kind::Text => return true,
            kind::Kind::Elf => self.facts.decoded_elf = true,
            kind::Kind::Pe => self.facts.decoded_pe = true,
            kind::Kind::Zip => self.facts.decoded_zip = true,
            kind::Kind::Other => {}
        }
        false
    }

    pub(super) fn finish(mut self) -> Unpacked {
        if self.layers.iter().any(|layer| layer.is_executed && layer.steps.iter().any(|step| step.decodes()))
        {
            self.facts.executes_decoded = true;
        }
        Unpacked { layers: self.layers, facts: self.facts }
    }
}

/// Appends a step, unless it repeats the last one or there are too many.
pub(super) fn push_step(steps: &mut Vec<Step>, step: Step) {
    if steps.last() != Some(&step) && steps.len() < MOST_STEPS {
        steps.push(step);
    }
}

/// The union in the order of first occurrence.
pub(super) fn join_steps(first: &[Step], second: &[Step]) -> Vec<Step> {
    let mut joined = first.to_vec();
    let mut known = StepSet::default();
    first.iter().for_each(|&step| known.insert(step));
    for &step in second {
        if !known.contains(step) && joined.len() < MOST_STEPS {
            known.insert(step);
            joined.push(step);
        }
    }
    joined
}
