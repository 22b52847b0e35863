//! Everyday text before, behind and around a text.
//!
//! Owns: how much, and that it does nothing. Refuses: choosing the everyday texts.

use super::tree::Parsed;
use super::words::name;
use super::{Place, indent};
use crate::random::Random;
use evidence::Language;

/// `size` bytes of padding, or what the texts yield; each text is the body of a function that nobody calls.
pub(super) fn pad(
    language: Language,
    text: &[u8],
    place: Place,
    size: usize,
    padding: &[&[u8]],
    random: &mut Random,
) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(text).ok()?;
    if language == Language::Python && (text.contains("coding") || text.contains("__future__")) {
        return None;
    }
    let (head, body) = match text.split_once('\n') {
        Some((first, rest)) if first.starts_with("#!") => (format!("{first}\n"), rest),
        _ => (String::new(), text),
    };
    let (before, behind) = match place {
        Place::Before => (size, 0),
        Place::Behind => (0, size),
        Place::Around => (size / 2, size - size / 2),
    };
    let before = stretch(language, before, padding, random)?;
    let behind = stretch(language, behind, padding, random)?;
    Some(format!("{head}{before}{body}\n{behind}").into_bytes())
}

fn stretch(language: Language, size: usize, padding: &[&[u8]], random: &mut Random) -> Option<String> {
    let mut out = String::new();
    let mut inert: Vec<String> = Vec::new();
    let mut tries = 0;
    while out.len() < size {
        // Parsing is slow: once many texts were tried, those that fitted are taken again.
        let fits = match tries < 256 {
            true => {
                padding.get(random.below(padding.len())).and_then(|text| as_function(language, text, random))
            }
            false => Some(inert.get(random.below(inert.len()))?.clone()),
        };
        let Some(function) = fits else {
            tries += 1;
            continue;
        };
        out.push_str(&function);
        if tries < 256 {
            inert.push(function);
        }
        tries += 1;
    }
    Some(out)
}

fn as_function(language: Language, text: &[u8], random: &mut Random) -> Option<String> {
    let text =
        std::str::from_utf8(text).ok().filter(|text| text.len() < 64 * 1024 && !text.trim().is_empty())?;
    let rigid: &[&str] = match language {
        Language::Python => &[
            "\"\"\"",
            "'''",
            "\\\n",
            "import *",
            "__future__",
            "coding",
            "\t",
            "await ",
            "print \"",
            "global ",
        ],
        Language::Shell => &["<<", "\\\n"],
    };
    if rigid.iter().any(|mark| text.contains(mark)) {
        return None;
    }
    let called = name(random);
    let function = match language {
        Language::Python => format!("def {called}():\n{}    return None\n\n", indent(text, "    ")),
        Language::Shell => format!("{called}() {{\n{}  return 0\n}}\n", indent(text, "  ")),
    };
    Parsed::new(language, &function).map(|_| function.clone())
}
