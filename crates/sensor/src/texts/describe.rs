//! Makes a capture of a text: who compiled it, where, within which script.
//!
//! Owns: what is said of a process that is gone.

use super::assemble::{Parts, Text};
use super::executions::{Executions, bound};
use crate::assemble::{Exec, Waiting};
use crate::budgets::Budgets;
use crate::capture;
use crate::executable::Catalogue;
use crate::running;
use crate::sensor::Shared;
use crate::wire::{ExecHeader, TextHeader, value};
use evidence::{
    Capture, Compiled, CompiledBy, Content, CoverageNote, Family, Process, Script, ScriptKind, Timestamp,
    Untrusted,
};
use std::sync::Arc;

/// What describing needs of the sensor.
pub(crate) struct Describing {
    pub(crate) executions: Arc<Executions>,
    pub(crate) budgets: Arc<Budgets>,
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) settings: Shared,
}

impl Describing {
    /// The capture of a text. `of_script` says who runs the script that compiled it; where that is not known the process
    /// is asked, or else the text's own record tells what it can. `None` for a process that is in no container.
    pub(super) fn describe(&self, text: Text, of_script: Option<Box<Capture>>) -> Option<Capture> {
        let header = text.header;
        let family = match header.function {
            value::TEXT_BASH => Family::Bash,
            _ => Family::CPython,
        };
        let mut capture = match of_script {
            Some(capture) => *capture,
            None => self.who(&text, family)?,
        };
        let place = self.executions.number(text.exec(), header.key, header.caller);
        let booted_at = capture::booted_at((self.settings.now)());
        if header.pid != capture.process.pid {
            be_fork(&mut capture.process, &header, booted_at);
        }
        capture.observed_at = Timestamp(booted_at.0.saturating_add(header.time));
        capture.interpreter.family = family;
        let is_cut = text.has(value::TEXT_CUT);
        // What was not looked at to its end is not what a verdict would be about the next time.
        let is_whole = !text.has(value::TEXT_ENDLESS) && !text.has(value::TEXT_UNREADABLE);
        capture.coverage.extend(is_cut.then_some(CoverageNote::HeadAndTail));
        capture.coverage.extend(text.has(value::TEXT_UNREADABLE).then_some(CoverageNote::TextUnreadable));
        let is_named = !text.has(value::TEXT_NAMELESS);
        capture.compiled = Some(Compiled {
            execution: place.map(|place| place.execution),
            number: place.map_or(0, |place| place.number),
            within: place.and_then(|place| place.within),
            by: match header.function {
                value::TEXT_BASH => CompiledBy::BashEval,
                value::TEXT_PYTHON_COMPILE => CompiledBy::PythonCompile,
                value::TEXT_PYTHON_CODE => CompiledBy::PythonCode,
                _ => CompiledBy::PythonExec,
            },
            name: is_named.then(|| name(header.function, &header.name)).flatten(),
            key: if is_whole { header.key } else { 0 },
        });
        let Parts { head, omitted, tail } = text.bytes;
        let content = if is_cut {
            Content::HeadAndTail { head: head.into(), tail: tail.into(), omitted: omitted.max(1) }
        } else {
            Content::Whole(head.into())
        };
        capture.script = Script::new(ScriptKind::Compiled, content);
        Some(capture)
    }

    /// Who compiled a text of which no script is known: a program that embeds an interpreter, or the orphan of one that
    /// nobody remembers.
    fn who(&self, text: &Text, family: Family) -> Option<Capture> {
        let is_it = |exec: &Exec| exec.header.start_time / 10_000_000 == text.process().1;
        let (exec, catalogue) = match running::read(text.header.pid).filter(is_it) {
            Some(exec) => (exec, Some(&*self.catalogue)),
            None => (gone(&text.header, self.budgets.cgroup(text.header.budget)), None),
        };
        let mut capture = capture::who(&exec, family, catalogue, &self.settings)?;
        let is_cut = bound(&mut capture.process.args) || exec.arguments_cut;
        capture.coverage.extend(is_cut.then_some(CoverageNote::ArgumentsCut));
        Some(capture)
    }
}

/// The process that runs a script becomes the fork of it that compiled the text: it is the fork that may be held.
fn be_fork(process: &mut Process, text: &TextHeader, booted_at: Timestamp) {
    process.pid = text.pid;
    process.pid_in_container = text.pid_in_container;
    process.parent_pid = text.parent_pid;
    process.started_at = Timestamp(booted_at.0.saturating_add(text.start_time));
    process.start_ticks = text.start_time / 10_000_000;
    process.uid = text.uid;
    process.gid = text.gid;
}

/// What the record of a text tells of a process that is gone.
fn gone(text: &TextHeader, cgroup: Untrusted) -> Exec {
    let header = ExecHeader {
        kind: value::EVENT_EXEC,
        exec_time: text.start_time,
        start_time: text.start_time,
        budget: text.budget,
        pid: text.pid,
        pid_in_container: text.pid_in_container,
        parent_pid: text.parent_pid,
        uid: text.uid,
        gid: text.gid,
        mount_namespace: text.mount_namespace,
        pid_namespace: text.pid_namespace,
        network_namespace: text.network_namespace,
        user_namespace: text.user_namespace,
        comm: text.comm,
        ..ExecHeader::default()
    };
    Exec {
        header,
        executable: Untrusted::default(),
        cwd: Untrusted::default(),
        cgroup,
        arguments: Vec::new(),
        environment: Vec::new(),
        arguments_cut: true,
        environment_cut: true,
        waiting: Waiting::default(),
    }
}

/// The name that the text was given: a string in Bash, an object in Python's `compile`, none in `exec`.
fn name(function: u32, bytes: &[u8]) -> Option<Untrusted> {
    let text = match function {
        value::TEXT_BASH => bytes,
        value::TEXT_PYTHON_COMPILE => python_name(bytes)?,
        _ => return None,
    };
    let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
    (end > 0).then(|| text[..end].into())
}

/// The characters of a compact ASCII string object: they lie behind four words and the state, before 3.12 behind one
/// pointer more, which is null as a rule.
fn python_name(object: &[u8]) -> Option<&[u8]> {
    const ASCII_AND_COMPACT: u32 = 0b0110_0000;
    let word = |at: usize| Some(u64::from_le_bytes(object.get(at..at + 8)?.try_into().ok()?));
    let length = usize::try_from(word(16)?).ok()?;
    let state = u32::try_from(word(32)? & 0xffff_ffff).ok()?;
    if state & ASCII_AND_COMPACT != ASCII_AND_COMPACT {
        return None;
    }
    let start = if word(40)? == 0 { 48 } else { 40 };
    let text = &object[start..];
    Some(&text[..length.min(text.len())])
}
