//! What an expression can be worth, with where it came from.

use super::ast::Function;
use crate::unpack::step::Step;
use std::rc::Rc;

/// Stands in a text for a part that nobody knows.
pub(super) const HOLE: char = '\u{fffc}';

/// Where a value's data stands and how it was decoded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Provenance {
    pub(super) steps: Vec<Step>,
    /// First and last line.
    pub(super) lines: (u32, u32),
    /// The layer that the lines are counted in, and 0 for the text itself.
    pub(super) layer: usize,
}

#[derive(Debug, Clone)]
pub(super) struct Text {
    pub(super) content: Rc<String>,
    pub(super) origin: Rc<Provenance>,
}

#[derive(Debug, Clone)]
pub(super) struct Data {
    pub(super) content: Rc<Vec<u8>>,
    pub(super) origin: Rc<Provenance>,
}

#[derive(Debug, Clone, Default)]
pub(super) enum Value {
    #[default]
    Unknown,
    None,
    Bool(bool),
    Int(i64),
    Text(Text),
    Bytes(Data),
    List(Rc<Vec<Value>>),
    Dictionary(Rc<Vec<(Value, Value)>>),
    /// A name that is not a variable of the text: a builtin, a module, or something in it.
    Path(Rc<str>),
    Function(Rc<Function>),
    /// A value's method.
    Method(Rc<(Value, Rc<str>)>),
    /// A cipher with its key and, where it has one, its initial vector.
    Cipher(Rc<str>, Rc<Vec<u8>>, Rc<Vec<u8>>),
}

impl Value {
    pub(super) fn text(content: String, origin: Rc<Provenance>) -> Self {
        Self::Text(Text { content: Rc::new(content), origin })
    }

    pub(super) fn bytes(content: Vec<u8>, origin: Rc<Provenance>) -> Self {
        Self::Bytes(Data { content: Rc::new(content), origin })
    }

    pub(super) fn list(items: Vec<Self>) -> Self {
        Self::List(Rc::new(items))
    }

    pub(super) fn path(name: &str) -> Self {
        Self::Path(name.into())
    }

    pub(super) fn int(value: usize) -> Self {
        i64::try_from(value).map_or(Self::Unknown, Self::Int)
    }

    pub(super) fn origin(&self) -> Option<&Rc<Provenance>> {
        match self {
            Self::Text(text) => Some(&text.origin),
            Self::Bytes(data) => Some(&data.origin),
            _ => None,
        }
    }

    /// The bytes of a text or of bytes.
    pub(super) fn content(&self) -> Option<&[u8]> {
        match self {
            Self::Text(text) => Some(text.content.as_bytes()),
            Self::Bytes(data) => Some(&data.content),
            _ => None,
        }
    }

    pub(super) fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(&text.content),
            Self::Bytes(data) => std::str::from_utf8(&data.content).ok(),
            _ => None,
        }
    }

    pub(super) fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(*value),
            Self::Bool(value) => Some(i64::from(*value)),
            _ => None,
        }
    }

    pub(super) fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown | Self::Path(_))
    }

    /// Whether it counts as true; none where nobody knows.
    pub(super) fn truth(&self) -> Option<bool> {
        match self {
            Self::None => Some(false),
            Self::Bool(value) => Some(*value),
            Self::Int(value) => Some(*value != 0),
            Self::Text(text) => Some(!text.content.is_empty()),
            Self::Bytes(data) => Some(!data.content.is_empty()),
            Self::List(items) => Some(!items.is_empty()),
            Self::Dictionary(items) => Some(!items.is_empty()),
            Self::Function(_) | Self::Method(_) => Some(true),
            _ => None,
        }
    }

    /// Whether both are known to be equal, or known to differ.
    pub(super) fn equals(&self, other: &Self) -> Option<bool> {
        match (self, other) {
            (Self::Unknown | Self::Path(_), _) | (_, Self::Unknown | Self::Path(_)) => None,
            (Self::Text(one), Self::Text(two)) => Some(one.content == two.content),
            (Self::Bytes(one), Self::Bytes(two)) => Some(one.content == two.content),
            (Self::None, Self::None) => Some(true),
            _ => match (self.as_int(), other.as_int()) {
                (Some(one), Some(two)) => Some(one == two),
                (None, None) if matches!(self, Self::List(_) | Self::Dictionary(_) | Self::Function(_)) => {
                    None
                }
                _ => Some(false),
            },
        }
    }
}
