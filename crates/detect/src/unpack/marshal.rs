//! Python's marshal format and `.pyc` files: code objects as a readable listing ([`super::bytecode`]). Nothing is executed.
//!
//! The format is that of CPython's `Python/marshal.c`, of 2.7 and of 3.4 to 3.14; the four layouts of a code object
//! are told apart by where its bytecode stands.

use super::bytecode::{self, Code, DEEPEST, Era, Object};
use std::rc::Rc;

/// Most objects of one file.
const MOST_OBJECTS: usize = 200_000;

/// How a code object is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// 2.x: four numbers.
    Two,
    /// 3.0 to 3.7 (five numbers), and with `localspluskinds` 3.11 and later.
    Five,
    /// 3.8 to 3.10: six numbers.
    Six,
}

/// Whether the bytes start as a `.pyc` file: a magic number and its line end.
pub fn is_pyc(data: &[u8]) -> bool {
    matches!(data, [_, 0x0c..=0x0e | 0xf2..=0xf3 | 0x99, b'\r', b'\n', ..])
}

/// A readable listing of marshalled code, with or without the header of a `.pyc` file; none where there is no code.
pub fn listing(data: &[u8]) -> Option<String> {
    let headers: &[usize] = if is_pyc(data) { &[16, 12, 8] } else { &[0] };
    headers.iter().find_map(|&header| listing_of(data.get(header..)?))
}

fn listing_of(data: &[u8]) -> Option<String> {
    let start = data.iter().take(64).position(|byte| byte & 0x7f == b'c')?;
    let mut reader = Reader {
        data,
        at: start,
        refs: Vec::new(),
        interned: Vec::new(),
        objects: 0,
        depth: 0,
        layout: layout(data.get(start + 1..)?)?,
        era: Era::Old,
    };
    let object = reader.object()?;
    bytecode::listing(&object, reader.era)
}

/// Tells the layout by where the type of the bytecode's string stands.
fn layout(body: &[u8]) -> Option<Layout> {
    let fits = |at: usize| {
        let is_string = body.get(at).is_some_and(|byte| byte & 0x7f == b's');
        let length = body
            .get(at + 1..at + 5)
            .and_then(|bytes| bytes.first_chunk::<4>())
            .map(|bytes| u32::from_le_bytes(*bytes));
        is_string && length.is_some_and(|length| (2..1 << 24).contains(&length))
    };
    [(20, Layout::Five), (24, Layout::Six), (16, Layout::Two)]
        .into_iter()
        .find(|(at, _)| fits(*at))
        .map(|(_, layout)| layout)
}

struct Reader<'d> {
    data: &'d [u8],
    at: usize,
    refs: Vec<Rc<Object>>,
    interned: Vec<Rc<Object>>,
    objects: usize,
    depth: usize,
    layout: Layout,
    era: Era,
}

