//! Recording: which finding an execution belongs to, and what it changes there.

use crate::body::{self, Body, Parts, lacks, metadata_rank, to_json};
use crate::document::{Columns, Site, keep_peoples_fields, render};
use crate::insert::{self, NewFinding, insert_execution, insert_text};
use crate::mute::Rules;
use crate::retain::remove_script;
use crate::session::Access;
use crate::sql::{Connection, FromRow, Row, Statement, sql, without_nul};
use crate::{Store, StoreError, from_sql, to_sql, zip};
use evidence::{Container, Finding, FindingId, Held};
use serde_json::Value as Json;
use std::collections::HashSet;
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
    create_time: i64,
    event_time: i64,
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
            create_time: row.get("create_time")?,
            event_time: row.get("event_time")?,
            metadata: row.get("metadata")?,
            content_sha256: row.get("content_sha256")?,
            known: row.get("known")?,
        })
    }
}

/// What recording needs to know besides the findings.
struct Ingest<'a> {
    site: &'a Site,
    rules: Rules,
    fold_window: Duration,
}

impl<'a> Ingest<'a> {
    async fn new(
        connection: &mut Connection,
        site: &'a Site,
        fold_window: Duration,
    ) -> Result<Self, sqlx::Error> {
        Ok(Self { site, rules: Rules::read(connection).await?, fold_window })
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
        let connection = transaction.connection();
        let recorded = match Ingest::new(connection, &self.site, fold_window).await {
            Ok(ingest) => ingest.record_all(connection, findings).await,
            Err(error) => Err(error),
        };
        self.end(transaction, "record findings", recorded).await
    }

    /// Puts metadata that came late into each finding of the container, unless more is known there already.
    /// Returns how many findings changed.
    ///
    /// # Errors
    /// As for [`Store::record`].
    pub async fn complete_container(&self, container: &Container) -> Result<u64, StoreError> {
        let mut transaction = self.begin(Access::Write).await?;
        let connection = transaction.connection();
        let changed = match Ingest::new(connection, &self.site, Duration::ZERO).await {
            Ok(ingest) => ingest.complete(connection, container, None).await,
            Err(error) => Err(error),
        };
        self.end(transaction, "complete a container", changed).await
    }
}

/// What makes two executions the same, so that one of them may be folded into the other.
fn key(finding: &Finding) -> (Vec<u8>, String, String) {
    let category = finding.category.display_name().to_owned();
    (finding.content_sha256.0.to_vec(), without_nul(finding.container_id().to_owned()), category)
}

/// The keys and ids of a batch that are in the database already, as far as anybody asks.
#[derive(Default)]
struct Known {
    keys: HashSet<(Vec<u8>, String, String)>,
    ids: HashSet<String>,
}

impl Known {
    async fn among(connection: &mut Connection, findings: &[Finding]) -> Result<Self, sqlx::Error> {
        let mut known = Self::default();
        for some in findings.chunks(64) {
            let keys = some.iter().fold(
                sql(format!(
                    "SELECT content_sha256, container_id, category FROM findings
                     WHERE (content_sha256, container_id) IN (VALUES {})",
                    insert::list("($,$)", some.len())
                )),
                |query, finding| query.bind(&finding.content_sha256.0[..]).bind(finding.container_id()),
            );
            known.keys.extend(connection.all::<(Vec<u8>, String, String)>(keys.in_order(connection)).await?);
            let ids = format!("SELECT id FROM findings WHERE id IN ({})", insert::list("$", some.len()));
            let ids = some
                .iter()
                .map(|finding| finding.id.as_str())
                .fold(sql(ids), Statement::bind)
                .in_order(connection);
            known.ids.extend(connection.all::<String>(ids).await?);
        }
        Ok(known)
    }

    /// Whether nothing in the database can have to do with the finding, nor one that was asked about before.
    fn is_new(&mut self, finding: &Finding) -> bool {
        let is_new_key = self.keys.insert(key(finding));
        self.ids.insert(finding.id.as_str().to_owned()) && is_new_key && beginning_of(finding).is_none()
    }
}

