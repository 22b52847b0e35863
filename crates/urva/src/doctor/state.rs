//! Looks at the state folder without touching it: no lock is written to, and no database is opened in a way that
//! would create a file beside it.

use super::facts::shown;
use crate::clock;
use crate::status::Status;
use rustix::fs::{Access, AtFlags, CWD, FlockOperation, OFlags, accessat, flock, statvfs};
use rustix::io::Errno;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;
use store::{SCHEMA_VERSION, Store};

/// `urva` in ASCII, which the store writes into its databases; a test compares.
const APPLICATION_ID: u32 = 0x7572_7661;
/// The beginning of a database, and where in it what stands: <https://sqlite.org/fileformat.html>.
const HEADER_BYTES: usize = 100;
const MAGIC: &[u8] = b"SQLite format 3\0";
const VERSION_AT: usize = 60;
const APPLICATION_AT: usize = 68;

/// How long a database that is in use may take to answer.
const OPEN_WITHIN: Duration = Duration::from_secs(5);

#[derive(Debug, Clone)]
pub(super) struct StateFacts {
    pub(super) path: String,
    pub(super) folder: Folder,
    /// Bytes that are free where the folder is or would be.
    pub(super) free: Option<u64>,
    pub(super) running: Running,
    pub(super) database: Database,
    /// What the urva that runs has counted.
    pub(super) status: Option<Status>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Folder {
    There {
        owner: u32,
        mode: u32,
        writable: Result<(), String>,
    },
    /// It would have to be made in `above`.
    Missing {
        above: String,
        writable: Result<(), String>,
    },
    /// Something else is there, or it cannot be seen; why.
    Unusable(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Running {
    No,
    Yes(Option<u32>),
    Unknown(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Database {
    Absent,
    Version(u32),
    /// Why it is none that can be used, as the store would say it.
    Refused(String),
    /// It may be fine, but this user cannot see it.
    Hidden(String),
}

/// Looks at the folder, and at its database.
pub(super) async fn gather(folder: &Path, database: &Path) -> StateFacts {
    let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let running = running(&folder.join("urva.lock"));
    let above = existing(&folder);
    let (database, status) = examine(database, &running).await;
    StateFacts {
        path: shown(&folder),
        free: statvfs(above).ok().map(|found| found.f_bavail.saturating_mul(found.f_frsize)),
        database,
        status,
        running,
        folder: look_at(&folder, above),
    }
}

/// The folder, or the nearest one above it that exists.
fn existing(folder: &Path) -> &Path {
    folder.ancestors().find(|path| fs::symlink_metadata(path).is_ok()).unwrap_or(Path::new("/"))
}

fn look_at(folder: &Path, above: &Path) -> Folder {
    let writable = |path: &Path| {
        let wanted = Access::WRITE_OK | Access::EXEC_OK;
        accessat(CWD, path, wanted, AtFlags::EACCESS).map_err(|error| io::Error::from(error).to_string())
    };
    match fs::metadata(folder) {
        Ok(metadata) if metadata.is_dir() => Folder::There {
            owner: metadata.uid(),
            mode: metadata.mode() & 0o7777,
            writable: writable(folder),
        },
        Ok(_) => Folder::Unusable("it is not a folder".to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound && above != folder => {
            Folder::Missing { above: shown(above), writable: writable(above) }
        }
        Err(error) => Folder::Unusable(error.to_string()),
    }
}

/// Whether somebody holds the lock. A shared lock is taken for the moment of asking, on a file opened for reading.
fn running(lock: &Path) -> Running {
    // The store does not follow a link that somebody put there; neither does this.
    let mut file = match open(lock, OFlags::NOFOLLOW) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Running::No,
        Err(error) => return Running::Unknown(error.to_string()),
    };
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Running::No,
        Err(Errno::WOULDBLOCK) => {
            let mut text = String::new();
            let read = Read::by_ref(&mut file).take(16).read_to_string(&mut text);
            Running::Yes(read.ok().and_then(|_| text.trim().parse().ok()))
        }
        Err(error) => Running::Unknown(io::Error::from(error).to_string()),
    }
}

/// For reading, without waiting where it is a FIFO.
fn open(path: &Path, flags: OFlags) -> io::Result<File> {
    let flags = i32::try_from((flags | OFlags::NONBLOCK).bits()).unwrap_or(0);
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

/// While urva runs, the newest state may be beside the file, and the store is asked: what it would create is
/// there already. Else the file's header tells.
async fn examine(path: &Path, running: &Running) -> (Database, Option<Status>) {
    let header = read_header(path);
    let is_usable = matches!(header, Database::Version(0..=SCHEMA_VERSION));
    if !is_usable || !matches!(running, Running::Yes(_)) {
        return (header, None);
    }
    let latest = async { Store::open_read_only(path).await?.latest_run().await };
    match tokio::time::timeout(OPEN_WITHIN, latest).await {
        Ok(Ok(run)) => (Database::Version(SCHEMA_VERSION), run.map(|run| Status::of(run, clock::now()))),
        Ok(Err(error)) => (Database::Refused(error.to_string()), None),
        Err(_) => {
            let why = format!("it gave no answer within {} ms", OPEN_WITHIN.as_millis());
            (Database::Hidden(why), None)
        }
    }
}

pub(super) fn read_header(path: &Path) -> Database {
    let file = match open(path, OFlags::empty()) {
        Ok(file) => file,
        Err(error) => return not_opened(&error),
    };
    if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
        return Database::Refused("it is not a regular file".to_owned());
    }
    let mut header = Vec::new();
    if let Err(error) = file.take(HEADER_BYTES as u64).read_to_end(&mut header) {
        return Database::Refused(error.to_string());
    }
    if header.is_empty() {
        return Database::Absent;
    }
    let (Some(version), Some(application)) = (number(&header, VERSION_AT), number(&header, APPLICATION_AT))
    else {
        return Database::Refused("too short for a database".to_owned());
    };
    match (header.starts_with(MAGIC), application, version) {
        (false, ..) => Database::Refused("not an SQLite database".to_owned()),
        // The schema is still in the log beside it.
        (true, APPLICATION_ID, version) | (true, 0, version @ 0) => Database::Version(version),
        (true, ..) => Database::Refused("another program's SQLite database".to_owned()),
    }
}

fn not_opened(error: &io::Error) -> Database {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Database::Absent,
        io::ErrorKind::PermissionDenied => Database::Hidden(error.to_string()),
        _ => Database::Refused(error.to_string()),
    }
}

fn number(header: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(header.get(at..at + 4)?.try_into().ok()?))
}
