//! Facts in, rows out: what `urva doctor` makes of each host that it may meet.

use super::facts::{Cgroups, Clock, Facts, Namespaces, cgroup_mounts};
use super::state::{self, Database, Folder, Running, StateFacts, read_header};
use super::{Row, State, judge, page, programs};
use cluster::{SourceReport, SourceState};
use evidence::Timestamp;
use rustix::thread::CapabilitySet;
use sensor::host::{ClockDiscipline, ProgramTypeReport};
use std::path::PathBuf;
use std::time::Duration;
use store::{SCHEMA_VERSION, Store};

/// A host on which everything works.
fn healthy() -> Facts {
    let source = |name, path: &str, state| SourceReport { name, path: PathBuf::from(path), state };
    let answers = SourceState::Works("containerd 1.7.2".to_owned());
    Facts {
        config: Ok("/etc/urva/urva.toml".to_owned()),
        release: "6.18.44-generic".to_owned(),
        has_btf: true,
        programs: programs::TYPES
            .iter()
            .map(|known| ProgramTypeReport { name: known.name, works: Ok(()) })
            .collect(),
        user: 0,
        capabilities: CapabilitySet::all(),
        namespaces: Namespaces {
            own_pid: Some(0xEFFF_FFFC),
            own_mount: Some(7),
            init_mount: Some(7),
            proc_is_own: true,
            init: "systemd".to_owned(),
        },
        cgroups: Cgroups { are_told: true, v1: vec![], v2: vec!["/sys/fs/cgroup".to_owned()] },
        runtimes: vec![
            source("CRI", "/run/containerd/containerd.sock", answers),
            source("Docker Engine API", "/run/docker.sock", SourceState::Absent),
        ],
        state: StateFacts {
            path: "/var/lib/urva".to_owned(),
            folder: Folder::There { owner: 61_470, mode: 0o700, writable: Ok(()) },
            free: Some(1 << 30),
            running: Running::No,
            database: Database::Version(SCHEMA_VERSION),
            status: None,
        },
        clock: Clock {
            now: Timestamp::from_seconds(1_800_000_000),
            since_boot: Duration::from_secs(3600),
            discipline: Ok(ClockDiscipline { is_synchronised: true, error_max_us: 2500 }),
        },
        landlock_abi: 6,
        has_seccomp: true,
        detector_user: Ok((61_470, 61_470)),
        model: Ok("linear-1, built in".to_owned()),
    }
}

/// What is not ok on a healthy host to which `change` was made: `!` before the name of what fails.
#[track_caller]
fn check(change: impl FnOnce(&mut Facts), expected: &[&str]) -> Vec<Row> {
    let mut facts = healthy();
    change(&mut facts);
    let rows = judge::rows(&facts);
    let mut found = Vec::new();
    for row in &rows {
        match row.state {
            State::Ok => assert_eq!(row.remedy, None, "{row:?}"),
            State::NotAvailable => found.push(row.name.clone()),
            State::Fails => found.push(format!("!{}", row.name)),
        }
        assert!(
            row.state == State::Ok || row.remedy.as_ref().is_some_and(|remedy| !remedy.is_empty()),
            "{row:?}"
        );
        assert_eq!(row.state == State::Fails, row.needed && row.state != State::Ok, "{row:?}");
        assert!(!row.found.is_empty(), "{row:?}");
    }
    assert_eq!(found, expected);
    rows
}

fn refuse(facts: &mut Facts, names: &[&str], why: &str) {
    for report in &mut facts.programs {
        if names.contains(&report.name) || names.is_empty() {
            report.works = Err(why.to_owned());
        }
    }
}

/// What a row of these advises.
#[track_caller]
fn remedy<'a>(rows: &'a [Row], name: &str) -> &'a str {
    rows.iter().find(|row| row.name == name).and_then(|row| row.remedy.as_deref()).unwrap()
}

#[test]
fn a_healthy_host() {
    check(|_| {}, &[]);
}

#[test]
fn not_root() {
    let rows = check(
        |facts| {
            facts.user = 1000;
            facts.capabilities = CapabilitySet::empty();
            refuse(facts, &["ring buffer", "tp_btf", "uprobe"], "Operation not permitted");
            facts.runtimes[0].state = SourceState::Broken("Permission denied".to_owned());
            facts.state.folder =
                Folder::There { owner: 0, mode: 0o700, writable: Err("Permission denied".to_owned()) };
            facts.state.database = Database::Hidden("Permission denied".to_owned());
            facts.state.running = Running::Unknown("Permission denied".to_owned());
        },
        &[
            "!BPF ring buffer",
            "!BPF tp_btf",
            "BPF uprobe",
            "!CAP_BPF",
            "!CAP_PERFMON",
            "!CAP_SYS_PTRACE",
            "!CAP_DAC_READ_SEARCH",
            "!CAP_CHOWN",
            "!CAP_SETUID",
            "!CAP_SETGID",
            "!CAP_SETPCAP",
            "!CAP_KILL",
            "container runtimes",
            "CRI /run/containerd/containerd.sock",
            "!state folder",
            "running urva",
            "database",
        ],
    );
    for name in ["BPF tp_btf", "CAP_BPF", "state folder", "database"] {
        assert!(remedy(&rows, name).contains("sudo urva doctor"), "{name}");
    }
}

