//! `kill -9` at any moment: what was acknowledged is there, and the database is sound.

use crate::child::{Second, role, say, wait_for};
use crate::samples::{HOUR, capture, execution, finding, with_hash};
use evidence::{FindingId, Timestamp};
use sqlx::Connection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::time::Duration;
use store::{Query, RetentionPolicy, StateLock, Store};
use tempfile::TempDir;

const ROUNDS: u64 = 60;

#[test]
fn a_killed_writer_loses_nothing_that_was_acknowledged() {
    if let Some(path) = role() {
        wait_for(record_for_ever(&path));
    }
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("urva.db");
    let mut acknowledged = BTreeSet::new();
    for _ in 0..ROUNDS {
        let mut writer =
            Second::start("file::killing::a_killed_writer_loses_nothing_that_was_acknowledged", &path);
        acknowledged.insert(writer.hear().unwrap());
        std::thread::sleep(Duration::from_micros(random_below(50_000)));
        acknowledged.extend(writer.kill());
        wait_for(check(&path, &acknowledged));
    }
    assert!(acknowledged.len() > 60, "only {} findings in {ROUNDS} rounds", acknowledged.len());
    println!("{ROUNDS} writers were killed, {} findings acknowledged", acknowledged.len());
}

#[test]
fn a_writer_killed_while_it_creates_the_database_leaves_one_that_can_be_opened() {
    if let Some(path) = role() {
        wait_for(record_for_ever(&path));
    }
    let mut cut_short = 0;
    for _ in 0..ROUNDS {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("urva.db");
        let test =
            "file::killing::a_writer_killed_while_it_creates_the_database_leaves_one_that_can_be_opened";
        let writer = Second::start(test, &path);
        // About the time from the process's start to its first acknowledgement.
        std::thread::sleep(Duration::from_micros(random_below(25_000)));
        let acknowledged: BTreeSet<_> = writer.kill().into_iter().collect();
        cut_short += u64::from(acknowledged.is_empty() && path.exists());
        wait_for(check(&path, &acknowledged));
    }
    println!("{cut_short} of {ROUNDS} writers were killed between the file's creation and the first record");
}

#[test]
fn a_reader_in_another_process_sees_what_the_writer_has_acknowledged() {
    if let Some(path) = role() {
        wait_for(record_for_ever(&path));
    }
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("urva.db");
    let test = "file::killing::a_reader_in_another_process_sees_what_the_writer_has_acknowledged";
    let mut writer = Second::start(test, &path);
    let first = writer.hear().unwrap();
    wait_for(async {
        let reader = Store::open_read_only(&path).await.unwrap();
        contains(&reader, &BTreeSet::from([first])).await;
        for _ in 0..200 {
            let acknowledged = BTreeSet::from([writer.hear().unwrap()]);
            contains(&reader, &acknowledged).await;
            contains(&Store::open_read_only(&path).await.unwrap(), &acknowledged).await;
        }
        let page = reader.find(&Query { limit: 1000, ..Query::default() }).await.unwrap();
        assert!(page.items.len() > 100, "{} findings", page.items.len());
    });
}

/// The writer: single records, batches, folding, late metadata and retention, in turn; it says each id once
/// its record has returned.
async fn record_for_ever(path: &Path) -> ! {
    let _lock = StateLock::acquire(path.parent().unwrap()).unwrap();
    let store = Store::open(path).await.unwrap();
    let start = u32::try_from(random_below(1 << 30)).unwrap();
    for pid in start.. {
        let text = format!("{pid}{}", "#".repeat(usize::try_from(random_below(20_000)).unwrap()));
        let batch = [
            execution("single", &text, pid, 0),
            finding(with_hash(capture("folded", "always the same", pid, 1))),
            execution("other", &text, pid, 2),
        ];
        for recorded in store.record(&batch, HOUR).await.unwrap() {
            say(recorded.id.as_str());
        }
        let container = crate::samples::container("other", &pid.to_string(), "shop", "reg/web:1");
        store.complete_container(&container).await.unwrap();
        // Removes nothing, but goes through its transaction.
        store.retain(&RetentionPolicy::default(), Timestamp(0)).await.unwrap();
    }
    panic!("out of process ids");
}

async fn check(path: &Path, acknowledged: &BTreeSet<String>) {
    let _lock = StateLock::acquire(path.parent().unwrap()).unwrap();
    if !acknowledged.is_empty() {
        // A reader comes first: it finds the WAL as the killed writer left it.
        contains(&Store::open_read_only(path).await.unwrap(), acknowledged).await;
    }
    let store = Store::open(path).await.unwrap();
    contains(&store, acknowledged).await;
    store.close().await.unwrap();
    let mut raw = SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(path)).await.unwrap();
    let verdict: String = sqlx::query_scalar("PRAGMA integrity_check").fetch_one(&mut raw).await.unwrap();
    assert_eq!(verdict, "ok");
    let orphans: i64 = sqlx::query_scalar(
        "SELECT (SELECT count(*) FROM executions WHERE finding NOT IN (SELECT seq FROM findings))
              + (SELECT count(*) FROM findings WHERE content_sha256 NOT IN (SELECT sha256 FROM scripts))
              + (SELECT count(*) FROM findings
                 WHERE count <> (SELECT count(*) FROM executions WHERE finding = seq) AND count < 1000)",
    )
    .fetch_one(&mut raw)
    .await
    .unwrap();
    assert_eq!(orphans, 0, "a batch was recorded in part");
}

async fn contains(store: &Store, acknowledged: &BTreeSet<String>) {
    for id in acknowledged {
        let found = store.get(&FindingId::parse(id).unwrap()).await.unwrap();
        assert_eq!(found.id.as_str(), id);
    }
}

/// Anything less than `limit`, another at each call.
fn random_below(limit: u64) -> u64 {
    RandomState::new().hash_one(0) % limit
}
