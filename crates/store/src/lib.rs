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
//! - When [`Store::record`] returns, its findings survive `kill -9` and a power cut (SQLite: WAL, `synchronous=FULL`;
//!   PostgreSQL: `synchronous_commit=on`).
//! - A batch is recorded wholly or not at all.
//! - Any number of processes may write to one database. What one writes, it writes while nobody else does.
//! - A call that fails because the database is away, busy or full may be repeated ([`StoreError::is_temporary`]): what had been
//!   recorded after all is known again.
//! - A file that is not a database of urva, that is damaged or too new, is refused and never changed. Damage in
//!   a database of more than 32 MiB may show only when it is met.
//! - Bytes of any kind in paths, arguments and texts come back as they were.

mod audit;
mod backup;
mod body;
mod change;
mod delivery;
mod document;
mod error;
pub mod filter;
mod gaps;
mod insert;
mod list;
mod lock;
mod mute;
pub mod mute_info;
mod mute_preview;
mod named;
mod open;
mod operations;
mod outbox;
mod postgres;
mod query;
mod record;
mod retain;
mod runs;
mod session;
mod settings;
mod sql;
mod sqlite;
mod token;
mod tokens;
mod transfer;
mod upgrade;
mod zip;

use insert::KeptResources;
use mute::KeptRules;
use session::Pool;
use std::path::Path;
use std::time::Duration;

pub use audit::{AuditEntry, By};
pub use backup::restore;
pub use delivery::{Delivery, DeliveryId, OutputState};
pub use document::Site;
pub use error::StoreError;
pub use filter::{Grouping, Order};
pub use list::{Group, Grouped, Listed, Listing, Stored};
pub use lock::StateLock;
pub use mute_preview::{MutePreview, MutedExample, MutedNamespace};
pub use named::Named;
pub use outbox::{Event, Subscription, Wanted};
pub use query::{Cursor, Page, Query};
pub use record::{Outcome, Recorded};
pub use retain::{Removed, RetentionPolicy};
pub use runs::{Begun, Counters, Loss, Previous, Run, RunId, RunStart};
pub use settings::{Kind, Setting};
pub use tokens::{KeptToken, NewToken};

/// The newest version of the schema that this urva knows, of both databases. Older ones are brought to it.
pub const SCHEMA_VERSION: u32 = 6;

/// The same as the databases keep it.
const KNOWN_VERSION: i64 = SCHEMA_VERSION as i64;

/// The database, open. Calls that write wait for each other; a few may read at the same time.
#[derive(Debug)]
pub struct Store {
    pool: Pool,
    site: Site,
    rules: KeptRules,
    resources: KeptResources,
}

impl Store {
    fn over(pool: Pool, site: Site) -> Self {
        Self { pool, site, rules: KeptRules::default(), resources: KeptResources::default() }
    }

    /// How long PostgreSQL works on one statement that reads, at the most; it would not notice that nobody waits any more. SQLite
    /// needs no such limit: a call that is dropped ends there at once.
    #[must_use]
    pub fn limit_reads(mut self, within: Duration) -> Self {
        self.pool.limit_reads(within);
        self
    }

    /// The database's file; for PostgreSQL its address, without the password.
    pub fn path(&self) -> &Path {
        self.pool.source().path()
    }

    /// Closes the database; SQLite then moves what is in the WAL into it. Dropping a store loses nothing either; it
    /// leaves that work to the next one.
    ///
    /// # Errors
    /// Where the disk refuses the last write. Nothing that was recorded is lost then.
    pub async fn close(self) -> Result<(), StoreError> {
        let path = self.path().to_owned();
        self.pool.close().await.map_err(|error| error::explain(&path, "close the database", error))
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
