//! Holds `modules::candidates` against real Pythons: the first candidate that exists is the file that
//! `python3 -m NAME` runs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use evidence::{Family, Untrusted};
use proptest::prelude::*;
use sensor::command_line::{ModuleSearch, ScriptSource, read};
use sensor::modules::{CANDIDATES_MAX, Search, candidates, enclosing_package};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A program that prints which file it is.
const SHOW: &str = "print('ran:' + __import__('os').path.realpath(__file__))\n";

struct Fixture {
    folder: tempfile::TempDir,
    python: PathBuf,
    /// Given to Python and to the search alike.
    environment: Vec<(&'static str, String)>,
}

impl Fixture {
    fn new(files: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            let text = if file.ends_with("__init__.py") { "" } else { SHOW };
            std::fs::write(path, text).unwrap();
        }
        let print = "import sys; print(sys.executable)";
        let output = Command::new("python3").args(["-c", print]).output().expect("python3 is not installed");
        let python = PathBuf::from(String::from_utf8(output.stdout).unwrap().trim());
        Self { folder, python, environment: Vec::new() }
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.environment.push((name, value.into()));
        self
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The file that Python runs, and the first candidate that exists.
    fn find(&self, python: &Path, words: &[&str]) -> (Option<PathBuf>, Option<PathBuf>) {
        let output = Command::new(python)
            .args(words)
            .current_dir(self.path())
            .env_clear()
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .envs(self.environment.iter().map(|(name, value)| (*name, value)))
            .output()
            .unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let ran = said.lines().find_map(|line| line.strip_prefix("ran:")).map(PathBuf::from);
        let args: Vec<Untrusted> = std::iter::once(python.as_os_str().as_bytes().into())
            .chain(words.iter().map(|word| Untrusted::from(*word)))
            .collect();
        let line = read(Family::CPython, &args);
        let ScriptSource::Module { name, .. } = line.source else { panic!("{words:?} is no module") };
        let environment: Vec<Untrusted> =
            self.environment.iter().map(|(name, value)| format!("{name}={value}").as_str().into()).collect();
        let executable = python.canonicalize().unwrap();
        let found = candidates(&Search {
            name,
            options: line.module_search,
            working_directory: self.path().as_os_str().as_bytes(),
            environment: &environment,
            executable: executable.as_os_str().as_bytes(),
            argv0: python.as_os_str().as_bytes(),
        });
        let mut found = found.iter().map(|path| PathBuf::from(OsStr::from_bytes(path)));
        (ran, found.find(|path| path.is_file()).map(|path| path.canonicalize().unwrap()))
    }

    /// `python3 WORDS` runs `expected`, a path below the fixture, and the search finds it.
    #[track_caller]
    fn check(&self, words: &[&str], expected: Option<&str>) {
        let (ran, found) = self.find(&self.python, words);
        let expected = expected.map(|file| self.path().join(file).canonicalize().unwrap());
        assert_eq!(ran, expected, "python3 {words:?}");
        assert_eq!(found, expected, "candidates of {words:?}");
    }
}

#[test]
fn the_working_directory_comes_first() {
    let here = Fixture::new(&["tool.py", "my-tool.py", "other/tool.py"]).with("PYTHONPATH", "other");
    here.check(&["-m", "tool"], Some("tool.py"));
    here.check(&["-Bmtool"], Some("tool.py"));
    here.check(&["-m", "my-tool"], Some("my-tool.py"));
}

#[test]
fn packages_run_their_main() {
    let here = Fixture::new(&[
        "pack/__init__.py",
        "pack/__main__.py",
        "pack/part.py",
        "pack/inner/__init__.py",
        "pack/inner/__main__.py",
        "both/__init__.py",
        "both/__main__.py",
        "both.py",
    ]);
    here.check(&["-m", "pack"], Some("pack/__main__.py"));
    here.check(&["-m", "pack.part"], Some("pack/part.py"));
    here.check(&["-m", "pack.inner"], Some("pack/inner/__main__.py"));
    here.check(&["-m", "both"], Some("both/__main__.py"));
}

#[test]
fn the_environment_adds_folders_unless_it_is_ignored() {
    let here = Fixture::new(&["one/first.py", "two/first.py", "two/second.py"]).with("PYTHONPATH", "one:two");
    here.check(&["-m", "first"], Some("one/first.py"));
    here.check(&["-m", "second"], Some("two/second.py"));
    here.check(&["-E", "-m", "second"], None);
    here.check(&["-I", "-m", "second"], None);
}

#[test]
fn the_working_directory_is_left_out_where_the_options_say_so() {
    let here = Fixture::new(&["tool.py"]);
    here.check(&["-I", "-m", "tool"], None);
    let safe = Fixture::new(&["tool.py"]).with("PYTHONPATH", ".");
    safe.check(&["-m", "tool"], Some("tool.py"));
}

#[test]
fn the_standard_library_is_found() {
    let here = Fixture::new(&[]);
    let (_, found) = here.find(&here.python, &["-m", "json.tool", "--help"]);
    let print = "import json.tool; print(json.tool.__file__)";
    let output = Command::new(&here.python).args(["-c", print]).output().unwrap();
    let real = PathBuf::from(String::from_utf8(output.stdout).unwrap().trim()).canonicalize().unwrap();
    assert_eq!(found, Some(real));
}

#[test]
fn a_virtual_environment_shows_in_the_name_of_the_interpreter() {
    let here = Fixture::new(&[]);
    let made = Command::new(&here.python)
        .args(["-m", "venv", "--without-pip", "environment"])
        .current_dir(here.path())
        .status()
        .unwrap();
    assert!(made.success(), "python3 -m venv");
    let library = std::fs::read_dir(here.path().join("environment/lib")).unwrap().next().unwrap().unwrap();
    let installed = library.path().join("site-packages/installed.py");
    std::fs::write(&installed, SHOW).unwrap();
    let python = here.path().join("environment/bin/python3");
    let (ran, found) = here.find(&python, &["-m", "installed"]);
    assert_eq!(ran, Some(installed.canonicalize().unwrap()));
    assert_eq!(found, ran);
}

fn search<'a>(name: &'a [u8], executable: &'a [u8], environment: &'a [Untrusted]) -> Search<'a> {
    Search {
        name,
        options: ModuleSearch::default(),
        working_directory: b"/work",
        environment,
        executable,
        argv0: b"python3",
    }
}

