//! Opening a database of SQLite: what the file is, whether this urva may use it, and bringing its schema up to date.

use crate::document::Site;
use crate::error::{explain, explain_io};
use crate::session::{Pool, Source};
use crate::{KNOWN_VERSION, SCHEMA_VERSION, StoreError, sql, upgrade};
use rustix::fs::{Access, AtFlags, CWD, accessat};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteRow, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection};
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// `urva` in ASCII, in the header of each database of urva: tells it from those of other programs.
const APPLICATION_ID: i64 = 0x7572_7661;

/// Each script leads from the version that is its index to the next one.
const MIGRATIONS: [&str; SCHEMA_VERSION as usize] = [
    include_str!("../schema/sqlite/1.sql"),
    include_str!("../schema/sqlite/2.sql"),
    include_str!("../schema/sqlite/3.sql"),
    include_str!("../schema/sqlite/4.sql"),
    include_str!("../schema/sqlite/5.sql"),
    include_str!("../schema/sqlite/6.sql"),
];

/// How long a statement waits for another process. Only short writes of urva's own commands are in the way.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The smallest page that SQLite knows, and so the smallest database that is not empty.
const LEAST_PAGE: u64 = 512;

/// Databases up to this size are read through at the start, about 0.1 s at most; damage in a larger one is
/// reported when it is met.
const CHECKED_BYTES: u64 = 32 << 20;

pub(crate) async fn open(address: &Path, site: &Site) -> Result<Pool, StoreError> {
    let path = path_of(address)?;
    create_file(&path)?;
    inspect(&path).await?;
    let options = options(&path);
    let (mut connection, header) =
        connect(options.clone()).await.map_err(|error| explain(&path, "open the database", error))?;
    header.judge(&path)?;
    let prepared = prepare(&mut connection, &header).await;
    prepared.map_err(|error| explain(&path, "prepare the database", error))?;
    let mut connection = sql::Connection::Sqlite(connection);
    let migrated = migrate(&mut connection, site).await;
    let found = migrated.map_err(|error| explain(&path, "prepare the database", error))?;
    // Another process may have been first, and newer.
    if found > KNOWN_VERSION {
        return Err(StoreError::Newer { path, found, known: KNOWN_VERSION });
    }
    Ok(pool(path, options, connection))
}

pub(crate) async fn open_read_only(address: &Path) -> Result<Pool, StoreError> {
    let path = path_of(address)?;
    if is_empty(&path)? {
        return Err(StoreError::NoDatabase { path });
    }
    let (options, connection, header) = connect_to_read(&path).await?;
    header.judge(&path)?;
    if header.is_blank() {
        return Err(StoreError::NoDatabase { path });
    }
    if header.version < KNOWN_VERSION {
        return Err(StoreError::Older { path, found: header.version, known: KNOWN_VERSION });
    }
    Ok(pool(path, options, sql::Connection::Sqlite(connection)))
}

fn pool(path: PathBuf, options: SqliteConnectOptions, connection: sql::Connection) -> Pool {
    Pool::new(Source::File { path, options: Box::new(options) }, connection)
}

/// What the file says about itself.
struct Header {
    application: i64,
    version: i64,
    objects: i64,
}

impl Header {
    async fn read(connection: &mut SqliteConnection) -> Result<Self, sqlx::Error> {
        Ok(Self {
            application: number(connection, "PRAGMA application_id").await?,
            version: number(connection, "PRAGMA user_version").await?,
            objects: number(connection, "SELECT count(*) FROM sqlite_schema").await?,
        })
    }

    /// Created, but not yet given a schema: urva was killed in between.
    fn is_blank(&self) -> bool {
        self.application == 0 && self.version == 0 && self.objects == 0
    }

    fn judge(&self, path: &Path) -> Result<(), StoreError> {
        let path = path.to_owned();
        if !self.is_blank() && self.application != APPLICATION_ID {
            return Err(StoreError::Foreign { path, detail: "another program's SQLite database".to_owned() });
        }
        if self.version > KNOWN_VERSION {
            return Err(StoreError::Newer { path, found: self.version, known: KNOWN_VERSION });
        }
        Ok(())
    }
}

