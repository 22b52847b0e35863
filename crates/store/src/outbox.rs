//! The outbox as those see it who record and change findings: which outputs are to hear of it, and what they wait for is written in
//! the same transaction.
//!
//! Owns: when an output is told something, and how many notices may wait for one.
//! Refuses: delivering ([`crate::delivery`] does), and any cost where there is no output.
//!
//! An output hears of a finding that is new and that its filter means; later, when the finding's state, severity or mute changes and
//! the filter means it then, and when the filter begins to mean it. Further executions are not told: they are in the finding.

use crate::document::Site;
use crate::filter::Filter;
use crate::insert::NewFinding;
use crate::settings::Kind;
use crate::sql::{Connection, sql};
use crate::{to_sql, zip};
use evidence::Timestamp;
use serde_json::{Value as Json, json};
use std::borrow::Cow;

/// How long a notice waits where the container's runtime has not answered yet: then most alerts name the Pod.
const METADATA_WITHIN_NS: u64 = 2_000_000_000;

/// Fields whose change is told.
const TOLD: [&str; 3] = ["state", "severity", "mute"];

/// An output of the config, as far as the store has to know it.
#[derive(Debug, Clone, PartialEq)]
pub struct Subscription {
    /// The output's name.
    pub output: String,
    /// What it hears of.
    pub wanted: Wanted,
    /// How many notices may wait for it. Where there are more, the oldest are dropped and counted as lost.
    pub max_waiting: u32,
}

/// What an output hears of.
#[derive(Debug, Clone, PartialEq)]
pub enum Wanted {
    /// Findings that are meant.
    Matching(Filter),
    /// Findings that notification configs of this topic mean.
    Topic(String),
}

/// What happened to a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// It is new, or is meant from now on.
    Created,
    /// Its state, severity or mute changed.
    Changed,
}

impl Event {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Created => "CREATED",
            Self::Changed => "CHANGED",
        }
    }

    pub(crate) fn parse(name: &str) -> Self {
        if name == "CREATED" { Self::Created } else { Self::Changed }
    }
}

/// Who is told of what, at the time of a transaction.
pub(crate) struct Outbox<'a> {
    routes: Vec<Route<'a>>,
}

/// One reason to tell an output.
struct Route<'a> {
    output: &'a str,
    /// The name of the notification config; empty for the output's own filter.
    config: String,
    filter: Cow<'a, Filter>,
    max_waiting: u32,
}

/// What is told.
struct Notice<'a> {
    event: Event,
    at: Timestamp,
    due_at: u64,
    source: &'a str,
    id: &'a str,
}

/// A finding of which something is told.
#[derive(Clone, Copy)]
pub(crate) struct Told<'a> {
    pub(crate) source: &'a str,
    pub(crate) id: &'a str,
    pub(crate) document: &'a Json,
    pub(crate) resource: &'a Json,
    /// When it happened.
    pub(crate) at: Timestamp,
}

impl<'a> Outbox<'a> {
    /// Reads the notification configs, where an output asks for them.
    pub(crate) async fn read(connection: &mut Connection, site: &'a Site) -> Result<Self, sqlx::Error> {
        let has_topic = |one: &Subscription| matches!(one.wanted, Wanted::Topic(_));
        let configs = match site.subscriptions.iter().any(has_topic) {
            true => configs(connection).await?,
            false => Vec::new(),
        };
        let mut routes = Vec::new();
        for Subscription { output, wanted, max_waiting } in &site.subscriptions {
            let route = |config, filter| Route { output, config, filter, max_waiting: *max_waiting };
            match wanted {
                Wanted::Matching(filter) => routes.push(route(String::new(), Cow::Borrowed(filter))),
                Wanted::Topic(topic) => routes.extend(
                    configs
                        .iter()
                        .filter_map(|(id, config)| asked(id, config, topic))
                        .map(|(name, filter)| route(name, Cow::Owned(filter))),
                ),
            }
        }
        Ok(Self { routes })
    }

