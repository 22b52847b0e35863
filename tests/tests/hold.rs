//! Where holding is on, a malicious text does not run: its first statement, which would write a marker, never happens. A
//! benign one runs as ever. One test at a time: two that hold the same processes would let them go for each other.

#![allow(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

use end_to_end::{Container, Found, Rootfs, Runc, Urva, privileged_and_alone, sample};
use std::path::PathBuf;
use std::time::Duration;

/// Rounds of each kind; more by `URVA_HOLD_ROUNDS`, for the figure in the documentation.
const ROUNDS: usize = 5;

const LIMIT: Duration = Duration::from_secs(20);

/// How a text gets to its interpreter. `FILE` stands for the path of its file, `TEXT` for itself.
struct Kind {
    name: &'static str,
    is_python: bool,
    command: &'static [&'static str],
}

const KINDS: &[Kind] = &[
    Kind { name: "python file", is_python: true, command: &["python3", "FILE"] },
    Kind { name: "python -c", is_python: true, command: &["python3", "-c", "TEXT"] },
    Kind {
        name: "python module",
        is_python: true,
        command: &["env", "PYTHONPATH=/opt", "python3", "-m", "NAME"],
    },
    Kind {
        name: "decoded layer",
        is_python: true,
        command: &["python3", "-c", "exec(bytes(b ^ 90 for b in open('FILE.bin', 'rb').read()).decode())"],
    },
    Kind {
        name: "imported module",
        is_python: true,
        command: &["env", "PYTHONPATH=/opt", "python3", "-Bc", "import NAME"],
    },
    Kind { name: "bash file", is_python: false, command: &["bash", "FILE"] },
    Kind { name: "dash -c", is_python: false, command: &["dash", "-c", "TEXT"] },
    Kind { name: "busybox file", is_python: false, command: &["/opt/busybox", "sh", "FILE"] },
    Kind {
        name: "bash eval",
        is_python: false,
        command: &["bash", "-c", "eval \"$(base64 -d < FILE.b64)\""],
    },
    Kind {
        name: "bash eval in a fork",
        is_python: false,
        command: &["bash", "-c", "(eval \"$(base64 -d < FILE.b64)\"); exit $?"],
    },
    Kind { name: "bash source", is_python: false, command: &["bash", "-c", ". FILE"] },
    Kind { name: "python redirect", is_python: true, command: &["sh", "-c", "exec python3 < FILE"] },
    Kind { name: "python pipe", is_python: true, command: &["sh", "-c", "cat FILE | python3 -"] },
    Kind {
        name: "python pipe slowly",
        is_python: true,
        command: &[
            "bash",
            "-c",
            "while IFS= read -r line; do printf '%s\\n' \"$line\"; sleep 0.02; done < FILE | python3 -",
        ],
    },
    Kind {
        name: "python heredoc",
        is_python: true,
        command: &["bash", "-c", "python3 - << END\n$(cat FILE)\nEND"],
    },
    Kind { name: "bash redirect", is_python: false, command: &["sh", "-c", "exec bash < FILE"] },
    Kind { name: "bash pipe", is_python: false, command: &["sh", "-c", "cat FILE | bash"] },
    Kind {
        name: "dash pipe",
        is_python: false,
        command: &["bash", "-c", "set -o pipefail; cat FILE | dash"],
    },
    Kind {
        name: "dash heredoc",
        is_python: false,
        command: &["bash", "-c", "dash << END\n$(cat FILE)\nEND"],
    },
    Kind { name: "busybox pipe", is_python: false, command: &["sh", "-c", "cat FILE | /opt/busybox sh"] },
];

fn rounds() -> usize {
    std::env::var("URVA_HOLD_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(ROUNDS)
}

struct Case<'a> {
    container: &'a Container,
    kind: &'a Kind,
    name: String,
}

