//! Holds `command_line::read` against the real interpreters: each row is an argument vector, what the reader must
//! say, and what the interpreter then really runs. The programs only print how they were run.
//!
//! Needs python3, bash, dash, busybox and zsh on `PATH`. More Pythons are taken from `URVA_TEST_PYTHONS` (paths
//! separated by colons), from `python2` and `pypy3` on `PATH`, and from pyenv.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use evidence::{Family, Untrusted};
use proptest::prelude::*;
use sensor::command_line::{CommandLine, ModuleSearch, ScriptSource, read};
use std::ffi::OsString;
use std::io::{ErrorKind, Write};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use Ran::{File, Inline, Module, Nothing, Stdin};

/// What an interpreter ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ran {
    Inline,
    File,
    Module,
    Stdin,
    Nothing,
}

/// A row: the arguments after `argv[0]`, and what runs. `INLINE` stands for a program that prints how it ran.
type Row = (&'static [&'static str], Ran);

const PYTHON_INLINE: &str = "print('ran:inline')";
const SHELL_INLINE: &str = "echo ran:inline";

/// Rows that CPython and PyPy read alike.
const PYTHON: &[Row] = &[
    (&[], Stdin),
    (&["-"], Stdin),
    (&["-", "file"], Stdin),
    (&["--"], Stdin),
    (&["--", "-", "file"], Stdin),
    (&["-u"], Stdin),
    (&["file"], File),
    (&["file", "-c", "INLINE"], File),
    (&["folder"], File),
    (&["archive"], File),
    (&["--", "file"], File),
    (&["-B", "--", "file"], File),
    (&["--", "-c", "INLINE"], Nothing),
    (&[""], Nothing),
    (&["missing"], Nothing),
    (&["-c", "INLINE"], Inline),
    (&["-cINLINE"], Inline),
    (&["-Bc", "INLINE"], Inline),
    (&["-uc", "INLINE"], Inline),
    (&["-ucINLINE"], Inline),
    (&["-IBuc", "INLINE", "-c", "x", "file"], Inline),
    (&["-c", "INLINE", "--version"], Inline),
    (&["-X", "dev", "-W", "ignore", "file"], File),
    (&["-Xdev", "-Wignore", "file"], File),
    (&["-W", "ignore", "-c", "INLINE"], Inline),
    (&["-WignorecINLINE", "file"], File),
    (&["-BW", "ignore", "-Ec", "INLINE"], Inline),
    (&["-W", "-c", "file"], File),
    (&["-E", "-s", "-S", "-O", "-OO", "-v", "-d", "-b", "-R", "file"], File),
    (&["-q", "file"], File),
    (&["-m", "module"], Module),
    (&["-mmodule"], Module),
    (&["-Bm", "module", "-c", "INLINE"], Module),
    (&["-m", "module", "--help"], Module),
    (&["-c"], Nothing),
    (&["-m"], Nothing),
    (&["-W"], Nothing),
    (&["-V", "file"], Nothing),
    (&["-Vc", "INLINE"], Nothing),
    (&["-h", "file"], Nothing),
    (&["-?", "file"], Nothing),
    (&["--help"], Nothing),
    (&["--version", "file"], Nothing),
];

/// Rows of CPython alone, or of some of its versions: the others refuse the option and run nothing.
const CPYTHON: &[Row] = &[
    (&["-x", "second_line"], File),
    (&["-xc", "INLINE"], Inline),
    (&["-P", "file"], File),
    (&["-t", "file"], File),
    (&["-3", "file"], File),
    (&["-Q", "old", "file"], File),
    (&["-Qold", "-c", "INLINE"], Inline),
    (&["-J", "file"], Nothing),
    (&["-I", "file"], File),
    (&["-Ic", "INLINE"], Inline),
    (&["--check-hash-based-pycs", "always", "file"], File),
    (&["--check-hash-based-pycs", "file"], Nothing),
    (&["-B-check-hash-based-pycs", "never", "-c", "INLINE"], Inline),
    (&["-B-", "file"], File),
    (&["-B-", "-c", "INLINE"], Nothing),
    (&["-B-help-all", "file"], Nothing),
    (&["--help-all"], Nothing),
    (&["--help-env", "file"], Nothing),
    (&["--help-xoptions", "file"], Nothing),
    (&["-B -u", "file"], File),
    (&["--unknown", "file"], File),
    (&["-Z", "file"], File),
];

