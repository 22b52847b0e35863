//! What can go wrong, each with the object and the remedy.

use evidence::FindingId;
use evidence::text::escape;
use sqlx::postgres::PgDatabaseError;
use sqlx::sqlite::SqliteError;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Why the store could not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages say what the variants and their fields mean")]
pub enum StoreError {
    #[error(
        "there is no database at {}: start `urva run` first, or name its state folder with --state",
        shown(path)
    )]
    NoDatabase { path: PathBuf },
    #[error("the state folder {} does not exist: create it, or name another with --state", shown(path))]
    NoFolder { path: PathBuf },
    #[error("the state folder {} is in use by {}: stop it, or name another folder with --state", shown(path), holder(*pid))]
    Locked {
        path: PathBuf,
        /// The process that holds the lock, where it could write its number down.
        pid: Option<u32>,
    },
    #[error(
        "the database {} has schema version {found}, this urva knows versions up to {known}: \
         install the newer urva again, or move the file away (name another database) to begin a new one",
        shown(path)
    )]
    Newer { path: PathBuf, found: i64, known: i64 },
    #[error(
        "the database {} has schema version {found}, older than {known}: \
         start `urva run` once, it brings the database up to date",
        shown(path)
    )]
    Older { path: PathBuf, found: i64, known: i64 },
    #[error(
        "{} is not a database of urva ({detail}); it was left as it is: \
         move it away, or name another state folder with --state",
        shown(path)
    )]
    Foreign { path: PathBuf, detail: String },
    #[error(
        "the database {} is damaged ({detail}); it was left as it is: put a backup back with `urva restore FILE`, \
         or move it and its -wal file away to begin a new one (`sqlite3 FILE .recover` may save what is in it)",
        shown(path)
    )]
    Corrupt { path: PathBuf, detail: String },
    #[error(
        "{} cannot be written ({detail}): correct its owner, mode or mount, or name another state folder with --state",
        shown(path)
    )]
    NotWritable { path: PathBuf, detail: String },
    #[error("{} cannot be read ({detail}): run as its owner or as root", shown(path))]
    NotReadable { path: PathBuf, detail: String },
    #[error("the disk of {} is full: free some space; nothing that was recorded is lost", shown(path))]
    DiskFull { path: PathBuf },
    #[error(
        "the database {} is held by another process for too long: find it with `fuser`, and try again",
        shown(path)
    )]
    Busy { path: PathBuf },
    #[error(
        "the database {} cannot be reached ({detail}): see whether it runs; urva tries again",
        shown(path)
    )]
    Unreachable { path: PathBuf, detail: String },
    #[error(
        "the database {} refuses urva ({detail}): correct the user, the password and the rights of the user in it",
        shown(path)
    )]
    Refused { path: PathBuf, detail: String },
    #[error(
        "{address:?} names no database that urva knows: give a path, sqlite:///PATH, or postgres://USER@HOST/DATABASE"
    )]
    UnknownAddress { address: String },
    #[error("there is no finding {id} in the source {source_id}")]
    NoSuchFinding { source_id: String, id: String },
    #[error("there is no {name}")]
    NoSuchSetting { name: String },
    #[error("{name} exists already: choose another id, or change the one that is there")]
    AlreadyThere { name: String },
    #[error("the field {field} of one of urva's own findings is what urva saw, and is not changed")]
    Fixed { field: String },
    #[error("{name} would have {bytes} bytes as JSON, {limit} is the most: take something out of it first")]
    TooLarge { name: String, bytes: usize, limit: usize },
    #[error("{} is there already: move it away, or name another file", shown(path))]
    Exists { path: PathBuf },
    #[error(
        "the database {} is one of PostgreSQL, which has tools of its own for this: `pg_dump --schema=urva` and `pg_restore`, \
         or `urva findings export` and `import`",
        shown(path)
    )]
    NoBackup { path: PathBuf },
    #[error("the field {field} has {bytes} bytes, {limit} is the most")]
    TooLong { field: &'static str, bytes: usize, limit: usize },
    #[error("the database {} holds something already: import into a new one", shown(path))]
    NotEmpty { path: PathBuf },
    #[error("the export cannot be read (line {line}: {detail}); nothing of it was imported")]
    Import { line: u64, detail: String },
    #[error("the export cannot be written ({detail}): see whether there is space where it goes")]
    Output { detail: String },
    #[error("the page token was not made for this query: ask for the first page again")]
    PageToken,
    #[error("no finding has an id that begins with {id}: `urva findings list` shows what there is")]
    NotFound { id: FindingId },
    #[error("{} findings or more have an id that begins with {prefix}: give more digits ({})", matches.len(), list(matches))]
    Ambiguous {
        prefix: FindingId,
        /// Some of them, in the order of their ids.
        matches: Vec<FindingId>,
    },
    #[error(
        "finding {id} in {} cannot be read back ({detail}): its row is damaged, others are not affected",
        shown(path)
    )]
    Unreadable { path: PathBuf, id: FindingId, detail: String },
    #[error(
        "could not {doing} in {} within the time that is given for it: ask for less at a time",
        shown(path)
    )]
    TooSlow { path: PathBuf, doing: &'static str },
    #[error("could not {doing} in {}: {detail}", shown(path))]
    Failed { path: PathBuf, doing: &'static str, detail: String },
}

impl StoreError {
    /// Whether the same call may succeed later with nothing changed but the weather: a database that is away or
    /// busy, a disk that is full. Nothing of the call has been recorded then, or what has is known again when it is repeated.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Busy { .. } | Self::DiskFull { .. })
    }
}

