//! Any bytes get a verdict, the same one each time; any model file gets an answer.

#![allow(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

use detect::{Detector, ModelError};
use evidence::Language;
use proptest::prelude::*;
use std::sync::LazyLock;

const MODEL: &[u8] = include_bytes!("../../../model/urva.model");
static DETECTOR: LazyLock<Detector> = LazyLock::new(Detector::built_in);

fn check(model: &[u8], expected: &ModelError) {
    let error = Detector::from_bytes(model).unwrap_err();
    assert_eq!(&error, expected);
    assert!(error.to_string().contains(':'), "no remedy in {error}");
}

#[test]
fn the_model_is_named_after_its_bytes() {
    let hash = evidence::Sha256::of(MODEL).to_string();
    assert!(DETECTOR.model_id().ends_with(&format!("@{}", &hash[..12])), "{}", DETECTOR.model_id());
}

#[test]
fn the_model_file_is_small() {
    assert!(MODEL.len() <= 10 << 20, "{}", MODEL.len());
}

#[test]
fn a_file_that_is_no_model_is_refused() {
    check(b"\x7fELF and so on", &ModelError::Foreign);
    check(b"", &ModelError::Foreign);
}

#[test]
fn a_truncated_model_is_refused() {
    for length in [4, 8, 11, 20, 1000, MODEL.len() - 1] {
        let error = Detector::from_bytes(&MODEL[..length]).unwrap_err();
        assert!(
            matches!(error, ModelError::Truncated { found, needed } if found == length && needed > length),
            "{length}: {error}"
        );
    }
}

#[test]
fn a_model_of_another_version_is_refused() {
    let mut model = MODEL.to_vec();
    model[8] = 9;
    let error = Detector::from_bytes(&model).unwrap_err();
    assert!(error.to_string().contains("version 9."), "{error}");
}

#[test]
fn a_corrupt_or_longer_model_is_refused() {
    let mut model = MODEL.to_vec();
    model[100_000] ^= 1;
    check(&model, &ModelError::Checksum);
    let mut model = MODEL.to_vec();
    model.extend(b"more");
    check(&model, &ModelError::TooLong(4));
}

