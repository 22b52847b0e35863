//! Recording: which finding an execution belongs to, and what it changes there.

use crate::body::{self, Body, Parts, keep_numbers_finite, lacks, metadata_rank, state, to_json};
use crate::document::{Columns, Site, keep_peoples_fields, render};
use crate::insert::{self, NewFinding, Resources, insert_execution, insert_text};
use crate::mute::Rules;
use crate::outbox::{Outbox, Told};
use crate::retain::remove_script;
use crate::session::Access;
use crate::sql::{Connection, FromRow, Row, Statement, sql, without_nul};
use crate::{Store, StoreError, from_sql, to_sql, zip};
use evidence::{Container, Finding, FindingId, Held, Timestamp};
use serde_json::Value as Json;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

/// Executions that are kept for each finding, the newest ones. The count goes on.
const KEPT_EXECUTIONS: i64 = 1_000;

/// Older executions are removed when so many have come, so that most records need not look for them.
const TRIMMED_EACH: u64 = 64;

/// Findings of a batch that the database is asked about together.
const ASKED_AT_ONCE: usize = 64;

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
    state: String,
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
            state: row.get("state")?,
            content_sha256: row.get("content_sha256")?,
            known: row.get("known")?,
        })
    }
}

/// What recording needs to know besides the findings, in one transaction.
struct Ingest<'a> {
    site: &'a Site,
    rules: Arc<Rules>,
    resources: Resources,
    /// The number of the newest row.
    last: i64,
    outbox: Outbox<'a>,
    fold_window: Duration,
}

impl<'a> Ingest<'a> {
    async fn new(
        connection: &mut Connection,
        store: &'a Store,
        fold_window: Duration,
    ) -> Result<Self, sqlx::Error> {
        let numbers = "SELECT version, (SELECT COALESCE(max(seq), 0) FROM findings) FROM settings_version";
        let (version, last): (i64, i64) = connection.one(sql(numbers)).await?;
        let rules = store.rules.of_version(connection, version).await?;
        let outbox = Outbox::read(connection, &store.site).await?;
        Ok(Self { site: &store.site, rules, resources: store.resources.take(), last, outbox, fold_window })
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
        let done = record_all(transaction.connection(), self, findings, fold_window).await;
        let (recorded, resources) = self.end(transaction, "record findings", done).await?;
        self.resources.put(resources);
        Ok(recorded)
    }

