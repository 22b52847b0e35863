//! Python's marshal format and `.pyc` files: code objects as a readable listing of their names, constants and
//! strings. Nothing is executed, and the instructions are not looked at.
//!
//! The format is that of CPython's `Python/marshal.c`, of 2.7 and of 3.4 to 3.14; the four layouts of a code object
//! are told apart by where its bytecode stands.

use std::rc::Rc;

/// Deepest nesting of objects.
const DEEPEST: usize = 40;
/// Most objects of one file.
const MOST_OBJECTS: usize = 200_000;
/// Longest listing in bytes.
const LONGEST_LISTING: usize = 512 << 10;
/// Longest string that is listed whole.
const LONGEST_STRING: usize = 64 << 10;

#[derive(Debug)]
enum Object {
    Other,
    Number(i64),
    Text(String),
    Bytes(Vec<u8>),
    Items(Vec<Rc<Object>>),
    Code(Box<Code>),
}

#[derive(Debug)]
struct Code {
    consts: Rc<Object>,
    names: Rc<Object>,
    variables: Rc<Object>,
    name: Rc<Object>,
}

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
    };
    let object = reader.object()?;
    let mut out = String::new();
    write_code(&object, &mut out, 0);
    (!out.is_empty()).then_some(out)
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
            b'0' | b'N' | b'F' | b'T' | b'S' | b'.' => Object::Other,
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
        self.take(numbers * 4)?;
        self.object()?;
        let consts = self.object()?;
        let names = self.object()?;
        let variables = self.object()?;
        let kinds_or_free = self.object()?;
        let is_late = self.layout == Layout::Five && matches!(*kinds_or_free, Object::Bytes(_));
        if !is_late {
            self.object()?;
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
        Some(Object::Code(Box::new(Code { consts, names, variables, name })))
    }
}

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

/// Writes a code object and those in it: names first, then constants, one a line.
fn write_code(object: &Object, out: &mut String, depth: usize) {
    let Object::Code(code) = object else { return };
    if out.len() > LONGEST_LISTING || depth > DEEPEST {
        return;
    }
    let name = text_of(&code.name).unwrap_or_default();
    let variables: Vec<String> = items_of(&code.variables).iter().filter_map(|name| text_of(name)).collect();
    out.push_str(&format!("def {}({}):\n", clean(&name), variables.join(", ")));
    let names: Vec<String> = items_of(&code.names).iter().filter_map(|name| text_of(name)).collect();
    for name in names {
        push_line(out, &name);
    }
    for constant in items_of(&code.consts) {
        write_constant(constant, out, depth);
    }
    for constant in items_of(&code.consts) {
        write_code(constant, out, depth + 1);
    }
}

fn clean(name: &str) -> String {
    name.chars().filter(|letter| letter.is_alphanumeric() || *letter == '_').collect()
}

fn push_line(out: &mut String, line: &str) {
    if out.len() <= LONGEST_LISTING {
        out.push_str("    ");
        out.push_str(line);
        out.push('\n');
    }
}

fn write_constant(object: &Object, out: &mut String, depth: usize) {
    if depth > DEEPEST || out.len() > LONGEST_LISTING {
        return;
    }
    match object {
        Object::Text(text) => push_line(out, &quoted(text.chars().take(LONGEST_STRING))),
        Object::Bytes(bytes) => {
            let head = bytes.get(..LONGEST_STRING.min(bytes.len())).unwrap_or_default();
            push_line(out, &format!("b'{}'", head.escape_ascii()));
        }
        Object::Number(number) => push_line(out, &number.to_string()),
        Object::Items(items) => items.iter().for_each(|item| write_constant(item, out, depth + 1)),
        Object::Code(_) | Object::Other => {}
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
