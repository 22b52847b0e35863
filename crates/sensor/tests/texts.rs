//! Texts that real interpreters compile while they run: each is handed out as the compiler got it.
//!
//! Needs root and a kernel with BTF.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at what it does not expect")]

mod watch;

use evidence::{Capture, CompiledBy, Content, CoverageNote};
use sensor::Seen;
use std::process::Command;
use std::time::Duration;
use watch::{Watch, is_own, run};

/// Runs the command once the probe is attached to its interpreter; returns what is compiled in that run.
#[track_caller]
fn texts_of(watch: &Watch, command: &mut Command) -> Vec<Capture> {
    let program = command.get_program().to_owned();
    let is_bash = program == "bash";
    let marker = if is_bash { "eval marker=1" } else { "exec('marker=1')" };
    let options: &[&str] = if is_bash { &["--norc", "-c"] } else { &["-S", "-c"] };
    // Other tests run beside this one.
    let mark = || run(Command::new(&program).args(options).arg(marker));
    let is_marker = |pid: u32, capture: &Capture| {
        capture.process.pid == pid && is_text(capture) && text(capture) == "marker=1"
    };
    // Not attached yet, nothing comes.
    let is_attached = |_| {
        let pid = mark();
        seen(watch, Duration::from_millis(400)).take(1000).any(|capture| is_marker(pid, &capture))
    };
    assert!((0..50).any(is_attached), "{program:?} is not watched");
    let (pid, last) = (run(command), mark());
    let captures = seen(watch, Duration::from_secs(30)).take_while(|capture| !is_marker(last, capture));
    captures.filter(|capture| capture.process.pid == pid && is_text(capture)).collect()
}

/// The captures that come, until none does for so long.
fn seen(watch: &Watch, limit: Duration) -> impl Iterator<Item = Capture> {
    let seen = std::iter::from_fn(move || watch.seen.recv_timeout(limit).ok());
    seen.filter_map(|one| match one {
        Seen::Captured(capture) => Some(*capture),
        Seen::Gap(gap) if is_own(&gap) => panic!("{gap:?}"),
        _ => None,
    })
}

/// Whether it is a text that was compiled, and no code object.
fn is_text(capture: &Capture) -> bool {
    capture.compiled.as_ref().is_some_and(|compiled| compiled.by != CompiledBy::PythonCode)
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
fn a_long_text_comes_byte_by_byte_and_one_beyond_the_limit_with_head_and_tail() {
    let Some(watch) = Watch::start(true) else { return };
    for (bytes, is_cut) in [
        (16_383, false),
        (16_384, false),
        (16_385, false),
        (200_001, false),
        (1 << 20, false),
        (3_000_000, true),
    ] {
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
            Content::HeadAndTail { head, tail, omitted } => {
                let end = expected.len() - tail.len();
                assert!(
                    is_cut && head[..] == expected[..head.len()] && tail[..] == expected[end..],
                    "{bytes}"
                );
                assert_eq!((head.len(), *omitted), (512 * 1024, (end - head.len()) as u64));
            }
            Content::NotCaptured(_) => panic!("{bytes}"),
        }
        assert_eq!(found.coverage.contains(&CoverageNote::HeadAndTail), is_cut);
    }
    watch.stop();
}

#[test]
fn of_a_text_of_50_mebibytes_head_and_tail_come() {
    let Some(watch) = Watch::start(true) else { return };
    const BYTES: usize = 50 << 20;
    let python = |bytes: usize| format!("exec('# ' + 'x' * {bytes} + '\\nlast = 1')");
    let bash = format!(
        "s=xxxxxxxxxxxxxxxx; for ((i = 0; i < 21; i++)); do s=$s$s; done; eval \"# $s${{s:0:{}}}\"$'\\nlast = 1'",
        BYTES - (32 << 20)
    );
    for (interpreter, options, script, bytes) in [
        ("/usr/bin/python3", &["-S", "-c"][..], python(BYTES), BYTES),
        ("bash", &["--norc", "-c"], bash, BYTES),
        // More than is looked at: what comes last is not the real tail, and its verdict counts for no other text.
        ("/usr/bin/python3", &["-S", "-c"], python(70 << 20), 64 << 20),
    ] {
        let texts = texts_of(&watch, Command::new(interpreter).args(options).arg(&script));
        let is_it = |capture: &&Capture| text(capture).starts_with("# xx");
        let found = texts.iter().find(is_it).unwrap_or_else(|| panic!("{interpreter}: {texts:?}"));
        let Content::HeadAndTail { head, tail, omitted } = &found.script.content else { panic!("{found:?}") };
        let is_whole = bytes == BYTES;
        assert_eq!(tail.ends_with(b"x\nlast = 1"), is_whole);
        let (size, key) = (
            head.len() + tail.len() + usize::try_from(*omitted).unwrap(),
            found.compiled.as_ref().unwrap().key,
        );
        assert_eq!((size, key != 0), (bytes + if is_whole { 11 } else { 0 }, is_whole), "{interpreter}");
        assert!(found.coverage.contains(&CoverageNote::HeadAndTail));
    }
    watch.stop();
}

#[test]
fn texts_of_forks_and_orphans_belong_to_their_script() {
    let Some(watch) = Watch::start(true) else { return };
    let script = "eval own=1; (eval fork=1; :); (sleep 0.5; eval orphan=1) & disown; ( (eval deep=1; :); : )";
    texts_of(&watch, Command::new("bash").args(["--norc", "-c", ":"]));
    let pid = run(Command::new("bash").args(["--norc", "-c", script]));
    let mut execution = None;
    let mut missing = vec!["own=1", "fork=1", "deep=1", "orphan=1"];
    while !missing.is_empty() {
        let Seen::Captured(capture) = watch.seen.recv_timeout(Duration::from_secs(20)).unwrap() else {
            continue;
        };
        if capture.process.pid == pid && capture.compiled.is_none() {
            execution = Some(capture.execution());
        }
        let text = text(&capture);
        let Some(place) = missing.iter().position(|missing| *missing == text) else { continue };
        missing.remove(place);
        let compiled = capture.compiled.as_ref().unwrap();
        assert_eq!((compiled.execution, text == "own=1"), (execution, capture.process.pid == pid), "{text}");
        assert_eq!(capture.process.args.last().unwrap().0, script.as_bytes());
    }
    watch.stop();
}
