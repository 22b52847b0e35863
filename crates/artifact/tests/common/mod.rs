//! Makes artifacts in memory and lists what a reader finds in them. The texts are harmless: `echo` and `print`.

#![allow(clippy::expect_used, dead_code, unreachable_pub, reason = "a test that cannot be set up must fail")]

use artifact::{Flow, Item, Limits, Options, Reader};
use std::io::Write;
use std::ops::ControlFlow::Continue;
use std::path::Path;
use std::sync::atomic::AtomicU64;

pub const SHELL: &[u8] = b"echo hello\n";
pub const PYTHON: &[u8] = b"print('hello')\n";

/// What is found, one line each: `PATH`, `PATH | NOTES`, `PATH: FAULT`, or `(WHY IT WAS SKIPPED)`.
pub fn found_with(options: &Options, read: impl FnOnce(&mut Reader<'_>) -> Flow) -> Vec<String> {
    let mut lines = Vec::new();
    let progress = AtomicU64::new(0);
    let mut sink = |item| {
        lines.push(match item {
            Item::Script(script) if script.notes.is_empty() => script.path.to_string(),
            Item::Script(script) => {
                let notes: Vec<String> = script.notes.iter().map(ToString::to_string).collect();
                format!("{} | {}", script.path, notes.join("; "))
            }
            Item::Unread { path, fault } => format!("{path}: {fault}"),
            Item::Skipped(why) => format!("({why})"),
        });
        Continue(())
    };
    assert!(read(&mut Reader::new(options, &progress, &mut sink)).is_continue());
    lines
}

/// What is found in a file called `name`, and in the same as a stream.
#[track_caller]
pub fn check(name: &str, bytes: &[u8], expected: &[&str]) {
    check_with(&Options::default(), name, bytes, expected);
}

#[track_caller]
pub fn check_with(options: &Options, name: &str, bytes: &[u8], expected: &[&str]) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).expect("written");
    let in_file = found_with(options, |reader| reader.path(&path));
    let root = path.display().to_string();
    let in_file: Vec<String> = in_file.iter().map(|line| line.replace(&root, name)).collect();
    assert_eq!(in_file, expected, "as a file");
    let in_stream = found_with(options, |reader| reader.stream(name, &mut &*bytes));
    assert_eq!(in_stream, expected, "as a stream");
}

pub fn limits(change: impl FnOnce(&mut Limits)) -> Options {
    let mut options = Options::default();
    change(&mut options.limits);
    options
}

/// A tar archive; names are written as they are, whatever they lead to.
pub fn tar(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        let name = name.as_bytes();
        if name.len() <= 100 {
            header.as_old_mut().name[..name.len()].copy_from_slice(name);
        } else {
            let mut long = tar::Header::new_gnu();
            long.set_entry_type(tar::EntryType::GNULongName);
            long.set_size(name.len() as u64);
            long.set_cksum();
            builder.append(&long, name).expect("appended");
        }
        header.set_cksum();
        builder.append(&header, *content).expect("appended");
    }
    builder.into_inner().expect("finished")
}

/// A deflated zip archive.
pub fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut archive = rawzip::ZipArchiveWriter::new(&mut out);
    for (name, content) in entries {
        let method = rawzip::CompressionMethod::DEFLATE;
        let (mut entry, config) =
            archive.new_file(name).compression_method(method).start().expect("an entry");
        let encoder = flate2::write::DeflateEncoder::new(&mut entry, flate2::Compression::best());
        let mut writer = config.wrap(encoder);
        writer.write_all(content).expect("written");
        let (encoder, descriptor) = writer.finish().expect("finished");
        encoder.finish().expect("finished");
        entry.finish(descriptor).expect("finished");
    }
    archive.finish().expect("finished");
    out
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).expect("written");
    encoder.finish().expect("finished")
}

pub fn write(folder: &Path, name: &str, bytes: &[u8]) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
    std::fs::write(path, bytes).expect("written");
}
