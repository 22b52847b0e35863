//! Connections and the transactions on them: one connection that writes, and a few that read beside it.
//!
//! Whoever writes has the database for itself until its transaction ends, on both databases and across processes:
//! SQLite's write lock, and a lock of the same meaning on PostgreSQL. So what was read in a transaction that writes is still true
//! when it writes.

use crate::error::{explain, is_disconnected};
use crate::sql::{Connection, sql};
use crate::{Store, StoreError, postgres};
use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Duration;
use tokio::sync::{AcquireError, Mutex, MutexGuard, Semaphore, SemaphorePermit};

/// Connections that read at the same time.
const READERS: usize = 4;

/// Instructions of SQLite between two looks at whether anybody waits for them: a fraction of a millisecond.
const STEPS_BETWEEN_LOOKS: i32 = 10_000;

/// What a transaction may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// See one state of the database throughout.
    Read,
    /// Write. The lock is taken at the beginning, where waiting for it is safe.
    Write,
}

/// Where the database is, and how to get there.
#[derive(Debug)]
pub(crate) enum Source {
    File { path: PathBuf, options: Box<SqliteConnectOptions> },
    Server { name: PathBuf, options: Box<PgConnectOptions> },
}

impl Source {
    /// The file, or the address of the server without the password.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::File { path, .. } => path,
            Self::Server { name, .. } => name,
        }
    }

    /// `within` is how long the server works on a statement that reads.
    pub(crate) async fn connect(
        &self,
        access: Access,
        within: Option<Duration>,
    ) -> Result<Connection, sqlx::Error> {
        match self {
            Self::File { options, .. } => {
                let mut options = (**options).clone();
                if access == Access::Read {
                    options = options.read_only(true);
                }
                Ok(Connection::Sqlite(options.connect().await?))
            }
            Self::Server { options, .. } => {
                let mut options = (**options).clone();
                if let Some(within) = within.filter(|_| access == Access::Read) {
                    options = options.options([("statement_timeout", within.as_millis().max(1).to_string())]);
                }
                Ok(Connection::Postgres(Box::new(options.connect().await?)))
            }
        }
    }
}

/// A connection, and whether somebody left a transaction open on it.
///
/// This does by hand what `sqlx::Transaction` does, for one case that it does not survive: a full disk makes
/// SQLite roll back by itself, the driver's own rollback then finds nothing to roll back, fails, and the
/// connection counts itself as inside a transaction for ever.
#[derive(Debug, Default)]
pub(crate) struct Session {
    connection: Connection,
    is_unfinished: bool,
    /// What SQLite looks at while it works, once a transaction has begun: whether anybody still waits for it.
    is_given_up: Option<Arc<AtomicBool>>,
}

impl Session {
    pub(crate) fn new(connection: Connection) -> Self {
        Self { connection, is_unfinished: false, is_given_up: None }
    }

    /// Lets SQLite end a statement early when nobody waits for it any more. A server ends it when its time is over.
    async fn watch(&mut self) -> Result<(), sqlx::Error> {
        if let (Connection::Sqlite(connection), None) = (&mut self.connection, &self.is_given_up) {
            let is_given_up = Arc::new(AtomicBool::new(false));
            let asked = Arc::clone(&is_given_up);
            let goes_on = move || !asked.load(Ordering::Relaxed);
            connection.lock_handle().await?.set_progress_handler(STEPS_BETWEEN_LOOKS, goes_on);
            self.is_given_up = Some(is_given_up);
        }
        Ok(())
    }

    /// Closes the connection with what is under way on it, which is rolled back.
    fn give_up(self) {
        if let Some(is_given_up) = &self.is_given_up {
            is_given_up.store(true, Ordering::Relaxed);
        }
    }

    fn is_open(&self) -> bool {
        !matches!(self.connection, Connection::Closed)
    }

    /// Begins a transaction.
    async fn begin(&mut self, access: Access) -> Result<(), sqlx::Error> {
        self.is_unfinished = true;
        self.watch().await?;
        let begin = match (&self.connection, access) {
            (Connection::Sqlite(_), Access::Write) => "BEGIN IMMEDIATE",
            (Connection::Postgres(_), Access::Read) => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
            _ => "BEGIN",
        };
        self.connection.execute(sql(begin)).await?;
        match (&self.connection, access) {
            (Connection::Postgres(_), Access::Write) => postgres::lock(&mut self.connection).await,
            _ => Ok(()),
        }
    }

    /// Whether another transaction may follow on this connection.
    fn is_ready(&self) -> bool {
        self.is_open() && !self.is_unfinished
    }

    async fn end<T>(&mut self, result: Result<T, sqlx::Error>) -> Result<T, sqlx::Error> {
        let result = match result {
            Ok(done) => self.connection.execute(sql("COMMIT")).await.map(|_| done),
            Err(error) => Err(error),
        };
        match &result {
            Err(error) if is_disconnected(error) => self.connection = Connection::Closed,
            Err(_) => self.roll_back().await,
            Ok(_) => {}
        }
        self.is_unfinished = false;
        result
    }

