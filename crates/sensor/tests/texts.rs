//! Texts that real interpreters compile while they run: each is handed out as the compiler got it.
//!
//! Needs root and a kernel with BTF.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at what it does not expect")]

mod watch;

use evidence::{Capture, CompiledBy, Content, CoverageNote};
use sensor::Seen;
use std::process::Command;
use std::time::Duration;
use watch::{Watch, run};

/// Runs the command until the probe is attached to its interpreter; returns what is compiled in the run after that.
fn texts_of(watch: &Watch, command: &mut Command) -> Vec<Capture> {
    let texts = (0..20).map(|_| texts_of_one_run(watch, command));
    let is_attached = |texts: &Vec<Capture>| !texts.is_empty();
    let mut texts = texts.skip_while(|texts| !is_attached(texts));
    texts.next();
    texts.next().unwrap_or_else(|| panic!("{command:?} compiles nothing"))
}

fn texts_of_one_run(watch: &Watch, command: &mut Command) -> Vec<Capture> {
    let pid = run(command);
    let seen = std::iter::from_fn(|| watch.seen.recv_timeout(Duration::from_millis(400)).ok());
    let captured = seen.filter_map(|one| match one {
        Seen::Captured(capture) if capture.process.pid == pid && capture.compiled.is_some() => Some(*capture),
        Seen::Gap(gap) if gap.kind != evidence::GapKind::ExecutableGone => panic!("{gap:?}"),
        _ => None,
    });
    captured.collect()
}

fn text(capture: &Capture) -> String {
    let (head, _) = capture.script.content.parts();
    String::from_utf8_lossy(head).into_owned()
}

fn by(capture: &Capture) -> (u32, Option<u32>, CompiledBy, Option<String>) {
    let compiled = capture.compiled.as_ref().unwrap();
    let name = compiled.name.as_ref().map(|name| String::from_utf8_lossy(name).into_owned());
    (compiled.number, compiled.within, compiled.by, name)
}

#[test]
fn each_text_that_python_compiles_is_seen_decoded() {
    let Some(watch) = Watch::start(true) else { return };
    let inner = "marker = 'the innermost'";
    let script = format!(
        "import base64, zlib\nsecond = zlib.compress(b\"\"\"{inner}\"\"\")\n\
         exec(base64.b64decode(base64.b64encode(b'first = 1\\nexec(zlib.decompress(second))')))\n\
         code = compile('third = 3', '/opt/third.py', 'exec')\nexec(code)\neval('1 + 41')\nfor _ in range(5): exec('again = 1')\n"
    );
    let texts = texts_of(&watch, Command::new("/usr/bin/python3").args(["-S", "-c", &script]));
    // The command line's text is compiled too, and some of what the library makes.
    let is_own = |capture: &&Capture| {
        text(capture).trim_end() != script.trim_end() && !text(capture).starts_with("lambda _cls")
    };
    let own: Vec<_> = texts.iter().filter(is_own).collect();
    let expected = [
        ("first = 1\nexec(zlib.decompress(second))", CompiledBy::PythonExec, None),
        (inner, CompiledBy::PythonExec, None),
        ("third = 3", CompiledBy::PythonCompile, Some("/opt/third.py")),
        ("1 + 41", CompiledBy::PythonExec, None),
        ("again = 1", CompiledBy::PythonExec, None),
    ];
    let found: Vec<_> = own.iter().map(|capture| (text(capture), by(capture))).collect();
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for ((found, (_, _, by, name)), (expected, expected_by, expected_name)) in found.iter().zip(expected) {
        assert_eq!((found.as_str(), *by, name.as_deref()), (expected, expected_by, expected_name));
    }
    let first = found[0].1.0;
    assert_eq!(found[1].1.1, Some(first), "the innermost was compiled while the first ran: {found:#?}");
    assert_eq!(found[2].1.1, found[0].1.1, "the third was compiled by the script: {found:#?}");
    watch.stop();
}

#[test]
fn each_text_that_bash_evaluates_is_seen() {
    let Some(watch) = Watch::start(true) else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sourced.sh");
    std::fs::write(&file, "sourced=1\n").unwrap();
    let script = format!("eval \"$(printf 'evaluated%s' =1)\"; . {}; trap 'trapped=1' EXIT", file.display());
    let mut command = Command::new("bash");
    command.args(["--norc", "-c", &script]).env("BASH_FUNC_given%%", "() { : from the environment\n}");
    let texts = texts_of(&watch, &mut command);
    let found: Vec<String> = texts.iter().map(text).collect();
    for expected in ["evaluated=1", "sourced=1\n", "trapped=1"] {
        assert!(found.iter().any(|found| found == expected), "{expected:?} is not among {found:#?}");
    }
    assert!(found.iter().any(|found| found.contains("from the environment")), "{found:#?}");
    watch.stop();
}

#[test]
fn a_long_text_comes_byte_by_byte_and_one_beyond_the_limit_as_far_as_it_goes() {
    let Some(watch) = Watch::start(true) else { return };
    for (bytes, is_cut) in
        [(16_383, false), (16_384, false), (16_385, false), (200_001, false), (3_000_000, true)]
    {
        let script = format!("exec('# ' + ''.join(chr(97 + i * 7 % 26) for i in range({bytes} - 2)))");
        let texts = texts_of(&watch, Command::new("/usr/bin/python3").args(["-S", "-c", &script]));
        let found = texts.iter().find(|capture| text(capture).starts_with("# ah"));
        let found =
            found.unwrap_or_else(|| panic!("{bytes}: {:#?}", texts.iter().map(text).collect::<Vec<_>>()));
        let expected: Vec<u8> = b"# "
            .iter()
            .copied()
            .chain((0..bytes - 2).map(|i| 97 + u8::try_from(i * 7 % 26).unwrap()))
            .collect();
        match &found.script.content {
            Content::Whole(whole) => assert!(!is_cut && whole[..] == expected[..], "{bytes}"),
            Content::HeadAndTail { head, .. } => {
                assert!(is_cut && head[..] == expected[..head.len()], "{bytes}")
            }
            Content::NotCaptured(_) => panic!("{bytes}"),
        }
        assert_eq!(found.coverage.contains(&CoverageNote::HeadAndTail), is_cut);
    }
    watch.stop();
}
