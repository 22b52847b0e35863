//! `urva tokens`: made, shown once, listed, revoked.

#![allow(clippy::expect_used, reason = "a test that cannot be set up must fail")]

mod common;
mod state;

use common::{check, text};
use state::urva;

#[test]
fn a_token_is_shown_once_and_its_hash_alone_is_kept() {
    let state = tempfile::tempdir().expect("a folder");
    let made =
        urva(state.path(), &["tokens", "create", "dash\u{1b}[2J", "--role", "viewer", "--expires", "12h"]);
    check(&made, 0, &["urva_"], &["Token 1, viewer, until ", "this once"]);
    let token = text(&made.stdout);
    assert_eq!(token.trim().len(), 48);
    for file in std::fs::read_dir(state.path()).expect("the state folder") {
        let bytes = std::fs::read(file.expect("a file").path()).expect("its bytes");
        let random = token.trim().trim_start_matches("urva_").as_bytes();
        assert!(!bytes.windows(random.len()).any(|window| window == random), "the token itself is kept");
    }
    let listed = urva(state.path(), &["tokens", "list"]);
    check(&listed, 0, &["ID", "viewer", "valid", r"dash\u{1b}[2J"], &[]);
    let json = urva(state.path(), &["tokens", "list", "--format", "json"]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert_eq!((&json[0]["role"], &json[0]["state"]), (&"viewer".into(), &"valid".into()));
}

#[test]
fn a_token_is_revoked_once() {
    let state = tempfile::tempdir().expect("a folder");
    check(
        &urva(state.path(), &["tokens", "create", "a", "--role", "admin"]),
        0,
        &["urva_"],
        &["Token 1, admin"],
    );
    check(&urva(state.path(), &["tokens", "revoke", "1"]), 0, &[], &["Token 1 opens nothing any more."]);
    check(&urva(state.path(), &["tokens", "revoke", "1"]), 2, &[], &["no token 1 that is not revoked"]);
    check(&urva(state.path(), &["tokens", "list"]), 0, &["revoked"], &[]);
}

#[test]
fn what_makes_no_token_is_refused() {
    let state = tempfile::tempdir().expect("a folder");
    let refused = |args: &[&str], error: &str| check(&urva(state.path(), args), 2, &[], &[error]);
    refused(&["tokens", "create", "a", "--role", "root"], "must be viewer, analyst, responder or admin");
    refused(
        &["tokens", "create", "a", "--role", "viewer", "--expires", "0"],
        "a token that never expires is not made",
    );
    refused(&["tokens", "create", "a", "--role", "viewer", "--expires", "long"], "a duration is a number");
    refused(&["tokens", "create", "", "--role", "viewer"], "a value is required");
    refused(&["tokens", "list"], "there is no database");
}
