//! New findings, written many at a time: a statement takes as many rows as are there.

use crate::body::{Parts, metadata_rank, to_json};
use crate::document::{Columns, Site, normal, render};
use crate::sql::{Connection, Statement, Value, sql};
use crate::{to_sql, zip};
use evidence::{Execution, Finding};
use serde_json::Value as Json;
use std::sync::{Mutex, PoisonError};

/// Rows of one statement. There are few sizes, so that the databases know each statement already.
const SIZES: [usize; 3] = [64, 8, 1];

/// A finding with all that its rows hold.
pub(crate) struct NewFinding {
    pub(crate) source: String,
    pub(crate) id: String,
    pub(crate) document: Json,
    pub(crate) columns: Columns,
    pub(crate) resource: i64,
    pub(crate) count: u64,
    pub(crate) evidence: Option<Evidence>,
}

/// What there is of one of urva's own findings besides the document.
pub(crate) struct Evidence {
    pub(crate) content_sha256: Vec<u8>,
    pub(crate) container_id: String,
    pub(crate) metadata: i64,
    pub(crate) container: Option<String>,
    pub(crate) body: Vec<u8>,
    /// Compressed, and its size before.
    pub(crate) text: Option<(Vec<u8>, u64)>,
    pub(crate) execution: Option<Execution>,
}

impl NewFinding {
    /// One of urva's own, with the resource that it was found in.
    pub(crate) fn of(finding: &Finding, site: &Site) -> Result<(Self, Json), sqlx::Error> {
        let (document, resource) = render(finding, site)?;
        let columns = Columns {
            create_time: finding.first_seen,
            event_time: finding.last_seen,
            ..Columns::of(&document)
        };
        let evidence = Some(Evidence::of(finding)?);
        let (source, id) = (site.place.source.clone(), finding.id.as_str().to_owned());
        let count = finding.count.max(1);
        Ok((Self { source, id, document, columns, resource: 0, count, evidence }, resource))
    }
}

impl Evidence {
    fn of(finding: &Finding) -> Result<Self, sqlx::Error> {
        let parts = Parts::of(finding)?;
        let packed = |text: Vec<u8>| zip::pack(&text).map(|packed| (packed, text.len() as u64));
        Ok(Self {
            content_sha256: finding.content_sha256.0.to_vec(),
            container_id: finding.container_id().to_owned(),
            metadata: metadata_rank(finding.container()),
            container: finding.container().map(to_json).transpose()?,
            body: parts.body,
            text: parts.text.map(packed).transpose()?,
            execution: Some(finding.execution()),
        })
    }
}

/// The number of the newest row.
pub(crate) async fn last(connection: &mut Connection) -> Result<i64, sqlx::Error> {
    connection.one(sql("SELECT COALESCE(max(seq), 0) FROM findings")).await
}

/// Writes them all behind the `last` one; returns what is the last one then. Whoever calls this has seen to it that none of them is there.
pub(crate) async fn insert(
    connection: &mut Connection,
    last: i64,
    new: &[NewFinding],
) -> Result<i64, sqlx::Error> {
    if new.is_empty() {
        return Ok(last);
    }
    let numbered: Vec<(i64, &NewFinding)> = (last + 1..).zip(new).collect();
    write(
        connection,
        "scripts (sha256, size, text)",
        "($,$,$)",
        " ON CONFLICT DO NOTHING",
        scripts(&numbered),
    )
    .await?;
    write(
        connection,
        "findings (seq, source, id, resource, category, state, severity, mute, create_time, event_time, count,
             content_sha256, container_id, metadata, container_name, image, namespace, pod)",
        "($,$,$,$,$,$,$,$,$,$,$,$,$,$,$,$,$,$)",
        "",
        numbered.iter().map(|(seq, finding)| row(*seq, finding)).collect(),
    )
    .await?;
    write(
        connection,
        "documents (finding, document, container, body)",
        "($,json($),$,$)",
        "",
        numbered.iter().map(|(seq, finding)| document(*seq, finding)).collect(),
    )
    .await?;
    write(connection, "executions (finding, pid, start_ticks, at)", "($,$,$,$)", "", executions(&numbered))
        .await?;
    Ok(numbered.last().map_or(last, |(seq, _)| *seq))
}

