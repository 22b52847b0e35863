//! Lists, counts and groups of findings of every source, as documents.

use crate::filter::sql::{Column, Columns, Dialect, Resources};
use crate::filter::{Direction, Filter, Grouping, Key as Field, Order};
use crate::insert;
use crate::session::Access;
use crate::sql::{Connection, Row, Statement, Value, sql};
use crate::token::{Fingerprint, KEY_CHARACTERS};
use crate::{Store, StoreError, from_sql, zip};
use serde_json::Value as Json;
use std::collections::HashMap;

/// The most findings or groups of one page, and how many there are where nobody says.
const PAGE_LIMIT: u32 = 1_000;
const PAGE_USUAL: u32 = 10;

/// A page ends early when the documents in it have so many bytes.
const PAGE_BYTES: usize = 16 << 20;

/// Documents that are read at a time.
const READ_AT_ONCE: usize = 50;

/// Behind every text that is a key.
pub(crate) const LAST_TEXT: &str = "\u{10ffff}";

/// Where fields of filters lie.
pub(crate) const COLUMNS: Columns = Columns {
    document: "d.document",
    finding: &[
        ("name", Column::LastPart("f.id")),
        ("canonical_name", Column::LastPart("f.id")),
        ("category", Column::Text("f.category")),
        ("state", Column::Text("f.state")),
        ("severity", Column::Text("f.severity")),
        ("mute", Column::Text("f.mute")),
        ("event_time", Column::Time("f.event_time")),
        ("create_time", Column::Time("f.create_time")),
        ("source_properties.Container_Name", Column::Property("f.container_name")),
        ("source_properties.Container_Image_Uri", Column::Property("f.image")),
        ("source_properties.Pod_Namespace", Column::Property("f.namespace")),
        ("source_properties.Pod_Name", Column::Property("f.pod")),
        ("resource_name", Column::OfResource("r.name")),
    ],
    resources: Resources {
        key: "f.resource",
        rows: "resources r",
        id: "r.seq",
        document: "r.document",
        columns: &[("name", Column::Text("r.name"))],
    },
    has_long_properties: true,
};

/// Whether a finding has something other than one short text in the place of such a column; without one, an index says it all.
const HAS_LONG_PROPERTIES: &str = "SELECT CAST(CASE
        WHEN EXISTS (SELECT 1 FROM findings WHERE container_name IS NULL) THEN 1
        WHEN EXISTS (SELECT 1 FROM findings WHERE image IS NULL) THEN 1
        WHEN EXISTS (SELECT 1 FROM findings WHERE namespace IS NULL) THEN 1
        WHEN EXISTS (SELECT 1 FROM findings WHERE pod IS NULL) THEN 1 ELSE 0 END AS BIGINT)";

/// Fields that are sorted and grouped by a column though it holds only the end of them.
const SHORT_NAMES: [(&str, &str); 2] = [("name", "f.id"), ("parent", "f.source")];

/// Which findings, in which order.
#[derive(Debug, Clone)]
pub struct Listing {
    /// The id of a source; all sources where it is absent.
    pub source: Option<String>,
    /// What must be true of them.
    pub filter: Filter,
    /// The newest first where it is empty.
    pub order: Order,
    /// How many at the most; 10 where it is 0, and never more than 1,000.
    pub limit: u32,
    /// [`Listed::next`] of the page before.
    pub token: Option<String>,
    /// Whether `processes[].script.contents` is filled in.
    pub with_contents: bool,
}

/// A page of findings.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// The page. It may be shorter than the limit where its documents are large (16 MiB together).
    pub findings: Vec<Stored>,
    /// For the page behind it; absent at the end.
    pub next: Option<String>,
}

/// One finding of any source.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// The id of its source.
    pub source: String,
    /// Its id in the source.
    pub id: String,
    /// The protocol's Finding.
    pub document: Json,
    /// The protocol's Resource.
    pub resource: Json,
}

