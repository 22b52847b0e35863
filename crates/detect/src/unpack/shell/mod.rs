//! Unpacking shell: what constant commands print, and where a script is handed to an interpreter.
//!
//! Owns: which texts are parsed, variables, words. What a command prints is in `command`.

mod command;
mod word;

use super::session::{Found, Session, push_step};
use super::step::Step;
use super::{blobs, kind, prefilter, tree};
use evidence::Language;
use std::collections::HashMap;
use tree_sitter::Node;

/// Most bytes that are parsed at once.
const LONGEST_PARSED: usize = 64 << 10;
/// Deepest nesting of commands that is followed.
const DEEPEST: usize = 60;

/// What a word or a command's output is worth, with how it was decoded.
#[derive(Debug, Clone, Default)]
struct Value {
    content: Vec<u8>,
    steps: Vec<Step>,
    /// Whether all of it is known. What is not stands in it as it is written.
    is_known: bool,
    lines: Option<(u32, u32)>,
}

struct Evaluator<'s, 't> {
    session: &'s mut Session,
    text: &'t [u8],
    first_line: u32,
    variables: HashMap<Vec<u8>, Value>,
    functions: HashMap<Vec<u8>, Vec<u8>>,
    depth: usize,
    decoded: Vec<Value>,
}

/// Finds the layers of a shell text.
pub(super) fn unpack(session: &mut Session, text: &[u8]) {
    let hits = prefilter::shell(text);
    if !hits.positions.is_empty() {
        let mut variables = HashMap::new();
        let mut functions = HashMap::new();
        for (start, end, first_line) in parts(text) {
            let Some(part) = text.get(start..end) else { continue };
            if !hits.positions.iter().any(|at| (start..end).contains(at))
                && memchr::memchr(b'=', part).is_none()
            {
                continue;
            }
            let mut evaluator = Evaluator {
                session,
                text: part,
                first_line,
                variables,
                functions,
                depth: 0,
                decoded: Vec::new(),
            };
            evaluator.run();
            (variables, functions) = (evaluator.variables, evaluator.functions);
        }
        archive(session, text);
    }
    if hits.has_blob {
        blobs::find(session, text);
    }
}

/// The text in parts of bounded length, cut at line ends: start, end, lines before.
fn parts(text: &[u8]) -> Vec<(usize, usize, u32)> {
    let mut parts = Vec::new();
    let (mut start, mut line) = (0, 0_u32);
    while start < text.len() {
        let most = (start + LONGEST_PARSED).min(text.len());
        let end = if most == text.len() {
            most
        } else {
            let head = text.get(start..most).unwrap_or_default();
            memchr::memrchr(b'\n', head).map_or(most, |at| start + at + 1)
        };
        parts.push((start, end, line));
        let lines = memchr::memchr_iter(b'\n', text.get(start..end).unwrap_or_default()).count();
        line = line.saturating_add(u32::try_from(lines).unwrap_or(u32::MAX));
        start = end;
    }
    parts
}

/// Data behind the script's end, as self-extracting scripts carry it: compressed, or base64 of that.
fn archive(session: &mut Session, text: &[u8]) {
    const MAGICS: [&[u8]; 3] = [b"\n\x1f\x8b\x08", b"\nBZh", b"\n\xfd7zXZ\0"];
    let found = MAGICS.iter().filter_map(|magic| memchr::memmem::find(text, magic)).min();
    let Some((at, data)) = found.and_then(|at| Some((at, text.get(at + 1..)?))) else { return };
    let limit = session.decoded_limit();
    let (decoded, step) = match data {
        [0x1f, ..] => (super::decode::gzip(data, limit), Step::Gzip),
        [b'B', ..] => (super::decode::bzip2(data, limit), Step::Bzip2),
        _ => (super::decode::lzma(data, limit), Step::Lzma),
    };
    let Some(decoded) = decoded else { return };
    session.spend(decoded.len() / 16);
    let line = memchr::memchr_iter(b'\n', text.get(..=at).unwrap_or_default()).count() + 1;
    let line = u32::try_from(line).unwrap_or(u32::MAX);
    session.add(Found {
        language: Some(kind::language_of(&decoded, Language::Shell)),
        text: decoded,
        steps: vec![Step::Archive, step],
        lines: Some((line, line)),
        is_executed: false,
    });
}

impl Evaluator<'_, '_> {
    fn run(&mut self) {
        let grammar = tree_sitter_bash::LANGUAGE.into();
        let Some(tree) = tree::parse(self.session, &grammar, self.text) else { return };
        self.children(tree.root_node());
        for value in std::mem::take(&mut self.decoded) {
            if kind::is_text(&value.content) && !blobs::is_blob(value.content.trim_ascii()) {
                let language = kind::language_of(&value.content, Language::Shell);
                self.emit(&value, language, &[], false);
            } else {
                self.session.note_kind(&value.content);
            }
        }
    }

    fn source(&self, node: Node<'_>) -> &[u8] {
        self.text.get(node.byte_range()).unwrap_or_default()
    }

    fn lines(&self, node: Node<'_>) -> (u32, u32) {
        let line = |row: usize| {
            u32::try_from(row).unwrap_or(u32::MAX).saturating_add(1).saturating_add(self.first_line)
        };
        (line(node.start_position().row), line(node.end_position().row))
    }

    fn emit(&mut self, value: &Value, language: Language, more: &[Step], is_executed: bool) {
        let mut steps = value.steps.clone();
        more.iter().for_each(|&step| push_step(&mut steps, step));
        self.session.add(Found {
            text: value.content.clone(),
            language: Some(language),
            steps,
            lines: value.lines,
            is_executed,
        });
    }

    fn children(&mut self, node: Node<'_>) {
        if self.depth >= DEEPEST {
            return;
        }
        self.depth += 1;
        let mut cursor = node.walk();
        for child in node.named_children(&mut cursor) {
            if !self.session.spend(1) {
                break;
            }
            self.statement(child);
        }
        self.depth -= 1;
    }

    /// Runs a statement for what it does; what it prints is not looked at here.
    fn statement(&mut self, node: Node<'_>) {
        match node.kind() {
            "comment" => {}
            "variable_assignment" => self.assign(node),
            "command" | "pipeline" | "redirected_statement" => {
                self.output(node, None);
            }
            _ => self.children(node),
        }
    }

    fn assign(&mut self, node: Node<'_>) {
        let Some(name) = node.child_by_field_name("name").map(|name| self.source(name).to_vec()) else {
            return;
        };
        let value = node.child_by_field_name("value").map(|value| self.word(value)).unwrap_or_default();
        let appends = node.child(1).is_some_and(|operator| operator.kind() == "+=");
        let value = match self.variables.remove(&name) {
            Some(mut old) if appends => {
                if old.content.len() + value.content.len() <= self.session.decoded_limit() {
                    old.content.extend(value.content);
                }
                old.is_known &= value.is_known;
                push_step(&mut old.steps, Step::Joined);
                old
            }
            _ => value,
        };
        self.variables.insert(name, value);
    }
}
