//! Bad weather for `urva run`: starts that cannot work say why in one sentence and end with 2; a full disk, and
//! the end of urva at any time, lose nothing that was accepted.

#![allow(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod record;

use end_to_end::{Container, Rootfs, Runc, Site, Urva, privileged, variant};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

const WITHIN: Duration = Duration::from_secs(10);

/// Starts urva and expects it to end with 2 and these words.
#[track_caller]
fn check_refused(site: &Arc<Site>, words: &[&str]) {
    let (status, log) = site.run_to_end().unwrap();
    assert_eq!(status.code(), Some(2), "{log}");
    for word in words {
        assert!(log.contains(word), "{word:?} is not in: {log}");
    }
    assert!(!log.contains("panicked"), "{log}");
}

fn run(program: &str, args: &[&str]) -> String {
    let done = Command::new(program).args(args).output().unwrap();
    assert!(done.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap().trim_end().to_owned()
}

/// Runs SQL on a database that nobody has open.
fn sql(database: &Path, statement: &str) -> String {
    let program = "import sqlite3, sys\n\
                   connection = sqlite3.connect(sys.argv[1])\n\
                   row = connection.execute(sys.argv[2]).fetchone()\n\
                   connection.commit()\n\
                   print(row[0] if row else '')";
    run("/usr/bin/python3", &["-c", program, &database.display().to_string(), statement])
}

fn container() -> Container {
    Runc::container(&Rootfs::busybox().unwrap()).start().unwrap()
}

/// Runs one malicious script of its own.
fn attack(container: &Container, case: &str) -> String {
    let text = variant("malicious.miner.sh", case).unwrap();
    container.exec(["sh", "-c", &text]).unwrap();
    text
}

fn expect(urva: &Urva, container: &Container, text: &str) {
    urva.wait_for_finding(container.id(), WITHIN, |found| found.contents() == text).unwrap();
}

#[test]
fn without_root_it_says_so() {
    if !privileged() {
        return;
    }
    check_unprivileged(&["--reuid=65534", "--regid=65534", "--clear-groups"], "CAP_SETUID");
    // Root in a container is root without most of its rights.
    check_unprivileged(&["--bounding-set=-bpf,-sys_admin"], "without CAP_BPF:");
}

/// Starts urva under `setpriv` with these options, and expects it to name what it lacks.
#[track_caller]
fn check_unprivileged(options: &[&str], lacking: &str) {
    let site = Site::new().unwrap();
    let urva = site.command(["run"]).unwrap();
    let mut command = Command::new("setpriv");
    command.args(options).arg(urva.get_program()).arg("run");
    let done = command.env("URVA_STATE", site.state()).env("URVA_CONFIG", site.config()).output().unwrap();
    let said = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(2), "{said}");
    assert!(
        said.contains("needs root") && said.contains(lacking) && said.contains("sudo urva run"),
        "{said}"
    );
    assert!(!site.state().exists());
}

#[test]
fn a_kernel_that_lacks_what_is_needed_is_named() {
    if !privileged() {
        return;
    }
    // What a kernel without type information looks like.
    check_kernel(
        "mount -t tmpfs none /sys/kernel/btf && exec \"$0\" run",
        &["the kernel has no BTF", "5.15"],
    );
}

/// Starts urva from this shell command in a mount namespace of its own, and expects it to end with 2 and these words.
#[track_caller]
fn check_kernel(command: &str, words: &[&str]) {
    let site = Site::new().unwrap();
    let urva = site.command(["run"]).unwrap();
    let mut shell = Command::new("unshare");
    shell.args(["--mount", "sh", "-c", command]).arg(urva.get_program());
    let done = shell.env("URVA_STATE", site.state()).env("URVA_CONFIG", site.config()).output().unwrap();
    let said = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(2), "{said}");
    for word in words {
        assert!(said.contains(word), "{word:?} is not in: {said}");
    }
}

#[test]
fn a_wrong_config_is_refused() {
    if !privileged() {
        return;
    }
    check_refused(
        &Site::with_config("[capture]\ncontent_limits = \"1 MiB\"\n").unwrap(),
        &["content_limits", "content_limit"],
    );
    check_refused(&Site::with_config("[capture]\ncontent_limit = \"much\"\n").unwrap(), &["content_limit"]);
    check_refused(&Site::with_config("[detector]\nuser = \"root\"\n").unwrap(), &["root"]);
    check_refused(
        &Site::with_config("[detector]\nuser = \"nobody-of-this-name\"\n").unwrap(),
        &["nobody-of-this-name"],
    );
    let site = Site::new().unwrap();
    fs::remove_file(site.config()).unwrap();
    check_refused(&site, &["urva.toml"]);
}

#[test]
fn a_model_that_is_none_is_refused() {
    if !privileged() {
        return;
    }
    for (content, words) in [(None, "cannot read the model"), (Some(&b"\x7fELF no model"[..]), "model")] {
        let site = Site::new().unwrap();
        let model = site.scratch().unwrap().join("other.model");
        if let Some(content) = content {
            fs::write(&model, content).unwrap();
        }
        site.configure(&format!("[detector]\nmodel = {model:?}\n")).unwrap();
        check_refused(&site, &[words, "other.model"]);
    }
}

