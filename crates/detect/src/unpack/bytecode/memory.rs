//! Code objects as urva's probe found them in memory.
//!
//! Owns: the reading of the probe's records (`bytecode.h` and `enum code_record` in `event.h`, in the sensor). They come from a
//! process that may lie about each byte: what contradicts itself ends the reading, and what was read until then stays.

use super::{Code, Era, Object};
use std::collections::VecDeque;
use std::rc::Rc;

/// The first word but for its topmost byte, which is the version's second number.
const MAGIC: &[u8] = b"\x7fPYCODE";
const HEADER: usize = 8;

const TEXT: u8 = 1;
const BYTES: u8 = 2;
const TUPLE: u8 = 3;
const CODE: u8 = 4;
const NUMBER: u8 = 5;
const NONE: u8 = 6;
const TRUE: u8 = 7;
const FALSE: u8 = 8;
const PARTS_FOLLOW: u8 = 9;
const INSTRUCTIONS: u8 = 10;
const PART: u8 = 1 << 7;

/// Deepest nesting of what is made of the records.
const DEEPEST: usize = super::DEEPEST;

/// A record and what it holds, by their places in the list of all.
struct Node<'d> {
    kind: u8,
    flags: u8,
    bytes: &'d [u8],
    children: Vec<usize>,
    instructions: &'d [u8],
}

/// The outermost code object, its era, and the file that it says it was compiled from.
pub(super) fn read(data: &[u8]) -> Option<(Object, Era, Option<String>)> {
    let minor = *data.strip_prefix(MAGIC)?.first()?;
    let nodes = nodes(data.get(HEADER..)?);
    let era = if minor >= 11 { Era::Exactly(minor.into()) } else { Era::Eight };
    let root = nodes.first().filter(|root| root.kind == CODE)?;
    let file = parts(&nodes, root, TEXT).next().and_then(|file| text(file));
    let object = Tree { nodes: &nodes, minor, left: nodes.len().saturating_mul(2) }.code(root, 0)?;
    Some((object, era, file))
}

fn nodes(mut data: &[u8]) -> Vec<Node<'_>> {
    let mut nodes: Vec<Node<'_>> = Vec::new();
    // Who the next records belong to: a tuple with so many items, or a code object with as many parts as come.
    let mut waiting: VecDeque<(usize, Option<usize>)> = VecDeque::new();
    let mut codes = Vec::new();
    let mut instructions = 0;
    while let Some((&header, rest)) = data.split_first_chunk::<8>() {
        let [kind, flags, _, _, length @ ..] = header;
        let length = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
        let has_bytes = matches!(kind, TEXT | BYTES | NUMBER | INSTRUCTIONS);
        let size = if has_bytes { length } else { 0 };
        let Some(bytes) = rest.get(..size) else { break };
        data = rest.get(size.next_multiple_of(8)..).unwrap_or_default();
        match kind {
            INSTRUCTIONS => {
                let code = codes.get(instructions).and_then(|code: &usize| nodes.get_mut(*code));
                code.into_iter().for_each(|code| code.instructions = bytes);
                instructions += 1;
                continue;
            }
            PARTS_FOLLOW => {
                // What came before belongs to others, whatever they still wait for.
                while waiting.front().is_some_and(|(_, left)| left.is_some()) {
                    waiting.pop_front();
                }
                continue;
            }
            _ => {}
        }
        let number = nodes.len();
        let is_part = flags & PART != 0;
        // Parts end where something follows that is none.
        while let Some((_, None)) = waiting.front().filter(|_| !is_part) {
            waiting.pop_front();
        }
        if let Some((owner, left)) = waiting.front_mut() {
            if let Some(owner) = nodes.get_mut(*owner) {
                owner.children.push(number);
            }
            let is_last = left.as_mut().is_some_and(|left| {
                *left = left.saturating_sub(1);
                *left == 0
            });
            if is_last {
                waiting.pop_front();
            }
        }
        match kind {
            TUPLE if length > 0 => waiting.push_back((number, Some(length))),
            CODE => {
                waiting.push_back((number, None));
                codes.push(number);
            }
            _ => {}
        }
        nodes.push(Node { kind, flags, bytes, children: Vec::new(), instructions: b"" });
    }
    nodes
}

