//! Any documents and layers as an OCI image layout and as an archive of `docker save`.
#![no_main]

use artifact::{Flow, Item, Options, Reader};
use libfuzzer_sys::fuzz_target;
use std::ops::ControlFlow::Continue;
use std::sync::atomic::AtomicU64;

/// What stands between the parts of an input: index, manifest, the document that both name, a layer. Their names are
/// fixed, so that they can name each other.
const BETWEEN: &[u8] = b"\n--\n";

const DIGEST: &str = "blobs/sha256/0000000000000000000000000000000000000000000000000000000000000000";

fuzz_target!(|input: &[u8]| {
    let (index, rest) = split(input);
    let (manifest, rest) = split(rest);
    let (document, layer) = split(rest);
    let files = [
        ("oci-layout", &b"{}"[..]),
        ("index.json", index),
        ("manifest.json", manifest),
        (DIGEST, document),
        ("0/layer.tar", layer),
    ];
    let mut archive = Vec::new();
    for (name, bytes) in files {
        append(&mut archive, name, bytes);
    }
    read(|reader| reader.stream("x.tar", &mut archive.as_slice()));
    let Ok(folder) = tempfile::tempdir() else { return };
    for (name, bytes) in files {
        let path = folder.path().join(name);
        let made = path.parent().map(std::fs::create_dir_all);
        if !matches!(made, Some(Ok(()))) || std::fs::write(path, bytes).is_err() {
            return;
        }
    }
    read(|reader| reader.path(folder.path()));
});

fn split(input: &[u8]) -> (&[u8], &[u8]) {
    match input.windows(BETWEEN.len()).position(|window| window == BETWEEN) {
        Some(at) => (&input[..at], &input[at + BETWEEN.len()..]),
        None => (input, b""),
    }
}

fn read(read: impl FnOnce(&mut Reader<'_>) -> Flow) {
    let options = Options::default();
    let progress = AtomicU64::new(0);
    let mut sink = |item| {
        if let Item::Unread { fault, .. } = item {
            assert!(!fault.to_string().is_empty());
        }
        Continue(())
    };
    assert!(read(&mut Reader::new(&options, &progress, &mut sink)).is_continue());
}

/// One entry of a tar archive, after POSIX `ustar`.
fn append(archive: &mut Vec<u8>, name: &str, bytes: &[u8]) {
    let mut header = [0_u8; 512];
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[124..135].copy_from_slice(format!("{:011o}", bytes.len()).as_bytes());
    header[148..156].fill(b' ');
    header[156] = b'0';
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    archive.extend_from_slice(&header);
    archive.extend_from_slice(bytes);
    archive.resize(archive.len().next_multiple_of(512), 0);
}