fn path_of(address: &Path) -> Result<PathBuf, StoreError> {
    let unknown = || StoreError::UnknownAddress { address: address.to_string_lossy().into_owned() };
    let text = address.to_str().ok_or_else(unknown)?;
    let path = match text.strip_prefix("sqlite:") {
        Some(rest) => rest.strip_prefix("//").unwrap_or(rest),
        None if text.contains("://") => return Err(unknown()),
        None => text,
    };
    // SQLite takes a relative name that begins with `file:` for an address with options; an absolute one never.
    std::path::absolute(path).map_err(|_| unknown())
}

/// Creates the file, empty, before SQLite would: with a mode of our own choice, which SQLite then gives to the
/// files beside it too.
fn create_file(path: &Path) -> Result<(), StoreError> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    if !folder.is_dir() {
        return Err(StoreError::NoFolder { path: folder.to_owned() });
    }
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            is_empty(path)?;
            check_writable(path)
        }
        Err(error) => Err(explain_io(path, "create the database", &error)),
    }
}

/// SQLite takes a file that it may not write for one that is to be read, and says so at the first write only.
/// The file is not opened for this: closing it again would drop the locks of a reader in this process.
fn check_writable(path: &Path) -> Result<(), StoreError> {
    accessat(CWD, path, Access::WRITE_OK, AtFlags::EACCESS)
        .map_err(|error| explain_io(path, "open the database", &error.into()))
}

/// Whether there is nothing in the file, or no file. Anything but a file is refused: opening a FIFO would hang.
fn is_empty(path: &Path) -> Result<bool, StoreError> {
    let foreign =
        |detail: &str| Err(StoreError::Foreign { path: path.to_owned(), detail: detail.to_owned() });
    match std::fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => foreign("not a regular file"),
        // SQLite takes some files that are shorter than a page for empty ones, and would write over them.
        Ok(metadata) if (1..LEAST_PAGE).contains(&metadata.len()) => foreign("too short for a database"),
        Ok(metadata) => Ok(metadata.len() == 0),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(true)
        }
        Err(error) => Err(StoreError::NotReadable { path: path.to_owned(), detail: error.to_string() }),
    }
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        .synchronous(SqliteSynchronous::Full)
        // No file outside the state folder: the process that owns the store is confined to it.
        .pragma("temp_store", "MEMORY")
        .pragma("journal_size_limit", "16777216")
        // A burst of findings goes through the same few pages of the indexes again and again.
        .pragma("cache_size", "-16384")
        .pragma("wal_autocheckpoint", "4000")
        .row_buffer_size(4)
        .disable_statement_logging()
}

/// Judges the file through a connection that cannot write: even closing one that can would move what is in
/// the WAL into a file that is then refused.
async fn inspect(path: &Path) -> Result<(), StoreError> {
    let (mut connection, header) = match connect(options(path).read_only(true)).await {
        Ok(opened) => opened,
        Err(error) => match explain(path, "open the database", error) {
            // The creation of the database was cut short, and only a writer may undo what it did.
            StoreError::NotWritable { .. } => return Ok(()),
            other => return Err(other),
        },
    };
    header.judge(path)?;
    check(&mut connection, path).await?;
    connection.close().await.map_err(|error| explain(path, "close the database", error))
}

/// A reader needs the shared memory beside the database. Where it can neither open nor create it (a copy on a
/// read-only mount) and no WAL is left over, nobody writes, and the file can be read by itself.
async fn connect_to_read(
    path: &Path,
) -> Result<(SqliteConnectOptions, SqliteConnection, Header), StoreError> {
    let shared = options(path).read_only(true);
    let failed = match connect(shared.clone()).await {
        Ok((connection, header)) => return Ok((shared, connection, header)),
        Err(error) => match explain(path, "open the database", error) {
            StoreError::NotWritable { path, detail } => StoreError::NotReadable { path, detail },
            other => return Err(other),
        },
    };
    let mut wal = path.as_os_str().to_owned();
    wal.push("-wal");
    if std::fs::metadata(wal).is_ok_and(|metadata| metadata.len() > 0) {
        return Err(failed);
    }
    let alone = shared.immutable(true);
    let (connection, header) = connect(alone.clone()).await.map_err(|_| failed)?;
    Ok((alone, connection, header))
}

