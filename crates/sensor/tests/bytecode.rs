//! Code that a real Python runs without compiling a text: it is sent, whatever leads to it, and whatever it is made of.
//!
//! Needs root and a kernel with BTF.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at what it does not expect")]

mod watch;

use evidence::{Capture, CompiledBy};
use sensor::Seen;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use watch::Watch;

const PYTHON: &str = "/usr/bin/python3";

/// What is hidden in the code of a module.
const HIDDEN: &str =
    "import os\nvalue = 'a constant'\ndef inner():\n    return os.getenv('an inner constant')\ninner()\n";

/// Runs the script until code of it is seen; returns what it printed and the code objects of the last run, as sent.
fn code_of(
    watch: &Watch,
    folder: &Path,
    script: &str,
    is_it: impl Fn(&[u8]) -> bool,
) -> (String, Vec<Vec<u8>>) {
    for _ in 0..20 {
        let mut command = Command::new(PYTHON);
        let child = command.args(["-S", "-c", script]).current_dir(folder).stdin(Stdio::null());
        let child = child.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let pid = child.id();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let codes = codes_of(watch, pid);
        if codes.iter().any(|code| is_it(code)) {
            return (String::from_utf8(output.stdout).unwrap(), codes);
        }
    }
    panic!("{script}: its code was not sent");
}

/// The code objects of a process that has ended; the last text of the host is waited for by a pause.
fn codes_of(watch: &Watch, pid: u32) -> Vec<Vec<u8>> {
    let mut codes = Vec::new();
    let is_code = |capture: &Capture| {
        let compiled = capture.compiled.as_ref();
        capture.process.pid == pid && compiled.is_some_and(|compiled| compiled.by == CompiledBy::PythonCode)
    };
    std::thread::sleep(Duration::from_millis(500));
    while let Ok(seen) = watch.seen.try_recv() {
        if let Seen::Captured(capture) = seen
            && is_code(&capture)
        {
            codes.push(capture.script.content.parts().0.to_vec());
        }
    }
    codes
}

fn has(code: &[u8], text: &str) -> bool {
    code.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn code_is_sent_whatever_runs_it() {
    let Some(watch) = Watch::start(true) else { return };
    let folder = tempfile::tempdir().unwrap();
    let prepare = format!(
        "import marshal, py_compile\ntext = {HIDDEN:?}\nopen('hidden.py', 'w').write(text)\n\
         py_compile.compile('hidden.py', 'hidden.pyc', doraise=True)\n\
         marshal.dump(compile(text, 'x', 'exec'), open('code', 'wb'))\n"
    );
    assert!(
        Command::new(PYTHON).args(["-c", &prepare]).current_dir(folder.path()).status().unwrap().success()
    );
    std::fs::remove_file(folder.path().join("hidden.py")).unwrap();
    let load = "import marshal, types, sys\ncode = marshal.load(open('code', 'rb'))\n";
    for run in [
        "exec(code)",
        "types.FunctionType(code, {'__builtins__': __builtins__})()",
        "def f(): pass\nf.__code__ = code\nf()",
        "sys.path.insert(0, '.')\nimport hidden",
    ] {
        let (_, codes) =
            code_of(&watch, folder.path(), &format!("{load}{run}\n"), |code| has(code, "a constant"));
        let code = codes.iter().find(|code| has(code, "a constant")).unwrap();
        assert!(has(code, "an inner constant") && has(code, "getenv"), "{run}");
        assert_eq!(codes.iter().filter(|code| has(code, "a constant")).count(), 1, "{run}");
    }
    watch.stop();
}

#[test]
fn code_of_a_text_that_was_seen_is_not_sent_too() {
    let Some(watch) = Watch::start(true) else { return };
    let folder = tempfile::tempdir().unwrap();
    let script = "exec(\"a = 'the text of exec'\")\nb = eval(\"'the text of eval'\")\n";
    // The code of the script itself, which is sent where Python compiles it past the functions that are watched, holds both.
    let is_inner = |code: &Vec<u8>| has(code, "the text of exec") != has(code, "the text of eval");
    let (_, codes) =
        code_of(&watch, folder.path(), &format!("{script}import base64\n"), |code| has(code, "b32"));
    assert!(!codes.iter().any(is_inner), "{} objects", codes.len());
    watch.stop();
}

#[test]
fn objects_that_lie_about_themselves_disturb_nothing() {
    let Some(watch) = Watch::start(true) else { return };
    let folder = tempfile::tempdir().unwrap();
    // Each time a tuple of constants that no instruction uses is broken while the code runs, and mended behind it.
    let script = "import ctypes\n\
        word = lambda value, at: ctypes.c_size_t.from_address(id(value) + at)\n\
        first = 32 if __import__('sys').version_info >= (3, 14) else 24\n\
        def run(name, at, lie, inner=('text', b'bytes', 7)):\n\
        \x20   broken = tuple(list(inner) + [name])\n\
        \x20   code = compile('done = 1', 'x', 'exec')\n\
        \x20   code = code.replace(co_consts=code.co_consts + (name, broken))\n\
        \x20   place = word(broken, at)\n\
        \x20   kept, place.value = place.value, lie(broken)\n\
        \x20   space = {}\n\
        \x20   exec(code, space)\n\
        \x20   place.value = kept\n\
        \x20   print(name, space['done'])\n\
        run('endless', 16, lambda _: 1 << 40)\n\
        run('negative', 16, lambda _: (1 << 64) - 1)\n\
        run('cyclic', first, id)\n\
        run('unmapped', first, lambda _: 0x7ff0_0000_0000)\n\
        run('odd', first, lambda value: id(value) + 3)\n\
        run('kernel', first, lambda _: 0xffff_8880_0000_0000)\n\
        run('untyped', 8, lambda _: 0x10000)\n\
        text = 'x' * 100\n\
        def long():\n\
        \x20   code = compile('done = 1', 'x', 'exec').replace(co_consts=(1, None, 'long text', text))\n\
        \x20   kept, word(text, 16).value = word(text, 16).value, 1 << 50\n\
        \x20   exec(code, {})\n\
        \x20   word(text, 16).value = kept\n\
        long()\nprint('all')\n";
    // The first one is seen where the probes were there in time; then all are.
    let (printed, codes) = code_of(&watch, folder.path(), script, |code| has(code, "endless"));
    let names = ["endless", "negative", "cyclic", "unmapped", "odd", "kernel", "untyped"];
    let expected: String = names.iter().map(|name| format!("{name} 1\n")).collect();
    assert_eq!(printed, format!("{expected}all\n"));
    for name in names.into_iter().chain(["long text"]) {
        assert!(codes.iter().any(|code| has(code, name)), "{name} was not sent");
    }
    watch.stop();
}