/// A page of groups.
#[derive(Debug, Clone, PartialEq)]
pub struct Grouped {
    /// In the order of their properties.
    pub groups: Vec<Group>,
    /// For the page behind it; absent at the end.
    pub next: Option<String>,
    /// How many groups there are on all pages together.
    pub total: u64,
}

/// Findings that have something in common.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// The fields that the grouping names, as in JSON, and what they are in this group. A time is in RFC 3339.
    pub properties: Vec<(String, Json)>,
    /// How many findings there are in it.
    pub count: u64,
}

impl Store {
    /// A page of the findings that are meant.
    ///
    /// # Errors
    /// [`StoreError::PageToken`] for a token that was not made for this listing; else where the database cannot be read.
    pub async fn list(&self, listing: &Listing) -> Result<Listed, StoreError> {
        let fingerprint = listing.fingerprint();
        let sorted = listing.sorted();
        let is_number: Vec<bool> = sorted.iter().map(|(key, _)| key.is_number()).collect();
        let after = listing.token.as_deref().filter(|token| !token.is_empty());
        let after = after.map(|token| fingerprint.keys(token, &is_number)).transpose()?;
        let mut transaction = self.begin(Access::Read).await?;
        let listed = list(transaction.connection(), listing, &sorted, after, &fingerprint).await;
        self.end(transaction, "list findings", listed).await
    }

    /// How many findings are meant, on all pages together.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn count(&self, source: Option<&str>, filter: &Filter) -> Result<u64, StoreError> {
        let mut transaction = self.begin(Access::Read).await?;
        let count = count(transaction.connection(), source, filter).await;
        self.end(transaction, "count findings", count).await
    }

    /// A page of the groups of the findings that are meant. `limit` and `token` are as for [`Listing`].
    ///
    /// # Errors
    /// As for [`Store::list`].
    pub async fn group(
        &self,
        source: Option<&str>,
        filter: &Filter,
        by: &Grouping,
        limit: u32,
        token: Option<&str>,
    ) -> Result<Grouped, StoreError> {
        let names: Vec<String> = by.keys.iter().map(ToString::to_string).collect();
        let fingerprint =
            Fingerprint::of(&["group", source.unwrap_or("-"), &filter.to_string(), &names.join(",")]);
        let is_number: Vec<bool> = by.keys.iter().map(is_number).collect();
        let after = token.filter(|token| !token.is_empty());
        let after = after.map(|token| fingerprint.keys(token, &is_number)).transpose()?;
        let mut transaction = self.begin(Access::Read).await?;
        let page = group(transaction.connection(), source, filter, by, limit, after).await;
        let (groups, keys, total) = self.end(transaction, "group findings", page).await?;
        Ok(Grouped { groups, next: keys.map(|keys| fingerprint.token(&keys)), total })
    }

    /// One finding of any source.
    ///
    /// # Errors
    /// [`StoreError::NoSuchFinding`].
    pub async fn finding(&self, source: &str, id: &str) -> Result<Stored, StoreError> {
        let mut transaction = self.begin(Access::Read).await?;
        let found = one(transaction.connection(), source, id).await;
        let found = self.end(transaction, "read a finding", found).await?;
        found.ok_or_else(|| StoreError::NoSuchFinding { source_id: source.to_owned(), id: id.to_owned() })
    }
}

/// What a list is sorted by: a field, or the row's number, which no two rows share.
#[derive(Debug, Clone, PartialEq)]
enum Key {
    Field(Field),
    Seq,
}

impl Key {
    fn is_number(&self) -> bool {
        match self {
            Self::Field(field) => is_number(field),
            Self::Seq => true,
        }
    }
}

/// Whether a field is sorted by as a whole number; the same in both databases.
fn is_number(field: &Field) -> bool {
    field.sql(Dialect::Sqlite, &COLUMNS, &SHORT_NAMES, 1).is_number
}

