//! Copies of a database of SQLite, made while it is written to, and put back.
//!
//! Owns: that a copy is whole and read through before it has its name, and that what it replaces is kept.
//! Refuses: PostgreSQL, which has tools of its own for this.

use crate::audit::{By, note};
use crate::document::Site;
use crate::error::{explain, explain_io};
use crate::session::{Access, Source};
use crate::sql::sql;
use crate::{Store, StoreError, sqlite};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// What a database that was replaced is called from then on.
const REPLACED: &str = ".replaced";

/// What a copy is called until it is known to be good.
const UNFINISHED: &str = ".unfinished";

impl Store {
    /// Writes a copy of the database as it is now to a file that is new, with mode 0600; others may write meanwhile. It is read through
    /// before it gets its name. Returns how many bytes it has.
    ///
    /// # Errors
    /// [`StoreError::NoBackup`] for PostgreSQL, [`StoreError::Exists`]; else where either file cannot be read or written. What was begun is
    /// removed.
    pub async fn back_up(&self, file: &Path) -> Result<u64, StoreError> {
        let Source::File { path, .. } = self.pool.source() else {
            return Err(StoreError::NoBackup { path: self.path().to_owned() });
        };
        let file = absolute(file)?;
        refuse_existing(&file)?;
        let unfinished = with_end(&file, UNFINISHED);
        create(&unfinished)?;
        let copied = self.copy_to(path, &unfinished).await;
        finish(copied, &unfinished, &file)
    }

    async fn copy_to(&self, path: &Path, unfinished: &Path) -> Result<(), StoreError> {
        let explained = |error| explain(path, "copy the database", error);
        let mut connection = self.pool.source().connect(Access::Read, None).await.map_err(explained)?;
        let text = unfinished.to_str().ok_or_else(|| not_utf8(unfinished))?;
        let copied = connection.execute(sql("VACUUM INTO $1").bind(text).once()).await;
        copied.map_err(explained)?;
        connection.close().await.map_err(explained)?;
        sqlite::read_through(unfinished).await
    }
}

/// Puts a copy that [`Store::back_up`] made in the place of a database, which keeps its content under its name with `.replaced` behind
/// it; that is returned, where there was one. The caller holds the [`crate::StateLock`] of the folder. The audit trail of the copy says
/// who did this.
///
/// # Errors
/// Where the copy is damaged, too new, or no database of urva; [`StoreError::Exists`] where an older `.replaced` is still there.
/// The database is as it was then.
pub async fn restore(
    copy: &Path,
    database: &Path,
    site: Site,
    by: &By<'_>,
) -> Result<Option<PathBuf>, StoreError> {
    let replaced = put_back(copy, database).await?;
    let store = Store::open_in(database, site).await?;
    let mut transaction = store.begin(Access::Write).await?;
    let noted = note(transaction.connection(), by, "Restore", "database", None, None).await;
    store.end(transaction, "note what was restored", noted).await?;
    store.close().await.map(|()| replaced)
}

async fn put_back(copy: &Path, database: &Path) -> Result<Option<PathBuf>, StoreError> {
    let (copy, database) = (absolute(copy)?, absolute(database)?);
    let replaced = with_end(&database, REPLACED);
    refuse_existing(&replaced)?;
    // Beside a copy of `back_up` there is none; without what is in it, another one is not whole.
    refuse_existing(&with_end(&copy, "-wal"))?;
    sqlite::read_through(&copy).await?;
    let unfinished = with_end(&database, UNFINISHED);
    let mut file = create(&unfinished)?;
    let copied = File::open(&copy).and_then(|mut copy| io::copy(&mut copy, &mut file));
    let copied = copied.map_err(|error| explain_io(&unfinished, "copy the backup", &error));
    let is_there = match copied {
        Ok(_) => sqlite::read_through(&unfinished).await,
        Err(error) => Err(error),
    };
    if !database.exists() {
        return finish(is_there, &unfinished, &database).map(|_| None);
    }
    let exchanged = match is_there {
        Ok(()) => exchange(&unfinished, &database, &replaced).await,
        Err(error) => Err(error),
    };
    if exchanged.is_err() {
        fs::remove_file(&unfinished).ok();
    }
    exchanged.map(|()| Some(replaced))
}

/// Both files change places at once, so that there is a database at any time.
async fn exchange(new: &Path, database: &Path, replaced: &Path) -> Result<(), StoreError> {
    // What is in the WAL belongs to the older file. Where that one is too damaged to take it, it keeps it beside it.
    sqlite::empty_wal(database).await;
    let failed = |error: io::Error| explain_io(database, "put the backup in its place", &error);
    let wal = with_end(database, "-wal");
    if fs::metadata(&wal).is_ok_and(|wal| wal.len() > 0) {
        fs::rename(&wal, with_end(replaced, "-wal")).map_err(failed)?;
    }
    for end in ["-wal", "-shm"] {
        match fs::remove_file(with_end(database, end)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
    }
    sync(new).map_err(failed)?;
    renameat_with(CWD, new, CWD, database, RenameFlags::EXCHANGE).map_err(|error| failed(error.into()))?;
    fs::rename(new, replaced).and_then(|()| sync(folder(database))).map_err(failed)
}

/// Gives a finished file its name, or removes what was begun of it. Returns its size.
fn finish(done: Result<(), StoreError>, unfinished: &Path, file: &Path) -> Result<u64, StoreError> {
    let named = || -> io::Result<u64> {
        sync(unfinished)?;
        renameat_with(CWD, unfinished, CWD, file, RenameFlags::NOREPLACE)?;
        sync(folder(file))?;
        Ok(fs::metadata(file)?.len())
    };
    let result = done.and_then(|()| named().map_err(|error| explain_io(file, "write the copy", &error)));
    if result.is_err() {
        fs::remove_file(unfinished).ok();
    }
    result
}

/// Creates the file, empty, for its owner alone; one that was left over is replaced.
fn create(path: &Path) -> Result<File, StoreError> {
    fs::remove_file(path).ok();
    let created = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    created.map_err(|error| explain_io(path, "create the copy", &error))
}

fn refuse_existing(path: &Path) -> Result<(), StoreError> {
    match fs::symlink_metadata(path) {
        Ok(_) => Err(StoreError::Exists { path: path.to_owned() }),
        Err(_) => Ok(()),
    }
}

fn absolute(path: &Path) -> Result<PathBuf, StoreError> {
    std::path::absolute(path).map_err(|error| explain_io(path, "find the file", &error))
}

fn folder(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
}

fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}

fn not_utf8(path: &Path) -> StoreError {
    explain_io(path, "write the copy", &io::Error::new(io::ErrorKind::InvalidInput, "its name is not UTF-8"))
}
