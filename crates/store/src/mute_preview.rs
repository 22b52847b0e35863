//! What a mute rule would have muted, had it been there.
//!
//! Refuses: changing anything, and saying of whom a finding was muted already. What a rule is about is counted, muted or not.

use crate::filter::Filter;
use crate::list::Writer;
use crate::session::Access;
use crate::sql::{Connection, FromRow, Row};
use crate::{Store, StoreError, from_sql, to_sql};
use evidence::Timestamp;

/// Namespaces and examples that are named at the most.
const NAMED: u32 = 20;
const EXAMPLES: u32 = 5;

/// What a rule is about, among the findings whose latest event is not older than a given time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MutePreview {
    /// How many findings.
    pub findings: u64,
    /// How many of them are of the severity `CRITICAL`.
    pub critical: u64,
    /// The namespaces of their Pods, those with the most findings first, 20 at the most.
    pub namespaces: Vec<MutedNamespace>,
    /// How many namespaces there are, named or not.
    pub namespace_count: u64,
    /// In how many of them there are findings of the severity `CRITICAL`.
    pub critical_namespace_count: u64,
    /// The newest ones, 5 at the most.
    pub examples: Vec<MutedExample>,
}

impl MutePreview {
    /// Whether such a rule is asked for twice: it hides what is critical in more than one namespace.
    pub fn is_wide(&self) -> bool {
        self.critical_namespace_count > 1
    }
}

/// Findings of one namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MutedNamespace {
    /// Its name; empty for all that is in no Pod.
    pub name: String,
    /// How many findings.
    pub findings: u64,
    /// How many of them are of the severity `CRITICAL`.
    pub critical: u64,
}

/// One finding that a rule is about. What it has no value for, or too long a one, is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MutedExample {
    /// The id of its source.
    pub source: String,
    /// Its id in the source.
    pub id: String,
    /// As in its document.
    pub category: String,
    /// As in its document: `CRITICAL` and so on.
    pub severity: String,
    /// Its latest event.
    pub event_time: Timestamp,
    /// The Pod's namespace.
    pub namespace: String,
    /// The Pod.
    pub pod: String,
    /// The container.
    pub container: String,
    /// The container's image.
    pub image: String,
}

impl FromRow for MutedExample {
    fn from_row(row: &Row) -> Result<Self, sqlx::Error> {
        let text = |place| row.at::<Option<String>>(place).map(Option::unwrap_or_default);
        Ok(Self {
            source: row.at(0)?,
            id: row.at(1)?,
            category: row.at(2)?,
            severity: row.at(3)?,
            event_time: Timestamp(from_sql(row.at(4)?)),
            namespace: text(5)?,
            pod: text(6)?,
            container: text(7)?,
            image: text(8)?,
        })
    }
}

/// A namespace, and beside it what is true of all of them together.
struct Counted {
    namespace: MutedNamespace,
    findings: u64,
    critical: u64,
    namespaces: u64,
    critical_namespaces: u64,
}

impl FromRow for Counted {
    fn from_row(row: &Row) -> Result<Self, sqlx::Error> {
        let count = |place| row.at::<i64>(place).map(from_sql);
        Ok(Self {
            namespace: MutedNamespace { name: row.at(0)?, findings: count(1)?, critical: count(2)? },
            findings: count(3)?,
            critical: count(4)?,
            namespaces: count(5)?,
            critical_namespaces: count(6)?,
        })
    }
}

impl Store {
    /// What a rule of this filter is about, among the findings whose latest event is not older than `since`.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn preview_mute(&self, filter: &Filter, since: Timestamp) -> Result<MutePreview, StoreError> {
        let mut transaction = self.begin(Access::Read).await?;
        let preview = preview(transaction.connection(), filter, since).await;
        self.end(transaction, "see what a rule would mute", preview).await
    }
}

async fn preview(
    connection: &mut Connection,
    filter: &Filter,
    since: Timestamp,
) -> Result<MutePreview, sqlx::Error> {
    let (writer, tables, condition) = about(connection, filter, since).await?;
    let text = format!(
        "SELECT namespace, n, critical, CAST(sum(n) OVER () AS BIGINT), CAST(sum(critical) OVER () AS BIGINT),
                count(*) OVER (), CAST(sum(CASE WHEN critical > 0 THEN 1 ELSE 0 END) OVER () AS BIGINT)
         FROM (SELECT COALESCE(f.namespace, '') AS namespace, count(*) AS n,
                      CAST(sum(CASE WHEN f.severity = 'CRITICAL' THEN 1 ELSE 0 END) AS BIGINT) AS critical
               FROM {tables} WHERE {condition} GROUP BY 1) AS g
         ORDER BY n DESC, namespace LIMIT {NAMED}"
    );
    let counted: Vec<Counted> = connection.all(writer.statement(text)).await?;
    let Some(all) = counted.first() else { return Ok(MutePreview::default()) };
    let mut preview = MutePreview {
        findings: all.findings,
        critical: all.critical,
        namespace_count: all.namespaces,
        critical_namespace_count: all.critical_namespaces,
        ..MutePreview::default()
    };
    preview.namespaces = counted.into_iter().map(|counted| counted.namespace).collect();
    let (writer, tables, condition) = about(connection, filter, since).await?;
    let text = format!(
        "SELECT f.source, f.id, f.category, f.severity, f.event_time, f.namespace, f.pod, f.container_name, f.image
         FROM {tables} WHERE {condition} ORDER BY f.event_time DESC, f.seq DESC LIMIT {EXAMPLES}"
    );
    preview.examples = connection.all(writer.statement(text)).await?;
    Ok(preview)
}

/// What a statement about these findings begins with: its values, the tables, and the condition.
async fn about(
    connection: &mut Connection,
    filter: &Filter,
    since: Timestamp,
) -> Result<(Writer, &'static str, String), sqlx::Error> {
    let mut writer = Writer::new(connection).await?;
    let condition = writer.condition(None, filter);
    let condition = format!("{condition} AND f.event_time >= {}", writer.bind(to_sql(since.0)));
    let tables = writer.tables();
    Ok((writer, tables, condition))
}