impl Ingest<'_> {
    /// What has to do with nothing else is written together; the rest one by one, in the order in which it came.
    async fn record_all(
        &self,
        connection: &mut Connection,
        findings: &[Finding],
    ) -> Result<Vec<Recorded>, sqlx::Error> {
        let mut known = Known::among(connection, findings).await?;
        let mut recorded = Vec::with_capacity(findings.len());
        let mut new = Vec::new();
        for finding in findings {
            if known.is_new(finding) {
                new.push(self.new_finding(finding)?);
                recorded.push(new_one(finding));
            } else {
                insert_all(connection, std::mem::take(&mut new)).await?;
                recorded.push(self.record_one(connection, finding).await?);
            }
        }
        insert_all(connection, new).await?;
        Ok(recorded)
    }

    fn new_finding(&self, finding: &Finding) -> Result<(NewFinding, Json), sqlx::Error> {
        let (mut new, resource) = NewFinding::of(finding, self.site)?;
        self.rules.apply(&mut new.document, &resource, finding.last_seen);
        new.columns.mute = Columns::of(&new.document).mute;
        Ok((new, resource))
    }

    async fn record_one(
        &self,
        connection: &mut Connection,
        finding: &Finding,
    ) -> Result<Recorded, sqlx::Error> {
        let Some(found) = self.find_match(connection, finding).await? else {
            insert_all(connection, vec![self.new_finding(finding)?]).await?;
            return Ok(new_one(finding));
        };
        let (outcome, count) = if found.known {
            self.improve(connection, finding, &found).await?;
            (Outcome::AlreadyKnown, from_sql(found.count))
        } else {
            (Outcome::Updated, self.count_in(connection, finding, &found).await?)
        };
        if let Some(container) = finding.container()
            && metadata_rank(Some(container)) > found.metadata
        {
            self.complete(connection, container, Some(found.seq)).await?;
        }
        let id = FindingId::parse(&found.id).unwrap_or_else(|| finding.id.clone());
        Ok(Recorded { id, outcome, count })
    }

    /// The finding that knows the execution already, else the newest one to fold it into.
    async fn find_match(
        &self,
        connection: &mut Connection,
        finding: &Finding,
    ) -> Result<Option<Match>, sqlx::Error> {
        let execution = finding.execution();
        let at = to_sql(execution.at.0);
        let window = i64::try_from(self.fold_window.as_nanos()).unwrap_or(i64::MAX);
        let beginning = beginning_of(finding);
        let query = sql(if beginning.is_some() { MATCHES_BY_BEGINNING } else { MATCHES })
            .bind(&finding.content_sha256.0[..])
            .bind(finding.container_id())
            .bind(finding.category.display_name())
            .bind(finding.id.as_str())
            .bind(i64::from(execution.pid))
            .bind(execution.start_ticks.cast_signed())
            .bind(at.saturating_sub(window))
            .bind(at.saturating_add(window))
            .bind(self.site.place.source.as_str());
        let candidates: Vec<Match> = connection.all(query).await?;
        for candidate in candidates {
            let is_same =
                candidate.content_sha256 == finding.content_sha256.0 || candidate.id == finding.id.as_str();
            let begins_so = match &beginning {
                Some(beginning) if !is_same => {
                    let text = text(connection, &candidate.content_sha256).await?;
                    text.is_some_and(|text| text.starts_with(beginning))
                }
                _ => false,
            };
            if is_same || begins_so {
                return Ok(Some(candidate));
            }
        }
        Ok(None)
    }

    /// One more execution of a known finding. Its capture becomes that of the latest one. Returns the new count.
    async fn count_in(
        &self,
        connection: &mut Connection,
        finding: &Finding,
        found: &Match,
    ) -> Result<u64, sqlx::Error> {
        let before = from_sql(found.count);
        let count = before.saturating_add(finding.count.max(1));
        // The body of a text's beginning does not fit the whole text.
        let is_same = finding.content_sha256.0[..] == found.content_sha256[..];
        if is_same && to_sql(finding.last_seen.0) >= found.event_time {
            put_body(connection, found.seq, Parts::of(finding)?.body).await?;
        }
        let counted = sql("UPDATE findings SET count = $1, create_time = $2, event_time = $3 WHERE seq = $4")
            .bind(to_sql(count))
            .bind(found.create_time.min(to_sql(finding.first_seen.0)))
            .bind(found.event_time.max(to_sql(finding.last_seen.0)))
            .bind(found.seq);
        connection.execute(counted).await?;
        insert_execution(connection, found.seq, finding.execution()).await?;
        self.refresh(connection, found.seq).await?;
        if count > KEPT_EXECUTIONS.unsigned_abs() && count / TRIMMED_EACH != before / TRIMMED_EACH {
            trim_executions(connection, found.seq).await?;
        }
        Ok(count)
    }

    /// A second report of the execution that the finding shows replaces the first where it knows more: a hash
    /// that took its time, a text that has grown, texts that the script compiled meanwhile. A body that cannot be read any
    /// more is replaced as well.
    async fn improve(
        &self,
        connection: &mut Connection,
        finding: &Finding,
        found: &Match,
    ) -> Result<(), sqlx::Error> {
        let body: Vec<u8> =
            connection.one(sql("SELECT body FROM documents WHERE finding = $1").bind(found.seq)).await?;
        let text = text(connection, &found.content_sha256).await?;
        let is_same = finding.content_sha256.0[..] == found.content_sha256[..];
        let is_better = Body::read(&body).map_or(is_same, |known| {
            let (old, new) = (known.finding.execution(), finding.execution());
            let layers = |finding: &Finding| finding.script().map_or(0, |judged| judged.layers.len());
            // What was judged while it was read may be held when all of it is there; what was held may turn out to have run.
            let held = |finding: &Finding| finding.script().and_then(|judged| judged.held);
            let is_held_now = match (held(&known.finding), held(finding)) {
                (None, Some(_)) => true,
                (Some(before), Some(Held::Late)) => before != Held::Late,
                _ => false,
            };
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
        if let Some(text) = parts.text {
            insert_text(connection, &finding.content_sha256.0, &text).await?;
        }
        put_body(connection, found.seq, parts.body).await?;
        let put = sql("UPDATE findings SET content_sha256 = $1 WHERE seq = $2");
        connection.execute(put.bind(&finding.content_sha256.0[..]).bind(found.seq)).await?;
        if !is_same {
            remove_script(connection, &found.content_sha256).await?;
        }
        self.refresh(connection, found.seq).await
    }

    /// Writes what is known of a container into its findings, or into one of them.
    async fn complete(
        &self,
        connection: &mut Connection,
        container: &Container,
        only: Option<i64>,
    ) -> Result<u64, sqlx::Error> {
        let (rank, json) = (metadata_rank(Some(container)), to_json(container)?);
        let poorer = sql("SELECT seq FROM findings JOIN documents ON finding = seq
                          WHERE container_id = $1 AND metadata <= $2 AND container <> $3 AND ($4 IS NULL OR seq = $4)");
        let poorer = poorer.bind(container.id.as_str()).bind(rank).bind(json.as_str()).bind(only);
        let poorer: Vec<i64> = connection.all(poorer).await?;
        for seq in &poorer {
            let known = sql("UPDATE findings SET metadata = $1 WHERE seq = $2").bind(rank).bind(*seq);
            connection.execute(known).await?;
            let known =
                sql("UPDATE documents SET container = $1 WHERE finding = $2").bind(json.as_str()).bind(*seq);
            connection.execute(known).await?;
            self.refresh(connection, *seq).await?;
        }
        Ok(poorer.len() as u64)
    }

    /// Renders the document of one of urva's own findings again, after its evidence has changed. Where the evidence cannot be
    /// read any more, the document stays as it is.
    async fn refresh(&self, connection: &mut Connection, seq: i64) -> Result<(), sqlx::Error> {
        let rows = connection.rows(sql(body::SELECT).bind(seq)).await?;
        let Some(Ok(finding)) = rows.first().map(body::read) else { return Ok(()) };
        let known = sql("SELECT CAST(document AS TEXT) FROM documents WHERE finding = $1").bind(seq);
        let known: String = connection.one(known).await?;
        let (mut document, resource) = render(&finding, self.site)?;
        if let Ok(known) = serde_json::from_str(&known) {
            keep_peoples_fields(&known, &mut document);
        }
        self.rules.apply(&mut document, &resource, finding.last_seen);
        let resource = insert::resource(connection, &resource).await?;
        let columns = Columns {
            create_time: finding.first_seen,
            event_time: finding.last_seen,
            ..Columns::of(&document)
        };
        put_document(connection, seq, resource, &columns, &document).await
    }
}

/// Rows that an execution may belong to, the best one first. `known` is one that has counted it.
const MATCHES: &str =
    "SELECT * FROM (SELECT seq, id, count, create_time, event_time, metadata, state, content_sha256,
             id = $4 OR EXISTS (SELECT 1 FROM executions
                                WHERE finding = seq AND pid = $5 AND start_ticks = $6) AS known
         FROM findings
         WHERE ((content_sha256 = $1 AND container_id = $2 AND category = $3) OR id = $4)
           AND source = $9 AND content_sha256 IS NOT NULL
         ) AS candidate
     WHERE known OR (state = 'ACTIVE' AND event_time >= $7 AND create_time <= $8)
     ORDER BY id = $4 DESC, known DESC, event_time DESC LIMIT 1";

/// The same, and rows whose text may begin with that of the execution.
const MATCHES_BY_BEGINNING: &str = "SELECT * FROM (SELECT seq, id, count, create_time, event_time, metadata, state, content_sha256,
             id = $4 OR EXISTS (SELECT 1 FROM executions
                                WHERE finding = seq AND pid = $5 AND start_ticks = $6) AS known
         FROM findings
         WHERE ((container_id = $2 AND category = $3 AND (content_sha256 = $1 OR event_time >= $7)) OR id = $4)
           AND source = $9 AND content_sha256 IS NOT NULL
         ) AS candidate
     WHERE known OR (state = 'ACTIVE' AND event_time >= $7 AND create_time <= $8)
     ORDER BY id = $4 DESC, known DESC, event_time DESC LIMIT 1000";

