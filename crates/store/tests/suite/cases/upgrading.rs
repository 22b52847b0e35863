//! A database that an older urva made.

use super::older;
use crate::samples::{HOUR, capture, execution, finding};
use crate::sandbox::{Older, run};
use evidence::{Finding, State};
use store::{Query, Store};

/// A row as version 1 wrote it.
fn row(older: &Older, seq: i64, finding: &Finding) -> String {
    let mut bare = finding.clone();
    *bare.container_mut() = None;
    let judged = bare.script_mut().unwrap();
    let text = std::mem::replace(
        &mut judged.capture.script.content,
        evidence::Content::Whole(evidence::Untrusted::default()),
    );
    let body = serde_json::json!({"finding": bare, "head_bytes": 0}).to_string();
    let container = serde_json::to_string(&finding.container()).unwrap();
    let blob = |bytes: &[u8]| {
        let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        if older.address.is_absolute() { format!("x'{digits}'") } else { format!("'\\x{digits}'") }
    };
    let sha256 = blob(&finding.content_sha256.0);
    let overriding = if older.address.is_absolute() { "" } else { "OVERRIDING SYSTEM VALUE" };
    format!(
        "INSERT INTO scripts VALUES ({sha256}, {text}) ON CONFLICT DO NOTHING;
         INSERT INTO findings {overriding} VALUES ({seq}, '{id}', '{category}', '{state}', {first}, {last}, 3, {sha256}, '{container_id}',
             0, NULL, NULL, NULL, NULL, '{container}', '{body}');
         INSERT INTO executions VALUES ({seq}, 1, 100, {first}), ({seq}, 2, 200, {last}), ({seq}, 3, 300, {last});",
        text = blob(text.parts().0),
        id = finding.id,
        category = finding.category.module_name(),
        state = finding.state.as_str(),
        first = finding.first_seen.0,
        last = finding.last_seen.0,
        container_id = finding.container_id(),
        body = body.replace('\'', "''"),
    )
}

#[tokio::test]
async fn findings_of_version_1_are_all_there_afterwards() {
    let older = older().await;
    let mut closed = finding(capture("a", "print('it''s')\n", 1, 0));
    closed.state = State::Inactive;
    let mut findings = vec![closed, execution("a", "y", 2, 60), execution("b", "y", 3, 120)];
    for (seq, finding) in (1..).zip(&mut findings) {
        finding.count = 3;
        run(&older.address, &row(&older, seq * 10, finding)).await;
    }
    run(&older.address, "UPDATE findings SET body = 'damaged' WHERE seq = 30").await;
    let store = Store::open(&older.address).await.unwrap();
    for finding in &findings[..2] {
        assert_eq!(store.get(&finding.id).await.unwrap(), *finding);
        assert_eq!(store.executions(&finding.id, 10).await.unwrap().len(), 3);
    }
    let page = store.find(&Query::default()).await.unwrap();
    assert_eq!((page.items.len(), page.unreadable), (2, vec![findings[2].id.clone()]));
    let again = execution("a", "y", 9, 61);
    let recorded = store.record(&[again, execution("b", "y", 3, 120)], HOUR).await.unwrap();
    assert_eq!((&recorded[0].id, recorded[0].count), (&findings[1].id, 4), "it is folded as before");
    assert!(store.get(&findings[2].id).await.is_ok(), "a new report repairs it");
    drop(store);
    Store::open_read_only(&older.address).await.unwrap();
}
