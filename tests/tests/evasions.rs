//! The evasion suite: each technique that we know of to run a script unseen, as a case in a real container, with a malicious
//! imitation and a benign twin, on each interpreter that it concerns.
//!
//! What is expected of each row is the table in `docs/evasions.md`, word for word, so the document cannot say better than
//! what was seen. A row that is expected to be blind and is caught fails as well. Nothing is tried again until it works: where the
//! outcome depends on a race a row runs several times, and the worst run counts.

#![allow(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

#[path = "evasions/python.rs"]
mod python;
#[path = "evasions/row.rs"]
mod row;
#[path = "evasions/shell.rs"]
mod shell;

use end_to_end::{Container, Found, Rootfs, Runc, Urva, privileged, sample};
use row::Place::{
    self, Bash, Busybox, Dash, Embedding, Loading, Newest, PyPy, Python39, Python311, Python313, Shared,
};
use row::{Blind, Caught, CaughtWith, Either, Expected, Group, Noted, Race, Row, table};
use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

const GROUPS: [&Group; 6] =
    [&python::GIVEN, &python::HIDDEN, &python::RUNNING, &python::INTERPRETER, &shell::GIVEN, &shell::HIDDEN];

const LIMIT: Duration = Duration::from_secs(30);
/// After the last script of each container was judged, for what was still on its way.
const REST: Duration = Duration::from_secs(2);
/// A remark that a short script may get where the processors are busy: it was read in time all the same.
const LATE: &str = r#""the file was read after its process had ended""#;

/// One run of one row at one place.
struct Case<'a> {
    row: &'a Row,
    place: Place,
    is_malicious: bool,
    folder: String,
}

impl<'a> Case<'a> {
    /// All runs; each has a folder of its own, by which its findings are told from the others.
    fn all() -> Vec<Self> {
        let rows = GROUPS.iter().flat_map(|group| group.rows);
        let places = rows.flat_map(|row| row.at.iter().map(move |place| (row, *place)));
        let mut cases = Vec::new();
        for (number, (row, place)) in places.enumerate() {
            for (intent, is_malicious) in [("bad", true), ("good", false)] {
                for run in 0..row.times {
                    let folder = format!("/case/{number}-{intent}-{run}");
                    cases.push(Case { row, place, is_malicious, folder });
                }
            }
        }
        cases
    }

    fn text(&self) -> String {
        let name = match (self.place.is_python(), self.is_malicious) {
            (true, true) => "malicious.token-theft.py",
            (true, false) => "benign.report.py",
            (false, true) => "malicious.token-theft.sh",
            (false, false) => "benign.count.sh",
        };
        sample(name).unwrap()
    }

    /// Puts values in the place of a template's words.
    fn fill(&self, template: &str) -> String {
        let is_word = |char: char| char.is_ascii_alphanumeric() || char == '_';
        let mut filled = String::new();
        let mut rest = template;
        while let Some(first) = rest.chars().next() {
            let kind = is_word(first);
            let end = rest.find(|char| is_word(char) != kind).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            match word {
                "PY" | "SH" => filled += self.place.interpreter(),
                "TEXT" => filled += &self.text(),
                "CASE" => filled += &self.folder,
                "CASENAME" => filled += self.folder.trim_start_matches("/case/"),
                "DATA" => filled += "bytes(b ^ 90 for b in open('data', 'rb').read())",
                _ => filled += word,
            }
            rest = after;
        }
        filled
    }

    fn write(&self, container: &Container) {
        let text = self.text();
        let flipped: Vec<u8> = text.bytes().map(|byte| byte ^ 90).collect();
        let turned: Vec<u8> = text.bytes().map(turn).collect();
        let write = |name: &str, content: &[u8]| {
            container.write_file(&format!("{}/{name}", self.folder), content).unwrap();
        };
        write("text", text.as_bytes());
        write("data", &flipped);
        write("rot", &turned);
        for (name, template) in self.row.files {
            write(name, self.fill(template).as_bytes());
        }
    }

    fn prepare(&self, container: &Container) {
        self.write(container);
        let line = self.fill(self.row.prepare);
        if !line.is_empty() {
            let done = container.exec_in(&self.folder, ["bash", "-ec", &line], b"").unwrap();
            assert_eq!(done.status, 0, "{} at {:?}: {}", self.row.name, self.place, done.stderr);
        }
    }

