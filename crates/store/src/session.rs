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
use std::sync::Mutex as StdMutex;
use std::sync::PoisonError;
use tokio::sync::{AcquireError, Mutex, MutexGuard, Semaphore, SemaphorePermit};

/// Connections that read at the same time.
const READERS: usize = 4;

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

    pub(crate) async fn connect(&self, access: Access) -> Result<Connection, sqlx::Error> {
        match self {
            Self::File { options, .. } => {
                let mut options = (**options).clone();
                if access == Access::Read {
                    options = options.read_only(true);
                }
                Ok(Connection::Sqlite(options.connect().await?))
            }
            Self::Server { options, .. } => Ok(Connection::Postgres(Box::new(options.connect().await?))),
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
}

impl Session {
    pub(crate) fn new(connection: Connection) -> Self {
        Self { connection, is_unfinished: false }
    }

    fn is_open(&self) -> bool {
        !matches!(self.connection, Connection::Closed)
    }

    /// Begins a transaction. One whose future was dropped half way is rolled back before.
    async fn begin(&mut self, access: Access) -> Result<(), sqlx::Error> {
        if self.is_unfinished {
            self.roll_back().await;
        }
        self.is_unfinished = true;
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
}

impl Pool {
    /// `writer` is the connection that the database was opened with.
    pub(crate) fn new(source: Source, writer: Connection) -> Self {
        let (writer, turns) = (Mutex::new(Session::new(writer)), Semaphore::new(READERS));
        Self { source, writer, turns, idle: StdMutex::default() }
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
        *session = Session::new(self.source.connect(access).await?);
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
        match &mut self.home {
            Home::Writer(writer) => **writer = session,
            // One that reads and is unfinished would keep an old state of the database alive until it is used again.
            Home::Reader { .. } if session.is_unfinished || !session.is_open() => {}
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