#[test]
fn what_the_running_urva_has_missed() {
    let status = crate::status::tests::status();
    let mut whole = status.clone();
    whole.counters.losses.clear();
    let rows = check(|facts| facts.state.status = Some(status), &["coverage so far"]);
    assert!(remedy(&rows, "coverage so far").contains("urva status"));
    check(|facts| facts.state.status = Some(whole), &[]);
}

#[test]
fn root_without_a_capability() {
    let rows = check(|facts| facts.capabilities.remove(CapabilitySet::SYS_PTRACE), &["!CAP_SYS_PTRACE"]);
    assert!(remedy(&rows, "CAP_SYS_PTRACE").contains("CapabilityBoundingSet"));
}

#[test]
fn kernels() {
    let without_btf = |facts: &mut Facts| {
        facts.has_btf = false;
        refuse(facts, &["tp_btf", "fentry", "lsm", "iter"], "No such process");
    };
    let rows = check(without_btf, &["!BTF", "!BPF tp_btf", "BPF fentry", "BPF lsm", "BPF iter"]);
    assert!(remedy(&rows, "BPF tp_btf").contains("kernel's row"));
    for old in ["5.4.0-150-generic", "4.19.0", "5.14.21", "6", "unknown"] {
        check(|facts| facts.release = old.to_owned(), &["!kernel"]);
    }
    for new in ["5.15.0", "5.15", "6.1.0-28-amd64", "10.0-rc1"] {
        check(|facts| facts.release = new.to_owned(), &[]);
    }
    check(
        |facts| refuse(facts, &["fentry", "lsm", "kprobe"], "Operation not permitted"),
        &["BPF fentry", "BPF lsm", "BPF kprobe"],
    );
    let rows = check(|facts| refuse(facts, &["tp_btf"], "Operation not permitted"), &["!BPF tp_btf"]);
    assert!(remedy(&rows, "BPF tp_btf").contains("lockdown"));
    check(|facts| facts.programs.retain(|report| report.name != "tp_btf"), &["!BPF tp_btf"]);
}

#[test]
fn namespaces_and_cgroups() {
    check(|facts| facts.namespaces.own_pid = Some(4_026_532_999), &["!PID namespace"]);
    check(|facts| facts.namespaces.proc_is_own = false, &["!PID namespace"]);
    check(|facts| facts.namespaces = Namespaces::default(), &["!PID namespace", "mount namespace"]);
    check(|facts| facts.namespaces.init_mount = Some(8), &[]);
    check(|facts| facts.namespaces.init_mount = None, &["mount namespace"]);
    check(
        |facts| {
            facts.namespaces.init_mount = None;
            facts.namespaces.own_mount = Some(0xEFFF_FFF8);
        },
        &[],
    );
    check(|facts| facts.cgroups = Cgroups::default(), &["!cgroups"]);
    check(|facts| facts.cgroups.v2.clear(), &[]);
    let hybrid = cgroup_mounts(
        b"31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw\n\
          32 31 0:29 / /sys/fs/cgroup/cpu rw shared:9 - cgroup cgroup rw,cpu\n\
          41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n\xff\xff\n - \n - cgroup\n",
    );
    assert_eq!(
        (hybrid.v1, hybrid.v2),
        (vec!["/sys/fs/cgroup/cpu".to_owned()], vec!["/sys/fs/cgroup/unified".to_owned()])
    );
}

#[test]
fn runtimes() {
    let rows = check(|facts| facts.runtimes[0].state = SourceState::Absent, &["container runtimes"]);
    let row = rows.iter().find(|row| row.name == "container runtimes").unwrap();
    assert!(row.found.ends_with("not there: /run/containerd/containerd.sock, /run/docker.sock"), "{row:?}");
    check(|facts| facts.runtimes.clear(), &["container runtimes"]);
    let broken = SourceState::Broken("gave no answer within 200 ms".to_owned());
    check(|facts| facts.runtimes[1].state = broken, &["Docker Engine API /run/docker.sock"]);
}

