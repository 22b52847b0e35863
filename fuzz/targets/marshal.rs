//! Any bytes as marshalled code, as a `.pyc` file, and as a code object that was copied out of an interpreter's memory.
#![no_main]

use detect::unpack::{bytecode, marshal};
use libfuzzer_sys::fuzz_target;

/// A listing ends soon after 512 KiB.
const LISTING_MAX: usize = 1 << 20;

fuzz_target!(|data: &[u8]| {
    if let Some(listing) = marshal::listing(data) {
        assert!(!listing.is_empty() && listing.len() < LISTING_MAX);
    }
    let Some((minor, records)) = data.split_first() else { return };
    if let Some(written) = bytecode::write_out(&[b"\x7fPYCODE", &[*minor][..], records].concat()) {
        assert!(!written.text.is_empty() && written.text.len() < LISTING_MAX);
    }
});