fn new_one(finding: &Finding) -> Recorded {
    Recorded { id: finding.id.clone(), outcome: Outcome::New, count: finding.count.max(1) }
}

async fn insert_all(connection: &mut Connection, new: Vec<(NewFinding, Json)>) -> Result<(), sqlx::Error> {
    let mut last: Option<(Json, i64)> = None;
    let mut rows = Vec::with_capacity(new.len());
    for (mut finding, resource) in new {
        let seq = match &last {
            Some((known, seq)) if *known == resource => *seq,
            _ => insert::resource(connection, &resource).await?,
        };
        finding.resource = seq;
        last = Some((resource, seq));
        rows.push(finding);
    }
    insert::insert(connection, &rows).await
}

/// What of a text that comes bit by bit is there, its parts one after the other.
fn beginning_of(finding: &Finding) -> Option<Vec<u8>> {
    let script = &finding.script()?.capture.script;
    let (head, tail) = script.content.parts();
    script.is_streamed().then(|| [head, tail].concat())
}

/// The text of this hash; nothing where it is missing or damaged.
async fn text(connection: &mut Connection, sha256: &[u8]) -> Result<Option<Vec<u8>>, sqlx::Error> {
    let packed: Option<Vec<u8>> =
        connection.first(sql("SELECT text FROM scripts WHERE sha256 = $1").bind(sha256)).await?;
    Ok(packed.and_then(|packed| zip::unpack(&packed).ok()))
}

