//! What a shell word is worth: quotes, escapes, variables, substitutions.

use super::{DEEPEST, Evaluator, Value};
use crate::unpack::python;
use crate::unpack::session::{join_steps, push_step};
use crate::unpack::step::Step;
use tree_sitter::Node;

impl Evaluator<'_, '_> {
    fn known(&self, node: Node<'_>, content: Vec<u8>) -> Value {
        Value { content, steps: Vec::new(), is_known: true, lines: Some(self.lines(node)) }
    }

    fn unknown(&self, node: Node<'_>) -> Value {
        Value {
            content: self.source(node).to_vec(),
            steps: Vec::new(),
            is_known: false,
            lines: Some(self.lines(node)),
        }
    }

    /// The word's worth. What is not known stands as it is written.
    pub(super) fn word(&mut self, node: Node<'_>) -> Value {
        if self.depth >= DEEPEST || !self.session.spend(1) {
            return self.unknown(node);
        }
        self.depth += 1;
        let value = self.word_of(node);
        self.depth -= 1;
        // Words are kept in variables, so what they hold together is bounded as well.
        if !self.session.spend(value.content.len() / 16) {
            return self.unknown(node);
        }
        value
    }

    fn word_of(&mut self, node: Node<'_>) -> Value {
        match node.kind() {
            "word" | "number" | "variable_name" | "special_variable_name" => {
                let content = unescaped(self.source(node));
                self.known(node, content)
            }
            "raw_string" => {
                let source = self.source(node);
                let content = source.strip_prefix(b"'").unwrap_or(source);
                let content = content.strip_suffix(b"'").unwrap_or(content).to_vec();
                self.known(node, content)
            }
            "ansi_c_string" => {
                let source = self.source(node);
                let content = source.strip_prefix(b"$'").unwrap_or(source);
                let (content, needless) =
                    python::unescape(content.strip_suffix(b"'").unwrap_or(content), true);
                let mut value = self.known(node, content.into_owned());
                if needless >= 2 {
                    value.steps.push(Step::Escapes);
                }
                value
            }
            "string" => self.string(node),
            "concatenation" | "command_name" | "array" => self.joined(node),
            "simple_expansion" => match node.named_child(0) {
                Some(name) => self.variable(node, name),
                None => self.unknown(node),
            },
            "expansion" => self.expansion(node),
            "command_substitution" | "process_substitution" => {
                let mut value = self.substitution(node);
                while value.content.last() == Some(&b'\n') {
                    value.content.pop();
                }
                value
            }
            _ => self.unknown(node),
        }
    }

    fn variable(&self, node: Node<'_>, name: Node<'_>) -> Value {
        self.variables.get(self.source(name)).cloned().unwrap_or_else(|| self.unknown(node))
    }

    /// The parts of a word, one behind the other.
    fn joined(&mut self, node: Node<'_>) -> Value {
        let mut whole = self.known(node, Vec::new());
        let mut cursor = node.walk();
        let parts: Vec<_> = node.named_children(&mut cursor).collect();
        let count = parts.len();
        for part in parts {
            let value = self.word(part);
            whole.append(value, self.session.decoded_limit());
        }
        if count > 1 && whole.is_known && whole.steps.is_empty() {
            whole.steps.push(Step::Joined);
        }
        whole
    }

    /// A string in double quotes: what stands between its expansions is taken as it is written.
    fn string(&mut self, node: Node<'_>) -> Value {
        let mut whole = self.known(node, Vec::new());
        let (mut at, end) = (node.start_byte() + 1, node.end_byte().saturating_sub(1));
        let mut cursor = node.walk();
        let parts: Vec<_> =
            node.named_children(&mut cursor).filter(|part| part.kind() != "string_content").collect();
        for part in parts {
            let between = quoted(self.text.get(at..part.start_byte()).unwrap_or_default());
            whole.content.extend(between);
            let value = self.word(part);
            whole.append(value, self.session.decoded_limit());
            at = part.end_byte();
        }
        whole.content.extend(quoted(self.text.get(at..end).unwrap_or_default()));
        whole
    }

