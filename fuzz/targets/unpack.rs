//! Any text of a script.
#![no_main]

use detect::unpack::{MOST_LAYERS, MOST_OUTPUT, unpack};
use evidence::Language;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    for language in [Language::Python, Language::Shell] {
        let unpacked = unpack(language, text);
        assert!(unpacked.layers.len() <= MOST_LAYERS);
        assert!(unpacked.layers.iter().map(|layer| layer.text.len()).sum::<usize>() <= MOST_OUTPUT);
        for (at, layer) in unpacked.layers.iter().enumerate() {
            assert!(layer.parent.is_none_or(|parent| parent < at));
            assert!(!layer.origin().is_empty());
        }
    }
});
