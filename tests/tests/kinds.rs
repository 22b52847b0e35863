//! Each way to give a script to an interpreter × malicious and benign × root and another user, in one real
//! container: the malicious one leads to exactly one finding with the right facts, the benign one to none.

#![allow(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod record;

use end_to_end::{Container, Found, Rootfs, Runc, Urva, privileged, variant};
use evidence::{Gap, GapKind, Sha256};
use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

/// One way. `CASE` stands for the name of the case, `TEXT` for the script's text.
struct Way {
    name: &'static str,
    language: Language,
    kind: &'static str,
    /// Where the script lies before it runs; empty where it is an argument.
    file: &'static str,
    /// Its first line, where that matters.
    first_line: &'static str,
    command: &'static [&'static str],
    /// The interpreter's arguments; the command itself where they are empty.
    args: &'static [&'static str],
    /// The path that the finding names, where it is not `file`.
    path: &'static str,
    /// The interpreter's file.
    binary: &'static str,
}

#[derive(Clone, Copy)]
enum Language {
    Python,
    Shell,
}
use Language::{Python, Shell};

const fn file(name: &'static str, language: Language, command: &'static [&'static str]) -> Way {
    let (file, binary) = match language {
        Python => ("/opt/CASE.py", PYTHON),
        Shell => ("/opt/CASE.sh", BASH),
    };
    Way { name, language, kind: "FILE", file, first_line: "", command, args: &[], path: "", binary }
}

const fn inline(name: &'static str, language: Language, command: &'static [&'static str]) -> Way {
    Way { kind: "INLINE", file: "", ..file(name, language, command) }
}

const PYTHON: &str = "/usr/bin/python3.11";
const BASH: &str = "/usr/bin/bash";
const DASH: &str = "/usr/bin/dash";
const BUSYBOX: &str = "/opt/bin/busybox";

/// A remark that a short script may get where the processors are busy: it was read in time all the same.
const LATE: &str = r#""the file was read after its process had ended""#;

const WAYS: &[Way] = &[
    file("path", Python, &["python3", "/opt/CASE.py"]),
    file("options", Python, &["python3", "-X", "dev", "-W", "ignore", "-u", "/opt/CASE.py", "--all", "x y"]),
    file("relative", Python, &["python3", "opt/CASE.py"]),
    file("dot", Python, &["python3", "./opt/CASE.py"]),
    Way {
        file: "/opt/real/CASE.py",
        path: "/opt/CASE.py",
        ..file("symlink", Python, &["python3", "/opt/CASE.py"])
    },
    Way {
        first_line: "#!/usr/bin/python3",
        args: &["/usr/bin/python3", "/opt/CASE.py"],
        ..file("shebang", Python, &["/opt/CASE.py"])
    },
    Way {
        first_line: "#!/usr/bin/env python3",
        args: &["python3", "/opt/CASE.py", "now"],
        ..file("shebang_env", Python, &["/opt/CASE.py", "now"])
    },
    Way {
        first_line: "#!/usr/bin/python3 -Bs",
        args: &["/usr/bin/python3", "-Bs", "/opt/CASE.py"],
        ..file("shebang_argument", Python, &["/opt/CASE.py"])
    },
    Way {
        first_line: "#!/usr/bin/env -S python3 -B -u",
        args: &["python3", "-B", "-u", "/opt/CASE.py"],
        ..file("shebang_env_split", Python, &["/opt/CASE.py"])
    },
    inline("c", Python, &["python3", "-c", "TEXT"]),
    inline("c_options", Python, &["python3", "-Bc", "TEXT", "after", "-c"]),
    Way {
        args: &["python3", "-c", "TEXT"],
        ..inline("c_empty_environment", Python, &["env", "-i", "/usr/bin/env", "python3", "-c", "TEXT"])
    },
    Way {
        kind: "MODULE",
        file: "/opt/modules/CASE.py",
        args: &["python3", "-m", "CASE"],
        ..file("m", Python, &["env", "PYTHONPATH=/opt/modules", "python3", "-m", "CASE"])
    },
    Way {
        kind: "MODULE",
        file: "/opt/modules/CASE/__main__.py",
        args: &["python3", "-m", "CASE"],
        ..file("m_package", Python, &["env", "PYTHONPATH=/opt/modules", "python3", "-m", "CASE"])
    },
    Way { file: "/opt/CASE/__main__.py", ..file("folder", Python, &["python3", "/opt/CASE"]) },
    file("loader", Python, &["/lib64/ld-linux-x86-64.so.2", "/usr/bin/python3", "/opt/CASE.py"]),
    inline("loader_c", Python, &["/lib64/ld-linux-x86-64.so.2", "/usr/bin/python3", "-c", "TEXT"]),
    Way { binary: "/opt/bin/copied", ..file("copied", Python, &["/opt/bin/copied", "/opt/CASE.py"]) },
    Way { binary: "/opt/bin/renamed", ..inline("renamed", Python, &["/opt/bin/renamed", "-c", "TEXT"]) },
    Way { binary: "/opt/bin/linked", ..inline("linked", Python, &["/opt/bin/linked", "-c", "TEXT"]) },
    // File systems of other kinds keep a file's times in other ways.
    Way { binary: "/memory/copied", ..inline("in_memory", Python, &["/memory/copied", "-c", "TEXT"]) },
    Way { binary: "/data/copied", ..file("on_volume", Python, &["/data/copied", "/opt/CASE.py"]) },
    file("descriptor", Python, &["sh", "-c", "exec python3 /dev/fd/7 7</opt/CASE.py"]),
    file("bash", Shell, &["bash", "/opt/CASE.sh"]),
    file("bash_x", Shell, &["bash", "-x", "/opt/CASE.sh", "first"]),
    inline("bash_lc", Shell, &["bash", "-lc", "TEXT"]),
    inline("bash_pipefail", Shell, &["bash", "-o", "pipefail", "-c", "TEXT", "name", "first"]),
    Way {
        first_line: "#!/bin/bash",
        args: &["/bin/bash", "/opt/CASE.sh"],
        ..file("bash_shebang", Shell, &["/opt/CASE.sh"])
    },
    Way { binary: DASH, ..file("sh", Shell, &["sh", "/opt/CASE.sh"]) },
    Way { binary: DASH, ..inline("dash_c", Shell, &["dash", "-ec", "TEXT"]) },
    Way { binary: BUSYBOX, ..file("busybox_sh", Shell, &["/opt/bin/busybox", "sh", "/opt/CASE.sh"]) },
    Way { binary: BUSYBOX, ..inline("busybox_ash", Shell, &["/opt/bin/ash", "-c", "TEXT"]) },
];

const MALICIOUS_PYTHON: [&str; 5] = ["reverse-shell", "base64-exec", "miner", "token-theft", "cron"];
const MALICIOUS_SHELL: [&str; 4] = ["reverse-shell", "downloader", "miner", "token-theft"];
const BENIGN_PYTHON: [&str; 2] = ["report", "settings"];
const BENIGN_SHELL: [&str; 2] = ["health", "count"];

/// One run of one way.
struct Case<'a> {
    way: &'a Way,
    name: String,
    text: String,
    is_malicious: bool,
    user: (u32, u32),
}

impl<'a> Case<'a> {
    fn new(way: &'a Way, number: usize, is_malicious: bool, user: (u32, u32)) -> Self {
        let intent = if is_malicious { "malicious" } else { "benign" };
        let name = format!("{}_{intent}_{}", way.name, user.0);
        let (names, extension): (&[&str], _) = match (way.language, is_malicious) {
            (Python, true) => (&MALICIOUS_PYTHON, "py"),
            (Python, false) => (&BENIGN_PYTHON, "py"),
            (Shell, true) => (&MALICIOUS_SHELL, "sh"),
            (Shell, false) => (&BENIGN_SHELL, "sh"),
        };
        let sample = format!("{intent}.{}.{extension}", names[number % names.len()]);
        let body = variant(&sample, &name).unwrap();
        let text = if way.first_line.is_empty() { body } else { format!("{}\n{body}", way.first_line) };
        Self { way, name, text, is_malicious, user }
    }

    fn fill(&self, template: &str) -> String {
        template.replace("CASE", &self.name).replace("TEXT", &self.text)
    }

    fn run(&self, container: &Container) {
        if !self.way.file.is_empty() {
            container.write_file(&self.fill(self.way.file), &self.text).unwrap();
        }
        if !self.way.path.is_empty() {
            let link = container.root().join(self.fill(self.way.path).trim_start_matches('/'));
            std::os::unix::fs::symlink(self.fill(self.way.file), link).unwrap();
        }
        let command: Vec<String> = self.way.command.iter().map(|part| self.fill(part)).collect();
        let done = container.exec_as(self.user, &command, b"").unwrap();
        assert!(self.is_malicious || done.status == 0, "{} failed: {}", self.name, done.stderr);
    }

    /// What is wrong with the finding, in words.
    fn judge(&self, found: &Found, container: &str) -> Vec<String> {
        let way = self.way;
        let category = match way.language {
            Python => "Execution: Malicious Python executed",
            Shell => "Malicious Script Executed",
        };
        let path = match (way.kind, way.path) {
            ("INLINE", _) => "none".to_owned(),
            _ if way.name == "descriptor" => "/dev/fd/7".to_owned(),
            (_, "") => self.fill(way.file),
            (_, path) => self.fill(path),
        };
        let args = match (way.name, way.args) {
            ("descriptor", _) => vec!["python3".to_owned(), "/dev/fd/7".to_owned()],
            (_, []) => way.command.iter().map(|part| self.fill(part)).collect(),
            (_, args) => args.iter().map(|part| self.fill(part)).collect(),
        };
        let drift = if way.kind == "INLINE" { "NOT_A_FILE" } else { "WRITABLE_LAYER" };
        let hash = Sha256::of(self.text.as_bytes()).to_string();
        let facts = [
            ("category", found.category().to_owned(), category.to_owned()),
            ("kind", found.property("Script_Kind"), way.kind.to_owned()),
            ("path", found.path().unwrap_or("none").to_owned(), path),
            ("args", format!("{:?}", found.args()), format!("{args:?}")),
            (
                "binary's hash",
                (found.process()["binary"]["sha256"].as_str().unwrap_or_default().len() == 64).to_string(),
                "true".to_owned(),
            ),
            (
                "binary",
                found.process()["binary"]["path"].as_str().unwrap_or_default().to_owned(),
                way.binary.to_owned(),
            ),
            (
                "user",
                found.process()["userId"].as_str().unwrap_or_default().to_owned(),
                self.user.0.to_string(),
            ),
            ("gid", found.property("Process_Gid"), self.user.1.to_string()),
            ("container", found.property("Container_Id"), container.to_owned()),
            ("contents", found.contents().to_owned(), self.text.clone()),
            ("hash", found.property("Script_SHA256"), hash.clone()),
            (
                "hash of contents",
                found.process()["script"]["sha256"].as_str().unwrap_or_default().to_owned(),
                hash,
            ),
            ("count", found.count(), "1".to_owned()),
            ("drift", found.property("Drift"), drift.to_owned()),
            ("coverage", found.coverage().replace(LATE, ""), "[]".to_owned()),
        ];
        facts
            .into_iter()
            .filter(|(_, actual, expected)| actual != expected)
            .map(|(fact, actual, expected)| format!("{}: {fact} is {actual:?}, not {expected:?}", self.name))
            .collect()
    }
}

fn container() -> Container {
    let container = Runc::container(&Rootfs::debian().unwrap())
        .image_file(
            "/opt/bin/busybox",
            std::fs::read(Rootfs::busybox().unwrap().path().join("bin/busybox")).unwrap(),
        )
        .tmpfs("/memory")
        .volume("/data", &[])
        .start()
        .unwrap();
    let line = "cd /opt/bin && cp /usr/bin/python3 copied && cp copied renamed0 && mv renamed0 renamed \
                && ln copied linked && ln -s busybox ash && mkdir -p /opt/real /opt/modules \
                && cp copied /memory/ && cp copied /data/";
    let done = container.exec(["sh", "-c", line]).unwrap();
    assert_eq!(done.status, 0, "{}", done.stderr);
    container
}

#[test]
fn each_way_to_run_a_malicious_script_is_found_and_its_benign_twin_is_not() {
    if !privileged() {
        return;
    }
    let urva = Urva::start().unwrap();
    let container = container();
    let cases: Vec<Case<'_>> = WAYS
        .iter()
        .enumerate()
        .flat_map(|(number, way)| {
            [(true, (0, 0)), (false, (0, 0)), (true, (1000, 1001)), (false, (1000, 1001))]
                .map(|(is_malicious, user)| Case::new(way, number, is_malicious, user))
        })
        .collect();
    thread::scope(|scope| {
        for part in cases.chunks(cases.len().div_ceil(2)) {
            let container = &container;
            scope.spawn(move || part.iter().for_each(|case| case.run(container)));
        }
    });

    let malicious: Vec<&Case<'_>> = cases.iter().filter(|case| case.is_malicious).collect();
    let findings = urva.wait_for_findings(container.id(), malicious.len(), Duration::from_secs(10)).unwrap();
    let mut by_hash: BTreeMap<String, Vec<&Found>> = BTreeMap::new();
    for found in &findings {
        by_hash.entry(found.property("Script_Captured_SHA256")).or_default().push(found);
    }
    let mut wrong = Vec::new();
    for case in malicious {
        match by_hash.remove(&Sha256::of(case.text.as_bytes()).to_string()).as_deref() {
            Some([found]) => wrong.extend(case.judge(found, container.id())),
            Some(several) => wrong.push(format!("{}: {} findings", case.name, several.len())),
            None => wrong.push(format!("{}: no finding", case.name)),
        }
    }
    for found in by_hash.values().flatten() {
        wrong.push(format!("a finding that nobody caused: {:?} {}", found.args(), found.contents()));
    }
    assert!(wrong.is_empty(), "{wrong:#?}\n{}", urva.site().log());

    let benign = cases.iter().filter(|case| !case.is_malicious).count() as u64;
    // Containers of other tests may add to it. It is brought up to date each half minute.
    let are_judged = |_| {
        let counters = record::latest_run(urva.site()).counters;
        thread::sleep(Duration::from_secs(1));
        counters.judged - counters.malicious >= benign
    };
    assert!((0..90).any(are_judged), "benign scripts were not judged");
    let gaps = record::gaps(urva.site());
    // On a busy machine an interpreter may be faster than the watch on its standard input.
    let of_own = |gap: &&Gap| gap.container.as_ref().is_none_or(|found| found.id == container.id());
    let is_race = |gap: &&Gap| [GapKind::InputLate, GapKind::InputLost].contains(&gap.kind);
    let lost: Vec<_> = gaps.iter().filter(of_own).filter(|gap| !is_race(gap)).collect();
    assert!(lost.is_empty(), "{lost:?}");
}