/// The resource that urva's own findings were last recorded for, and the number of its row. It is true outside of the transaction that
/// found it when that one has been committed.
#[derive(Debug, Default)]
pub(crate) struct Resources(Option<(Json, i64)>);

impl Resources {
    /// The row of a resource as urva describes it, which is right whatever anybody else has said of it.
    pub(crate) async fn of_urva(
        &mut self,
        connection: &mut Connection,
        resource: Json,
    ) -> Result<i64, sqlx::Error> {
        if let Some((known, seq)) = &self.0
            && *known == resource
        {
            return Ok(*seq);
        }
        let seq = own_resource(connection, &resource).await?;
        self.0 = Some((resource, seq));
        Ok(seq)
    }
}

/// What a store knows of resources between its transactions.
#[derive(Debug, Default)]
pub(crate) struct KeptResources(Mutex<Resources>);

impl KeptResources {
    /// Leaves nothing behind: where the transaction fails, nothing is known any more.
    pub(crate) fn take(&self) -> Resources {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn put(&self, known: Resources) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = known;
    }
}

fn name(resource: &Json) -> &str {
    resource.get("name").and_then(Json::as_str).unwrap_or_default()
}

/// The resource of this name, as it is described now.
pub(crate) async fn own_resource(connection: &mut Connection, resource: &Json) -> Result<i64, sqlx::Error> {
    match known_resource(connection, name(resource)).await? {
        Some((seq, known)) if known == *resource => Ok(seq),
        _ => {
            let put = "INSERT INTO resources (name, document) VALUES ($1, json($2))
                       ON CONFLICT (name) DO UPDATE SET document = excluded.document RETURNING seq";
            connection.one(sql(put).bind(name(resource)).bind(normal(resource.clone()).to_string())).await
        }
    }
}

/// The resource that a client names, and what is known of it: many findings share it, so a client describes only one that nobody
/// has described before.
pub(crate) async fn clients_resource(
    connection: &mut Connection,
    resource: Json,
) -> Result<(i64, Json), sqlx::Error> {
    if let Some(known) = known_resource(connection, name(&resource)).await? {
        return Ok(known);
    }
    let resource = normal(resource);
    let add = sql("INSERT INTO resources (name, document) VALUES ($1, json($2)) RETURNING seq");
    let seq = connection.one(add.bind(name(&resource)).bind(resource.to_string())).await?;
    Ok((seq, resource))
}

async fn known_resource(connection: &mut Connection, name: &str) -> Result<Option<(i64, Json)>, sqlx::Error> {
    let known = sql("SELECT seq, CAST(document AS TEXT) FROM resources WHERE name = $1").bind(name);
    let known: Option<(i64, String)> = connection.first(known).await?;
    Ok(known.map(|(seq, document)| (seq, serde_json::from_str(&document).unwrap_or_default())))
}

/// Adds what was executed to a finding that is there.
pub(crate) async fn insert_execution(
    connection: &mut Connection,
    seq: i64,
    execution: Execution,
) -> Result<(), sqlx::Error> {
    let row = vec![execution_row(seq, execution)];
    write(connection, "executions (finding, pid, start_ticks, at)", "($,$,$,$)", "", row).await
}

/// Keeps a text, unless it is there already.
pub(crate) async fn insert_text(
    connection: &mut Connection,
    sha256: &[u8],
    text: &[u8],
) -> Result<(), sqlx::Error> {
    let row = script_row(sha256, &zip::pack(text)?, text.len() as u64);
    write(connection, "scripts (sha256, size, text)", "($,$,$)", " ON CONFLICT DO NOTHING", vec![row]).await
}