    /// Tells of findings that were just written.
    pub(crate) async fn created(
        &self,
        connection: &mut Connection,
        new: &[(NewFinding, Json)],
    ) -> Result<(), sqlx::Error> {
        if self.routes.is_empty() {
            return Ok(());
        }
        for (finding, resource) in new {
            let whole = whole(&finding.document, resource);
            let routes: Vec<_> = self.routes.iter().filter(|route| route.filter.matches(&whole)).collect();
            let at = finding.columns.event_time;
            let lacks_metadata = finding.evidence.as_ref().is_some_and(|evidence| evidence.metadata == 0);
            let due_at = at.0.saturating_add(if lacks_metadata { METADATA_WITHIN_NS } else { 0 });
            let (source, id) = (finding.source.as_str(), finding.id.as_str());
            let notice = Notice { event: Event::Created, at, due_at, source, id };
            put(connection, &notice, &finding.document, resource, &routes).await?;
        }
        self.bound(connection).await
    }

    /// Tells of a finding whose document is replaced: those who were told and have not heard it yet hear the newer one. Where nobody can
    /// tell what it was before, nothing is told.
    pub(crate) async fn changed(
        &self,
        connection: &mut Connection,
        before: Option<&Json>,
        told: Told<'_>,
    ) -> Result<(), sqlx::Error> {
        let Told { source, id, document, resource, at } = told;
        let Some(before) = before.filter(|before| !self.routes.is_empty() && *before != document) else {
            return Ok(());
        };
        let is_told = TOLD.iter().any(|field| before.get(*field) != document.get(*field));
        let (old, new) = (whole(before, resource), whole(document, resource));
        let meant = self.routes.iter().filter(|route| route.filter.matches(&new));
        let (known, fresh): (Vec<_>, Vec<_>) = meant.partition(|route| route.filter.matches(&old));
        if !is_told {
            renew(connection, told).await?;
        }
        for (event, routes) in [(Event::Created, fresh), (Event::Changed, known)] {
            if event == Event::Created || is_told {
                let notice = Notice { event, at, due_at: at.0, source, id };
                put(connection, &notice, document, resource, &routes).await?;
            }
        }
        self.bound(connection).await
    }

    /// Drops what is too much for an output, the oldest first.
    async fn bound(&self, connection: &mut Connection) -> Result<(), sqlx::Error> {
        for (place, Route { output, max_waiting, .. }) in self.routes.iter().enumerate() {
            if self.routes.iter().take(place).any(|route| route.output == *output) {
                continue;
            }
            drop_surplus(connection, output, "WAITING", i64::from(*max_waiting)).await?;
        }
        Ok(())
    }
}

/// All notification configs by their ids; one that cannot be read asks for nothing.
async fn configs(connection: &mut Connection) -> Result<Vec<(String, Json)>, sqlx::Error> {
    let all = sql("SELECT id, CAST(document AS TEXT) FROM settings WHERE kind = $1 ORDER BY id");
    let all: Vec<(String, String)> = connection.all(all.bind(Kind::NotificationConfig.as_str())).await?;
    Ok(all
        .into_iter()
        .filter_map(|(id, document)| Some((id, serde_json::from_str(&document).ok()?)))
        .collect())
}

/// Name and filter of a notification config of this topic; one whose filter this urva does not understand asks for nothing.
fn asked(id: &str, config: &Json, topic: &str) -> Option<(String, Filter)> {
    let text = |path: &str| config.pointer(path).and_then(Json::as_str);
    let filter = Filter::parse(text("/streamingConfig/filter").unwrap_or_default()).ok();
    let filter = filter.filter(|_| text("/pubsubTopic") == Some(topic))?;
    Some((text("/name").unwrap_or(id).to_owned(), filter))
}

