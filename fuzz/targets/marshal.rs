//! Any bytes as marshalled code or as a `.pyc` file.
#![no_main]

use detect::unpack::marshal::listing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Some(listing) = listing(data) {
        assert!(listing.starts_with("def "));
    }
});
