//! Findings as people change them: those that clients create in sources of their own, and what is set on any finding. Each change
//! is in the audit trail.

use crate::audit::{By, note};
use crate::document::{COLUMN_LIMIT, Columns, DOCUMENT_LIMIT, PEOPLES_FIELDS, Site, normal};
use crate::filter::Filter;
use crate::insert::{self, NewFinding};
use crate::list::{Stored, Writer, seq};
use crate::mute::KeptRules;
use crate::outbox::{Outbox, Told};
use crate::record::Rows;
use crate::session::Access;
use crate::sql::{Connection, FromRow, Row, sql};
use crate::{Store, StoreError, from_sql, to_sql};
use evidence::Timestamp;
use serde_json::Value as Json;

/// The most findings that one call changes.
const CHANGED_AT_ONCE: u32 = 200;

/// What became of an attempt to change something.
enum Attempt<T, E> {
    Done(T),
    /// There is none of this name.
    Missing,
    /// The field may not be changed.
    Fixed(String),
    /// It would be too large or a field of it too long.
    Beyond(StoreError),
    /// The caller did not want it after all.
    Refused(E),
}

/// A finding and all that a change needs to know of it.
struct Known {
    seq: i64,
    source: String,
    id: String,
    document: Json,
    resource: Json,
    is_own: bool,
    create_time: i64,
    event_time: i64,
}

impl FromRow for Known {
    fn from_row(row: &Row) -> Result<Self, sqlx::Error> {
        let json =
            |text: String| serde_json::from_str(&text).map_err(|error| sqlx::Error::Decode(error.into()));
        Ok(Self {
            seq: row.at(0)?,
            source: row.at(1)?,
            id: row.at(2)?,
            document: json(row.at(3)?)?,
            resource: json(row.at(4)?)?,
            is_own: row.at::<i64>(5)? > 0,
            create_time: row.at(6)?,
            event_time: row.at(7)?,
        })
    }
}

const KNOWN: &str = "SELECT f.seq, f.source, f.id, CAST(d.document AS TEXT), CAST(r.document AS TEXT),
         CAST(CASE WHEN f.content_sha256 IS NULL THEN 0 ELSE 1 END AS BIGINT), f.create_time, f.event_time
     FROM findings f JOIN documents d ON d.finding = f.seq JOIN resources r ON r.seq = f.resource WHERE f.seq = $1";

impl Store {
    /// Files a finding of a client in its source. `resource` is the protocol's Resource, whose `name` is that of the finding's
    /// `resourceName`. Mute rules take effect on it.
    ///
    /// # Errors
    /// [`StoreError::AlreadyThere`] where the source has one of this id, [`StoreError::TooLarge`] or [`StoreError::TooLong`] where it is
    /// more than the store keeps.
    pub async fn create_finding(
        &self,
        source: &str,
        id: &str,
        document: Json,
        resource: Json,
        by: &By<'_>,
    ) -> Result<Stored, StoreError> {
        let stored = Stored {
            source: source.to_owned(),
            id: id.to_owned(),
            document: normal(document),
            resource: normal(resource),
        };
        check_size(&object(source, id), None, &stored.document)?;
        check_size(&object(source, id), None, &stored.resource)?;
        check_columns(&stored.document)?;
        let mut transaction = self.begin(Access::Write).await?;
        let created = create(transaction.connection(), &self.site, &self.rules, stored, by).await;
        let created = self.end(transaction, "create a finding", created).await?;
        created.ok_or_else(|| StoreError::AlreadyThere { name: format!("findings/{source}/{id}") })
    }

    /// Changes a finding's document; nothing happens where `change` refuses. `action` is for the audit trail. Of urva's own
    /// findings only what people set may change: `state`, `mute` and what belongs to it, `securityMarks`, `externalSystems`, `contacts`.
    ///
    /// # Errors
    /// [`StoreError::NoSuchFinding`], [`StoreError::Fixed`], [`StoreError::TooLarge`], [`StoreError::TooLong`]. The inner error is that of `change`.
    pub async fn change_finding<E>(
        &self,
        source: &str,
        id: &str,
        by: &By<'_>,
        action: &str,
        change: impl FnOnce(&mut Json) -> Result<(), E>,
    ) -> Result<Result<Stored, E>, StoreError> {
        let mut transaction = self.begin(Access::Write).await?;
        let attempt =
            change_one(transaction.connection(), &self.site, (source, id), by, action, change).await;
        match self.end(transaction, "change a finding", attempt).await? {
            Attempt::Done(stored) => Ok(Ok(stored)),
            Attempt::Refused(refused) => Ok(Err(refused)),
            Attempt::Missing => {
                Err(StoreError::NoSuchFinding { source_id: source.to_owned(), id: id.to_owned() })
            }
            Attempt::Fixed(field) => Err(StoreError::Fixed { field }),
            Attempt::Beyond(error) => Err(error),
        }
    }

