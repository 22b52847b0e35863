//! What is thrown away.

use super::sandbox;
use crate::samples::{HOUR, NOON, execution};
use crate::sandbox::Sandbox;
use evidence::{Gap, GapKind, Timestamp};
use std::time::Duration;
use store::{By, Kind, Query, Removed, RetentionPolicy, StoreError};

/// Three findings a minute apart, of which the first two share a text, and a gap with each.
async fn filled() -> Sandbox {
    let sandbox = sandbox().await;
    for (container, text, seconds) in [("a", "x", 0), ("b", "x", 60), ("c", "y", 120)] {
        let pid = u32::try_from(seconds).unwrap();
        sandbox.store.record(&[execution(container, text, pid, seconds)], HOUR).await.unwrap();
        let at = Timestamp::from_seconds(NOON + seconds);
        let gap = Gap {
            kind: GapKind::ProbeSkipped,
            from: at,
            to: at,
            lost: None,
            detail: String::new(),
            container: None,
        };
        sandbox.store.record_gap(&gap).await.unwrap();
    }
    sandbox
}

async fn check(policy: RetentionPolicy, removed: Removed, kept: &[&str]) {
    let Sandbox { store, folder: _folder, .. } = filled().await;
    let now = Timestamp::from_seconds(NOON + 180);
    assert_eq!(store.retain(&policy, now).await.unwrap(), removed);
    let page = store.find(&Query::default()).await.unwrap();
    assert_eq!(page.items.iter().map(|finding| finding.container_id()).collect::<Vec<_>>(), kept);
    assert_eq!(store.retain(&policy, now).await.unwrap(), Removed::default(), "nothing is left to remove");
}

#[tokio::test]
async fn the_default_keeps_everything() {
    check(RetentionPolicy::default(), Removed::default(), &["c", "b", "a"]).await;
}

#[tokio::test]
async fn what_is_old_goes_and_a_text_goes_with_its_last_finding() {
    let keep = |seconds| RetentionPolicy {
        max_age: Some(Duration::from_secs(seconds)),
        max_findings: None,
        ..RetentionPolicy::default()
    };
    check(keep(180), Removed::default(), &["c", "b", "a"]).await;
    check(keep(130), Removed { findings: 1, scripts: 0, gaps: 1 }, &["c", "b"]).await;
    check(keep(60), Removed { findings: 2, scripts: 1, gaps: 2 }, &["c"]).await;
    check(keep(0), Removed { findings: 3, scripts: 2, gaps: 3 }, &[]).await;
}

#[tokio::test]
async fn what_is_too_much_goes_the_oldest_first() {
    let keep = |findings| RetentionPolicy { max_findings: Some(findings), ..RetentionPolicy::default() };
    check(keep(3), Removed::default(), &["c", "b", "a"]).await;
    check(keep(2), Removed { findings: 1, scripts: 0, gaps: 0 }, &["c", "b"]).await;
    check(keep(0), Removed { findings: 3, scripts: 2, gaps: 0 }, &[]).await;
}

#[tokio::test]
async fn a_finding_goes_with_its_executions() {
    let Sandbox { store, folder: _folder, .. } = filled().await;
    let id = store.find(&Query::default()).await.unwrap().items[0].id.clone();
    let policy = RetentionPolicy { max_findings: Some(0), ..RetentionPolicy::default() };
    store.retain(&policy, Timestamp::from_seconds(NOON)).await.unwrap();
    assert!(matches!(store.executions(&id, 1).await, Err(StoreError::NotFound { .. })));
    let again = store.record(&[execution("c", "y", 120, 120)], HOUR).await.unwrap();
    assert_eq!(again[0].outcome, store::Outcome::New);
}

#[tokio::test]
async fn what_takes_too_much_space_goes_the_oldest_first() {
    let sandbox = sandbox().await;
    // Texts that hardly get smaller by compressing them.
    let noise = |seed: u32| {
        (0..4_000_u32)
            .map(|n| format!("{:x}", n.wrapping_mul(seed * 2 + 1).wrapping_mul(2_654_435_761)))
            .collect::<String>()
    };
    let batch: Vec<_> = (0..120_u32).map(|pid| execution("a", &noise(pid), pid, u64::from(pid))).collect();
    sandbox.store.record(&batch, HOUR).await.unwrap();
    let policy = RetentionPolicy { max_bytes: Some(1 << 20), ..RetentionPolicy::default() };
    let now = Timestamp::from_seconds(NOON + 180);
    let removed = sandbox.store.retain(&policy, now).await.unwrap();
    assert!((20..120).contains(&removed.findings), "{removed:?}");
    let left = sandbox.store.find(&Query { limit: 1000, ..Query::default() }).await.unwrap().items;
    assert_eq!(left.len() as u64, 120 - removed.findings);
    assert!(
        left.iter().all(
            |finding| finding.last_seen > batch[usize::try_from(removed.findings).unwrap() - 1].last_seen
        )
    );
    assert_eq!(sandbox.store.retain(&policy, now).await.unwrap(), Removed::default());
}

#[tokio::test]
async fn the_audit_trail_says_what_retention_removed_and_loses_its_oldest_entries() {
    let sandbox = filled().await;
    let by = By { actor: "ann", at: Timestamp::from_seconds(NOON) };
    sandbox.store.create_setting(Kind::MuteConfig, "m", serde_json::json!({}), &by).await.unwrap();
    let policy = RetentionPolicy { max_age: Some(Duration::from_secs(60)), ..RetentionPolicy::default() };
    let now = Timestamp::from_seconds(NOON + 180);
    sandbox.store.retain(&policy, now).await.unwrap();
    let trail = sandbox.store.audit(None, None, 10).await.unwrap();
    assert_eq!(trail.len(), 1, "{trail:?}");
    assert_eq!(
        (trail[0].actor.as_str(), trail[0].action.as_str(), trail[0].at),
        ("retention", "Retain", now)
    );
    assert_eq!(trail[0].before, Some(serde_json::json!({"findings": 2, "scripts": 1})));
}

#[tokio::test]
async fn what_people_set_up_and_the_trail_of_it_push_no_finding_out() {
    let sandbox = filled().await;
    let by = By { actor: "ann", at: Timestamp::from_seconds(NOON) };
    for number in 0..4 {
        let long = serde_json::json!({"description": "x".repeat(400_000)});
        sandbox.store.create_setting(Kind::MuteConfig, &number.to_string(), long, &by).await.unwrap();
    }
    let policy = RetentionPolicy { max_bytes: Some(1 << 20), ..RetentionPolicy::default() };
    let now = Timestamp::from_seconds(NOON + 180);
    assert_eq!(sandbox.store.retain(&policy, now).await.unwrap(), Removed::default());
}

#[tokio::test]
async fn a_long_trail_goes_in_short_steps() {
    let sandbox = sandbox().await;
    let add = match sandbox.is_file() {
        true => {
            "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 1300) INSERT INTO audit (at, actor, action, object) SELECT x, 'a', 'b', 'c' FROM n"
        }
        false => {
            "INSERT INTO audit (at, actor, action, object) SELECT x, 'a', 'b', 'c' FROM generate_series(1, 1300) AS n (x)"
        }
    };
    sandbox.run(add).await;
    let policy = RetentionPolicy { max_age: Some(Duration::ZERO), ..RetentionPolicy::default() };
    sandbox.store.retain(&policy, Timestamp(1_201)).await.unwrap();
    let left = sandbox.store.audit(None, None, 1_000).await.unwrap();
    assert_eq!((left.len(), left.last().unwrap().at), (100, Timestamp(1_201)));
}
