//! The sensor alone, on real execs of the host: what it hands out is what the kernel was given, byte by byte.
//!
//! Needs root and a kernel with BTF.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at what it does not expect")]

mod watch;

use evidence::{Content, CoverageNote, Family, GapKind, ScriptKind, Untrusted};
use sensor::Seen;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::process::Command;
use watch::{Watch, now, run, spawn};

fn namespace(name: &str) -> u32 {
    u32::try_from(fs::metadata(format!("/proc/self/ns/{name}")).unwrap().ino()).unwrap()
}

#[test]
fn an_exec_is_captured_with_all_that_belongs_to_it() {
    let Some(watch) = Watch::start(true) else { return };
    let folder = tempfile::tempdir().unwrap();
    let before = now();
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "sleep 5; :", "zero", "one"]).current_dir(folder.path());
    command.env_clear().env("COLOUR", "red").env("PATH", "/usr/bin:/bin").uid(65_534).gid(65_533);
    let mut child = spawn(&mut command);
    let capture = watch.capture_of(child.id());
    let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
    let after = now();
    child.kill().unwrap();
    child.wait().unwrap();

    let process = &capture.process;
    assert_eq!(process.args, ["/bin/sh", "-c", "sleep 5; :", "zero", "one"].map(Untrusted::from));
    assert_eq!((process.uid, process.gid, process.parent_pid), (65_534, 65_533, std::process::id()));
    assert_eq!(process.pid_in_container, child.id());
    assert_eq!(&process.cwd[..], folder.path().canonicalize().unwrap().as_os_str().as_bytes());
    let mut environment = process.environment.clone();
    environment.sort();
    assert_eq!(environment, ["COLOUR=red", "PATH=/usr/bin:/bin"].map(Untrusted::from));
    let executable = fs::canonicalize("/bin/sh").unwrap();
    assert_eq!(&process.executable.path[..], executable.as_os_str().as_bytes());
    assert_eq!(process.executable.size, Some(fs::metadata(&executable).unwrap().len()));
    assert_eq!(process.executable.sha256, Some(evidence::Sha256::of(&fs::read(&executable).unwrap())));
    let namespaces = &process.namespaces;
    assert_eq!(
        [namespaces.mount, namespaces.pid, namespaces.network, namespaces.user],
        ["mnt", "pid", "net", "user"].map(namespace)
    );
    let ticks: u64 = stat.rsplit(") ").next().unwrap().split(' ').nth(19).unwrap().parse().unwrap();
    assert_eq!(process.start_ticks, ticks);
    // The kernel's clock and the wall clock are read one after the other.
    let slack = 20_000_000;
    assert!(capture.observed_at.0 + slack >= before.0 && capture.observed_at.0 <= after.0 + slack);
    assert!(process.started_at <= capture.observed_at);

    assert_eq!((capture.interpreter.family, capture.script.kind), (Family::Dash, ScriptKind::Inline));
    assert_eq!((capture.script.text_argument, capture.script.path.as_ref()), (Some(2), None));
    assert_eq!(capture.script.content, Content::Whole("sleep 5; :".into()));
    assert!(capture.container.is_none() && capture.coverage.is_empty(), "{:?}", capture.coverage);
    watch.stop();
}

/// Bytes of every value but NUL, different for each seed.
fn bytes(seed: usize, length: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from((at * 31 + seed * 7 + at / 255) % 255).unwrap() + 1).collect()
}

#[test]
fn arguments_of_up_to_2_mib_come_byte_by_byte() {
    let Some(watch) = Watch::start(true) else { return };
    // One byte; around the sizes of the probe's first record and of a chunk; the kernel's limit for one
    // argument; and about all that it allows together.
    for lengths in [
        vec![1],
        vec![0, 0, 3],
        vec![8_190],
        vec![8_191, 1],
        vec![8_192 + 16_384 - 20],
        vec![16_384; 3],
        vec![131_071],
        vec![120_000; 17],
    ] {
        let arguments: Vec<Vec<u8>> =
            lengths.iter().enumerate().map(|(seed, length)| bytes(seed, *length)).collect();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", ":", "zero"]).args(arguments.iter().map(|one| OsStr::from_bytes(one)));
        let capture = watch.capture_of(run(&mut command));
        let args = &capture.process.args;
        assert_eq!(args.len(), 4 + arguments.len(), "{lengths:?}");
        for (number, (actual, expected)) in args[4..].iter().zip(&arguments).enumerate() {
            assert!(actual[..] == expected[..], "{lengths:?}: argument {number} differs");
        }
        assert!(!capture.coverage.contains(&CoverageNote::ArgumentsCut), "{:?}", capture.coverage);
    }
    watch.stop();
}

#[test]
fn an_environment_beyond_its_limit_is_cut_and_says_so() {
    let Some(watch) = Watch::start(true) else { return };
    let mut command = Command::new("/bin/sh");
    command.args(["-c", ":"]).env_clear();
    for number in 0..100 {
        command.env(format!("VARIABLE_{number:03}"), "x".repeat(1_000));
    }
    let capture = watch.capture_of(run(&mut command));
    assert!(capture.coverage.contains(&CoverageNote::EnvironmentCut));
    let kept: usize = capture.process.environment.iter().map(|variable| variable.len() + 1).sum();
    // The last one is cut, so nothing ends it.
    assert!((30 * 1024..=32 * 1024 + 1).contains(&kept), "{kept} bytes are kept");
    assert_eq!(capture.process.args.len(), 3);
    watch.stop();
}

#[test]
fn a_hundred_execs_in_a_row_are_all_seen_in_the_end() {
    let Some(watch) = Watch::start(true) else { return };
    let pids: Vec<u32> =
        (0..100).map(|number| run(Command::new("/bin/sh").args(["-c", &format!(": {number}")]))).collect();
    // Told to stop, the sensor gives up what it has not read within a moment: on a busy machine that is much.
    let mut seen = watch.until_all_are_captured(&pids);
    seen.extend(watch.stop());
    for pid in pids {
        let of_it = seen.iter().filter_map(|one| match one {
            Seen::Captured(capture) if capture.process.pid == pid => Some(&capture.coverage),
            _ => None,
        });
        // A process that was forked just before the probes were attached is also found among the running ones.
        let count = of_it.filter(|coverage| !coverage.contains(&CoverageNote::StartedEarlier)).count();
        assert_eq!(count, 1, "process {pid}");
    }
    let lost =
        seen.iter().filter(|one| matches!(one, Seen::Gap(gap) if gap.kind == GapKind::KernelBufferFull));
    assert_eq!(lost.count(), 0);
}

#[test]
fn processes_of_the_host_are_left_out_unless_they_are_asked_for() {
    let Some(watch) = Watch::start(false) else { return };
    let pid = run(Command::new("/bin/sh").args(["-c", ": host"]));
    let seen = watch.stop();
    assert!(!seen.iter().any(|one| matches!(one, Seen::Captured(capture) if capture.process.pid == pid)));
}
