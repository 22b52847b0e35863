//! Any argument vector, as `/proc/PID/cmdline` separates it, read as each interpreter reads it.
#![no_main]

use evidence::{Family, Untrusted};
use libfuzzer_sys::fuzz_target;
use sensor::command_line::{ScriptSource, loaded, read};

const FAMILIES: [Family; 6] =
    [Family::CPython, Family::PyPy, Family::Bash, Family::Dash, Family::Busybox, Family::Zsh];

fuzz_target!(|vector: &[u8]| {
    let arguments: Vec<Untrusted> =
        vector.split(|&byte| byte == 0).map(|argument| Untrusted::from(argument.to_vec())).collect();
    for family in FAMILIES {
        let line = read(family, &arguments);
        let (ScriptSource::Inline { argument, .. }
        | ScriptSource::File { argument, .. }
        | ScriptSource::Module { argument, .. }) = line.source
        else {
            continue;
        };
        assert!(argument < arguments.len() && line.own_arguments <= arguments.len());
    }
    if let Some(loaded) = loaded(&arguments) {
        assert!(loaded.argument < arguments.len());
    }
});