#[test]
fn an_empty_text_is_benign() {
    for language in [Language::Python, Language::Shell] {
        let verdict = DETECTOR.judge(language, (b"", b""));
        assert_eq!(verdict.label, evidence::Label::Benign, "{}", verdict.score);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_bytes_get_one_verdict(head: Vec<u8>, tail: Vec<u8>, repeat in 1_usize..40, python: bool) {
        let language = if python { Language::Python } else { Language::Shell };
        let head = head.repeat(repeat);
        let verdict = DETECTOR.judge(language, (&head, &tail));
        prop_assert!((0.0..=1.0).contains(&verdict.score));
        prop_assert_eq!(&verdict, &DETECTOR.judge(language, (&head, &tail)));
    }

    #[test]
    fn shell_like_text_gets_a_verdict(text in "([a-z/.$(){}|;&<>\\\\\"' \n\t]|curl|base64|exec|\\\\x41|/dev/tcp/){0,400}") {
        for language in [Language::Python, Language::Shell] {
            let verdict = DETECTOR.judge(language, (text.as_bytes(), b""));
            prop_assert!(verdict.reasons.len() <= 8);
        }
    }

    #[test]
    fn any_model_bytes_get_an_answer(at in 0_usize..300, byte: u8, length in 0_usize..2000) {
        let mut model = MODEL.to_vec();
        model[at] = byte;
        model.truncate(MODEL.len() - length);
        if length > 0 || byte != MODEL[at] {
            prop_assert!(Detector::from_bytes(&model).is_err());
        }
    }
}

/// Python's grammar looks past comments from each of them: a run of 100,000 must not be read 100,000 times. It would take
/// minutes, so a test that ends is one that passes.
#[test]
fn a_long_run_of_comments_is_read_once() {
    let text =
        [&b"import os\nos.system('cat /etc/hostname')\n"[..], &b"# says nothing\n".repeat(200_000)].concat();
    let verdict = DETECTOR.judge(Language::Python, (&text, b""));
    assert_eq!(verdict.layers.len(), 1, "{:?}", verdict.layers);
}

#[test]
fn a_long_run_of_continuation_lines_is_read_once() {
    let text = [&b"exec('import os; os.getcwd()')"[..], &b"\\\n".repeat(400_000)].concat();
    assert_eq!(DETECTOR.judge(Language::Python, (&text, b"")).layers.len(), 1);
}

/// The grammar's scanner aborts the process where its stack of indentations fits into no 1,024 bytes.
#[test]
fn indentation_without_end_ends_nothing() {
    let steps: Vec<u8> = (0..1400)
        .flat_map(|at| [&b" ".repeat(at)[..], b"if os.system('cat /etc/hostname'):\n"].concat())
        .collect();
    DETECTOR.judge(Language::Python, (&steps, b""));
}

/// How many times as long as an ordinary text of its size a text may take. Before the text that the grammars' scanners
/// look at was counted, some of those below took seventy to two hundred times as long; now the dearest takes twelve.
const MOST_TIMES: u32 = 40;

#[allow(clippy::disallowed_methods, reason = "the test compares times")]
fn fastest_of_three(language: Language, text: &[u8]) -> std::time::Duration {
    let run = |_| {
        let started = std::time::Instant::now();
        DETECTOR.judge(language, (text, b""));
        started.elapsed()
    };
    (0..3).map(run).min().unwrap()
}

/// Compares with ordinary text on the same machine, so that a slow or busy one changes nothing.
fn check_times(language: Language, ordinary: &str, constructs: &[(&str, &str)]) {
    const MEBIBYTE: usize = 1 << 20;
    let ordinary = fastest_of_three(language, ordinary.repeat(MEBIBYTE / ordinary.len()).as_bytes());
    for (start, repeated) in constructs {
        let text = format!("{start}{}", repeated.repeat(MEBIBYTE / repeated.len()));
        let took = fastest_of_three(language, text.as_bytes());
        println!("{:>4.1} times: {start:?} {repeated:?}", took.as_secs_f64() / ordinary.as_secs_f64());
        assert!(took < ordinary * MOST_TIMES, "{start}{repeated}…: {took:?}, ordinary text {ordinary:?}");
    }
}

/// Each repeats something that makes a scanner look ahead from each token, nests, or is never closed.
#[test]
fn shell_that_is_made_to_be_slow_is_bounded() {
    let ordinary = "[ -n \"$DIR\" ] && install -m 644 conf/a.conf \"$DIR/a.conf\"\n";
    let constructs = [
        ("", "case x in a) eval b ;; "),
        ("", "[[ eval =~ ("),
        ("", "((eval a+"),
        ("", "eval \"${a#\""),
        ("", "eval ${a"),
        ("", "eval @(a|"),
        ("", "eval $(("),
        ("", "eval a | "),
        ("", "eval `"),
        ("", "if eval a; then "),
        ("", "cat <<A\n"),
        ("", "python3 -c 'exec(1)'\n"),
        ("eval a ", "\\\n"),
        ("eval a\n", "# x\n"),
    ];
    check_times(Language::Shell, ordinary, &constructs);
}

#[test]
fn python_that_is_made_to_be_slow_is_bounded() {
    let ordinary = "    self.table.get('value', default=os.path.join('a', '/etc/hostname'))\n";
    let constructs = [
        ("exec(a)\nx = b\"\"\"", "P)h>@6aWAK2m`'x(~f#"),
        ("", "exec('''a'''\n"),
        ("exec(", "f'{f\"{"),
        ("exec(", "{1:"),
        ("exec(", "(a:="),
        ("exec(", "[x for x in "),
        ("", "eval('"),
        ("", "exec("),
        ("", "class A(exec(a)):\n x=1\n"),
        ("exec(a)\n", "x='''\n"),
        ("s='a'\nfor i in range(100000):\n  s=s+s[::-1]\nexec(s)\n", "#"),
    ];
    check_times(Language::Python, ordinary, &constructs);
}
