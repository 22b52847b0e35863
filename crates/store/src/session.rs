//! Transactions on the store's one connection.

use crate::error::explain;
use crate::{Store, StoreError};
use sqlx::sqlite::SqliteConnection;
use tokio::sync::MutexGuard;

/// The connection, and whether somebody left a transaction open on it.
///
/// This does by hand what `sqlx::Transaction` does, for one case that it does not survive: a full disk makes
/// SQLite roll back by itself, the driver's own rollback then finds nothing to roll back, fails, and the
/// connection counts itself as inside a transaction for ever.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) connection: SqliteConnection,
    is_unfinished: bool,
}

/// What a transaction may do.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Access {
    /// See one state of the database throughout.
    Read,
    /// Write. The lock is taken at the beginning, where waiting for it is safe.
    Write,
}

impl Session {
    pub(crate) fn new(connection: SqliteConnection) -> Self {
        Self { connection, is_unfinished: false }
    }

    /// Begins a transaction. One whose future was dropped half way is rolled back before.
    async fn begin(&mut self, access: Access) -> Result<(), sqlx::Error> {
        if self.is_unfinished {
            self.roll_back().await;
        }
        self.is_unfinished = true;
        let begin = match access {
            Access::Read => "BEGIN",
            Access::Write => "BEGIN IMMEDIATE",
        };
        sqlx::query(begin).execute(&mut self.connection).await.map(|_| ())
    }

    async fn end<T>(&mut self, result: Result<T, sqlx::Error>) -> Result<T, sqlx::Error> {
        let result = match result {
            Ok(done) => sqlx::query("COMMIT").execute(&mut self.connection).await.map(|_| done),
            Err(error) => Err(error),
        };
        if result.is_err() {
            self.roll_back().await;
        }
        self.is_unfinished = false;
        result
    }

    /// Fails where SQLite has rolled back already, which is as good. Were a transaction left open after all,
    /// the next one could not begin and would say so.
    async fn roll_back(&mut self) {
        sqlx::query("ROLLBACK").execute(&mut self.connection).await.ok();
    }
}

impl Store {
    /// Waits for the connection and begins a transaction on it. Whatever is done in between, [`Store::end`]
    /// gets its result.
    pub(crate) async fn begin(&self, access: Access) -> Result<MutexGuard<'_, Session>, StoreError> {
        let mut session = self.session.lock().await;
        let begun = session.begin(access).await;
        begun.map_err(|error| explain(&self.path, "begin a transaction", error))?;
        Ok(session)
    }

    /// Commits what went well and rolls back what did not.
    pub(crate) async fn end<T>(
        &self,
        mut session: MutexGuard<'_, Session>,
        doing: &'static str,
        result: Result<T, sqlx::Error>,
    ) -> Result<T, StoreError> {
        session.end(result).await.map_err(|error| explain(&self.path, doing, error))
    }
}