async fn put_body(connection: &mut Connection, seq: i64, body: Vec<u8>) -> Result<(), sqlx::Error> {
    let put = sql("UPDATE documents SET body = $1 WHERE finding = $2").bind(body).bind(seq);
    connection.execute(put).await.map(|_| ())
}

async fn trim_executions(connection: &mut Connection, seq: i64) -> Result<(), sqlx::Error> {
    let old = "DELETE FROM executions WHERE finding = $1 AND (pid, start_ticks) NOT IN
                   (SELECT pid, start_ticks FROM executions WHERE finding = $1
                    ORDER BY at DESC, start_ticks DESC, pid DESC LIMIT $2)";
    connection.execute(sql(old).bind(seq).bind(KEPT_EXECUTIONS)).await.map(|_| ())
}

/// Replaces a document, and what of it stands in columns.
pub(crate) async fn put_document(
    connection: &mut Connection,
    seq: i64,
    resource: i64,
    columns: &Columns,
    document: &Json,
) -> Result<(), sqlx::Error> {
    let put = sql("UPDATE documents SET document = json($1) WHERE finding = $2");
    connection.execute(put.bind(document.to_string()).bind(seq)).await?;
    let put = sql("UPDATE findings SET resource = $1, category = $2, state = $3, severity = $4, mute = $5,
             create_time = $6, event_time = $7, container_name = $8, image = $9, namespace = $10, pod = $11
         WHERE seq = $12")
    .bind(resource)
    .bind(columns.category.as_str())
    .bind(columns.state.as_str())
    .bind(columns.severity.as_str())
    .bind(columns.mute.as_str())
    .bind(to_sql(columns.create_time.0))
    .bind(to_sql(columns.event_time.0))
    .bind(columns.container_name.as_deref())
    .bind(columns.image.as_deref())
    .bind(columns.namespace.as_deref())
    .bind(columns.pod.as_deref())
    .bind(seq);
    connection.execute(put).await.map(|_| ())
}
