//! Any bytes as a file of any kind.
#![no_main]

use artifact::{Item, Limits, Options, Reader};
use libfuzzer_sys::fuzz_target;
use std::ops::ControlFlow::Continue;
use std::sync::atomic::AtomicU64;

fuzz_target!(|bytes: &[u8]| {
    // Bounds as small as the inputs, so that the bounds themselves are met.
    let limits = Limits {
        text: 1 << 10,
        longest_script: 1 << 16,
        entries: 100,
        unpacked: 4 << 20,
        free: 1 << 16,
        ..Limits::default()
    };
    let options = Options { limits, all_layers: true, ..Options::default() };
    let mut items = 0;
    let mut sink = |item| {
        items += 1;
        if let Item::Script(script) = item {
            assert!(script.text.head.len() + script.text.tail.len() <= 1 << 16);
            assert!(script.path.starts_with(b"x"));
        }
        Continue(())
    };
    let progress = AtomicU64::new(0);
    assert!(Reader::new(&options, &progress, &mut sink).stream("x", &mut &*bytes).is_continue());
    // Each entry gives at most a fault and what was read of it.
    assert!(items <= 400);
});
