//! Reading findings back.

use crate::body::{self, SELECT};
use crate::session::Access;
use crate::sql::{Connection, FromRow, Row, sql};
use crate::{Store, StoreError, from_sql, to_sql};
use evidence::{Category, Execution, Finding, FindingId, State, Timestamp};
use std::fmt;

/// The most findings of one page.
const PAGE_LIMIT: u32 = 1_000;

/// A page ends early when the findings in it have so many bytes.
const PAGE_BYTES: i64 = 16 << 20;

/// The most ids that an ambiguous one is explained with.
const AMBIGUOUS_LIMIT: i64 = 10;

/// Which findings; a filter that is absent lets all through.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// This category.
    pub category: Option<Category>,
    /// This state.
    pub state: Option<State>,
    /// This container, by its name or the beginning of its id.
    pub container: Option<String>,
    /// This Pod, by its name.
    pub pod: Option<String>,
    /// This namespace, by its name.
    pub namespace: Option<String>,
    /// Images whose reference has this text in it.
    pub image: Option<String>,
    /// Last executed at this time or later.
    pub since: Option<Timestamp>,
    /// First executed at this time or earlier.
    pub until: Option<Timestamp>,
    /// What comes after this place: [`Page::next`] of the page before.
    pub after: Option<Cursor>,
    /// How many; at most 1,000, and 50 where it is 0.
    pub limit: u32,
}

/// A stretch of a list, newest last execution first.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// The stretch. It may be shorter than the limit where its texts are large (16 MiB together).
    pub items: Vec<T>,
    /// Rows of the stretch that cannot be read back, since they are damaged.
    pub unreadable: Vec<FindingId>,
    /// Where the next page begins; absent at the end of the list.
    pub next: Option<Cursor>,
}

/// A place in the list of findings: opaque text. It stays valid while findings come and go; one that is
/// executed again meanwhile moves to the list's beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    event_time: i64,
    seq: i64,
}

impl Cursor {
    /// Reads a cursor as it was written by `Display`.
    pub fn parse(text: &str) -> Option<Self> {
        let (time, seq) = text.split_once('-')?;
        let number = |digits: &str| i64::from_str_radix(digits, 16).ok().filter(|number| *number >= 0);
        Some(Self { event_time: number(time)?, seq: number(seq)? })
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:x}", self.event_time, self.seq)
    }
}

/// One row of the list, before its contents are read.
struct Entry {
    seq: i64,
    id: String,
    event_time: i64,
    bytes: i64,
}

impl FromRow for Entry {
    fn from_row(row: &Row) -> Result<Self, sqlx::Error> {
        Ok(Self {
            seq: row.get("seq")?,
            id: row.get("id")?,
            event_time: row.get("event_time")?,
            bytes: row.get("bytes")?,
        })
    }
}

impl Store {
    /// The findings that the query lets through, newest last execution first.
    ///
    /// # Errors
    /// Where the database cannot be read. A single damaged row is none: see [`Page::unreadable`].
    pub async fn find(&self, query: &Query) -> Result<Page<Finding>, StoreError> {
        let mut transaction = self.begin(Access::Read).await?;
        let page = find(transaction.connection(), query).await;
        self.end(transaction, "list findings", page).await
    }

    /// The finding with this id, or the only one whose id begins so.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Ambiguous`], [`StoreError::Unreadable`] for a damaged row.
    pub async fn get(&self, prefix: &FindingId) -> Result<Finding, StoreError> {
        let mut transaction = self.begin(Access::Read).await?;
        let found = get(transaction.connection(), prefix).await;
        match self.end(transaction, "read a finding", found).await?.one_of(prefix)? {
            (_, Ok(finding)) => Ok(finding),
            (id, Err(detail)) => Err(StoreError::Unreadable { path: self.path().to_owned(), id, detail }),
        }
    }

    /// The newest executions that a finding stands for, newest first; the store keeps about 1,000 for each.
    ///
    /// # Errors
    /// As for [`Store::get`].
    pub async fn executions(&self, prefix: &FindingId, limit: u32) -> Result<Vec<Execution>, StoreError> {
        let mut transaction = self.begin(Access::Read).await?;
        let found = executions(transaction.connection(), prefix, limit).await;
        self.end(transaction, "list executions", found).await?.one_of(prefix)
    }
}

/// What a prefix of an id led to.
enum Found<T> {
    Nothing,
    One(T),
    Several(Vec<FindingId>),
}

impl<T> Found<T> {
    fn one_of(self, prefix: &FindingId) -> Result<T, StoreError> {
        match self {
            Self::One(found) => Ok(found),
            Self::Nothing => Err(StoreError::NotFound { id: prefix.clone() }),
            Self::Several(matches) => Err(StoreError::Ambiguous { prefix: prefix.clone(), matches }),
        }
    }
}

