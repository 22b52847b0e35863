//! Mute rules, as they take effect on what is recorded: which of them a finding meets.

use crate::audit::By;
use crate::filter::Filter;
use crate::mute_info;
use crate::settings::{Kind, all};
use crate::sql::Connection;
use evidence::Timestamp;
use serde_json::Value as Json;

/// The rules at the time of a transaction, in the order of their ids.
pub(crate) struct Rules(Vec<Rule>);

struct Rule {
    /// The rule's name in the protocol, else its id.
    name: String,
    filter: Filter,
    is_dynamic: bool,
    expires_at: Option<Timestamp>,
}

impl Rules {
    /// Reads them. A rule whose filter this urva does not understand mutes nothing.
    pub(crate) async fn read(connection: &mut Connection) -> Result<Self, sqlx::Error> {
        let settings = all(connection, Kind::MuteConfig).await?;
        Ok(Self(settings.iter().filter_map(|setting| Rule::of(&setting.id, &setting.document)).collect()))
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