impl Case<'_> {
    fn marker(&self) -> PathBuf {
        self.container.root().join("opt/markers").join(&self.name)
    }

    fn text(&self, is_malicious: bool) -> String {
        let (extension, benign) = if self.kind.is_python { ("py", "report") } else { ("sh", "count") };
        let intent = if is_malicious { "malicious.token-theft" } else { "benign." };
        let sample = match is_malicious {
            true => sample(&format!("{intent}.{extension}")).unwrap(),
            false => sample(&format!("{intent}{benign}.{extension}")).unwrap(),
        };
        if self.kind.is_python {
            format!("open('/opt/markers/{}', 'w')\n{sample}", self.name)
        } else {
            format!(": > /opt/markers/{}\n{sample}", self.name)
        }
    }

    fn run(&self, is_malicious: bool) -> i32 {
        let text = self.text(is_malicious);
        let extension = if self.kind.is_python { "py" } else { "sh" };
        let file = format!("/opt/{}.{extension}", self.name);
        self.container.write_file(&file, &text).unwrap();
        let flipped: Vec<u8> = text.bytes().map(|byte| byte ^ 90).collect();
        std::fs::write(self.container.root().join(format!("{}.bin", &file[1..])), flipped).unwrap();
        use base64::Engine;
        let encoded = base64::engine::general_purpose::STANDARD.encode(&text);
        std::fs::write(self.container.root().join(format!("{}.b64", &file[1..])), encoded).unwrap();
        let fill =
            |part: &&str| part.replace("FILE", &file).replace("TEXT", &text).replace("NAME", &self.name);
        let command: Vec<String> = self.kind.command.iter().map(fill).collect();
        self.container.exec_as((1000, 1000), &command, b"").unwrap().status
    }
}

fn container() -> Container {
    let container = Runc::container(&Rootfs::debian().unwrap())
        .image_file(
            "/opt/busybox",
            std::fs::read(Rootfs::busybox().unwrap().path().join("bin/busybox")).unwrap(),
        )
        .start()
        .unwrap();
    let done = container.exec(["sh", "-c", "mkdir -p /opt/markers && chmod 777 /opt/markers /opt"]).unwrap();
    assert_eq!(done.status, 0, "{}", done.stderr);
    // Interpreters are attached to when their first process is seen.
    for warm in [["python3", "-c", "pass"], ["bash", "-c", ":"]] {
        container.exec_as((0, 0), warm, b"").unwrap();
    }
    std::thread::sleep(Duration::from_millis(200));
    container
}