impl Listing {
    fn fingerprint(&self) -> Fingerprint {
        let order = format!("{:?}", self.order.keys);
        Fingerprint::of(&["list", self.source.as_deref().unwrap_or("-"), &self.filter.to_string(), &order])
    }

    /// All that the list is sorted by. What the order leaves open is sorted by time and number, in the direction of the order's last
    /// field, so that one index gives it all.
    fn sorted(&self) -> Vec<(Key, Direction)> {
        let last = self.order.keys.last().map_or(Direction::Down, |(_, direction)| *direction);
        let mut keys: Vec<_> = self
            .order
            .keys
            .iter()
            .map(|(field, direction)| (Key::Field(field.clone()), *direction))
            .collect();
        let by_time = Order::parse("event_time").map(|order| order.keys).unwrap_or_default();
        for (field, _) in by_time {
            if !self.order.keys.iter().any(|(known, _)| *known == field) {
                keys.push((Key::Field(field), last));
            }
        }
        keys.push((Key::Seq, last));
        keys
    }
}

/// Puts a statement together: texts of the program, and parameters.
pub(crate) struct Writer {
    dialect: Dialect,
    columns: Columns,
    values: Vec<Value>,
    needs_document: bool,
}

impl Writer {
    /// For a statement of this transaction.
    pub(crate) async fn new(connection: &mut Connection) -> Result<Self, sqlx::Error> {
        let has_long_properties = connection.one::<i64>(sql(HAS_LONG_PROPERTIES)).await? > 0;
        let columns = Columns { has_long_properties, ..COLUMNS };
        let dialect = match connection {
            Connection::Postgres(_) => Dialect::Postgres,
            _ => Dialect::Sqlite,
        };
        Ok(Self { dialect, columns, values: Vec::new(), needs_document: false })
    }

    pub(crate) fn bind(&mut self, value: impl Into<Value>) -> String {
        self.values.push(value.into());
        format!("${}", self.values.len())
    }

    pub(crate) fn condition(&mut self, source: Option<&str>, filter: &Filter) -> String {
        let mut conditions = Vec::new();
        if let Some(source) = source {
            conditions.push(format!("f.source = {}", self.bind(source)));
        }
        if !filter.is_empty() {
            let condition = filter.sql(self.dialect, &self.columns, self.values.len() + 1);
            self.needs_document |= condition.text.contains(COLUMNS.document);
            self.values.extend(condition.values);
            conditions.push(condition.text);
        }
        if conditions.is_empty() { "TRUE".to_owned() } else { conditions.join(" AND ") }
    }

    /// What a list is sorted by, which is always there. Columns are compared as they are, so that an index may be used.
    fn key(&mut self, key: &Key) -> String {
        match key {
            Key::Seq => "f.seq".to_owned(),
            Key::Field(field) => match self.field(field) {
                (text, true) if is_number(field) => format!("COALESCE({text}, 0)"),
                (text, true) => format!("COALESCE({text}, '')"),
                (text, false) => text,
            },
        }
    }

    /// A field's value, and whether it may be absent. Of a text out of a document it is the beginning: [`KEY_CHARACTERS`].
    fn field(&mut self, field: &Field) -> (String, bool) {
        let sorted = field.sql(self.dialect, &COLUMNS, &SHORT_NAMES, self.values.len() + 1);
        let is_long = !sorted.is_number && sorted.sql.text.contains('(');
        self.needs_document |= sorted.sql.text.contains(COLUMNS.document);
        self.values.extend(sorted.sql.values);
        let text = sorted.sql.text;
        let text = if is_long { format!("substr({text}, 1, {KEY_CHARACTERS})") } else { text };
        (text, sorted.may_be_absent)
    }

    /// The tables that the statement needs. SQLite is told to begin with the short rows.
    pub(crate) fn tables(&self) -> &'static str {
        match (self.needs_document, self.dialect) {
            (false, _) => "findings f",
            (true, Dialect::Sqlite) => "findings f CROSS JOIN documents d ON d.finding = f.seq",
            (true, Dialect::Postgres) => "findings f JOIN documents d ON d.finding = f.seq",
        }
    }

    pub(crate) fn statement(self, text: String) -> Statement {
        self.values.into_iter().fold(sql(text), Statement::bind).once()
    }
}

