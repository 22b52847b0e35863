//! Any text where it is certain to be parsed: handed to an interpreter as a string.
#![no_main]

use detect::unpack::unpack;
use evidence::Language;
use libfuzzer_sys::fuzz_target;

/// Longer layers are parsed in parts.
const LONGEST_WHOLE: usize = 4096;

fuzz_target!(|text: &[u8]| {
    let Some(text) = text.get(..text.len().min(LONGEST_WHOLE)) else { return };
    let escaped: String = text.iter().map(|byte| format!("\\x{byte:02x}")).collect();
    for carrier in [format!("exec(b'{escaped}')"), format!("import os\nos.system('{escaped}')")] {
        let unpacked = unpack(Language::Python, carrier.as_bytes());
        assert!(unpacked.facts.is_parsed);
        assert_eq!(unpacked, unpack(Language::Python, carrier.as_bytes()));
    }
});