#[test]
fn state_folders() {
    let missing = |writable| Folder::Missing { above: "/var/lib".to_owned(), writable };
    check(|facts| facts.state.folder = missing(Ok(())), &[]);
    check(|facts| facts.state.folder = missing(Err("Read-only file system".to_owned())), &["!state folder"]);
    check(|facts| facts.state.folder = Folder::Unusable("it is not a folder".to_owned()), &["!state folder"]);
    check(|facts| facts.state.free = Some(10 << 20), &["!free space"]);
    check(|facts| facts.state.free = None, &[]);
    check(|facts| facts.state.running = Running::Yes(Some(12)), &[]);
    check(|facts| facts.state.running = Running::Yes(None), &[]);
    for fine in [Database::Absent, Database::Version(0)] {
        check(|facts| facts.state.database = fine, &[]);
    }
    check(|facts| facts.state.database = Database::Version(SCHEMA_VERSION + 1), &["!database"]);
    check(
        |facts| facts.state.database = Database::Refused("not an SQLite database".to_owned()),
        &["!database"],
    );
}

#[test]
fn clocks() {
    check(|facts| facts.clock.now = Timestamp(0), &["!wall clock"]);
    let adrift = ClockDiscipline { is_synchronised: false, error_max_us: 16_000_000 };
    check(|facts| facts.clock.discipline = Ok(adrift), &["time service"]);
    check(|facts| facts.clock.discipline = Err("Operation not permitted".to_owned()), &["time service"]);
}

#[test]
fn confinement_model_and_config() {
    check(|facts| facts.landlock_abi = 0, &["Landlock"]);
    check(|facts| facts.has_seccomp = false, &["!seccomp"]);
    check(|facts| facts.detector_user = Err("no such user".to_owned()), &["!detector's user"]);
    check(|facts| facts.model = Err("too short".to_owned()), &["!model"]);
    check(|facts| facts.config = Err("line 1: this is not TOML".to_owned()), &["!config"]);
}

#[test]
fn a_page_is_aligned_says_each_remedy_once_and_steers_no_terminal() {
    let mut facts = healthy();
    facts.capabilities = CapabilitySet::empty();
    facts.model = Err("/tmp/\x1b[2Jx\ny cannot be read".to_owned());
    refuse(&mut facts, &["fentry"], "Operation not permitted");
    let text = page::page(&judge::rows(&facts), 100);
    let text = anstream::adapter::strip_str(&text).to_string();
    insta::assert_snapshot!(text);
    assert_eq!(text.matches("CapabilityBoundingSet").count(), 1);
}

#[tokio::test]
async fn a_database_of_the_store_is_recognised() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("urva.db");
    assert_eq!(read_header(&path), Database::Absent);
    Store::open(&path).await.unwrap().close().await.unwrap();
    assert_eq!(read_header(&path), Database::Version(SCHEMA_VERSION));

    let mut bytes = std::fs::read(&path).unwrap();
    bytes[63] = 200;
    std::fs::write(&path, &bytes).unwrap();
    assert_eq!(read_header(&path), Database::Version(200));
    for (damage, expected) in [(68, "another program's"), (0, "not an SQLite")] {
        bytes[damage] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        let Database::Refused(why) = read_header(&path) else { panic!("byte {damage}") };
        assert!(why.contains(expected), "{why}");
    }
    std::fs::write(&path, "SQLite format 3\0").unwrap();
    assert!(matches!(read_header(&path), Database::Refused(_)));
    assert!(matches!(read_header(folder.path()), Database::Refused(_)));
}

#[tokio::test]
async fn a_folder_is_looked_at_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("a/state");
    let look = async |path: PathBuf| state::gather(&path, &path.join("urva.db")).await;

    let found = look(state.clone()).await;
    assert!(matches!(found.folder, Folder::Missing { writable: Ok(()), .. }), "{found:?}");
    assert!(!state.exists() && found.free.is_some());

    std::fs::create_dir_all(&state).unwrap();
    let found = look(state.clone()).await;
    assert_eq!((&found.running, &found.database), (&Running::No, &Database::Absent));
    assert_eq!(std::fs::read_dir(&state).unwrap().count(), 0);

    let lock = store::StateLock::acquire(&state).unwrap();
    let store = Store::open(state.join("urva.db")).await.unwrap();
    let files = std::fs::read_dir(&state).unwrap().count();
    let found = look(state.clone()).await;
    assert_eq!(found.running, Running::Yes(Some(std::process::id())));
    assert_eq!(found.database, Database::Version(SCHEMA_VERSION));
    assert_eq!(std::fs::read_dir(&state).unwrap().count(), files);
    drop((lock, store));
    assert_eq!(look(state.clone()).await.running, Running::No);

    let found = look(state.join("urva.db")).await;
    assert!(matches!(found.folder, Folder::Unusable(_)), "{found:?}");
}
