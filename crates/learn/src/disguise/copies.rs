//! Copies of labelled texts in disguise, which train along: a model that has met an attack in `getattr` or between harmless
//! functions knows it there.
//!
//! Owns: which texts are copied, in which disguise, and what a copy counts.
//! Refuses: copies in figures; what disguises cost is measured on texts that no training has seen.

use super::{Disguise, LONGEST_DISGUISED, Place};
use crate::corpus::{Confidence, Sample, hash};
use crate::random::Random;

/// What is done to both sides, so that no disguise tells them apart, each with the share of the cost that the copy has.
const OF_BOTH: &[(Disguise, f32)] = &[
    (Disguise::Indirection, 0.3),
    (Disguise::SplitStrings, 0.15),
    (Disguise::EscapeStrings, 0.15),
    (Disguise::Reversed, 0.15),
];

/// What is done to malicious texts besides.
const OF_MALICIOUS: &[(Disguise, f32)] =
    &[(Disguise::Padding(Place::Around, 1200), 0.3), (Disguise::Padding(Place::Around, 6000), 0.2)];

/// There are so many harmless clusters that one in so many is enough for each disguise.
const BENIGN_CLUSTERS: u64 = 6;

/// A text in disguise.
#[derive(Debug, Clone)]
pub(crate) struct DisguisedCopy {
    pub(crate) sample: Sample,
    /// Part of the original's cost.
    pub(crate) share: f32,
}

impl DisguisedCopy {
    /// The copies of a text in the disguises that fit it. Of a malicious text whose label is a guess there are none.
    /// `padding` holds harmless texts in its language.
    pub(crate) fn all_of(sample: &Sample, padding: &[&[u8]], seed: u64) -> Vec<Self> {
        if sample.text.len() > LONGEST_DISGUISED
            || (sample.is_malicious && sample.confidence == Confidence::Low)
        {
            return Vec::new();
        }
        let turn = usize::try_from(hash(&sample.cluster.to_le_bytes()) % BENIGN_CLUSTERS).unwrap_or_default();
        let (of_both, besides) = match sample.is_malicious {
            true => (OF_BOTH, OF_MALICIOUS),
            false => (OF_BOTH.get(turn..=turn).unwrap_or_default(), &[][..]),
        };
        let copy = |&(disguise, share): &(Disguise, f32)| {
            let mut random = Random::new(seed ^ sample.cluster ^ hash(disguise.name().as_bytes()));
            let text = disguise.apply(sample.language, &sample.text, &mut random, padding)?;
            Some(Self { sample: Sample { text, ..sample.clone() }, share })
        };
        of_both.iter().chain(besides).filter_map(copy).collect()
    }
}