    /// Changes some of the findings that are meant, those behind `after`, an earlier call's answer. Returns how many
    /// it changed, and where to go on; nothing where there are no more. A change that may not be made to a finding leaves it as it is.
    ///
    /// # Errors
    /// Where the database cannot be written. What an earlier call changed stays changed.
    pub async fn change_some(
        &self,
        source: Option<&str>,
        filter: &Filter,
        after: Option<u64>,
        by: &By<'_>,
        action: &str,
        mut change: impl FnMut(&mut Json),
    ) -> Result<(u64, Option<u64>), StoreError> {
        let mut transaction = self.begin(Access::Read).await?;
        let meant = meant(transaction.connection(), source, filter, after.map_or(0, to_sql)).await;
        let meant = self.end(transaction, "find what is to be changed", meant).await?;
        if meant.is_empty() {
            return Ok((0, None));
        }
        let mut transaction = self.begin(Access::Write).await?;
        let changed =
            change_each(transaction.connection(), &self.site, &meant, filter, by, action, &mut change).await;
        self.end(transaction, "change findings", changed).await
    }
}

/// Refuses what is too large, unless it was larger before.
pub(crate) fn check_size(name: &str, before: Option<&Json>, after: &Json) -> Result<(), StoreError> {
    let bytes = after.to_string().len();
    if bytes <= DOCUMENT_LIMIT || before.is_some_and(|before| bytes <= before.to_string().len()) {
        return Ok(());
    }
    Err(StoreError::TooLarge { name: name.to_owned(), bytes, limit: DOCUMENT_LIMIT })
}

/// Refuses what does not fit the columns that are always filled.
fn check_columns(document: &Json) -> Result<(), StoreError> {
    for field in ["category", "state", "severity", "mute", "resourceName"] {
        let bytes = document.get(field).and_then(Json::as_str).unwrap_or_default().len();
        if bytes > COLUMN_LIMIT {
            return Err(StoreError::TooLong { field, bytes, limit: COLUMN_LIMIT });
        }
    }
    Ok(())
}

async fn create(
    connection: &mut Connection,
    site: &Site,
    rules: &KeptRules,
    mut stored: Stored,
    by: &By<'_>,
) -> Result<Option<Stored>, sqlx::Error> {
    if seq(connection, &stored.source, &stored.id).await?.is_some() {
        return Ok(None);
    }
    let event_time = Columns::of(&stored.document).event_time;
    let (resource, known) = insert::clients_resource(connection, stored.resource).await?;
    stored.resource = known;
    rules.current(connection).await?.apply(&mut stored.document, &stored.resource, event_time.max(by.at));
    let new = NewFinding {
        source: stored.source.clone(),
        id: stored.id.clone(),
        document: stored.document.clone(),
        columns: Columns::of(&stored.document),
        resource,
        count: 1,
        evidence: None,
    };
    let last = insert::last(connection).await?;
    let new = [(new, stored.resource.clone())];
    Outbox::read(connection, site).await?.created(connection, &new).await?;
    insert::insert(connection, last, &new.map(|(new, _)| new)).await?;
    note(connection, by, "CreateFinding", &object(&stored.source, &stored.id), None, Some(&stored.document))
        .await?;
    Ok(Some(stored))
}

fn object(source: &str, id: &str) -> String {
    format!("findings/{source}/{id}")
}