/// What is true of all rows behind the one with these keys: `(a, b) < ($1, $2)` where all go one way, else
/// `a > $1 OR (a = $1 AND b < $2)`.
fn behind(sorted: &[(String, Direction)], after: &[String]) -> String {
    let sign = |direction: Direction| if direction == Direction::Up { ">" } else { "<" };
    let texts: Vec<&str> = sorted.iter().map(|(text, _)| text.as_str()).collect();
    match sorted {
        [(_, first), rest @ ..] if rest.iter().all(|(_, direction)| direction == first) => {
            format!("({}) {} ({})", texts.join(", "), sign(*first), after.join(", "))
        }
        _ => {
            let nested =
                sorted.iter().zip(after).rev().fold(String::new(), |inner, ((text, direction), value)| {
                    let sign = sign(*direction);
                    match inner.as_str() {
                        "" => format!("{text} {sign} {value}"),
                        inner => format!("({text} {sign} {value} OR ({text} = {value} AND {inner}))"),
                    }
                });
            format!("({nested})")
        }
    }
}

async fn count(
    connection: &mut Connection,
    source: Option<&str>,
    filter: &Filter,
) -> Result<u64, sqlx::Error> {
    let mut writer = Writer::new(connection).await?;
    let condition = writer.condition(source, filter);
    let text = format!("SELECT count(*) FROM {} WHERE {condition}", writer.tables());
    connection.one::<i64>(writer.statement(text)).await.map(from_sql)
}

async fn list(
    connection: &mut Connection,
    listing: &Listing,
    sorted: &[(Key, Direction)],
    after: Option<Vec<Value>>,
    fingerprint: &Fingerprint,
) -> Result<Listed, sqlx::Error> {
    let limit = page_limit(listing.limit);
    let rows = places(connection, listing, sorted, after, limit + 1).await?;
    let mut listed = Listed { findings: Vec::new(), next: None };
    let mut bytes = 0;
    let mut last: Option<&[Value]> = None;
    'page: for some in rows.chunks(READ_AT_ONCE) {
        let seqs: Vec<i64> = some.iter().map(|(seq, _)| *seq).collect();
        let mut read = documents(connection, &seqs, listing.with_contents).await?;
        for (seq, keys) in some {
            // A row that is damaged hides no other.
            let Some((size, finding)) = read.remove(seq) else { continue };
            bytes += size;
            if listed.findings.len() == limit || (!listed.findings.is_empty() && bytes > PAGE_BYTES) {
                listed.next = last.map(|keys| fingerprint.token(keys));
                break 'page;
            }
            listed.findings.push(finding);
            last = Some(keys);
        }
    }
    Ok(listed)
}

fn page_limit(asked: u32) -> usize {
    let limit = if asked == 0 { PAGE_USUAL } else { asked.min(PAGE_LIMIT) };
    usize::try_from(limit).unwrap_or(1)
}

