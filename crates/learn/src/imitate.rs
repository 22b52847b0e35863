//! Imitations: attack code for Linux and the everyday code that looks like it, made from templates.
//!
//! Public malware is mostly Windows campaigns in `setup.py`; what runs in containers is rarer there than
//! in life. The templates fill that gap on both sides. They name addresses that are reserved for documentation.
//!
//! Owns: templates and their expansion. Refuses: being counted in any figure.
//!
//! A template is text with `⟦a¦b¦c⟧` for a choice, which may hold others, and `⟦@host⟧` for a filler. Attack templates
//! lie encoded in `templates/attacks.b64` (`base64 -d` shows them), everyday ones in `templates/everyday.txt`.
//! A template begins with a line `=== LANGUAGE NAME`.

use crate::LearnError;
use crate::corpus::{Confidence, Sample, hash};
use crate::random::Random;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use evidence::Language;

const ATTACKS: &str = include_str!("../templates/attacks.b64");
const EVERYDAY: &str = include_str!("../templates/everyday.txt");

/// Marks a sample that belongs to no corpus file.
pub(crate) const NO_COLLECTION: usize = usize::MAX;

/// The imitations in one language, `count` from each template; those of one template are one cluster.
pub(crate) fn samples(language: Language, count: u64, seed: u64) -> Result<Vec<Sample>, LearnError> {
    let encoded: String = ATTACKS.split_whitespace().collect();
    let attacks = STANDARD.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let attacks = attacks.ok_or(LearnError::Option("the attack templates of this build are damaged"))?;
    let everyday: Vec<&str> =
        templates(EVERYDAY).filter(|one| one.language == language).map(|one| one.text).collect();
    let mut samples = Vec::new();
    for (text, is_malicious) in [(attacks.as_str(), true), (EVERYDAY, false)] {
        for template in templates(text).filter(|template| template.language == language) {
            expand(&template, is_malicious, count, seed, &everyday, &mut samples);
        }
    }
    Ok(samples)
}

struct Template<'t> {
    language: Language,
    name: &'t str,
    text: &'t str,
}

fn templates(text: &str) -> impl Iterator<Item = Template<'_>> {
    text.split("=== ").filter_map(|section| {
        let (head, text) = section.split_once('\n')?;
        let (language, name) = head.trim().split_once(' ')?;
        let language = match language {
            "python" => Language::Python,
            "shell" => Language::Shell,
            _ => return None,
        };
        Some(Template { language, name, text: text.trim_end_matches('\n') })
    })
}

