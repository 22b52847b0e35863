//! The finding's JSON, case by case. `tests/python/check_scc.py` parses the same golden files with the
//! protocol's official library.

use crate::cases::*;
use evidence::scc::{Limits, ListFindingsResult, Place, result};
use evidence::{Content, Finding, Metadata, Redaction, Sha256, Untrusted, scc};
use serde_json::Value;

fn place() -> Place {
    Place {
        organization: Some("123456789012".to_owned()),
        project: "shop-production".to_owned(),
        project_number: "987654321098".to_owned(),
        project_display_name: "Shop production".to_owned(),
        location: "europe-west4".to_owned(),
        cluster: "shop".to_owned(),
        node: "node-1".to_owned(),
        source: "4711".to_owned(),
    }
}

fn write(finding: &Finding) -> ListFindingsResult {
    result(finding, &place(), Limits::default())
}

fn script(finding: &Finding, contents: usize) -> scc::File {
    let mut result = result(finding, &place(), Limits { contents });
    result.finding.processes.remove(0).script
}

#[test]
fn a_finding_is_written_as_the_protocol_has_it() {
    insta::assert_json_snapshot!("scc_python_file", write(&python_file()));
    insta::assert_json_snapshot!("scc_python_inline", write(&python_inline()));
    insta::assert_json_snapshot!("scc_shell_stdin", write(&shell_stdin()));
    insta::assert_json_snapshot!("scc_shell_not_utf_8", write(&shell_not_utf_8()));
    insta::assert_json_snapshot!("scc_head_and_tail", write(&head_and_tail()));
    insta::assert_json_snapshot!("scc_no_metadata", write(&no_metadata()));
    insta::assert_json_snapshot!("scc_hostile", write(&hostile()));
    insta::assert_json_snapshot!("scc_impaired", write(&impaired()));
    insta::assert_json_snapshot!("scc_host", result(&host(), &Place::default(), Limits::default()));
}

#[test]
fn the_hash_of_a_script_is_that_of_its_contents_and_of_the_files_beginning() {
    for finding in [python_file(), python_inline(), shell_not_utf_8(), head_and_tail(), hostile()] {
        for limit in [0, 1, 10, 64, 1 << 20] {
            let script = script(&finding, limit);
            let contents = script.contents.expect("contents");
            let (head, _) = finding.script().unwrap().capture.script.content.parts();
            assert!(contents.len() <= limit && head.starts_with(contents.as_bytes()));
            assert_eq!(script.sha256, Some(Sha256::of(contents.as_bytes()).to_string()));
            assert_eq!(script.hashed_size.expect("hashed size").0, contents.len() as u64);
            let whole = script.size.expect("size").0;
            assert_eq!(script.partially_hashed, (contents.len() as u64) < whole);
        }
    }
}

#[test]
fn the_whole_files_hash_leads_to_virustotal() {
    let finding = python_file();
    let whole = Sha256::of(PYTHON.as_bytes());
    let properties = write(&finding).finding.source_properties;
    assert_eq!(properties["Script_SHA256"], Value::from(whole.to_string()));
    let link = &properties["contextUris"]["virustotalIndicatorQueryUri"][0]["url"];
    assert_eq!(*link, Value::from(format!("https://www.virustotal.com/gui/file/{whole}/detection")));
}

#[test]
fn a_file_that_is_hashed_in_part_has_no_link() {
    let mut finding = head_and_tail();
    finding.script_mut().unwrap().capture.script.file.as_mut().expect("file").hashed_size = 10;
    let properties = write(&finding).finding.source_properties;
    assert_eq!(properties.get("Script_SHA256"), None);
    assert_eq!(properties["contextUris"].get("virustotalIndicatorQueryUri"), None);
}

#[test]
fn text_without_a_file_has_no_path() {
    for mut finding in [python_inline(), shell_stdin()] {
        finding.script_mut().unwrap().capture.script.path = Some("/dev/stdin".into());
        assert_eq!(script(&finding, 1024).path, None);
    }
}

#[test]
fn contents_end_between_two_characters() {
    let mut finding = python_file();
    finding.script_mut().unwrap().capture.script.content = Content::Whole("a실b".into());
    for (limit, expected) in [(0, ""), (1, "a"), (3, "a"), (4, "a실"), (5, "a실b")] {
        assert_eq!(script(&finding, limit).contents.as_deref(), Some(expected), "limit {limit}");
    }
}

