//! Finding findings again.

use super::sandbox;
use crate::samples::{HOUR, NOON, container, execution};
use crate::sandbox::Sandbox;
use evidence::{Category, Container, FindingId, Gap, GapKind, Runtime, State, Timestamp};
use store::{Cursor, Query, StoreError};

/// Four findings in two Pods, the newest last.
async fn filled() -> Sandbox {
    let sandbox = sandbox().await;
    let mut batch = [
        execution("aaaa", "one", 1, 0),
        execution("aaaa", "two", 2, 60),
        execution("bbbb", "one", 3, 120),
        execution("bbbb", "two", 4, 180),
    ];
    batch[1].state = State::Inactive;
    batch[3].category = Category::MaliciousScriptExecuted;
    sandbox.store.record(&batch, HOUR).await.unwrap();
    for container in
        [container("aaaa", "web-0", "shop", "reg/web:1"), container("bbbb", "db-0", "data", "reg/db:2")]
    {
        sandbox.store.complete_container(&container).await.unwrap();
    }
    sandbox
}

/// The pids of the findings that the query lets through, in the order of the list.
async fn check(query: Query, expected: &[u32]) {
    let page = filled().await.store.find(&query).await.unwrap();
    let pids: Vec<_> =
        page.items.iter().map(|finding| finding.script().unwrap().capture.process.pid).collect();
    assert_eq!(pids, expected, "{query:?}");
    assert_eq!((page.next, page.unreadable), (None, vec![]));
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[tokio::test]
async fn a_query_lists_the_newest_first_and_each_filter_narrows_it() {
    let all = Query::default;
    check(all(), &[4, 3, 2, 1]).await;
    check(Query { category: Some(Category::MaliciousScriptExecuted), ..all() }, &[4]).await;
    check(Query { state: Some(State::Active), ..all() }, &[4, 3, 1]).await;
    check(Query { container: text("aa"), ..all() }, &[2, 1]).await;
    check(Query { container: text("db-0-main"), ..all() }, &[4, 3]).await;
    check(Query { container: text("%"), ..all() }, &[]).await;
    check(Query { pod: text("web-0"), ..all() }, &[2, 1]).await;
    check(Query { namespace: text("data"), state: Some(State::Active), ..all() }, &[4, 3]).await;
    check(Query { image: text("/web"), ..all() }, &[2, 1]).await;
    check(Query { image: text("' OR 1=1 --"), ..all() }, &[]).await;
    check(Query { since: Some(Timestamp::from_seconds(NOON + 120)), ..all() }, &[4, 3]).await;
    check(Query { until: Some(Timestamp::from_seconds(NOON + 60)), ..all() }, &[2, 1]).await;
    check(Query { since: Some(Timestamp(u64::MAX)), ..all() }, &[]).await;
}

#[tokio::test]
async fn pages_follow_each_other_without_a_hole_or_a_double() {
    let sandbox = sandbox().await;
    // Three at each moment, so that the order within one moment matters too.
    let batch: Vec<_> =
        (0..30_u32).map(|pid| execution("a", &pid.to_string(), pid, u64::from(pid / 3))).collect();
    sandbox.store.record(&batch, HOUR).await.unwrap();
    let mut seen = Vec::new();
    let mut query = Query { limit: 7, ..Query::default() };
    loop {
        let page = sandbox.store.find(&query).await.unwrap();
        seen.extend(page.items.into_iter().map(|finding| finding.id));
        let Some(next) = page.next else { break };
        query.after = Some(Cursor::parse(&next.to_string()).unwrap());
    }
    assert_eq!(seen, batch.iter().rev().map(|finding| finding.id.clone()).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_page_of_large_texts_ends_early_and_goes_on() {
    let sandbox = sandbox().await;
    let large = "#".repeat(6 << 20);
    let batch: Vec<_> = (0..4).map(|pid| execution("a", &format!("{pid}{large}"), pid, pid.into())).collect();
    sandbox.store.record(&batch, HOUR).await.unwrap();
    let page = sandbox.store.find(&Query::default()).await.unwrap();
    assert_eq!(page.items, [batch[3].clone(), batch[2].clone()]);
    let rest = sandbox.store.find(&Query { after: page.next, ..Query::default() }).await.unwrap();
    assert_eq!(rest.items, [batch[1].clone(), batch[0].clone()]);
    assert_eq!(rest.next, None);
}

#[test]
fn only_a_cursor_is_read_as_a_cursor() {
    for text in ["", "-", "12", "zz-ab", "-1-ab", "12-", "12-xyz", "ffffffffffffffff-ab", "12-ab-cd"] {
        assert_eq!(Cursor::parse(text), None, "{text}");
    }
    assert_eq!(Cursor::parse("1f-ab").unwrap().to_string(), "1f-ab");
}

#[tokio::test]
async fn a_finding_is_named_by_the_beginning_of_its_id() {
    let sandbox = sandbox().await;
    let batch: Vec<_> = (0..100).map(|pid| execution("a", &pid.to_string(), pid, 0)).collect();
    sandbox.store.record(&batch, HOUR).await.unwrap();
    let id = &batch[0].id;
    assert_eq!(sandbox.store.get(id).await.unwrap(), batch[0]);
    let prefix = FindingId::parse(&id.as_str()[..16]).unwrap();
    assert_eq!(sandbox.store.get(&prefix).await.unwrap(), batch[0]);
    let digit = FindingId::parse(&id.as_str()[..1]).unwrap();
    match sandbox.store.get(&digit).await {
        Err(StoreError::Ambiguous { matches, .. }) => {
            assert!(matches.len() > 1 && matches.len() <= 10);
            assert!(matches.iter().all(|found| found.as_str().starts_with(digit.as_str())));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_finding_that_is_not_there_is_said_not_to_be() {
    let sandbox = sandbox().await;
    let id = FindingId::parse("0123").unwrap();
    let error = sandbox.store.get(&id).await.unwrap_err();
    assert!(matches!(&error, StoreError::NotFound { .. }), "{error:?}");
    assert!(error.to_string().contains("0123"), "{error}");
    assert!(matches!(sandbox.store.executions(&id, 1).await, Err(StoreError::NotFound { .. })));
}

#[tokio::test]
async fn gaps_come_back_newest_first() {
    let sandbox = sandbox().await;
    let gap = |seconds, lost| Gap {
        kind: GapKind::KernelBufferFull,
        from: Timestamp::from_seconds(NOON),
        to: Timestamp::from_seconds(NOON + seconds),
        lost,
        detail: "\u{1b}[31m\0 full".to_owned(),
        container: Some(Container::pending("flooding", Some(Runtime::Runc))),
    };
    let gaps = [gap(1, Some(u64::MAX)), gap(2, None), gap(3, Some(0))];
    for gap in &gaps {
        sandbox.store.record_gap(gap).await.unwrap();
    }
    let since = Timestamp::from_seconds(NOON + 2);
    assert_eq!(sandbox.store.gaps(since, 10).await.unwrap(), [gaps[2].clone(), gaps[1].clone()]);
    assert_eq!(sandbox.store.gaps(Timestamp(0), 1).await.unwrap(), [gaps[2].clone()]);
}