    /// Puts metadata that came late into each finding of the container, unless more is known there already.
    /// Returns how many findings changed.
    ///
    /// # Errors
    /// As for [`Store::record`].
    pub async fn complete_container(&self, container: &Container) -> Result<u64, StoreError> {
        let mut transaction = self.begin(Access::Write).await?;
        let connection = transaction.connection();
        let changed = match Ingest::new(connection, self, Duration::ZERO).await {
            Ok(mut ingest) => ingest.complete(connection, container, None).await,
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
        for some in findings.chunks(ASKED_AT_ONCE) {
            // The last one is repeated, so that the databases know both statements already.
            let some = || some.iter().chain(some.last().into_iter().cycle()).take(ASKED_AT_ONCE);
            let keys = some().fold(
                sql(format!(
                    "SELECT content_sha256, container_id, category FROM findings
                     WHERE (content_sha256, container_id) IN (VALUES {})",
                    insert::list("($,$)", ASKED_AT_ONCE)
                )),
                |query, finding| query.bind(&finding.content_sha256.0[..]).bind(finding.container_id()),
            );
            known.keys.extend(connection.all::<(Vec<u8>, String, String)>(keys.in_order(connection)).await?);
            let ids = format!("SELECT id FROM findings WHERE id IN ({})", insert::list("$", ASKED_AT_ONCE));
            let ids = some()
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

/// What has to do with nothing else is written together; the rest one by one, in the order in which it came. Returns what is
/// known of resources as well, which is true when the transaction has been committed.
async fn record_all(
    connection: &mut Connection,
    store: &Store,
    findings: &[Finding],
    fold_window: Duration,
) -> Result<(Vec<Recorded>, Resources), sqlx::Error> {
    let mut ingest = Ingest::new(connection, store, fold_window).await?;
    if let [finding] = findings {
        let recorded = ingest.record_one(connection, finding).await?;
        return Ok((vec![recorded], ingest.resources));
    }
    let mut known = Known::among(connection, findings).await?;
    let mut recorded = Vec::with_capacity(findings.len());
    let mut new = Vec::new();
    for finding in findings {
        if known.is_new(finding) {
            new.push(ingest.new_finding(finding)?);
            recorded.push(new_one(finding));
        } else {
            ingest.insert(connection, std::mem::take(&mut new)).await?;
            recorded.push(ingest.record_one(connection, finding).await?);
        }
    }
    ingest.insert(connection, new).await?;
    Ok((recorded, ingest.resources))
}

impl Ingest<'_> {
    fn new_finding(&self, finding: &Finding) -> Result<(NewFinding, Json), sqlx::Error> {
        let (mut new, resource) = NewFinding::of(finding, self.site)?;
        self.rules.apply(&mut new.document, &resource, finding.last_seen);
        new.columns.mute = Columns::of(&new.document).mute;
        Ok((new, resource))
    }

    async fn insert(
        &mut self,
        connection: &mut Connection,
        new: Vec<(NewFinding, Json)>,
    ) -> Result<(), sqlx::Error> {
        self.outbox.created(connection, &new).await?;
        let mut rows = Vec::with_capacity(new.len());
        for (mut finding, resource) in new {
            finding.resource = self.resources.of_urva(connection, resource).await?;
            rows.push(finding);
        }
        self.last = insert::insert(connection, self.last, &rows).await?;
        Ok(())
    }

    async fn record_one(
        &mut self,
        connection: &mut Connection,
        finding: &Finding,
    ) -> Result<Recorded, sqlx::Error> {
        let Some(mut found) = self.find_match(connection, finding).await? else {
            let new = vec![self.new_finding(finding)?];
            self.insert(connection, new).await?;
            return Ok(new_one(finding));
        };
        let (outcome, count) = if found.known {
            self.improve(connection, finding, &mut found).await?;
            (Outcome::AlreadyKnown, from_sql(found.count))
        } else {
            (Outcome::Updated, self.count_in(connection, finding, &mut found).await?)
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
        let mut query = sql(if beginning.is_some() { MATCHES_BY_BEGINNING } else { MATCHES })
            .bind(&finding.content_sha256.0[..])
            .bind(finding.container_id())
            .bind(finding.category.display_name())
            .bind(finding.id.as_str())
            .bind(i64::from(execution.pid))
            .bind(execution.start_ticks.cast_signed())
            .bind(at.saturating_sub(window))
            .bind(at.saturating_add(window))
            .bind(self.site.place.source.as_str());
        if let Some(beginning) = &beginning {
            query = query.bind(to_sql(beginning.len() as u64));
        }
        let candidates: Vec<Match> = connection.all(query).await?;
        for candidate in candidates {
            let is_same =
                candidate.content_sha256 == finding.content_sha256.0 || candidate.id == finding.id.as_str();
            let begins_so = match &beginning {
                Some(beginning) if !is_same => {
                    begins_with(connection, &candidate.content_sha256, beginning).await?
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
        &mut self,
        connection: &mut Connection,
        finding: &Finding,
        found: &mut Match,
    ) -> Result<u64, sqlx::Error> {
        let before = from_sql(found.count);
        let count = before.saturating_add(finding.count.max(1));
        // The body of a text's beginning does not fit the whole text.
        let is_same = finding.content_sha256.0[..] == found.content_sha256[..];
        let is_latest = is_same && to_sql(finding.last_seen.0) >= found.event_time;
        found.count = to_sql(count);
        found.create_time = found.create_time.min(to_sql(finding.first_seen.0));
        found.event_time = found.event_time.max(to_sql(finding.last_seen.0));
        insert_execution(connection, found.seq, finding.execution()).await?;
        if is_latest {
            self.show(connection, finding, found).await?;
        } else {
            let counted =
                sql("UPDATE findings SET count = $1, create_time = $2, event_time = $3 WHERE seq = $4")
                    .bind(found.count)
                    .bind(found.create_time)
                    .bind(found.event_time)
                    .bind(found.seq);
            connection.execute(counted).await?;
            self.refresh(connection, found.seq).await?;
        }
        if count > KEPT_EXECUTIONS.unsigned_abs() && count / TRIMMED_EACH != before / TRIMMED_EACH {
            trim_executions(connection, found.seq).await?;
        }
        Ok(count)
    }

    /// A second report of the execution that the finding shows replaces the first where it knows more: a hash
    /// that took its time, a text that has grown, texts that the script compiled meanwhile. A body that cannot be read any
    /// more is replaced as well.
    async fn improve(
        &mut self,
        connection: &mut Connection,
        finding: &Finding,
        found: &mut Match,
    ) -> Result<(), sqlx::Error> {
        let known =
            "SELECT body, (SELECT size FROM scripts WHERE sha256 = $2) FROM documents WHERE finding = $1";
        let known = sql(known).bind(found.seq).bind(found.content_sha256.as_slice());
        let (body, text_size): (Option<Vec<u8>>, Option<i64>) = connection.one(known).await?;
        let is_same = finding.content_sha256.0[..] == found.content_sha256[..];
        let is_better = Body::read(&body.unwrap_or_default()).map_or(is_same, |known| {
            let (old, new) = (known.finding.execution(), finding.execution());
            let is_this = (old.pid, old.start_ticks) == (new.pid, new.start_ticks);
            is_this
                && match is_same {
                    true => knows_more(&known.finding, finding),
                    false => known.has_grown(text_size.map(from_sql), finding),
                }
        });
        if !is_better {
            return Ok(());
        }
        if !is_same {
            let put = sql("UPDATE findings SET content_sha256 = $1 WHERE seq = $2");
            connection.execute(put.bind(&finding.content_sha256.0[..]).bind(found.seq)).await?;
            remove_script(connection, &found.content_sha256).await?;
        }
        if let Some(text) = Parts::of(finding)?.text {
            insert_text(connection, &finding.content_sha256.0, &text).await?;
        }
        self.show(connection, finding, found).await
    }

    /// Lets the finding show this capture of it, with what else is known: its count, its times, and of the container whichever
    /// is more.
    async fn show(
        &mut self,
        connection: &mut Connection,
        finding: &Finding,
        found: &mut Match,
    ) -> Result<(), sqlx::Error> {
        let known = sql("SELECT CAST(document AS TEXT), container FROM documents WHERE finding = $1");
        let (document, container): (String, Option<String>) = connection.one(known.bind(found.seq)).await?;
        let mut shown = finding.clone();
        keep_numbers_finite(&mut shown);
        shown.id = FindingId::parse(&found.id).unwrap_or_else(|| finding.id.clone());
        shown.state = state(&found.state).unwrap_or(finding.state);
        shown.count = from_sql(found.count);
        shown.first_seen = Timestamp(from_sql(found.create_time));
        shown.last_seen = Timestamp(from_sql(found.event_time));
        let rank = metadata_rank(finding.container());
        let is_richer = container.is_some() && finding.container().is_some() && rank > found.metadata;
        if is_richer {
            found.metadata = rank;
        } else if let Ok(container) = container.as_deref().map(serde_json::from_str).transpose() {
            *shown.container_mut() = container;
        }
        let mut rows = self.rows(connection, &shown, &document).await?;
        rows.counted = Some((found.count, found.metadata));
        rows.body = Some(Parts::of(finding)?.body);
        rows.container = is_richer.then(|| shown.container().map(to_json)).flatten().transpose()?;
        rows.put(connection, found.seq).await
    }

    /// Writes what is known of a container into its findings, or into one of them.
    async fn complete(
        &mut self,
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
    async fn refresh(&mut self, connection: &mut Connection, seq: i64) -> Result<(), sqlx::Error> {
        let rows = connection.rows(sql(body::SELECT).bind(seq)).await?;
        let Some((Ok(finding), row)) = rows.first().map(|row| (body::read(row), row)) else { return Ok(()) };
        let document: String = row.get("document")?;
        self.rows(connection, &finding, &document).await?.put(connection, seq).await
    }

    /// What the rows of a finding say, of what is known of it and of its document before.
    async fn rows(
        &mut self,
        connection: &mut Connection,
        finding: &Finding,
        before: &str,
    ) -> Result<Rows, sqlx::Error> {
        let (mut document, resource) = render(finding, self.site)?;
        let before: Option<Json> = serde_json::from_str(before).ok();
        if let Some(before) = &before {
            keep_peoples_fields(before, &mut document);
        }
        self.rules.apply(&mut document, &resource, finding.last_seen);
        let (source, id, at) = (self.site.place.source.as_str(), finding.id.as_str(), finding.last_seen);
        let told = Told { source, id, document: &document, resource: &resource, at };
        self.outbox.changed(connection, before.as_ref(), told).await?;
        let columns = Columns {
            create_time: finding.first_seen,
            event_time: finding.last_seen,
            ..Columns::of(&document)
        };
        Ok(Rows::new(self.resources.of_urva(connection, resource).await?, columns, &document))
    }
}

/// Whether a report of the same text of the same execution is to replace the one before.
fn knows_more(known: &Finding, finding: &Finding) -> bool {
    let layers = |finding: &Finding| finding.script().map_or(0, |judged| judged.layers.len());
    // What was judged while it was read may be held when all of it is there; what was held may turn out to have run.
    let held = |finding: &Finding| finding.script().and_then(|judged| judged.held);
    let is_held_now = match (held(known), held(finding)) {
        (None, Some(_)) => true,
        (Some(before), Some(Held::Late)) => before != Held::Late,
        _ => false,
    };
    is_held_now || layers(finding) > layers(known) || lacks(finding) < lacks(known)
}

/// Rows that an execution may belong to, the best one first. `known` is one that has counted it. The category is compared so that
/// no index of it is used, which would lead to all of its findings.
const MATCHES: &str =
    "SELECT * FROM (SELECT seq, id, count, create_time, event_time, metadata, state, content_sha256,
             id = $4 OR EXISTS (SELECT 1 FROM executions
                                WHERE finding = seq AND pid = $5 AND start_ticks = $6) AS known
         FROM findings
         WHERE ((content_sha256 = $1 AND container_id = $2) OR id = $4)
           AND (category || '' = $3 OR id = $4) AND source = $9 AND content_sha256 IS NOT NULL
         ) AS candidate
     WHERE known OR (state = 'ACTIVE' AND event_time >= $7 AND create_time <= $8)
     ORDER BY id = $4 DESC, known DESC, event_time DESC LIMIT 1";

/// The same, and rows whose text may begin with that of the execution, whose size is `$10`: it is compared with a hundred at the most.
const MATCHES_BY_BEGINNING: &str =
    "SELECT * FROM (SELECT seq, id, count, create_time, event_time, metadata, state, content_sha256,
             id = $4 OR EXISTS (SELECT 1 FROM executions
                                WHERE finding = seq AND pid = $5 AND start_ticks = $6) AS known
         FROM findings
         WHERE (container_id = $2 OR id = $4)
           AND ((category || '' = $3 AND (content_sha256 = $1 OR event_time >= $7)) OR id = $4)
           AND source = $9 AND content_sha256 IS NOT NULL
         ) AS candidate
     WHERE (known OR (state = 'ACTIVE' AND event_time >= $7 AND create_time <= $8))
       AND (id = $4 OR content_sha256 = $1
            OR COALESCE((SELECT size FROM scripts WHERE sha256 = content_sha256), 0) >= $10)
     ORDER BY id = $4 DESC, known DESC, event_time DESC LIMIT 100";

fn new_one(finding: &Finding) -> Recorded {
    Recorded { id: finding.id.clone(), outcome: Outcome::New, count: finding.count.max(1) }
}

/// What of a text that comes bit by bit is there, its parts one after the other.
fn beginning_of(finding: &Finding) -> Option<Vec<u8>> {
    let script = &finding.script()?.capture.script;
    let (head, tail) = script.content.parts();
    script.is_streamed().then(|| [head, tail].concat())
}

/// Whether the text of this hash begins so. One that is missing or damaged does not.
async fn begins_with(
    connection: &mut Connection,
    sha256: &[u8],
    beginning: &[u8],
) -> Result<bool, sqlx::Error> {
    let packed: Option<Vec<u8>> =
        connection.first(sql("SELECT text FROM scripts WHERE sha256 = $1").bind(sha256)).await?;
    Ok(packed.is_some_and(|packed| {
        zip::unpack_beginning(&packed, beginning.len()).is_ok_and(|text| text == beginning)
    }))
}

async fn trim_executions(connection: &mut Connection, seq: i64) -> Result<(), sqlx::Error> {
    let old = "DELETE FROM executions WHERE finding = $1 AND (pid, start_ticks) NOT IN
                   (SELECT pid, start_ticks FROM executions WHERE finding = $1
                    ORDER BY at DESC, start_ticks DESC, pid DESC LIMIT $2)";
    connection.execute(sql(old).bind(seq).bind(KEPT_EXECUTIONS)).await.map(|_| ())
}

/// What is written over the rows of a finding that is there.
pub(crate) struct Rows {
    resource: i64,
    columns: Columns,
    document: String,
    /// How many executions it stands for, and how much is known of its container, where these have changed.
    counted: Option<(i64, i64)>,
    /// The evidence, where it has changed.
    body: Option<Vec<u8>>,
    container: Option<String>,
}

impl Rows {
    pub(crate) fn new(resource: i64, columns: Columns, document: &Json) -> Self {
        let document = document.to_string();
        Self { resource, columns, document, counted: None, body: None, container: None }
    }

    pub(crate) async fn put(self, connection: &mut Connection, seq: i64) -> Result<(), sqlx::Error> {
        let put = sql("UPDATE documents SET document = json($1), body = COALESCE($2, body),
                 container = COALESCE($3, container) WHERE finding = $4")
        .bind(self.document)
        .bind(self.body)
        .bind(self.container)
        .bind(seq);
        connection.execute(put).await?;
        let columns = self.columns;
        let put = sql("UPDATE findings SET resource = $1, category = $2, state = $3, severity = $4, mute = $5,
                 create_time = $6, event_time = $7, container_name = $8, image = $9, namespace = $10, pod = $11,
                 count = COALESCE($12, count), metadata = COALESCE($13, metadata)
             WHERE seq = $14")
        .bind(self.resource)
        .bind(columns.category)
        .bind(columns.state)
        .bind(columns.severity)
        .bind(columns.mute)
        .bind(to_sql(columns.create_time.0))
        .bind(to_sql(columns.event_time.0))
        .bind(columns.container_name)
        .bind(columns.image)
        .bind(columns.namespace)
        .bind(columns.pod)
        .bind(self.counted.map(|(count, _)| count))
        .bind(self.counted.map(|(_, metadata)| metadata))
        .bind(seq);
        connection.execute(put).await.map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    /// On a table of which SQLite knows nothing, as ours are.
    async fn plan(query: &'static str) -> String {
        let folder = TempDir::new().unwrap();
        let store = Store::open(folder.path().join("urva.db")).await.unwrap();
        let mut transaction = store.begin(Access::Read).await.unwrap();
        let rows = transaction.connection().rows(sql(format!("EXPLAIN QUERY PLAN {query}"))).await.unwrap();
        let lines: Vec<String> = rows.iter().map(|row| row.get("detail").unwrap()).collect();
        lines.join("\n")
    }

    #[tokio::test]
    async fn a_match_is_found_by_its_text_or_its_container_and_never_by_its_category() {
        for (query, index) in [(MATCHES, "findings_by_text"), (MATCHES_BY_BEGINNING, "findings_by_container")]
        {
            let plan = plan(query).await;
            assert!(plan.contains(&format!("{index} (")), "{plan}");
            assert!(!plan.contains("SCAN findings") && !plan.contains("(category"), "{plan}");
        }
    }
}
