//! Scripts, names and arguments that are large, odd or gone: each is judged as far as it can be, and the finding
//! says what is missing.

#![allow(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

use end_to_end::{Container, Found, Rootfs, Runc, Urva, privileged, sample, variant};
use evidence::Sha256;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

const WITHIN: Duration = Duration::from_secs(5);

struct Bench {
    urva: Arc<Urva>,
    container: Container,
}

impl Bench {
    /// urva and a container; `None` where tests with containers are left out.
    fn new() -> Option<Self> {
        privileged().then(|| Self {
            urva: Urva::shared().unwrap(),
            container: Runc::container(&Rootfs::debian().unwrap()).start().unwrap(),
        })
    }

    fn run<S: AsRef<str>>(&self, command: &[S]) {
        self.container.exec(command.iter().map(AsRef::as_ref)).unwrap();
    }

    /// The only finding, once it fulfils the condition.
    fn found(&self, is_wanted: impl Fn(&Found) -> bool) -> Found {
        self.urva.wait_for_finding(self.container.id(), WITHIN, is_wanted).unwrap()
    }

    fn any(&self) -> Found {
        self.found(|_| true)
    }

    /// Runs a last script and waits for its finding: everything before it has then been judged too.
    fn settle(&self) -> Vec<Found> {
        let text = variant("malicious.token-theft.py", "the last of this container").unwrap();
        self.run(&["python3", "-c", &text]);
        self.found(|found| found.contents() == text);
        let mut others = self.urva.site().findings(self.container.id()).unwrap();
        others.retain(|found| found.contents() != text);
        others
    }

    fn path(&self, path: &str) -> std::path::PathBuf {
        self.container.root().join(path.trim_start_matches('/'))
    }
}

fn malicious(case: &str) -> String {
    variant("malicious.reverse-shell.py", case).unwrap()
}

fn size(found: &Found) -> &str {
    found.process()["script"]["size"].as_str().unwrap()
}

#[test]
fn an_argument_of_120_kib_is_captured_whole() {
    let Some(bench) = Bench::new() else { return };
    let padding = "# padding that says nothing\n".repeat(120 * 1024 / 28);
    let text = format!("{padding}{}", malicious("long argument"));
    assert!(text.len() < 128 * 1024);
    bench.run(&["python3", "-c", &text]);
    let found = bench.any();
    assert_eq!(found.property("Script_SHA256"), Sha256::of(text.as_bytes()).to_string());
    assert_eq!((size(&found), found.coverage().as_str()), (text.len().to_string().as_str(), "[]"));
}

#[test]
fn two_mebibytes_of_arguments_hide_nothing() {
    let Some(bench) = Bench::new() else { return };
    let text = malicious("many arguments");
    bench.container.write_file("/opt/many.py", &text).unwrap();
    // 16 arguments of 120 KiB come near what the kernel allows in all.
    let line = "exec python3 /opt/many.py $(for i in $(seq 16); do printf \"%0122880d \" $i; done)";
    bench.run(&["bash", "-c", line]);
    let found = bench.found(|found| found.contents() == text);
    let args = found.args();
    assert_eq!(args[..2], ["python3", "/opt/many.py"]);
    assert!(args[2].starts_with("0000") && found.process()["argumentsTruncated"].as_bool().unwrap());
    assert_eq!(found.coverage(), "[]", "what was captured is whole; the JSON shows less");
}

#[test]
fn of_a_large_script_head_and_tail_are_judged_and_all_is_hashed() {
    let Some(bench) = Bench::new() else { return };
    for (place, malicious_first) in [("head", true), ("tail", false)] {
        let padding = "# padding that says nothing\n".repeat(3 * 1024 * 1024 / 28);
        let text = malicious(place);
        let text = if malicious_first { format!("{text}{padding}") } else { format!("{padding}{text}") };
        let path = format!("/opt/large-{place}.py");
        bench.container.write_file(&path, &text).unwrap();
        bench.run(&["python3", &path]);
        let found = bench.found(|found| found.path() == Some(&path));
        assert_eq!(found.property("Script_SHA256"), Sha256::of(text.as_bytes()).to_string());
        assert_eq!(size(&found), text.len().to_string());
        assert_eq!(found.property("Script_Omitted_Bytes"), (text.len() - 1024 * 1024).to_string());
        assert!(found.coverage().contains("head and tail only"), "{}", found.coverage());
    }
}

