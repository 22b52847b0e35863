//! Imitations: attack code for Linux and the everyday code that looks like it, made from templates.
//!
//! Public malware is mostly Windows campaigns in `setup.py`; what runs in containers is rarer there than
//! in life. The templates fill that gap on both sides. They name addresses that are reserved for documentation.
//!
//! Owns: templates and their expansion. Refuses: being counted in any figure.

mod fill;
mod style;
mod templates;

use crate::LearnError;
use crate::corpus::{Confidence, Sample, hash};
use crate::disguise::Disguise;
use crate::random::Random;
use evidence::Language;
use fill::fill;
use templates::Template;

/// Marks a sample that belongs to no corpus file.
pub(crate) const NO_COLLECTION: usize = usize::MAX;

/// The imitations in one language, `count` from each template; those of one template are one cluster.
pub(crate) fn samples(language: Language, count: u64, seed: u64) -> Result<Vec<Sample>, LearnError> {
    let templates = templates::all()?;
    let of_language: Vec<&Template> = templates.iter().filter(|one| one.language == language).collect();
    let everyday: Vec<&str> =
        of_language.iter().filter(|one| !one.is_malicious).map(|one| one.text.as_str()).collect();
    let mut samples = Vec::new();
    for template in of_language {
        expand(template, count, seed, &everyday, &mut samples);
    }
    Ok(samples)
}

fn expand(template: &Template, count: u64, seed: u64, everyday: &[&str], samples: &mut Vec<Sample>) {
    let kind = if template.is_malicious { "attack" } else { "everyday" };
    let cluster = hash(format!("imitation {kind} {} {}", template.language, template.name).as_bytes());
    let mut random = Random::new(seed ^ cluster);
    for round in 0..count {
        let text = in_round(round, template, everyday, &mut random);
        samples.push(Sample {
            language: template.language,
            is_malicious: template.is_malicious,
            confidence: Confidence::High,
            collection: NO_COLLECTION,
            source: cluster,
            cluster,
            text: text.into_bytes(),
        });
    }
}

/// The rounds go through the ways in which a text is met: as it is, on one line, in a style, among other text, wrapped.
fn in_round(round: u64, template: &Template, everyday: &[&str], random: &mut Random) -> String {
    let language = template.language;
    let text = fill(&template.text, random);
    match round % 8 {
        1 if language == Language::Python => on_one_line(&text).unwrap_or(text),
        2 | 6 => style::restyle(language, &text, random).unwrap_or(text),
        3 => surround(&text, everyday, random),
        5 => {
            let styled = style::restyle(language, &text, random).unwrap_or(text);
            surround(&styled, everyday, random)
        }
        4 => disguise(language, text, REWORDED, random),
        7 if template.is_malicious => disguise(language, text, WRAPPED, random),
        7 => disguise(language, text, PACKED, random),
        _ => text,
    }
}

/// Puts everyday text before and behind: attacks hide in ordinary scripts, and ordinary scripts are longer than
/// one template.
fn surround(text: &str, everyday: &[&str], random: &mut Random) -> String {
    let mut stretch = || {
        let count = random.below(4);
        (0..count).map(|_| fill(everyday[random.below(everyday.len())], random) + "\n").collect::<String>()
    };
    let before = stretch();
    let behind = stretch();
    format!("{before}{text}\n{behind}")
}

/// Python statements that need no line of their own, joined as `python3 -c` gets them.
fn on_one_line(text: &str) -> Option<String> {
    let opens_block = |line: &str| line.trim_end().ends_with(':') || line.starts_with([' ', '\t', '@', '#']);
    let is_plain = !text.lines().any(opens_block) && !text.contains("\"\"\"") && !text.contains("\\\n");
    is_plain.then(|| text.lines().filter(|line| !line.trim().is_empty()).collect::<Vec<_>>().join(";"))
}

/// What both sides do to the words of a text.
const REWORDED: &[Disguise] = &[
    Disguise::Rename,
    Disguise::Strip,
    Disguise::Stuff,
    Disguise::SplitStrings,
    Disguise::EscapeStrings,
    Disguise::Indirection,
    Disguise::DeadCode,
];

/// What droppers do to a whole text.
const WRAPPED: &[Disguise] = &[
    Disguise::Base64,
    Disguise::Base64,
    Disguise::Base32,
    Disguise::Base85,
    Disguise::Hex,
    Disguise::Rot13,
    Disguise::Reversed,
    Disguise::Xor,
    Disguise::Escapes,
    Disguise::Compressed,
    Disguise::Layers,
];

/// What is done to harmless text, so that neither packing nor short names tells the sides apart.
const PACKED: &[Disguise] = &[Disguise::Minify, Disguise::Pack, Disguise::Compressed, Disguise::Base64];

/// `text` in one of the disguises that fit it; as it is where none was found.
fn disguise(language: Language, text: String, choice: &[Disguise], random: &mut Random) -> String {
    for _ in 0..4 {
        let made = choice[random.below(choice.len())].apply(language, text.as_bytes(), random, &[]);
        if let Some(made) = made.and_then(|bytes| String::from_utf8(bytes).ok()) {
            return made;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_language_has_imitations_of_both_kinds_and_no_open_choice() {
        for language in [Language::Python, Language::Shell] {
            let samples = samples(language, 24, 1).unwrap();
            let clusters = |wanted| {
                let of = samples.iter().filter(|sample| sample.is_malicious == wanted);
                of.map(|sample| sample.cluster).collect::<std::collections::HashSet<_>>().len()
            };
            assert!(clusters(true) >= 100 && clusters(false) >= 100, "{language}");
            let open =
                samples.iter().find(|sample| String::from_utf8_lossy(&sample.text).contains(['⟦', '⟧']));
            assert!(open.is_none(), "{:?}", open.map(|sample| String::from_utf8_lossy(&sample.text)));
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_texts() {
        let texts = |seed| {
            samples(Language::Shell, 8, seed)
                .unwrap()
                .into_iter()
                .map(|sample| sample.text)
                .collect::<Vec<_>>()
        };
        assert_eq!(texts(1), texts(1));
        assert_ne!(texts(1), texts(2));
    }

    #[test]
    fn only_plain_statements_are_joined() {
        assert_eq!(on_one_line("import os\nprint(1)").as_deref(), Some("import os;print(1)"));
        assert_eq!(on_one_line("if x:\n    y()"), None);
    }
}