    /// `${name}`, `${name:from:length}`, `${name//old/new}`.
    fn expansion(&mut self, node: Node<'_>) -> Value {
        let source = self.source(node).to_vec();
        let inner = source.strip_prefix(b"${").and_then(|inner| inner.strip_suffix(b"}")).unwrap_or_default();
        let length = inner
            .iter()
            .position(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_')
            .unwrap_or(inner.len());
        let (name, rest) = inner.split_at(length);
        let Some(mut value) = self.variables.get(name).cloned() else { return self.unknown(node) };
        match rest {
            [] => {}
            [b':', b'-' | b'=' | b'+' | b'?', ..] => {}
            [b':', range @ ..] => match sliced(&value.content, range) {
                Some(content) => {
                    value.content = content;
                    push_step(&mut value.steps, Step::Joined);
                }
                None => return self.unknown(node),
            },
            [b'/', pattern @ ..] => {
                let is_global = pattern.first() == Some(&b'/');
                let pattern = pattern.strip_prefix(b"/").unwrap_or(pattern);
                let mut halves = pattern.splitn(2, |byte| *byte == b'/');
                let (old, new) =
                    (unescaped(halves.next().unwrap_or_default()), halves.next().unwrap_or_default());
                value.content = replaced(&value.content, &old, new, is_global);
                push_step(&mut value.steps, Step::Replaced);
            }
            _ => return self.unknown(node),
        }
        value
    }
}

impl Value {
    /// Puts another value behind this one.
    pub(super) fn append(&mut self, other: Self, limit: usize) {
        if self.content.len() + other.content.len() > limit {
            self.is_known = false;
            return;
        }
        if !other.steps.is_empty() {
            self.steps = join_steps(&self.steps, &other.steps);
        }
        self.is_known &= other.is_known;
        self.content.extend(other.content);
    }
}

/// `from:length`, both whole numbers, possibly negative behind a blank.
fn sliced(content: &[u8], range: &[u8]) -> Option<Vec<u8>> {
    let range = std::str::from_utf8(range).ok()?;
    let mut numbers = range.splitn(2, ':').map(|number| number.trim().parse::<i64>());
    let size = i64::try_from(content.len()).ok()?;
    let from = numbers.next()?.ok()?;
    let from = if from < 0 { size + from } else { from }.clamp(0, size);
    let end = match numbers.next() {
        None => size,
        Some(Ok(length)) if length < 0 => size + length,
        Some(Ok(length)) => from.saturating_add(length),
        Some(Err(_)) => return None,
    }
    .clamp(from, size);
    content.get(usize::try_from(from).ok()?..usize::try_from(end).ok()?).map(<[u8]>::to_vec)
}

pub(super) fn replaced(content: &[u8], old: &[u8], new: &[u8], is_global: bool) -> Vec<u8> {
    if old.is_empty() {
        return content.to_vec();
    }
    let mut out = Vec::new();
    let mut last = 0;
    for at in memchr::memmem::find_iter(content, old).take(if is_global { usize::MAX } else { 1 }) {
        out.extend_from_slice(content.get(last..at).unwrap_or_default());
        out.extend_from_slice(new);
        last = at + old.len();
        if out.len() > 1 << 21 {
            break;
        }
    }
    out.extend_from_slice(content.get(last..).unwrap_or_default());
    out
}

/// Outside of quotes a backslash keeps the next character as it is.
fn unescaped(source: &[u8]) -> Vec<u8> {
    remove_backslashes(source, |_| true)
}

/// In double quotes only before `$`, a backquote, a quote, a backslash, or a line's end.
fn quoted(source: &[u8]) -> Vec<u8> {
    remove_backslashes(source, |next| matches!(next, b'$' | b'`' | b'"' | b'\\' | b'\n'))
}

fn remove_backslashes(source: &[u8], escapes: impl Fn(u8) -> bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(source.len());
    let mut bytes = source.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match (byte, bytes.peek().copied()) {
            (b'\\', Some(next)) if escapes(next) => {
                bytes.next();
                if next != b'\n' {
                    out.push(next);
                }
            }
            _ => out.push(byte),
        }
    }
    out
}