#[test]
fn a_sparse_file_of_3_gb_costs_neither_time_nor_memory() {
    let Some(bench) = Bench::new() else { return };
    let text = malicious("sparse");
    bench.container.write_file("/opt/sparse.sh", format!("exit 0\n{text}")).unwrap();
    let shell = variant("malicious.reverse-shell.sh", "sparse").unwrap() + "exit 0\n";
    bench.container.write_file("/opt/sparse.sh", &shell).unwrap();
    File::options().write(true).open(bench.path("/opt/sparse.sh")).unwrap().set_len(3_000_000_000).unwrap();
    let before = bench.urva.resident(&["sensor", "detector"]).unwrap();
    bench.run(&["timeout", "5", "bash", "/opt/sparse.sh"]);
    let found = bench.any();
    assert_eq!(size(&found), "3000000000");
    assert!(found.coverage().contains("only a first part of the file is hashed"), "{}", found.coverage());
    let grown = bench.urva.resident(&["sensor", "detector"]).unwrap().saturating_sub(before);
    assert!(grown < 32 * 1024, "sensor and detector grew by {grown} KiB");
}

/// A script that deletes itself and then does what is malicious.
fn deleting(case: &str) -> String {
    format!("import os, time\nos.remove(__file__)\ntime.sleep(0.2)\n{}", malicious(case))
}

/// Where the file was gone before it could be read, what CPython ran of it is judged: its code, which the kernel has
/// copied when it began to run, written out as text.
fn is_told_by_its_code(found: &Found) -> bool {
    found.contents().starts_with("import os\nimport time\nos.remove(__file__)\n")
        && !found.property("Decided_By_Layer").is_empty()
        && found.property("Runtime_Layers").contains("PYTHON_CODE")
        && found.coverage().contains("not captured")
}

#[test]
fn a_script_that_deletes_itself_at_once_is_read_all_the_same() {
    let Some(bench) = Bench::new() else { return };
    // It is a race, which the interpreter's own start makes easy to win; but other tests use the processors too.
    for number in 0..5 {
        bench.container.write_file("/opt/deleted.py", deleting(&format!("deleted {number}"))).unwrap();
        bench.run(&["python3", "/opt/deleted.py"]);
    }
    bench.any();
    let findings = bench.settle();
    let in_time = findings.iter().filter(|found| found.contents().contains("# deleted")).count();
    println!("{in_time} of 5 were read in time, {} were found", findings.len());
    for found in &findings {
        assert_eq!(found.path(), Some("/opt/deleted.py"));
        let is_whole = found.contents().contains("# deleted");
        assert!(is_whole || is_told_by_its_code(found), "{} {:#}", found.coverage(), found.0);
    }
}

#[test]
fn a_script_that_is_gone_before_it_is_read_is_judged_by_its_code() {
    if !privileged() {
        return;
    }
    let urva = Urva::start().unwrap();
    let container = Runc::container(&Rootfs::debian().unwrap()).start().unwrap();
    let warm = variant("malicious.token-theft.py", "before").unwrap();
    container.write_file("/opt/warm.bin", &warm).unwrap();
    // The interpreter is attached to once a layer of it is seen.
    let has_layer = |found: &Found| !found.property("Runtime_Layers").is_empty();
    let attached = (0..20).any(|_| {
        container.exec(["python3", "-c", "exec(open('/opt/warm.bin').read())"]).unwrap();
        urva.wait_for_finding(container.id(), Duration::from_secs(1), has_layer).is_ok()
    });
    assert!(attached, "{}", urva.site().log());
    // A sensor that does not run reads nothing.
    let sensor = rustix::process::Pid::from_raw(urva.process("sensor").unwrap()).unwrap();
    let signal = |signal| rustix::process::kill_process(sensor, signal).unwrap();
    signal(rustix::process::Signal::STOP);
    container.write_file("/opt/deleted.py", deleting("gone")).unwrap();
    container.exec(["python3", "/opt/deleted.py"]).unwrap();
    signal(rustix::process::Signal::CONT);
    let is_it = |found: &Found| found.path() == Some("/opt/deleted.py");
    let found = urva.wait_for_finding(container.id(), WITHIN, is_it).unwrap();
    assert!(is_told_by_its_code(&found), "{} {:#}", found.coverage(), found.0);
}