fn shown(path: &Path) -> String {
    escape(path.as_os_str().as_bytes()).to_string()
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another urva".to_owned(), |pid| format!("another urva, process {pid}"))
}

fn list(ids: &[FindingId]) -> String {
    ids.iter().map(FindingId::as_str).collect::<Vec<_>>().join(", ")
}

/// Result codes of SQLite that have a remedy of their own: <https://sqlite.org/rescode.html>.
mod code {
    pub(super) const PERM: i32 = 3;
    pub(super) const BUSY: i32 = 5;
    pub(super) const LOCKED: i32 = 6;
    pub(super) const READONLY: i32 = 8;
    pub(super) const CORRUPT: i32 = 11;
    pub(super) const FULL: i32 = 13;
    pub(super) const CANTOPEN: i32 = 14;
    pub(super) const NOTADB: i32 = 26;
    /// The memory shared by readers and writer could not grow: in practice a full disk.
    pub(super) const IOERR_SHMSIZE: i32 = 4874;
}

/// The extended result code of SQLite, where the error is SQLite's.
fn sqlite_code(error: &sqlx::Error) -> Option<i32> {
    let error = error.as_database_error()?;
    error.try_downcast_ref::<SqliteError>()?;
    error.code()?.parse().ok()
}

/// The SQLSTATE, where the error is PostgreSQL's: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
fn sqlstate(error: &sqlx::Error) -> Option<String> {
    let error = error.as_database_error()?.try_downcast_ref::<PgDatabaseError>()?;
    Some(error.code().to_owned())
}

/// Whether the connection is of no use any more.
pub(crate) fn is_disconnected(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        // 57P: the server stops, or the connection was ended; 25P03: a transaction was idle for too long.
        _ => sqlstate(error)
            .is_some_and(|state| state.starts_with("57P") || state.starts_with("08") || state == "25P03"),
    }
}

/// Turns what the driver says into what the user can act on.
pub(crate) fn explain(path: &Path, doing: &'static str, error: sqlx::Error) -> StoreError {
    if let Some(code) = sqlite_code(&error) {
        return explain_sqlite(path, doing, code, error.to_string());
    }
    if let Some(state) = sqlstate(&error) {
        return explain_postgres(path, doing, &state, &error);
    }
    let path = path.to_owned();
    match error {
        sqlx::Error::Io(error) if is_server(&path) => {
            StoreError::Unreachable { path, detail: error.to_string() }
        }
        sqlx::Error::Io(error) => explain_io(&path, doing, &error),
        error if is_server(&path) && is_disconnected(&error) => {
            StoreError::Unreachable { path, detail: error.to_string() }
        }
        error => StoreError::Failed { path, doing, detail: error.to_string() },
    }
}

/// Paths of files are absolute.
fn is_server(path: &Path) -> bool {
    !path.is_absolute()
}

fn explain_sqlite(path: &Path, doing: &'static str, code: i32, detail: String) -> StoreError {
    let path = path.to_owned();
    match code & 0xff {
        code::FULL => StoreError::DiskFull { path },
        _ if code == code::IOERR_SHMSIZE => StoreError::DiskFull { path },
        code::CORRUPT => StoreError::Corrupt { path, detail },
        code::NOTADB => StoreError::Foreign { path, detail },
        code::READONLY | code::PERM | code::CANTOPEN => StoreError::NotWritable { path, detail },
        code::BUSY | code::LOCKED => StoreError::Busy { path },
        _ => StoreError::Failed { path, doing, detail },
    }
}

fn explain_postgres(path: &Path, doing: &'static str, state: &str, error: &sqlx::Error) -> StoreError {
    let path = path.to_owned();
    // The driver's own words name the driver as well.
    let detail = error.as_database_error().map_or_else(String::new, |error| error.message().to_owned());
    let class = state.get(..2).unwrap_or_default();
    match (class, state) {
        (_, "53100") => StoreError::DiskFull { path },
        ("28" | "3D", _) | (_, "42501") => StoreError::Refused { path, detail },
        (_, "25006") => StoreError::NotWritable { path, detail },
        // The statement's time was over.
        (_, "57014") => StoreError::TooSlow { path, doing },
        // Locks that others hold, and deadlocks.
        (_, "55P03" | "40001" | "40P01") => StoreError::Busy { path },
        ("08" | "53" | "57", _) | (_, "25P03") => StoreError::Unreachable { path, detail },
        ("XX", "XX001" | "XX002") => StoreError::Corrupt { path, detail },
        _ => StoreError::Failed { path, doing, detail: format!("{detail}, SQLSTATE {state}") },
    }
}

/// The same for what the system says.
pub(crate) fn explain_io(path: &Path, doing: &'static str, error: &io::Error) -> StoreError {
    let path = path.to_owned();
    let detail = error.to_string();
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::DiskFull { path },
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            StoreError::NotWritable { path, detail }
        }
        _ => StoreError::Failed { path, doing, detail },
    }
}
