//! `bpf/event.h` as a C compiler lays it out, against the Rust types that were generated from the BPF object.

#![allow(clippy::unwrap_used, reason = "a test says what it misses by ending")]

use sensor::wire::{CodeImage, ExecHeader, HeldProcess, StringsHeader, TextHeader, value};
use std::fmt::Write;
use std::path::Path;
use std::process::Command;

/// `(structure, field, offset, size)` of each field, as Rust sees it.
macro_rules! fields {
    ($structure:literal, $type:ty, $($field:ident),+ $(,)?) => {{
        let empty = <$type>::default();
        vec![$(($structure, stringify!($field), std::mem::offset_of!($type, $field), size_of_val(&empty.$field))),+]
    }};
}

fn rust_fields() -> Vec<(&'static str, &'static str, usize, usize)> {
    let mut fields = fields!(
        "exec_event",
        ExecHeader,
        exec_time,
        kind,
        flags,
        budget,
        start_time,
        executable_device,
        executable_inode,
        executable_changed,
        executable_size,
        arguments_size,
        environment_size,
        strings_size,
        pid,
        pid_in_container,
        parent_pid,
        uid,
        gid,
        mount_namespace,
        pid_namespace,
        network_namespace,
        user_namespace,
        stdin_mode,
        stdin_device,
        executable_path_length,
        cwd_length,
        cgroup_length,
        strings_length,
        executable_changed_ns,
        comm,
    );
    fields.extend(fields!("strings_event", StringsHeader, exec_time, offset, kind, pid, length, is_last));
    fields.extend(fields!("held_process", HeldProcess, start_time, held_at, texts, unused));
    fields.extend(fields!("code_image", CodeImage, functions, types, words, code_size, minor));
    fields.extend(fields!(
        "text_event",
        TextHeader,
        time,
        start_time,
        key,
        offset,
        caller,
        stack,
        exec_time,
        exec_start,
        budget,
        kind,
        function,
        flags,
        pid,
        thread,
        exec_pid,
        length,
        pid_in_container,
        parent_pid,
        uid,
        gid,
        mount_namespace,
        pid_namespace,
        network_namespace,
        user_namespace,
        unused,
        comm,
        name,
    ));
    fields
}

fn rust_constants() -> Vec<(&'static str, u64)> {
    macro_rules! constants { ($($name:ident),+) => { vec![$((stringify!($name), u64::from(value::$name))),+] } }
    let mut constants = constants!(
        EVENT_EXEC,
        EVENT_STRINGS,
        EVENT_CANARY,
        EVENT_WAITING,
        EXEC_UNKNOWN_EXECUTABLE,
        EXEC_PATH_CUT,
        CLASS_OTHER,
        CLASS_INTERPRETER,
        CLASS_BUSYBOX,
        COUNTER_LOST,
        COUNTER_REFUSED,
        EVENT_TEXT,
        TEXT_PYTHON_RUN,
        TEXT_PYTHON_COMPILE,
        TEXT_BASH,
        TEXT_PYTHON_CODE,
        CODE_IMAGES,
        TEXT_LAST,
        TEXT_CUT,
        TEXT_UNREADABLE,
        TEXT_NAMELESS,
        TEXT_HELD,
        TEXT_TAIL,
        TEXT_ENDLESS,
        TEXT_ROUNDS_MAX,
        EXEC_HELD,
        TEXT_CHUNK,
        TEXT_PARTS_MAX
    );
    constants.push(("sizeof(struct exec_event)", size_of::<ExecHeader>() as u64));
    constants.push(("sizeof(struct strings_event)", size_of::<StringsHeader>() as u64));
    constants.push(("sizeof(struct held_process)", size_of::<HeldProcess>() as u64));
    constants.push(("sizeof(struct code_image)", size_of::<CodeImage>() as u64));
    constants.push(("sizeof(struct text_event)", size_of::<TextHeader>() as u64));
    constants
}

/// Compiles a program that prints each expression, and returns what it prints.
fn ask_the_compiler(expressions: &[String]) -> Vec<u64> {
    let folder = tempfile::tempdir().unwrap();
    let (source, program) = (folder.path().join("layout.c"), folder.path().join("layout"));
    let mut text = String::from(
        "#include <linux/types.h>\n#include <stddef.h>\n#include <stdio.h>\n#include \"event.h\"\nint main(void) {\n",
    );
    for expression in expressions {
        writeln!(text, "printf(\"%llu\\n\", (unsigned long long)({expression}));").unwrap();
    }
    text.push_str("return 0; }\n");
    std::fs::write(&source, text).unwrap();
    let headers = Path::new(env!("CARGO_MANIFEST_DIR")).join("bpf");
    let compiled =
        Command::new("cc").arg("-I").arg(headers).arg(&source).arg("-o").arg(&program).status().unwrap();
    assert!(compiled.success(), "event.h does not compile as ordinary C");
    let printed = Command::new(&program).output().unwrap().stdout;
    String::from_utf8(printed).unwrap().lines().map(|line| line.parse().unwrap()).collect()
}

#[test]
fn every_field_has_the_same_offset_and_size_in_c_and_in_rust() {
    let fields = rust_fields();
    let expressions: Vec<String> = fields
        .iter()
        .flat_map(|(structure, field, ..)| {
            [
                format!("offsetof(struct {structure}, {field})"),
                format!("sizeof(((struct {structure} *)0)->{field})"),
            ]
        })
        .collect();
    let answers = ask_the_compiler(&expressions);
    for ((structure, field, offset, size), answer) in fields.iter().zip(answers.chunks(2)) {
        assert_eq!(answer, [*offset as u64, *size as u64], "{structure}.{field}");
    }
}

#[test]
fn every_field_of_the_header_is_compared() {
    let header = include_str!("../bpf/event.h");
    for structure in ["exec_event", "strings_event", "text_event", "held_process", "code_image"] {
        let body =
            header.split(&format!("struct {structure} {{")).nth(1).unwrap().split("};").next().unwrap();
        let in_c = body.lines().filter(|line| line.trim_start().starts_with("__u")).count();
        let in_rust = rust_fields().iter().filter(|field| field.0 == structure).count();
        assert_eq!(in_c, in_rust, "{structure} has a field that this test does not compare");
    }
}

#[test]
fn every_constant_is_the_same_in_c_and_in_rust() {
    let constants = rust_constants();
    let expressions: Vec<String> = constants.iter().map(|(name, _)| (*name).to_owned()).collect();
    for ((name, in_rust), in_c) in constants.iter().zip(ask_the_compiler(&expressions)) {
        assert_eq!(*in_rust, in_c, "{name}");
    }
}
