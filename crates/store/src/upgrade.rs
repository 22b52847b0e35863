//! From version 2 to 3: what the older tables held is written into the newer ones, finding by finding, and the older ones go.
//! A row whose evidence is damaged keeps it as it is, with a document of what its columns say.

use crate::body::{Body, put_together};
use crate::document::{Columns, Site};
use crate::insert::{self, Evidence, NewFinding};
use crate::sql::{Connection, Row, sql};
use crate::{from_sql, zip};
use evidence::{Category, Timestamp};
use serde_json::{Value as Json, json};
use sqlx::Error;

/// Findings that are read at a time.
const BATCH: i64 = 200;

/// Runs behind the script that made the tables of version 3, in the same transaction.
pub(crate) async fn to_version_3(connection: &mut Connection, site: &Site) -> Result<(), Error> {
    let mut after = 0;
    loop {
        let some =
            "SELECT seq, id, category, state, first_seen AS create_time, last_seen AS event_time, count,
                        content_sha256, container_id, metadata, container, body, text
                    FROM findings_1 LEFT JOIN scripts_1 ON sha256 = content_sha256
                    WHERE seq > $1 ORDER BY seq LIMIT $2";
        let rows = connection.rows(sql(some).bind(after).bind(BATCH)).await?;
        let Some(last) = rows.last() else { break };
        after = last.get("seq")?;
        for row in &rows {
            copy(connection, site, row).await?;
        }
    }
    // What refers to another table goes before it.
    for table in ["executions_1", "findings_1", "scripts_1"] {
        connection.run(format!("DROP TABLE {table}")).await?;
    }
    Ok(())
}

async fn copy(connection: &mut Connection, site: &Site, row: &Row) -> Result<(), Error> {
    let body: String = row.get("body")?;
    let text: Option<Vec<u8>> = row.get("text")?;
    let read = serde_json::from_str::<Body>(&body).map_err(Into::into);
    let (mut new, resource) = match read.and_then(|body| put_together(body, text.clone(), row)) {
        Ok(finding) => NewFinding::of(&finding, site)?,
        Err(_) => damaged(row, site, &body)?,
    };
    new.resource = insert::own_resource(connection, &resource).await?;
    if let Some(evidence) = &mut new.evidence {
        // All executions that the finding stands for are copied, not only the one that it shows.
        evidence.execution = None;
    }
    let last = insert::last(connection).await?;
    let seq = insert::insert(connection, last, std::slice::from_ref(&new)).await?;
    let executions = "INSERT INTO executions (finding, pid, start_ticks, at)
                      SELECT $1, pid, start_ticks, at FROM executions_1 WHERE finding = $2";
    connection.execute(sql(executions).bind(seq).bind(row.get::<i64>("seq")?)).await.map(|_| ())
}

/// A row whose evidence cannot be read. It stays so that nothing is lost, and a new report repairs it.
fn damaged(row: &Row, site: &Site, body: &str) -> Result<(NewFinding, Json), Error> {
    let module: String = row.get("category")?;
    let category =
        [Category::MaliciousPythonExecuted, Category::MaliciousScriptExecuted, Category::DetectionImpaired]
            .into_iter()
            .find(|category| category.module_name() == module);
    let time = |name| Ok::<_, Error>(Timestamp(from_sql(row.get(name)?)).to_string());
    let resource = json!({"name": site.place.cluster_name()});
    let document = json!({
        "resourceName": resource["name"],
        "category": category.map_or("", Category::display_name),
        "state": row.get::<String>("state")?,
        "severity": category.map_or("", Category::severity),
        "mute": "UNDEFINED",
        "createTime": time("create_time")?,
        "eventTime": time("event_time")?,
        "findingClass": "THREAT",
    });
    let text: Option<Vec<u8>> = row.get("text")?;
    let packed = |text: Vec<u8>| zip::pack(&text).map(|packed| (packed, text.len() as u64));
    let evidence = Evidence {
        content_sha256: row.get("content_sha256")?,
        container_id: row.get("container_id")?,
        metadata: row.get("metadata")?,
        container: row.get("container")?,
        body: zip::pack(body.as_bytes())?,
        text: text.map(packed).transpose()?,
        execution: None,
    };
    let (source, id) = (site.place.source.clone(), row.get("id")?);
    let columns = Columns::of(&document);
    let count = from_sql(row.get("count")?);
    Ok((NewFinding { source, id, document, columns, resource: 0, count, evidence: Some(evidence) }, resource))
}