fn parts<'n, 'd>(nodes: &'n [Node<'d>], code: &'n Node<'d>, kind: u8) -> impl Iterator<Item = &'n Node<'d>> {
    let parts = code.children.iter().filter_map(|part| nodes.get(*part));
    parts.filter(move |part| part.kind == kind)
}

fn text(node: &Node<'_>) -> Option<String> {
    let units = |width: usize| node.bytes.chunks_exact(width);
    let letters: String = match node.flags & 7 {
        1 => node.bytes.iter().map(|byte| char::from(*byte)).collect(),
        2 => {
            let units =
                units(2).filter_map(|unit| unit.first_chunk::<2>()).map(|unit| u16::from_le_bytes(*unit));
            units.map(|unit| char::from_u32(unit.into()).unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
        }
        4 => {
            let units =
                units(4).filter_map(|unit| unit.first_chunk::<4>()).map(|unit| u32::from_le_bytes(*unit));
            units.map(|unit| char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
        }
        _ => return None,
    };
    Some(letters)
}

/// Makes objects of records. Each record has one owner, so the work is bounded by their number.
struct Tree<'n, 'd> {
    nodes: &'n [Node<'d>],
    minor: u8,
    left: usize,
}

impl Tree<'_, '_> {
    fn object(&mut self, number: usize, depth: usize) -> Rc<Object> {
        self.left = self.left.saturating_sub(1);
        let Some(node) = self.nodes.get(number).filter(|_| depth < DEEPEST && self.left > 0) else {
            return Rc::new(Object::Other);
        };
        Rc::new(match node.kind {
            TEXT => text(node).map_or(Object::Other, Object::Text),
            BYTES => Object::Bytes(node.bytes.to_vec()),
            TUPLE => Object::Items(node.children.iter().map(|item| self.object(*item, depth + 1)).collect()),
            CODE => self.code(node, depth + 1).unwrap_or(Object::Other),
            NUMBER => self.number(node.bytes).map_or(Object::Other, Object::Number),
            NONE => Object::Word("None"),
            TRUE => Object::Word("True"),
            FALSE => Object::Word("False"),
            _ => Object::Other,
        })
    }

    /// A number of one digit: how many digits there are, with the sign, then the digit of 30 bits.
    fn number(&self, bytes: &[u8]) -> Option<i64> {
        let (size, rest) = bytes.split_first_chunk::<8>()?;
        let size = i64::from_le_bytes(*size);
        let digit = i64::from(u32::from_le_bytes(*rest.first_chunk::<4>()?));
        let (digits, is_negative) = match self.minor {
            12.. => (size >> 3, size & 3 == 2),
            _ => (size.unsigned_abs().cast_signed(), size < 0),
        };
        match digits {
            0 => Some(0),
            1 if is_negative => Some(-digit),
            1 => Some(digit),
            _ => None,
        }
    }

    /// The parts come in the order of a code object's fields: constants, names and variables are its first tuples, the
    /// instructions its first bytes before 3.11, its name the second text.
    fn code(&mut self, node: &Node<'_>, depth: usize) -> Option<Object> {
        let tuples: Vec<usize> = self.parts_of(node, TUPLE);
        let minor = self.minor;
        let mut tuple = |number: usize| {
            tuples
                .get(number)
                .map_or_else(|| Rc::new(Object::Items(Vec::new())), |at| self.object(*at, depth))
        };
        let (consts, names, variables) = (tuple(0), tuple(1), tuple(2));
        let cells = match minor {
            11.. => Vec::new(),
            // Free variables come first, as fields do.
            _ => vec![tuple(4), tuple(3)],
        };
        let instructions = match minor {
            11.. => node.instructions,
            _ => parts(self.nodes, node, BYTES).next().map_or(&b""[..], |bytes| bytes.bytes),
        };
        let name = parts(self.nodes, node, TEXT).nth(1).and_then(|name| text(name));
        let name = Rc::new(name.map_or(Object::Other, Object::Text));
        let instructions = instructions.to_vec();
        Some(Object::Code(Box::new(Code {
            arguments: None,
            instructions,
            consts,
            names,
            variables,
            cells,
            name,
        })))
    }

    fn parts_of(&self, node: &Node<'_>, kind: u8) -> Vec<usize> {
        let is_it = |part: &&usize| self.nodes.get(**part).is_some_and(|part| part.kind == kind);
        node.children.iter().filter(is_it).copied().collect()
    }
}
