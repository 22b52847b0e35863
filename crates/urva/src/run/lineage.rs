//! Which texts were compiled by which script: joins the captures of one execution into one finding.
//!
//! Owns: the scripts that can compile texts while they run, with their verdicts and their layers, bounded in number and
//! bytes. When a bound is met the oldest is forgotten; a layer of it then makes a finding by itself.
//! Guarantee: the worst text of an execution gives the finding its verdict.

use evidence::{Capture, Execution, Family, Finding, Label, Redaction, RuntimeLayer, Sha256, Verdict};
use std::collections::{HashMap, HashSet, VecDeque};

/// Scripts that are remembered.
const SCRIPTS_MAX: usize = 4096;
/// Bytes that they and the texts of their layers may hold.
const BYTES_MAX: usize = 32 * 1024 * 1024;
/// Layers that are remembered of one script. Later ones are judged all the same, and take a place where they are worse
/// than benign.
const LAYERS_MAX: usize = 64;

/// See the module.
#[derive(Default)]
pub(super) struct Lineage {
    scripts: HashMap<Execution, Script>,
    order: VecDeque<Execution>,
    bytes: usize,
}

struct Script {
    capture: Capture,
    verdict: Option<Verdict>,
    layers: Vec<RuntimeLayer>,
    known: HashSet<Sha256>,
    /// The worst layer's number and verdict.
    worst: Option<(u32, Verdict)>,
}

impl Lineage {
    /// Takes in a capture with its verdict, where it has one; returns the finding that it makes or makes worse.
    pub(super) fn take(
        &mut self,
        capture: &Capture,
        verdict: Option<Verdict>,
        redaction: &Redaction,
    ) -> Option<Finding> {
        match &capture.compiled {
            None => self.begin(capture, verdict, redaction),
            Some(compiled) => {
                let verdict = verdict?;
                match compiled.execution.and_then(|execution| self.scripts.get_mut(&execution)) {
                    Some(script) => script.add(capture, verdict, redaction),
                    None => alone(capture, verdict, redaction),
                }
            }
        }
    }

    /// A script was executed, or is known more completely now.
    fn begin(
        &mut self,
        capture: &Capture,
        verdict: Option<Verdict>,
        redaction: &Redaction,
    ) -> Option<Finding> {
        let execution = capture.execution();
        if let Some(script) = self.scripts.get_mut(&execution) {
            script.capture.clone_from(capture);
            script.verdict = verdict;
            return script.finding(redaction);
        }
        let script = Script {
            capture: capture.clone(),
            verdict,
            layers: Vec::new(),
            known: HashSet::new(),
            worst: None,
        };
        let finding = script.finding(redaction);
        // No other interpreter's texts are seen.
        if matches!(capture.interpreter.family, Family::CPython | Family::Bash) {
            self.remember(execution, script);
        }
        finding
    }

    fn remember(&mut self, execution: Execution, script: Script) {
        self.bytes += script.weight();
        self.scripts.insert(execution, script);
        self.order.push_back(execution);
        while self.scripts.len() > SCRIPTS_MAX || self.bytes > BYTES_MAX {
            let Some(oldest) = self.order.pop_front() else { return };
            if let Some(forgotten) = self.scripts.remove(&oldest) {
                self.bytes = self.bytes.saturating_sub(forgotten.weight());
            }
        }
    }
}

impl Script {
    /// As it was when the script was remembered: what its layers add is bounded for each script.
    fn weight(&self) -> usize {
        let (head, tail) = self.capture.script.content.parts();
        let strings = self.capture.process.args.iter().chain(&self.capture.process.environment);
        size_of::<Self>() + head.len() + tail.len() + strings.map(|string| string.len() + 40).sum::<usize>()
    }

    /// A text that the script compiled. The command line's own text is compiled too, and is no layer.
    fn add(&mut self, capture: &Capture, verdict: Verdict, redaction: &Redaction) -> Option<Finding> {
        let text = capture.script.content.parts().0.trim_ascii_end();
        let layer = RuntimeLayer::new(capture, &verdict)?;
        let is_script = self.capture.script.content.parts().0.trim_ascii_end() == text;
        if is_script || !self.known.insert(layer.sha256) {
            return None;
        }
        let number = layer.number;
        if self.layers.len() >= LAYERS_MAX {
            // What is harmless tells the analyst least.
            let place = self.layers.iter().position(|kept| kept.label < layer.label)?;
            self.layers.remove(place);
        }
        self.layers.push(layer);
        if verdict.label != Label::Malicious {
            return None;
        }
        let is_worse = |(_, worst): &(u32, Verdict)| verdict.score > worst.score;
        if self.worst.as_ref().is_none_or(is_worse) {
            self.worst = Some((number, verdict));
        }
        self.finding(redaction)
    }

    /// The finding as it stands now; `None` where nothing malicious ran.
    fn finding(&self, redaction: &Redaction) -> Option<Finding> {
        let own = self.verdict.as_ref().filter(|verdict| verdict.label == Label::Malicious);
        match (&self.worst, own) {
            (Some((number, worst)), own) if own.is_none_or(|own| worst.score > own.score) => {
                let mut capture = self.capture.clone();
                // Without the script's text the layer is all that there is.
                if capture.script.content.sha256().is_none() {
                    let layer = self.layers.iter().find(|layer| layer.number == *number)?;
                    capture.script.content = layer.content.clone()?;
                }
                Finding::of_layers(capture, worst.clone(), self.layers.clone(), *number, redaction)
            }
            (_, Some(own)) => {
                let mut finding = Finding::new(self.capture.clone(), own.clone(), redaction)?;
                finding.script_mut()?.layers.clone_from(&self.layers);
                Some(finding)
            }
            (_, None) => None,
        }
    }
}

/// A text of a process of which no script is known.
fn alone(capture: &Capture, verdict: Verdict, redaction: &Redaction) -> Option<Finding> {
    let layer = RuntimeLayer::new(capture, &verdict)?;
    let number = layer.number;
    Finding::of_layers(capture.clone(), verdict, vec![layer], number, redaction)
}
