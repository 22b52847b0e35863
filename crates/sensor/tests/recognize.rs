//! Recognises the real interpreters of this machine, under their own names and under foreign ones.
//!
//! Needs python3, bash, dash, busybox and zsh on `PATH`. More interpreters of a family are taken from
//! `URVA_TEST_INTERPRETERS`: `FAMILY=PATH`, separated by colons, with the families' names in Rust.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use evidence::Family;
use proptest::prelude::*;
use sensor::recognize::{Holding, by_content, holding, is_loader, recognize};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The file that the kernel runs for a command on `PATH`.
fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let mut files = std::env::split_paths(&path).map(|folder| folder.join(name));
    files.find(|file| file.is_file())?.canonicalize().ok()
}

fn required(name: &str) -> PathBuf {
    on_path(name).unwrap_or_else(|| panic!("{name} is not installed; this test reads it"))
}

/// The Python behind a wrapper.
fn python() -> PathBuf {
    let print = "import sys, os; print(os.path.realpath(sys.executable))";
    let output = Command::new(required("python3")).args(["-c", print]).output().unwrap();
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
}

/// Every interpreter to be recognised, with its family.
fn interpreters() -> Vec<(Family, PathBuf)> {
    let mut found = vec![
        (Family::CPython, python()),
        (Family::Bash, required("bash")),
        (Family::Dash, required("dash")),
        (Family::Busybox, required("busybox")),
        (Family::Zsh, required("zsh")),
    ];
    let more = std::env::var("URVA_TEST_INTERPRETERS").unwrap_or_default();
    for entry in more.split(':').filter(|entry| !entry.is_empty()) {
        let (family, path) = entry.split_once('=').unwrap();
        let families =
            [Family::CPython, Family::PyPy, Family::Bash, Family::Dash, Family::Busybox, Family::Zsh];
        let family = families.into_iter().find(|known| format!("{known:?}") == family);
        found.push((family.unwrap_or_else(|| panic!("{entry}: unknown family")), PathBuf::from(path)));
    }
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".pyenv"));
    if let Some(root) = std::env::var_os("PYENV_ROOT").map(PathBuf::from).or(home) {
        let versions = std::fs::read_dir(root.join("versions")).into_iter().flatten().flatten();
        let pythons = versions.filter_map(|version| version.path().join("bin/python").canonicalize().ok());
        found.extend(pythons.map(|python| (Family::CPython, python)));
    }
    found
}

#[track_caller]
fn check(path: &Path, file: &Path, expected: Option<Family>) {
    let found = recognize(path.as_os_str().as_encoded_bytes(), &File::open(file).unwrap());
    assert_eq!(found, expected, "{} as {}", file.display(), path.display());
}

#[test]
fn interpreters_are_recognised_under_any_name() {
    let folder = tempfile::tempdir().unwrap();
    for (family, file) in interpreters() {
        eprintln!("{family:?}: {}", file.display());
        check(&file, &file, Some(family));
        for name in ["kworker", "nginx", "python3", "sh", "bash"] {
            let copy = folder.path().join(name);
            std::fs::copy(&file, &copy).unwrap();
            check(&copy, &copy, Some(family));
        }
    }
}

#[test]
fn other_programs_are_not_recognised() {
    for name in ["ls", "env", "cat", "perl", "grep", "tar", "git", "gdb", "vim", "ssh", "awk", "make"] {
        match on_path(name) {
            Some(file) => check(&file, &file, None),
            None => eprintln!("{name} is not installed, and so not looked at"),
        }
    }
    // This test itself, which holds the marks as plain data.
    let own = std::env::current_exe().unwrap();
    check(&own, &own, None);
}

#[test]
fn programs_that_embed_python_are_told_from_others() {
    let folder = tempfile::tempdir().unwrap();
    let build = |text: &str, arguments: &[&str]| {
        let (source, program) = (folder.path().join("program.c"), folder.path().join("program"));
        std::fs::write(&source, text).unwrap();
        let mut gcc = Command::new("gcc");
        assert!(gcc.arg("-o").args([&program, &source]).args(arguments).status().unwrap().success());
        holding(&File::open(program).unwrap())
    };
    assert_eq!(build("int main(void) { return 0; }", &[]), Holding::Never);
    let loads = "#include <dlfcn.h>\nint main(void) { return dlopen(\"x\", 1) != 0; }";
    assert_eq!(build(loads, &["-ldl"]), Holding::Perhaps);
    let exports = "int PyEval_EvalCode(void) { return 0; } int main(void) { return 0; }";
    assert_eq!(build(exports, &["-rdynamic"]), Holding::Surely);
    let calls = "void Py_Initialize(void);\nint run(void) { Py_Initialize(); return 0; }";
    assert_eq!(build(calls, &["-shared", "-fPIC"]), Holding::Surely);
    for odd in [&b""[..], b"#!/bin/sh\n", b"\x7fELF\x02\x01\x01"] {
        assert_eq!(holding(&odd), Holding::Never);
    }
}

/// The loader of this very process, which is mapped into it; musl's from `URVA_TEST_LOADERS`.
#[test]
fn loaders_are_told_from_programs() {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let mapped = maps.lines().filter_map(|line| line.split_whitespace().nth(5));
    let loader = mapped
        .map(Path::new)
        .find(|path| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"ld-")));
    let more = std::env::var_os("URVA_TEST_LOADERS").unwrap_or_default();
    let more = std::env::split_paths(&more).filter(|path| !path.as_os_str().is_empty());
    for path in more.chain([loader.expect("a loader is mapped").to_owned()]) {
        assert!(is_loader(&File::open(&path).unwrap()), "{}", path.display());
        check(&path, &path, None);
    }
    for path in [required("ls"), required("busybox"), required("dash"), python()] {
        assert!(!is_loader(&File::open(&path).unwrap()), "{}", path.display());
    }
}

#[test]
fn what_is_no_program_goes_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text");
    std::fs::write(&text, b"#!/bin/sh\n").unwrap();
    check(&text, &text, None);
    check(Path::new("/usr/bin/python3.12"), &text, Some(Family::CPython));
    std::fs::write(&text, b"").unwrap();
    check(Path::new("/bin/sh"), &text, Some(Family::Dash));
}

#[test]
fn a_huge_sparse_file_costs_no_more_than_the_budget() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sparse");
    // A header that claims one read-only segment of 3 GiB.
    let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
    bytes.resize(120, 0);
    bytes[16..18].copy_from_slice(&2u16.to_le_bytes());
    bytes[20] = 1;
    bytes[32] = 64;
    bytes[54] = 56;
    bytes[56] = 1;
    bytes[64] = 1;
    bytes[68] = 4;
    bytes[96..104].copy_from_slice(&(3u64 << 30).to_le_bytes());
    std::fs::write(&path, &bytes).unwrap();
    let file = File::options().write(true).open(&path).unwrap();
    file.set_len(3 << 30).unwrap();
    check(&path, &path, None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A real program with bytes changed where its headers and its dynamic section are, or cut short.
    #[test]
    fn damaged_programs_do_no_harm(
        changes in proptest::collection::vec((0usize..4096, any::<u8>()), 0..40),
        length in 0usize..200_000,
    ) {
        let mut bytes = std::fs::read(required("dash")).unwrap();
        for (place, value) in changes {
            bytes[place] = value;
        }
        bytes.truncate(length);
        let _family: Option<Family> = by_content(&&bytes[..]);
    }
}
