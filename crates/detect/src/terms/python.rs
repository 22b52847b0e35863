//! Python in terms: names resolved to what they import, names of the script's own folded, strings in words.

use super::flows::{self, Flow, Sinks, Sources};
use super::{Collector, HashedMap, Terms, hash, join, without, words};
use std::borrow::Cow;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Name,
    Number,
    /// `start` and `end` of the token are those of the content.
    Text,
    Sign(u8),
    /// End of a line outside brackets.
    Line,
}

#[derive(Debug, Clone, Copy)]
struct Token {
    kind: Kind,
    start: u32,
    end: u32,
}

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bound {
    /// Something imported or built in, by the hash of its dotted path.
    Path(u64),
    /// Something of the script's own.
    Own,
}

/// Tag of names and of parts of dotted paths.
pub(super) const NAME: u8 = b'n';
/// Tag of attributes.
pub(super) const ATTRIBUTE: u8 = b'.';
/// Tag of keyword arguments.
const KEYWORD: u8 = b'=';
/// Tag of signs and marks.
const SIGN: u8 = b'+';

pub(super) fn read(text: &[u8]) -> Terms<'_> {
    let (tokens, comments) = lex(text);
    let reader = Reader { text, tokens: &tokens, bound: HashedMap::default() }.bind();
    let (terms, flows) = reader.terms();
    Terms { terms, flows, said: Cow::Borrowed(text), code: without(text, &comments) }
}

/// Where the comments of a text stand.
pub(super) fn comments(text: &[u8]) -> Vec<(u32, u32)> {
    let (_, mut silent) = lex(text);
    silent.retain(|(start, _)| text.get(*start as usize) == Some(&b'#'));
    silent
}

/// Splits into tokens; also the stretches that say nothing to the interpreter.
fn lex(text: &[u8]) -> (Vec<Token>, Vec<(u32, u32)>) {
    let mut tokens: Vec<Token> = Vec::with_capacity(text.len() / 4);
    let mut silent = Vec::new();
    let mut depth = 0_u32;
    let mut at = usize::from(text.starts_with(b"\xef\xbb\xbf")) * 3;
    let place = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    while let Some(&byte) = text.get(at) {
        let start = at;
        let mut kind = None;
        at = match byte {
            b'#' => {
                let end = at + words::run(&text[at..], |byte| byte != b'\n');
                silent.push((place(at), place(end)));
                end
            }
            b'\n' => {
                if depth == 0 && tokens.last().is_some_and(|last| last.kind != Kind::Line) {
                    kind = Some(Kind::Line);
                }
                at + 1
            }
            b'\\' => at + 1,
            b'\'' | b'"' => {
                let (token, end) = string(text, at);
                let is_bare = tokens.last().is_none_or(|last| matches!(last.kind, Kind::Line));
                if is_bare && depth == 0 && ends_statement(text, end) {
                    silent.push((place(start), place(end)));
                } else {
                    tokens.push(token);
                }
                at = end;
                continue;
            }
            b'0'..=b'9' => {
                kind = Some(Kind::Number);
                at + words::run(&text[at..], |byte| words::is_word(byte) || byte == b'.')
            }
            _ if words::is_word(byte) || byte >= 0x80 => {
                let end = at + words::run(&text[at..], |byte| words::is_word(byte) || byte >= 0x80);
                let is_prefix = end - at <= 3 && matches!(text.get(end), Some(b'\'' | b'"'));
                kind = (!is_prefix).then_some(Kind::Name);
                end
            }
            b' ' | b'\t' | b'\r' | 0x0b | 0x0c | 0 => at + 1,
            _ => {
                match byte {
                    b'(' | b'[' | b'{' => depth += 1,
                    b')' | b']' | b'}' => depth = depth.saturating_sub(1),
                    b';' if depth == 0 => {
                        tokens.push(Token { kind: Kind::Line, start: place(at), end: place(at) })
                    }
                    _ => {}
                }
                kind = (byte != b';').then_some(Kind::Sign(byte));
                at + 1
            }
        };
        if let Some(kind) = kind {
            tokens.push(Token { kind, start: place(start), end: place(at) });
        }
    }
    (tokens, silent)
}