#[test]
fn a_reason_in_a_layer_names_it() {
    let mut finding = python_file();
    finding.script_mut().unwrap().verdict.layers = vec![evidence::Layer {
        origin: "line 3: base64, executed".to_owned(),
        parent: None,
        language: evidence::Language::Shell,
        sha256: Sha256::of(b"id"),
        size: 2,
        score: 0.99,
    }];
    finding.script_mut().unwrap().verdict.reasons[0].layer = Some(0);
    let properties = write(&finding).finding.source_properties;
    assert_eq!(properties["Reasons"][0]["line"], 3);
    assert_eq!(properties["Reasons"][0]["layer"], "line 3: base64, executed");
    assert_eq!(properties["Reasons"][1]["layer"], serde_json::Value::Null);
    let description = evidence::guidance::description(&finding, &place());
    assert!(description.contains("line 3 in a layer (line 3: base64, executed)"), "{description}");
}

#[test]
fn long_lists_are_bounded_and_say_so() {
    let mut finding = python_file();
    finding.script_mut().unwrap().capture.process.args =
        vec![Untrusted(vec![0xff; 100_000]), "second".into()];
    finding.script_mut().unwrap().capture.process.environment = vec![Untrusted::default(); 1_000_000];
    let process = write(&finding).finding.processes.remove(0);
    assert!(process.arguments_truncated && process.env_variables_truncated);
    assert!(process.args[0].len() <= 16 * 1024);
    assert_eq!(process.args[1], "second", "a long argument leaves room for the next");
    assert!(process.env_variables.len() <= 64 * 1024);

    finding.script_mut().unwrap().capture.process.args = vec![Untrusted(vec![b'a'; 100_000]); 1000];
    let process = write(&finding).finding.processes.remove(0);
    assert!(process.args.iter().map(String::len).sum::<usize>() <= 64 * 1024);
}

#[test]
fn long_names_and_labels_are_bounded() {
    let mut finding = python_file();
    let container = finding.script_mut().unwrap().capture.container.as_mut().expect("container");
    container.labels = (0..10_000).map(|index| (format!("label-{index}"), "x".repeat(10_000))).collect();
    container.name = Some("n".repeat(1_000_000));
    container.image = Some("i".repeat(1_000_000));
    container.metadata = Metadata::Missing("m".repeat(1_000_000));
    finding.script_mut().unwrap().capture.process.cwd = Untrusted(vec![b'/'; 1_000_000]);
    finding.script_mut().unwrap().verdict.reasons[0].excerpt = "e".repeat(1_000_000);
    let json = serde_json::to_string(&write(&finding)).expect("JSON");
    assert!(json.len() < 400_000, "{} bytes", json.len());
}

#[test]
fn arguments_and_environment_that_are_not_reported_are_absent() {
    let switches = Redaction { report_arguments: false, report_environment: false, redact_secrets: true };
    let malicious = python_file();
    let judged = malicious.script().unwrap().clone();
    let finding = Finding::new(judged.capture, judged.verdict, &switches).expect("a finding");
    let process = serde_json::to_value(&write(&finding).finding.processes[0]).expect("JSON");
    assert_eq!((process.get("args"), process.get("envVariables")), (None, None));
}

#[test]
fn secrets_do_not_reach_the_json() {
    let json = serde_json::to_string(&write(&python_file())).expect("JSON");
    assert!(!json.contains("hunter2"), "{json}");
}

#[test]
fn addresses_in_the_text_are_indicators() {
    let mut finding = python_file();
    let text = "x='http://a.example/1';curl https://b.example/2?q=1.\nhttp://\nhttphttp://c.example http:/x";
    finding.script_mut().unwrap().capture.script.content = Content::Whole(text.into());
    let uris = write(&finding).finding.indicator.expect("indicator").uris;
    assert_eq!(uris, ["http://a.example/1", "https://b.example/2?q=1"]);
}

proptest::proptest! {
    #[test]
    fn any_text_makes_a_finding(content: Vec<u8>, path: Vec<u8>, argument: Vec<u8>, name: String, limit in 0..100_usize) {
        let mut finding = python_file();
        finding.script_mut().unwrap().capture.script.content = Content::Whole(content.into());
        finding.script_mut().unwrap().capture.script.path = Some(path.into());
        finding.script_mut().unwrap().capture.process.args = vec![argument.into()];
        finding.script_mut().unwrap().capture.container.as_mut().expect("container").name = Some(name);
        let result = result(&finding, &place(), Limits { contents: limit });
        serde_json::to_string(&result).expect("JSON");
        for text in [&result.finding.description, &result.finding.next_steps.replace('\n', "")] {
            proptest::prop_assert!(!text.chars().any(char::is_control), "{text}");
        }
    }
}
