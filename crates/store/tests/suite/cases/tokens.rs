//! Tokens of the API.

use super::sandbox;
use crate::samples::NOON;
use evidence::Timestamp;
use store::{By, NewToken};

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_seconds(NOON + seconds)
}

fn token(name: &str, byte: u8) -> NewToken {
    NewToken {
        name: name.to_owned(),
        role: "viewer".to_owned(),
        sha256: [byte; 32],
        created_at: at(0),
        expires_at: at(100),
    }
}

fn by(seconds: u64) -> By<'static> {
    By { actor: "bob", at: at(seconds) }
}

#[tokio::test]
async fn the_audit_trail_says_who_made_and_who_revoked_a_token() {
    let sandbox = sandbox().await;
    let id = sandbox.store.add_token(&token("dashboard", 1), "ann").await.unwrap();
    assert!(sandbox.store.add_token(&token("again", 1), "ann").await.is_err(), "one hash is kept once");
    assert!(sandbox.store.revoke_token(id, &by(10)).await.unwrap());
    assert!(!sandbox.store.revoke_token(id, &by(20)).await.unwrap());
    let trail = sandbox.store.audit(Some(&format!("tokens/{id}")), None, 10).await.unwrap();
    let said: Vec<_> = trail.iter().map(|entry| (&*entry.actor, &*entry.action, entry.at)).collect();
    assert_eq!(said, [("bob", "RevokeToken", at(10)), ("ann", "CreateToken", at(0))]);
    assert_eq!(trail[0].before.as_ref().unwrap()["name"], "dashboard");
    assert_eq!(trail[1].after.as_ref().unwrap()["role"], "viewer");
    assert_eq!(sandbox.store.audit(None, None, 10).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_token_is_found_by_its_hash_and_valid_until_it_expires() {
    let sandbox = sandbox().await;
    let id = sandbox.store.add_token(&token("dashboard", 1), "ann").await.unwrap();
    let found = sandbox.store.find_token(&[1; 32]).await.unwrap().unwrap();
    assert_eq!((found.id, found.name.as_str(), found.role.as_str()), (id, "dashboard", "viewer"));
    assert_eq!((found.created_at, found.expires_at, found.revoked_at), (at(0), at(100), None));
    assert!(found.is_valid(at(99)) && !found.is_valid(at(100)));
    assert_eq!(sandbox.store.find_token(&[2; 32]).await.unwrap(), None);
}

#[tokio::test]
async fn a_token_that_was_revoked_stays_and_is_worth_nothing() {
    let sandbox = sandbox().await;
    let first = sandbox.store.add_token(&token("first", 1), "ann").await.unwrap();
    sandbox.store.add_token(&token("second", 2), "ann").await.unwrap();
    assert!(sandbox.store.revoke_token(first, &by(10)).await.unwrap());
    assert!(!sandbox.store.revoke_token(first, &by(20)).await.unwrap(), "revoked before");
    assert!(!sandbox.store.revoke_token(99, &by(20)).await.unwrap(), "unknown");
    let tokens = sandbox.store.tokens().await.unwrap();
    let names: Vec<(&str, Option<Timestamp>, bool)> =
        tokens.iter().map(|one| (one.name.as_str(), one.revoked_at, one.is_valid(at(11)))).collect();
    assert_eq!(names, [("first", Some(at(10)), false), ("second", None, true)]);
}

#[tokio::test]
async fn one_hash_is_kept_once() {
    let sandbox = sandbox().await;
    sandbox.store.add_token(&token("first", 1), "ann").await.unwrap();
    let twice = sandbox.store.add_token(&token("second", 1), "ann").await;
    assert!(twice.is_err(), "{twice:?}");
    assert_eq!(sandbox.store.tokens().await.unwrap().len(), 1);
}
