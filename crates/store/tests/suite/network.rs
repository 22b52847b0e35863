//! What is true of a database behind a server alone: it may be away, refuse, be newer, or have other writers.

use crate::samples::{HOUR, execution};
use crate::server::{Server, new_database};
use sqlx::{Connection, PgConnection};
use store::{Outcome, Query, Store, StoreError};

/// Runs a statement past the store.
async fn run(address: &str, statement: &'static str) {
    let mut raw = PgConnection::connect(address).await.unwrap();
    sqlx::raw_sql(statement).execute(&mut raw).await.unwrap();
}

#[tokio::test]
async fn what_was_recorded_is_there_after_opening_again_and_for_readers() {
    let address = new_database();
    let finding = execution("a", "x", 1, 0);
    let store = Store::open(&address).await.unwrap();
    store.record(std::slice::from_ref(&finding), HOUR).await.unwrap();
    let reader = Store::open_read_only(&address).await.unwrap();
    assert_eq!(reader.get(&finding.id).await.unwrap(), finding);
    let refused = reader.record(&[execution("a", "y", 2, 0)], HOUR).await;
    assert!(matches!(refused, Err(StoreError::NotWritable { .. })), "{refused:?}");
    store.close().await.unwrap();
    let again = Store::open(&address).await.unwrap();
    assert_eq!(again.get(&finding.id).await.unwrap(), finding);
    assert!(again.path().to_str().unwrap().starts_with("postgres://urva@/tmp/"), "{:?}", again.path());
}

