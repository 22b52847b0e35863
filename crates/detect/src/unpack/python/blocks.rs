//! Which parts of a Python text are parsed: the top-level statements that hold something of interest, and those
//! that define a name which they use.

use super::LONGEST_PARSED;
use foldhash::fast::RandomState;
use std::collections::{HashMap, HashSet};
use std::ops::Range;

/// A top-level statement with its first line's number less one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) range: Range<usize>,
    pub(super) first_line: u32,
}

/// Most rounds of following names to their definitions.
const MOST_ROUNDS: usize = 4;
/// Most bytes that are selected beyond what has a hit.
const MOST_NEEDED: usize = 512 << 10;
/// Longest name that is followed.
const LONGEST_NAME: usize = 100;

/// The parts to parse, in their order; neighbours are one part.
pub(super) fn select(text: &[u8], hits: &[usize]) -> Vec<Part> {
    let blocks = split(text);
    let mut chosen = vec![false; blocks.len()];
    let mut fresh = Vec::new();
    let mut next_hit = hits.iter().copied().peekable();
    for (at, block) in blocks.iter().enumerate() {
        let mut is_hit = false;
        while next_hit.next_if(|hit| *hit < block.range.end).is_some() {
            is_hit = true;
        }
        if is_hit {
            mark(&mut chosen, at);
            fresh.push(at);
        }
    }
    use_of_hits(text, &blocks, &mut chosen, &mut fresh);
    follow(text, &blocks, &mut chosen, fresh);
    merge(&blocks, &chosen)
}

fn mark(chosen: &mut [bool], at: usize) {
    if let Some(chosen) = chosen.get_mut(at) {
        *chosen = true;
    }
}

/// Chooses the blocks that use what a hit gave a name of its own: `from os import system as s`, `e = eval(…)`.
fn use_of_hits(text: &[u8], blocks: &[Part], chosen: &mut [bool], fresh: &mut Vec<usize>) {
    const KEYWORDS: [&[u8]; 10] =
        [b"def", b"class", b"async", b"if", b"for", b"while", b"try", b"with", b"import", b"return"];
    let mut names: HashSet<&[u8], RandomState> = HashSet::default();
    for block in fresh.iter().filter_map(|&at| blocks.get(at)) {
        let source = text.get(block.range.clone()).unwrap_or_default();
        let first = words(source).next().unwrap_or_default();
        if first == b"from" {
            names.extend(words(source).skip_while(|word| *word != b"import").skip(1).take(24));
        } else if !KEYWORDS.contains(&first) {
            names.extend(defined(source));
        }
    }
    names.remove(&b"as"[..]);
    if names.is_empty() {
        return;
    }
    let mut budget = MOST_NEEDED;
    for (at, block) in blocks.iter().enumerate() {
        let length = block.range.len();
        if chosen.get(at) == Some(&false) && length <= budget {
            let source = text.get(block.range.clone()).unwrap_or_default();
            if words(source).any(|word| names.contains(word)) {
                budget -= length;
                mark(chosen, at);
                fresh.push(at);
            }
        }
    }
}

/// Chooses the blocks that define what the chosen ones use.
fn follow(text: &[u8], blocks: &[Part], chosen: &mut [bool], mut fresh: Vec<usize>) {
    let mut definitions: HashMap<&[u8], Vec<usize>, RandomState> = HashMap::default();
    for (at, block) in blocks.iter().enumerate() {
        for name in defined(text.get(block.range.clone()).unwrap_or_default()) {
            definitions.entry(name).or_default().push(at);
        }
    }
    let mut budget = MOST_NEEDED;
    let mut followed: HashSet<&[u8], RandomState> = HashSet::default();
    for _ in 0..MOST_ROUNDS {
        let mut found = Vec::new();
        for at in std::mem::take(&mut fresh) {
            let Some(block) = blocks.get(at) else { continue };
            for word in words(text.get(block.range.clone()).unwrap_or_default()) {
                if !definitions.contains_key(word) || !followed.insert(word) {
                    continue;
                }
                found.extend(definitions.get(word).into_iter().flatten().copied());
            }
        }
        for at in found {
            let length = blocks.get(at).map_or(0, |block| block.range.len());
            if chosen.get(at) == Some(&false) && length <= budget {
                budget -= length;
                mark(chosen, at);
                fresh.push(at);
            }
        }
        if fresh.is_empty() {
            break;
        }
    }
}

/// Neighbouring chosen blocks as one part, unless it gets too long.
fn merge(blocks: &[Part], chosen: &[bool]) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for (block, _) in blocks.iter().zip(chosen).filter(|(_, chosen)| **chosen) {
        match parts.last_mut() {
            Some(last)
                if last.range.end == block.range.start
                    && block.range.end - last.range.start <= LONGEST_PARSED =>
            {
                last.range.end = block.range.end;
            }
            _ => parts.push(block.clone()),
        }
    }
    parts
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// Everything that could be a name, inside of strings too: packers look names up by text.
fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&byte| !is_word(byte)).filter(|word| !word.is_empty() && word.len() <= LONGEST_NAME)
}