/// Puts another text in the place of `/opt/run.py` again and again, as an attacker would who hopes that one is
/// judged and the other runs.
const SWAPPING: &str = "import os, time\n\
    text = open('/opt/template.py').read()\n\
    end = time.monotonic() + 3\n\
    number = 0\n\
    while time.monotonic() < end:\n\
    \x20   number += 1\n\
    \x20   open('/opt/new.py', 'w').write(text.replace('NAME', str(number)))\n\
    \x20   os.replace('/opt/new.py', '/opt/run.py')\n";

#[test]
fn a_script_that_is_replaced_between_its_start_and_its_reading_is_marked() {
    let Some(bench) = Bench::new() else { return };
    bench.container.write_file("/opt/template.py", malicious("swap NAME")).unwrap();
    bench.container.write_file("/opt/run.py", malicious("swap 0")).unwrap();
    let swapping = ["python3", "-c", SWAPPING];
    thread::scope(|scope| {
        scope.spawn(|| bench.run(&swapping));
        thread::sleep(Duration::from_millis(300));
        (0..20).for_each(|_| bench.run(&["python3", "/opt/run.py"]));
    });
    bench.any();
    let findings = bench.settle();
    let is_marked = |found: &&Found| found.coverage().contains("other text may have run");
    let marked = findings.iter().filter(is_marked).count();
    println!("{marked} of {} are marked", findings.len());
    // One that is replaced only after it was read is not marked: no later look is taken.
    assert!(marked > 0, "{findings:#?}");
}

#[test]
fn bytes_that_are_no_utf_8_are_judged() {
    let Some(bench) = Bench::new() else { return };
    let text =
        [b"# coding: latin-1\n# \xe9\xff\xfe\x80\n".as_slice(), malicious("latin").as_bytes()].concat();
    bench.container.write_file("/opt/latin.py", &text).unwrap();
    bench.run(&["python3", "/opt/latin.py"]);
    let found = bench.any();
    assert_eq!(found.property("Script_SHA256"), Sha256::of(&text).to_string());
    assert_eq!(found.contents(), "# coding: latin-1\n# ", "as much as JSON can carry unchanged");
}

#[test]
fn what_is_no_readable_file_is_neither_opened_nor_found() {
    let Some(bench) = Bench::new() else { return };
    fs::create_dir(bench.path("/opt/folder.py")).unwrap();
    bench.container.write_file("/opt/secret.py", malicious("unreadable")).unwrap();
    fs::set_permissions(bench.path("/opt/secret.py"), fs::Permissions::from_mode(0o000)).unwrap();
    symlink("/opt/loop.py", bench.path("/opt/loop.py")).unwrap();
    bench.run(&["sh", "-c", "mkfifo /opt/fifo.py; exec timeout 1 python3 /opt/fifo.py"]);
    for path in
        ["/opt/folder.py", "/opt/loop.py", "/opt/none.py", "/dev/null", "/dev/zero", "/proc/kmsg", "/dev/tty"]
    {
        bench.run(&["timeout", "1", "sh", path]);
    }
    // The interpreter may not read it; urva may, and an attempt to run it is worth knowing.
    bench.container.exec_as((1000, 1000), ["python3", "/opt/secret.py"], b"").unwrap();
    let findings = bench.settle();
    assert!(findings.iter().all(|found| found.path() == Some("/opt/secret.py")), "{findings:#?}");
}