#[test]
fn the_first_statement_of_what_is_malicious_never_happens() {
    let Some(_alone) = privileged_and_alone() else { return };
    // A debug build on a busy machine takes longer than a release build does.
    let urva = Urva::start_with("[hold]\nenabled = true\nwithin_ms = 5000\n").unwrap();
    let container = container();
    let mut wrong = Vec::new();
    for kind in KINDS {
        for round in 0..rounds() {
            let name = format!("{}_{round}", kind.name.replace([' ', '-'], "_"));
            let case = Case { container: &container, kind, name };
            let status = case.run(true);
            if case.marker().exists() || status != 137 {
                wrong.push(format!("{}: marker {}, status {status}", case.name, case.marker().exists()));
            }
            let twin = Case { name: format!("{}_twin", case.name), ..case };
            let status = twin.run(false);
            if !twin.marker().exists() || status != 0 {
                wrong.push(format!("{}: marker {}, status {status}", twin.name, twin.marker().exists()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}\n{}", urva.site().log());
    let malicious = KINDS.len() * rounds();
    let is_told = |found: &Found| found.property("Hold_Action") == "KILL";
    // What comes slowly can be found malicious before it is held, and is told again then.
    let told = || urva.site().findings(container.id()).unwrap().iter().filter(|found| is_told(found)).count();
    for _ in 0..LIMIT.as_millis() / 100 {
        if told() >= malicious {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let findings = urva.site().findings(container.id()).unwrap();
    let untold: Vec<_> = findings.iter().filter(|found| !is_told(found)).map(|found| &found.0).collect();
    assert!(untold.is_empty(), "{untold:#?}\n{}", urva.site().log());
    assert_eq!(findings.len(), malicious, "{}", urva.site().log());
    urva.stop().unwrap();
}

#[test]
fn a_shell_is_stopped_at_the_lines_that_are_malicious() {
    let Some(_alone) = privileged_and_alone() else { return };
    let urva = Urva::start_with("[hold]\nenabled = true\nwithin_ms = 5000\n").unwrap();
    let container = container();
    let malicious = sample("malicious.token-theft.sh").unwrap();
    for shell in ["bash", "dash", "/opt/busybox sh"] {
        let name = shell.replace(['/', ' '], "_");
        let marker = |part: &str| container.root().join(format!("opt/markers/{name}-{part}"));
        let late = format!(": > /opt/markers/{name}-late\n{malicious}");
        container.write_file("/opt/late.sh", &late).unwrap();
        // What comes first runs; it is not in the pipe any more when the rest comes.
        let line = format!("(echo ': > /opt/markers/{name}-early'; sleep 1; cat /opt/late.sh) | {shell}");
        let status = container.exec_as((1000, 1000), ["bash", "-c", &line], b"").unwrap().status;
        assert_eq!(status, 137, "{shell}: {}", urva.site().log());
        assert!(marker("early").exists() && !marker("late").exists(), "{shell}: {}", urva.site().log());
        let is_it =
            |found: &Found| found.contents().contains(&late) && found.property("Hold_Action") == "KILL";
        let found = urva.wait_for_finding(container.id(), LIMIT, is_it).unwrap();
        assert!(found.coverage().contains("held late"), "{}", found.coverage());
    }
    urva.stop().unwrap();
}

#[test]
fn a_finding_tells_that_its_process_was_let_go_before_the_verdict() {
    let Some(_alone) = privileged_and_alone() else { return };
    let urva = Urva::start_with("[hold]\nenabled = true\nwithin_ms = 200\n").unwrap();
    let container = container();
    let detector = rustix::process::Pid::from_raw(urva.process("detector").unwrap()).unwrap();
    let signal = |signal| rustix::process::kill_process(detector, signal).unwrap();
    signal(rustix::process::Signal::STOP);
    let text = format!(": > /opt/markers/late\n{}", sample("malicious.token-theft.sh").unwrap());
    container.exec_as((1000, 1000), ["dash", "-c", &text], b"").unwrap();
    let has_run = container.root().join("opt/markers/late").exists();
    signal(rustix::process::Signal::CONT);
    assert!(has_run, "it was let go: {}", urva.site().log());
    let is_late = |found: &Found| found.contents() == text && found.property("Hold_Action") == "LATE";
    urva.wait_for_finding(container.id(), LIMIT, is_late).unwrap();
    urva.stop().unwrap();
}

#[test]
fn what_is_held_goes_on_when_urva_ends_or_crashes() {
    let Some(_alone) = privileged_and_alone() else { return };
    for crash in [true, false] {
        // Nothing judges while the detector is stopped, so what is started now stays held.
        let urva = Urva::start_with("[hold]\nenabled = true\nwithin_ms = 60000\n").unwrap();
        let container = container();
        let detector = rustix::process::Pid::from_raw(urva.process("detector").unwrap()).unwrap();
        rustix::process::kill_process(detector, rustix::process::Signal::STOP).unwrap();
        let marker = container.root().join(format!("opt/markers/held-{crash}"));
        let text = format!("open('/opt/markers/held-{crash}', 'w')");
        std::thread::scope(|scope| {
            let run = scope
                .spawn(|| container.exec_as((1000, 1000), ["python3", "-c", &text], b"").unwrap().status);
            std::thread::sleep(Duration::from_millis(500));
            assert!(!marker.exists(), "it is held ({crash}): {}", urva.site().log());
            let role = if crash { "sensor" } else { "detector" };
            let process = rustix::process::Pid::from_raw(urva.process(role).unwrap()).unwrap();
            rustix::process::kill_process(process, rustix::process::Signal::KILL).unwrap();
            assert_eq!(run.join().unwrap(), 0);
            assert!(marker.exists());
        });
        // A detector that is stopped ends with its supervisor all the same.
        let last = urva.process("detector").map(|pid| std::path::PathBuf::from(format!("/proc/{pid}")));
        urva.kill().unwrap();
        let is_left = || {
            [Some(format!("/proc/{}", detector.as_raw_nonzero()).into()), last.as_ref().ok().cloned()]
                .into_iter()
                .flatten()
                .any(|folder: PathBuf| folder.exists())
        };
        for _ in 0..100 {
            if !is_left() {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        assert!(!is_left(), "a detector is left behind");
    }
}