fn expand(
    template: &Template<'_>,
    is_malicious: bool,
    count: u64,
    seed: u64,
    everyday: &[&str],
    samples: &mut Vec<Sample>,
) {
    let cluster = hash(format!("imitation {} {}", template.language, template.name).as_bytes());
    let mut random = Random::new(seed ^ cluster);
    for round in 0..count {
        let mut text = fill(template.text, &mut random);
        if round % 6 >= 4 - u64::from(is_malicious) && round % 6 < 5 {
            text = surround(&text, everyday, &mut random);
        } else if is_malicious && round % 6 == 5 {
            text = obfuscate(template.language, &text, &mut random);
        } else if template.language == Language::Python && round % 3 == 1 {
            text = on_one_line(&text).unwrap_or(text);
        }
        samples.push(Sample {
            language: template.language,
            is_malicious,
            confidence: Confidence::High,
            collection: NO_COLLECTION,
            source: cluster,
            cluster,
            text: text.into_bytes(),
        });
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

/// Replaces each choice and filler, the innermost first. An unclosed one is left as it is.
fn fill(text: &str, random: &mut Random) -> String {
    let mut out = text.to_owned();
    while let Some(end) = out.find('⟧') {
        let Some(start) = out[..end].rfind('⟦') else { break };
        let choice = &out[start + '⟦'.len_utf8()..end];
        let chosen = match choice.strip_prefix('@') {
            Some(name) => filler(name, random),
            None => {
                let options: Vec<&str> = choice.split('¦').collect();
                options[random.below(options.len())].to_owned()
            }
        };
        out.replace_range(start..end + '⟧'.len_utf8(), &chosen);
    }
    out
}

fn filler(name: &str, random: &mut Random) -> String {
    let pick = |options: &[&str], random: &mut Random| options[random.below(options.len())].to_owned();
    match name {
        "ip" => {
            let net = ["192.0.2", "198.51.100", "203.0.113", "127.0.0", "10.0.0", "172.17.0", "192.168.1"];
            format!("{}.{}", net[random.below(net.len())], 1 + random.below(254))
        }
        "host" if random.below(2) == 0 => filler("ip", random),
        "host" => pick(
            &[
                "attacker.example",
                "cdn.example.net",
                "evil.example.com",
                "c2.example.org",
                "update.example",
                "localhost",
            ],
            random,
        ),
        "port" => {
            pick(&["4444", "9001", "1337", "443", "8080", "53", "5555", "31337", "8443", "6666", "9"], random)
        }
        "name" => pick(
            &["a", "x", "update", "kworker", "init", "sysd", "agent", "tool", "run", ".x", "payload", "dbus"],
            random,
        ),
        "var" => pick(&["s", "sock", "c", "conn", "client", "data", "d", "p", "r", "t", "out"], random),
        "dir" => pick(&["/tmp", "/var/tmp", "/dev/shm", "/tmp/.cache", "/run", "/opt"], random),
        "app" => pick(&["web", "api", "worker", "app", "service", "backend", "portal", "shop"], random),
        "b64" => {
            let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
            let length = 4 * (6 + random.below(60));
            (0..length).map(|_| char::from(letters[random.below(letters.len())])).collect()
        }
        other => other.to_owned(),
    }
}

/// Python statements that need no line of their own, joined as `python3 -c` gets them.
fn on_one_line(text: &str) -> Option<String> {
    let opens_block = |line: &str| line.trim_end().ends_with(':') || line.starts_with([' ', '\t', '@', '#']);
    let is_plain = !text.lines().any(opens_block) && !text.contains("\"\"\"") && !text.contains("\\\n");
    is_plain.then(|| text.lines().filter(|line| !line.trim().is_empty()).collect::<Vec<_>>().join(";"))
}

/// Wraps an attack as droppers do.
fn obfuscate(language: Language, text: &str, random: &mut Random) -> String {
    let encoded = STANDARD.encode(text);
    let forms: &[&str] = match language {
        Language::Python => &[
            "import base64\nexec(base64.b64decode('⟦@x⟧'))",
            "exec(__import__('base64').b64decode('⟦@x⟧').decode())",
            "import base64, subprocess\ncode = base64.b64decode(b\"⟦@x⟧\")\neval(compile(code, '<string>', 'exec'))",
            "import codecs,base64\npayload='⟦@x⟧'\nexec(compile(base64.b64decode(payload),'','exec'))",
        ],
        Language::Shell => &[
            "echo ⟦@x⟧ | base64 -d | sh",
            "echo '⟦@x⟧'|base64 --decode|bash",
            "eval \"$(echo ⟦@x⟧ | base64 -d)\"",
            "bash -c \"$(base64 -d <<< ⟦@x⟧)\"",
            "P=⟦@x⟧\nprintf '%s' \"$P\" | base64 -d | /bin/sh",
        ],
    };
    forms[random.below(forms.len())].replace("⟦@x⟧", &encoded)
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
            assert!(clusters(true) >= 10 && clusters(false) >= 10, "{language}");
            let open =
                samples.iter().find(|sample| String::from_utf8_lossy(&sample.text).contains(['⟦', '⟧']));
            assert!(open.is_none(), "{:?}", open.map(|sample| String::from_utf8_lossy(&sample.text)));
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_texts() {
        let texts = |seed| {
            samples(Language::Shell, 4, seed)
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
