//! Where findings are kept: recorded on disk before anybody is told of them, queried, and thrown away when
//! they are old.
//!
//! Owns: the state folder's lock, the database, its schema and all SQL, folding of repeated executions into
//! one finding, the record of gaps and of urva's own runs.
//! Refuses: HTTP, the clock (times are passed in), and judging what it stores.
//!
//! [`Store`] is one concrete type. What a caller gets from it does not tell which database is behind it.
//!
//! # Guarantees
//! - When [`Store::record`] returns, its findings survive `kill -9` and a power cut (WAL, `synchronous=FULL`).
//! - A batch is recorded wholly or not at all.
//! - A file that is not a database of urva, that is damaged or too new, is refused and never changed. Damage in
//!   a database of more than 32 MiB may show only when it is met.
//! - Bytes of any kind in paths, arguments and texts come back as they were.

mod body;
mod error;
mod gaps;
mod lock;
mod open;
mod query;
mod record;
mod retain;
mod runs;
mod session;

use session::Session;
use std::path::{Path, PathBuf};
use tokio::sync::Mutex;

pub use error::StoreError;
pub use lock::StateLock;
pub use query::{Cursor, Page, Query};
pub use record::{Outcome, Recorded};
pub use retain::{Removed, RetentionPolicy};
pub use runs::{Begun, Counters, Loss, Previous, Run, RunId, RunStart};

/// The database, open. One connection, so calls wait for each other; SQLite itself works on a thread of its own.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    session: Mutex<Session>,
}

impl Store {
    /// The database's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Closes the database and moves what is in the WAL into it. Dropping a store loses nothing either; it
    /// leaves that work to the next one.
    ///
    /// # Errors
    /// Where the disk refuses the last write. Nothing that was recorded is lost then.
    pub async fn close(self) -> Result<(), StoreError> {
        let Self { path, session } = self;
        let closed = sqlx::Connection::close(session.into_inner().connection).await;
        closed.map_err(|error| error::explain(&path, "close the database", error))
    }
}

/// SQL knows no 64 bits without sign. Times and counts beyond 2⁶³ − 1 do not occur; if one does, it is cut
/// rather than refused.
fn to_sql(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn from_sql(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