/// Rows of PyPy alone.
const PYPY: &[Row] = &[
    (&["--jit", "off", "file"], File),
    (&["--jit", "threshold=10", "-c", "INLINE"], Inline),
    (&["--jit", "help", "file"], Nothing),
    (&["--jit"], Nothing),
    (&["--info"], Nothing),
    (&["--info", "file"], Nothing),
    (&["--check-hash-based-pycs", "always", "file"], File),
    (&["--check-hash-based-pycs", "file"], Nothing),
    (&["-B-", "file"], Nothing),
    (&["-Isuc", "INLINE"], Inline),
];

/// Rows that all shells read alike.
const SHELL: &[Row] = &[
    (&[], Stdin),
    (&["-"], Stdin),
    (&["--"], Stdin),
    (&["-s"], Stdin),
    (&["-s", "file"], Stdin),
    (&["-e", "-"], Stdin),
    (&["file"], File),
    (&["file", "-c", "INLINE"], File),
    (&["-", "file"], File),
    (&["--", "file"], File),
    (&["-x", "file"], File),
    (&["-e", "-u", "file"], File),
    (&["-eu", "--", "file"], File),
    (&["+e", "file"], File),
    (&["-o", "errexit", "file"], File),
    (&["+o", "errexit", "file"], File),
    (&["--", "-c", "INLINE"], Nothing),
    (&["missing"], Nothing),
    (&["-c", "INLINE"], Inline),
    (&["-c", "INLINE", "file"], Inline),
    (&["-c", "--", "INLINE"], Inline),
    (&["-c", "-", "INLINE"], Inline),
    (&["-c", "-e", "INLINE"], Inline),
    (&["-c", "+e", "-u", "INLINE", "file"], Inline),
    (&["+c", "INLINE"], Inline),
    (&["-ec", "INLINE"], Inline),
    (&["-xc", "INLINE"], Inline),
    (&["-ce", "INLINE"], Inline),
    (&["-lc", "INLINE"], Inline),
    (&["-e", "-c", "INLINE"], Inline),
    (&["-o", "errexit", "-c", "INLINE"], Inline),
    (&["-eo", "errexit", "-c", "INLINE"], Inline),
    (&["-sc", "INLINE"], Inline),
    (&["-c", "-s", "INLINE"], Inline),
    (&["-c"], Nothing),
    (&["-ec"], Nothing),
];

const BASH: &[Row] = &[
    (&["-co", "errexit", "INLINE"], Inline),
    (&["-o", "pipefail", "-c", "INLINE"], Inline),
    (&["-euo", "pipefail", "-c", "INLINE"], Inline),
    (&["-O", "extglob", "-c", "INLINE"], Inline),
    (&["+O", "extglob", "file"], File),
    (&["-abouo", "emacs", "ignoreeof", "-c", "INLINE"], Inline),
    (&["--norc", "file"], File),
    (&["--noprofile", "--norc", "-c", "INLINE"], Inline),
    (&["--rcfile", "missing", "file"], File),
    (&["--init-file", "missing", "-c", "INLINE"], Inline),
    (&["-rcfile", "missing", "file"], File),
    (&["--rcfile"], Nothing),
    (&["--login", "-c", "INLINE"], Inline),
    (&["-login", "file"], File),
    (&["--posix", "file"], File),
    (&["-posix", "-c", "INLINE"], Inline),
    (&["--verbose", "file"], File),
    (&["-p", "file"], File),
    (&["-e", "--norc", "file"], Nothing),
    (&["--norc", "--", "file"], File),
    (&["--version"], Nothing),
    (&["--version", "-c", "INLINE"], Nothing),
    (&["-version", "file"], Nothing),
    (&["--help"], Nothing),
    (&["--unknown", "file"], File),
    (&["-z", "file"], File),
    (&["-ic", "INLINE"], Inline),
    (&["-i", "file"], File),
];

const DASH: &[Row] = &[
    (&["-co", "errexit", "INLINE"], Inline),
    (&["-p", "file"], File),
    (&["--version"], Nothing),
    (&["--help", "file"], Nothing),
    (&["-e", "--norc", "file"], Nothing),
    (&["-z", "file"], File),
    (&["on_path"], Nothing),
];

const ASH: &[Row] = &[
    (&["-co", "errexit", "INLINE"], Inline),
    (&["-o", "pipefail", "-c", "INLINE"], Inline),
    (&["--version", "file"], File),
    (&["--version"], Stdin),
    (&["--login", "file"], File),
    (&["-c", "--login", "INLINE"], Inline),
    (&["-e-foo", "file"], File),
    (&["-z", "file"], File),
    (&["on_path"], Nothing),
];

