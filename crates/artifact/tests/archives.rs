//! Archives, honest and hostile, each made in memory by its case.

mod common;

use common::{PYTHON, SHELL, check, check_with, gzip, limits, tar, zip};
use std::io::Write;

#[test]
fn scripts_are_found_by_name_and_by_shebang() {
    let entries: [(&str, &[u8]); 5] = [
        ("a/x.py", PYTHON),
        ("a/.hidden.sh", SHELL),
        ("bin/tool", b"#!/usr/bin/env -S python3 -u\n"),
        ("bin/ls", b"\x7fELF\x02"),
        ("README", b"words"),
    ];
    let inside = ["a/x.py", "a/.hidden.sh", "bin/tool"];
    for (name, bytes) in
        [("a.tar", tar(&entries)), ("a.whl", zip(&entries)), ("a.tar.gz", gzip(&tar(&entries)))]
    {
        let mut expected: Vec<String> = inside.iter().map(|path| format!("{name}!/{path}")).collect();
        expected.extend(["(not a script)".to_owned(), "(not a script)".to_owned()]);
        check(name, &bytes, &expected.iter().map(String::as_str).collect::<Vec<_>>());
    }
}

#[test]
fn each_compression_is_decoded() {
    let plain = tar(&[("x.sh", SHELL), ("empty.sh", b""), ("y.py", PYTHON)]);
    let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::best());
    bzip2.write_all(&plain).unwrap();
    let zstd = zstd::encode_all(plain.as_slice(), 3).unwrap();
    for (name, bytes) in [("a.tbz2", bzip2.finish().unwrap()), ("a.tar.zst", zstd), ("a.tgz", gzip(&plain))] {
        let expected = ["x.sh", "empty.sh", "y.py"].map(|path| format!("{name}!/{path}"));
        check(name, &bytes, &expected.each_ref().map(String::as_str));
    }
    check("x.sh.gz", &gzip(SHELL), &["x.sh.gz"]);
}

#[test]
fn names_that_lead_elsewhere_are_names_and_nothing_more() {
    let entries: [(&str, &[u8]); 3] = [("../../x.sh", SHELL), ("/etc/y.sh", SHELL), ("\u{1b}[2J.sh", SHELL)];
    let expected = |name: &str| {
        [format!("{name}!/../../x.sh"), format!("{name}!//etc/y.sh"), format!("{name}!/\\u{{1b}}[2J.sh")]
    };
    check("a.tar", &tar(&entries), &expected("a.tar").each_ref().map(String::as_str));
    // Its writer refuses such names, so they are put in afterwards.
    let mut bytes = zip(&[("AA/AA/x.sh", SHELL), ("Aetc/y.sh", SHELL), entries[2]]);
    for (from, to) in [(&b"AA/AA/"[..], &b"../../"[..]), (b"Aetc/", b"/etc/")] {
        while let Some(at) = bytes.windows(from.len()).position(|window| window == from) {
            bytes[at..at + from.len()].copy_from_slice(to);
        }
    }
    check("a.zip", &bytes, &expected("a.zip").each_ref().map(String::as_str));
}

#[test]
fn archives_inside_each_other_are_opened_to_a_depth() {
    let mut bytes = tar(&[("x.sh", SHELL)]);
    for _ in 0..3 {
        bytes = zip(&[("y.py", PYTHON), ("in.zip", &bytes)]);
    }
    let all = [
        "a.zip!/y.py",
        "a.zip!/in.zip!/y.py",
        "a.zip!/in.zip!/in.zip!/y.py",
        "a.zip!/in.zip!/in.zip!/in.zip!/x.sh",
    ];
    check("a.zip", &bytes, &all);
    let refused = "a.zip!/in.zip!/in.zip: is an archive inside 2 others, and is not opened";
    check_with(&limits(|limits| limits.depth = 2), "a.zip", &bytes, &[all[0], all[1], refused]);
}

#[test]
fn a_program_in_a_zip_archive_is_opened_whatever_its_name() {
    let program = [b"#!/usr/bin/env python3\n".to_vec(), zip(&[("__main__.py", PYTHON)])].concat();
    check("tool", &program, &["tool!/__main__.py"]);
    check("tool.py", &zip(&[("__main__.py", PYTHON)]), &["tool.py!/__main__.py"]);
}

#[test]
fn a_long_name_is_kept_and_an_endless_one_refused() {
    let long = format!("{}/x.sh", "d".repeat(300));
    check("a.tar", &tar(&[(&long, SHELL)]), &[&format!("a.tar!/{long}")]);
    let mut endless = tar::Header::new_gnu();
    endless.set_entry_type(tar::EntryType::GNULongName);
    endless.set_size(8 << 30);
    endless.set_cksum();
    let expected = "a.tar: cannot be read: damaged tar archive: an entry's name or extensions are too long";
    check("a.tar", endless.as_bytes(), &[expected]);
}

