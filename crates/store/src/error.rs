//! What can go wrong, each with the object and the remedy.

use evidence::FindingId;
use evidence::text::escape;
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
         install the newer urva again, or move the file away to begin a new one",
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
        "the database {} is damaged ({detail}); it was left as it is: restore it with its -wal file from a backup, \
         or move both away to begin a new one (`sqlite3 FILE .recover` may save what is in it)",
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
    #[error("{address:?} names no database that urva knows: give a path, or sqlite:///PATH")]
    UnknownAddress { address: String },
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
    #[error("could not {doing} in {}: {detail}", shown(path))]
    Failed { path: PathBuf, doing: &'static str, detail: String },
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
pub(crate) fn sqlite_code(error: &sqlx::Error) -> Option<i32> {
    let sqlx::Error::Database(error) = error else { return None };
    error.try_downcast_ref::<SqliteError>()?;
    error.code()?.parse().ok()
}

/// Turns what the driver says into what the user can act on.
pub(crate) fn explain(path: &Path, doing: &'static str, error: sqlx::Error) -> StoreError {
    let path = path.to_owned();
    let detail = error.to_string();
    if let sqlx::Error::Io(error) = error {
        return explain_io(&path, doing, &error);
    }
    let Some(code) = sqlite_code(&error) else {
        return StoreError::Failed { path, doing, detail };
    };
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
