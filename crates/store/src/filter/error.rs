//! What can be wrong with a filter, an order, a grouping or a mask: where it is, and what to write instead.

use evidence::text::escape;
use std::fmt;

/// The most bytes of a user's text that a message repeats.
const EXCERPT_LIMIT: usize = 60;

/// Why an expression was refused, and where in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem} (at character {character})")]
pub struct FilterError {
    problem: Problem,
    byte: usize,
    character: usize,
}

impl FilterError {
    /// The offset in bytes, from 0, of the place in the expression.
    pub fn byte(&self) -> usize {
        self.byte
    }

    /// The place as people count it: the number of the character, from 1.
    pub fn character(&self) -> usize {
        self.character
    }

    pub(super) fn new(text: &str, byte: usize, problem: Problem) -> Self {
        let before = text.get(..byte).unwrap_or(text);
        Self { problem, byte: before.len(), character: before.chars().count() + 1 }
    }
}

/// Where and what, before it is known which text it stands in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) at: usize,
    pub(super) problem: Problem,
}

impl Fault {
    pub(super) fn new(at: usize, problem: Problem) -> Self {
        Self { at, problem }
    }

    pub(super) fn within(self, text: &str) -> FilterError {
        FilterError::new(text, self.at, self.problem)
    }
}

/// A piece of a user's text, cut and escaped when it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Excerpt(String);

impl From<&str> for Excerpt {
    fn from(text: &str) -> Self {
        let end = text.floor_char_boundary(EXCERPT_LIMIT);
        let dots = if end < text.len() { "…" } else { "" };
        Self(format!("{}{dots}", escape(text.get(..end).unwrap_or_default().as_bytes())))
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What should be there instead, where something is like what was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Near(pub(super) Option<String>);

impl fmt::Display for Near {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(name) => write!(f, "; did you mean `{name}`?"),
            None => Ok(()),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Problem {
    #[error("the expression has {length} bytes, {limit} are the most: split it")]
    TooLong { length: usize, limit: usize },
    #[error("more than {limit} parentheses or functions stand within each other: write it flatter")]
    TooDeep { limit: usize },
    #[error("the expression has more than {limit} conditions: split it")]
    TooMany { limit: usize },
    #[error("there are more than {limit} fields: leave some out")]
    ManyFields { limit: usize },
    #[error("findings are not sorted or grouped by `{field}`, which is {kind}")]
    Sorted { field: Excerpt, kind: &'static str },
    #[error("`{field}` is in the list `{list}`: findings are sorted and grouped by what they have one of")]
    SortedList { field: Excerpt, list: &'static str },
    #[error("expected {what}, found {found}")]
    Expected { what: &'static str, found: Found },
    #[error("`{found}` has small letters: write {wanted}")]
    SmallLetters { found: Excerpt, wanted: &'static str },
    #[error("`{value}` is no value: a text stands in quotes, as in \"{value}\"")]
    Bare { value: Excerpt },
    #[error("the text in quotes has no end: close it with {quote}")]
    OpenText { quote: char },
    #[error(
        "`\\{escape}` is no escape: write `\\\\` for a backslash, or one of \\\" \\' \\n \\r \\t \\uXXXX"
    )]
    Escape { escape: Excerpt },
    #[error("a text cannot have the character NUL in it")]
    Nul,
    #[error("the number `{found}` is out of range")]
    Number { found: Excerpt },
    #[error("there is no function `{name}`{near}")]
    Function { name: Excerpt, near: Near },
    #[error("`{name}` is not a field of {of}{near}")]
    UnknownField { name: Excerpt, of: String, near: Near },
    #[error("`{field}` is {kind} and has no part `{part}`")]
    NoParts { field: Excerpt, kind: &'static str, part: Excerpt },
    #[error("`{field}` has keys of your own: name one, as in `{field}.NAME`")]
    NoKey { field: Excerpt },
    #[error("`{field}` has parts: name one of them, as in `{field}.{part}`")]
    NoPart { field: Excerpt, part: String },
    #[error("the field has more than {limit} parts")]
    LongField { limit: usize },
    #[error("`{field}` is {kind}, which cannot be compared by `{operator}`: use {usable}")]
    Operator { field: Excerpt, kind: &'static str, operator: &'static str, usable: &'static str },
    #[error("`{field}` is {kind}: expected {wanted}, found {found}")]
    Type { field: Excerpt, kind: &'static str, wanted: &'static str, found: Found },
    #[error("`{field}` never has the value \"{value}\"{near} It is one of {values}", near = ended(near))]
    Value { field: Excerpt, value: Excerpt, near: Near, values: String },
    #[error("`{value}` is not a time: write it as \"2026-11-22T16:00:00Z\" or in milliseconds since 1970")]
    Time { value: Excerpt },
    #[error("`{value}` is not a duration: write seconds as \"3600s\"")]
    Duration { value: Excerpt },
    #[error("`{value}` is not a range of addresses: write it as \"10.0.0.0/8\" or \"2001:db8::/32\"")]
    Range { value: Excerpt },
    #[error("`{field}` is not repeated: compare it without {function}()")]
    NotRepeated { field: Excerpt, function: &'static str },
    #[error("`{field}` has parts: name them in {function}(), `elem` is for lists of plain values")]
    NotElement { field: Excerpt, function: &'static str },
    #[error("`elem` is only known within contains() and containsOnly()")]
    Element,
}

fn ended(near: &Near) -> String {
    match near {
        Near(Some(_)) => near.to_string(),
        Near(None) => ".".to_owned(),
    }
}

/// What stands in the expression where something else was expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    End,
    Text(Excerpt),
    Word(Excerpt),
}

impl Found {
    /// The next word or character of what is left.
    pub(super) fn next(rest: &str) -> Self {
        let Some(first) = rest.chars().next() else { return Self::End };
        let end = match rest.find(|letter: char| !letter.is_alphanumeric() && letter != '_') {
            Some(0) => first.len_utf8(),
            Some(end) => end,
            None => rest.len(),
        };
        Self::Word(rest.get(..end).unwrap_or_default().into())
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::End => f.write_str("the end"),
            Self::Text(text) => write!(f, "the text \"{text}\""),
            Self::Word(word) => write!(f, "`{word}`"),
        }
    }
}
