//! Mute rules, as they take effect on what is recorded: which of them a finding meets.

use crate::audit::By;
use crate::filter::Filter;
use crate::mute_info;
use crate::settings::Kind;
use crate::sql::{Connection, sql};
use evidence::Timestamp;
use serde_json::Value as Json;
use std::sync::{Arc, Mutex, PoisonError};

/// The rules at the time of a transaction, in the order of their ids.
#[derive(Debug, Default)]
pub(crate) struct Rules(Vec<Rule>);

/// The rules as a store read them last, with the version of the settings that they are of: reading filters takes longer than
/// recording a finding.
#[derive(Debug, Default)]
pub(crate) struct KeptRules(Mutex<Option<(i64, Arc<Rules>)>>);

#[derive(Debug)]
struct Rule {
    /// The rule's name in the protocol, else its id.
    name: String,
    filter: Filter,
    is_dynamic: bool,
    expires_at: Option<Timestamp>,
}

impl KeptRules {
    /// The rules now.
    pub(crate) async fn current(&self, connection: &mut Connection) -> Result<Arc<Rules>, sqlx::Error> {
        let version = connection.one(sql("SELECT version FROM settings_version")).await?;
        self.of_version(connection, version).await
    }

    /// The rules of this version of the settings, which is the one that the transaction sees.
    pub(crate) async fn of_version(
        &self,
        connection: &mut Connection,
        version: i64,
    ) -> Result<Arc<Rules>, sqlx::Error> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((_, rules)) = kept.filter(|(known, _)| *known == version) {
            return Ok(rules);
        }
        let rules = Arc::new(Rules::read(connection).await?);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((version, Arc::clone(&rules)));
        Ok(rules)
    }
}

impl Rules {
    /// Reads them. A rule that this urva does not understand mutes nothing.
    async fn read(connection: &mut Connection) -> Result<Self, sqlx::Error> {
        let query = sql("SELECT id, CAST(document AS TEXT) FROM settings WHERE kind = $1 ORDER BY id");
        let rows: Vec<(String, String)> = connection.all(query.bind(Kind::MuteConfig.as_str())).await?;
        let rule = |(id, document): &(String, String)| {
            let rule = serde_json::from_str(document).ok().and_then(|document| Rule::of(id, &document));
            if rule.is_none() {
                tracing::warn!(
                    id,
                    "a mute rule cannot be read and mutes nothing: remove it, or correct its filter"
                );
            }
            rule
        };
        Ok(Self(rows.iter().filter_map(rule).collect()))
    }

    /// Mutes a finding that a rule is about, unless somebody has decided about it before. `at` is the time of its latest event.
    pub(crate) fn apply(&self, document: &mut Json, resource: &Json, at: Timestamp) {
        if self.0.is_empty() || mute_info::is_decided(document) {
            return;
        }
        let mut whole = document.clone();
        if let Some(members) = whole.as_object_mut() {
            members.insert("resource".to_owned(), resource.clone());
        }
        let is_alive = |rule: &&Rule| rule.expires_at.is_none_or(|end| at < end);
        for rule in self.0.iter().filter(is_alive).filter(|rule| rule.filter.matches(&whole)) {
            rule.mute(document, at);
        }
    }
}

impl Rule {
    fn of(id: &str, document: &Json) -> Option<Self> {
        let text = |name: &str| document.get(name).and_then(Json::as_str);
        Some(Self {
            name: text("name").unwrap_or(id).to_owned(),
            filter: Filter::parse(text("filter")?).ok().filter(|filter| !filter.is_empty())?,
            is_dynamic: text("type") == Some("DYNAMIC"),
            expires_at: text("expiryTime").and_then(Timestamp::parse),
        })
    }

    fn mute(&self, document: &mut Json, at: Timestamp) {
        let by = By { actor: &self.name, at };
        if self.is_dynamic { mute_info::meet(document, &by) } else { mute_info::decide_once(document, &by) }
    }
}
