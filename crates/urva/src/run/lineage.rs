//! Which texts were compiled by which script: joins the captures of one execution into one finding.
//!
//! Owns: the scripts that can compile texts while they run, with their verdicts and their layers, bounded in number and
//! bytes. When a bound is met the oldest is forgotten; a layer of it then makes a finding by itself.
//! Guarantee: the worst text of an execution gives the finding its verdict.

use evidence::{
    Capture, CompiledBy, Content, Execution, Family, Finding, Label, Redaction, RuntimeLayer, Sha256, Verdict,
};
use std::collections::{HashMap, HashSet, VecDeque};

/// Scripts that are remembered.
const SCRIPTS_MAX: usize = 4096;
/// Bytes that they and the texts of their layers may hold.
const BYTES_MAX: usize = 32 * 1024 * 1024;
/// Layers that are remembered of one script. Later ones are judged all the same, and take a place where they are worse
/// than benign.
const LAYERS_MAX: usize = 64;
/// Hashes of texts that are remembered of one script. A text beyond that may be taken for a new one.
const KNOWN_MAX: usize = 4096;
/// Texts that are remembered to have made a finding before anything was known of their script.
const ALONE_MAX: usize = 4096;

/// See the module.
#[derive(Default)]
pub(super) struct Lineage {
    scripts: HashMap<Execution, Script>,
    order: VecDeque<Execution>,
    bytes: usize,
    /// Texts that made a finding by themselves: their process, and what they are but for spaces at their end.
    alone: VecDeque<(u32, u64, Sha256)>,
}

struct Script {
    capture: Capture,
    /// None as well where this very text has made a finding already.
    verdict: Option<Verdict>,
    layers: Vec<RuntimeLayer>,
    known: HashSet<Sha256>,
    worst: Option<Worst>,
}