async fn change_one<E>(
    connection: &mut Connection,
    site: &Site,
    (source, id): (&str, &str),
    by: &By<'_>,
    action: &str,
    change: impl FnOnce(&mut Json) -> Result<(), E>,
) -> Result<Attempt<Stored, E>, sqlx::Error> {
    let Some(seq) = seq(connection, source, id).await? else { return Ok(Attempt::Missing) };
    let known: Known = connection.one(sql(KNOWN).bind(seq)).await?;
    let mut document = known.document.clone();
    if let Err(refused) = change(&mut document) {
        return Ok(Attempt::Refused(refused));
    }
    let outbox = Outbox::read(connection, site).await?;
    put(connection, &outbox, known, normal(document), by, action).await
}

/// Some of the rows that are meant, in their order.
async fn meant(
    connection: &mut Connection,
    source: Option<&str>,
    filter: &Filter,
    after: i64,
) -> Result<Vec<i64>, sqlx::Error> {
    let mut writer = Writer::new(connection).await?;
    let condition = writer.condition(source, filter);
    let after = writer.bind(after);
    let tables = writer.tables();
    let text = format!(
        "SELECT f.seq FROM {tables} WHERE {condition} AND f.seq > {after} ORDER BY f.seq LIMIT {CHANGED_AT_ONCE}"
    );
    connection.all(writer.statement(text)).await
}

async fn change_each(
    connection: &mut Connection,
    site: &Site,
    seqs: &[i64],
    filter: &Filter,
    by: &By<'_>,
    action: &str,
    change: &mut impl FnMut(&mut Json),
) -> Result<(u64, Option<u64>), sqlx::Error> {
    let outbox = Outbox::read(connection, site).await?;
    let mut changed = 0;
    for seq in seqs {
        // It may have gone since it was found, or have become another one.
        let known: Option<Known> = connection.first(sql(KNOWN).bind(*seq)).await?;
        let Some(known) = known.filter(|known| filter.matches(&whole(known))) else { continue };
        let before = known.document.clone();
        let mut document = before.clone();
        change(&mut document);
        let attempt = put::<()>(connection, &outbox, known, normal(document), by, action).await?;
        changed += u64::from(matches!(attempt, Attempt::Done(stored) if stored.document != before));
    }
    Ok((changed, seqs.last().map(|last| from_sql(*last))))
}

/// A finding as filters see it.
fn whole(known: &Known) -> Json {
    let mut whole = known.document.clone();
    if let Some(members) = whole.as_object_mut() {
        members.insert("resource".to_owned(), known.resource.clone());
    }
    whole
}

/// Writes a changed document, where there is a change and it may be made.
async fn put<E>(
    connection: &mut Connection,
    outbox: &Outbox<'_>,
    known: Known,
    document: Json,
    by: &By<'_>,
    action: &str,
) -> Result<Attempt<Stored, E>, sqlx::Error> {
    let fixed = known.is_own.then(|| fixed_field(&known.document, &document)).flatten();
    if let Some(field) = fixed {
        return Ok(Attempt::Fixed(field));
    }
    let name = object(&known.source, &known.id);
    let checked = check_size(&name, Some(&known.document), &document);
    if let Err(error) = checked.and_then(|()| check_columns(&document)) {
        return Ok(Attempt::Beyond(error));
    }
    let Known { seq, source, id, document: before, mut resource, is_own, create_time, event_time } = known;
    if document != before {
        let mut columns = Columns::of(&document);
        if is_own {
            columns.create_time = Timestamp(from_sql(create_time));
            columns.event_time = Timestamp(from_sql(event_time));
        }
        if document.get("resourceName") != before.get("resourceName") {
            resource = serde_json::json!({"name": document.get("resourceName")});
        }
        let (resource_seq, known) = insert::clients_resource(connection, resource).await?;
        resource = known;
        let told = Told { source: &source, id: &id, document: &document, resource: &resource, at: by.at };
        outbox.changed(connection, Some(&before), told).await?;
        Rows::new(resource_seq, columns, &document).put(connection, seq).await?;
        note(connection, by, action, &name, Some(&before), Some(&document)).await?;
    }
    Ok(Attempt::Done(Stored { source, id, document, resource }))
}

/// A field that differs and is not people's to set.
fn fixed_field(before: &Json, after: &Json) -> Option<String> {
    let (before, after) = (before.as_object()?, after.as_object()?);
    let names = before.keys().chain(after.keys());
    names
        .filter(|name| !PEOPLES_FIELDS.contains(&name.as_str()))
        .find(|name| before.get(*name) != after.get(*name))
        .cloned()
}
