//! Unpacking Python: which parts of a text are worth parsing, and evaluating them.

mod ast;
mod blocks;
mod builtin;
mod call;
mod eval;
mod literal;
mod lower;
mod method;
mod operate;
mod random;
mod sink;
mod source;
mod value;

pub(in crate::unpack) use literal::unescape;
pub use source::is_bearable;

use super::session::{Found, Session};
use super::{blobs, kind, prefilter, tree};
use ast::Statement;
use eval::Evaluator;
use evidence::Language;
use lower::Lowering;
use value::Value;

/// Most bytes of several statements that are parsed at once: an error in one makes the others dear.
const LONGEST_PARSED: usize = 8 << 10;

/// Finds the layers of a Python text.
pub(super) fn unpack(session: &mut Session, text: &[u8]) {
    let hits = prefilter::python(text);
    if hits.is_packed {
        session.facts.is_packed = true;
    }
    if hits.positions.is_empty() && !hits.has_blob {
        return;
    }
    if !hits.positions.is_empty() {
        let mut evaluator = Evaluator::new(session);
        evaluator.run_selected(text, &hits.positions);
        evaluator.report_decoded();
    }
    if hits.has_blob {
        blobs::find(session, text);
    }
}

impl Evaluator<'_> {
    /// Parses and runs what the hits need.
    fn run_selected(&mut self, text: &[u8], hits: &[usize]) {
        let mut statements = Vec::new();
        for part in blocks::select(text, hits) {
            let first_line = part.first_line;
            let Some(source) = text.get(part.range) else { continue };
            statements.extend(self.parse(source, first_line));
        }
        self.run(&statements);
    }

    /// Parses and runs a whole text, which is a layer.
    fn run_source(&mut self, text: &[u8]) {
        if text.len() > 4096 {
            let hits = prefilter::python(text);
            if hits.has_blob {
                blobs::find(self.session, text);
            }
            self.run_selected(text, &hits.positions);
            return;
        }
        let statements = self.parse(text, 0);
        self.run(&statements);
        if prefilter::python(text).has_blob {
            blobs::find(self.session, text);
        }
    }

    /// What the text is worth, if it is one expression; else it is run.
    fn value_of_source(&mut self, text: &[u8]) -> Value {
        let statements = self.parse(text.trim_ascii(), 0);
        if let [Statement::Expr(expr)] = &*statements {
            let lines = self.lines;
            let value = self.eval(expr);
            self.lines = lines;
            return value;
        }
        self.run(&statements);
        Value::Unknown
    }

    fn parse(&mut self, text: &[u8], first_line: u32) -> Vec<Statement> {
        let grammar = tree_sitter_python::LANGUAGE.into();
        let Some(text) = source::bearable(text) else {
            self.session.facts.is_incomplete = true;
            return Vec::new();
        };
        let text = &*text;
        let Some(tree) = tree::parse(self.session, &grammar, text) else { return Vec::new() };
        let mut lowering = Lowering { text, first_line, layer: self.layer_number(), depth: 0 };
        lowering.statements(tree.root_node())
    }

    /// What was decoded and never handed to an interpreter, where it is text.
    fn report_decoded(self) {
        let Self { session, decoded, task, lines, .. } = self;
        let layer = task.layer.map_or(0, |layer| layer + 1);
        for value in decoded {
            let (Some(content), Some(origin)) = (value.content(), value.origin()) else { continue };
            if !session.note_kind(content) || !kind::is_text(content) || blobs::is_blob(content) {
                continue;
            }
            let lines = if origin.layer == layer { origin.lines } else { lines };
            session.add(Found {
                text: content.to_vec(),
                language: Some(kind::language_of(content, Language::Python)),
                steps: origin.steps.clone(),
                lines: Some(lines),
                is_executed: false,
            });
        }
    }
}