/// Names that a top-level statement defines: what stands before its first `=`, or behind `def`, `class`, `import`.
fn defined(block: &[u8]) -> Vec<&[u8]> {
    let line_end = memchr::memchr(b'\n', block).unwrap_or(block.len()).min(4096);
    let line = block.get(..line_end).unwrap_or(block);
    let mut heads = words(line);
    match heads.next() {
        Some(b"def" | b"class") => heads.next().into_iter().collect(),
        Some(b"async") => heads.nth(1).into_iter().collect(),
        Some(b"import" | b"from") => words(line).skip(1).take(24).collect(),
        Some(b"if" | b"for" | b"while" | b"try" | b"with") => {
            words(block).filter(|word| word.len() > 3).take(64).collect()
        }
        Some(first) => {
            let mut names: Vec<&[u8]> = vec![first];
            for statement in line.split(|&byte| byte == b';').take(16) {
                if let Some(equals) = memchr::memchr(b'=', statement) {
                    names.extend(words(statement.get(..equals).unwrap_or_default()).take(8));
                }
            }
            names
        }
        None => Vec::new(),
    }
}

/// Whether a line at the margin goes on with the statement before it.
fn continues(line: &[u8]) -> bool {
    const WORDS: [&[u8]; 4] = [b"else", b"elif", b"except", b"finally"];
    matches!(line.first(), Some(b')' | b']' | b'}'))
        || WORDS
            .iter()
            .any(|word| line.starts_with(word) && !line.get(word.len()).copied().is_some_and(is_word))
}

/// The top-level statements, told by the margin, outside of strings and brackets.
fn split(text: &[u8]) -> Vec<Part> {
    let mut blocks: Vec<Part> = Vec::new();
    let mut scan = Scan { text, at: 0, line: 0, depth: 0 };
    let mut is_decorated = false;
    while scan.at < text.len() {
        let (start, first_line) = (scan.at, scan.line);
        let line = text.get(start..).unwrap_or_default();
        let is_margin = line.first().is_some_and(|byte| !byte.is_ascii_whitespace() && *byte != b'#');
        let starts = is_margin && !continues(line) && !is_decorated;
        if is_margin {
            is_decorated = line.starts_with(b"@");
        }
        scan.logical_line();
        match blocks.last_mut() {
            Some(last) if !starts => last.range.end = scan.at,
            _ => blocks.push(Part { range: start..scan.at, first_line }),
        }
    }
    blocks
}

struct Scan<'t> {
    text: &'t [u8],
    at: usize,
    line: u32,
    depth: u32,
}

impl Scan<'_> {
    /// Goes behind the end of the line that ends outside of strings and brackets.
    fn logical_line(&mut self) {
        self.depth = 0;
        while let Some(&byte) = self.text.get(self.at) {
            self.at += 1;
            match byte {
                b'\n' => {
                    self.line += 1;
                    if self.depth == 0 || self.starts_anew() {
                        return;
                    }
                }
                b'\\' => {
                    if self.text.get(self.at) == Some(&b'\n') {
                        self.line += 1;
                    }
                    self.at += 1;
                }
                b'(' | b'[' | b'{' => self.depth += 1,
                b')' | b']' | b'}' => self.depth = self.depth.saturating_sub(1),
                b'#' => {
                    let rest = self.text.get(self.at..).unwrap_or_default();
                    self.at += memchr::memchr(b'\n', rest).unwrap_or(rest.len());
                }
                b'\'' | b'"' => self.string(byte),
                _ => {}
            }
        }
    }

    /// In brackets that are never closed, a new definition at the margin ends them.
    fn starts_anew(&self) -> bool {
        const WORDS: [&[u8]; 4] = [b"def ", b"class ", b"import ", b"from "];
        let rest = self.text.get(self.at..).unwrap_or_default();
        WORDS.iter().any(|word| rest.starts_with(word))
    }

    fn string(&mut self, quote: u8) {
        let is_triple = self.text.get(self.at..self.at + 2) == Some(&[quote; 2]);
        if is_triple {
            self.at += 2;
        }
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            let Some(skipped) = memchr::memchr3(quote, b'\\', b'\n', rest) else {
                self.at = self.text.len();
                return;
            };
            self.at += skipped + 1;
            match rest.get(skipped) {
                Some(b'\\') => {
                    if self.text.get(self.at) == Some(&b'\n') {
                        self.line += 1;
                    }
                    self.at += 1;
                }
                Some(b'\n') if is_triple => self.line += 1,
                Some(b'\n') => {
                    // The string was never closed; the line ends here.
                    self.at -= 1;
                    return;
                }
                _ if !is_triple => return,
                _ if self.text.get(self.at..self.at + 2) == Some(&[quote; 2]) => {
                    self.at += 2;
                    return;
                }
                _ => {}
            }
        }
    }
}
