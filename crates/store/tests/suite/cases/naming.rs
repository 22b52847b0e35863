//! Findings found by the beginning of their ids.

use super::sandbox;
use crate::samples::{HOUR, NOON, execution};
use evidence::Timestamp;
use serde_json::json;
use store::{By, Named, Store};

const SOMEBODY: By<'_> = By { actor: "test", at: Timestamp::from_seconds(NOON) };

async fn create(store: &Store, source: &str, id: &str) {
    let event_time = Timestamp::from_seconds(NOON).to_string();
    let document = json!({"category": "Noise", "resourceName": "//x", "eventTime": event_time});
    store.create_finding(source, id, document, json!({"name": "//x"}), &SOMEBODY).await.unwrap();
}

/// The sources and ids that the beginning leads to.
async fn found(store: &Store, prefix: &str) -> Vec<(String, String)> {
    match store.named(prefix).await.unwrap() {
        Named::Nothing => Vec::new(),
        Named::One(stored) => vec![(stored.source, stored.id)],
        Named::Several(several) => several,
    }
}

#[tokio::test]
async fn the_beginning_of_an_id_is_enough_where_it_is_one_findings() {
    let sandbox = sandbox().await;
    let store = &sandbox.store;
    let own = execution("k", "print(1)", 1, 0);
    store.record(std::slice::from_ref(&own), HOUR).await.unwrap();
    for (source, id) in [("a", "zOne"), ("a", "zOne2"), ("b", "zTwo"), ("a", "zTwo"), ("a", "Z")] {
        create(store, source, id).await;
    }
    let pair = |source: &str, id: &str| (source.to_owned(), id.to_owned());
    assert_eq!(found(store, &own.id.as_str()[..8]).await[0].1, own.id.as_str());
    assert_eq!(found(store, "zOne2").await, [pair("a", "zOne2")]);
    assert_eq!(found(store, "zOne").await, [pair("a", "zOne")], "a whole id comes first");
    assert_eq!(found(store, "zO").await, [pair("a", "zOne"), pair("a", "zOne2")]);
    assert_eq!(
        found(store, "zTwo").await,
        [pair("a", "zTwo"), pair("b", "zTwo")],
        "the same id in two sources"
    );
    assert_eq!(found(store, "Z").await, [pair("a", "Z")], "letters are not folded");
    assert_eq!(found(store, "zThree").await, []);
    assert_eq!(found(store, "z%").await, []);
    for number in 0..12 {
        create(store, "a", &format!("many{number:02}")).await;
    }
    assert_eq!(found(store, "many").await.len(), 10);
}