/// `python3 -m NAME.py` executes NAME.py before it says that it is no package.
#[test]
fn what_encloses_a_module_is_executed_before_it() {
    let here = Fixture::new(&["tool.py"]);
    let (ran, found) = here.find(&here.python, &["-m", "tool.py"]);
    let tool = here.path().join("tool.py").canonicalize().unwrap();
    assert_eq!((ran, found), (Some(tool.clone()), None));
    let folder = here.path().canonicalize().unwrap();
    let search = Search {
        working_directory: folder.as_os_str().as_bytes(),
        ..search(b"tool.py", b"/usr/bin/python3.11", &[])
    };
    let mut packages =
        enclosing_package(&search).into_iter().map(|path| PathBuf::from(OsStr::from_bytes(&path)));
    assert_eq!(packages.find(|path| path.is_file()), Some(tool));
}

#[test]
fn the_order_is_pythons_on_debian() {
    let environment =
        ["PYTHONPATH=lib::/opt/lib".into(), "HOME=/home/u".into(), "PATH=/venv/bin:/bin".into()];
    let mut search = search(b"a.b", b"/usr/bin/python3.11", &environment);
    let all = candidates(&search);
    let folders: Vec<&str> =
        all.iter().filter_map(|path| std::str::from_utf8(path).unwrap().strip_suffix("/a/b.py")).collect();
    assert_eq!(
        folders,
        [
            "/work",
            "/work/lib",
            "/opt/lib",
            "/usr/lib/python3.11",
            "/usr/local/lib/python3.11",
            "/home/u/.local/lib/python3.11/site-packages",
            "/venv/lib/python3.11/site-packages",
            "/usr/lib/python3.11/site-packages",
            "/usr/local/lib/python3.11/site-packages",
            "/usr/local/lib/python3.11/dist-packages",
            "/usr/lib/python3/dist-packages",
        ]
    );
    assert_eq!(enclosing_package(&search)[0], b"/work/a/__init__.py");
    assert_eq!(enclosing_package(&search)[1], b"/work/a.py");
    search.options.without_user_site = true;
    search.options.without_environment = true;
    search.options.without_working_directory = true;
    assert_eq!(candidates(&search)[0], b"/usr/lib/python3.11/a/b/__main__.py");
    search.options.without_site = true;
    assert_eq!(candidates(&search).len(), 4);
}

#[test]
fn hostile_names_lead_nowhere() {
    for name in
        [&b""[..], b".", b"..", b"a..b", b".a", b"a.", b"../a", b"a/b", b"/etc/passwd", b"a.\0", b"a/../b"]
    {
        assert!(candidates(&search(name, b"/usr/bin/python3.11", &[])).is_empty(), "{name:?}");
    }
    assert!(candidates(&search(&[b'a'; 5000], b"/usr/bin/python3.11", &[])).is_empty());
    assert!(enclosing_package(&search(b"a", b"/usr/bin/python3.11", &[])).is_empty());
}

proptest! {
    #[test]
    fn candidates_are_few_short_and_absolute(
        name: Vec<u8>,
        executable: Vec<u8>,
        working_directory: Vec<u8>,
        argv0: Vec<u8>,
        path in proptest::collection::vec("(PATH|PYTHONPATH|HOME|PYTHONHOME)=[a-z/:.]{0,80}", 0..4),
    ) {
        let environment: Vec<Untrusted> = path.iter().map(|entry| entry.as_str().into()).collect();
        let search = Search {
            name: &name,
            options: ModuleSearch::default(),
            working_directory: &working_directory,
            environment: &environment,
            executable: &executable,
            argv0: &argv0,
        };
        let found = candidates(&search);
        prop_assert!(found.len() <= CANDIDATES_MAX);
        prop_assert!(found.iter().all(|path| path.starts_with(b"/") && path.len() < 4096 && !path.contains(&0)));
    }
}