/// The rows of a page by their numbers, each with its keys.
async fn places(
    connection: &mut Connection,
    listing: &Listing,
    sorted: &[(Key, Direction)],
    after: Option<Vec<Value>>,
    limit: usize,
) -> Result<Vec<(i64, Vec<Value>)>, sqlx::Error> {
    let mut writer = Writer::new(connection).await?;
    let mut condition = writer.condition(listing.source.as_deref(), &listing.filter);
    let keys: Vec<(String, Direction)> =
        sorted.iter().map(|(key, direction)| (writer.key(key), *direction)).collect();
    if let Some(after) = after {
        let after: Vec<String> = after.into_iter().map(|value| writer.bind(value)).collect();
        condition = format!("{condition} AND {}", behind(&keys, &after));
    }
    let order = |(text, direction): &(String, Direction)| {
        let down = if *direction == Direction::Down { " DESC" } else { "" };
        format!("{text}{down}")
    };
    let order: Vec<String> = keys.iter().map(order).collect();
    let shown: Vec<&str> = keys.iter().map(|(text, _)| text.as_str()).collect();
    let (shown, order, tables) = (shown.join(", "), order.join(", "), writer.tables());
    let text = format!("SELECT {shown} FROM {tables} WHERE {condition} ORDER BY {order} LIMIT {limit}");
    let rows = connection.rows(writer.statement(text)).await?;
    let keys = |row: &Row| {
        let keys: Vec<Value> = sorted
            .iter()
            .enumerate()
            .map(|(place, (key, _))| match key.is_number() {
                true => row.at::<i64>(place).map(Value::from),
                false => row.at::<String>(place).map(Value::from),
            })
            .collect::<Result<_, _>>()?;
        Ok((row.at(sorted.len() - 1)?, keys))
    };
    rows.iter().map(keys).collect()
}

/// Documents by the numbers of their rows, each with its size in bytes. What cannot be read is left out.
async fn documents(
    connection: &mut Connection,
    seqs: &[i64],
    with_contents: bool,
) -> Result<HashMap<i64, (usize, Stored)>, sqlx::Error> {
    let (contents, scripts) = match with_contents {
        true => ("s.text", "LEFT JOIN scripts s ON s.sha256 = f.content_sha256"),
        false => ("NULL", ""),
    };
    // The last one is repeated, so that there are few statements to know.
    let padded = seqs.len().next_multiple_of(READ_AT_ONCE);
    let places = insert::list("$", if seqs.len() == 1 { 1 } else { padded });
    let text = format!(
        "SELECT f.seq, f.source, f.id, CAST(d.document AS TEXT), CAST(r.document AS TEXT), {contents} AS text
         FROM findings f JOIN documents d ON d.finding = f.seq JOIN resources r ON r.seq = f.resource {scripts}
         WHERE f.seq IN ({places})"
    );
    let padding = std::iter::repeat(seqs.last().copied().unwrap_or_default());
    let values = seqs.iter().copied().chain(padding).take(if seqs.len() == 1 { 1 } else { padded });
    let rows = connection.rows(values.fold(sql(text), Statement::bind)).await?;
    let mut read = HashMap::with_capacity(rows.len());
    for row in &rows {
        let (document, resource): (String, String) = (row.at(3)?, row.at(4)?);
        let size = document.len() + resource.len();
        let (Ok(document), Ok(resource)) = (serde_json::from_str(&document), serde_json::from_str(&resource))
        else {
            continue;
        };
        let mut stored = Stored { source: row.at(1)?, id: row.at(2)?, document, resource };
        let text: Option<Vec<u8>> = if with_contents { row.at(5)? } else { None };
        let contents = text.and_then(|text| put_contents(&mut stored.document, &text)).unwrap_or(0);
        read.insert(row.at(0)?, (size + contents, stored));
    }
    Ok(read)
}

/// Puts the script's contents into its document: the first `hashedSize` bytes, of which its `sha256` is. Returns how many.
fn put_contents(document: &mut Json, text: &[u8]) -> Option<usize> {
    let script = document.get_mut("processes")?.get_mut(0)?.get_mut("script")?.as_object_mut()?;
    let size: usize = script.get("hashedSize")?.as_str()?.parse().ok()?;
    let text = zip::unpack_beginning(text, size).ok().filter(|text| text.len() == size)?;
    let contents = std::str::from_utf8(&text).ok()?;
    script.insert("contents".to_owned(), contents.into());
    Some(size)
}

pub(crate) async fn one(
    connection: &mut Connection,
    source: &str,
    id: &str,
) -> Result<Option<Stored>, sqlx::Error> {
    let seq: Option<i64> = seq(connection, source, id).await?;
    let Some(seq) = seq else { return Ok(None) };
    Ok(documents(connection, &[seq], true).await?.remove(&seq).map(|(_, stored)| stored))
}