const ZSH: &[Row] = &[
    (&["-fc", "INLINE"], Inline),
    (&["-f", "file"], File),
    (&["-oerrexit", "file"], File),
    (&["-feo", "errexit", "file"], File),
    (&["-co", "errexit", "INLINE"], Inline),
    (&["--err-exit", "file"], File),
    (&["--emulate", "sh", "file"], File),
    (&["--emulate", "sh", "-c", "INLINE"], Inline),
    (&["-b", "-c", "INLINE"], Nothing),
    (&["-b", "file"], File),
    (&["-b", "--", "file"], Nothing),
    (&["-bc", "INLINE"], Inline),
    (&["-c", "-b", "INLINE"], Inline),
    (&["-f-", "file"], File),
    (&["-f-", "-c", "INLINE"], Nothing),
    (&["-f ", "file"], File),
    (&["-f x", "file"], Nothing),
    (&["-f-version", "file"], Nothing),
    (&["-o", "shinstdin", "file"], Stdin),
    (&["--shin-stdin", "file"], Stdin),
    (&["-o"], Nothing),
    (&["--version", "file"], Nothing),
    (&["-f", "--version", "file"], Nothing),
    (&["--help"], Nothing),
    (&["-Y", "file"], File),
    (&["-o", "pathscript", "on_path"], File),
];

/// A working directory with one program for each way of running one.
struct Fixture {
    folder: tempfile::TempDir,
    inline: &'static str,
    stdin: &'static str,
}

impl Fixture {
    fn python() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &[u8]| std::fs::write(folder.path().join(name), text).unwrap();
        write("file", b"print('ran:file')\n");
        write("second_line", b"this is not Python\nprint('ran:file')\n");
        write("module.py", b"print('ran:module')\n");
        std::fs::create_dir(folder.path().join("folder")).unwrap();
        write("folder/__main__.py", b"print('ran:file')\n");
        let made = Command::new("python3")
            .args(["-m", "zipapp", "folder", "-o", "archive"])
            .current_dir(folder.path())
            .status();
        assert!(made.unwrap().success(), "python3 -m zipapp");
        Self { folder, inline: PYTHON_INLINE, stdin: "print('ran:stdin')\n" }
    }

    fn shell() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        };
        write("file", b"echo ran:file\n");
        std::fs::create_dir(folder.path().join("bin")).unwrap();
        write("bin/on_path", b"echo ran:file\n");
        Self { folder, inline: SHELL_INLINE, stdin: "echo ran:stdin\n" }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn vector(&self, argv0: &str, words: &[&str]) -> Vec<Untrusted> {
        let rest = words.iter().map(|word| word.replace("INLINE", self.inline));
        std::iter::once(argv0.to_owned()).chain(rest).map(|word| Untrusted(word.into_bytes())).collect()
    }

    /// Runs `program` for real, and tells what ran first; None where the interpreter refused its arguments.
    fn run(&self, program: &Path, args: &[Untrusted]) -> Option<Ran> {
        let word = |argument: &Untrusted| OsString::from_vec(argument.0.clone());
        let mut child = Command::new(program)
            .arg0(word(&args[0]))
            .args(args[1..].iter().map(word))
            .current_dir(self.path())
            .env_clear()
            .env("PATH", self.path().join("bin"))
            .env("HOME", self.path())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            // For a Python that is not installed where the loader looks.
            .envs(std::env::var_os("LD_LIBRARY_PATH").map(|path| ("LD_LIBRARY_PATH", path)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        match child.stdin.take().unwrap().write_all(self.stdin.as_bytes()) {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => panic!("{error}"),
            _ => {}
        }
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let ran = said.lines().find_map(|line| match line.trim() {
            "ran:inline" => Some(Inline),
            "ran:file" => Some(File),
            "ran:module" => Some(Module),
            "ran:stdin" => Some(Stdin),
            _ => None,
        });
        let refused = ran.is_none() && !output.status.success();
        if refused { None } else { Some(ran.unwrap_or(Nothing)) }
    }

    /// What `line` says, as what would run here.
    fn expectation(&self, family: Family, args: &[Untrusted], line: &CommandLine<'_>) -> Ran {
        let slice = |argument: usize, offset: usize| &args[argument].0[offset..];
        match line.source {
            ScriptSource::Inline { text, argument, offset } => {
                assert_eq!(text, slice(argument, offset));
                assert_eq!(text, self.inline.as_bytes());
                assert!(line.own_arguments == argument + 1);
                Inline
            }
            ScriptSource::Module { name, argument, offset } => {
                assert_eq!(name, slice(argument, offset));
                assert_eq!(name, b"module");
                Module
            }
            ScriptSource::File { path, argument, searched_on_path } => {
                assert_eq!(path, slice(argument, 0));
                assert_eq!(line.own_arguments, argument + 1, "{family:?} {args:?}");
                let name = String::from_utf8_lossy(path).into_owned();
                let here = !name.is_empty() && self.path().join(&name).exists();
                let there = searched_on_path && self.path().join("bin").join(&name).exists();
                if here || there { File } else { Nothing }
            }
            ScriptSource::Stdin => Stdin,
            ScriptSource::Nothing => Nothing,
        }
    }

    /// Holds one row against the reader and against the program.
    fn check(&self, family: Family, program: &Path, argv0: &str, row: &Row) {
        let args = self.vector(argv0, row.0);
        let line = read(family, &args);
        assert_eq!(self.expectation(family, &args, &line), row.1, "read({family:?}, {args:?}) = {line:?}");
        match self.run(program, &args) {
            Some(ran) => assert_eq!(ran, row.1, "{} ran {args:?}", program.display()),
            // It ran nothing; the reader may have said more only where it takes an option for a newer one.
            None => {
                let lenient = is_version_dependent(row.0) || row.1 == Nothing;
                assert!(lenient, "{} refused {args:?}", program.display());
            }
        }
    }
}

/// Whether a row has an option that not all versions know.
fn is_version_dependent(words: &[&str]) -> bool {
    const SOME: [&str; 16] = [
        "-q",
        "-P",
        "-t",
        "-3",
        "-Q",
        "-Qold",
        "-I",
        "-Ic",
        "-IBuc",
        "--check-hash-based-pycs",
        "-B-check-hash-based-pycs",
        "-B-",
        "-B -u",
        "--unknown",
        "-Z",
        "-z",
    ];
    // Python 2 keeps -X for others.
    words.iter().any(|word| SOME.contains(word) || word.starts_with("-X"))
}

/// Each file of this name on `PATH`, in order.
fn all_on_path(name: &str) -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|folder| folder.join(name)).filter(|file| file.is_file()).collect()
}

