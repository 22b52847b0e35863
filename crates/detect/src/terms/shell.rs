//! Shell in terms: words without their quotes, names of the script's own folded.

use super::{Collector, HashedMap, Terms, hash, without, words};
use std::borrow::Cow;
use std::collections::HashSet;

/// Tag of words and signs.
const WORD: u8 = b'w';
/// Tag of variables.
const VARIABLE: u8 = b'$';
/// Tag of options.
const OPTION: u8 = b'-';

/// Shortest run of base64 or hexadecimal letters that is one mark.
const SHORTEST_BLOB: usize = 60;

/// Words behind which a command begins.
const BEFORE_COMMANDS: [&[u8]; 9] =
    [b"then", b"do", b"else", b"if", b"while", b"exec", b"sudo", b"nohup", b"eval"];

/// Longest name of a command that is looked for in a variable.
const LONGEST_COMMAND: usize = 32;

pub(super) fn read(text: &[u8]) -> Terms<'_> {
    let (own, commands) = own_names(text);
    let mut lexer =
        Lexer { text, own, commands, out: Collector::default(), silent: Vec::new(), word: Vec::new() };
    lexer.run();
    let code = without(text, &lexer.silent);
    Terms { terms: lexer.out.terms, flows: Vec::new(), said: Cow::Borrowed(text), code }
}

/// Variables that the text assigns and functions that it defines; also, of each variable that is always the same command,
/// that command.
fn own_names(text: &[u8]) -> (HashSet<u64>, HashedMap<Option<u64>>) {
    let mut own = HashSet::new();
    let mut commands: HashedMap<Option<u64>> = HashedMap::default();
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
            let variable = hash(VARIABLE, word);
            let command = behind.strip_prefix(b"=").and_then(command);
            let known = *commands.entry(variable).or_insert(command);
            if known != command {
                commands.insert(variable, None);
            }
            own.insert(variable);
        }
        at += length;
        if matches!(word, b"for" | b"read") && behind.first() == Some(&b' ') {
            let name = &behind[1..1 + words::run(&behind[1..], words::is_word)];
            own.insert(hash(VARIABLE, name));
        }
    }
    (own, commands)
}

/// The command that a value begins with, without its quotes and its path: `"/usr/bin/cu"'rl -s'` is `curl`.
fn command(value: &[u8]) -> Option<u64> {
    let mut quote = 0_u8;
    let mut name = Vec::new();
    for &byte in value.iter().take(2 * LONGEST_COMMAND) {
        match byte {
            b'\'' | b'"' if quote == byte => quote = 0,
            b'\'' | b'"' if quote == 0 => quote = byte,
            b'/' => name.clear(),
            b' ' | b'\t' | b'\n' | b';' | b'&' | b'|' | b')' => break,
            _ if words::is_word(byte) => name.push(byte),
            _ => return None,
        }
    }
    (2..=LONGEST_COMMAND).contains(&name.len()).then(|| hash(WORD, &name))
}

struct Lexer<'t> {
    text: &'t [u8],
    own: HashSet<u64>,
    commands: HashedMap<Option<u64>>,
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
                // `$'…'` is a quote, and not the end of a word.
                b'$' if quote == 0 && rest.get(1) == Some(&b'\'') => at += 1,
                b'$' => {
                    self.flush(word_start);
                    at += self.variable(at);
                }
                b'0'..=b'9' | b'l' | b'L' if self.word.is_empty() && self.add_address(&mut at) => {}
                _ if words::is_word(byte) => at += self.letters(at),
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

    /// Adds letters to the word, or a mark where they are encoded data; their length.
    fn letters(&mut self, at: usize) -> usize {
        let rest = &self.text[at..];
        let length = words::run(rest, words::is_word);
        let blob = match length {
            0..=8 => 0,
            _ => words::run(rest, |byte| words::is_word(byte) || matches!(byte, b'+' | b'/' | b'=')),
        };
        if blob >= SHORTEST_BLOB && self.word.is_empty() {
            self.out.push(at, hash(0x01, &[words::magnitude(blob)]));
            return blob;
        }
        self.word.extend_from_slice(&rest[..length.min(256)]);
        length
    }

    /// Adds an address and goes behind it, if one begins here.
    fn add_address(&mut self, at: &mut usize) -> bool {
        let Some((kind, length)) = self.text.get(*at..).and_then(words::address) else { return false };
        self.out.push(*at, hash(WORD, kind));
        *at += length;
        true
    }

    /// Whether what stands here is the name of a command.
    fn begins_command(&self, at: usize) -> bool {
        let line = self.text.get(..at).unwrap_or_default();
        let line = line.get(line.len().saturating_sub(2 * LONGEST_COMMAND)..).unwrap_or_default();
        let blanks = line.iter().rev().take_while(|byte| matches!(byte, b' ' | b'\t' | b'"')).count();
        let before = &line[..line.len() - blanks];
        match before.last() {
            None => true,
            Some(b'\n' | b';' | b'|' | b'&' | b'(' | b'{' | b'`') => true,
            _ => BEFORE_COMMANDS.iter().any(|word| before.ends_with(word)),
        }
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
        // `${name}` is `$name`.
        let close = usize::from(brace == 1 && name.get(length) == Some(&b'}'));
        let whole = 1 + brace + length + close;
        let term = hash(VARIABLE, &name[..length]);
        if let Some(&Some(command)) = self.commands.get(&term)
            && self.begins_command(at)
        {
            self.out.push(at, command);
            self.out.push_aside(at, hash(VARIABLE, b"(command)"));
            return whole;
        }
        let term = if self.own.contains(&term) { hash(VARIABLE, b"(own)") } else { term };
        self.out.push(at, term);
        whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether both texts say the same, but for marks that stand beside.
    fn check(disguised: &str, plain: &str) {
        let words = |text: &str| {
            let read = super::super::read(evidence::Language::Shell, text.as_bytes());
            let terms = read.terms.into_iter().filter(|term| !term.is_aside);
            let is_own = |hash: u64| hash == super::hash(VARIABLE, b"OWN");
            let own = hash(VARIABLE, b"(own)");
            terms.map(|term| if is_own(term.hash) { own } else { term.hash }).collect::<Vec<_>>()
        };
        let (disguised, plain) = (words(disguised), words(plain));
        assert!(disguised.ends_with(&plain), "{disguised:?} {plain:?}");
    }

    #[test]
    fn escaped_words_are_read() {
        check(r"$'\x63\165rl' -s x | $'sh'", "curl -s x | sh");
        check(r"cu$'\x72'l x", "curl x");
    }

    #[test]
    fn a_variable_that_is_a_command_is_that_command() {
        check("c='cu'\"rl\"\n${c} -s x", "\ncurl -s x");
        check("c=/usr/bin/curl; if true; then \"$c\" x; fi", "; if true; then curl x; fi");
        check("c=a1; c=b1; $c x", "$OWN x");
        check("c=curl; echo $c", "; echo $OWN");
    }
}
