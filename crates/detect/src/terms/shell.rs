//! Shell in terms: words without their quotes, names of the script's own folded.

use super::{Collector, Terms, hash, without, words};
use std::collections::HashSet;

/// Tag of words and signs.
const WORD: u8 = b'w';
/// Tag of variables.
const VARIABLE: u8 = b'$';
/// Tag of options.
const OPTION: u8 = b'-';

/// Shortest run of base64 or hexadecimal letters that is one mark.
const SHORTEST_BLOB: usize = 60;

pub(super) fn read(text: &[u8]) -> Terms<'_> {
    let own = own_names(text);
    let mut lexer = Lexer { text, own, out: Collector::default(), silent: Vec::new(), word: Vec::new() };
    lexer.run();
    Terms { terms: lexer.out.terms, flows: Vec::new(), code: without(text, &lexer.silent) }
}

/// Variables that the text assigns and functions that it defines.
fn own_names(text: &[u8]) -> HashSet<u64> {
    let mut own = HashSet::new();
    let mut at = 0;
    while at < text.len() {
        let length = words::run(&text[at..], words::is_word);
        if length == 0 {
            at += 1;
            continue;
        }
        let (word, behind) = (&text[at..at + length], &text[at + length..]);
        let starts = at == 0 || matches!(text[at - 1], b' ' | b'\t' | b'\n' | b';' | b'&' | b'(');
        let is_assigned = matches!(behind, [b'=', ..] | [b'+', b'=', ..]) && !word[0].is_ascii_digit();
        let is_defined = behind.starts_with(b"()") || behind.starts_with(b" ()");
        if starts && is_defined {
            own.insert(hash(WORD, word));
        }
        if starts && is_assigned {
            own.insert(hash(VARIABLE, word));
        }
        at += length;
        if matches!(word, b"for" | b"read") && behind.first() == Some(&b' ') {
            let name = &behind[1..1 + words::run(&behind[1..], words::is_word)];
            own.insert(hash(VARIABLE, name));
        }
    }
    own
}

struct Lexer<'t> {
    text: &'t [u8],
    own: HashSet<u64>,
    out: Collector,
    silent: Vec<(u32, u32)>,
    word: Vec<u8>,
}

impl Lexer<'_> {
    fn run(&mut self) {
        let mut at = usize::from(self.text.starts_with(b"\xef\xbb\xbf")) * 3;
        let mut quote = 0_u8;
        let mut word_start = at;
        while let Some(&byte) = self.text.get(at) {
            let rest = &self.text[at..];
            if self.word.is_empty() {
                word_start = at;
            }
            match byte {
                b'\\' if quote != b'\'' => match rest.get(1) {
                    Some(b'\n') => at += 2,
                    Some(b'x') => {
                        self.word.push(0x02);
                        at += 4;
                    }
                    Some(&next) if words::is_word(next) => {
                        self.word.push(next);
                        at += 2;
                    }
                    _ => at += 1,
                },
                b'\'' | b'"' if quote == byte => {
                    quote = 0;
                    at += 1;
                }
                b'\'' | b'"' if quote == 0 => {
                    quote = byte;
                    at += 1;
                }
                b'#' if quote == 0 && self.opens_comment(at) => {
                    self.flush(word_start);
                    let end = at + words::run(rest, |byte| byte != b'\n');
                    if !rest.starts_with(b"#!") {
                        let place = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
                        self.silent.push((place(at), place(end)));
                    }
                    at = end;
                }
                b'$' => {
                    self.flush(word_start);
                    at += self.variable(at);
                }
                b'0'..=b'9' | b'l' | b'L' if self.word.is_empty() && self.add_address(&mut at) => {}
                _ if words::is_word(byte) => {
                    let length = words::run(rest, words::is_word);
                    let blob = if length > 8 {
                        words::run(rest, |byte| words::is_word(byte) || matches!(byte, b'+' | b'/' | b'='))
                    } else {
                        0
                    };
                    if blob >= SHORTEST_BLOB && self.word.is_empty() {
                        self.out.push(at, hash(0x01, &[words::magnitude(blob)]));
                        at += blob;
                    } else {
                        self.word.extend_from_slice(&rest[..length.min(256)]);
                        at += length;
                    }
                }
                0x80.. => {
                    let length = words::run(rest, |byte| byte >= 0x80);
                    self.word.push(0x80);
                    at += length;
                }
                b'-' if self.word.is_empty()
                    && matches!(self.text.get(at.wrapping_sub(1)), Some(b' ' | b'\t')) =>
                {
                    let length = 1 + words::run(&rest[1..], |byte| words::is_word(byte) || byte == b'-');
                    self.out.push(at, hash(OPTION, &rest[1..length]));
                    at += length;
                }
                _ => {
                    self.flush(word_start);
                    if !matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | 0) {
                        self.out.push(at, hash(WORD, &[byte]));
                    }
                    at += 1;
                }
            }
        }
        self.flush(word_start);
    }

    /// Adds an address and goes behind it, if one begins here.
    fn add_address(&mut self, at: &mut usize) -> bool {
        let Some((kind, length)) = self.text.get(*at..).and_then(words::address) else { return false };
        self.out.push(*at, hash(WORD, kind));
        *at += length;
        true
    }

    fn opens_comment(&self, at: usize) -> bool {
        at == 0 || matches!(self.text.get(at - 1), Some(b' ' | b'\t' | b'\n' | b';'))
    }

    fn flush(&mut self, start: usize) {
        if self.word.is_empty() {
            return;
        }
        let term = hash(WORD, &self.word);
        let term = if self.own.contains(&term) { hash(WORD, b"(own)") } else { term };
        self.out.push(start, term);
        self.word.clear();
    }

    /// Adds the variable at a dollar sign; its length.
    fn variable(&mut self, at: usize) -> usize {
        let rest = &self.text[at + 1..];
        let brace = usize::from(rest.first() == Some(&b'{'));
        let name = &rest[brace..];
        let length = words::run(name, words::is_word);
        if length == 0 {
            self.out.push(at, hash(VARIABLE, &rest[..rest.len().min(1)]));
            return 1;
        }
        let term = hash(VARIABLE, &name[..length]);
        let term = if self.own.contains(&term) { hash(VARIABLE, b"(own)") } else { term };
        self.out.push(at, term);
        1 + brace + length
    }
}
