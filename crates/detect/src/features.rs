//! Features: hashed grams of one to three terms, indicators and their pairs, each present or absent, over overlapping windows.
//!
//! Owns: the mapping from text to buckets, and what a window is. A model is only good for the mapping that
//! it was trained on: change [`VERSION`] with any change here, in `text`, `terms` or `indicators`.
//! Refuses: weights.
//!
//! A text is cut into blocks of whole lines. Two neighbouring blocks make a window, so windows overlap by
//! half; the whole text is one more window. Memory is bounded by two blocks and one bit for each bucket.

use crate::indicators::{Indicators, Marks};
use crate::terms::{self, Flow, Term, Terms, mix};
use crate::text::{Piece, pieces};
use evidence::Language;

/// Version of the mapping from text to buckets.
pub const VERSION: u16 = 8;

/// Buckets of grams of one language, as a power of two.
pub const BUCKET_BITS: u32 = 20;

/// Buckets of grams; those behind them belong to indicators.
pub const GRAMS: u32 = 1 << BUCKET_BITS;

/// Most indicators.
const MARKS: u32 = 128;

/// All buckets of one language: grams, indicators, pairs of indicators.
pub const BUCKETS: usize = (GRAMS + MARKS + MARKS * MARKS) as usize;

/// Bytes of text after which a block is closed.
const BLOCK_BYTES: usize = 320;

/// A stretch of text with its features.
#[derive(Debug, Clone, Copy)]
pub struct Window<'a> {
    /// Which buckets are set; each once, in the order in which they first occur.
    pub buckets: &'a [u32],
    /// First piece of the text, and the one behind the last.
    pub(crate) pieces: (usize, usize),
}

/// Takes features from texts of one language. Holds the scratch memory, so that it can be used again.
#[derive(Debug)]
pub struct Extractor<'i> {
    language: Language,
    indicators: &'i Indicators,
    seen: BitSet,
    /// What the whole text has; empty between texts.
    seen_in_whole: BitSet,
}

/// Buckets of a block with the indicators that were seen in it.
#[derive(Debug, Default, Clone)]
struct Block {
    buckets: Vec<u32>,
    marks: Marks,
    pieces: (usize, usize),
    bytes: usize,
}

impl<'i> Extractor<'i> {
    /// For texts of `language`.
    pub fn new(language: Language, indicators: &'i Indicators) -> Self {
        Self { language, indicators, seen: BitSet::new(), seen_in_whole: BitSet::new() }
    }

    /// The language of the texts.
    pub(crate) fn language(&self) -> Language {
        self.language
    }

