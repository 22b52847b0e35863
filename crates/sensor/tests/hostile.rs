//! Programs that pretend to be interpreters, and interpreters under odd circumstances: neither is urva harmed, nor they.
//!
//! Needs root, a kernel with BTF, gcc and strip.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at what it does not expect")]

mod watch;

use evidence::{Capture, CompiledBy, CoverageNote, GapKind};
use sensor::Seen;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use watch::{Watch, now, spawn};

/// How long a text may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(20);

/// A program that exports what an embedded Python does, and calls it as its first argument says.
const PROGRAM: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
void Py_Initialize(void) {}
#ifndef LIE
__attribute__((noinline)) int PyRun_StringFlags(const char *text) { __asm__ volatile("" ::"r"(text)); return 0; }
#define compile PyRun_StringFlags
#else
__asm__(LIE);
static void compile(const char *text) {}
#endif
static char **own;
static pthread_barrier_t barrier;
static void *texts(void *number) {
    char text[64];
    for (int i = 0; i < 50; i++) {
        sprintf(text, "thread = %ld, %d", (long)number, i);
        compile(text);
    }
    pthread_barrier_wait(&barrier);
    char *after[] = {own[0], "good", NULL};
    execv(own[0], after);
    return NULL;
}
int main(int count, char **arguments) {
    own = arguments;
    if (!strcmp(arguments[1], "pages")) {
        char *page = mmap(0, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        memset(page, 'a', 4096);
        munmap(page + 4096, 4096);
        compile(NULL);
        compile((char *)8);
        compile((char *)~0UL - 3);
        compile((char *)0xffff800000000000UL);
        compile(page + 4000);
        compile(page + 4096);
        mprotect(page, 4096, PROT_NONE);
        compile(page);
        /* A page of a file that nobody has touched in this process. */
        int file = open(arguments[0], O_RDONLY);
        compile(mmap(0, 4096, PROT_READ, MAP_PRIVATE, file, 0));
    }
    if (!strcmp(arguments[1], "threads")) {
        pthread_t thread[8];
        pthread_barrier_init(&barrier, 0, 8);
        for (long i = 0; i < 8; i++)
            pthread_create(&thread[i], 0, texts, (void *)i);
        for (int i = 0; i < 8; i++)
            pthread_join(thread[i], 0);
    }
    compile("good = 1");
    return 0;
}
"#;

/// Builds the program with a lie about its symbols, in assembler, where there is one.
fn build(folder: &Path, name: &str, lie: Option<&str>) -> PathBuf {
    let (source, program) = (folder.join("program.c"), folder.join(name));
    std::fs::write(&source, PROGRAM).unwrap();
    let mut gcc = Command::new("gcc");
    gcc.args(["-O1", "-rdynamic", "-pthread", "-o"]).args([&program, &source]);
    gcc.args(lie.map(|lie| format!("-DLIE=\"{lie}\"")));
    assert!(gcc.status().unwrap().success());
    program
}

fn text(capture: &Capture) -> String {
    String::from_utf8_lossy(capture.script.content.parts().0).into_owned()
}

/// Whether it is a text that was compiled, and no code object.
fn is_text(capture: &Capture) -> bool {
    capture.compiled.as_ref().is_some_and(|compiled| compiled.by != CompiledBy::PythonCode)
}

/// What is seen of the command's run, until this text of it comes, and how many texts were lost meanwhile. The command
/// is run until the probe is attached.
#[track_caller]
fn until(watch: &Watch, command: &mut Command, last: &str) -> (Vec<Capture>, u64) {
    for _ in 0..20 {
        let mut child = spawn(command);
        let (pid, mut texts, mut lost) = (child.id(), Vec::new(), 0);
        assert!(child.wait().unwrap().success(), "{command:?}");
        let ended = now();
        // The first time the probe may not be attached yet: then nothing comes.
        while now().since(ended) < LIMIT / 10
            && let Ok(seen) = watch.seen.recv_timeout(LIMIT / 10)
        {
            match seen {
                Seen::Captured(capture) if capture.process.pid == pid && is_text(&capture) => {
                    texts.push(*capture);
                }
                Seen::Gap(gap) if gap.kind == GapKind::KernelBufferFull => lost += gap.lost.unwrap(),
                _ => {}
            }
            if texts.last().is_some_and(|capture| text(capture) == last) {
                return (texts, lost);
            }
        }
    }
    panic!("{command:?}: {last:?} does not come");
}

#[test]
fn a_text_that_is_not_there_is_said_to_be_missing_and_harms_nobody() {
    let Some(watch) = Watch::start(true) else { return };
    let folder = tempfile::tempdir().unwrap();
    let program = build(folder.path(), "program", None);
    until(&watch, Command::new(&program).arg("good"), "good = 1");
    let (texts, _) = until(&watch, Command::new(&program).arg("pages"), "good = 1");
    let (good, odd) = texts.split_last().unwrap();
    assert!(!good.coverage.contains(&CoverageNote::TextUnreadable));
    // Each of the eight is told, and none passes for whole.
    let is_doubtful = |capture: &Capture| {
        capture.coverage.contains(&CoverageNote::TextUnreadable)
            && capture.compiled.as_ref().unwrap().key == 0
    };
    assert!(odd.len() >= 7 && odd.iter().filter(|odd| !text(odd).starts_with("\u{7f}ELF")).all(is_doubtful));
    watch.stop();
}

#[test]
fn threads_that_compile_and_execute_at_the_same_moment_are_all_seen() {
    let Some(watch) = Watch::start(true) else { return };
    let folder = tempfile::tempdir().unwrap();
    let program = build(folder.path(), "program", None);
    until(&watch, Command::new(&program).arg("good"), "good = 1");
    let (texts, lost) = until(&watch, Command::new(&program).arg("threads"), "good = 1");
    let of_threads: Vec<String> =
        texts.iter().map(text).filter(|text| text.starts_with("thread = ")).collect();
    let different: BTreeSet<&String> = of_threads.iter().collect();
    assert_eq!(of_threads.len(), different.len(), "none comes twice");
    assert!(of_threads.len() as u64 + lost >= 400, "{} and {lost} lost", of_threads.len());
    watch.stop();
}

#[test]
fn symbols_that_lie_harm_neither_urva_nor_the_program() {
    let Some(watch) = Watch::start(true) else { return };
    let folder = tempfile::tempdir().unwrap();
    let symbol = |place: &str, kind: &str, size: &str| {
        format!(
            ".globl PyRun_StringFlags; .type PyRun_StringFlags,@{kind}; {place}; .size PyRun_StringFlags,{size}"
        )
    };
    for (name, lie) in [
        ("data", symbol(".data; PyRun_StringFlags: .quad 0xcccccccccccccccc; .text", "function", "8")),
        ("object", symbol(".data; PyRun_StringFlags: .quad 0; .text", "object", "8")),
        ("nowhere", symbol(".set PyRun_StringFlags, 0x7fffffff0000", "function", "64")),
        ("headers", symbol(".set PyRun_StringFlags, 0x10", "function", "64")),
        ("no code", symbol(".text; PyRun_StringFlags: .byte 0x06, 0x06, 0x06, 0x06", "function", "0")),
        ("no size", symbol(".text; PyRun_StringFlags: ret", "function", "0")),
    ] {
        let program = build(folder.path(), name, Some(&lie));
        for _ in 0..5 {
            assert!(spawn(Command::new(&program).arg("good")).wait().unwrap().success(), "{name}");
        }
    }
    let stripped = build(folder.path(), "stripped", None);
    assert!(Command::new("strip").arg(&stripped).status().unwrap().success());
    // What the program's own loader goes by cannot be stripped.
    until(&watch, Command::new(&stripped).arg("good"), "good = 1");
    let honest = build(folder.path(), "honest", None);
    until(&watch, Command::new(&honest).arg("good"), "good = 1");
    watch.stop();
}

#[test]
fn an_interpreter_that_is_upgraded_is_seen_in_its_old_and_its_new_processes() {
    let Some(watch) = Watch::start(true) else { return };
    let folder = tempfile::tempdir().unwrap();
    let (python, next) = (folder.path().join("python3"), folder.path().join("next"));
    std::fs::copy("/usr/bin/python3", &python).unwrap();
    // Each line of its input is a text.
    let serve = "import sys\nfor line in iter(sys.stdin.readline, ''): exec(line)";
    let mut serving = Vec::new();
    for version in ["old", "new", "newest"] {
        let mut child = Command::new(&python)
            .args(["-S", "-c", serve])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        serving.push((version, child, input));
        for (of, child, input) in &mut serving {
            compiled_by(&watch, child.id(), input, &format!("# {of} beside {version}"));
        }
        // Another file takes the place of the one that runs.
        std::fs::copy("/usr/bin/python3", &next).unwrap();
        std::fs::rename(&next, &python).unwrap();
    }
    for (_, mut child, input) in serving {
        drop(input);
        assert!(child.wait().unwrap().success());
    }
    watch.stop();
}

/// Has the process compile texts of this beginning until one of them is seen.
#[track_caller]
fn compiled_by(watch: &Watch, pid: u32, input: &mut impl std::io::Write, beginning: &str) {
    let tries = u32::try_from(LIMIT.as_millis() / 200).unwrap();
    for number in 0..tries {
        writeln!(input, "{beginning} {number}").unwrap();
        while let Ok(seen) = watch.seen.recv_timeout(Duration::from_millis(200)) {
            if let Seen::Captured(capture) = seen
                && capture.process.pid == pid
                && text(&capture).starts_with(beginning)
            {
                return;
            }
        }
    }
    panic!("{beginning:?} is not seen");
}