/// The string that opens at `at`, and where it ends. An unclosed one ends with its line, or with the text.
fn string(text: &[u8], at: usize) -> (Token, usize) {
    let quote = text[at];
    let is_triple = text.get(at..at + 3).is_some_and(|three| three.iter().all(|&byte| byte == quote));
    let start = at + if is_triple { 3 } else { 1 };
    let mut end = start;
    let (content_end, after) = loop {
        match text.get(end) {
            None => break (text.len(), text.len()),
            Some(b'\\') => end += 2,
            Some(b'\n') if !is_triple => break (end, end),
            Some(&byte) if byte == quote => {
                if !is_triple {
                    break (end, end + 1);
                }
                if text.get(end..end + 3).is_some_and(|three| three.iter().all(|&byte| byte == quote)) {
                    break (end, end + 3);
                }
                end += 1;
            }
            Some(_) => end += 1,
        }
    };
    let place = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    let start = start.min(content_end);
    (Token { kind: Kind::Text, start: place(start), end: place(content_end) }, after)
}

/// Whether nothing but blanks or a comment follows on the line.
fn ends_statement(text: &[u8], at: usize) -> bool {
    let rest = text.get(at..).unwrap_or_default();
    let blanks = words::run(rest, |byte| matches!(byte, b' ' | b'\t' | b'\r'));
    matches!(rest.get(blanks), None | Some(b'\n' | b'#'))
}

struct Reader<'t> {
    text: &'t [u8],
    tokens: &'t [Token],
    bound: HashedMap<Bound>,
}

