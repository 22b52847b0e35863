//! Any sequence of records from the ring buffer.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sensor::assemble::Assembler;

fuzz_target!(|input: &[u8]| {
    let mut assembler = Assembler::default();
    let mut rest = input;
    // Two bytes of length stand before each record.
    while let Some((length, records)) = rest.split_first_chunk::<2>() {
        let (record, others) = records.split_at(usize::from(u16::from_le_bytes(*length)).min(records.len()));
        rest = others;
        if let Ok(Some(exec)) = assembler.push(record) {
            assert!(exec.executable.starts_with(b"/") && exec.cwd.starts_with(b"/"));
        }
    }
});
