//! Terms: what a text says to its interpreter, as a sequence of hashes with their places.
//!
//! Comments, documentation strings, layout, letter case, quoting and the names that a script chooses itself are left
//! out or folded together; what it imports, calls and writes in strings stays. So a renamed variable or a
//! stuffed comment changes nothing.
//!
//! Owns: the two lexers. They accept any bytes and take linear time. Refuses: grammar, weights.

mod escapes;
mod flows;
mod python;
mod shell;
mod words;

pub(crate) use flows::Flow;

use escapes::Decoded;
use evidence::Language;
use std::borrow::Cow;
use std::collections::HashMap;

/// A term and where it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Term {
    /// What it is.
    pub(crate) hash: u64,
    /// Offset of its first byte.
    pub(crate) at: u32,
    /// Whether it stands beside the sequence: it is a feature, and no neighbour of the terms around it.
    pub(crate) is_aside: bool,
}

/// A text in terms.
#[derive(Debug)]
pub(crate) struct Terms<'t> {
    /// The terms, by ascending place.
    pub(crate) terms: Vec<Term>,
    /// What happens to values, by ascending place.
    pub(crate) flows: Vec<(u32, Flow)>,
    /// The text with its escaped letters decoded; of the same lines.
    pub(crate) said: Cow<'t, [u8]>,
    /// The same with blanks in place of comments and documentation.
    pub(crate) code: Cow<'t, [u8]>,
}

/// Reads a text as its interpreter would.
pub(crate) fn read(language: Language, text: &[u8]) -> Terms<'_> {
    // Offsets have 32 bits; the rest of a longer text is not judged, and nobody passes one.
    let text = text.get(..text.len().min(u32::MAX as usize)).unwrap_or(text);
    let Some(Decoded { text, runs }) = escapes::decode(text) else { return read_decoded(language, text) };
    let Terms { mut terms, flows, code, .. } = read_decoded(language, &text);
    let code = Cow::Owned(code.into_owned());
    let mark = |&at: &usize| Term { hash: hash(ESCAPED, b""), at: place(at), is_aside: true };
    terms.extend(runs.iter().map(mark));
    terms.sort_by_key(|term| term.at);
    Terms { terms, flows, said: Cow::Owned(text), code }
}

fn read_decoded(language: Language, text: &[u8]) -> Terms<'_> {
    match language {
        Language::Python => python::read(text),
        Language::Shell => shell::read(text),
    }
}

fn place(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// Tag of runs of escaped letters.
const ESCAPED: u8 = b'\\';

/// Python with blanks in place of its comments.
pub(crate) fn python_without_comments(text: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'#', text).is_none() {
        return Cow::Borrowed(text);
    }
    without(text, &python::comments(text))
}

/// Blanks stretches of a text, which keeps its lines.
fn without<'t>(text: &'t [u8], stretches: &[(u32, u32)]) -> Cow<'t, [u8]> {
    if stretches.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut code = text.to_vec();
    for &(start, end) in stretches {
        let stretch = code.get_mut(start as usize..end as usize).unwrap_or_default();
        stretch.iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
    }
    Cow::Owned(code)
}

/// Hash of a word, letters of both cases alike, each run of digits one zero.
fn hash(tag: u8, word: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325 ^ u64::from(tag);
    let mut after_digit = false;
    for &byte in word {
        let is_digit = byte.is_ascii_digit();
        if !(is_digit && after_digit) {
            let folded = if is_digit { b'0' } else { byte.to_ascii_lowercase() };
            hash = (hash ^ u64::from(folded)).wrapping_mul(0x100_0000_01b3);
        }
        after_digit = is_digit;
    }
    mix(hash)
}

/// A map from hashes of names. Who knows how names are hashed could choose some that collide in a map, so this one mixes
/// a seed of the process in; what stands in it is looked up and never walked, so that the seed shows nowhere.
type HashedMap<V> = HashMap<u64, V, foldhash::fast::RandomState>;

/// Hash of two hashes in this order.
pub(crate) fn join(first: u64, second: u64) -> u64 {
    mix(first.rotate_left(17) ^ second)
}

/// The finaliser of MurmurHash3 (64 bits), shortened by its last multiplication.
pub(crate) fn mix(mut hash: u64) -> u64 {
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^ hash >> 33
}

/// Collects terms.
#[derive(Debug, Default)]
struct Collector {
    terms: Vec<Term>,
}

impl Collector {
    fn push(&mut self, at: usize, hash: u64) {
        self.terms.push(Term { hash, at: place(at), is_aside: false });
    }

    fn push_aside(&mut self, at: usize, hash: u64) {
        self.terms.push(Term { hash, at: place(at), is_aside: true });
    }
}