async fn resolve(
    connection: &mut Connection,
    prefix: &FindingId,
) -> Result<Found<(i64, FindingId)>, sqlx::Error> {
    // `g` follows the last hexadecimal digit, so the range holds each id that begins with the prefix.
    let rows: Vec<(i64, String)> = connection
        .all(
            sql("SELECT seq, id FROM findings
                WHERE id >= $1 AND id < $1 || 'g' AND content_sha256 IS NOT NULL ORDER BY id LIMIT $2")
            .bind(prefix.as_str())
            .bind(AMBIGUOUS_LIMIT),
        )
        .await?;
    let parsed = |id: &str| FindingId::parse(id).unwrap_or_else(|| prefix.clone());
    Ok(match rows.as_slice() {
        [] => Found::Nothing,
        [(seq, id)] => Found::One((*seq, parsed(id))),
        [(seq, id), ..] if id == prefix.as_str() => Found::One((*seq, parsed(id))),
        several => Found::Several(several.iter().map(|(_, id)| parsed(id)).collect()),
    })
}

async fn get(
    connection: &mut Connection,
    prefix: &FindingId,
) -> Result<Found<(FindingId, Result<Finding, String>)>, sqlx::Error> {
    Ok(match resolve(connection, prefix).await? {
        Found::One((seq, id)) => Found::One((id, load(connection, seq).await?)),
        Found::Nothing => Found::Nothing,
        Found::Several(matches) => Found::Several(matches),
    })
}

async fn executions(
    connection: &mut Connection,
    prefix: &FindingId,
    limit: u32,
) -> Result<Found<Vec<Execution>>, sqlx::Error> {
    let seq = match resolve(connection, prefix).await? {
        Found::One((seq, _)) => seq,
        Found::Nothing => return Ok(Found::Nothing),
        Found::Several(matches) => return Ok(Found::Several(matches)),
    };
    let rows: Vec<(i64, i64, i64)> = connection
        .all(
            sql("SELECT at, pid, start_ticks FROM executions WHERE finding = $1
         ORDER BY at DESC, start_ticks DESC, pid DESC LIMIT $2")
            .bind(seq)
            .bind(i64::from(limit)),
        )
        .await?;
    let execution = |(at, pid, start_ticks): (i64, i64, i64)| Execution {
        at: Timestamp(from_sql(at)),
        pid: u32::try_from(pid).unwrap_or(u32::MAX),
        start_ticks: start_ticks.cast_unsigned(),
    };
    Ok(Found::One(rows.into_iter().map(execution).collect()))
}

async fn find(connection: &mut Connection, query: &Query) -> Result<Page<Finding>, sqlx::Error> {
    let limit = page_limit(query.limit);
    let entries = entries(connection, query, limit).await?;
    let mut page = Page { items: Vec::new(), unreadable: Vec::new(), next: None };
    let mut bytes = 0_i64;
    let mut last = None;
    for (place, entry) in entries.iter().enumerate() {
        bytes = bytes.saturating_add(entry.bytes);
        if place == limit || (place > 0 && bytes > PAGE_BYTES) {
            page.next = last;
            break;
        }
        match load(connection, entry.seq).await? {
            Ok(finding) => page.items.push(finding),
            Err(_) => page.unreadable.extend(FindingId::parse(&entry.id)),
        }
        last = Some(Cursor { event_time: entry.event_time, seq: entry.seq });
    }
    Ok(page)
}

fn page_limit(asked: u32) -> usize {
    let limit = if asked == 0 { 50 } else { asked.min(PAGE_LIMIT) };
    usize::try_from(limit).unwrap_or(50)
}

/// One entry more than the limit, to see whether there is a next page.
async fn entries(
    connection: &mut Connection,
    query: &Query,
    limit: usize,
) -> Result<Vec<Entry>, sqlx::Error> {
    let after = query.after.as_ref();
    connection
        .all(
            sql("SELECT seq, id, event_time, CAST(COALESCE(length(body), 0) * 4 AS BIGINT)
             + COALESCE((SELECT size FROM scripts WHERE sha256 = content_sha256), 0) AS bytes
         FROM findings JOIN documents ON finding = seq
         WHERE content_sha256 IS NOT NULL AND ($1 IS NULL OR category = $1) AND ($2 IS NULL OR state = $2)
           AND ($3 IS NULL OR container_name = $3 OR substr(container_id, 1, length($3)) = $3)
           AND ($4 IS NULL OR pod = $4) AND ($5 IS NULL OR namespace = $5)
           AND ($6 IS NULL OR instr(image, $6) > 0)
           AND event_time >= $7 AND create_time <= $8 AND (event_time, seq) < ($9, $10)
         ORDER BY event_time DESC, seq DESC LIMIT $11")
            .bind(query.category.map(Category::display_name))
            .bind(query.state.map(State::as_str))
            .bind(query.container.as_deref())
            .bind(query.pod.as_deref())
            .bind(query.namespace.as_deref())
            .bind(query.image.as_deref())
            .bind(query.since.map_or(0, |time| to_sql(time.0)))
            .bind(query.until.map_or(i64::MAX, |time| to_sql(time.0)))
            .bind(after.map_or(i64::MAX, |cursor| cursor.event_time))
            .bind(after.map_or(i64::MAX, |cursor| cursor.seq))
            .bind(i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1)),
        )
        .await
}

/// One finding. The inner error says why the row cannot be read back.
async fn load(connection: &mut Connection, seq: i64) -> Result<Result<Finding, String>, sqlx::Error> {
    let rows = connection.rows(sql(SELECT).bind(seq)).await?;
    let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
    Ok(body::read(row).map_err(|error| error.to_string()))
}