    /// What went wrong, in words: a benign twin must do its work.
    fn run(&self, container: &Container) -> Option<String> {
        let mut command = vec!["timeout".to_owned(), "20".to_owned()];
        command.extend(self.row.command.iter().map(|part| self.fill(part)));
        let input = self.fill(self.row.input);
        let done = container.exec_in(&self.folder, &command, input.as_bytes()).unwrap();
        let has_failed = !self.is_malicious && (done.status != 0 || done.stdout.is_empty());
        has_failed.then(|| {
            format!("{} at {:?}: {} {}{}", self.row.name, self.place, done.status, done.stdout, done.stderr)
        })
    }
}

/// A letter 13 places on.
fn turn(byte: u8) -> u8 {
    match byte {
        b'a'..=b'z' => (byte - b'a' + 13) % 26 + b'a',
        b'A'..=b'Z' => (byte - b'A' + 13) % 26 + b'A',
        _ => byte,
    }
}

/// The containers, one for each image.
struct Lab(HashMap<&'static str, Container>);

impl Lab {
    fn new() -> Self {
        let trixie = Rootfs::trixie().unwrap();
        let busybox = fs::read(Rootfs::busybox().unwrap().path().join("bin/busybox")).unwrap();
        let images = [
            ("bookworm", Rootfs::debian().unwrap()),
            ("bullseye", Rootfs::bullseye().unwrap()),
            ("trixie", trixie.clone()),
            ("sid", Rootfs::sid().unwrap()),
        ];
        let containers = images.map(|(name, rootfs)| {
            let mut builder =
                Runc::container(&rootfs).layer_file("/opt/pack.py", include_str!("evasions/pack.py"));
            if name == "bookworm" {
                builder = builder.image_file("/opt/bin/ash", &busybox);
            }
            if name == "trixie" {
                for program in ["embedding", "loading", "shared"] {
                    let target = if program == "shared" { "python-shared" } else { program };
                    builder =
                        builder.image_file(&format!("/opt/bin/{target}"), compiled(program, trixie.path()));
                }
            }
            (name, builder.start().unwrap())
        });
        Self(containers.into())
    }

    fn container(&self, place: Place) -> &Container {
        &self.0[match place {
            Python311 | Bash | Dash | Busybox => "bookworm",
            Python39 => "bullseye",
            Python313 | Shared | Embedding | Loading | PyPy => "trixie",
            Newest => "sid",
        }]
    }

    /// The probe is attached to an interpreter when its first process is seen; what that means is a row of its own.
    fn warm(&self) {
        for place in [Python39, Python311, Python313, Shared, Newest] {
            self.container(place).exec([place.interpreter(), "-c", "pass"]).unwrap();
        }
        for place in [Bash, Dash, Busybox] {
            self.container(place).exec([place.interpreter(), "-c", ":"]).unwrap();
        }
        thread::sleep(Duration::from_millis(500));
    }

    /// Runs a last script in each container and waits for its finding: what came before it has then been judged too.
    fn settle(&self, urva: &Urva) {
        let text = sample("malicious.token-theft.py").unwrap();
        for container in self.0.values() {
            container.exec(["python3", "-c", &text]).unwrap();
            urva.wait_for_finding(container.id(), LIMIT, |found| found.contents() == text).unwrap();
        }
        thread::sleep(REST);
    }
}

/// A program in C that is linked against the Python library of a root file system.
fn compiled(name: &str, rootfs: &Path) -> Vec<u8> {
    let folder = rootfs.join("usr/lib");
    let library =
        |entry: fs::DirEntry| Some(entry.path().join("libpython3.13.so.1.0")).filter(|path| path.exists());
    let library = fs::read_dir(folder).unwrap().flatten().find_map(library).unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/evasions/{name}.c"));
    let program = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
    let status = Command::new("gcc")
        .args(["-O1", "-Wl,--allow-shlib-undefined,--as-needed", "-o"])
        .args([&program, &source, &library])
        .status()
        .unwrap();
    assert!(status.success(), "gcc {}: {status}", source.display());
    let bytes = fs::read(&program).unwrap();
    fs::remove_file(program).unwrap();
    bytes
}

/// Does something for each case, on two threads; returns what it returned.
fn each(cases: &[Case<'_>], work: impl Fn(&Case<'_>) -> Option<String> + Sync) -> Vec<String> {
    let next = AtomicUsize::new(0);
    let take = || std::iter::from_fn(|| cases.get(next.fetch_add(1, Ordering::Relaxed)));
    let part = || take().filter_map(&work).collect::<Vec<_>>();
    thread::scope(|scope| {
        let workers = [scope.spawn(part), scope.spawn(part)];
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    })
}

/// What is wrong with the outcome of a row at a place, given the findings of each of its runs.
fn judge(row: &Row, place: Place, runs: &[Vec<&Found>]) -> Option<String> {
    let caught = runs.iter().filter(|findings| !findings.is_empty()).count();
    let notes: Vec<String> = runs.iter().flatten().map(|found| found.coverage().replace(LATE, "")).collect();
    let is_whole =
        runs.iter().all(|findings| findings.iter().any(|found| found.coverage().replace(LATE, "") == "[]"));
    let is_as_expected = match row.expected_at(place) {
        Caught => is_whole,
        CaughtWith(words) => caught == runs.len() && notes.iter().all(|note| note.contains(words)),
        Noted(words) => caught == runs.len() && notes.iter().all(|note| note == "[]" || note.contains(words)),
        Race(_) => caught > 0,
        Either(_) => true,
        Blind(_) => caught == 0,
    };
    (!is_as_expected).then(|| {
        format!(
            "{} at {place:?}: caught in {caught} of {} runs, {notes:?}; expected {:?}",
            row.name,
            runs.len(),
            row.expected_at(place)
        )
    })
}

/// Whether the finding holds the payload itself, in the script or in a layer.
fn shows(found: &Found) -> bool {
    let payload = "/var/run/secrets/kubernetes.io/serviceaccount";
    found.contents().contains(payload) || found.property("Runtime_Layers").contains(payload)
}

#[test]
fn each_technique_has_the_outcome_that_the_table_tells() {
    if !privileged() {
        return;
    }
    let lab = Lab::new();
    let cases = Case::all();
    each(&cases, |case| {
        case.prepare(lab.container(case.place));
        None
    });
    // Each execution is then a finding of its own.
    let urva = Urva::start_with("[findings]\nfold_window = \"0\"\n").unwrap();
    lab.warm();
    let mut wrong = each(&cases, |case| case.run(lab.container(case.place)));
    lab.settle(&urva);

    let mut by_folder: HashMap<String, Vec<Found>> = HashMap::new();
    // Containers of others may run the like.
    for found in lab.0.values().flat_map(|container| urva.site().findings(container.id()).unwrap()) {
        by_folder.entry(found.property("Process_Working_Directory")).or_default().push(found);
    }
    for runs in cases.chunk_by(|one, other| one.is_malicious == other.is_malicious) {
        let case = &runs[0];
        let counts = |found: &&Found| !case.row.is_suspicious || !case.is_malicious || shows(found);
        let found: Vec<Vec<&Found>> = runs
            .iter()
            .map(|case| by_folder.get(&case.folder).into_iter().flatten().filter(counts).collect())
            .collect();
        if case.is_malicious {
            wrong.extend(judge(case.row, case.place, &found));
        } else if found.iter().any(|found| found.is_empty() == case.row.is_suspicious) {
            let counts: Vec<usize> = found.iter().map(Vec::len).collect();
            let texts: Vec<&str> = found.iter().flatten().map(|found| found.contents()).collect();
            wrong.push(format!(
                "{} at {:?}: findings of the benign twin: {counts:?} {texts:?}",
                case.row.name, case.place
            ));
        }
    }
    println!("{}", table(&GROUPS));
    assert!(wrong.is_empty(), "{} of {} runs:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

const BEGIN: &str = "<!-- The evasion suite: begin. A test compares. -->\n";
const END: &str = "<!-- The evasion suite: end. -->\n";

#[test]
fn the_document_holds_the_table() {
    let document = include_str!("../../docs/evasions.md");
    let (_, rest) = document.split_once(BEGIN).unwrap();
    let (shown, _) = rest.split_once(END).unwrap();
    let expected = table(&GROUPS);
    assert!(shown == expected, "docs/evasions.md must have between its marks:\n{expected}");
}

#[test]
fn a_reason_is_given_for_what_is_not_caught() {
    let rows = GROUPS.iter().flat_map(|group| group.rows);
    for (row, expected) in rows.flat_map(|row| row.at.iter().map(move |place| (row, row.expected_at(*place))))
    {
        assert!(expected == Expected::Caught || !expected.words().1.is_empty(), "{}", row.name);
    }
}