    /// Fails where SQLite has rolled back already, which is as good. Were a transaction left open after all,
    /// the next one could not begin and would say so.
    async fn roll_back(&mut self) {
        self.connection.execute(sql("ROLLBACK")).await.ok();
    }
}

/// The connections. Each is made when it is first needed, and again when the database went away.
#[derive(Debug)]
pub(crate) struct Pool {
    source: Source,
    writer: Mutex<Session>,
    /// One permit for each connection that may read.
    turns: Semaphore,
    /// Connections that read and are not in use.
    idle: StdMutex<Vec<Session>>,
    read_limit: Option<Duration>,
}

impl Pool {
    /// `writer` is the connection that the database was opened with.
    pub(crate) fn new(source: Source, writer: Connection) -> Self {
        let (writer, turns) = (Mutex::new(Session::new(writer)), Semaphore::new(READERS));
        Self { source, writer, turns, idle: StdMutex::default(), read_limit: None }
    }

    pub(crate) fn limit_reads(&mut self, within: Duration) {
        self.read_limit = Some(within);
    }

    pub(crate) fn source(&self) -> &Source {
        &self.source
    }

    /// Waits for a connection and begins a transaction on it; on a new one where it has been cut off meanwhile.
    async fn begin(&self, access: Access) -> Result<Transaction<'_>, sqlx::Error> {
        let mut transaction = match access {
            Access::Read => Transaction::on_reader(self.turns.acquire().await, &self.idle),
            Access::Write => Transaction::on_writer(self.writer.lock().await),
        };
        let session = &mut transaction.session;
        if session.is_open() {
            match session.begin(access).await {
                Err(error) if is_disconnected(&error) => {}
                begun => return begun.map(|()| transaction),
            }
        }
        *session = Session::new(self.source.connect(access, self.read_limit).await?);
        session.begin(access).await.map(|()| transaction)
    }

    pub(crate) async fn close(self) -> Result<(), sqlx::Error> {
        let idle = self.idle.into_inner().unwrap_or_else(PoisonError::into_inner);
        // The one that writes goes last: SQLite then moves what is in the WAL into the file.
        for session in idle.into_iter().chain([self.writer.into_inner()]) {
            session.connection.close().await?;
        }
        Ok(())
    }
}

/// A transaction that is under way. Dropped before its end, it is as if it had never begun.
pub(crate) struct Transaction<'a> {
    session: Session,
    home: Home<'a>,
}

/// Where a connection goes back to.
enum Home<'a> {
    Writer(MutexGuard<'a, Session>),
    Reader { idle: &'a StdMutex<Vec<Session>>, _turn: Option<SemaphorePermit<'a>> },
}

impl<'a> Transaction<'a> {
    fn on_writer(mut writer: MutexGuard<'a, Session>) -> Self {
        Self { session: std::mem::take(&mut *writer), home: Home::Writer(writer) }
    }

    /// The semaphore is never closed, so there is always a permit.
    fn on_reader(turn: Result<SemaphorePermit<'a>, AcquireError>, idle: &'a StdMutex<Vec<Session>>) -> Self {
        let session = idle.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        Self { session, home: Home::Reader { idle, _turn: turn.ok() } }
    }

    /// What statements run on.
    pub(crate) fn connection(&mut self) -> &mut Connection {
        &mut self.session.connection
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        let session = std::mem::take(&mut self.session);
        // One that is unfinished would keep the lock of those who write, or an old state of the database, until it is used again:
        // closing it rolls back. Another one is made when it is needed.
        if !session.is_ready() {
            return session.give_up();
        }
        match &mut self.home {
            Home::Writer(writer) => **writer = session,
            Home::Reader { idle, .. } => idle.lock().unwrap_or_else(PoisonError::into_inner).push(session),
        }
    }
}

impl Store {
    /// Waits for a connection and begins a transaction on it. Whatever is done in between, [`Store::end`]
    /// gets its result.
    pub(crate) async fn begin(&self, access: Access) -> Result<Transaction<'_>, StoreError> {
        let begun = self.pool.begin(access).await;
        begun.map_err(|error| explain(self.path(), "begin a transaction", error))
    }

    /// Commits what went well and rolls back what did not.
    pub(crate) async fn end<T>(
        &self,
        mut transaction: Transaction<'_>,
        doing: &'static str,
        result: Result<T, sqlx::Error>,
    ) -> Result<T, StoreError> {
        transaction.session.end(result).await.map_err(|error| explain(self.path(), doing, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};
    use tempfile::TempDir;

    #[tokio::test]
    async fn sqlite_ends_what_nobody_waits_for() {
        let folder = TempDir::new().unwrap();
        let store = Store::open(folder.path().join("urva.db")).await.unwrap();
        let mut transaction = store.begin(Access::Read).await.unwrap();
        let asked = Arc::downgrade(transaction.session.is_given_up.as_ref().unwrap());
        {
            let endless =
                "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n";
            let mut rows = pin!(transaction.connection().rows(sql(endless)));
            assert!(rows.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
        drop(transaction);
        // SQLite's thread lets go of it when it has come to its end.
        let has_ended = (0..3_000).any(|_| {
            std::thread::sleep(Duration::from_millis(10));
            asked.strong_count() == 0
        });
        assert!(has_ended, "the query goes on");
    }
}
