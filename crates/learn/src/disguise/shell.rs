//! Disguises of shell that need its syntax.
//!
//! Owns: which names and words of a script may change. Refuses: a script with an error of syntax.

use super::tree::{Edits, Parsed, Part};
use super::words::{comment, dead_code, name};
use crate::random::Random;
use evidence::Language;
use std::collections::{HashMap, HashSet};

/// Variables and functions; those alone whose every occurrence is one.
pub(super) fn rename(text: &str, random: &mut Random) -> Option<String> {
    let parsed = Parsed::new(Language::Shell, text)?;
    let words = parsed.words();
    let mut known: HashMap<&str, usize> = HashMap::new();
    let mut bound = HashSet::new();
    let mut places: Vec<&Part> = Vec::new();
    for part in &parsed.parts {
        let parent = parsed.parent(part);
        let is_function = part.kind == "word"
            && parent.is_some_and(|parent| {
                parent.kind == "function_definition" && part.field == "name" || parent.kind == "command_name"
            });
        if part.kind == "variable_name" || is_function {
            let word = parsed.text_of(part);
            *known.entry(word).or_insert(0) += 1;
            places.push(part);
            let is_passed_on = parsed.is_within(part, &["declaration_command"])
                || parent
                    .is_some_and(|parent| parsed.parent(parent).is_some_and(|above| above.kind == "command"));
            let is_bound = parent.is_some_and(|parent| match parent.kind {
                "variable_assignment" => !is_passed_on,
                "for_statement" | "function_definition" => true,
                _ => false,
            });
            if is_bound {
                bound.insert(word);
            }
        }
    }
    let is_shell_own = |word: &str| {
        word.chars().all(|letter| letter.is_ascii_uppercase() || letter == '_')
            || word.len() < 2 && word == "_"
    };
    let may_change =
        |word: &&str| bound.contains(word) && !is_shell_own(word) && words.get(word) == known.get(word);
    let mut chosen: Vec<&str> = known.keys().copied().filter(may_change).collect();
    chosen.sort_unstable();
    let new: HashMap<&str, String> = chosen.into_iter().map(|word| (word, name(random))).collect();
    let mut edits = Edits::default();
    for part in places {
        if let Some(new) = new.get(parsed.text_of(part)) {
            edits.replace(part.range.clone(), new.clone());
        }
    }
    done(edits, text)
}

pub(super) fn strip(text: &str) -> Option<String> {
    let parsed = Parsed::new(Language::Shell, text)?;
    let mut edits = Edits::default();
    for part in parsed.of_kind("comment").filter(|part| part.range.start > 0) {
        edits.replace(part.range.clone(), String::new());
    }
    done(edits, text)
}

pub(super) fn stuff(text: &str, random: &mut Random) -> Option<String> {
    let parsed = Parsed::new(Language::Shell, text)?;
    let mut edits = Edits::default();
    for at in parsed.seams() {
        for _ in 0..random.below(4) {
            edits.insert(at, comment(random) + "\n");
        }
    }
    edits.insert(text.len(), format!("\n{}\n", comment(random)));
    done(edits, text)
}

/// `curl` becomes `c"ur"l`, `cu''rl` or `c\url`.
pub(super) fn split_words(text: &str, random: &mut Random) -> Option<String> {
    each_word(
        text,
        |word, random| {
            let (one, two) = word.split_at(1 + random.below(word.len() - 1));
            match random.below(4) {
                0 => format!("{one}\"{two}\""),
                1 => format!("{one}''{two}"),
                2 => format!("'{one}'\"{two}\""),
                _ => format!("{one}\\{two}"),
            }
        },
        random,
    )
}

/// `curl` becomes `$'\x63\165\x72l'`; Bash alone reads that.
pub(super) fn escape_words(text: &str, random: &mut Random) -> Option<String> {
    if text.starts_with("#!/bin/sh") {
        return None;
    }
    each_word(
        text,
        |word, random| {
            let letters = word.bytes().map(|byte| match random.below(2) {
                0 => format!("\\x{byte:02x}"),
                _ => format!("\\{byte:03o}"),
            });
            format!("$'{}'", letters.collect::<String>())
        },
        random,
    )
}

