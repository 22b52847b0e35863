//! The outbox as the one sees it who delivers: what is due, what became of it, what was given up.
//!
//! Owns: the life of a delivery. It waits, is tried, and is gone once it was delivered; what is given up stays as a dead letter until
//! somebody sends it again or drops it.
//! Refuses: knowing how anything is delivered, and the clock.

use crate::outbox::{Event, drop_surplus, remove_notices};
use crate::session::Access;
use crate::sql::{Connection, FromRow, Row, Statement, sql};
use crate::{Store, StoreError, from_sql, to_sql, zip};
use evidence::Timestamp;
use serde_json::Value as Json;

/// What is due at a later time than this was put off before somebody set the clock back.
const FURTHEST_NS: u64 = 3_600_000_000_000;

/// Dead letters that are kept for each output, the newest.
const DEAD_KEPT: i64 = 10_000;

/// Characters of an error that are kept.
const ERROR_LIMIT: usize = 500;

/// The most dead letters of one page.
const PAGE_LIMIT: u32 = 1_000;

/// The number of a delivery; none is given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeliveryId(pub u64);

/// Something that an output is to be told.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    /// Its number.
    pub id: DeliveryId,
    /// The output.
    pub output: String,
    /// The notification config that asked for it.
    pub config: Option<String>,
    /// What happened.
    pub event: Event,
    /// When it happened.
    pub at: Timestamp,
    /// The finding as it was then, `Finding` of the protocol.
    pub finding: Json,
    /// What it was found in, `Resource` of the protocol.
    pub resource: Json,
    /// How often it was tried.
    pub tries: u32,
    /// What went wrong at the last try.
    pub error: Option<String>,
}

/// How far an output is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OutputState {
    /// Its name.
    pub name: String,
    /// Deliveries that wait.
    pub waiting: u64,
    /// Dead letters.
    pub dead: u64,
    /// Delivered, since the database was made.
    pub sent: u64,
    /// Tries that failed.
    pub failed: u64,
    /// Dropped since there were too many.
    pub lost: u64,
    /// When something was last delivered.
    pub sent_at: Option<Timestamp>,
    /// What went wrong last, and when.
    pub error: Option<(String, Timestamp)>,
}

const SELECT: &str = "SELECT d.seq, d.output, d.config, n.event, n.at, n.message, d.tries, d.error
    FROM deliveries d JOIN notices n ON n.seq = d.notice";

impl FromRow for Delivery {
    fn from_row(row: &Row) -> Result<Self, sqlx::Error> {
        let message = zip::unpack(&row.at::<Vec<u8>>(5)?).map_err(sqlx::Error::Decode)?;
        let mut message: Json =
            serde_json::from_slice(&message).map_err(|error| sqlx::Error::Decode(error.into()))?;
        Ok(Self {
            id: DeliveryId(from_sql(row.at(0)?)),
            output: row.at(1)?,
            config: Some(row.at::<String>(2)?).filter(|config| !config.is_empty()),
            event: Event::parse(&row.at::<String>(3)?),
            at: Timestamp(from_sql(row.at(4)?)),
            finding: message["finding"].take(),
            resource: message["resource"].take(),
            tries: u32::try_from(row.at::<i64>(6)?).unwrap_or(u32::MAX),
            error: row.at(7)?,
        })
    }
}

impl FromRow for OutputState {
    fn from_row(row: &Row) -> Result<Self, sqlx::Error> {
        let number = |index| row.at::<i64>(index).map(from_sql);
        let time = |index| Ok::<_, sqlx::Error>(row.at::<Option<i64>>(index)?.map(from_sql).map(Timestamp));
        Ok(Self {
            name: row.at(0)?,
            waiting: number(1)?,
            dead: number(2)?,
            sent: number(3)?,
            failed: number(4)?,
            lost: number(5)?,
            sent_at: time(6)?,
            error: row.at::<Option<String>>(7)?.zip(time(8)?),
        })
    }
}

