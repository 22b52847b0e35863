//! Disguises of Python that need its syntax.
//!
//! Owns: which names, strings and calls of a text may change. Refuses: a text with an error of syntax.
//!
//! A name changes only where each of its occurrences is understood: one that is also an attribute, a keyword, an import or
//! a word in a string stays. What is looked up by a computed name is the one thing that this cannot see.

use super::tree::{Edits, Parsed, Part};
use super::words::{comment, dead_code, name, pick};
use super::wrap::{python_all_escaped, python_escape};
use crate::random::Random;
use evidence::Language;
use std::collections::{HashMap, HashSet};

const BUILT_IN: &[&str] = &[
    "self",
    "cls",
    "print",
    "open",
    "exec",
    "eval",
    "input",
    "len",
    "range",
    "str",
    "int",
    "bytes",
    "list",
    "dict",
    "set",
    "map",
    "type",
    "id",
    "object",
    "super",
    "compile",
    "property",
    "raw_input",
    "unicode",
    "xrange",
    "file",
];

pub(super) fn rename(text: &str, random: &mut Random) -> Option<String> {
    let parsed = Parsed::new(Language::Python, text)?;
    let words = parsed.words();
    let mut bound = HashSet::new();
    let mut free: HashMap<&str, usize> = HashMap::new();
    for part in parsed.of_kind("identifier") {
        let word = parsed.text_of(part);
        if !is_fixed(&parsed, part) {
            *free.entry(word).or_insert(0) += 1;
        }
        if binds(&parsed, part) {
            bound.insert(word);
        }
    }
    let may_change = |word: &&str| {
        bound.contains(word)
            && !word.starts_with("__")
            && !word.starts_with("test")
            && !BUILT_IN.contains(word)
            && words.get(word) == free.get(word)
    };
    let mut chosen: Vec<&str> = free.keys().copied().filter(may_change).collect();
    chosen.sort_unstable();
    let new: HashMap<&str, String> = chosen.into_iter().map(|word| (word, name(random))).collect();
    let mut edits = Edits::default();
    for part in parsed.of_kind("identifier") {
        if let Some(new) = new.get(parsed.text_of(part)) {
            edits.replace(part.range.clone(), new.clone());
        }
    }
    done(edits, text)
}

/// True where an identifier is not a variable: an attribute, a keyword, an import's name, a name of a class body.
fn is_fixed(parsed: &Parsed<'_>, part: &Part) -> bool {
    let Some(parent) = parsed.parent(part) else { return true };
    match parent.kind {
        "attribute" => part.field == "attribute",
        "keyword_argument" => part.field == "name",
        "dotted_name" | "keyword_pattern" | "global_statement" | "nonlocal_statement" => true,
        _ => is_in_class_body(parsed, part),
    }
}

fn is_in_class_body(parsed: &Parsed<'_>, part: &Part) -> bool {
    let mut next = parsed.parent(part);
    let mut is_head = part.field == "name";
    while let Some(around) = next {
        match around.kind {
            // A function's own name belongs to what is around it.
            "function_definition" | "lambda" if !is_head => return false,
            "class_definition" if !is_head => return true,
            "class_definition" | "function_definition" => is_head = false,
            _ => {}
        }
        next = parsed.parent(around);
    }
    false
}

fn binds(parsed: &Parsed<'_>, part: &Part) -> bool {
    let Some(parent) = parsed.parent(part) else { return false };
    match parent.kind {
        "assignment" | "for_statement" | "for_in_clause" => part.field == "left",
        "function_definition" | "class_definition" => part.field == "name",
        "parameters" | "lambda_parameters" | "as_pattern_target" => true,
        "default_parameter" => part.field == "name",
        "aliased_import" => part.field == "alias",
        "pattern_list" | "tuple_pattern" => parsed.parent(parent).is_some_and(|above| {
            ["assignment", "for_statement", "for_in_clause"].contains(&above.kind) && parent.field == "left"
        }),
        _ => false,
    }
}

/// Without comments and docstrings; the first line stays where it says which interpreter or codec is meant.
pub(super) fn strip(text: &str) -> Option<String> {
    let parsed = Parsed::new(Language::Python, text)?;
    let mut edits = Edits::default();
    for part in parsed.of_kind("comment") {
        let is_head = part.column == 0
            && text.get(..part.range.start).is_some_and(|before| before.lines().count() < 2)
            && (parsed.text_of(part).starts_with("#!") || parsed.text_of(part).contains("coding"));
        if !is_head {
            edits.replace(part.range.clone(), String::new());
        }
    }
    for part in docstrings(&parsed) {
        edits.replace(part.range.clone(), "pass".to_owned());
    }
    let stripped = done(edits, text)?;
    Some(without_blank_lines(&stripped).unwrap_or(stripped))
}

