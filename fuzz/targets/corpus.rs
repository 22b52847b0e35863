//! Any bytes as a corpus, plain or compressed.
#![no_main]

use artifact::{Item, Limits, Options, Reader};
use libfuzzer_sys::fuzz_target;
use std::io::Write;
use std::ops::ControlFlow::Continue;
use std::sync::atomic::AtomicU64;

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits { text: 64, corpus_line: 1 << 10, ..Limits::default() };
    let options = Options { limits, ..Options::default() };
    let mut items = 0;
    let mut sink = |item| {
        items += 1;
        assert!(!matches!(item, Item::Skipped(_)), "each record is judged, or told of");
        Continue(())
    };
    let Ok(mut file) = tempfile::NamedTempFile::new() else { return };
    if file.write_all(bytes).is_err() {
        return;
    }
    let progress = AtomicU64::new(0);
    assert!(Reader::new(&options, &progress, &mut sink).corpus(file.path()).is_continue());
    if !bytes.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        let records = bytes.split(|&byte| byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
        assert_eq!(items, records.count());
    }
});
