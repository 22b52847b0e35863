//! What is opened, what is refused, and that a refused file stays as it is.

use crate::samples::{HOUR, NOON, execution};
use crate::sandbox::Sandbox;
use evidence::Timestamp;
use sqlx::Connection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use store::{Query, RunStart, Store, StoreError};
use tempfile::TempDir;

/// A database with 300 findings, closed.
async fn database() -> (TempDir, PathBuf) {
    let sandbox = Sandbox::on_sqlite().await;
    let path = sandbox.address.clone();
    let text = "#".repeat(500);
    let batch: Vec<_> = (0..300).map(|pid| execution("a", &format!("{pid}{text}"), pid, 0)).collect();
    sandbox.store.record(&batch, HOUR).await.unwrap();
    sandbox.store.close().await.unwrap();
    (sandbox.folder, path)
}

/// Both ways of opening refuse the file, say its name and these words, and do not change it.
async fn check_refused(path: &Path, words: &[&str]) {
    let before = std::fs::read(path).unwrap_or_default();
    for error in [Store::open(path).await.unwrap_err(), Store::open_read_only(path).await.unwrap_err()] {
        let message = error.to_string();
        for word in words.iter().chain(&[path.to_str().unwrap()]) {
            assert!(message.contains(word), "{message:?} does not say {word:?}");
        }
    }
    assert!(before == std::fs::read(path).unwrap_or_default(), "the file was changed");
}

fn overwrite(path: &Path, offset: u64, bytes: &[u8]) {
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(bytes, offset).unwrap();
}

#[tokio::test]
async fn what_was_recorded_is_there_after_opening_again() {
    let sandbox = Sandbox::on_sqlite().await;
    let finding = sandbox.stored(&execution("a", "x", 1, 0)).await;
    let path = sandbox.address.clone();
    drop(sandbox.store);
    let store = Store::open(&path).await.unwrap();
    assert_eq!(store.get(&finding.id).await.unwrap(), finding);
    assert_eq!(store.path(), path);
}

#[tokio::test]
async fn only_the_owner_may_read_the_database() {
    let sandbox = Sandbox::on_sqlite().await;
    sandbox.stored(&execution("a", "x", 1, 0)).await;
    for name in ["urva.db", "urva.db-wal", "urva.db-shm"] {
        let mode = std::fs::metadata(sandbox.folder.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[tokio::test]
async fn the_settings_that_keep_a_record_safe_are_in_force() {
    let sandbox = Sandbox::on_sqlite().await;
    sandbox.stored(&execution("a", "x", 1, 0)).await;
    let header = std::fs::read(&sandbox.address).unwrap();
    assert_eq!(header[18..20], [2, 2], "WAL, by the file format's own numbers");
}

#[tokio::test]
async fn an_address_is_a_path_or_a_url() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a ?b=%20#c.db");
    let finding = execution("a", "x", 1, 0);
    Store::open(&path).await.unwrap().record(std::slice::from_ref(&finding), HOUR).await.unwrap();
    assert!(path.exists());
    for scheme in ["sqlite://", "sqlite:"] {
        let store = Store::open(format!("{scheme}{}", path.display())).await.unwrap();
        assert_eq!(store.get(&finding.id).await.unwrap(), finding, "{scheme}");
    }
    let error = Store::open("mysql://localhost/urva").await.unwrap_err();
    assert!(matches!(error, StoreError::UnknownAddress { .. }), "{error:?}");
}

#[tokio::test]
async fn an_empty_file_becomes_a_database() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("urva.db");
    std::fs::write(&path, b"").unwrap();
    assert!(matches!(Store::open_read_only(&path).await, Err(StoreError::NoDatabase { .. })));
    Store::open(&path).await.unwrap().record(&[execution("a", "x", 1, 0)], HOUR).await.unwrap();
}

#[tokio::test]
async fn a_newer_database_is_refused() {
    let (_folder, path) = database().await;
    overwrite(&path, 60, &99_u32.to_be_bytes());
    check_refused(&path, &["version 99", "up to 6", "move the file away"]).await;
    let error = Store::open(&path).await.unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 99, known: 6, .. }), "{error:?}");
}

#[tokio::test]
async fn a_newer_database_that_was_not_closed_is_refused_with_its_wal_as_it_is() {
    let sandbox = Sandbox::on_sqlite().await;
    sandbox.stored(&execution("a", "x", 1, 0)).await;
    let file = SqliteConnectOptions::new().filename(&sandbox.address);
    let mut newer = SqliteConnection::connect_with(&file).await.unwrap();
    sqlx::query("PRAGMA user_version = 99").execute(&mut newer).await.unwrap();
    let folder = TempDir::new().unwrap();
    for name in ["urva.db", "urva.db-wal"] {
        std::fs::copy(sandbox.folder.path().join(name), folder.path().join(name)).unwrap();
    }
    let wal = std::fs::read(folder.path().join("urva.db-wal")).unwrap();
    check_refused(&folder.path().join("urva.db"), &["version 99"]).await;
    assert!(std::fs::read(folder.path().join("urva.db-wal")).unwrap() == wal, "the WAL was changed");
}

#[tokio::test]
async fn an_older_database_is_not_read_until_it_is_brought_up_to_date() {
    let (_folder, path) = database().await;
    overwrite(&path, 60, &0_u32.to_be_bytes());
    let error = Store::open_read_only(&path).await.unwrap_err();
    assert!(matches!(error, StoreError::Older { found: 0, known: 6, .. }), "{error:?}");
}