fn docstrings<'p>(parsed: &'p Parsed<'_>) -> impl Iterator<Item = &'p Part> {
    parsed.of_kind("string").filter(|part| {
        parsed.parent(part).is_some_and(|parent| parent.kind == "expression_statement")
            && parsed.text_of(part).starts_with(['"', '\'', 'r'])
    })
}

fn without_blank_lines(text: &str) -> Option<String> {
    let parsed = Parsed::new(Language::Python, text)?;
    let mut edits = Edits::default();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let range = at..at + line.len();
        let is_free = !parsed
            .of_kind("string")
            .any(|part| part.range.start < range.start && range.start < part.range.end);
        if line.trim().is_empty() && is_free {
            edits.replace(range.clone(), String::new());
        }
        at = range.end;
    }
    done(edits, text)
}

/// With comments, and a docstring for functions that have none.
pub(super) fn stuff(text: &str, random: &mut Random) -> Option<String> {
    let parsed = Parsed::new(Language::Python, text)?;
    let mut edits = Edits::default();
    for at in parsed.seams() {
        for _ in 0..random.below(4) {
            edits.insert(at, comment(random) + "\n");
        }
    }
    for (at, part) in parsed.parts.iter().enumerate().filter(|(_, part)| part.kind == "block") {
        let is_function = parsed.parent(part).is_some_and(|parent| parent.kind == "function_definition");
        let first = parsed.children(at).next();
        let is_own_line = text
            .get(..part.range.start)
            .is_some_and(|before| before.rsplit('\n').next().is_some_and(|line| line.trim().is_empty()));
        if let Some(first) = first.filter(|_| is_function && is_own_line) {
            let indent = " ".repeat(first.column);
            let words = comment(random);
            let words = words.trim_start_matches("# ");
            edits.insert(first.range.start, format!("\"\"\"{words}.\"\"\"\n{indent}"));
        }
    }
    let end = format!("\n{}\n{}\n", comment(random), comment(random));
    edits.insert(text.len(), end);
    if text.contains('\t') {
        return None;
    }
    done(edits, text)
}

/// What stands in a literal that can be taken apart: no prefix but `b`, no escape, no line's end.
fn plain_literal<'t>(parsed: &Parsed<'t>, part: &Part) -> Option<(&'t str, bool)> {
    let parent = parsed.parent(part)?;
    let is_alone = [
        "argument_list",
        "assignment",
        "binary_operator",
        "list",
        "tuple",
        "keyword_argument",
        "pair",
        "return_statement",
        "comparison_operator",
        "subscript",
        "parenthesized_expression",
    ]
    .contains(&parent.kind);
    if !is_alone || parsed.is_within(part, &["interpolation", "decorator", "case_clause", "type"]) {
        return None;
    }
    let text = parsed.text_of(part);
    let (quoted, is_bytes) = match text.strip_prefix('b') {
        Some(rest) => (rest, true),
        None => (text, false),
    };
    let quote = quoted.chars().next().filter(|quote| ['"', '\''].contains(quote))?;
    let inside = quoted.strip_prefix(quote)?.strip_suffix(quote)?;
    let is_plain =
        inside.chars().count() >= 2 && !inside.contains(['\\', '\n', quote]) && !quoted.starts_with("\"\"");
    (is_plain && !inside.is_empty()).then_some((inside, is_bytes))
}

pub(super) fn split_strings(text: &str, random: &mut Random) -> Option<String> {
    each_literal(text, random, |inside, is_bytes, random| {
        let letters: Vec<char> = inside.chars().collect();
        let cut = 1 + random.below(letters.len() - 1);
        let (head, tail) = letters.split_at(cut);
        let one = python_escape(&head.iter().collect::<String>());
        let two = python_escape(&tail.iter().collect::<String>());
        if is_bytes {
            return format!("(b'{one}'+b'{two}')");
        }
        let whole = python_escape(inside);
        match random.below(6) {
            0 => format!("('{one}'+'{two}')"),
            1 => format!("''.join(['{one}','{two}'])"),
            2 => {
                let codes: Vec<String> =
                    letters.iter().map(|letter| u32::from(*letter).to_string()).collect();
                format!("''.join(map(chr,[{}]))", codes.join(","))
            }
            3 => format!("('%s%s'%('{one}','{two}'))"),
            4 => format!("'{{}}{{}}'.format('{one}','{two}')"),
            _ if whole == inside => format!("'{}'[::-1]", inside.chars().rev().collect::<String>()),
            _ => format!("('{one}' '{two}')"),
        }
    })
}