#[test]
fn file_names_of_any_bytes_come_through() {
    let Some(bench) = Bench::new() else { return };
    let folder = bench.path("/opt");
    let names: [(&[u8], String); 4] = [
        (b"new\nline.py", "/opt/new\nline.py".to_owned()),
        (b"esc\x1b[2J\x1b]0;title\x07.py", "/opt/esc\u{1b}[2J\u{1b}]0;title\u{7}.py".to_owned()),
        (b"bidi\xe2\x80\xae.py", "/opt/bidi\u{202e}.py".to_owned()),
        (&[b'n'; 255], format!("/opt/{}", "n".repeat(255))),
    ];
    for (number, (name, path)) in names.iter().enumerate() {
        let text = malicious(&format!("name {number}"));
        fs::write(folder.join(Path::new(std::ffi::OsStr::from_bytes(name))), &text).unwrap();
        bench.run(&["python3", path]);
        let found = bench.found(|found| found.contents() == text);
        assert_eq!(found.path(), Some(path.as_str()));
        let id = found.0["finding"]["name"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        let card = bench.urva.site().command(["findings", "show", &id]).unwrap().output().unwrap();
        let is_plain = |byte: &u8| *byte == b'\n' || !byte.is_ascii_control();
        assert!(card.status.success() && card.stdout.iter().all(is_plain), "{}", card.stdout.escape_ascii());
        assert!(!String::from_utf8(card.stdout).unwrap().contains('\u{202e}'));
    }
}

#[test]
fn a_path_of_4000_bytes_leads_to_its_script() {
    let Some(bench) = Bench::new() else { return };
    let text = malicious("deep");
    let folder = format!("/opt/{}", [["d"; 199].concat().as_str(); 19].join("/"));
    let path = format!("{folder}/{}.py", "x".repeat(3_996 - folder.len()));
    assert_eq!(path.len(), 4_000);
    bench.container.write_file("/opt/deep.py", &text).unwrap();
    bench.run(&[
        "sh",
        "-c",
        "mkdir -p \"$(dirname \"$0\")\" && mv /opt/deep.py \"$0\" && exec python3 \"$0\"",
        &path,
    ]);
    let found = bench.any();
    assert_eq!(found.contents(), text);
    assert_eq!(found.args()[1], path);
}

#[test]
fn arguments_of_any_bytes_come_through() {
    let Some(bench) = Bench::new() else { return };
    let text = malicious("odd arguments");
    bench.container.write_file("/opt/odd.py", &text).unwrap();
    bench.run(&[
        "bash",
        "-c",
        "exec python3 /opt/odd.py $'\\x01\\x7f\\xff\\xfe' '' $'\\n' $'\\xf0\\x9f' '--x=\u{202e}'",
    ]);
    let found = bench.found(|found| found.contents() == text);
    assert_eq!(found.args()[2..], ["\u{1}\u{7f}\u{fffd}\u{fffd}", "", "\n", "\u{fffd}", "--x=\u{202e}"]);
}

#[test]
fn processes_that_are_gone_at_once_are_judged() {
    let Some(bench) = Bench::new() else { return };
    let text = variant("malicious.reverse-shell.sh", "gone").unwrap();
    bench.container.write_file("/opt/gone.sh", format!("exit 0\n{text}")).unwrap();
    let line = "for i in $(seq 30); do sh -c :; sh /opt/gone.sh; done";
    bench.run(&["sh", "-c", line]);
    let found = bench.found(|found| found.count() == "30");
    assert_eq!(found.path(), Some("/opt/gone.sh"));
    assert_eq!(bench.settle().len(), 1);
}

#[test]
fn samples_are_what_the_cases_take_them_for() {
    assert!(sample("malicious.reverse-shell.py").unwrap().contains("127.0.0.1\", 9"));
    assert!(sample("no such sample").is_err());
}
