//! The templates that lie in `templates/`.
//!
//! Owns: their files and how they are read. Refuses: expanding them.
//!
//! A template begins with a line `=== LANGUAGE NAME`. Attack templates lie encoded (`base64 -d` shows them), so that no
//! file of this repository is attack code.

use crate::LearnError;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use evidence::Language;

const ATTACKS: &[&str] = &[
    include_str!("../../templates/attacks/basics.b64"),
    include_str!("../../templates/attacks/control.b64"),
    include_str!("../../templates/attacks/destruction.b64"),
    include_str!("../../templates/attacks/droppers.b64"),
    include_str!("../../templates/attacks/escape.b64"),
    include_str!("../../templates/attacks/exfil.b64"),
    include_str!("../../templates/attacks/miners.b64"),
    include_str!("../../templates/attacks/network.b64"),
    include_str!("../../templates/attacks/persistence.b64"),
    include_str!("../../templates/attacks/pieces.b64"),
    include_str!("../../templates/attacks/shells.b64"),
    include_str!("../../templates/attacks/supply-chain.b64"),
    include_str!("../../templates/attacks/theft.b64"),
];

const EVERYDAY: &[&str] = &[
    include_str!("../../templates/everyday/basics.txt"),
    include_str!("../../templates/everyday/delivery.txt"),
    include_str!("../../templates/everyday/one-liners.txt"),
    include_str!("../../templates/everyday/operations.txt"),
    include_str!("../../templates/everyday/packages.txt"),
    include_str!("../../templates/everyday/pieces.txt"),
    include_str!("../../templates/everyday/python-work.txt"),
    include_str!("../../templates/everyday/services.txt"),
    include_str!("../../templates/everyday/shell-work.txt"),
    include_str!("../../templates/everyday/tools.txt"),
];

/// One text with choices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template {
    pub(super) language: Language,
    pub(super) is_malicious: bool,
    pub(super) name: String,
    pub(super) text: String,
}

/// All templates, attacks first.
pub(super) fn all() -> Result<Vec<Template>, LearnError> {
    let mut found = Vec::new();
    for encoded in ATTACKS {
        let encoded: String = encoded.split_whitespace().collect();
        let text = STANDARD.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let text = text.ok_or(LearnError::Option("the attack templates of this build are damaged"))?;
        found.extend(read(&text, true));
    }
    found.extend(EVERYDAY.iter().flat_map(|text| read(text, false)));
    Ok(found)
}

fn read(text: &str, is_malicious: bool) -> impl Iterator<Item = Template> + '_ {
    let sections = text.strip_prefix("=== ").unwrap_or(text).split("\n=== ");
    sections.filter_map(move |section| {
        let (head, text) = section.split_once('\n')?;
        let (language, name) = head.trim().split_once(' ')?;
        let language = match language {
            "python" => Language::Python,
            "shell" => Language::Shell,
            _ => return None,
        };
        let (name, text) = (name.to_owned(), text.trim_end_matches('\n').to_owned());
        Some(Template { language, is_malicious, name, text })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn each_template_has_a_name_of_its_own_and_closed_choices() {
        let mut names = HashSet::new();
        for template in all().unwrap() {
            let Template { language, is_malicious, name, text } = &template;
            assert!(names.insert((*language, *is_malicious, name.clone())), "{language} {name} twice");
            assert!(!text.trim().is_empty(), "{name} is empty");
            let mut depth = 0_i32;
            for character in text.chars() {
                depth += i32::from(character == '⟦') - i32::from(character == '⟧');
                assert!(depth >= 0, "{language} {name} closes what it did not open");
            }
            assert_eq!(depth, 0, "{language} {name} leaves a choice open");
        }
    }

    #[test]
    fn there_are_templates_of_both_kinds_in_both_languages() {
        let all = all().unwrap();
        let count = |language, is_malicious| {
            all.iter().filter(|one| one.language == language && one.is_malicious == is_malicious).count()
        };
        for language in [Language::Python, Language::Shell] {
            assert!(count(language, true) >= 100 && count(language, false) >= 100, "{language}");
        }
    }
}