impl Reader<'_> {
    fn bytes(&self, at: usize) -> &[u8] {
        let span = self.tokens.get(at).map(|token| token.start as usize..token.end as usize);
        span.and_then(|span| self.text.get(span)).unwrap_or_default()
    }

    fn kind(&self, at: usize) -> Option<Kind> {
        self.tokens.get(at).map(|token| token.kind)
    }

    fn is_sign(&self, at: usize, sign: u8) -> bool {
        self.kind(at) == Some(Kind::Sign(sign))
    }

    /// The name at a token, as a part of a path.
    fn name(&self, at: usize) -> Option<u64> {
        (self.kind(at) == Some(Kind::Name)).then(|| hash(NAME, self.bytes(at)))
    }

    /// Learns what names stand for.
    fn bind(mut self) -> Self {
        let mut at = 0;
        let mut starts = true;
        while at < self.tokens.len() {
            let started = std::mem::replace(&mut starts, false);
            match self.tokens[at].kind {
                Kind::Line | Kind::Sign(b':') => starts = true,
                Kind::Name => match self.bytes(at) {
                    b"import" if started => at = self.bind_imports(at + 1),
                    b"from" if started => at = self.bind_members(at + 1),
                    b"def" => at = self.bind_definition(at + 1),
                    b"class" => {
                        self.bind_own(at + 1);
                        at += 1;
                    }
                    b"lambda" => at = self.bind_until(at + 1, |reader, at| reader.is_sign(at, b':')),
                    b"for" => at = self.bind_until(at + 1, |reader, at| reader.bytes(at) == b"in"),
                    b"as" => self.bind_own(at + 1),
                    b"async" => starts = started,
                    _ if started => self.bind_targets(at),
                    _ if self.is_sign(at + 1, b':') && self.is_sign(at + 2, b'=') => self.bind_own(at),
                    _ => {}
                },
                _ => {}
            }
            at += 1;
        }
        self
    }

    fn bind_own(&mut self, at: usize) {
        if let Some(name) = self.name(at) {
            self.bound.entry(name).or_insert(Bound::Own);
        }
    }

    /// `a.b as c, d`: the token behind.
    fn bind_imports(&mut self, mut at: usize) -> usize {
        while let Some(root) = self.name(at) {
            let (path, behind) = self.path(at, root);
            at = behind;
            if self.bytes(at) == b"as" {
                if let Some(alias) = self.name(at + 1) {
                    self.bound.insert(alias, Bound::Path(path));
                }
                at += 2;
            } else {
                self.bound.insert(root, Bound::Path(root));
            }
            if !self.is_sign(at, b',') {
                break;
            }
            at += 1;
        }
        at.saturating_sub(1)
    }

    /// `a.b import c as d, (e)`: the token behind.
    fn bind_members(&mut self, mut at: usize) -> usize {
        let is_relative = self.is_sign(at, b'.');
        while self.is_sign(at, b'.') {
            at += 1;
        }
        let Some(root) = self.name(at) else { return at };
        let (path, behind) = self.path(at, root);
        at = behind + 1;
        if self.is_sign(at, b'(') {
            at += 1;
        }
        while let Some(member) = self.name(at) {
            let bound = if is_relative { Bound::Own } else { Bound::Path(join(path, member)) };
            at += 1;
            let mut known_as = member;
            if self.bytes(at) == b"as" {
                known_as = self.name(at + 1).unwrap_or(member);
                at += 2;
            }
            self.bound.insert(known_as, bound);
            if !self.is_sign(at, b',') {
                break;
            }
            at += 1;
        }
        at.saturating_sub(1)
    }

    /// The hash of the dotted path from `at`, and the token behind.
    fn path(&self, mut at: usize, root: u64) -> (u64, usize) {
        let mut path = root;
        at += 1;
        while self.is_sign(at, b'.') {
            let Some(part) = self.name(at + 1) else { break };
            path = join(path, part);
            at += 2;
        }
        (path, at)
    }

    fn bind_definition(&mut self, at: usize) -> usize {
        self.bind_own(at);
        let mut inside = at + 1;
        let mut depth = 0_u32;
        while let Some(kind) = self.kind(inside) {
            match kind {
                Kind::Sign(b'(' | b'[' | b'{') => depth += 1,
                Kind::Sign(b')' | b']' | b'}') => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        break;
                    }
                }
                Kind::Line => break,
                Kind::Name
                    if depth == 1
                        && matches!(self.kind(inside - 1), Some(Kind::Sign(b'(' | b',' | b'*'))) =>
                {
                    self.bind_own(inside);
                }
                _ => {}
            }
            inside += 1;
        }
        inside
    }

    /// Binds the names up to the token that ends them; bounded, since the end may be missing.
    fn bind_until(&mut self, start: usize, ends: impl Fn(&Self, usize) -> bool) -> usize {
        let mut at = start;
        while at < start + 24 && !ends(self, at) {
            match self.kind(at) {
                None | Some(Kind::Line) => break,
                Some(Kind::Name)
                    if !self.is_sign(at + 1, b'.') && !self.is_sign(at.wrapping_sub(1), b'=') =>
                {
                    self.bind_own(at);
                }
                _ => {}
            }
            at += 1;
        }
        at
    }

    /// `a, b = …` and `a: T = …`. A name that stands for something imported or built in keeps standing for it.
    fn bind_targets(&mut self, start: usize) {
        let mut at = start;
        while self.kind(at) == Some(Kind::Name) && self.is_sign(at + 1, b',') && at < start + 24 {
            at += 2;
        }
        if self.kind(at) != Some(Kind::Name) {
            return;
        }
        let is_annotated = self.is_sign(at + 1, b':') && self.kind(at + 2) == Some(Kind::Name);
        let is_assigned = self.is_sign(at + 1, b'=') && !self.is_sign(at + 2, b'=');
        if at == start
            && is_assigned
            && let Some((name, path)) = self.alias(at)
        {
            self.bound.entry(name).or_insert(Bound::Path(path));
            return;
        }
        if is_assigned || is_annotated {
            (start..=at).step_by(2).for_each(|target| self.bind_own(target));
        }
    }

    /// `e = exec`, `run = subprocess.run`: the name and what it stands for.
    fn alias(&self, at: usize) -> Option<(u64, u64)> {
        let root = self.name(at + 2)?;
        let root = match self.bound.get(&root) {
            Some(Bound::Path(path)) => *path,
            Some(Bound::Own) => return None,
            None if is_built_in(self.bytes(at + 2)) => root,
            None => return None,
        };
        let (path, behind) = self.path(at + 2, root);
        matches!(self.kind(behind), None | Some(Kind::Line)).then_some((self.name(at)?, path))
    }

    fn terms(&self) -> (Vec<super::Term>, Vec<(u32, Flow)>) {
        let mut out = Collector::default();
        out.terms.reserve(self.tokens.len());
        let mut values = Values::default();
        let mut depth = 0_u32;
        // The path that a following dot goes on from.
        let mut chain: Option<u64> = None;
        let mut at = 0;
        while let Some(&token) = self.tokens.get(at) {
            let start = token.start as usize;
            match token.kind {
                Kind::Line => {
                    values.end_statement();
                    chain = None;
                }
                Kind::Number => {
                    out.push(start, hash(SIGN, b"0"));
                    chain = None;
                }
                Kind::Text => {
                    values.sources |= flows::sources_of_text(self.bytes(at));
                    words::add(self.bytes(at), start, &mut out);
                    chain = None;
                }
                Kind::Sign(sign) => {
                    match sign {
                        b'(' | b'[' | b'{' => depth += 1,
                        b')' | b']' | b'}' => depth = depth.saturating_sub(1),
                        b'=' if depth == 0 && self.is_assignment(at) => values.assign(),
                        b':' if depth == 0 => values.end_statement(),
                        _ => {}
                    }
                    // Dots belong to the attribute behind them, and commas say nothing.
                    if sign != b'.' {
                        if sign != b',' {
                            out.push(start, hash(SIGN, &[sign]));
                        }
                        chain = None;
                    }
                }
                Kind::Name => {
                    let first = out.terms.len();
                    let name = hash(NAME, self.bytes(at));
                    (chain, at) = self.add_name(at, chain, depth, &mut out);
                    for term in out.terms.get(first..).unwrap_or_default() {
                        values.meet(token.start, flows::role(term.hash), self.is_sign(at + 1, b'('));
                    }
                    if !self.is_sign(at.wrapping_sub(1), b'.') {
                        values.use_name(name, self.bytes(at));
                    }
                }
            }
            at += 1;
        }
        values.end_statement();
        (out.terms, values.flows)
    }

    fn is_assignment(&self, at: usize) -> bool {
        let before = self.kind(at.wrapping_sub(1));
        !self.is_sign(at + 1, b'=') && !matches!(before, Some(Kind::Sign(b'=' | b'!' | b'<' | b'>')))
    }

    /// Adds the term of a name; the path it stands for, and the last token that belongs to it.
    fn add_name(
        &self,
        at: usize,
        chain: Option<u64>,
        depth: u32,
        out: &mut Collector,
    ) -> (Option<u64>, usize) {
        let bytes = self.bytes(at);
        let start = self.tokens.get(at).map_or(0, |token| token.start as usize);
        let name = hash(NAME, bytes);
        if at > 0 && self.is_sign(at - 1, b'.') {
            return (self.add_attribute(start, bytes, name, chain, out), at);
        }
        if depth > 0 && self.is_sign(at + 1, b'=') && !self.is_sign(at + 2, b'=') {
            out.push(start, hash(KEYWORD, bytes));
            return (None, at);
        }
        if matches!(bytes, b"__import__" | b"import_module")
            && self.is_sign(at + 1, b'(')
            && self.kind(at + 2) == Some(Kind::Text)
            && self.is_sign(at + 3, b')')
        {
            out.push_aside(start, hash(NAME, b"__import__"));
            let path = path_of(self.bytes(at + 2));
            out.push(start, path);
            return (Some(path), at + 3);
        }
        if bytes == b"getattr" {
            self.add_named_attribute(at, start, out);
        }
        match self.bound.get(&name) {
            Some(Bound::Path(path)) => {
                out.push(start, *path);
                (Some(*path), at)
            }
            Some(Bound::Own) => {
                out.push(start, hash(SIGN, b"own"));
                (None, at)
            }
            None if matches!(bytes, b"self" | b"cls") => {
                out.push(start, hash(SIGN, b"own"));
                (None, at)
            }
            None => {
                out.push(start, name);
                (Some(name), at)
            }
        }
    }

    fn add_attribute(
        &self,
        start: usize,
        bytes: &[u8],
        name: u64,
        chain: Option<u64>,
        out: &mut Collector,
    ) -> Option<u64> {
        let path = chain.map(|path| join(path, name));
        match path {
            Some(path) => {
                out.push_aside(start, hash(ATTRIBUTE, bytes));
                out.push(start, path);
            }
            None if self.bound.get(&name) == Some(&Bound::Own) => out.push(start, hash(SIGN, b".own")),
            None => out.push(start, hash(ATTRIBUTE, bytes)),
        }
        path
    }

    /// `getattr(x, "name")` names an attribute as `x.name` does.
    fn add_named_attribute(&self, at: usize, start: usize, out: &mut Collector) {
        let comma = (at + 1..at + 12).find(|&at| self.is_sign(at, b','));
        if let Some(comma) = comma.filter(|&comma| self.kind(comma + 1) == Some(Kind::Text)) {
            out.push_aside(start, hash(ATTRIBUTE, self.bytes(comma + 1)));
        }
    }
}

