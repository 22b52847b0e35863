//! Throwing away what is old or too much.

use crate::session::Access;
use crate::sql::{Connection, sql};
use crate::{Store, StoreError, to_sql};
use evidence::Timestamp;
use std::time::Duration;

/// Findings that are removed in one transaction: short enough that a record in between does not wait long.
const BATCH: i64 = 500;

/// Gaps that are kept, the newest ones, however young the others are.
const KEPT_GAPS: i64 = 10_000;

/// Pages that are given back to the file system after each batch. PostgreSQL does such work by itself.
const VACUUM: &str = "PRAGMA incremental_vacuum(2000)";

/// What to keep. The default keeps everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RetentionPolicy {
    /// How long a finding is kept after its last execution, and a gap after its end.
    pub max_age: Option<Duration>,
    /// How many findings are kept, those last executed longest ago going first.
    pub max_findings: Option<u64>,
}

/// What was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Removed {
    /// Findings, with their executions.
    pub findings: u64,
    /// Texts that no finding shows any more.
    pub scripts: u64,
    /// Gaps.
    pub gaps: u64,
}

impl Store {
    /// Removes what the policy does not keep at the time `now`, in short steps between which others may record.
    ///
    /// # Errors
    /// Where the database cannot be written; steps that are done stay done.
    pub async fn retain(&self, policy: &RetentionPolicy, now: Timestamp) -> Result<Removed, StoreError> {
        let max_age = policy.max_age.map(|age| u64::try_from(age.as_nanos()).unwrap_or(u64::MAX));
        let oldest = max_age.map_or(0, |age| to_sql(now.0.saturating_sub(age)));
        let mut removed = Removed::default();
        loop {
            let mut transaction = self.begin(Access::Write).await?;
            let step = remove_findings(transaction.connection(), oldest, policy.max_findings).await;
            let (findings, scripts) = self.end(transaction, "remove old findings", step).await?;
            removed.findings += findings;
            removed.scripts += scripts;
            if findings < BATCH.unsigned_abs() {
                break;
            }
        }
        let mut transaction = self.begin(Access::Write).await?;
        let gaps = remove_gaps(transaction.connection(), oldest).await;
        removed.gaps = self.end(transaction, "remove old gaps", gaps).await?;
        Ok(removed)
    }
}

/// One batch; returns how many findings and scripts went.
async fn remove_findings(
    connection: &mut Connection,
    oldest: i64,
    max_findings: Option<u64>,
) -> Result<(u64, u64), sqlx::Error> {
    let total: i64 = connection.one(sql("SELECT count(*) FROM findings")).await?;
    let surplus = total.saturating_sub(max_findings.map_or(i64::MAX, to_sql)).clamp(0, BATCH);
    let texts: Vec<Option<Vec<u8>>> = connection
        .all(
            sql("DELETE FROM findings WHERE seq IN
             (SELECT seq FROM findings WHERE event_time < $1 ORDER BY event_time, seq LIMIT $2)
           OR seq IN (SELECT seq FROM findings ORDER BY event_time, seq LIMIT $3)
         RETURNING content_sha256")
            .bind(oldest)
            .bind(BATCH)
            .bind(surplus),
        )
        .await?;
    let mut scripts = 0;
    for text in texts.iter().flatten() {
        scripts += remove_script(connection, text).await?;
    }
    if !texts.is_empty() && matches!(connection, Connection::Sqlite(_)) {
        connection.run(VACUUM).await?;
    }
    Ok((u64::try_from(texts.len()).unwrap_or(u64::MAX), scripts))
}

/// Removes a text, unless a finding shows it.
pub(crate) async fn remove_script(connection: &mut Connection, sha256: &[u8]) -> Result<u64, sqlx::Error> {
    let done = connection
        .execute(
            sql("DELETE FROM scripts WHERE sha256 = $1
           AND NOT EXISTS (SELECT 1 FROM findings WHERE content_sha256 = $1)")
            .bind(sha256),
        )
        .await?;
    Ok(done)
}

async fn remove_gaps(connection: &mut Connection, oldest: i64) -> Result<u64, sqlx::Error> {
    let done = connection
        .execute(
            sql("DELETE FROM gaps WHERE ended < $1
           OR seq <= (SELECT seq FROM gaps ORDER BY seq DESC LIMIT 1 OFFSET $2)")
            .bind(oldest)
            .bind(KEPT_GAPS),
        )
        .await?;
    Ok(done)
}