impl Store {
    /// What is due for an output at `now`, the longest overdue first. A time far ahead counts as due: the clock was set back.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn due(&self, output: &str, now: Timestamp, limit: u32) -> Result<Vec<Delivery>, StoreError> {
        let due = format!(
            "{SELECT} WHERE d.output = $1 AND d.state = 'WAITING' AND (d.due_at <= $2 OR d.due_at > $3)
             ORDER BY d.due_at, d.seq LIMIT $4"
        );
        let due = sql(due)
            .bind(output)
            .bind(to_sql(now.0))
            .bind(to_sql(now.0.saturating_add(FURTHEST_NS)))
            .bind(i64::from(limit));
        let mut transaction = self.begin(Access::Read).await?;
        let deliveries = transaction.connection().all(due).await;
        self.end(transaction, "read the outbox", deliveries).await
    }

    /// These were delivered: they are gone.
    ///
    /// # Errors
    /// Where the database cannot be written; they are delivered again then.
    pub async fn delivered(
        &self,
        output: &str,
        ids: &[DeliveryId],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin(Access::Write).await?;
        let done = forget(transaction.connection(), output, ids, now).await;
        self.end(transaction, "take from the outbox", done).await
    }

    /// One could not be delivered: it is tried again at `due_at`, or given up where there is no such time.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub async fn failed(
        &self,
        delivery: &Delivery,
        error: &str,
        due_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let error = &error[..error.floor_char_boundary(ERROR_LIMIT)];
        let mut transaction = self.begin(Access::Write).await?;
        let done = put_off(transaction.connection(), delivery, error, due_at, now).await;
        self.end(transaction, "write to the outbox", done).await
    }

    /// Gives up what waits for outputs other than these, which the config does not have any more. Returns how much that is.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub async fn give_up_all_but(&self, outputs: &[&str]) -> Result<u64, StoreError> {
        let others = match outputs {
            [] => String::new(),
            _ => format!(" AND output NOT IN ({})", crate::insert::list("$", outputs.len())),
        };
        let text = format!(
            "UPDATE deliveries SET state = 'DEAD', error = 'the config has no such output any more'
             WHERE state = 'WAITING'{others}"
        );
        let statement = outputs.iter().copied().fold(sql(text), Statement::bind);
        self.write_one("write to the outbox", statement).await
    }

    /// How far each output is that has ever been told something, by name.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn output_states(&self) -> Result<Vec<OutputState>, StoreError> {
        let states = "SELECT names.name, COALESCE(waiting, 0), COALESCE(dead, 0), COALESCE(sent, 0), COALESCE(failed, 0),
                COALESCE(lost, 0), sent_at, error, error_at
            FROM (SELECT name FROM outputs UNION SELECT DISTINCT output FROM deliveries) AS names
            LEFT JOIN outputs ON outputs.name = names.name
            LEFT JOIN (SELECT output,
                    CAST(sum(CASE WHEN state = 'WAITING' THEN 1 ELSE 0 END) AS BIGINT) AS waiting,
                    CAST(sum(CASE WHEN state = 'DEAD' THEN 1 ELSE 0 END) AS BIGINT) AS dead
                FROM deliveries GROUP BY output) AS counted ON counted.output = names.name
            ORDER BY names.name";
        let mut transaction = self.begin(Access::Read).await?;
        let states = transaction.connection().all(sql(states)).await;
        self.end(transaction, "count the outbox", states).await
    }

    /// Dead letters of one output or all, those behind `after`, the oldest first; 1,000 at the most.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn dead_letters(
        &self,
        output: Option<&str>,
        after: Option<DeliveryId>,
        limit: u32,
    ) -> Result<Vec<Delivery>, StoreError> {
        let dead = format!(
            "{SELECT} WHERE d.state = 'DEAD' AND d.seq > $1 AND ($2 IS NULL OR d.output = $2) ORDER BY d.seq LIMIT $3"
        );
        let dead = sql(dead)
            .bind(to_sql(after.map_or(0, |id| id.0)))
            .bind(output)
            .bind(i64::from(limit.min(PAGE_LIMIT)));
        let mut transaction = self.begin(Access::Read).await?;
        let letters = transaction.connection().all(dead).await;
        self.end(transaction, "list dead letters", letters).await
    }

    /// One dead letter.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn dead_letter(&self, id: DeliveryId) -> Result<Option<Delivery>, StoreError> {
        let one = sql(format!("{SELECT} WHERE d.state = 'DEAD' AND d.seq = $1")).bind(to_sql(id.0));
        let mut transaction = self.begin(Access::Read).await?;
        let letter = transaction.connection().first(one).await;
        self.end(transaction, "read a dead letter", letter).await
    }

    /// Has dead letters sent again, as if they had never been tried: one, or all of an output, or all. Returns how many.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub async fn send_again(
        &self,
        id: Option<DeliveryId>,
        output: Option<&str>,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let again = sql("UPDATE deliveries SET state = 'WAITING', tries = 0, due_at = $1
                         WHERE state = 'DEAD' AND ($2 IS NULL OR seq = $2) AND ($3 IS NULL OR output = $3)")
        .bind(to_sql(now.0))
        .bind(id.map(|id| to_sql(id.0)))
        .bind(output);
        self.write_one("send dead letters again", again).await
    }

    /// Drops dead letters: one, or all of an output, or all. Returns how many.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub async fn drop_dead(&self, id: Option<DeliveryId>, output: Option<&str>) -> Result<u64, StoreError> {
        let drop = sql("DELETE FROM deliveries
                        WHERE state = 'DEAD' AND ($1 IS NULL OR seq = $1) AND ($2 IS NULL OR output = $2) RETURNING notice")
        .bind(id.map(|id| to_sql(id.0)))
        .bind(output);
        let mut transaction = self.begin(Access::Write).await?;
        let dropped = remove(transaction.connection(), drop).await;
        self.end(transaction, "drop dead letters", dropped).await
    }

    async fn write_one(&self, doing: &'static str, statement: Statement) -> Result<u64, StoreError> {
        let mut transaction = self.begin(Access::Write).await?;
        let done = transaction.connection().execute(statement).await;
        self.end(transaction, doing, done).await
    }
}

