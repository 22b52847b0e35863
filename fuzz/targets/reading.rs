//! Any bytes of a script.
#![no_main]

use detect::reading::{Form, read};
use evidence::Language;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    for language in [Language::Python, Language::Shell] {
        let reading = read(language, text);
        assert!(reading.form != Form::Text || !reading.text.contains(&b'\r'));
    }
});
