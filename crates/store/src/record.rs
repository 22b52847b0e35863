//! Recording: which finding an execution belongs to, and what it changes there.

use crate::body::{Body, Parts, from_json, lacks, metadata_rank, to_json};
use crate::retain::remove_script;
use crate::session::Access;
use crate::sql::{Connection, FromRow, Row, sql};
use crate::{Store, StoreError, from_sql, to_sql};
use evidence::{Container, Finding, FindingId};
use std::time::Duration;

/// Executions that are kept for each finding, the newest ones. The count goes on.
const KEPT_EXECUTIONS: i64 = 1_000;

/// Older executions are removed when so many have come, so that most records need not look for them.
const TRIMMED_EACH: u64 = 64;

/// What became of one finding that was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// The finding in the store: its own, or the one that it was folded into.
    pub id: FindingId,
    /// Whether there is anything to tell.
    pub outcome: Outcome,
    /// How many executions the finding in the store stands for now.
    pub count: u64,
}

/// What recording a finding did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A new finding.
    New,
    /// One more execution of a known finding.
    Updated,
    /// The same execution, reported again. What is known of it may be more complete now.
    AlreadyKnown,
}

/// The row that an execution belongs to.
struct Match {
    seq: i64,
    id: String,
    count: i64,
    first_seen: i64,
    last_seen: i64,
    metadata: i64,
    content_sha256: Vec<u8>,
    known: bool,
}

impl FromRow for Match {
    fn from_row(row: &Row) -> Result<Self, sqlx::Error> {
        Ok(Self {
            seq: row.get("seq")?,
            id: row.get("id")?,
            count: row.get("count")?,
            first_seen: row.get("first_seen")?,
            last_seen: row.get("last_seen")?,
            metadata: row.get("metadata")?,
            content_sha256: row.get("content_sha256")?,
            known: row.get("known")?,
        })
    }
}

impl Store {
    /// Records findings, all of them or none. When it returns they are on disk.
    ///
    /// A finding is folded into an active one of the same container, category and text if it was executed
    /// between that one's first and last execution or within `fold_window` of them. An execution (process id
    /// and start of the process) counts once, however often it is recorded. A text that comes bit by bit belongs to the
    /// finding of its own execution, and its beginning to a finding whose text begins so. The answers are in the order
    /// of `findings`.
    ///
    /// # Errors
    /// [`StoreError::DiskFull`] and the like; nothing is recorded then, and the same call may be repeated.
    pub async fn record(
        &self,
        findings: &[Finding],
        fold_window: Duration,
    ) -> Result<Vec<Recorded>, StoreError> {
        if findings.is_empty() {
            return Ok(Vec::new());
        }
        let mut transaction = self.begin(Access::Write).await?;
        let recorded = record_all(transaction.connection(), findings, fold_window).await;
        self.end(transaction, "record findings", recorded).await
    }

    /// Puts metadata that came late into each finding of the container, unless more is known there already.
    /// Returns how many findings changed.
    ///
    /// # Errors
    /// As for [`Store::record`].
    pub async fn complete_container(&self, container: &Container) -> Result<u64, StoreError> {
        let mut transaction = self.begin(Access::Write).await?;
        let changed = complete(transaction.connection(), container, None).await;
        self.end(transaction, "complete a container", changed).await
    }
}

async fn record_all(
    connection: &mut Connection,
    findings: &[Finding],
    fold_window: Duration,
) -> Result<Vec<Recorded>, sqlx::Error> {
    let mut recorded = Vec::with_capacity(findings.len());
    for finding in findings {
        recorded.push(record_one(connection, finding, fold_window).await?);
    }
    Ok(recorded)
}

async fn record_one(
    connection: &mut Connection,
    finding: &Finding,
    fold_window: Duration,
) -> Result<Recorded, sqlx::Error> {
    let Some(found) = find_match(connection, finding, fold_window).await? else {
        insert(connection, finding).await?;
        return Ok(Recorded { id: finding.id.clone(), outcome: Outcome::New, count: finding.count.max(1) });
    };
    let (outcome, count) = if found.known {
        improve(connection, finding, &found).await?;
        (Outcome::AlreadyKnown, from_sql(found.count))
    } else {
        (Outcome::Updated, count_in(connection, finding, &found).await?)
    };
    if let Some(container) = finding.container()
        && metadata_rank(Some(container)) > found.metadata
    {
        complete(connection, container, Some(found.seq)).await?;
    }
    let id = FindingId::parse(&found.id).unwrap_or_else(|| finding.id.clone());
    Ok(Recorded { id, outcome, count })
}

