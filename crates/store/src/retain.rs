//! Throwing away what is old or too much.

use crate::audit::{By, note};
use crate::session::Access;
use crate::sql::{Connection, sql};
use crate::{Store, StoreError, to_sql};
use evidence::Timestamp;
use serde_json::json;
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
    /// How long a finding is kept after its last execution, a gap after its end, and an entry of the audit trail.
    pub max_age: Option<Duration>,
    /// How many findings are kept, those last executed longest ago going first.
    pub max_findings: Option<u64>,
    /// How many bytes all findings may take, with their evidence, texts and indexes, those last executed longest ago going first. It is
    /// estimated from some of them. The audit trail and what people set up do not count.
    pub max_bytes: Option<u64>,
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
            let step = remove_findings(transaction.connection(), oldest, policy).await;
            let (findings, scripts) = self.end(transaction, "remove old findings", step).await?;
            removed.findings += findings;
            removed.scripts += scripts;
            // How many are too large is only estimated, until none is.
            if findings == 0 || (findings < BATCH.unsigned_abs() && policy.max_bytes.is_none()) {
                break;
            }
        }
        let mut transaction = self.begin(Access::Write).await?;
        let gaps = remove_gaps(transaction.connection(), oldest).await;
        removed.gaps = self.end(transaction, "remove old gaps", gaps).await?;
        let mut transaction = self.begin(Access::Write).await?;
        let noted = note_removed(transaction.connection(), oldest, &removed, now).await;
        self.end(transaction, "note what was removed", noted).await?;
        loop {
            let mut transaction = self.begin(Access::Write).await?;
            let entries = remove_audit(transaction.connection(), oldest).await;
            if self.end(transaction, "remove old entries of the audit trail", entries).await?
                < BATCH.unsigned_abs()
            {
                return Ok(removed);
            }
        }
    }
}

/// One batch; returns how many findings and scripts went.
async fn remove_findings(
    connection: &mut Connection,
    oldest: i64,
    policy: &RetentionPolicy,
) -> Result<(u64, u64), sqlx::Error> {
    let total: i64 = connection.one(sql("SELECT count(*) FROM findings")).await?;
    let too_many = total.saturating_sub(policy.max_findings.map_or(i64::MAX, to_sql));
    let too_large = surplus_by_size(connection, total, policy.max_bytes).await?;
    let surplus = too_many.max(too_large).clamp(0, BATCH);
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

/// How many findings are too many, as far as their average size tells.
async fn surplus_by_size(
    connection: &mut Connection,
    total: i64,
    max_bytes: Option<u64>,
) -> Result<i64, sqlx::Error> {
    let Some(max_bytes) = max_bytes.map(to_sql).filter(|_| total > 0) else { return Ok(0) };
    let octets =
        if matches!(connection, Connection::Postgres(_)) { "pg_column_size" } else { "octet_length" };
    let documents: i64 = connection.one(sql(sampled_documents(octets)).bind(SAMPLED)).await?;
    let scripts: i64 = connection.one(sql(sampled_scripts(octets)).bind(SAMPLED)).await?;
    let size = total.saturating_mul(documents.saturating_add(ROW_BYTES)).saturating_add(scripts);
    let surplus = size.saturating_sub(max_bytes);
    // At least one, as long as it is too much.
    Ok(if surplus > 0 { (surplus / (size / total).max(1)).max(1) } else { 0 })
}

/// Documents and texts whose size is looked at. Reading all of them would take as long as writing them.
const SAMPLED: i64 = 1_000;

/// What the row of a finding takes, with its places in the indexes and its latest execution.
const ROW_BYTES: i64 = 1_024;

/// How many bytes the documents and the evidence of findings have on average, of some that lie at equal distances between the first and the last.
fn sampled_documents(octets: &str) -> String {
    format!(
        "WITH RECURSIVE reach AS (SELECT COALESCE(min(finding), 0) AS low, COALESCE(max(finding), 0) AS high FROM documents),
             place AS (SELECT CAST(0 AS BIGINT) AS number UNION ALL SELECT number + 1 FROM place WHERE number < $1 - 1),
             sample AS (SELECT DISTINCT (SELECT min(finding) FROM documents
                            WHERE finding >= low + (high - low) * number / $1) AS finding FROM reach, place)
         SELECT CAST(COALESCE(avg({octets}(d.document) + COALESCE({octets}(d.body), 0) + COALESCE({octets}(d.container), 0)), 0) AS BIGINT)
         FROM sample s JOIN documents d ON d.finding = s.finding"
    )
}

/// How many bytes all texts have, as far as the first ones in the order of their hashes tell, which is no order of theirs.
fn sampled_scripts(octets: &str) -> String {
    format!(
        "SELECT CAST(COALESCE(avg(bytes), 0) * (SELECT count(*) FROM scripts) AS BIGINT)
         FROM (SELECT {octets}(text) AS bytes FROM scripts ORDER BY sha256 LIMIT $1) AS sample"
    )
}

/// The trail says how much retention removed; its own entries go when they are too old. The databases let only those go that are
/// before the limit.
async fn note_removed(
    connection: &mut Connection,
    oldest: i64,
    removed: &Removed,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    if removed.findings > 0 {
        let by = By { actor: "retention", at: now };
        let counts = json!({"findings": removed.findings, "scripts": removed.scripts});
        note(connection, &by, "Retain", "findings", Some(&counts), None).await?;
    }
    connection.execute(sql("UPDATE audit_limit SET at = $1 WHERE at < $1").bind(oldest)).await.map(|_| ())
}

/// One batch; returns how many went.
async fn remove_audit(connection: &mut Connection, oldest: i64) -> Result<u64, sqlx::Error> {
    let old =
        "DELETE FROM audit WHERE seq IN (SELECT seq FROM audit WHERE at < $1 ORDER BY at, seq LIMIT $2)";
    connection.execute(sql(old).bind(oldest).bind(BATCH)).await
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