fn on_path(name: &str) -> Option<PathBuf> {
    all_on_path(name).into_iter().next()
}

fn required(name: &str) -> PathBuf {
    on_path(name).unwrap_or_else(|| panic!("{name} is not installed; this test runs it"))
}

/// The real file behind a Python, which on `PATH` may be a wrapper.
fn python_behind(program: &Path) -> Option<PathBuf> {
    let output = Command::new(program).args(["-c", "import sys; print(sys.executable)"]).output().ok()?;
    let path = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| PathBuf::from(path.trim()))
}

/// All Pythons of this machine, each once.
fn pythons() -> Vec<PathBuf> {
    let mut found = vec![required("python3")];
    found.extend(["python3", "python2", "pypy3", "pypy"].into_iter().flat_map(all_on_path));
    let named = std::env::var_os("URVA_TEST_PYTHONS").unwrap_or_default();
    found.extend(std::env::split_paths(&named).filter(|path| !path.as_os_str().is_empty()));
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".pyenv"));
    if let Some(root) = std::env::var_os("PYENV_ROOT").map(PathBuf::from).or(home) {
        let versions = std::fs::read_dir(root.join("versions")).into_iter().flatten().flatten();
        found.extend(versions.map(|version| version.path().join("bin/python")));
    }
    let behind = found.iter().filter_map(|path| python_behind(path)?.canonicalize().ok());
    let mut real: Vec<PathBuf> = behind.collect();
    real.sort();
    real.dedup();
    real
}

