//! The record of urva's own runs: since when it watches, what it counted, and when it last did.

use crate::body::{from_json, to_json};
use crate::session::Access;
use crate::sql::{Connection, FromRow, Row as SqlRow, sql};
use crate::{Store, StoreError, from_sql, to_sql};
use evidence::{Gap, GapKind, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Runs that are kept, the newest ones.
const KEPT_RUNS: i64 = 1_000;

/// Which run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RunId(i64);

/// What is known of a run at its start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunStart {
    /// When it began.
    pub started_at: Timestamp,
    /// Version of urva.
    pub version: String,
    /// The model that judges.
    pub model: String,
    /// Name of the machine.
    pub host: String,
    /// Process id of the process that was started by the user.
    pub pid: u32,
}

/// What a run has counted since its start.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Counters {
    /// Scripts that were executed, and texts that they compiled while they ran.
    pub captured: u64,
    /// Of these, texts that were compiled at run time.
    pub compiled: u64,
    /// Of the captured ones, those whose text was judged.
    pub judged: u64,
    /// Of these, those judged malicious.
    pub malicious: u64,
    /// Of the judged ones, those judged suspicious.
    pub suspicious: u64,
    /// Executions whose text was not captured.
    pub not_captured: u64,
    /// Texts whose process was stopped until they were judged.
    pub held: u64,
    /// Of these, those judged malicious.
    pub held_malicious: u64,
    /// Captures by what is missing or doubtful in them: [`evidence::CoverageNote::as_str`]. One may have several notes.
    pub notes: BTreeMap<String, u64>,
    /// What was lost, by what happened.
    pub losses: BTreeMap<GapKind, Loss>,
}

/// What was lost in one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Loss {
    /// How many gaps there were.
    pub gaps: u64,
    /// Executions that are known to be lost in them.
    pub lost: u64,
}

impl Counters {
    /// Takes a gap in.
    pub fn add_gap(&mut self, gap: &Gap) {
        let loss = self.losses.entry(gap.kind).or_default();
        loss.gaps += 1;
        loss.lost = loss.lost.saturating_add(gap.lost.unwrap_or(0));
    }

    /// All losses together.
    pub fn lost(&self) -> Loss {
        self.losses.values().fold(Loss::default(), |sum, loss| Loss {
            gaps: sum.gaps + loss.gaps,
            lost: sum.lost.saturating_add(loss.lost),
        })
    }
}

/// One run of urva.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Which one.
    pub id: RunId,
    /// What was known at its start.
    pub start: RunStart,
    /// When it last said that it is alive.
    pub alive_at: Timestamp,
    /// When it ended in order; absent while it runs and where it was killed.
    pub ended_at: Option<Timestamp>,
    /// What it had counted by then.
    pub counters: Counters,
}

/// A run that has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    /// The run, for [`Store::heartbeat`] and [`Store::end_run`].
    pub id: RunId,
    /// The run before it in this database.
    pub previous: Option<Previous>,
}

/// How the run before ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Previous {
    /// When it is last known to have watched.
    pub alive_at: Timestamp,
    /// Whether it was stopped in order, rather than killed.
    pub ended_in_order: bool,
}

impl Previous {
    /// The gap between that run and one that watches since `until`.
    pub fn gap(&self, until: Timestamp) -> Gap {
        let (kind, detail) = if self.ended_in_order {
            (GapKind::NotRunning, "urva was stopped")
        } else {
            let detail =
                "urva ended without being stopped: it was killed, it crashed, or the machine went down";
            (GapKind::Killed, detail)
        };
        let to = until.max(self.alive_at);
        Gap { kind, from: self.alive_at, to, lost: None, detail: detail.to_owned(), container: None }
    }
}

struct Row {
    id: i64,
    start: String,
    alive_at: i64,
    ended_at: Option<i64>,
    counters: String,
}

impl FromRow for Row {
    fn from_row(row: &SqlRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.get("id")?,
            start: row.get("start")?,
            alive_at: row.get("alive_at")?,
            ended_at: row.get("ended_at")?,
            counters: row.get("counters")?,
        })
    }
}

impl Store {
    /// Begins a run, and tells how the one before it ended.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub async fn begin_run(&self, start: &RunStart) -> Result<Begun, StoreError> {
        let mut transaction = self.begin(Access::Write).await?;
        let begun = begin(transaction.connection(), start).await;
        self.end(transaction, "begin a run", begun).await
    }

    /// Says that the run is alive at `at`, and what it has counted.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub async fn heartbeat(&self, run: RunId, at: Timestamp, counters: &Counters) -> Result<(), StoreError> {
        self.update_run(run, at, None, counters).await
    }

    /// Says that the run ended in order.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub async fn end_run(&self, run: RunId, at: Timestamp, counters: &Counters) -> Result<(), StoreError> {
        self.update_run(run, at, Some(at), counters).await
    }

    /// The newest run, where there was one.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn latest_run(&self) -> Result<Option<Run>, StoreError> {
        let mut transaction = self.begin(Access::Read).await?;
        let row = latest(transaction.connection()).await;
        let run = row.and_then(|row| row.map(Row::into_run).transpose());
        self.end(transaction, "read the latest run", run).await
    }

    async fn update_run(
        &self,
        run: RunId,
        at: Timestamp,
        ended_at: Option<Timestamp>,
        counters: &Counters,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin(Access::Write).await?;
        let updated = update(transaction.connection(), run, at, ended_at, counters).await;
        self.end(transaction, "update a run", updated).await
    }
}

impl Row {
    fn into_run(self) -> Result<Run, sqlx::Error> {
        Ok(Run {
            id: RunId(self.id),
            start: from_json(&self.start)?,
            alive_at: Timestamp(from_sql(self.alive_at)),
            ended_at: self.ended_at.map(|time| Timestamp(from_sql(time))),
            counters: from_json(&self.counters)?,
        })
    }
}

async fn begin(connection: &mut Connection, start: &RunStart) -> Result<Begun, sqlx::Error> {
    let previous = latest(connection).await?.map(|row| Previous {
        alive_at: Timestamp(from_sql(row.ended_at.unwrap_or(row.alive_at))),
        ended_in_order: row.ended_at.is_some(),
    });
    let id: i64 = connection
        .one(
            sql("INSERT INTO runs (start, alive_at, counters) VALUES ($1, $2, $3) RETURNING id")
                .bind(to_json(start)?)
                .bind(to_sql(start.started_at.0))
                .bind(to_json(&Counters::default())?),
        )
        .await?;
    connection.execute(sql("DELETE FROM runs WHERE id <= $1").bind(id - KEPT_RUNS)).await?;
    Ok(Begun { id: RunId(id), previous })
}

async fn latest(connection: &mut Connection) -> Result<Option<Row>, sqlx::Error> {
    connection
        .first(sql("SELECT id, start, alive_at, ended_at, counters FROM runs ORDER BY id DESC LIMIT 1"))
        .await
}

async fn update(
    connection: &mut Connection,
    run: RunId,
    at: Timestamp,
    ended_at: Option<Timestamp>,
    counters: &Counters,
) -> Result<(), sqlx::Error> {
    connection
        .execute(
            sql("UPDATE runs SET alive_at = $1, ended_at = $2, counters = $3 WHERE id = $4")
                .bind(to_sql(at.0))
                .bind(ended_at.map(|time| to_sql(time.0)))
                .bind(to_json(counters)?)
                .bind(run.0),
        )
        .await
        .map(|_| ())
}
