//! The audit trail: who changed what, when, and what it was before. It is only ever added to; the databases themselves refuse to
//! change it.

use crate::session::Access;
use crate::sql::{Connection, FromRow, Row, sql};
use crate::{Store, StoreError, from_sql, to_sql};
use evidence::Timestamp;
use serde_json::{Map, Value as Json};

/// The most entries of one page.
const PAGE_LIMIT: u32 = 1_000;

/// Who changes something, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct By<'a> {
    /// A person, a token or a part of urva, as the audit trail names it.
    pub actor: &'a str,
    /// Now.
    pub at: Timestamp,
}

/// One change.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditEntry {
    /// Counts all entries, with holes where retention removed some.
    pub number: u64,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: String,
    /// What was done: the name of the method, such as `SetMute`.
    pub action: String,
    /// What it was done to: `findings/SOURCE/ID`, `muteConfigs/ID` and the like.
    pub object: String,
    /// The fields that changed, as they were; absent where it did not exist.
    pub before: Option<Json>,
    /// The same fields, as they are since; absent where it does not exist any more.
    pub after: Option<Json>,
}

impl FromRow for AuditEntry {
    fn from_row(row: &Row) -> Result<Self, sqlx::Error> {
        let json = |text: Option<String>| text.and_then(|text| serde_json::from_str(&text).ok());
        Ok(Self {
            number: from_sql(row.get("seq")?),
            at: Timestamp(from_sql(row.get("at")?)),
            actor: row.get("actor")?,
            action: row.get("action")?,
            object: row.get("object")?,
            before: json(row.get("before")?),
            after: json(row.get("after")?),
        })
    }
}

impl Store {
    /// Entries of the audit trail, the newest first: of one object where it is given, and those before the one of this number.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn audit(
        &self,
        object: Option<&str>,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        let query = sql("SELECT seq, at, actor, action, object, before, after FROM audit
                         WHERE ($1 IS NULL OR object = $1) AND seq < $2 ORDER BY seq DESC LIMIT $3")
        .bind(object)
        .bind(before.map_or(i64::MAX, to_sql))
        .bind(i64::from(limit.min(PAGE_LIMIT)));
        let mut transaction = self.begin(Access::Read).await?;
        let entries = transaction.connection().all(query).await;
        self.end(transaction, "read the audit trail", entries).await
    }
}

/// Adds an entry, in the transaction of the change itself.
pub(crate) async fn note(
    connection: &mut Connection,
    by: &By<'_>,
    action: &str,
    object: &str,
    before: Option<&Json>,
    after: Option<&Json>,
) -> Result<(), sqlx::Error> {
    let (before, after) = match (before, after) {
        (Some(before), Some(after)) => {
            let (before, after) = difference(before, after);
            (Some(before), Some(after))
        }
        (before, after) => (before.cloned(), after.cloned()),
    };
    let insert =
        "INSERT INTO audit (at, actor, action, object, before, after) VALUES ($1, $2, $3, $4, $5, $6)";
    let entry = sql(insert)
        .bind(to_sql(by.at.0))
        .bind(by.actor)
        .bind(action)
        .bind(object)
        .bind(before.map(|before| before.to_string()))
        .bind(after.map(|after| after.to_string()));
    connection.execute(entry).await.map(|_| ())
}

/// The members that are not the same in both.
fn difference(before: &Json, after: &Json) -> (Json, Json) {
    let (Some(before), Some(after)) = (before.as_object(), after.as_object()) else {
        return (before.clone(), after.clone());
    };
    let only = |these: &Map<String, Json>, others: &Map<String, Json>| {
        let changed = these.iter().filter(|(name, value)| others.get(*name) != Some(value));
        Json::Object(changed.map(|(name, value)| (name.clone(), value.clone())).collect())
    };
    (only(before, after), only(after, before))
}
