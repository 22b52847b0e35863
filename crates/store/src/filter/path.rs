//! A field as somebody wrote it, found in the table: the way through a document to its values, and their type.

use super::error::{Fault, Near, Problem};
use super::fields::{Count, Field, Message, Type, finding};
use super::syntax::{Part, is_plain, quoted};
use std::fmt;

/// Parts of one field.
pub(super) const PART_LIMIT: usize = 10;

/// Where the way begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Base {
    /// The finding, with its resource.
    Finding,
    /// An element of a list, within a function.
    Element(Type),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// A field of the table. Where it is a list, the way goes on from each element.
    Field(&'static Field),
    /// The value under a key of a map. `folded` says that capital and small letters are one.
    Key { name: String, folded: bool },
    /// The member of a value that may be anything; of each element, where it is a list.
    Member(String),
}

/// What stands at the end of the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    One(Type),
    /// A map as a whole.
    Map,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Path {
    pub(super) base: Base,
    pub(super) steps: Vec<Step>,
    pub(super) end: End,
    /// Whether texts at the end are the same in capital and small letters.
    pub(super) folded: bool,
}

impl Path {
    /// Finds a field.
    pub(super) fn find(base: Base, parts: &[Part]) -> Result<Self, Fault> {
        let mut path = match (base, parts) {
            (Base::Finding, _) => Self::new(base, Type::Message(finding())),
            (Base::Element(Type::Message(_)), [Part { text, at, quoted: false }]) if text == "elem" => {
                let problem = Problem::NotElement { field: text.as_str().into(), function: "contains" };
                return Err(Fault::new(*at, problem));
            }
            (Base::Element(kind @ Type::Message(_)), _) => Self::new(base, kind),
            (Base::Element(kind), [first, rest @ ..]) if first.text == "elem" => {
                let path = Self::new(base, kind);
                return path.follow(rest);
            }
            (Base::Element(_), [first, ..]) => {
                let problem = Problem::UnknownField {
                    name: first.text.as_str().into(),
                    of: "this list's elements".to_owned(),
                    near: Near(Some("elem".to_owned())),
                };
                return Err(Fault::new(first.at, problem));
            }
            (Base::Element(kind), []) => Self::new(base, kind),
        };
        if let (Base::Finding, [Part { text, at, quoted: false }, ..]) = (base, parts)
            && text == "elem"
        {
            return Err(Fault::new(*at, Problem::Element));
        }
        if let Some(part) = parts.get(PART_LIMIT) {
            return Err(Fault::new(part.at, Problem::LongField { limit: PART_LIMIT }));
        }
        path = path.follow(parts)?;
        Ok(path)
    }

    fn new(base: Base, kind: Type) -> Self {
        Self { base, steps: Vec::new(), end: End::One(kind), folded: false }
    }

    fn follow(mut self, parts: &[Part]) -> Result<Self, Fault> {
        for part in parts {
            match self.end {
                End::Map => self.enter(part),
                End::One(Type::Value) => self.steps.push(Step::Member(part.text.clone())),
                End::One(Type::Message(message)) if !part.quoted => self.take(message, part)?,
                End::One(kind) => {
                    let problem = Problem::NoParts {
                        field: self.to_string().as_str().into(),
                        kind: kind.described(),
                        part: part.text.as_str().into(),
                    };
                    return Err(Fault::new(part.at, problem));
                }
            }
        }
        Ok(self)
    }

    fn take(&mut self, message: &'static Message, part: &Part) -> Result<(), Fault> {
        if let Some(field) = message.field(&part.text) {
            self.push(message, field);
            return Ok(());
        }
        let Some(names) = message.older_name(&part.text) else {
            let (name, near) = (part.text.as_str().into(), message.near(&part.text));
            return Err(Fault::new(part.at, Problem::UnknownField { name, of: message.title(), near }));
        };
        for name in names {
            self.take(
                message_of(self.end).unwrap_or(message),
                &Part { text: (*name).to_owned(), ..part.clone() },
            )?;
        }
        Ok(())
    }

    fn push(&mut self, message: &'static Message, field: &'static Field) {
        // The protocol says of marks that keys and values are the same in capital and small letters.
        self.folded = message.name == "SecurityMarks" && field.name == "marks";
        self.end = if field.count == Count::Keyed { End::Map } else { End::One(field.kind()) };
        self.steps.push(Step::Field(field));
    }

    fn enter(&mut self, part: &Part) {
        if let Some(Step::Field(field)) = self.steps.last() {
            self.end = End::One(field.kind());
        }
        let name = if self.folded { part.text.to_ascii_lowercase() } else { part.text.clone() };
        self.steps.push(Step::Key { name, folded: self.folded });
    }

    /// Whether the end is a list of the table.
    pub(super) fn is_list(&self) -> bool {
        matches!(self.steps.last(), Some(Step::Field(field)) if field.count == Count::Many)
    }

    /// The first list of the table that the way leads through.
    pub(super) fn list(&self) -> Option<&'static Field> {
        self.steps.iter().find_map(|step| match step {
            Step::Field(field) if field.count == Count::Many => Some(*field),
            _ => None,
        })
    }

    /// The fault of naming a field that holds others where one value is wanted.
    pub(super) fn needs_more(&self, at: usize) -> Option<Fault> {
        let field = self.to_string();
        match self.end {
            End::Map => Some(Fault::new(at, Problem::NoKey { field: field.as_str().into() })),
            End::One(Type::Message(message)) => {
                let part = message.fields.first().map_or_else(String::new, |first| first.name.to_owned());
                Some(Fault::new(at, Problem::NoPart { field: field.as_str().into(), part }))
            }
            End::One(_) => None,
        }
    }
}

fn message_of(end: End) -> Option<&'static Message> {
    match end {
        End::One(Type::Message(message)) => Some(message),
        _ => None,
    }
}

impl fmt::Display for Path {
    /// As a filter would name it, in `snake_case`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut dot = "";
        if matches!(self.base, Base::Element(kind) if !matches!(kind, Type::Message(_))) {
            f.write_str("elem")?;
            dot = ".";
        }
        for step in &self.steps {
            let name = match step {
                Step::Field(field) => field.name,
                Step::Key { name, .. } | Step::Member(name) => name,
            };
            let is_field = matches!(step, Step::Field(_));
            if is_field || is_plain(name) {
                write!(f, "{dot}{name}")?;
            } else {
                write!(f, "{dot}{}", quoted(name))?;
            }
            dot = ".";
        }
        Ok(())
    }
}
