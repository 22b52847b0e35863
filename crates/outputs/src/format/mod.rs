//! Formats: a delivery as bytes. Pure functions; the same delivery gives the same bytes.

mod cef;
mod ecs;
mod email;
mod ocsf;
mod otlp;
mod scc;
mod slack;

use crate::facts::Facts;
use serde_json::{Map, Value as Json, json};
use sha2::{Digest, Sha256};
use store::{Delivery, Event};

pub use crate::syslog::line as syslog;
pub use cef::cef;
pub use email::{body, subject};
pub use otlp::logs;
pub use slack::slack;

/// The shapes of JSON that webhooks and files can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `NotificationMessage` of Security Command Center; a webhook carries it as Pub/Sub pushes it.
    Scc,
    /// Detection Finding of the Open Cybersecurity Schema Framework, version 1.5.0.
    Ocsf,
    /// Elastic Common Schema.
    Ecs,
    /// `ListFindingsResult` of Security Command Center, and what happened.
    Finding,
}

impl Format {
    /// The message as one line of JSON.
    pub fn render(self, delivery: &Delivery) -> Vec<u8> {
        let json = match self {
            Self::Scc => scc::notification(delivery),
            Self::Ocsf => ocsf::detection_finding(delivery),
            Self::Ecs => ecs::document(delivery),
            Self::Finding => scc::finding(delivery),
        };
        json.to_string().into_bytes()
    }

    /// The message as the body of a request. What Pub/Sub pushes grows by a third, so that the notification in it is smaller.
    pub fn body(self, delivery: &Delivery) -> Vec<u8> {
        match self {
            Self::Scc => scc::pushed(delivery).to_string().into_bytes(),
            other => other.render(delivery),
        }
    }
}

/// What a receiver knows a message by, however often it comes.
pub fn message_id(delivery: &Delivery) -> String {
    let Delivery { id, output, event, at, .. } = delivery;
    let event = if *event == Event::Created { "created" } else { "changed" };
    let name = Facts { delivery }.name();
    let hash = Sha256::digest(format!("{}\n{output}\n{event}\n{}\n{name}", id.0, at.0));
    let digits: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("urva_{digits}")
}

/// JSON without members that say nothing: nulls, empty texts, lists and objects.
pub(crate) fn without_empty(value: Json) -> Json {
    let is_something = |value: &Json| match value {
        Json::Null => false,
        Json::String(text) => !text.is_empty(),
        Json::Array(items) => !items.is_empty(),
        Json::Object(members) => !members.is_empty(),
        Json::Bool(_) | Json::Number(_) => true,
    };
    match value {
        Json::Object(members) => Json::Object(
            members
                .into_iter()
                .map(|(name, value)| (name, without_empty(value)))
                .filter(|(_, value)| is_something(value))
                .collect::<Map<_, _>>(),
        ),
        Json::Array(items) => {
            Json::Array(items.into_iter().map(without_empty).filter(is_something).collect())
        }
        other => other,
    }
}

/// A number of nanoseconds as milliseconds.
pub(crate) fn milliseconds(at: evidence::Timestamp) -> u64 {
    at.0 / 1_000_000
}

/// The product as formats name it.
pub(crate) fn product() -> Json {
    json!({"name": "urva", "vendor_name": "urva", "version": crate::VERSION})
}
