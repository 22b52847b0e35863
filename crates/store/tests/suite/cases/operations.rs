//! Work that is kept until it is done.

use super::sandbox;
use serde_json::json;
use store::{Kind, StoreError};

#[tokio::test]
async fn work_is_kept_until_it_is_ended_by_one_who_knows_it() {
    let store = &sandbox().await.store;
    let (first, second) =
        (json!({"filter": "a", "at": 1_795_262_400_000_000_001_u64}), json!({"filter": "b"}));
    assert!(store.add_operation("1", &first).await.unwrap());
    assert!(!store.add_operation("1", &second).await.unwrap(), "the id is taken");
    assert_eq!(store.setting(Kind::Operation, "1").await.unwrap(), first);
    store.put_operation("1", &second).await.unwrap();
    store.put_operation("rule-a", &first).await.unwrap();
    let kept = store.settings(Kind::Operation, None, 10).await.unwrap();
    let kept: Vec<_> = kept.iter().map(|one| (one.id.as_str(), &one.document)).collect();
    assert_eq!(kept, [("1", &second), ("rule-a", &first)]);
    assert!(!store.end_operation("1", &first, None).await.unwrap(), "it was changed meanwhile");
    assert!(store.end_operation("1", &second, Some(&first)).await.unwrap());
    assert!(store.end_operation("1", &first, None).await.unwrap());
    assert!(!store.end_operation("1", &first, None).await.unwrap(), "it is gone");
    let gone = store.setting(Kind::Operation, "1").await;
    assert!(matches!(gone, Err(StoreError::NoSuchSetting { .. })), "{gone:?}");
    assert_eq!(
        store.audit(None, None, 10).await.unwrap(),
        [],
        "what it does is in the trail, not the work itself"
    );
}