#[test]
fn the_size_in_an_extension_is_obeyed() {
    let mut builder = tar::Builder::new(Vec::new());
    builder.append_pax_extensions([("path", &b"real.sh"[..]), ("size", b"11")]).unwrap();
    let mut header = tar::Header::new_ustar();
    header.set_path("fake.txt").unwrap();
    header.set_size(0);
    header.set_cksum();
    let mut bytes = builder.into_inner().unwrap();
    bytes.truncate(1024);
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend_from_slice(SHELL);
    bytes.resize(4096, 0);
    check("a.tar", &bytes, &["a.tar!/real.sh"]);
}

#[test]
fn what_is_cut_off_is_read_as_far_as_it_goes() {
    let whole = tar(&[("x.sh", SHELL), ("y.py", &b"#".repeat(4000))]);
    let middle = "damaged tar archive: it ends in the middle of an entry";
    let expected = [
        "a.tar!/x.sh".to_owned(),
        format!("a.tar!/y.py: cannot be read: {middle}"),
        format!("a.tar!/y.py | cut off: {middle}"),
    ];
    check("a.tar", &whole[..3000], &expected.each_ref().map(String::as_str));
    let damaged = "a.tar: cannot be read: damaged tar archive: it ends in the middle of a header";
    check("a.tar", &whole[..1100], &["a.tar!/x.sh", damaged]);
    let no_directory = zip(&[("x.sh", SHELL)]);
    check(
        "a.zip",
        &no_directory[..40],
        &["a.zip: cannot be read: damaged zip archive: Missing end of central directory"],
    );
}

#[test]
fn bombs_are_refused() {
    let zeros = vec![0; 8 << 20];
    let options = limits(|limits| {
        limits.free = 1 << 20;
        limits.expansion = 100;
    });
    let why = "unpacks to too many times its size; perhaps a bomb";
    let refusals = |name: &str, bytes: &[u8]| {
        let found = common::found_with(&options, |reader| reader.stream(name, &mut &*bytes));
        assert!(found.iter().any(|line| line.contains(why)), "{found:?}");
        assert!(found.len() <= 4, "{found:?}");
    };
    refusals("x.sh.gz", &gzip(&zeros));
    refusals("x.sh.zst", &zstd::encode_all(zeros.as_slice(), 3).unwrap());
    refusals("x.tar.gz", &gzip(&tar(&[("x.sh", &zeros)])));
    refusals("x.zip", &zip(&[("x.sh", &zeros)]));
    refusals("x.gz", &gzip(&gzip(&zeros)));
    // Each entry alone is small enough.
    let many: Vec<(String, Vec<u8>)> = (0..64).map(|at| (format!("{at}.sh"), vec![0; 1 << 20])).collect();
    let many: Vec<(&str, &[u8])> = many.iter().map(|(name, text)| (name.as_str(), text.as_slice())).collect();
    let found = common::found_with(&options, |reader| reader.stream("m.zip", &mut &*zip(&many)));
    assert!(found.last().is_some_and(|line| line.contains(why)), "{found:?}");
    assert!(found.len() < 16, "the rest is left alone: {found:?}");
}

#[test]
fn too_many_entries_are_refused() {
    let names: Vec<String> = (0..20).map(|at| format!("{at}.sh")).collect();
    let entries: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), SHELL)).collect();
    let options = limits(|limits| limits.entries = 10);
    for (name, bytes) in [("a.zip", zip(&entries)), ("a.tgz", gzip(&tar(&entries)))] {
        let found = common::found_with(&options, |reader| reader.stream(name, &mut bytes.as_slice()));
        assert_eq!(found.len(), 11, "{found:?}");
        assert_eq!(found.last(), Some(&format!("{name}: is refused: it holds more entries than are read")));
    }
}

#[test]
fn links_and_folders_are_no_scripts() {
    let mut builder = tar::Builder::new(Vec::new());
    for (kind, name) in [
        (tar::EntryType::Symlink, "l.sh"),
        (tar::EntryType::Link, "h.sh"),
        (tar::EntryType::Directory, "d.sh/"),
        (tar::EntryType::Fifo, "f.sh"),
        (tar::EntryType::Char, "c.sh"),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_path(name).unwrap();
        header.set_entry_type(kind);
        header.set_link_name("/etc/passwd").unwrap();
        header.set_size(0);
        header.set_cksum();
        builder.append(&header, &b""[..]).unwrap();
    }
    check("a.tar", &builder.into_inner().unwrap(), &["(a link)", "(a link)"]);
}

proptest::proptest! {
    #[test]
    fn any_bytes_behind_any_beginning_are_read(start in 0..6_usize, bytes: Vec<u8>) {
        let starts: [&[u8]; 6] = [b"PK\x03\x04", b"\x1f\x8b\x08", b"BZh91AY", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b""];
        let bytes = [starts[start], &bytes].concat();
        let found = common::found_with(&Default::default(), |reader| reader.stream("x", &mut &*bytes));
        proptest::prop_assert!(!found.is_empty());
    }
}
