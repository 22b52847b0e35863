//! Syntax trees, flattened, and edits of the text that they came from.
//!
//! Owns: bounds of what is parsed. Refuses: knowing a language.

use super::LONGEST_DISGUISED;
use evidence::Language;
use std::collections::HashMap;
use std::ops::{ControlFlow, Range};
use std::sync::LazyLock;
use tree_sitter::{ParseOptions, ParseState, Parser};

static PYTHON: LazyLock<tree_sitter::Language> = LazyLock::new(|| tree_sitter_python::LANGUAGE.into());
static SHELL: LazyLock<tree_sitter::Language> = LazyLock::new(|| tree_sitter_bash::LANGUAGE.into());

/// Call backs of the parser, one for each 100 operations, that a text may take beyond its share by length.
const TICKS: usize = 10_000;

/// A node of a tree, in the order in which they begin.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) kind: &'static str,
    pub(super) field: &'static str,
    pub(super) range: Range<usize>,
    pub(super) parent: Option<usize>,
    pub(super) is_named: bool,
    pub(super) column: usize,
}

/// A text with its nodes.
#[derive(Debug)]
pub(super) struct Parsed<'t> {
    pub(super) text: &'t str,
    pub(super) parts: Vec<Part>,
}

impl<'t> Parsed<'t> {
    /// Nothing where the text is too long, is written to be hard to parse, or has an error of syntax.
    pub(super) fn new(language: Language, text: &'t str) -> Option<Self> {
        if text.len() > LONGEST_DISGUISED || text.contains('\r') {
            return None;
        }
        let mut parser = Parser::new();
        let grammar: &'static tree_sitter::Language = match language {
            Language::Python => &PYTHON,
            Language::Shell => &SHELL,
        };
        // The grammar's scanner would abort the process.
        if language == Language::Python && !detect::unpack::is_bearable_python(text.as_bytes()) {
            return None;
        }
        parser.set_language(grammar).ok()?;
        // Ordinary code needs about one call back for each 100 bytes.
        let mut ticks_left = TICKS + text.len() / 8;
        let mut count = |_: &ParseState| match ticks_left.checked_sub(1) {
            Some(left) => {
                ticks_left = left;
                ControlFlow::Continue(())
            }
            None => ControlFlow::Break(()),
        };
        let options = ParseOptions::new().progress_callback(&mut count);
        let bytes = text.as_bytes();
        let mut input = |at: usize, _| bytes.get(at..).unwrap_or_default();
        let tree = parser.parse_with_options(&mut input, None, Some(options))?;
        if tree.root_node().has_error() {
            return None;
        }
        let mut cursor = tree.walk();
        let mut parts: Vec<Part> = Vec::new();
        let mut above: Vec<usize> = Vec::new();
        loop {
            let node = cursor.node();
            parts.push(Part {
                kind: grammar.node_kind_for_id(node.kind_id()).unwrap_or(""),
                field: cursor.field_id().and_then(|id| grammar.field_name_for_id(id.get())).unwrap_or(""),
                range: node.byte_range(),
                parent: above.last().copied(),
                is_named: node.is_named(),
                column: node.start_position().column,
            });
            if cursor.goto_first_child() {
                above.push(parts.len() - 1);
                continue;
            }
            while !cursor.goto_next_sibling() {
                if !cursor.goto_parent() {
                    return Some(Self { text, parts });
                }
                above.pop();
            }
        }
    }

    pub(super) fn text_of(&self, part: &Part) -> &'t str {
        self.text.get(part.range.clone()).unwrap_or("")
    }

    pub(super) fn parent(&self, part: &Part) -> Option<&Part> {
        self.parts.get(part.parent?)
    }

    pub(super) fn of_kind<'s>(&'s self, kind: &'s str) -> impl Iterator<Item = &'s Part> {
        self.parts.iter().filter(move |part| part.kind == kind)
    }

    pub(super) fn children(&self, of: usize) -> impl Iterator<Item = &Part> {
        self.parts.iter().filter(move |part| part.parent == Some(of) && part.is_named)
    }

    /// True if one of the nodes around `part` is of one of these kinds.
    pub(super) fn is_within(&self, part: &Part, kinds: &[&str]) -> bool {
        let mut next = self.parent(part);
        while let Some(around) = next {
            if kinds.contains(&around.kind) {
                return true;
            }
            next = self.parent(around);
        }
        false
    }

    /// How often each word stands in the text, comments left out.
    pub(super) fn words(&self) -> HashMap<&'t str, usize> {
        let mut text = self.text.as_bytes().to_vec();
        for comment in self.of_kind("comment") {
            if let Some(bytes) = text.get_mut(comment.range.clone()) {
                bytes.fill(b' ');
            }
        }
        let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_' || *byte >= 0x80;
        let mut counts = HashMap::new();
        let mut at = 0;
        while at < text.len() {
            let length = text.get(at..).unwrap_or(&[]).iter().take_while(|byte| is_word(byte)).count();
            if length > 0
                && let Some(word) = self.text.get(at..at + length)
            {
                *counts.entry(word).or_insert(0) += 1;
            }
            at += length.max(1);
        }
        counts
    }

    /// Starts of lines on which a statement of the outermost level begins, without the first one.
    pub(super) fn seams(&self) -> Vec<usize> {
        let starts = self.children(0).filter(|part| part.column == 0 && part.kind != "comment");
        starts.map(|part| part.range.start).skip(1).filter(|&at| at > 0).collect()
    }
}

/// What is to stand in the place of what.
#[derive(Debug, Default)]
pub(super) struct Edits(Vec<(Range<usize>, String)>);

impl Edits {
    pub(super) fn replace(&mut self, range: Range<usize>, by: String) {
        self.0.push((range, by));
    }

    pub(super) fn insert(&mut self, at: usize, text: String) {
        self.0.push((at..at, text));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The edited text. Of two edits of the same place the outer one is done.
    pub(super) fn apply(mut self, text: &str) -> String {
        self.0.sort_by_key(|(range, _)| (range.start, std::cmp::Reverse(range.end)));
        let mut out = String::with_capacity(text.len() * 2);
        let mut done = 0;
        for (range, by) in self.0 {
            if range.start < done {
                continue;
            }
            out.push_str(text.get(done..range.start).unwrap_or(""));
            out.push_str(&by);
            done = range.end;
        }
        out.push_str(text.get(done..).unwrap_or(""));
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(language: Language, text: &str, is_parsed: bool) {
        assert_eq!(Parsed::new(language, text).is_some(), is_parsed, "{} bytes", text.len());
    }

    #[test]
    fn what_is_hard_to_parse_is_refused() {
        let deep = |count: usize| (0..count).map(|at| " ".repeat(at) + "if x:\n").collect::<String>();
        check(Language::Python, &(deep(50) + &" ".repeat(50) + "y = 1\n"), true);
        check(Language::Python, &(deep(600) + &" ".repeat(600) + "y = 1\n"), false);
        check(Language::Python, &("x = 1\n".to_owned() + &"#\n".repeat(100_000)), false);
        check(Language::Python, &format!("x = {}1\n", "\\\n".repeat(80_000)), false);
        check(Language::Shell, &"((".repeat(100_000), false);
    }

    #[test]
    fn ordinary_code_is_parsed() {
        check(Language::Python, &"# comment\ndef f(x):\n    return x + 1\n\n\n".repeat(5000), true);
        check(Language::Shell, &"# comment\nif [ -e x ]; then echo \"$x\"; fi\n".repeat(5000), true);
    }
}
