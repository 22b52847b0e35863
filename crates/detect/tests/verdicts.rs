//! Golden verdicts of the built-in model on harmless imitations, see `testdata/README.md`.

#![allow(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use detect::Detector;
use evidence::{Label, Language, Reason, Technique, Unseen, Verdict};
use std::path::PathBuf;

struct Case {
    name: String,
    language: Language,
    label: Label,
    text: Vec<u8>,
}

fn cases() -> Vec<Case> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let mut cases = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        let Some(name) = file.strip_suffix(".b64") else { continue };
        let encoded: String = std::fs::read_to_string(&path).unwrap().split_whitespace().collect();
        cases.push(Case {
            name: name.to_owned(),
            language: if name.contains(".python.") { Language::Python } else { Language::Shell },
            label: match name.split('.').next() {
                Some("malicious") => Label::Malicious,
                Some("suspicious") => Label::Suspicious,
                _ => Label::Benign,
            },
            text: STANDARD.decode(encoded).unwrap(),
        });
    }
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    cases
}

fn find(name: &str) -> Case {
    cases().into_iter().find(|case| case.name == name).unwrap()
}

fn judge(language: Language, text: &[u8]) -> Verdict {
    Detector::built_in().judge(language, (text, b""))
}

#[test]
fn each_imitation_gets_the_label_in_its_name() {
    let detector = Detector::built_in();
    let mut wrong = Vec::new();
    let cases = cases();
    assert!(cases.len() >= 50, "the test data is missing");
    for Case { name, language, label, text } in cases {
        let verdict = detector.judge(language, (&text, b""));
        println!("{:<50} {:<10} {:.4} of {:.4}", name, verdict.label, verdict.score, verdict.threshold);
        assert_eq!(verdict.reasons.is_empty(), verdict.label == Label::Benign, "{name}");
        if verdict.label != label {
            wrong.push(format!("{name}: {} ({:.4})", verdict.label, verdict.score));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn reasons_say_what_an_analyst_would_say() {
    let wanted = include_str!("../testdata/reasons.txt");
    for line in wanted.lines() {
        let (name, words) = line.split_once(": ").unwrap();
        let Case { language, text, .. } = find(name);
        let verdict = judge(language, &text);
        let given: Vec<_> = verdict.reasons.iter().map(|reason| reason.indicator.as_str()).collect();
        assert!(given.contains(&words), "{name}: {given:?} lacks {words:?}");
        assert!(given.len() <= 8, "{name}: {given:?}");
        // Those of the deciding layer come first.
        let order = |reason: &Reason| (reason.layer.is_none(), -reason.weight);
        assert!(verdict.reasons.is_sorted_by(|a, b| order(a) <= order(b)), "{name}");
    }
}

#[test]
fn a_reason_names_its_line() {
    let verdict = judge(Language::Python, &find("malicious.python.reverse-shell").text);
    let dup = verdict.reasons.iter().find(|reason| reason.indicator.contains("standard streams")).unwrap();
    assert_eq!((dup.line, dup.excerpt.as_str()), (Some(12), "os.dup2(conn.fileno(), stream)"));
}

/// Each attack among everyday lines: does the first reason point at it?
#[test]
fn the_first_reason_points_at_the_payload() {
    let detector = Detector::built_in();
    let (mut judged, mut pointed, mut missed) = (0, 0, Vec::new());
    let cases = cases();
    for attack in cases.iter().filter(|case| case.label == Label::Malicious) {
        let everyday = |case: &&Case| case.label == Label::Benign && case.language == attack.language;
        for host in cases.iter().filter(everyday) {
            let lines: Vec<_> = host.text.split_inclusive(|&byte| byte == b'\n').collect();
            let (before, behind) = lines.split_at(if host.name.contains("inline") { lines.len() } else { 0 });
            let before = [before.concat(), b"\n".to_vec()].concat();
            let text = [&before[..], &attack.text[..], b"\n", &behind.concat()[..]].concat();
            let verdict = detector.judge(attack.language, (&text, b""));
            let Some(first) = verdict.reasons.first() else { continue };
            judged += 1;
            // A layer's reason counts where the layer was found.
            let line = match first.layer {
                None => first.line,
                Some(mut at) => loop {
                    let layer = &verdict.layers[at as usize];
                    match layer.parent {
                        Some(parent) => at = parent,
                        None => {
                            break layer.origin.split([' ', ':', '-']).nth(1).and_then(|at| at.parse().ok());
                        }
                    }
                },
            };
            let count = |bytes: &[u8]| u32::try_from(bytes.split(|&byte| byte == b'\n').count()).unwrap();
            let (start, end) = (count(&before), count(&before) + count(&attack.text) - 1);
            if line.is_some_and(|line| (start..=end).contains(&line)) {
                pointed += 1;
            } else {
                missed.push(format!("{} in {}: {line:?} not in {start}..={end}", attack.name, host.name));
            }
        }
    }
    println!("{pointed} of {judged}");
    assert!(judged >= 200, "{judged}");
    assert!(pointed * 100 >= judged * 90, "{pointed} of {judged}: {missed:#?}");
}

#[test]
fn a_script_that_fetches_a_tool_shows_ingress_tool_transfer() {
    for name in [
        "python.downloader",
        "python.downloader-retrieve-inline",
        "shell.downloader",
        "shell.downloader-inline",
    ] {
        let Case { language, text, .. } = find(&format!("malicious.{name}"));
        let techniques: Vec<_> =
            judge(language, &text).reasons.iter().filter_map(|reason| reason.technique).collect();
        assert!(techniques.contains(&Technique::IngressToolTransfer), "{name}: {techniques:?}");
    }
}

#[test]
fn a_few_bad_lines_among_many_good_ones_count() {
    for (language, good, bad) in [
        (Language::Python, "benign.python.backup", "malicious.python.reverse-shell"),
        (Language::Shell, "benign.shell.entrypoint", "malicious.shell.reverse-shell"),
    ] {
        let mut text = find(good).text.repeat(100);
        assert_eq!(judge(language, &text).label, Label::Benign, "{good}");
        let middle = text.len() / 2;
        let middle = middle + text[middle..].iter().position(|&byte| byte == b'\n').unwrap() + 1;
        text.splice(middle..middle, find(bad).text);
        let verdict = judge(language, &text);
        assert_ne!(verdict.label, Label::Benign, "{bad} in {good}: {}", verdict.score);
        let line = u32::try_from(text[..middle].split(|&byte| byte == b'\n').count()).unwrap();
        assert!(verdict.reasons.iter().filter_map(|reason| reason.line).any(|at| at.abs_diff(line) < 20));
    }
}

#[test]
fn line_ends_and_a_byte_order_mark_change_nothing() {
    let text = find("malicious.shell.miner").text;
    let plain = judge(Language::Shell, &text);
    let mut windows = b"\xef\xbb\xbf".to_vec();
    text.iter().for_each(|&byte| {
        windows.extend(if byte == b'\n' { &b"\r\n"[..] } else { std::slice::from_ref(&byte) })
    });
    let verdict = judge(Language::Shell, &windows);
    assert_eq!((verdict.label, verdict.score), (plain.label, plain.score));
}

#[test]
fn the_tail_of_a_long_text_is_judged_and_its_lines_are_not_numbered() {
    let good = find("benign.shell.entrypoint").text.repeat(20);
    let bad = find("malicious.shell.reverse-shell").text;
    let verdict = Detector::built_in().judge(Language::Shell, (&good, &bad));
    assert_ne!(verdict.label, Label::Benign);
    let shell =
        verdict.reasons.iter().find(|reason| reason.indicator == "connects a shell to a socket").unwrap();
    assert_eq!(shell.line, None);
}

#[test]
fn a_text_on_one_line_of_a_megabyte_is_judged() {
    let mut text = b"x = 1; ".repeat(150_000);
    text.extend(find("malicious.python.reverse-shell-inline").text);
    let verdict = judge(Language::Python, &text);
    assert!(verdict.reasons.iter().all(|reason| reason.excerpt.chars().count() <= 200));
    assert_ne!(verdict.label, Label::Benign, "{}", verdict.score);
}

#[test]
fn a_verdict_says_what_it_could_not_look_at() {
    let check = |text: &str, expected: &[Unseen]| {
        assert_eq!(judge(Language::Python, text.as_bytes()).unseen, expected, "{text:.60}");
    };
    let wrapped = |times| {
        (0..times).fold("print('harmless')".to_owned(), |text, _| {
            format!("import base64\nexec(base64.b64decode('{}'))", STANDARD.encode(text))
        })
    };
    check("print('harmless')", &[]);
    check(&wrapped(3), &[]);
    check(&wrapped(12), &[Unseen::Layers]);
    check("from pyarmor_runtime import __pyarmor__\n", &[Unseen::PackedPayload]);
}