#[tokio::test]
async fn an_empty_database_has_nothing_to_read() {
    let address = new_database();
    let error = Store::open_read_only(&address).await.unwrap_err();
    assert!(matches!(error, StoreError::NoDatabase { .. }), "{error:?}");
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_an_older_one_not_read() {
    let address = new_database();
    Store::open(&address).await.unwrap();
    run(&address, "UPDATE urva.schema_version SET version = 99").await;
    for error in
        [Store::open(&address).await.unwrap_err(), Store::open_read_only(&address).await.unwrap_err()]
    {
        assert!(matches!(error, StoreError::Newer { found: 99, .. }), "{error:?}");
        assert!(error.to_string().contains("version 99"), "{error}");
    }
    run(&address, "UPDATE urva.schema_version SET version = 0").await;
    let error = Store::open_read_only(&address).await.unwrap_err();
    assert!(matches!(error, StoreError::Older { found: 0, .. }), "{error:?}");
}

#[tokio::test]
async fn another_programs_tables_are_left_alone() {
    let address = new_database();
    run(&address, "CREATE TABLE findings (recipe text); INSERT INTO findings VALUES ('soup')").await;
    let store = Store::open(&address).await.unwrap();
    store.record(&[execution("a", "x", 1, 0)], HOUR).await.unwrap();
    let mut raw = PgConnection::connect(&address).await.unwrap();
    let recipes: Vec<String> =
        sqlx::query_scalar("SELECT recipe FROM public.findings").fetch_all(&mut raw).await.unwrap();
    assert_eq!(recipes, ["soup"]);
}

#[tokio::test]
async fn hubs_that_start_at_once_bring_the_schema_up_to_date_once() {
    let address = new_database();
    let hubs: Vec<_> = (0..6)
        .map(|hub| {
            let address = address.clone();
            tokio::spawn(async move {
                let store = Store::open(&address).await.unwrap();
                store.record(&[execution("a", &hub.to_string(), hub, 0)], HOUR).await.unwrap();
            })
        })
        .collect();
    for hub in hubs {
        hub.await.unwrap();
    }
    let store = Store::open(&address).await.unwrap();
    assert_eq!(store.find(&Query::default()).await.unwrap().items.len(), 6);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_and_may_come_back() {
    let error = Store::open("postgres://urva:geheim@127.0.0.1:1/urva").await.unwrap_err();
    assert!(matches!(error, StoreError::Unreachable { .. }) && error.is_temporary(), "{error:?}");
    assert!(error.to_string().contains("postgres://urva@127.0.0.1:1/urva"), "{error}");
    assert!(!error.to_string().contains("geheim"), "{error}");
}

#[tokio::test]
async fn a_database_that_is_missing_is_not_made_up() {
    let missing = new_database().replace("///t", "///missing");
    let error = Store::open(&missing).await.unwrap_err();
    assert!(matches!(error, StoreError::Refused { .. }) && !error.is_temporary(), "{error:?}");
    let error = Store::open("postgres://[").await.unwrap_err();
    assert!(matches!(error, StoreError::UnknownAddress { .. }), "{error:?}");
}

#[tokio::test]
async fn a_connection_that_was_cut_is_made_again() {
    let address = new_database();
    let store = Store::open(&address).await.unwrap();
    let first = execution("a", "x", 1, 0);
    store.record(std::slice::from_ref(&first), HOUR).await.unwrap();
    assert_eq!(store.get(&first.id).await.unwrap(), first);
    run(
        &address,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    .await;
    let again = execution("a", "x", 2, 1);
    let recorded = store.record(std::slice::from_ref(&again), HOUR).await.unwrap();
    assert_eq!((recorded[0].outcome, recorded[0].count), (Outcome::Updated, 2));
    assert_eq!(store.get(&first.id).await.unwrap().count, 2);
}

/// The database goes away with everybody connected, and comes back.
#[tokio::test]
async fn a_database_that_goes_away_is_waited_for_and_loses_nothing() {
    let server = Server::start();
    let address = server.new_database();
    let store = Store::open(&address).await.unwrap();
    let recorded: Vec<_> = (0..20).map(|pid| execution("a", &pid.to_string(), pid, 0)).collect();
    store.record(&recorded, HOUR).await.unwrap();
    server.stop();
    let waiting = execution("a", "while it is away", 99, 0);
    for _ in 0..3 {
        let error = store.record(std::slice::from_ref(&waiting), HOUR).await.unwrap_err();
        assert!(matches!(error, StoreError::Unreachable { .. }) && error.is_temporary(), "{error:?}");
        let error = store.get(&recorded[0].id).await.unwrap_err();
        assert!(error.is_temporary(), "{error:?}");
    }
    server.start_again();
    let outcome = store.record(std::slice::from_ref(&waiting), HOUR).await.unwrap();
    assert_eq!(outcome[0].outcome, Outcome::New);
    for finding in recorded.iter().chain([&waiting]) {
        assert_eq!(store.get(&finding.id).await.unwrap(), *finding);
    }
}

/// A server that was killed in the middle of a burst has all that was acknowledged, and nothing of it twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_killed_during_a_burst_loses_nothing_that_was_acknowledged() {
    let server = Server::start();
    let address = server.new_database();
    let store = Store::open(&address).await.unwrap();
    let burst = tokio::spawn(async move {
        let mut acknowledged = 0;
        for pid in 0..20_000 {
            let finding = execution("a", "x", pid, 0);
            while let Err(error) = store.record(std::slice::from_ref(&finding), HOUR).await {
                assert!(error.is_temporary(), "{error:?}");
                tokio::task::yield_now().await;
            }
            acknowledged += 1;
            if pid >= 300 {
                break;
            }
        }
        (store, acknowledged)
    });
    for _ in 0..2 {
        server.kill();
        server.start_again();
    }
    let (store, acknowledged) = burst.await.unwrap();
    let page = store.find(&Query::default()).await.unwrap();
    assert_eq!(page.items.iter().map(|finding| finding.count).collect::<Vec<_>>(), [acknowledged]);
}

#[tokio::test]
async fn the_server_ends_what_takes_longer_than_it_may() {
    let address = new_database();
    let store = Store::open(&address).await.unwrap().limit_reads(std::time::Duration::from_millis(50));
    let mut raw = PgConnection::connect(&address).await.unwrap();
    sqlx::raw_sql("BEGIN; LOCK TABLE urva.findings").execute(&mut raw).await.unwrap();
    let error = store.find(&Query::default()).await.unwrap_err();
    assert!(matches!(error, StoreError::TooSlow { .. }), "{error:?}");
    sqlx::raw_sql("ROLLBACK").execute(&mut raw).await.unwrap();
    store.find(&Query::default()).await.unwrap();
}