/// The finding that knows the execution already, else the newest one to fold it into.
async fn find_match(
    connection: &mut Connection,
    finding: &Finding,
    fold_window: Duration,
) -> Result<Option<Match>, sqlx::Error> {
    let execution = finding.execution();
    let at = to_sql(execution.at.0);
    let window = i64::try_from(fold_window.as_nanos()).unwrap_or(i64::MAX);
    connection.first(sql("SELECT * FROM (SELECT seq, id, count, first_seen, last_seen, metadata, state, content_sha256,
             id = $4 OR EXISTS (SELECT 1 FROM executions
                                WHERE finding = seq AND pid = $5 AND start_ticks = $6) AS known
             FROM findings
             WHERE (content_sha256 = $1 AND container_id = $2 AND category = $3) OR id = $4
                OR ($9 IS NOT NULL AND container_id = $2 AND category = $3 AND last_seen >= $7
                    AND (SELECT substr(text, 1, length($9)) FROM scripts WHERE sha256 = content_sha256) = $9)
             ) AS candidate
         WHERE known OR (state = 'ACTIVE' AND last_seen >= $7 AND first_seen <= $8)
         ORDER BY id = $4 DESC, known DESC, last_seen DESC LIMIT 1")
    .bind(&finding.content_sha256.0[..])
    .bind(finding.container_id())
    .bind(finding.category.module_name())
    .bind(finding.id.as_str())
    .bind(i64::from(execution.pid))
    .bind(execution.start_ticks.cast_signed())
    .bind(at.saturating_sub(window))
    .bind(at.saturating_add(window))
    .bind(beginning_of(finding)))
    .await
}

/// What of a text that comes bit by bit is there, its parts one after the other.
fn beginning_of(finding: &Finding) -> Option<Vec<u8>> {
    let script = &finding.script()?.capture.script;
    let (head, tail) = script.content.parts();
    script.is_streamed().then(|| [head, tail].concat())
}

async fn insert_text(
    connection: &mut Connection,
    finding: &Finding,
    text: Option<Vec<u8>>,
) -> Result<(), sqlx::Error> {
    let Some(text) = text else { return Ok(()) };
    connection
        .execute(
            sql("INSERT INTO scripts (sha256, text) VALUES ($1, $2) ON CONFLICT DO NOTHING")
                .bind(&finding.content_sha256.0[..])
                .bind(text),
        )
        .await
        .map(|_| ())
}

async fn insert(connection: &mut Connection, finding: &Finding) -> Result<(), sqlx::Error> {
    let parts = Parts::of(finding)?;
    insert_text(connection, finding, parts.text).await?;
    let container = finding.container();
    let pod = container.and_then(|container| container.pod.as_ref());
    let seq: i64 = connection.one(sql("INSERT INTO findings (id, category, state, first_seen, last_seen, count, content_sha256, container_id,
             metadata, container_name, image, namespace, pod, container, body)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) RETURNING seq")
    .bind(finding.id.as_str())
    .bind(finding.category.module_name())
    .bind(finding.state.as_str())
    .bind(to_sql(finding.first_seen.0))
    .bind(to_sql(finding.last_seen.0))
    .bind(to_sql(finding.count.max(1)))
    .bind(&finding.content_sha256.0[..])
    .bind(finding.container_id())
    .bind(metadata_rank(container))
    .bind(container.and_then(|container| container.name.as_deref()))
    .bind(container.and_then(|container| container.image.as_deref()))
    .bind(pod.and_then(|pod| pod.namespace.as_deref()))
    .bind(pod.and_then(|pod| pod.name.as_deref()))
    .bind(container.map(to_json).transpose()?)
    .bind(parts.body))
    .await?;
    insert_execution(connection, finding, seq).await
}

async fn insert_execution(
    connection: &mut Connection,
    finding: &Finding,
    seq: i64,
) -> Result<(), sqlx::Error> {
    let execution = finding.execution();
    connection
        .execute(
            sql("INSERT INTO executions (finding, pid, start_ticks, at) VALUES ($1, $2, $3, $4)")
                .bind(seq)
                .bind(i64::from(execution.pid))
                .bind(execution.start_ticks.cast_signed())
                .bind(to_sql(execution.at.0)),
        )
        .await
        .map(|_| ())
}

