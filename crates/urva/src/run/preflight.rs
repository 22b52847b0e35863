//! What is checked before anything is started, so that a mistake is one clear sentence.

use super::confine;
use super::judge::Judge;
use crate::config::Config;
use crate::doctor::capabilities::NEEDED;
use anyhow::{Context, ensure};
use rustix::fs::{AtFlags, CWD, Mode, chmod, chown, chownat};
use rustix::process::{Gid, Uid};
use rustix::thread::capabilities;
use std::fs::{DirBuilder, create_dir_all, read_dir};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use store::StateLock;

/// Whether this process may do what a sensor has to.
pub(super) fn check_privileges() -> anyhow::Result<()> {
    let held = capabilities(None).context("reading capabilities")?.effective;
    let missing = NEEDED.iter().filter(|needed| !held.contains(needed.set)).map(|needed| needed.name);
    let missing: Vec<&str> = missing.collect();
    let user = rustix::process::geteuid();
    ensure!(
        missing.is_empty(),
        "watching a host needs root, and this is user {user} without {}: run `sudo urva run`",
        missing.join(", "),
    );
    Ok(())
}

/// Makes the state folder, gives it to the detector's user, and locks it.
pub(super) fn prepare_state(config: &Config, state: &Path) -> anyhow::Result<StateLock> {
    let (uid, gid) = confine::detector_ids(config.detector.user.as_deref())?;
    let named = || format!("the state folder {}", state.display());
    // Folders above it are made as anybody would make them; it itself is closed to others from the beginning.
    state
        .parent()
        .map_or(Ok(()), create_dir_all)
        .and_then(|()| match DirBuilder::new().mode(0o700).create(state) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists && state.is_dir() => Ok(()),
            other => other,
        })
        .with_context(|| format!("cannot make {}: choose another with --state or URVA_STATE", named()))?;
    let owner = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
    let refused = || format!("cannot give {} to user {uid}, under which the detector runs", named());
    let lock = StateLock::acquire(state)?;
    chown(state, owner.0, owner.1).with_context(refused)?;
    chmod(state, Mode::RWXU).with_context(refused)?;
    for entry in read_dir(state).with_context(|| format!("cannot read {}", named()))? {
        let entry = entry?;
        // Only what urva itself put there; a link that somebody else put there is not followed.
        let is_own = entry.file_name().as_encoded_bytes().starts_with(b"urva.db");
        if is_own && entry.file_type()?.is_file() {
            chownat(CWD, entry.path(), owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW).with_context(refused)?;
        }
    }
    // A model that cannot be read is told before anything runs.
    Judge::load(config)?;
    Ok(lock)
}