/// The row of a finding.
pub(crate) async fn seq(
    connection: &mut Connection,
    source: &str,
    id: &str,
) -> Result<Option<i64>, sqlx::Error> {
    connection
        .first(sql("SELECT seq FROM findings WHERE id = $1 AND source = $2").bind(id).bind(source))
        .await
}

type GroupPage = (Vec<Group>, Option<Vec<Value>>, u64);

async fn group(
    connection: &mut Connection,
    source: Option<&str>,
    filter: &Filter,
    by: &Grouping,
    limit: u32,
    after: Option<Vec<Value>>,
) -> Result<GroupPage, sqlx::Error> {
    let limit = page_limit(limit);
    let mut writer = Writer::new(connection).await?;
    let condition = writer.condition(source, filter);
    let fields: Vec<String> = by.keys.iter().map(|field| writer.field(field).0).collect();
    let named: Vec<String> =
        fields.iter().enumerate().map(|(number, field)| format!("{field} AS g{number}")).collect();
    let numbers: Vec<String> = (1..=fields.len()).map(|number| number.to_string()).collect();
    let keys: Vec<String> = (0..by.keys.len())
        .zip(&by.keys)
        .map(|(number, field)| match is_number(field) {
            true => format!("COALESCE(g{number}, 0)"),
            false => format!("COALESCE(g{number}, '{LAST_TEXT}')"),
        })
        .collect();
    let behind = after.map_or_else(
        || "TRUE".to_owned(),
        |after| {
            let after: Vec<String> = after.into_iter().map(|value| writer.bind(value)).collect();
            let up: Vec<_> = keys.iter().map(|key| (key.clone(), Direction::Up)).collect();
            behind(&up, &after)
        },
    );
    let text = format!(
        "SELECT {keys}, total, n FROM (SELECT {named}, count(*) AS n, count(*) OVER () AS total FROM {tables}
             WHERE {condition} GROUP BY {numbers}) AS g
         WHERE {behind} ORDER BY {keys} LIMIT {more}",
        keys = keys.join(", "),
        named = named.join(", "),
        tables = writer.tables(),
        numbers = numbers.join(", "),
        more = limit + 1,
    );
    let rows = connection.rows(writer.statement(text)).await?;
    let width = by.keys.len();
    let total = rows.first().map_or(Ok(0), |row| row.at::<i64>(width)).map(from_sql)?;
    let mut groups = Vec::with_capacity(rows.len().min(limit));
    let mut next = None;
    for (place, row) in rows.iter().enumerate() {
        if place == limit {
            break;
        }
        let keys = group_keys(row, by)?;
        let properties = by.keys.iter().zip(&keys).map(|(field, key)| (field.to_string(), shown(field, key)));
        groups.push(Group { properties: properties.collect(), count: from_sql(row.at(width + 1)?) });
        next = (rows.len() > limit).then_some(keys);
    }
    Ok((groups, next, total))
}

fn group_keys(row: &Row, by: &Grouping) -> Result<Vec<Value>, sqlx::Error> {
    let key = |(place, field): (usize, &Field)| match is_number(field) {
        true => row.at::<i64>(place).map(Value::from),
        false => row.at::<String>(place).map(Value::from),
    };
    by.keys.iter().enumerate().map(key).collect()
}

fn shown(field: &Field, key: &Value) -> Json {
    match key {
        Value::Integer(Some(time)) if field.is_time() => {
            evidence::Timestamp(from_sql(*time)).to_string().into()
        }
        Value::Integer(Some(number)) => (*number).into(),
        Value::Text(Some(text)) if text == LAST_TEXT => Json::Null,
        Value::Text(Some(time)) if field.is_time() && !time.is_empty() => {
            format!("{}Z", time.trim_end_matches('0').trim_end_matches('.')).into()
        }
        Value::Text(Some(text)) => text.as_str().into(),
        _ => Json::Null,
    }
}