/// One more execution of a known finding. Its capture becomes that of the latest one. Returns the new count.
async fn count_in(connection: &mut Connection, finding: &Finding, found: &Match) -> Result<u64, sqlx::Error> {
    let before = from_sql(found.count);
    let count = before.saturating_add(finding.count.max(1));
    // The body of a text's beginning does not fit the whole text.
    let is_same = finding.content_sha256.0[..] == found.content_sha256[..];
    let is_latest = is_same && to_sql(finding.last_seen.0) >= found.last_seen;
    let body = if is_latest { Some(Parts::of(finding)?.body) } else { None };
    connection.execute(sql("UPDATE findings SET count = $1, first_seen = $2, last_seen = $3, body = COALESCE($4, body) WHERE seq = $5")
    .bind(to_sql(count))
    .bind(found.first_seen.min(to_sql(finding.first_seen.0)))
    .bind(found.last_seen.max(to_sql(finding.last_seen.0)))
    .bind(body)
    .bind(found.seq))
    .await?;
    insert_execution(connection, finding, found.seq).await?;
    if count > KEPT_EXECUTIONS.unsigned_abs() && count / TRIMMED_EACH != before / TRIMMED_EACH {
        trim_executions(connection, found.seq).await?;
    }
    Ok(count)
}

async fn trim_executions(connection: &mut Connection, seq: i64) -> Result<(), sqlx::Error> {
    connection
        .execute(
            sql("DELETE FROM executions WHERE finding = $1 AND (pid, start_ticks) NOT IN
             (SELECT pid, start_ticks FROM executions WHERE finding = $1
              ORDER BY at DESC, start_ticks DESC, pid DESC LIMIT $2)")
            .bind(seq)
            .bind(KEPT_EXECUTIONS),
        )
        .await
        .map(|_| ())
}

/// A second report of the execution that the finding shows replaces the first where it knows more: a hash
/// that took its time, a text that has grown, texts that the script compiled meanwhile. A body that cannot be read any
/// more is replaced as well.
async fn improve(connection: &mut Connection, finding: &Finding, found: &Match) -> Result<(), sqlx::Error> {
    let json: String =
        connection.one(sql("SELECT body FROM findings WHERE seq = $1").bind(found.seq)).await?;
    let text: Option<Vec<u8>> = connection
        .first(sql("SELECT text FROM scripts WHERE sha256 = $1").bind(&found.content_sha256[..]))
        .await?;
    let is_same = finding.content_sha256.0[..] == found.content_sha256[..];
    let is_better = from_json::<Body>(&json).map_or(is_same, |known| {
        let (old, new) = (known.finding.execution(), finding.execution());
        let layers = |finding: &Finding| finding.script().map_or(0, |judged| judged.layers.len());
        // What was judged while it was read may be held when all of it is there.
        let is_held = |finding: &Finding| finding.script().is_some_and(|judged| judged.held.is_some());
        let is_held_now = is_held(finding) && !is_held(&known.finding);
        let has_more = is_held_now || layers(finding) > layers(&known.finding);
        let is_this = (old.pid, old.start_ticks) == (new.pid, new.start_ticks);
        is_this
            && if is_same {
                has_more || lacks(finding) < lacks(&known.finding)
            } else {
                known.has_grown(text, finding)
            }
    });
    if !is_better {
        return Ok(());
    }
    let parts = Parts::of(finding)?;
    insert_text(connection, finding, parts.text).await?;
    connection
        .execute(
            sql("UPDATE findings SET body = $1, content_sha256 = $2 WHERE seq = $3")
                .bind(parts.body)
                .bind(&finding.content_sha256.0[..])
                .bind(found.seq),
        )
        .await?;
    if !is_same {
        remove_script(connection, &found.content_sha256).await?;
    }
    Ok(())
}

/// Writes what is known of a container into its findings, or into one of them.
async fn complete(
    connection: &mut Connection,
    container: &Container,
    only: Option<i64>,
) -> Result<u64, sqlx::Error> {
    let pod = container.pod.as_ref();
    let done = connection.execute(sql("UPDATE findings SET metadata = $2, container_name = $3, image = $4, namespace = $5, pod = $6, container = $7
         WHERE container_id = $1 AND metadata <= $2 AND container <> $7 AND ($8 IS NULL OR seq = $8)")
    .bind(container.id.as_str())
    .bind(metadata_rank(Some(container)))
    .bind(container.name.as_deref())
    .bind(container.image.as_deref())
    .bind(pod.and_then(|pod| pod.namespace.as_deref()))
    .bind(pod.and_then(|pod| pod.name.as_deref()))
    .bind(to_json(container)?)
    .bind(only))
    .await?;
    Ok(done)
}