/// What a filter looks at.
fn whole(document: &Json, resource: &Json) -> Json {
    let mut whole = document.clone();
    if let Some(members) = whole.as_object_mut() {
        members.insert("resource".to_owned(), resource.clone());
    }
    whole
}

fn pack(document: &Json, resource: &Json) -> Result<Vec<u8>, sqlx::Error> {
    zip::pack(json!({"finding": document, "resource": resource}).to_string().as_bytes())
}

async fn put(
    connection: &mut Connection,
    notice: &Notice<'_>,
    document: &Json,
    resource: &Json,
    routes: &[&Route<'_>],
) -> Result<(), sqlx::Error> {
    if routes.is_empty() {
        return Ok(());
    }
    let insert =
        "INSERT INTO notices (at, event, source, id, message) VALUES ($1, $2, $3, $4, $5) RETURNING seq";
    let insert = sql(insert)
        .bind(to_sql(notice.at.0))
        .bind(notice.event.as_str())
        .bind(notice.source)
        .bind(notice.id)
        .bind(pack(document, resource)?);
    let seq: i64 = connection.one(insert).await?;
    for route in routes {
        let insert = "INSERT INTO deliveries (notice, output, config, state, due_at, tries)
                      VALUES ($1, $2, $3, 'WAITING', $4, 0)";
        let insert =
            sql(insert).bind(seq).bind(route.output).bind(route.config.as_str()).bind(to_sql(notice.due_at));
        connection.execute(insert).await?;
    }
    Ok(())
}

/// Puts the newer document into the finding's latest notice, unless somebody may have heard that already.
async fn renew(connection: &mut Connection, told: Told<'_>) -> Result<(), sqlx::Error> {
    let renew = "UPDATE notices SET message = $1
        WHERE seq = (SELECT max(seq) FROM notices WHERE id = $2 AND source = $3)
          AND NOT EXISTS (SELECT 1 FROM deliveries WHERE notice = notices.seq AND (tries > 0 OR state <> 'WAITING'))";
    let message = pack(told.document, told.resource)?;
    connection.execute(sql(renew).bind(message).bind(told.id).bind(told.source)).await.map(|_| ())
}

/// Drops all deliveries in this state but so many, the newest, and counts them as lost.
pub(crate) async fn drop_surplus(
    connection: &mut Connection,
    output: &str,
    state: &str,
    kept: i64,
) -> Result<(), sqlx::Error> {
    let count =
        sql("SELECT count(*) FROM deliveries WHERE output = $1 AND state = $2").bind(output).bind(state);
    if connection.one::<i64>(count).await? <= kept {
        return Ok(());
    }
    let surplus = "DELETE FROM deliveries WHERE output = $1 AND state = $2 AND seq <=
        (SELECT seq FROM deliveries WHERE output = $1 AND state = $2 ORDER BY seq DESC LIMIT 1 OFFSET $3) RETURNING notice";
    let dropped: Vec<i64> = connection.all(sql(surplus).bind(output).bind(state).bind(kept)).await?;
    remove_notices(connection, &dropped).await?;
    if !dropped.is_empty() {
        let lost = i64::try_from(dropped.len()).unwrap_or(i64::MAX);
        let count = "INSERT INTO outputs (name, sent, failed, lost) VALUES ($1, 0, 0, $2)
                     ON CONFLICT (name) DO UPDATE SET lost = outputs.lost + excluded.lost";
        connection.execute(sql(count).bind(output).bind(lost)).await?;
    }
    Ok(())
}

/// Removes those of these notices that nobody waits for any more.
pub(crate) async fn remove_notices(connection: &mut Connection, notices: &[i64]) -> Result<(), sqlx::Error> {
    for notice in notices {
        let unused =
            "DELETE FROM notices WHERE seq = $1 AND NOT EXISTS (SELECT 1 FROM deliveries WHERE notice = $1)";
        connection.execute(sql(unused).bind(*notice)).await?;
    }
    Ok(())
}
