//! `urva doctor`, run as root and as somebody without any right.
#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output};

const BINARY: &str = env!("CARGO_BIN_EXE_urva");
const NOBODY: u32 = 65_534;

/// State of each row by its name, after a check of the shape.
fn rows(output: &Output) -> BTreeMap<String, String> {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(stderr, "");
    let rows: Vec<serde_json::Map<String, serde_json::Value>> =
        serde_json::from_slice(&output.stdout).unwrap();
    assert!(rows.len() > 25, "{rows:?}");
    let states = rows.iter().map(|row| {
        assert_eq!(row.keys().collect::<Vec<_>>(), ["found", "name", "needed", "remedy", "state"]);
        let (needed, state) = (row["needed"].as_bool().unwrap(), row["state"].as_str().unwrap());
        assert!(["ok", "not_available", "fails"].contains(&state), "{row:?}");
        assert!(!row["found"].as_str().unwrap().is_empty(), "{row:?}");
        assert_eq!(row["remedy"].is_string(), state != "ok", "{row:?}");
        assert_eq!(needed && state != "ok", state == "fails", "{row:?}");
        (row["name"].as_str().unwrap().to_owned(), state.to_owned())
    });
    states.collect()
}

fn skips() -> bool {
    let skips = std::env::var_os("URVA_TEST_SKIP_PRIVILEGED").is_some_and(|value| value == "1");
    if skips {
        println!("SKIPPED: this test needs root");
    }
    skips
}

#[test]
fn root_is_told_what_works() {
    if skips() {
        return;
    }
    assert!(
        rustix::process::geteuid().is_root(),
        "run this test as root, or set URVA_TEST_SKIP_PRIVILEGED=1"
    );
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let state = folder.path().join("state");
    let run = |format: &str| {
        let mut command = Command::new(BINARY);
        command.args(["doctor", "--format", format, "--state"]).arg(&state).env_remove("URVA_CONFIG");
        command.output().unwrap()
    };
    let output = run("json");
    let rows = rows(&output);
    for needed in
        ["kernel", "BTF", "BPF tp_btf", "BPF ring buffer", "CAP_BPF", "cgroups", "model", "state folder"]
    {
        assert_eq!(rows[needed], "ok", "{needed}: {rows:?}");
    }
    let fails = rows.values().any(|state| state == "fails");
    assert_eq!(output.status.code(), Some(if fails { 2 } else { 0 }));
    assert!(!state.exists(), "doctor changes nothing");

    let text = run("text");
    assert_eq!(text.status, output.status);
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.lines().count() > rows.len() && !text.contains('\x1b'), "{text}");
}

#[test]
fn nobody_is_told_what_is_missing() {
    if skips() {
        return;
    }
    // The folders above the binary may be closed to others; its descriptor is not.
    let binary = File::open(BINARY).unwrap();
    rustix::io::fcntl_setfd(&binary, rustix::io::FdFlags::empty()).unwrap();
    let mut command = Command::new(format!("/proc/self/fd/{}", binary.as_raw_fd()));
    command.args(["doctor", "--format", "json", "--state", "/var/lib/urva-none/state"]);
    let output = command.env_clear().current_dir("/").uid(NOBODY).gid(NOBODY).output().unwrap();
    let rows = rows(&output);
    for fails in ["CAP_BPF", "CAP_SETUID", "BPF tp_btf", "BPF ring buffer", "state folder"] {
        assert_eq!(rows[fails], "fails", "{fails}: {rows:?}");
    }
    for works in ["kernel", "BTF", "model", "seccomp", "cgroups"] {
        assert_eq!(rows[works], "ok", "{works}: {rows:?}");
    }
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_wrong_config_is_a_row_and_not_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("urva.toml");
    std::fs::write(&config, "[detektor]\n").unwrap();
    let mut command = Command::new(BINARY);
    let output = command.args(["doctor", "--format", "json", "--config"]).arg(&config).output().unwrap();
    assert_eq!(rows(&output)["config"], "fails");
    assert_eq!(output.status.code(), Some(2));
}
