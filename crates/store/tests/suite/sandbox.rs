//! An empty store, gone when the test ends.

use crate::samples::HOUR;
use crate::server;
use evidence::Finding;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::path::{Path, PathBuf};
use store::Store;
use tempfile::TempDir;

pub(crate) struct Sandbox {
    /// Where the file is; empty where the database is a server's.
    pub(crate) folder: TempDir,
    /// What names the database.
    pub(crate) address: PathBuf,
    pub(crate) store: Store,
}

impl Sandbox {
    pub(crate) async fn on_sqlite() -> Self {
        let folder = TempDir::new().unwrap();
        let address = folder.path().join("urva.db");
        let store = Store::open(&address).await.unwrap();
        Self { folder, address, store }
    }

    pub(crate) async fn on_postgres() -> Self {
        let address = PathBuf::from(server::new_database());
        let store = Store::open(&address).await.unwrap();
        Self { folder: TempDir::new().unwrap(), address, store }
    }

    pub(crate) fn is_file(&self) -> bool {
        self.address.is_absolute()
    }

    /// Somebody who writes, and does not come to an end before this is dropped.
    pub(crate) async fn writing(&self) -> Box<dyn std::any::Any> {
        if self.is_file() {
            let options = SqliteConnectOptions::new().filename(&self.address);
            let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
            sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut connection).await.unwrap();
            Box::new(connection)
        } else {
            let mut connection = PgConnection::connect(self.address.to_str().unwrap()).await.unwrap();
            let lock = sqlx::raw_sql("BEGIN; SELECT pg_advisory_xact_lock(1970435681)");
            lock.execute(&mut connection).await.unwrap();
            Box::new(connection)
        }
    }

    /// Runs statements past the store.
    pub(crate) async fn run(&self, statements: &str) {
        run(&self.address, statements).await;
    }

    /// The same of statements that may be refused.
    pub(crate) async fn try_run(&self, statements: &str) -> Result<(), String> {
        try_run(&self.address, statements).await.map_err(|error| error.to_string())
    }

    /// Records one finding and returns it as it is read back.
    pub(crate) async fn stored(&self, finding: &Finding) -> Finding {
        let recorded = self.store.record(std::slice::from_ref(finding), HOUR).await.unwrap();
        self.store.get(&recorded[0].id).await.unwrap()
    }
}

/// A database as version 1 made it, empty.
pub(crate) struct Older {
    _folder: TempDir,
    pub(crate) address: PathBuf,
}

impl Older {
    pub(crate) async fn on_sqlite() -> Self {
        let folder = TempDir::new().unwrap();
        let address = folder.path().join("urva.db");
        std::fs::write(&address, "").unwrap();
        let stamp = "PRAGMA application_id = 0x75727661; PRAGMA user_version = 1; PRAGMA journal_mode = WAL";
        run(&address, &format!("{}; {stamp}", include_str!("../../schema/sqlite/1.sql"))).await;
        Self { _folder: folder, address }
    }

    pub(crate) async fn on_postgres() -> Self {
        let address = PathBuf::from(server::new_database());
        let begin = "CREATE SCHEMA urva; CREATE TABLE schema_version (version BIGINT NOT NULL);
                     INSERT INTO schema_version VALUES (1)";
        run(&address, &format!("{begin}; {}", include_str!("../../schema/postgres/1.sql"))).await;
        Self { _folder: TempDir::new().unwrap(), address }
    }
}

/// Runs statements past the store.
pub(crate) async fn run(address: &Path, statements: &str) {
    try_run(address, statements).await.unwrap();
}

async fn try_run(address: &Path, statements: &str) -> Result<(), sqlx::Error> {
    let script = sqlx::raw_sql(AssertSqlSafe(statements.to_owned()));
    if address.is_absolute() {
        let options = SqliteConnectOptions::new().filename(address);
        script.execute(&mut SqliteConnection::connect_with(&options).await?).await?;
    } else {
        let address = format!("{}&options[search_path]=urva", address.display());
        script.execute(&mut PgConnection::connect(&address).await?).await?;
    }
    Ok(())
}