fn implementation(python: &Path) -> (Family, String) {
    let script =
        "import sys, platform; print(platform.python_implementation()); print(sys.version.split()[0])";
    let output = Command::new(python).args(["-c", script]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (name, version) = text.trim().split_once('\n').unwrap();
    let family = if name == "PyPy" { Family::PyPy } else { Family::CPython };
    (family, format!("{name} {version}"))
}

#[test]
fn python_runs_what_the_reader_says() {
    let fixture = Fixture::python();
    let mut pypy = false;
    for python in pythons() {
        let (family, version) = implementation(&python);
        eprintln!("{version}: {}", python.display());
        pypy |= family == Family::PyPy;
        let own = if family == Family::PyPy { PYPY } else { CPYTHON };
        for row in PYTHON.iter().chain(own) {
            fixture.check(family, &python, "python3", row);
        }
    }
    if !pypy {
        eprintln!("SKIPPED: PyPy's rows were not run for real; name one in URVA_TEST_PYTHONS");
    }
}

/// The reader alone on PyPy's rows, which need no PyPy.
#[test]
fn pypys_options_are_read() {
    let fixture = Fixture::python();
    for row in PYTHON.iter().chain(PYPY) {
        let args = fixture.vector("pypy3", row.0);
        let line = read(Family::PyPy, &args);
        assert_eq!(fixture.expectation(Family::PyPy, &args, &line), row.1, "{args:?}");
    }
}

#[test]
fn bash_runs_what_the_reader_says() {
    let fixture = Fixture::shell();
    let bash = required("bash");
    for argv0 in ["bash", "-bash", "sh"] {
        for row in SHELL.iter().chain(BASH) {
            fixture.check(Family::Bash, &bash, argv0, row);
        }
    }
    // A login shell's profile may set another PATH.
    fixture.check(Family::Bash, &bash, "bash", &(&["on_path"], File));
}

#[test]
fn dash_runs_what_the_reader_says() {
    let fixture = Fixture::shell();
    for row in SHELL.iter().chain(DASH) {
        fixture.check(Family::Dash, &required("dash"), "sh", row);
        fixture.check(Family::Dash, &required("dash"), "-dash", row);
    }
}

#[test]
fn zsh_runs_what_the_reader_says() {
    let fixture = Fixture::shell();
    for row in SHELL.iter().chain(ZSH) {
        fixture.check(Family::Zsh, &required("zsh"), "zsh", row);
        fixture.check(Family::Zsh, &required("zsh"), "-zsh", row);
    }
}

#[test]
fn busybox_runs_what_the_reader_says() {
    let fixture = Fixture::shell();
    let busybox = required("busybox");
    for argv0 in ["sh", "ash", "-sh", "/bin/ash", "-/bin/sh"] {
        for row in SHELL.iter().chain(ASH) {
            fixture.check(Family::Busybox, &busybox, argv0, row);
        }
    }
    let rows: &[Row] = &[
        (&["sh", "-c", "INLINE"], Inline),
        (&["ash", "file"], File),
        (&["/bin/sh", "-ec", "INLINE"], Inline),
        (&["busybox", "sh", "file"], File),
        (&["sh"], Stdin),
        (&["-sh", "file"], Nothing),
        (&["--", "sh", "file"], Nothing),
        (&["--help", "sh"], Nothing),
        (&["--list"], Nothing),
        (&["cat", "missing"], Nothing),
        (&["true", "sh"], Nothing),
        (&[], Nothing),
    ];
    for row in rows {
        fixture.check(Family::Busybox, &busybox, "busybox", row);
        fixture.check(Family::Busybox, &busybox, "/usr/bin/busybox.static", row);
    }
    fixture.check(Family::Busybox, &busybox, "true", &(&["sh", "-c", "INLINE"], Nothing));
}

/// The vector that the kernel makes of a `#!` line, as the script itself sees it.
fn shebang(line: &str, language: &str, script: &Path) -> Vec<Untrusted> {
    let show = match language {
        "python" => "print(open('/proc/self/cmdline', 'rb').read().hex())",
        // zsh and BusyBox's od differ in spacing only.
        _ => "od -An -v -tx1 /proc/$$/cmdline",
    };
    std::fs::write(script, format!("#!{line}\n{show}\n")).unwrap();
    std::fs::set_permissions(script, PermissionsExt::from_mode(0o755)).unwrap();
    let output = loop {
        match Command::new(script).args(["-c", "own"]).output() {
            // A child forked by another test thread may still hold the file open for writing.
            Err(error) if error.kind() == ErrorKind::ExecutableFileBusy => {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            output => break output.unwrap(),
        }
    };
    let digits: String = String::from_utf8(output.stdout).unwrap().split_whitespace().collect();
    assert!(!digits.is_empty(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    let bytes: Vec<u8> =
        (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect();
    let end = bytes.len() - 1;
    bytes[..end].split(|byte| *byte == 0).map(Untrusted::from).collect()
}

#[test]
fn scripts_started_by_their_own_first_line_are_files() {
    let folder = tempfile::tempdir().unwrap();
    let python = python_behind(&required("python3")).unwrap();
    let (python, env) = (python.display().to_string(), required("env").display().to_string());
    let shell = |name: &str| required(name).display().to_string();
    let cases = [
        (Family::CPython, "python", python.clone()),
        (Family::CPython, "python", format!("{python} -Bu")),
        (Family::CPython, "python", format!("{python} -Wignore")),
        (Family::CPython, "python", format!("{env} -S python3 -u -X dev")),
        (Family::CPython, "python", format!("{env} python3")),
        (Family::Bash, "shell", shell("bash")),
        (Family::Bash, "shell", format!("{} -e", shell("bash"))),
        (Family::Bash, "shell", format!("{} -", shell("bash"))),
        (Family::Bash, "shell", format!("{env} -S bash -o pipefail --")),
        (Family::Dash, "shell", shell("dash")),
        (Family::Dash, "shell", format!("{} -eu", shell("dash"))),
        (Family::Busybox, "shell", format!("{} sh", shell("busybox"))),
        (Family::Zsh, "shell", format!("{} -f", shell("zsh"))),
        (Family::Zsh, "shell", format!("{env} -S zsh -f -")),
    ];
    for (number, (family, language, line)) in cases.iter().enumerate() {
        let script = folder.path().join(format!("script{number}"));
        let args = shebang(line, language, &script);
        let read = read(*family, &args);
        let ScriptSource::File { path, .. } = read.source else {
            panic!("#!{line}: {args:?} was read as {read:?}")
        };
        assert_eq!(path, script.as_os_str().as_encoded_bytes(), "#!{line}");
        assert_eq!(args[read.own_arguments..], ["-c".into(), "own".into()], "#!{line}");
    }
}

#[test]
fn options_that_steer_the_search_for_modules_are_noted() {
    let check = |words: &[&str], expected: ModuleSearch| {
        let args: Vec<Untrusted> = words.iter().map(|word| Untrusted::from(*word)).collect();
        assert_eq!(read(Family::CPython, &args).module_search, expected, "{words:?}");
    };
    let none = ModuleSearch::default();
    check(&["python3", "-m", "mod", "-I"], none);
    check(&["python3", "-Pm", "mod"], ModuleSearch { without_working_directory: true, ..none });
    check(&["python3", "-E", "-m", "mod"], ModuleSearch { without_environment: true, ..none });
    check(&["python3", "-sSmmod"], ModuleSearch { without_user_site: true, without_site: true, ..none });
    check(
        &["python3", "-Im", "mod"],
        ModuleSearch {
            without_working_directory: true,
            without_environment: true,
            without_user_site: true,
            without_site: false,
        },
    );
}

#[test]
fn a_prompt_after_the_script_is_noted() {
    let check = |family, words: &[&str], expected: bool| {
        let args: Vec<Untrusted> = words.iter().map(|word| Untrusted::from(*word)).collect();
        assert_eq!(read(family, &args).interactive, expected, "{words:?}");
    };
    check(Family::CPython, &["python3", "-i", "file.py"], true);
    check(Family::CPython, &["python3", "file.py", "-i"], false);
    check(Family::Bash, &["bash", "-i"], true);
    check(Family::Zsh, &["zsh", "-o", "INTER_active"], true);
}

#[test]
fn an_empty_vector_is_standard_input() {
    for family in [Family::CPython, Family::PyPy, Family::Bash, Family::Dash, Family::Zsh] {
        assert_eq!(read(family, &[]).source, ScriptSource::Stdin, "{family:?}");
    }
    assert_eq!(read(Family::Busybox, &[]).source, ScriptSource::Nothing);
}

fn word() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        "[-+][-a-zA-Z?: ]{0,6}".prop_map(String::into_bytes),
        "(busybox|sh|--|-|-c|-m|-o|--jit|--emulate|--rcfile)".prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 0..12),
    ]
}

proptest! {
    #[test]
    fn whatever_is_read_lies_in_the_vector(words in proptest::collection::vec(word(), 0..8)) {
        let args: Vec<Untrusted> = words.into_iter().map(Untrusted).collect();
        let families =
            [Family::CPython, Family::PyPy, Family::Bash, Family::Dash, Family::Busybox, Family::Zsh];
        for family in families {
            let line = read(family, &args);
            prop_assert!(line.own_arguments <= args.len());
            match line.source {
                ScriptSource::Inline { text, argument, offset }
                | ScriptSource::Module { name: text, argument, offset } => {
                    prop_assert_eq!(text, &args[argument].0[offset..]);
                }
                ScriptSource::File { path, argument, .. } => prop_assert_eq!(path, &args[argument].0[..]),
                ScriptSource::Stdin | ScriptSource::Nothing => {}
            }
        }
    }
}