#[tokio::test]
async fn another_programs_file_is_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("urva.db");
    for content in
        [&b"x"[..], &[b'x'; 511], b"SQLite format 3\0", b"a shopping list\n", &[0; 4096], &[0xff; 100_000]]
    {
        std::fs::write(&path, content).unwrap();
        check_refused(&path, &["is not a database of urva", "move it away"]).await;
    }
    let (_folder, path) = database().await;
    overwrite(&path, 68, &0_u32.to_be_bytes());
    check_refused(&path, &["another program's SQLite database"]).await;
}

#[tokio::test]
async fn what_is_no_file_is_refused() {
    let folder = TempDir::new().unwrap();
    let directory = folder.path().join("directory");
    std::fs::create_dir(&directory).unwrap();
    check_refused(&directory, &["not a regular file"]).await;
    let fifo = folder.path().join("fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    for error in [Store::open(&fifo).await.unwrap_err(), Store::open_read_only(&fifo).await.unwrap_err()] {
        assert!(matches!(error, StoreError::Foreign { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_truncated_database_is_refused() {
    let (_folder, path) = database().await;
    let whole = std::fs::read(&path).unwrap();
    for length in [whole.len() / 2, 4096 * 3, 5000, whole.len() - 4096] {
        std::fs::write(&path, &whole[..length]).unwrap();
        let error = Store::open(&path).await.unwrap_err();
        assert!(matches!(error, StoreError::Corrupt { .. }), "{length}: {error:?}");
        assert!(error.to_string().contains("urva restore FILE"), "{error}");
        assert!(std::fs::read(&path).unwrap() == whole[..length], "the file was changed");
    }
}

/// Every page in turn is overwritten with nonsense. Whatever that hits, nothing panics, and what is served as
/// a finding is one; what is refused at the start is left as it was.
#[tokio::test]
async fn a_damaged_page_is_found_or_does_no_harm() {
    let (_folder, path) = database().await;
    let whole = std::fs::read(&path).unwrap();
    let mut refused = 0;
    let pages = whole.len() / 4096;
    for page in 0..pages {
        std::fs::write(&path, &whole).unwrap();
        let offset = u64::try_from(page * 4096).unwrap();
        overwrite(&path, offset + if page == 0 { 100 } else { 0 }, &[0xa5; 64]);
        let damaged = std::fs::read(&path).unwrap();
        match Store::open(&path).await {
            Ok(store) => read_and_write(&store).await,
            Err(StoreError::Corrupt { .. }) => {
                refused += 1;
                assert!(std::fs::read(&path).unwrap() == damaged, "page {page}: the file was changed");
            }
            Err(error) => panic!("page {page}: {error:?}"),
        }
    }
    assert!(refused * 10 > pages * 9, "{refused} of {pages} damaged pages were found at the start");
}

async fn read_and_write(store: &Store) {
    let page = store.find(&Query { limit: 1000, ..Query::default() }).await;
    assert!(page.is_ok() || matches!(page, Err(StoreError::Corrupt { .. })), "{page:?}");
    let recorded = store.record(&[execution("b", "new", 1, 0)], HOUR).await;
    assert!(recorded.is_ok() || matches!(recorded, Err(StoreError::Corrupt { .. })), "{recorded:?}");
}

#[tokio::test]
async fn a_reader_sees_each_record_of_the_writer_and_writes_nothing() {
    let sandbox = Sandbox::on_sqlite().await;
    let reader = Store::open_read_only(&sandbox.address).await.unwrap();
    for pid in 1..=3 {
        let finding = sandbox.stored(&execution("a", &pid.to_string(), pid, 0)).await;
        assert_eq!(reader.get(&finding.id).await.unwrap(), finding);
    }
    let refused = reader.record(&[execution("a", "x", 9, 0)], HOUR).await;
    assert!(matches!(refused, Err(StoreError::NotWritable { .. })), "{refused:?}");
    let start = RunStart {
        started_at: Timestamp::from_seconds(NOON),
        version: String::new(),
        model: String::new(),
        host: String::new(),
        pid: 1,
    };
    assert!(matches!(reader.begin_run(&start).await, Err(StoreError::NotWritable { .. })));
}

#[tokio::test]
async fn a_reader_that_leaves_does_not_disturb_the_writer() {
    let sandbox = Sandbox::on_sqlite().await;
    let finding = sandbox.stored(&execution("a", "x", 1, 0)).await;
    Store::open_read_only(&sandbox.address).await.unwrap().close().await.unwrap();
    let next = sandbox.stored(&execution("a", "y", 2, 0)).await;
    let reader = Store::open_read_only(&sandbox.address).await.unwrap();
    for finding in [finding, next] {
        assert_eq!(reader.get(&finding.id).await.unwrap(), finding);
    }
}

#[tokio::test]
async fn a_reader_without_a_database_is_told_what_to_do() {
    let folder = TempDir::new().unwrap();
    for path in [folder.path().join("urva.db"), folder.path().join("missing/urva.db")] {
        let error = Store::open_read_only(&path).await.unwrap_err();
        assert!(matches!(error, StoreError::NoDatabase { .. }), "{error:?}");
        assert!(error.to_string().contains("urva run"), "{error}");
        assert!(!path.exists());
    }
}