/// Runs a statement that removes deliveries and returns their notices.
async fn remove(connection: &mut Connection, statement: Statement) -> Result<u64, sqlx::Error> {
    let notices: Vec<i64> = connection.all(statement).await?;
    remove_notices(connection, &notices).await?;
    Ok(notices.len() as u64)
}

async fn forget(
    connection: &mut Connection,
    output: &str,
    ids: &[DeliveryId],
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let mut gone = 0;
    for id in ids {
        let done = sql("DELETE FROM deliveries WHERE seq = $1 RETURNING notice").bind(to_sql(id.0));
        gone += remove(connection, done).await?;
    }
    let count = "INSERT INTO outputs (name, sent, failed, lost, sent_at) VALUES ($1, $2, 0, 0, $3)
                 ON CONFLICT (name) DO UPDATE SET sent = outputs.sent + excluded.sent, sent_at = excluded.sent_at";
    connection.execute(sql(count).bind(output).bind(to_sql(gone)).bind(to_sql(now.0))).await.map(|_| ())
}

async fn put_off(
    connection: &mut Connection,
    delivery: &Delivery,
    error: &str,
    due_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let state = if due_at.is_some() { "WAITING" } else { "DEAD" };
    let put =
        sql("UPDATE deliveries SET state = $1, due_at = $2, tries = tries + 1, error = $3 WHERE seq = $4")
            .bind(state)
            .bind(to_sql(due_at.unwrap_or(now).0))
            .bind(error)
            .bind(to_sql(delivery.id.0));
    connection.execute(put).await?;
    let count = "INSERT INTO outputs (name, sent, failed, lost, error, error_at) VALUES ($1, 0, 1, 0, $2, $3)
        ON CONFLICT (name) DO UPDATE SET failed = outputs.failed + 1, error = excluded.error, error_at = excluded.error_at";
    connection.execute(sql(count).bind(delivery.output.as_str()).bind(error).bind(to_sql(now.0))).await?;
    match due_at {
        Some(_) => Ok(()),
        None => drop_surplus(connection, &delivery.output, "DEAD", DEAD_KEPT).await,
    }
}