pub(super) fn escape_strings(text: &str, random: &mut Random) -> Option<String> {
    each_literal(text, random, |inside, is_bytes, random| {
        if is_bytes {
            let escaped: String = inside.bytes().map(|byte| format!("\\x{byte:02x}")).collect();
            return format!("b'{escaped}'");
        }
        format!("'{}'", python_all_escaped(inside, random))
    })
}

fn each_literal(
    text: &str,
    random: &mut Random,
    mut make: impl FnMut(&str, bool, &mut Random) -> String,
) -> Option<String> {
    let parsed = Parsed::new(Language::Python, text)?;
    let mut edits = Edits::default();
    for part in parsed.of_kind("string") {
        if let Some((inside, is_bytes)) = plain_literal(&parsed, part)
            && (!is_bytes || inside.is_ascii())
        {
            edits.replace(part.range.clone(), make(inside, is_bytes, random));
        }
    }
    done(edits, text)
}

/// `os.system` becomes `getattr(__import__('os'),'sys'+'tem')`, `exec` a member of `builtins`.
pub(super) fn indirection(text: &str, random: &mut Random) -> Option<String> {
    let parsed = Parsed::new(Language::Python, text)?;
    let imported: HashSet<&str> = parsed
        .of_kind("dotted_name")
        .filter(|part| parsed.parent(part).is_some_and(|parent| parent.kind == "import_statement"))
        .map(|part| parsed.text_of(part))
        .filter(|module| !module.contains('.'))
        .collect();
    let bound: HashSet<&str> = parsed
        .of_kind("identifier")
        .filter(|part| binds(&parsed, part))
        .map(|part| parsed.text_of(part))
        .collect();
    let mut edits = Edits::default();
    for (at, part) in parsed.parts.iter().enumerate() {
        let Some(parent) = parsed.parent(part) else { continue };
        let is_call = parent.kind == "call" && part.field == "function";
        if part.kind == "attribute" && (is_call || parent.kind == "argument_list") {
            let mut sides = parsed.children(at);
            let (Some(object), Some(attribute)) = (sides.next(), sides.next()) else { continue };
            let module = parsed.text_of(object);
            if object.kind != "identifier" || !imported.contains(module) || bound.contains(module) {
                continue;
            }
            let word = parsed.text_of(attribute);
            let (one, two) = word.split_at(if word.is_ascii() { random.below(word.len()) } else { 0 });
            let module = match random.below(2) {
                0 => format!("__import__('{module}')"),
                _ => module.to_owned(),
            };
            edits.replace(part.range.clone(), format!("getattr({module},'{one}'+'{two}')"));
        } else if part.kind == "identifier" && is_call {
            let word = parsed.text_of(part);
            if ["exec", "eval", "open", "compile", "len", "print"].contains(&word) && !bound.contains(word) {
                let module = pick(&["__import__('builtins')", "__import__('built'+'ins')"], random);
                edits.replace(part.range.clone(), format!("getattr({module},'{word}')"));
            }
        }
    }
    done(edits, text)
}

pub(super) fn add_dead_code(text: &str, random: &mut Random) -> Option<String> {
    let parsed = Parsed::new(Language::Python, text)?;
    if text.contains("__future__") {
        return None;
    }
    let mut edits = Edits::default();
    for at in parsed.seams() {
        if random.below(3) == 0 {
            edits.insert(at, dead_code(Language::Python, random));
        }
    }
    edits.insert(text.len(), format!("\n{}", dead_code(Language::Python, random)));
    done(edits, text)
}

/// Small, as minifiers make it: no comments, no blank lines, short names, statements joined.
pub(super) fn minify(text: &str, random: &mut Random) -> Option<String> {
    let small = strip(text).unwrap_or_else(|| text.to_owned());
    let small = rename(&small, random).unwrap_or(small);
    let parsed = Parsed::new(Language::Python, &small)?;
    let is_simple = |part: &Part| {
        ["expression_statement", "import_statement", "import_from_statement", "assert_statement"]
            .contains(&part.kind)
    };
    let outermost: Vec<&Part> = parsed.children(0).collect();
    let mut edits = Edits::default();
    for pair in outermost.windows(2) {
        if let [one, two] = pair
            && is_simple(one)
            && is_simple(two)
            && small.get(one.range.end..two.range.start) == Some("\n")
        {
            edits.replace(one.range.end..two.range.start, ";".to_owned());
        }
    }
    Some(edits.apply(&small))
}

/// The edited text, if anything was edited and it is still Python.
fn done(edits: Edits, text: &str) -> Option<String> {
    if edits.is_empty() {
        return None;
    }
    let edited = edits.apply(text);
    Parsed::new(Language::Python, &edited).map(|_| edited.clone())
}
