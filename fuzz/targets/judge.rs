//! Any bytes of a script, whole or as head and tail: the same verdict twice, and one that can be shown.
#![no_main]

use detect::Detector;
use evidence::{Language, Verdict};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static DETECTOR: LazyLock<Detector> = LazyLock::new(Detector::built_in);

fuzz_target!(|text: &[u8]| {
    let halves = text.split_at(text.len() / 2);
    for language in [Language::Python, Language::Shell] {
        for parts in [(text, &b""[..]), halves] {
            let verdict = DETECTOR.judge(language, parts);
            assert_eq!(verdict, DETECTOR.judge(language, parts));
            check(&verdict);
        }
    }
});

fn check(verdict: &Verdict) {
    let scores = verdict.layers.iter().map(|layer| layer.score).chain([verdict.score]);
    scores.for_each(|score| assert!((0.0..=1.0).contains(&score)));
    for reason in &verdict.reasons {
        assert!(reason.line.is_none_or(|line| line > 0 && reason.end_line.is_none_or(|end| end >= line)));
        assert!(reason.layer.is_none() || verdict.layer_of(reason).is_some());
        assert!(reason.excerpt.chars().count() <= 200);
    }
    for (at, layer) in verdict.layers.iter().enumerate() {
        assert!(layer.parent.is_none_or(|parent| (parent as usize) < at));
    }
}
