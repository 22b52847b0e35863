//! The record of what was not seen.

use crate::body::{from_json, to_json};
use crate::{Store, StoreError, to_sql};
use evidence::{Gap, Timestamp};

impl Store {
    /// Records a gap. When it returns, it is on disk.
    ///
    /// # Errors
    /// [`StoreError::DiskFull`] and the like.
    pub async fn record_gap(&self, gap: &Gap) -> Result<(), StoreError> {
        let doing = "record a gap";
        let body = to_json(gap).map_err(self.explain(doing))?;
        let mut connection = self.connection.lock().await;
        sqlx::query("INSERT INTO gaps (kind, began, ended, body) VALUES ($1, $2, $3, $4)")
            .bind(gap.kind.as_str())
            .bind(to_sql(gap.from.0))
            .bind(to_sql(gap.to.0))
            .bind(body)
            .execute(&mut *connection)
            .await
            .map_err(self.explain(doing))?;
        Ok(())
    }

    /// The gaps that ended at `since` or later, newest first.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn gaps(&self, since: Timestamp, limit: u32) -> Result<Vec<Gap>, StoreError> {
        let mut connection = self.connection.lock().await;
        let bodies: Vec<String> = sqlx::query_scalar(
            "SELECT body FROM gaps WHERE ended >= $1 ORDER BY ended DESC, seq DESC LIMIT $2",
        )
        .bind(to_sql(since.0))
        .bind(i64::from(limit))
        .fetch_all(&mut *connection)
        .await
        .map_err(self.explain("list gaps"))?;
        let gaps = bodies.iter().map(|body| from_json(body)).collect::<Result<_, _>>();
        gaps.map_err(self.explain("read a gap"))
    }
}
