//! Static unpacking: the texts that a script carries encoded, as strings or in another language, found
//! without running anything.
//!
//! Owns: [`unpack`], the layers, the steps that lead to them, and what bounds the work.
//! Refuses: judging a layer, and running what it reads.
//!
//! A pure function of bytes. All bounds are counts (of layers, nesting, output bytes, steps of evaluation and of
//! parsing), never time, so each machine finds the same layers. Where a bound is met, what was found so far stays
//! and [`Facts::is_incomplete`] says so. What each thread remembers of texts that it gave up on (`tree`) saves time and
//! changes no answer.

mod blobs;
pub mod bytecode;
mod decode;
mod kind;
pub mod marshal;
mod prefilter;
mod python;
mod session;
mod shell;
mod step;
mod tree;

pub use python::is_bearable as is_bearable_python;
pub use step::{Step, StepSet};

use evidence::Language;
use session::{Session, Task};

/// Deepest nesting of layers.
pub const DEEPEST: usize = 8;
/// Most layers of one text.
pub const MOST_LAYERS: usize = 64;
/// Most bytes of all layers together.
pub const MOST_OUTPUT: usize = 3 << 20;

/// What a text was found to carry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unpacked {
    /// The texts, each after the one that holds it.
    pub layers: Vec<Layer>,
    /// What was seen on the way, as features for a model.
    pub facts: Facts,
}

/// A text that another one holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// Its bytes; nearly always UTF-8.
    pub text: Vec<u8>,
    /// The language that it is to be read as.
    pub language: Language,
    /// The layer that holds it, as an index into [`Unpacked::layers`]; none where the unpacked text itself does.
    pub parent: Option<usize>,
    /// Where its data stands in the text that holds it, counted from 1.
    pub line: Option<u32>,
    /// The last line of that data.
    pub end_line: Option<u32>,
    /// How it is decoded, from the outside in, and then what it is handed to.
    pub steps: Vec<Step>,
    /// Whether it is handed to an interpreter (`exec`, `os.system`, `sh`, …), as far as was seen.
    pub is_executed: bool,
}

/// Cheap facts about the whole of a text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Facts {
    /// The steps that were taken with success.
    pub steps: StepSet,
    /// A decoded layer is handed to an interpreter.
    pub executes_decoded: bool,
    /// Deepest nesting of the layers, 0 without layers.
    pub depth: u8,
    /// Something decoded to an ELF file.
    pub decoded_elf: bool,
    /// Something decoded to a PE file.
    pub decoded_pe: bool,
    /// Something decoded to a ZIP archive.
    pub decoded_zip: bool,
    /// The text carries the marks of a packer whose payload cannot be had without running it.
    pub is_packed: bool,
    /// A bound was met, and not everything was looked at.
    pub is_incomplete: bool,
    /// Whether the text was parsed, rather than only searched.
    pub is_parsed: bool,
}

impl Layer {
    /// Where it was found and how it is decoded, from the outside in: `line 3: base64, zlib`.
    pub fn origin(&self) -> String {
        let mut origin = match (self.line, self.end_line) {
            (Some(line), Some(end)) if end > line => format!("lines {line}-{end}"),
            (Some(line), _) => format!("line {line}"),
            (None, _) => "somewhere".to_owned(),
        };
        for (at, step) in self.steps.iter().enumerate() {
            origin.push_str(if at == 0 { ": " } else { ", " });
            origin.push_str(step.words());
        }
        origin
    }
}

/// The layers of a text. Any bytes are a text; nothing fails.
pub fn unpack(language: Language, text: &[u8]) -> Unpacked {
    let mut session = Session::new();
    session.visit(&Task { layer: None, depth: 0 }, language, text);
    while let Some(task) = session.next_task() {
        let Some((language, text)) = session.text_of(task) else { continue };
        session.visit(&task, language, &text);
    }
    session.finish()
}

impl Session {
    fn visit(&mut self, task: &Task, language: Language, text: &[u8]) {
        self.enter(*task);
        match language {
            Language::Python => python::unpack(self, text),
            Language::Shell => shell::unpack(self, text),
        }
    }
}

/// What reading a text needs of the codings.
pub(crate) use decode::{base64, rot13};

pub(crate) fn hex(bytes: &[u8]) -> Option<Vec<u8>> {
    decode::hex(bytes, true)
}

pub(crate) fn unescape(bytes: &[u8]) -> Vec<u8> {
    python::unescape(bytes, false).0.into_owned()
}

#[cfg(test)]
mod tests;
