//! Expressions as they grow on the stack.
//!
//! Owns: constants as Python would read them, and the bound on how many bytes are put together.

use super::{DEEPEST, Object};
use std::rc::Rc;

/// Longest expression in bytes.
const LONGEST: usize = 64 << 10;
/// Most bytes that are put together for one listing.
const MOST_BYTES: usize = 16 << 20;
/// Most visits to objects.
const MOST_VISITS: usize = 400_000;

/// What lies on the stack, as it would be written.
#[derive(Debug, Clone)]
pub(super) enum Value {
    /// What calls keep beside a function.
    Null,
    /// Nothing that a program writes; it is not worth a line.
    Silent(Rc<str>),
    Text(Rc<str>),
    /// An expression that needs brackets before an attribute.
    Compound(Rc<str>),
    /// A part of a formatted string.
    Format(Rc<str>),
    Module(Rc<str>),
    Member(Rc<str>, Rc<str>),
    Function(Rc<str>),
    /// What makes classes.
    Class,
    /// An element of what is iterated over.
    Item(Rc<str>),
    /// What `with` was given, and its `__enter__`.
    Entered(Rc<str>),
    Enter(Rc<str>),
}

impl Value {
    pub(super) fn silent() -> Self {
        Self::Silent("".into())
    }

    pub(super) fn text(&self) -> Rc<str> {
        match self {
            Self::Null | Self::Class => "".into(),
            Self::Item(_) => "item".into(),
            Self::Silent(text) | Self::Text(text) | Self::Compound(text) | Self::Format(text) => {
                Rc::clone(text)
            }
            Self::Module(name) | Self::Member(_, name) | Self::Function(name) => Rc::clone(name),
            Self::Entered(text) | Self::Enter(text) => Rc::clone(text),
        }
    }

    /// Whether it is a statement by itself when nobody takes it.
    pub(super) fn is_statement(&self) -> bool {
        match self {
            Self::Text(text) | Self::Compound(text) | Self::Format(text) => !text.is_empty(),
            _ => false,
        }
    }
}

/// Puts texts together within the bounds of one listing.
#[derive(Debug, Default)]
pub(super) struct Writer {
    bytes: usize,
    visits: usize,
}

impl Writer {
    /// Whether anything more shall be looked at.
    pub(super) fn goes_on(&mut self) -> bool {
        self.visits += 1;
        self.visits <= MOST_VISITS && self.bytes <= MOST_BYTES
    }

    pub(super) fn join(&mut self, parts: &[&str]) -> Rc<str> {
        let mut joined = String::new();
        for part in parts {
            let mut end = part.len().min(LONGEST.saturating_sub(joined.len()));
            while !part.is_char_boundary(end) {
                end -= 1;
            }
            joined.push_str(part.get(..end).unwrap_or_default());
        }
        self.bytes = self.bytes.saturating_add(joined.len() + 8);
        joined.into()
    }

    pub(super) fn list(&mut self, open: &str, items: &[Value], close: &str) -> Rc<str> {
        let texts: Vec<Rc<str>> = items.iter().map(Value::text).collect();
        let mut parts = vec![open];
        for (number, text) in texts.iter().enumerate() {
            parts.extend((number > 0).then_some(", "));
            parts.push(text);
        }
        parts.push(close);
        self.join(&parts)
    }

    /// In brackets where an attribute or a call follows.
    pub(super) fn operand(&mut self, value: &Value) -> Rc<str> {
        match value {
            Value::Compound(text) => self.join(&["(", text, ")"]),
            _ => value.text(),
        }
    }

    /// A constant as Python would read it.
    pub(super) fn constant(&mut self, object: &Object, depth: usize) -> Rc<str> {
        if depth > DEEPEST || !self.goes_on() {
            return "".into();
        }
        match object {
            Object::Text(text) => self.join(&[&quoted(text.chars().take(LONGEST))]),
            Object::Bytes(bytes) => {
                let head = bytes.get(..LONGEST.min(bytes.len())).unwrap_or_default();
                self.join(&["b'", &head.escape_ascii().to_string(), "'"])
            }
            Object::Number(number) => self.join(&[&number.to_string()]),
            Object::Word(word) => (*word).into(),
            Object::Other => "0".into(),
            Object::Items(items) => {
                let mut texts = Vec::new();
                for item in items {
                    if !self.goes_on() {
                        break;
                    }
                    texts.push(Value::Text(self.constant(item, depth + 1)));
                }
                let close = if texts.len() == 1 { ",)" } else { ")" };
                self.list("(", &texts, close)
            }
            Object::Code(code) => {
                super::text_of(&code.name).map(|name| super::clean(&name)).unwrap_or_default().into()
            }
        }
    }
}

/// A text between quotes that Python would read as it was.
fn quoted(text: impl Iterator<Item = char>) -> String {
    let mut out = String::from("'");
    for letter in text {
        match letter {
            '\'' | '\\' => out.extend(['\\', letter]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            _ => out.push(letter),
        }
    }
    out.push('\'');
    out
}
