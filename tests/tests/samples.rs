//! The samples are what the other tests take them for: where one is misjudged, the model is at fault and not
//! the way that a script takes through urva.

#![allow(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

use detect::Detector;
use end_to_end::sample;
use evidence::{Label, Language};

#[test]
fn the_built_in_model_judges_each_sample_as_its_name_says() {
    let detector = Detector::built_in();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/samples");
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().trim_end_matches(".b64").to_owned())
        .collect();
    names.sort();
    assert!(names.len() >= 13, "samples are missing: {names:?}");
    let mut wrong = Vec::new();
    for name in names {
        let language = if name.ends_with(".py") { Language::Python } else { Language::Shell };
        let expected = if name.starts_with("malicious.") { Label::Malicious } else { Label::Benign };
        let text = sample(&name).unwrap();
        let verdict = detector.judge(language, (text.as_bytes(), b""));
        let line = format!("{name}: {} ({:.4} of {:.4})", verdict.label, verdict.score, verdict.threshold);
        println!("{line}");
        if verdict.label != expected {
            wrong.push(line);
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