impl Reader<'_> {
    fn take(&mut self, length: usize) -> Option<&[u8]> {
        let bytes = self.data.get(self.at..self.at.checked_add(length)?)?;
        self.at += length;
        Some(bytes)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn long(&mut self) -> Option<i32> {
        self.take(4)?.first_chunk::<4>().map(|bytes| i32::from_le_bytes(*bytes))
    }

    fn length(&mut self) -> Option<usize> {
        usize::try_from(self.long()?).ok()
    }

    fn object(&mut self) -> Option<Rc<Object>> {
        self.objects += 1;
        if self.depth >= DEEPEST || self.objects > MOST_OBJECTS {
            return None;
        }
        let tag = self.byte()?;
        let kind = tag & 0x7f;
        if kind == b'r' {
            let at = self.length()?;
            return self.refs.get(at).cloned();
        }
        let slot = (tag & 0x80 != 0).then(|| {
            self.refs.push(Rc::new(Object::Other));
            self.refs.len() - 1
        });
        self.depth += 1;
        let object = self.object_of(kind);
        self.depth -= 1;
        let object = object?;
        if let Some(slot) = slot.and_then(|slot| self.refs.get_mut(slot)) {
            *slot = Rc::clone(&object);
        }
        Some(object)
    }

    fn object_of(&mut self, kind: u8) -> Option<Rc<Object>> {
        let object = match kind {
            b'N' => Object::Word("None"),
            b'F' => Object::Word("False"),
            b'T' => Object::Word("True"),
            b'.' => Object::Word("..."),
            b'0' | b'S' => Object::Other,
            b'i' => Object::Number(i64::from(self.long()?)),
            b'I' | b'g' => {
                self.take(8)?;
                Object::Other
            }
            b'y' => {
                self.take(16)?;
                Object::Other
            }
            b'f' | b'x' => {
                for _ in 0..if kind == b'x' { 2 } else { 1 } {
                    let length = usize::from(self.byte()?);
                    self.take(length)?;
                }
                Object::Other
            }
            b'l' => {
                let digits = usize::try_from(self.long()?.unsigned_abs()).ok()?;
                self.take(digits.checked_mul(2)?)?;
                Object::Other
            }
            b's' => {
                let length = self.length()?;
                Object::Bytes(self.take(length)?.to_vec())
            }
            b't' => {
                let length = self.length()?;
                let object = Rc::new(Object::Bytes(self.take(length)?.to_vec()));
                if self.layout == Layout::Two {
                    self.interned.push(Rc::clone(&object));
                }
                return Some(object);
            }
            b'R' => {
                let at = self.length()?;
                return self.interned.get(at).cloned();
            }
            b'u' | b'a' | b'A' => {
                let length = self.length()?;
                Object::Text(String::from_utf8_lossy(self.take(length)?).into_owned())
            }
            b'z' | b'Z' => {
                let length = usize::from(self.byte()?);
                Object::Text(String::from_utf8_lossy(self.take(length)?).into_owned())
            }
            b')' => {
                let count = usize::from(self.byte()?);
                self.items(count)?
            }
            b'(' | b'[' | b'<' | b'>' => {
                let count = self.length()?;
                self.items(count)?
            }
            b':' => self.items(3)?,
            b'{' => self.dictionary()?,
            b'c' => self.code()?,
            _ => return None,
        };
        Some(Rc::new(object))
    }

    fn items(&mut self, count: usize) -> Option<Object> {
        // Each item takes at least a byte, so a count beyond the data is a lie.
        if count > self.data.len().saturating_sub(self.at) {
            return None;
        }
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(self.object()?);
        }
        Some(Object::Items(items))
    }

    fn dictionary(&mut self) -> Option<Object> {
        let mut items = Vec::new();
        while self.data.get(self.at) != Some(&b'0') {
            items.push(self.object()?);
            items.push(self.object()?);
        }
        self.at += 1;
        Some(Object::Items(items))
    }

    fn code(&mut self) -> Option<Object> {
        let numbers = match self.layout {
            Layout::Two => 4,
            Layout::Five => 5,
            Layout::Six => 6,
        };
        let arguments = usize::try_from(self.long()?).ok()?;
        self.take((numbers - 1) * 4)?;
        let instructions = match &*self.object()? {
            Object::Bytes(bytes) => bytes.clone(),
            _ => Vec::new(),
        };
        let consts = self.object()?;
        let names = self.object()?;
        let variables = self.object()?;
        let kinds_or_free = self.object()?;
        let is_late = self.layout == Layout::Five && matches!(*kinds_or_free, Object::Bytes(_));
        let mut cells = Vec::new();
        if !is_late {
            cells = vec![self.object()?, kinds_or_free];
        }
        self.object()?;
        let name = self.object()?;
        if is_late {
            self.object()?;
        }
        self.long()?;
        self.object()?;
        if is_late {
            self.object()?;
        }
        self.era = match self.layout {
            Layout::Two => Era::Old,
            Layout::Six => Era::Eight,
            Layout::Five if is_late => Era::Eleven,
            Layout::Five => Era::Six,
        };
        let arguments = Some(arguments);
        Some(Object::Code(Box::new(Code { arguments, instructions, consts, names, variables, cells, name })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    /// A program of our own, compiled by each version; `testdata/README.md` has its text.
    const BYTECODE: &str = include_str!("../../testdata/bytecode.txt");

    /// A code object of CPython 3.0 to 3.7 whose constants are these.
    fn code(constants: &[u8]) -> Vec<u8> {
        let (head, nothing) = ([&b"c"[..], &[0; 20], b"s\x02\0\0\0d\0"].concat(), b")\0");
        let names = [&nothing[..], nothing, nothing, nothing].concat();
        [&head[..], constants, &names, b"z\0z\0\0\0\0\0z\0"].concat()
    }

    #[test]
    fn files_of_each_version_are_listed() {
        let mut versions = Vec::new();
        for line in BYTECODE.lines() {
            let (version, file) = line.split_once(' ').unwrap();
            let file = STANDARD.decode(file).unwrap();
            assert!(is_pyc(&file), "{version}");
            let header = match version {
                "2.7" => 8,
                "3.6" => 12,
                _ => 16,
            };
            let whole = listing(&file).unwrap_or_else(|| panic!("{version} is not read"));
            assert_eq!(listing(&file[header..]), Some(whole.clone()), "{version}, without its header");
            let parts: &[&str] = match version {
                // Names and constants.
                "2.7" => &[
                    "collections\n",
                    "Counts words.'\n",
                    "def count(self, text, most):\n",
                    "    sorted\n",
                    "10\n",
                ],
                _ => &[
                    "'Counts words.'\n",
                    "import collections\n",
                    "class Counter:\n    kinds = (1, ",
                    "    def count(self, text, most):\n        total = collections.Counter(text.split())\n",
                    "        def heavy():\n            return (total, most)\n",
                    "        return (sorted(total, key=lambda)[",
                    "print(Counter().count('a b c a'))\n",
                ],
            };
            for part in parts.iter().chain(&["text \u{e9}'", "a b c a'"]) {
                assert!(whole.contains(part), "{version} lacks {part:?}: {whole}");
            }
            versions.push(version);
        }
        assert_eq!(versions, ["2.7", "3.6", "3.7", "3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14"]);
    }

    #[test]
    fn constants_are_listed() {
        assert_eq!(listing(&code(b")\x02z\x02hii\x07\0\0\0")).unwrap(), "'hi'\n7\n");
    }

    #[test]
    fn references_cannot_multiply_the_work() {
        // Each pair holds the one before it twice, 2^30 empty ones in all.
        let (pairs, references) = (b"\xa9\x02".repeat(30), (1..=30_u8).rev());
        let references: Vec<u8> = references.flat_map(|slot| [b'r', slot, 0, 0, 0]).collect();
        let all = code(&[&b")\x01"[..], &pairs, b"\xa9\0", &references].concat());
        assert!(listing(&all).is_some_and(|listing| listing.len() < 1 << 20));
    }
}
