//! The inside of strings: words, signs, and marks for encoded data.

use super::{Collector, hash};

/// Shortest run of base64 or hexadecimal letters that is one mark. Names and paths are shorter.
const SHORTEST_BLOB: usize = 60;

/// Tag of terms that come from strings.
const TAG: u8 = b's';
/// Tag of encoded data.
const BLOB: u8 = 0x01;
/// Tag of runs of escapes.
const ESCAPES: u8 = 0x02;
/// Tag of bytes beyond ASCII.
const FOREIGN: u8 = 0x03;

/// Adds the terms of a string's content, which begins at `start`.
pub(super) fn add(text: &[u8], start: usize, out: &mut Collector) {
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        let rest = &text[at..];
        let (term, length) = match byte {
            b' ' | b'\t' | b'\r' | b'\n' | 0 => (None, 1),
            b'\\' if rest.get(1) == Some(&b'x') => {
                let length = escapes(rest);
                (Some(hash(ESCAPES, &[magnitude(length)])), length)
            }
            b'\\' => (None, rest.len().min(2)),
            b'0'..=b'9' | b'l' | b'L' if let Some((kind, length)) = address(rest) => {
                (Some(hash(TAG, kind)), length)
            }
            0x80.. => (Some(hash(FOREIGN, b"")), run(rest, |byte| byte >= 0x80)),
            _ if is_blob_letter(byte) => word_or_blob(rest),
            b'_' => (Some(hash(TAG, &rest[..run(rest, is_word)])), run(rest, is_word)),
            _ => (Some(hash(TAG, &[byte])), 1),
        };
        if let Some(term) = term {
            out.push(start + at, term);
        }
        at += length.max(1);
    }
}

/// The kind of the own machine's addresses.
const LOOPBACK: &[u8] = b"(loopback)";

/// What kind of place an IPv4 address or the name of this machine stands for, and its length: a health check asks
/// the own machine, an attack another.
pub(super) fn address(rest: &[u8]) -> Option<(&'static [u8], usize)> {
    if rest.get(..9).is_some_and(|name| name.eq_ignore_ascii_case(b"localhost")) {
        return Some((LOOPBACK, 9));
    }
    let mut octets = [0_u16; 4];
    let mut at = 0;
    for (index, octet) in octets.iter_mut().enumerate() {
        if index > 0 {
            if rest.get(at) != Some(&b'.') {
                return None;
            }
            at += 1;
        }
        let digits = run(rest.get(at..)?, |byte| byte.is_ascii_digit());
        let text = rest.get(at..at + digits).filter(|_| (1..=3).contains(&digits))?;
        *octet = text.iter().fold(0, |value, digit| value * 10 + u16::from(digit - b'0'));
        at += digits;
    }
    if rest.get(at).is_some_and(|&byte| is_word(byte)) || octets.iter().any(|&octet| octet > 255) {
        return None;
    }
    let kind: &[u8] = match octets {
        [127, ..] | [0, 0, 0, 0] => LOOPBACK,
        [10, ..] | [192, 168, ..] | [172, 16..=31, ..] => b"(private)",
        [169, 254, 169 | 170, _] => b"(metadata)",
        _ => b"(address)",
    };
    Some((kind, at))
}

fn word_or_blob(rest: &[u8]) -> (Option<u64>, usize) {
    let blob = run(rest, is_blob_letter);
    if blob >= SHORTEST_BLOB {
        return (Some(hash(BLOB, &[magnitude(blob)])), blob);
    }
    let word = run(rest, is_word);
    match word {
        0 => (rest.first().map(|byte| hash(TAG, &[*byte])), 1),
        _ => (Some(hash(TAG, &rest[..word])), word),
    }
}

/// A letter for the size of a length: one step for each factor of four.
pub(super) fn magnitude(length: usize) -> u8 {
    b'a' + u8::try_from(length.max(1).ilog2() / 2).unwrap_or(0)
}

pub(super) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn is_blob_letter(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')
}

pub(super) fn run(bytes: &[u8], holds: impl Fn(u8) -> bool) -> usize {
    bytes.iter().position(|&byte| !holds(byte)).unwrap_or(bytes.len())
}

/// Length of a run of `\xHH`.
fn escapes(bytes: &[u8]) -> usize {
    let mut length = 0;
    while let [b'\\', b'x', rest @ ..] = &bytes[length..] {
        length += 2 + run(&rest[..rest.len().min(2)], |byte| byte.is_ascii_hexdigit());
    }
    length
}