#[test]
fn a_state_folder_that_is_none_is_refused() {
    if !privileged() {
        return;
    }
    let site = Site::new().unwrap();
    fs::write(site.state(), "a file").unwrap();
    check_refused(&site, &["state folder", "--state"]);

    let site = Site::new().unwrap();
    fs::create_dir(site.state()).unwrap();
    run("mount", &["-t", "tmpfs", "-o", "ro,size=1m", "tmpfs", &site.state().display().to_string()]);
    check_refused(&site, &["state", "ead-only"]);
}

#[test]
fn a_database_that_is_damaged_newer_or_foreign_is_refused_and_left_alone() {
    if !privileged() {
        return;
    }
    let site = Site::new().unwrap();
    site.start().unwrap().stop().unwrap();
    let good = fs::read(site.database()).unwrap();
    let check = |bytes: &[u8], words: &[&str]| {
        fs::write(site.database(), bytes).unwrap();
        check_refused(&site, words);
        assert_eq!(fs::read(site.database()).unwrap(), bytes, "{words:?}");
    };
    check(b"this is no database at all, but long enough to be one ".repeat(40).as_slice(), &["urva.db"]);
    let mut torn = good.clone();
    torn[4096..8192].fill(0xa5);
    check(&torn, &["urva.db", "damaged"]);
    check(&good[..good.len() / 2], &["urva.db"]);

    fs::write(site.database(), &good).unwrap();
    sql(&site.database(), "PRAGMA user_version = 99");
    check_refused(&site, &["urva.db", "99"]);

    fs::write(site.database(), &good).unwrap();
    site.start().unwrap().stop().unwrap();
}

#[test]
fn a_second_urva_on_the_same_state_is_refused() {
    if !privileged() {
        return;
    }
    let urva = Urva::start().unwrap();
    check_refused(urva.site(), &["is in use by", &urva.pid().to_string()]);
    let container = container();
    let text = attack(&container, "the first works on");
    expect(&urva, &container, &text);
    urva.stop().unwrap();
}

#[test]
fn a_full_disk_is_waited_for_and_nothing_is_lost() {
    if !privileged() {
        return;
    }
    let site = Site::new().unwrap();
    fs::create_dir(site.state()).unwrap();
    run("mount", &["-t", "tmpfs", "-o", "size=2m", "tmpfs", &site.state().display().to_string()]);
    let urva = site.start().unwrap();
    let container = container();
    let before = attack(&container, "before the disk is full");
    expect(&urva, &container, &before);

    let filler = site.state().join("filler");
    let done =
        Command::new("dd").arg("if=/dev/zero").arg(format!("of={}", filler.display())).output().unwrap();
    assert!(!done.status.success(), "dd ends when the disk is full");
    let during: Vec<String> = (0..5).map(|number| attack(&container, &format!("full {number}"))).collect();
    std::thread::sleep(Duration::from_millis(1500));
    assert!(site.log().contains("full"), "{}", site.log());
    expect(&urva, &container, &before);

    fs::remove_file(filler).unwrap();
    for text in &during {
        expect(&urva, &container, text);
    }
    expect(&urva, &container, &before);
    urva.stop().unwrap();
    assert_eq!(sql(&site.database(), "PRAGMA integrity_check"), "ok");
}

#[test]
fn what_was_seen_before_sigterm_is_stored() {
    if !privileged() {
        return;
    }
    let container = container();
    let text = variant("malicious.miner.sh", "burst").unwrap();
    for round in 0..3 {
        let urva = Urva::start().unwrap();
        let site = urva.site().clone();
        let line = format!("for i in $(seq 40); do sh -c \"$0\n# {round} $i\"; done");
        container.exec(["sh", "-c", &line, &text]).unwrap();
        urva.stop().unwrap();
        assert_eq!(site.findings(container.id()).unwrap().len(), 40, "round {round}: {}", site.log());
        assert!(record::latest_run(&site).ended_at.is_some());
    }
}

#[test]
fn sigterm_to_all_processes_at_once_ends_in_order() {
    if !privileged() {
        return;
    }
    let urva = Urva::start().unwrap();
    let children = [urva.process("sensor").unwrap(), urva.process("detector").unwrap()];
    // As a service manager does it.
    for pid in children {
        run("kill", &["-TERM", &pid.to_string()]);
    }
    let site = urva.site().clone();
    urva.stop().unwrap();
    assert!(children.iter().all(|pid| !Path::new(&format!("/proc/{pid}")).exists()));
    assert!(record::latest_run(&site).ended_at.is_some());
}

#[test]
fn the_detector_holds_no_privileges_and_the_sensor_few() {
    if !privileged() {
        return;
    }
    let urva = Urva::start().unwrap();
    let status = |role| fs::read_to_string(format!("/proc/{}/status", urva.process(role).unwrap())).unwrap();
    let value = |status: &str, name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim_start_matches(':').split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    let detector = status("detector");
    for name in ["Uid", "Gid"] {
        assert!(value(&detector, name).iter().all(|id| id != "0"), "{detector}");
    }
    assert!(value(&detector, "Groups").is_empty(), "{detector}");
    for name in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(value(&detector, name), ["0000000000000000"], "{name}");
    }
    assert_eq!(
        (value(&detector, "NoNewPrivs"), value(&detector, "Seccomp")),
        (vec!["1".into()], vec!["2".into()])
    );
    let sensor = value(&status("sensor"), "CapEff");
    let held = u64::from_str_radix(&sensor[0], 16).unwrap().count_ones();
    assert!(held < 10, "the sensor still holds {held} capabilities: {sensor:?}");
}