/// What names hold, from statement to statement.
#[derive(Debug, Default)]
struct Values {
    held: HashedMap<Sources>,
    flows: Vec<(u32, Flow)>,
    /// Names of the statement, up to the last equals sign outside brackets: its targets.
    names: Vec<u64>,
    targets: usize,
    sources: Sources,
    sinks: Vec<(u32, Sinks)>,
    /// The function whose body is read.
    function: Option<u64>,
    is_definition: bool,
    is_return: bool,
}

impl Values {
    fn meet(&mut self, at: u32, role: Option<flows::Role>, is_call: bool) {
        let Some(role) = role else { return };
        self.sources |= role.sources;
        if is_call && role.sinks != 0 {
            self.sinks.push((at, role.sinks));
        }
    }

    fn use_name(&mut self, name: u64, bytes: &[u8]) {
        match bytes {
            b"def" => self.is_definition = true,
            b"return" | b"yield" => self.is_return = true,
            _ if self.is_definition => {
                self.function = Some(name);
                self.is_definition = false;
            }
            b"as" => self.targets = usize::MAX,
            _ if self.targets == usize::MAX => {
                // `with … as NAME` assigns backwards.
                let held = self.held.entry(name).or_default();
                *held |= self.sources;
                self.targets = 0;
            }
            _ => {
                self.sources |= self.held.get(&name).copied().unwrap_or(0);
                if self.names.len() < 64 {
                    self.names.push(name);
                }
            }
        }
    }