fn scripts(numbered: &[(i64, &NewFinding)]) -> Vec<Vec<Value>> {
    let evidence = numbered.iter().filter_map(|(_, finding)| finding.evidence.as_ref());
    let texts = evidence.filter_map(|evidence| Some((&evidence.content_sha256, evidence.text.as_ref()?)));
    texts.map(|(sha256, (packed, size))| script_row(sha256, packed, *size)).collect()
}

fn script_row(sha256: &[u8], packed: &[u8], size: u64) -> Vec<Value> {
    vec![sha256.into(), to_sql(size).into(), packed.into()]
}

fn row(seq: i64, finding: &NewFinding) -> Vec<Value> {
    let (columns, evidence) = (&finding.columns, finding.evidence.as_ref());
    vec![
        seq.into(),
        finding.source.as_str().into(),
        finding.id.as_str().into(),
        finding.resource.into(),
        columns.category.as_str().into(),
        columns.state.as_str().into(),
        columns.severity.as_str().into(),
        columns.mute.as_str().into(),
        to_sql(columns.create_time.0).into(),
        to_sql(columns.event_time.0).into(),
        to_sql(finding.count).into(),
        evidence.map(|evidence| evidence.content_sha256.clone()).into(),
        evidence.map_or("", |evidence| &evidence.container_id).into(),
        evidence.map_or(2, |evidence| evidence.metadata).into(),
        columns.container_name.as_deref().into(),
        columns.image.as_deref().into(),
        columns.namespace.as_deref().into(),
        columns.pod.as_deref().into(),
    ]
}

fn document(seq: i64, finding: &NewFinding) -> Vec<Value> {
    let evidence = finding.evidence.as_ref();
    vec![
        seq.into(),
        finding.document.to_string().into(),
        evidence.and_then(|evidence| evidence.container.clone()).into(),
        evidence.map(|evidence| evidence.body.clone()).into(),
    ]
}

fn executions(numbered: &[(i64, &NewFinding)]) -> Vec<Vec<Value>> {
    let all =
        numbered.iter().filter_map(|(seq, finding)| Some((*seq, finding.evidence.as_ref()?.execution?)));
    all.map(|(seq, execution)| execution_row(seq, execution)).collect()
}

fn execution_row(seq: i64, execution: Execution) -> Vec<Value> {
    let Execution { at, pid, start_ticks } = execution;
    vec![seq.into(), i64::from(pid).into(), start_ticks.cast_signed().into(), to_sql(at.0).into()]
}

/// Inserts rows into a table; `shape` is one row with `$` for each value.
pub(crate) async fn write(
    connection: &mut Connection,
    table: &str,
    shape: &str,
    end: &str,
    rows: Vec<Vec<Value>>,
) -> Result<(), sqlx::Error> {
    let mut rows = rows.into_iter();
    for size in SIZES {
        while rows.len() >= size {
            let text = format!("INSERT INTO {table} VALUES {}{end}", list(shape, size));
            let values = rows.by_ref().take(size).flatten();
            let statement = values.fold(sql(text), Statement::bind).in_order(connection);
            connection.execute(statement).await?;
        }
    }
    Ok(())
}

/// So many shapes, their parameters numbered from 1 on.
pub(crate) fn list(shape: &str, count: usize) -> String {
    let shapes = vec![shape; count].join(",");
    let mut numbered = String::with_capacity(shapes.len() * 2);
    let mut number = 0;
    for letter in shapes.chars() {
        numbered.push(letter);
        if letter == '$' {
            number += 1;
            numbered.push_str(&number.to_string());
        }
    }
    numbered
}

#[cfg(test)]
mod tests {
    use super::list;

    #[test]
    fn parameters_are_numbered_through() {
        assert_eq!(list("($,json($))", 2), "($1,json($2)),($3,json($4))");
        assert_eq!(list("$", 3), "$1,$2,$3");
    }
}
