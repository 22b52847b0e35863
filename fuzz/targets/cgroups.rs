//! Any text of `/proc/PID/cgroup`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sensor::cgroup::{containers_of, containers_of_path};

fuzz_target!(|text: &[u8]| {
    let found = [containers_of(text), containers_of_path(text)].concat();
    assert!(found.iter().all(|container| !container.id.is_empty()));
});