    fn assign(&mut self) {
        self.targets = self.names.len();
        self.sources = 0;
    }

    fn end_statement(&mut self) {
        let sources = self.sources;
        if sources != 0 {
            for &(at, sinks) in &self.sinks {
                self.flows.extend(flows::flows(sources, sinks).map(|flow| (at, flow)));
            }
            let targets = self.names.get(..self.targets.min(self.names.len())).unwrap_or_default();
            for target in targets {
                *self.held.entry(*target).or_default() |= sources;
            }
            if let Some(function) = self.function.filter(|_| self.is_return) {
                *self.held.entry(function).or_default() |= sources;
            }
        }
        self.names.clear();
        self.sinks.clear();
        (self.targets, self.sources) = (0, 0);
        (self.is_return, self.is_definition) = (false, false);
    }
}

/// The hash of a dotted path in a string.
fn path_of(text: &[u8]) -> u64 {
    text.split(|&byte| byte == b'.').map(|part| hash(NAME, part)).reduce(join).unwrap_or(0)
}

fn is_built_in(name: &[u8]) -> bool {
    matches!(
        name,
        b"exec"
            | b"eval"
            | b"compile"
            | b"__import__"
            | b"getattr"
            | b"open"
            | b"chr"
            | b"ord"
            | b"bytes"
            | b"bytearray"
            | b"map"
            | b"input"
            | b"print"
            | b"globals"
            | b"locals"
            | b"vars"
            | b"__builtins__"
            | b"execfile"
            | b"setattr"
            | b"type"
            | b"str"
            | b"int"
    )
}