    /// Shows each window of the text to `visit`; the window of the whole text comes last. A text of at
    /// most two blocks is one window. `tail` is what remains of the text's end where its middle is missing.
    pub fn windows(&mut self, head: &[u8], tail: &[u8], visit: &mut dyn FnMut(Window<'_>)) {
        let mut whole = Block::default();
        let mut whole_seen = std::mem::take(&mut self.seen_in_whole);
        let mut previous: Option<Block> = None;
        let mut block_count = 0;
        self.blocks(head, tail, &mut |seen, block| {
            whole.marks |= block.marks;
            whole.pieces.1 = block.pieces.1;
            whole.buckets.extend(block.buckets.iter().filter(|&&bucket| whole_seen.insert(bucket)));
            block_count += 1;
            if let Some(before) = previous.take() {
                let window = join(before, &block, seen);
                visit(Window { buckets: &window.buckets, pieces: window.pieces });
            }
            previous = Some(block);
        });
        if block_count != 2 {
            add_pairs(whole.marks, &mut whole.buckets, &mut whole_seen);
            visit(Window { buckets: &whole.buckets, pieces: whole.pieces });
        }
        whole_seen.remove_all(&whole.buckets);
        self.seen_in_whole = whole_seen;
    }

    /// Shows each piece of a range of the text, with comments and with escaped letters decoded, with its indicators and the buckets that it adds to those before it.
    pub(crate) fn pieces_of(
        &mut self,
        (head, tail): (&[u8], &[u8]),
        (start, end): (usize, usize),
        visit: &mut dyn FnMut(Piece<'_>, Marks, &[u32]),
    ) {
        self.seen.clear();
        let mut buckets = Vec::new();
        let mut at = 0;
        for (part, numbered) in [(head, true), (tail, false)] {
            let read = terms::read(self.language, part);
            let mut sequence = Sequence::over(&read);
            for piece in pieces(&read.code, numbered).take(end.saturating_sub(at)) {
                if at >= start {
                    buckets.clear();
                    let marks = self.add_piece(piece, &mut sequence, &mut buckets);
                    let said = read.said.get(piece.at..piece.at + piece.bytes.len()).unwrap_or(piece.bytes);
                    visit(Piece { bytes: said, ..piece }, marks, &buckets);
                } else {
                    let end = piece.at + piece.bytes.len();
                    sequence.add_until(end, &mut |_| {});
                    sequence.flows_until(end).for_each(drop);
                }
                at += 1;
            }
        }
    }

    fn blocks(&mut self, head: &[u8], tail: &[u8], visit: &mut dyn FnMut(&mut BitSet, Block)) {
        let mut block = Block::default();
        let mut at = 0;
        for (part, numbered) in [(head, true), (tail, false)] {
            let read = terms::read(self.language, part);
            let mut sequence = Sequence::over(&read);
            for piece in pieces(&read.code, numbered) {
                block.marks |= self.add_piece(piece, &mut sequence, &mut block.buckets);
                // Blanks say nothing, so they must not keep lines apart.
                block.bytes += piece.bytes.trim_ascii().len();
                at += 1;
                if block.bytes >= BLOCK_BYTES {
                    self.close(&mut block, at, visit);
                }
            }
            if block.bytes > 0 {
                self.close(&mut block, at, visit);
            }
        }
    }

    fn close(&mut self, block: &mut Block, at: usize, visit: &mut dyn FnMut(&mut BitSet, Block)) {
        let next = Block { pieces: (at, at), ..Block::default() };
        let mut closed = std::mem::replace(block, next);
        closed.pieces.1 = at;
        self.seen.remove_all(&closed.buckets);
        visit(&mut self.seen, closed);
    }

    fn add_piece(&mut self, piece: Piece<'_>, sequence: &mut Sequence<'_>, buckets: &mut Vec<u32>) -> Marks {
        let seen = &mut self.seen;
        let mut add = |bucket| {
            if seen.insert(bucket) {
                buckets.push(bucket);
            }
        };
        let mut marks = self.indicators.marks(self.language, piece.bytes);
        let end = piece.at + piece.bytes.len();
        sequence.add_until(end, &mut add);
        sequence.flows_until(end).filter_map(|flow| self.indicators.row_of(flow)).for_each(|row| {
            marks.insert(row);
        });
        for mark in marks.iter() {
            add(GRAMS + u32::from(mark));
        }
        marks
    }
}

/// The window of two neighbouring blocks. `seen` is empty before and after.
fn join(mut before: Block, after: &Block, seen: &mut BitSet) -> Block {
    before.buckets.iter().for_each(|&bucket| {
        seen.insert(bucket);
    });
    before.buckets.extend(after.buckets.iter().filter(|&&bucket| seen.insert(bucket)));
    before.marks |= after.marks;
    before.pieces.1 = after.pieces.1;
    add_pairs(before.marks, &mut before.buckets, seen);
    seen.remove_all(&before.buckets);
    before
}

/// Adds a bucket for each pair of different indicators: a socket alone says little, a socket and a shell much.
fn add_pairs(marks: Marks, buckets: &mut Vec<u32>, seen: &mut BitSet) {
    for first in marks.iter() {
        for second in marks.iter().filter(|&second| second > first) {
            let bucket = GRAMS + MARKS + u32::from(first) * MARKS + u32::from(second);
            if seen.insert(bucket) {
                buckets.push(bucket);
            }
        }
    }
}

/// Walks along the terms of a part and makes grams of one, two and three.
#[derive(Debug)]
struct Sequence<'t> {
    terms: std::slice::Iter<'t, Term>,
    flows: std::slice::Iter<'t, (u32, Flow)>,
    last: u64,
    last_but_one: u64,
}

impl<'t> Sequence<'t> {
    fn over(read: &'t Terms<'_>) -> Self {
        Self { terms: read.terms.iter(), flows: read.flows.iter(), last: 0, last_but_one: 0 }
    }

    /// The flows that reach their sink before a place.
    fn flows_until(&mut self, end: usize) -> impl Iterator<Item = Flow> {
        std::iter::from_fn(move || {
            let (_, flow) = self.flows.as_slice().first().filter(|flow| (flow.0 as usize) < end)?;
            self.flows.next();
            Some(*flow)
        })
    }

    /// Adds the grams that end before a place.
    fn add_until(&mut self, end: usize, add: &mut impl FnMut(u32)) {
        while let Some(term) = self.terms.as_slice().first().filter(|term| (term.at as usize) < end) {
            self.terms.next();
            add(bucket_of(term.hash));
            if term.is_aside {
                continue;
            }
            let pair = terms::join(self.last, term.hash);
            add(bucket_of(pair));
            add(bucket_of(terms::join(self.last_but_one, pair)));
            self.last_but_one = self.last;
            self.last = term.hash;
        }
    }
}

/// Fibonacci hashing of the mixed key to [`BUCKET_BITS`].
#[allow(clippy::cast_possible_truncation, reason = "the shift leaves BUCKET_BITS bits")]
fn bucket_of(key: u64) -> u32 {
    (mix(key).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - BUCKET_BITS)) as u32
}

/// One bit for each bucket.
#[derive(Debug, Default)]
struct BitSet(Vec<u64>);

impl BitSet {
    fn new() -> Self {
        Self(vec![0; BUCKETS.div_ceil(64)])
    }

    /// Whether the bucket was new.
    #[inline]
    fn insert(&mut self, bucket: u32) -> bool {
        let Some(word) = self.0.get_mut((bucket >> 6) as usize) else { return false };
        let bit = 1 << (bucket & 63);
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    fn remove_all(&mut self, buckets: &[u32]) {
        for &bucket in buckets {
            if let Some(word) = self.0.get_mut((bucket >> 6) as usize) {
                *word &= !(1 << (bucket & 63));
            }
        }
    }

    fn clear(&mut self) {
        self.0.fill(0);
    }
}
