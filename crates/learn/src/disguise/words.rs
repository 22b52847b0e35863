//! Names, comments and inert statements that stand in nobody's way.
//!
//! Owns: word lists. Refuses: knowing the text that they go into.

use crate::random::Random;
use evidence::Language;

pub(super) fn pick<'o>(options: &[&'o str], random: &mut Random) -> &'o str {
    options.get(random.below(options.len())).copied().unwrap_or("")
}

/// A name that is hardly taken: a word and a number, letters at random, or a row of look-alikes.
pub(super) fn name(random: &mut Random) -> String {
    let number = random.next() % 100_000;
    match random.below(3) {
        0 => format!(
            "{}_{number}",
            pick(&["item", "value", "state", "entry", "buffer", "cfg", "node"], random)
        ),
        1 => {
            let letter = |random: &mut Random| char::from(b'a' + u8::try_from(random.below(26)).unwrap_or(0));
            let letters: String = (0..8).map(|_| letter(random)).collect();
            format!("_{letters}")
        }
        _ => {
            let letters: String = (0..12).map(|_| pick(&["l", "I", "O"], random)).collect();
            format!("_{letters}{number}")
        }
    }
}

pub(super) fn comment(random: &mut Random) -> String {
    let what = pick(
        &[
            "Loads the settings",
            "TODO: handle retries",
            "See the documentation for the details",
            "Keeps the old behaviour for older releases",
            "Reviewed by the platform team",
            "The order matters here",
            "Copyright 2023 Example, Inc. All rights reserved",
            "Licensed under the Apache License, Version 2.0",
            "Falls back to the default",
            "Used by the unit tests",
            "noqa: E501",
            "Writes the report for the dashboard",
        ],
        random,
    );
    format!("# {what}")
}

/// A statement that does nothing, as lines of the outermost level.
pub(super) fn dead_code(language: Language, random: &mut Random) -> String {
    let (one, two, number) = (name(random), name(random), random.below(9_000) + 100);
    let forms: &[String] = &match language {
        Language::Python => [
            format!("def {one}({two}=None):\n    return [{two}, {number}]\n"),
            format!("{one} = {number}\nif {one} < 0:\n    print({one})\n"),
            format!(
                "class {one}(object):\n    {two} = {number}\n    def total(self):\n        return self.{two} * 2\n"
            ),
            format!("for {one} in range(0):\n    print(\"row\", {one})\n"),
        ],
        Language::Shell => [
            format!("{one}() {{\n  local {two}=\"$1\"\n  echo \"${two}\"\n}}\n"),
            format!("{one}={number}\nif [ \"${one}\" -lt 0 ]; then\n  echo \"below\"\nfi\n"),
            format!("for {one} in; do echo \"${one}\"; done\n"),
            format!("case \"{number}\" in\n  0) echo none ;;\nesac\n"),
        ],
    };
    forms.get(random.below(forms.len())).cloned().unwrap_or_default()
}