/// The worst layer.
struct Worst {
    number: u32,
    verdict: Verdict,
    /// It is bytecode, written out: a text that is malicious as well tells the analyst more.
    is_code: bool,
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
                let known = compiled.execution.filter(|execution| self.scripts.contains_key(execution));
                match known {
                    Some(execution) => {
                        self.change(execution, |script| script.add(capture, verdict, redaction))
                    }
                    None => self.take_alone(capture, verdict, redaction),
                }
            }
        }
    }

    /// Changes a script that is known, and keeps the bounds.
    fn change(
        &mut self,
        execution: Execution,
        change: impl FnOnce(&mut Script) -> Option<Finding>,
    ) -> Option<Finding> {
        let script = self.scripts.get_mut(&execution)?;
        self.bytes = self.bytes.saturating_sub(script.weight());
        let finding = change(script);
        self.bytes += script.weight();
        self.forget_oldest();
        finding
    }

    /// A script was executed, or is known more completely now.
    fn begin(
        &mut self,
        capture: &Capture,
        verdict: Option<Verdict>,
        redaction: &Redaction,
    ) -> Option<Finding> {
        let execution = capture.execution();
        // Where a script takes long to be read, its text may have come first, as the interpreter compiled it.
        let verdict = verdict.filter(|_| self.alone.is_empty() || !self.alone.contains(&text_of(capture)));
        if self.scripts.contains_key(&execution) {
            return self.change(execution, |script| {
                script.capture.clone_from(capture);
                script.verdict = verdict;
                script.finding(redaction)
            });
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

    /// A text of a process of which no script is known.
    fn take_alone(&mut self, capture: &Capture, verdict: Verdict, redaction: &Redaction) -> Option<Finding> {
        let layer = RuntimeLayer::new(capture, &verdict)?;
        let number = layer.number;
        let finding = Finding::of_layers(capture.clone(), verdict, vec![layer], number, redaction)?;
        if self.alone.len() >= ALONE_MAX {
            self.alone.pop_front();
        }
        self.alone.push_back(text_of(capture));
        Some(finding)
    }

    fn remember(&mut self, execution: Execution, script: Script) {
        self.bytes += script.weight();
        self.scripts.insert(execution, script);
        self.order.push_back(execution);
        self.forget_oldest();
    }

    fn forget_oldest(&mut self) {
        while self.scripts.len() > SCRIPTS_MAX || self.bytes > BYTES_MAX {
            let Some(oldest) = self.order.pop_front() else { return };
            if let Some(forgotten) = self.scripts.remove(&oldest) {
                self.bytes = self.bytes.saturating_sub(forgotten.weight());
            }
        }
    }
}

impl Script {
    /// About how many bytes of memory it takes.
    fn weight(&self) -> usize {
        let layers = self.layers.iter().filter_map(|layer| layer.content.as_ref());
        let texts = layers.chain([&self.capture.script.content]).map(Content::parts);
        let strings = self.capture.process.args.iter().chain(&self.capture.process.environment);
        size_of::<Self>()
            + texts.map(|(head, tail)| head.len() + tail.len()).sum::<usize>()
            + strings.map(|string| string.len() + 40).sum::<usize>()
            + self.layers.len() * size_of::<RuntimeLayer>()
            + self.known.len() * 2 * size_of::<Sha256>()
    }

    /// A text that the script compiled. The command line's own text is compiled too, and is no layer.
    fn add(&mut self, capture: &Capture, verdict: Verdict, redaction: &Redaction) -> Option<Finding> {
        let text = capture.script.content.parts().0.trim_ascii_end();
        let layer = RuntimeLayer::new(capture, &verdict)?;
        let is_code = layer.by == CompiledBy::PythonCode;
        // The code of each text and module comes by; of what is harmless nobody wants to know.
        if is_code && layer.label == Label::Benign {
            return None;
        }
        let is_script = self.capture.script.content.parts().0.trim_ascii_end() == text;
        if is_script || self.known.contains(&layer.sha256) {
            return None;
        }
        if self.known.len() < KNOWN_MAX {
            self.known.insert(layer.sha256);
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
        let is_worse = |worst: &Worst| match (is_code, worst.is_code) {
            (true, false) => false,
            (false, true) => true,
            _ => verdict.score > worst.verdict.score,
        };
        if self.worst.as_ref().is_none_or(is_worse) {
            self.worst = Some(Worst { number, verdict, is_code });
        }
        self.finding(redaction)
    }

    /// The finding as it stands now; `None` where nothing malicious ran.
    fn finding(&self, redaction: &Redaction) -> Option<Finding> {
        let own = self.verdict.as_ref().filter(|verdict| verdict.label == Label::Malicious);
        match (&self.worst, own) {
            (Some(Worst { number, verdict: worst, is_code }), own)
                if own.is_none_or(|own| !is_code && worst.score > own.score) =>
            {
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

/// A process, and its text but for spaces at the end, where the interpreter adds or takes some.
fn text_of(capture: &Capture) -> (u32, u64, Sha256) {
    let (head, tail) = capture.script.content.parts();
    let text = if tail.is_empty() { [head.trim_ascii_end(), tail] } else { [head, tail.trim_ascii_end()] };
    (capture.process.pid, capture.process.start_ticks, Sha256::of_parts(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::card::tests::finding;
    use evidence::{Compiled, ScriptKind, Untrusted};

    /// The capture and verdict of a malicious script.
    fn script() -> (Capture, Verdict) {
        let finding = finding(Content::Whole("print(1)\n".into()));
        let judged = finding.script().unwrap();
        (judged.capture.clone(), judged.verdict.clone())
    }

    fn layer(script: &Capture, number: u32, text: Vec<u8>) -> Capture {
        let compiled = Compiled {
            execution: Some(script.execution()),
            number,
            within: None,
            by: CompiledBy::PythonExec,
            name: None,
            key: number.into(),
        };
        let content = Content::Whole(Untrusted(text));
        let script_of_layer = evidence::Script::new(ScriptKind::Compiled, content);
        Capture { compiled: Some(compiled), script: script_of_layer, ..script.clone() }
    }

    #[test]
    fn a_script_whose_text_has_made_a_finding_by_itself_makes_no_second_one() {
        let (script, verdict) = script();
        let redaction = Redaction::default();
        let take = |text: &[u8], pid: u32| {
            let mut lineage = Lineage::default();
            let mut early = layer(&script, 1, text.to_vec());
            early.process.pid = pid;
            early.compiled.as_mut().unwrap().execution = None;
            let first = lineage.take(&early, Some(verdict.clone()), &redaction);
            let second = lineage.take(&script, Some(verdict.clone()), &redaction);
            // Its whole file is hashed now.
            let third = lineage.take(&script, Some(verdict.clone()), &redaction);
            [first, second, third].map(|finding| finding.is_some())
        };
        let pid = script.process.pid;
        assert_eq!(take(b"print(1)\n\n", pid), [true, false, false], "the interpreter adds a line end");
        assert_eq!(take(b"print(1)\n", pid + 1), [true, true, true], "another process");
        assert_eq!(take(b"print(2)\n", pid), [true, true, true], "another text");
    }

    #[test]
    fn what_a_script_compiles_is_bounded_however_much_it_is() {
        let (script, verdict) = script();
        let mut lineage = Lineage::default();
        let redaction = Redaction::default();
        lineage.take(&script, Some(verdict.clone()), &redaction);
        for number in 0..2 * u32::try_from(KNOWN_MAX).unwrap() {
            let text = [vec![b'x'; 512], number.to_le_bytes().to_vec()].concat();
            lineage.take(&layer(&script, number, text), Some(verdict.clone()), &redaction);
        }
        let known = &lineage.scripts[&script.execution()];
        assert_eq!((known.layers.len(), known.known.len()), (LAYERS_MAX, KNOWN_MAX));
        assert_eq!(lineage.bytes, known.weight());
    }

    #[test]
    fn the_texts_of_layers_count_and_the_oldest_script_gives_way() {
        let (mut script, verdict) = script();
        let mut lineage = Lineage::default();
        let redaction = Redaction::default();
        for pid in 0..32 {
            script.process.pid = pid;
            lineage.take(&script, Some(verdict.clone()), &redaction);
            for number in 0..32_u32 {
                let text = [vec![b'x'; RuntimeLayer::TEXT_MAX], number.to_le_bytes().to_vec()].concat();
                lineage.take(&layer(&script, number, text), Some(verdict.clone()), &redaction);
            }
            assert!(lineage.bytes <= BYTES_MAX, "{} bytes", lineage.bytes);
        }
        assert!(lineage.scripts.len() < 32 && lineage.scripts.contains_key(&script.execution()));
        let weights: usize = lineage.scripts.values().map(Script::weight).sum();
        assert_eq!(lineage.bytes, weights);
    }
}
