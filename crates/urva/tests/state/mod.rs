//! Running `urva` on a state folder.

use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Runs `urva` with a state folder of its own and no config but the one that is given.
pub(crate) fn urva(state: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_urva"))
        .args(args)
        .env_clear()
        .env("URVA_STATE", state)
        .stdin(Stdio::null())
        .output()
        .expect("urva starts")
}
