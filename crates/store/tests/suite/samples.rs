//! Findings to store, and a store to put them in.

use evidence::{
    Capture, Container, Content, CoverageNote, Drift, Executable, Family, FileIdentity, Finding, Interpreter,
    Label, Language, Metadata, Namespaces, Pod, Process, Redaction, Runtime, Script, ScriptKind, Sha256,
    Timestamp, Untrusted, Verdict, WholeFile,
};
use std::collections::BTreeSet;
use std::time::Duration;

pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// One day in 2026, in seconds; the tests' noon.
pub(crate) const NOON: u64 = 1_795_262_400;

/// An execution, `seconds` after noon, of a text in a container.
pub(crate) fn execution(container: &str, text: &str, pid: u32, seconds: u64) -> Finding {
    finding(capture(container, text, pid, seconds))
}

pub(crate) fn finding(capture: Capture) -> Finding {
    Finding::new(capture, verdict(), &Redaction::default()).unwrap()
}

pub(crate) fn verdict() -> Verdict {
    Verdict {
        label: Label::Malicious,
        score: 0.987,
        threshold: 0.9,
        language: Language::Python,
        model: "linear@0123456789ab".to_owned(),
        reasons: Vec::new(),
        layers: Vec::new(),
        unseen: Vec::new(),
    }
}

pub(crate) fn capture(container: &str, text: &str, pid: u32, seconds: u64) -> Capture {
    let at = Timestamp::from_seconds(NOON + seconds);
    let mut script = Script::new(ScriptKind::File, Content::Whole(text.into()));
    script.path = Some("/tmp/x.py".into());
    script.drift = Drift::WritableLayer;
    script.file = Some(WholeFile { identity: identity(text.len() as u64), sha256: None, hashed_size: 0 });
    Capture {
        observed_at: at,
        process: process(pid, at),
        interpreter: Interpreter { family: Family::CPython },
        script,
        container: Some(Container::pending(container, Some(Runtime::Runc))),
        coverage: BTreeSet::from([CoverageNote::HashIncomplete]),
        compiled: None,
        held: false,
    }
}

fn identity(size: u64) -> FileIdentity {
    let then = Timestamp::from_seconds(NOON - 60);
    FileIdentity { device: 1, inode: u64::MAX, size, modified_at: then, changed_at: then }
}

fn process(pid: u32, at: Timestamp) -> Process {
    Process {
        pid,
        pid_in_container: 7,
        parent_pid: 1,
        started_at: at,
        start_ticks: u64::from(pid) * 100,
        uid: 0,
        gid: 0,
        comm: "python3".into(),
        cwd: "/".into(),
        executable: Executable { path: "/usr/bin/python3".into(), size: Some(6_000_000), sha256: None },
        args: vec!["python3".into(), "/tmp/x.py".into()],
        environment: vec!["LANG=C.UTF-8".into()],
        cgroup: Untrusted::from("/urva-test"),
        namespaces: Namespaces::default(),
    }
}

/// What a runtime says about a container, later.
pub(crate) fn container(id: &str, pod: &str, namespace: &str, image: &str) -> Container {
    Container {
        name: Some(format!("{pod}-main")),
        image: Some(image.to_owned()),
        image_id: Some("sha256:00".to_owned()),
        created_at: Some(Timestamp::from_seconds(NOON - 3600)),
        pod: Some(Pod {
            namespace: Some(namespace.to_owned()),
            name: Some(pod.to_owned()),
            ..Pod::default()
        }),
        metadata: Metadata::Complete,
        ..Container::pending(id, Some(Runtime::Containerd))
    }
}

/// The same capture, once the file's hash is known.
pub(crate) fn with_hash(mut capture: Capture) -> Capture {
    if let Some(file) = &mut capture.script.file {
        file.sha256 = Some(Sha256::of(b"the file"));
        file.hashed_size = file.identity.size;
    }
    capture.coverage.clear();
    capture
}