/// Opens the file and reads its header, without changing either.
async fn connect(options: SqliteConnectOptions) -> Result<(SqliteConnection, Header), sqlx::Error> {
    let mut connection = options.connect().await?;
    let header = Header::read(&mut connection).await?;
    Ok((connection, header))
}

/// Looks for damage before anything is written on top of it.
async fn check(connection: &mut SqliteConnection, path: &Path) -> Result<(), StoreError> {
    let size = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    if size > CHECKED_BYTES {
        return Ok(());
    }
    let finding: String = sqlx::query_scalar("PRAGMA quick_check(1)")
        .fetch_one(connection)
        .await
        .map_err(|error| explain(path, "check the database", error))?;
    match finding.as_str() {
        "ok" => Ok(()),
        _ => Err(StoreError::Corrupt { path: path.to_owned(), detail: finding }),
    }
}

/// Reads all of a file that nobody writes to, and refuses it where it is no database of urva, too new, or damaged anywhere.
pub(crate) async fn read_through(path: &Path) -> Result<(), StoreError> {
    if is_empty(path)? {
        return Err(StoreError::NoDatabase { path: path.to_owned() });
    }
    let explained = |error| explain(path, "read the database through", error);
    let (mut connection, header) =
        connect(options(path).read_only(true).immutable(true)).await.map_err(explained)?;
    header.judge(path)?;
    if header.is_blank() {
        return Err(StoreError::NoDatabase { path: path.to_owned() });
    }
    let found: String = sqlx::query_scalar("PRAGMA integrity_check(1)")
        .fetch_one(&mut connection)
        .await
        .map_err(explained)?;
    let broken: Option<SqliteRow> =
        sqlx::query("PRAGMA foreign_key_check").fetch_optional(&mut connection).await.map_err(explained)?;
    connection.close().await.map_err(explained)?;
    match (found.as_str(), broken) {
        ("ok", None) => Ok(()),
        ("ok", Some(_)) => {
            Err(StoreError::Corrupt { path: path.to_owned(), detail: "rows of it are missing".to_owned() })
        }
        _ => Err(StoreError::Corrupt { path: path.to_owned(), detail: found }),
    }
}

/// Moves what is in the WAL into the database, as far as that is possible.
pub(crate) async fn empty_wal(path: &Path) {
    if let Ok(mut connection) = options(path).connect().await {
        set(&mut connection, "PRAGMA wal_checkpoint(TRUNCATE)").await.ok();
        connection.close().await.ok();
    }
}

async fn prepare(connection: &mut SqliteConnection, header: &Header) -> Result<(), sqlx::Error> {
    if header.is_blank() {
        // Must be told before the first page is written; lets `retain` give space back to the file system.
        set(connection, "PRAGMA auto_vacuum = INCREMENTAL").await?;
    }
    set(connection, "PRAGMA journal_mode = WAL").await
}

/// All steps in one transaction. It takes the write lock even where there is nothing to do, and so finds out
/// whether the database can be written. Returns the version that is there then.
async fn migrate(connection: &mut sql::Connection, site: &Site) -> Result<i64, sqlx::Error> {
    connection.run("BEGIN IMMEDIATE").await?;
    let found: i64 = connection.one(sql::sql("PRAGMA user_version")).await?;
    for script in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or(0)) {
        connection.run(*script).await?;
    }
    if found < 3 {
        upgrade::to_version_3(connection, site).await?;
    }
    if found < KNOWN_VERSION {
        let stamp =
            format!("PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {KNOWN_VERSION}");
        connection.run(stamp).await?;
    }
    connection.run("COMMIT").await?;
    Ok(found.max(KNOWN_VERSION))
}

async fn set(connection: &mut SqliteConnection, pragma: &'static str) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(pragma).execute(connection).await.map(|_| ())
}

async fn number(connection: &mut SqliteConnection, query: &'static str) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(query).fetch_one(connection).await
}
