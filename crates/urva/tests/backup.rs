//! `urva backup` and `urva restore`: copied while others write, read through, put back.

#![allow(clippy::expect_used, reason = "a test that cannot be set up must fail")]

mod common;
mod state;

use common::{check, text};
use state::urva;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use store::StateLock;
use tempfile::{TempDir, tempdir};

fn make_token(state: &Path, name: &str) {
    check(&urva(state, &["tokens", "create", name, "--role", "viewer"]), 0, &["urva_"], &["viewer"]);
}

/// A state folder with one token in its database, and a copy of it.
fn copied() -> (TempDir, TempDir, String) {
    let (state, elsewhere) = (tempdir().expect("a folder"), tempdir().expect("a folder"));
    make_token(state.path(), "first");
    let copy = elsewhere.path().join("copy.db").to_str().expect("UTF-8").to_owned();
    // While urva runs its lock is held, and that keeps nobody from copying.
    let _lock = StateLock::acquire(state.path()).expect("the lock");
    check(&urva(state.path(), &["backup", &copy]), 0, &[], &["is a copy of the database", "read through"]);
    (state, elsewhere, copy)
}

#[test]
fn what_was_copied_is_put_back_and_what_it_replaces_is_kept() {
    let (state, elsewhere, copy) = copied();
    let mode = fs::metadata(&copy).expect("the copy").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(fs::read_dir(elsewhere.path()).expect("the folder").count(), 1, "nothing else is left over");
    make_token(state.path(), "second");
    check(&urva(state.path(), &["restore", &copy]), 0, &[], &["was put back", "urva.db.replaced"]);
    let listed = urva(state.path(), &["tokens", "list"]);
    check(&listed, 0, &["first"], &[]);
    assert!(!text(&listed.stdout).contains("second"));
    check(&urva(state.path(), &["audit"]), 0, &["Restore", "CreateToken"], &[]);
    let replaced = tempdir().expect("a folder");
    let kept = state.path().join("urva.db.replaced");
    fs::copy(&kept, replaced.path().join("urva.db")).expect("copied");
    check(&urva(replaced.path(), &["tokens", "list"]), 0, &["first", "second"], &[]);
    check(&urva(state.path(), &["restore", &copy]), 2, &[], &["urva.db.replaced is there already"]);
}

#[test]
fn a_copy_begins_a_new_state_folder() {
    let (_state, _elsewhere, copy) = copied();
    let other = tempdir().expect("a folder");
    check(&urva(other.path(), &["restore", &copy]), 0, &[], &["was put back"]);
    check(&urva(other.path(), &["tokens", "list"]), 0, &["first"], &[]);
}

#[test]
fn nothing_is_written_over() {
    let (state, _elsewhere, copy) = copied();
    let before = fs::read(&copy).expect("the copy");
    check(&urva(state.path(), &["backup", &copy]), 2, &[], &["is there already"]);
    assert_eq!(fs::read(&copy).expect("the copy"), before);
}

#[test]
fn nothing_is_put_back_while_urva_runs() {
    let (state, _elsewhere, copy) = copied();
    let _lock = StateLock::acquire(state.path()).expect("the lock");
    check(&urva(state.path(), &["restore", &copy]), 2, &[], &["is in use", "stop it"]);
    assert!(!state.path().join("urva.db.replaced").exists());
}

#[test]
fn a_damaged_copy_is_refused_and_changes_nothing() {
    let (state, elsewhere, copy) = copied();
    let whole = fs::read(&copy).expect("the copy");
    let damaged = elsewhere.path().join("damaged.db");
    let mut flipped = whole.clone();
    for byte in flipped.iter_mut().skip(4096 * 2).step_by(4096).take(8) {
        *byte ^= 0xff;
    }
    for bytes in [&whole[..whole.len() / 2], &flipped, b"a shopping list", b""] {
        fs::write(&damaged, bytes).expect("written");
        let refused = urva(state.path(), &["restore", damaged.to_str().expect("UTF-8")]);
        check(&refused, 2, &[], &["damaged.db"]);
        check(&urva(state.path(), &["tokens", "list"]), 0, &["first"], &[]);
        assert!(
            !state.path().join("urva.db.replaced").exists()
                && !state.path().join("urva.db.unfinished").exists()
        );
    }
}

#[test]
fn a_database_of_postgresql_is_left_to_its_own_tools_and_a_missing_one_is_named() {
    let state = tempdir().expect("a folder");
    let copy = state.path().join("copy.db").to_str().expect("UTF-8").to_owned();
    check(&urva(state.path(), &["backup", &copy]), 2, &[], &["there is no database"]);
    assert!(!Path::new(&copy).exists());
    check(&urva(state.path(), &["restore", &copy]), 2, &[], &["copy.db"]);
    assert!(!state.path().join("urva.db").exists());
}
