//! Finding a finding by the beginning of its id, as people type it.

use crate::list::{LAST_TEXT, Stored, one};
use crate::session::Access;
use crate::sql::{Connection, sql};
use crate::{Store, StoreError};

/// The most ids that an ambiguous one is explained with.
const AMBIGUOUS_LIMIT: usize = 10;

/// What the beginning of an id led to.
#[derive(Debug, Clone, PartialEq)]
pub enum Named {
    /// No finding has such an id.
    Nothing,
    /// This one, with the contents of its script.
    One(Box<Stored>),
    /// Several: their sources and ids, 10 at the most.
    Several(Vec<(String, String)>),
}

impl Store {
    /// The finding of any source whose id begins so. One whose whole id this is comes before those that only begin with it.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn named(&self, prefix: &str) -> Result<Named, StoreError> {
        let mut transaction = self.begin(Access::Read).await?;
        let named = named(transaction.connection(), prefix).await;
        self.end(transaction, "look for a finding", named).await
    }
}

async fn named(connection: &mut Connection, prefix: &str) -> Result<Named, sqlx::Error> {
    let query = "SELECT source, id FROM findings WHERE id >= $1 AND id < $2 ORDER BY id, source LIMIT $3";
    let query = sql(query).bind(prefix).bind(format!("{prefix}{LAST_TEXT}"));
    let limit = i64::try_from(AMBIGUOUS_LIMIT).unwrap_or(i64::MAX);
    let mut found: Vec<(String, String)> = connection.all(query.bind(limit)).await?;
    if found.iter().filter(|(_, id)| id == prefix).count() == 1 {
        found.retain(|(_, id)| id == prefix);
    }
    match found.as_slice() {
        [] => Ok(Named::Nothing),
        [(source, id)] => Ok(one(connection, source, id)
            .await?
            .map_or(Named::Nothing, |stored| Named::One(Box::new(stored)))),
        _ => Ok(Named::Several(found)),
    }
}
