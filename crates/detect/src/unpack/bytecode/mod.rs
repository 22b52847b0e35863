//! Python's code objects, written out so that they can be judged as a text: what each instruction does to the stack is followed
//! once from the first to the last, without its jumps, and what is called, stored, imported and returned becomes a line.
//!
//! Owns: the objects, the tables of instructions, the listing. Nothing is executed.
//! Refuses: being Python. Blocks end nowhere, what a jump leaves on the stack is that of the line before it, and a name is the
//! function that was last made. Where the instructions are those of no known version, names and constants are listed instead.
//!
//! All bounds are counts. References make a few objects stand in many places, so visits count, not objects.

mod expression;
mod listing;
mod machine;
mod memory;
mod opcodes;

use opcodes::{Instructions, LAST, Minor};
use std::ops::RangeInclusive;
use std::rc::Rc;

/// Deepest nesting of objects.
pub(super) const DEEPEST: usize = 40;

/// An object that marshalled or live code holds.
#[derive(Debug)]
pub(super) enum Object {
    Other,
    /// `None`, `True` and their like.
    Word(&'static str),
    Number(i64),
    Text(String),
    Bytes(Vec<u8>),
    Items(Vec<Rc<Object>>),
    Code(Box<Code>),
}

/// What of a code object is looked at.
#[derive(Debug)]
pub(super) struct Code {
    /// How many of the variables are arguments; `None` where that is not known.
    pub(super) arguments: Option<usize>,
    pub(super) instructions: Vec<u8>,
    pub(super) consts: Rc<Object>,
    pub(super) names: Rc<Object>,
    /// Since 3.11 cells and free variables too.
    pub(super) variables: Rc<Object>,
    /// Cells, then free variables. Empty since 3.11.
    pub(super) cells: Vec<Rc<Object>>,
    pub(super) name: Rc<Object>,
}

/// What is known of the version by which code was compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Era {
    /// 2.x and before 3.6: instructions of other lengths, which are not read.
    Old,
    /// 3.6 and 3.7.
    Six,
    /// 3.8 to 3.10.
    Eight,
    /// 3.11 and later.
    Eleven,
    /// One version, by its second number.
    Exactly(Minor),
}

impl Era {
    fn versions(self) -> RangeInclusive<Minor> {
        match self {
            #[allow(clippy::reversed_empty_ranges, reason = "there is none")]
            Self::Old => 1..=0,
            Self::Six => 6..=7,
            Self::Eight => 8..=10,
            Self::Eleven => 11..=LAST,
            Self::Exactly(minor) => minor..=minor,
        }
    }
}

/// The listing of a code object and those in it; none where there is no code.
pub(super) fn listing(object: &Object, era: Era) -> Option<String> {
    let Object::Code(code) = object else { return None };
    let instructions = instructions_of(code, era);
    let text = listing::Listing::new(instructions.as_ref()).whole(code);
    (!text.is_empty()).then_some(text)
}

/// A code object that was found in the memory of an interpreter, written out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WrittenOut {
    /// What its instructions do, as far as that is known.
    pub text: String,
    /// The file that it says it was compiled from; the program chooses that.
    pub file: Option<String>,
}

/// Writes out a code object as urva's probe sends it; `None` for other bytes, and where there is no code object.
pub fn write_out(data: &[u8]) -> Option<WrittenOut> {
    let (object, era, file) = memory::read(data)?;
    Some(WrittenOut { text: listing(&object, era)?, file })
}

/// Those of the version that explains this code best; none where none does.
fn instructions_of(code: &Code, era: Era) -> Option<Instructions> {
    let fit = |minor: Minor| {
        let instructions = Instructions::of(minor);
        let mut sum = machine::Fit::default();
        machine::fit(code, &instructions, 0, &mut sum);
        (sum, instructions)
    };
    let best = era.versions().map(fit).min_by_key(|(fit, _)| fit.odd)?;
    let (fit, instructions) = best;
    (fit.odd * 8 <= fit.instructions).then_some(instructions)
}

/// The bytes of a text or of bytes, as a text.
fn text_of(object: &Object) -> Option<String> {
    match object {
        Object::Text(text) => Some(text.clone()),
        Object::Bytes(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        _ => None,
    }
}

fn items_of(object: &Object) -> &[Rc<Object>] {
    if let Object::Items(items) = object { items } else { &[] }
}

/// The name of a function as Python would take it.
fn clean(name: &str) -> String {
    name.chars().filter(|letter| letter.is_alphanumeric() || *letter == '_').collect()
}

#[cfg(test)]
mod tests;
