//! The record of what was not seen.

use crate::body::{from_json, to_json};
use crate::session::Access;
use crate::sql::{Connection, sql};
use crate::{Store, StoreError, to_sql};
use evidence::{Gap, Timestamp};

impl Store {
    /// Records a gap. When it returns, it is on disk.
    ///
    /// # Errors
    /// [`StoreError::DiskFull`] and the like.
    pub async fn record_gap(&self, gap: &Gap) -> Result<(), StoreError> {
        let mut transaction = self.begin(Access::Write).await?;
        let recorded = insert(transaction.connection(), gap).await;
        self.end(transaction, "record a gap", recorded).await
    }

    /// The gaps that ended at `since` or later, newest first.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn gaps(&self, since: Timestamp, limit: u32) -> Result<Vec<Gap>, StoreError> {
        let mut transaction = self.begin(Access::Read).await?;
        let gaps = list(transaction.connection(), since, limit).await;
        self.end(transaction, "list gaps", gaps).await
    }
}

async fn insert(connection: &mut Connection, gap: &Gap) -> Result<(), sqlx::Error> {
    connection
        .execute(
            sql("INSERT INTO gaps (kind, began, ended, body) VALUES ($1, $2, $3, $4)")
                .bind(gap.kind.as_str())
                .bind(to_sql(gap.from.0))
                .bind(to_sql(gap.to.0))
                .bind(to_json(gap)?),
        )
        .await
        .map(|_| ())
}

async fn list(connection: &mut Connection, since: Timestamp, limit: u32) -> Result<Vec<Gap>, sqlx::Error> {
    let bodies: Vec<String> = connection
        .all(
            sql("SELECT body FROM gaps WHERE ended >= $1 ORDER BY ended DESC, seq DESC LIMIT $2")
                .bind(to_sql(since.0))
                .bind(i64::from(limit)),
        )
        .await?;
    bodies.iter().map(|body| from_json(body)).collect()
}
