//! Near-duplicates: MinHash over shingles of five tokens (Broder 1997), with 64 hash functions, found by banding.
//!
//! Owns: clusters of texts whose corpus names none. Refuses: to part what a corpus has put together.

use super::{Corpus, Record, hash};
use crate::{Progress, Stage};
use std::collections::HashMap;

/// Hash functions of a signature.
const HASHES: usize = 64;

/// Values of a signature that are looked up together: at a likeness of 0.7 one of 16 bands of 4 agrees in 99 % of cases.
const BAND: usize = 4;

/// Values that agree where two texts share 70 % of their shingles.
const ALIKE: usize = 45;

/// Tokens of a shingle.
const SHINGLE: usize = 5;

/// Texts of a band's bucket that are compared with, so that a corpus of one boilerplate takes no quadratic time.
const COMPARED: usize = 16;

type Signature = [u32; HASHES];

/// Names the cluster of each record that has none, over all corpora together. Clusters that a corpus names stay whole.
pub(super) fn name_clusters(corpora: &mut [Corpus], progress: &mut dyn FnMut(Progress)) {
    for corpus in corpora.iter_mut() {
        corpus.counts.clustered =
            corpus.records.iter().filter(|record| record.origin.cluster.is_empty()).count();
    }
    if corpora.iter().any(|corpus| corpus.counts.clustered > 0) {
        let records: Vec<&Record> = corpora.iter().flat_map(|corpus| &corpus.records).collect();
        let names = names(&records, progress);
        let records = corpora.iter_mut().flat_map(|corpus| &mut corpus.records);
        records.zip(names).for_each(|(record, name)| record.origin.cluster = name);
    }
    for record in corpora.iter_mut().flat_map(|corpus| &mut corpus.records) {
        record.sample.cluster = hash(record.origin.cluster.as_bytes());
        // A source that nobody named must not make all of them one.
        if record.origin.source.is_empty() {
            record.sample.source = record.sample.cluster;
        }
    }
}

fn names(records: &[&Record], progress: &mut dyn FnMut(Progress)) -> Vec<String> {
    let mut groups = Groups((0..records.len()).collect());
    let mut first_of = HashMap::new();
    for (at, record) in records.iter().enumerate().filter(|(_, record)| !record.origin.cluster.is_empty()) {
        groups.join(*first_of.entry(record.origin.cluster.as_str()).or_insert(at), at);
    }
    let total = records.len() as u64;
    let mut signatures: Vec<Signature> = Vec::new();
    let mut buckets: HashMap<(usize, [u32; BAND]), Vec<usize>> = HashMap::new();
    for (at, record) in records.iter().enumerate() {
        if at % 256 == 0 {
            progress(Progress { stage: Stage::Clustering, done: at as u64, total });
        }
        let signature = signature(&record.sample.text);
        for (band, values) in signature.as_chunks::<BAND>().0.iter().enumerate() {
            let bucket = buckets.entry((band, *values)).or_default();
            for &other in bucket.iter() {
                let both_named =
                    !record.origin.cluster.is_empty() && !records[other].origin.cluster.is_empty();
                if !both_named && are_alike(&signature, &signatures[other]) {
                    groups.join(other, at);
                }
            }
            if bucket.len() < COMPARED {
                bucket.push(at);
            }
        }
        signatures.push(signature);
    }
    (0..records.len()).map(|at| groups.name(at, records)).collect()
}

fn are_alike(one: &Signature, other: &Signature) -> bool {
    one.iter().zip(other).filter(|(one, other)| one == other).count() >= ALIKE
}

/// The lowest value of each hash function over the text's shingles.
fn signature(text: &[u8]) -> Signature {
    let mut lowest = [u32::MAX; HASHES];
    let mut window = [0_u64; SHINGLE];
    let mut tokens = tokens(text).peekable();
    let mut count = 0;
    while let Some(token) = tokens.next() {
        window.rotate_left(1);
        window[SHINGLE - 1] = hash(token);
        count += 1;
        // A text of fewer tokens is one shingle.
        if count >= SHINGLE || tokens.peek().is_none() {
            let shingle = window.iter().fold(0, |all: u64, one| mix(all ^ one));
            take_lowest(&mut lowest, shingle);
        }
    }
    lowest
}

/// Each function is an odd multiple of the shingle's hash, of which the upper half counts.
fn take_lowest(lowest: &mut Signature, shingle: u64) {
    let mut factor = 0x9e37_79b9_7f4a_7c15_u64;
    for value in lowest {
        factor = factor.wrapping_mul(0xd134_2543_de82_ef95);
        let [_, _, _, _, a, b, c, d] = shingle.wrapping_add(factor >> 1).wrapping_mul(factor).to_le_bytes();
        *value = (*value).min(u32::from_le_bytes([a, b, c, d]));
    }
}

/// splitmix64's finish.
fn mix(mut value: u64) -> u64 {
    value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}

/// Words of letters, digits and `_`, and every other character that is not blank by itself.
fn tokens(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80;
    text.chunk_by(move |&one, &next| is_word(one) && is_word(next))
        .filter(|token| !token.first().is_some_and(u8::is_ascii_whitespace))
}

/// Sets that are joined: each entry leads to an earlier member of its set, the first one to itself.
struct Groups(Vec<usize>);

impl Groups {
    fn first(&mut self, mut at: usize) -> usize {
        while self.0[at] != at {
            self.0[at] = self.0[self.0[at]];
            at = self.0[at];
        }
        at
    }

    fn join(&mut self, one: usize, other: usize) {
        let (one, other) = (self.first(one), self.first(other));
        self.0[one.max(other)] = one.min(other);
    }

    /// The name that the first member brings, or one by its hash.
    fn name(&mut self, at: usize, records: &[&Record]) -> String {
        let first = records[self.first(at)];
        match first.origin.cluster.as_str() {
            "" => format!("near-{}", &first.origin.sha256.to_string()[..16]),
            name => name.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(one: &str, other: &str, expected: bool) {
        let alike = are_alike(&signature(one.as_bytes()), &signature(other.as_bytes()));
        assert_eq!(alike, expected, "{one:.40} / {other:.40}");
    }

    fn program(seed: usize, lines: usize) -> String {
        (seed..seed + lines).map(|at| format!("value_{at} = fetch({at}, \"{}\")\n", at * 7)).collect()
    }

    #[test]
    fn texts_that_share_most_shingles_are_alike_and_others_are_not() {
        check(&program(0, 100), &program(0, 100), true);
        check(&program(0, 100), &program(0, 100).replace("value_50", "other"), true);
        check(&program(0, 100), &program(0, 100).replace("  ", "\n"), true);
        check(&program(0, 100), &program(8, 100), true);
        check(&program(0, 100), &program(50, 100), false);
        check(&program(0, 100), &program(500, 100), false);
        check("ls", "ls", true);
        check("ls", "id", false);
        check("", "", true);
    }
}