/// Commands are called through variables.
pub(super) fn indirection(text: &str, random: &mut Random) -> Option<String> {
    let parsed = Parsed::new(Language::Shell, text)?;
    let mut edits = Edits::default();
    let mut variables: Vec<(&str, String)> = Vec::new();
    for part in parsed.of_kind("command_name") {
        let word = parsed.text_of(part);
        if !is_plain(word) || parsed.is_within(part, &["function_definition"]) {
            continue;
        }
        let known = variables.iter().find(|(command, _)| *command == word).map(|(_, name)| name.clone());
        let variable = known.unwrap_or_else(|| name(random));
        if !variables.iter().any(|(command, _)| *command == word) {
            variables.push((word, variable.clone()));
        }
        edits.replace(part.range.clone(), format!("${{{variable}}}"));
    }
    let head = match text.split_once('\n') {
        Some((first, _)) if first.starts_with("#!") => first.len() + 1,
        _ => 0,
    };
    let lines = variables.iter().map(|(command, variable)| {
        let (one, two) = command.split_at(random.below(command.len()));
        format!("{variable}='{one}'\"{two}\"\n")
    });
    let lines = lines.collect::<String>();
    if lines.is_empty() {
        return None;
    }
    edits.insert(head, lines);
    done(edits, text)
}

pub(super) fn add_dead_code(text: &str, random: &mut Random) -> Option<String> {
    let parsed = Parsed::new(Language::Shell, text)?;
    let mut edits = Edits::default();
    for at in parsed.seams() {
        if random.below(3) == 0 {
            edits.insert(at, dead_code(Language::Shell, random));
        }
    }
    if edits.is_empty() {
        let head = text.find('\n').filter(|_| text.starts_with("#!")).map_or(0, |at| at + 1);
        edits.insert(head, dead_code(Language::Shell, random));
    }
    done(edits, text)
}

pub(super) fn minify(text: &str, random: &mut Random) -> Option<String> {
    let small = strip(text).unwrap_or_else(|| text.to_owned());
    let small = rename(&small, random).unwrap_or(small);
    let parsed = Parsed::new(Language::Shell, &small)?;
    if parsed.of_kind("heredoc_body").next().is_some() || small.contains("\\\n") {
        return Some(small);
    }
    let mut edits = Edits::default();
    let outermost: Vec<&Part> = parsed.children(0).collect();
    for pair in outermost.windows(2) {
        if let [one, two] = pair
            && one.kind != "comment"
            && small
                .get(one.range.end..two.range.start)
                .is_some_and(|gap| gap.trim().is_empty() && !gap.is_empty())
        {
            edits.replace(one.range.end..two.range.start, ";".to_owned());
        }
    }
    Some(edits.apply(&small))
}

fn is_plain(word: &str) -> bool {
    const RESERVED: &[&str] =
        &["exec", "set", "shift", "return", "exit", "trap", "local", "eval", "alias", "time"];
    word.len() >= 2
        && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_./:-".contains(&byte))
        && word.starts_with(|first: char| first.is_ascii_alphabetic() || first == '/')
        && !RESERVED.contains(&word)
}

fn each_word(text: &str, make: impl Fn(&str, &mut Random) -> String, random: &mut Random) -> Option<String> {
    let parsed = Parsed::new(Language::Shell, text)?;
    let mut edits = Edits::default();
    for part in parsed.of_kind("word") {
        let is_elsewhere = [
            "arithmetic_expansion",
            "subscript",
            "expansion",
            "heredoc_redirect",
            "declaration_command",
            "c_style_for_statement",
            "compound_statement_arithmetic",
        ];
        let is_name = parsed.parent(part).is_some_and(|parent| parent.kind == "function_definition");
        let word = parsed.text_of(part);
        if is_plain(word) && !is_name && !parsed.is_within(part, &is_elsewhere) {
            edits.replace(part.range.clone(), make(word, random));
        }
    }
    done(edits, text)
}

fn done(edits: Edits, text: &str) -> Option<String> {
    if edits.is_empty() {
        return None;
    }
    let edited = edits.apply(text);
    Parsed::new(Language::Shell, &edited).map(|_| edited.clone())
}
