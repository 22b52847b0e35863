//! Any sequence of records from the ring buffer: `cargo +nightly fuzz run kernel_events`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sensor::assemble::Assembler;

fuzz_target!(|records: Vec<Vec<u8>>| {
    let mut assembler = Assembler::default();
    for record in &records {
        if let Ok(Some(exec)) = assembler.push(record) {
            assert!(exec.executable.starts_with(b"/") && exec.cwd.starts_with(b"/"));
        }
    }
});
