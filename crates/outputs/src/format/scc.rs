//! Security Command Center's own shapes.

use super::message_id;
use crate::facts::Facts;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value as Json, json};
use store::{Delivery, Event};

/// `NotificationMessage`: what a notification config sends.
pub(super) fn notification(delivery: &Delivery) -> Json {
    json!({
        "notificationConfigName": config_name(delivery),
        "finding": delivery.finding,
        "resource": delivery.resource,
    })
}

/// The notification in the envelope of a push subscription of Pub/Sub:
/// <https://cloud.google.com/pubsub/docs/push#receive_push>.
pub(super) fn pushed(delivery: &Delivery) -> Json {
    let data = STANDARD.encode(notification(delivery).to_string());
    let id = message_id(delivery);
    let time = delivery.at.to_string();
    json!({
        "message": {
            "data": data,
            "attributes": {},
            "messageId": id,
            "message_id": id,
            "publishTime": time,
            "publish_time": time,
        },
        "subscription": format!("{}/subscriptions/urva-{}", project(delivery), delivery.output),
    })
}

/// `ListFindingsResult` with what happened, and when.
pub(super) fn finding(delivery: &Delivery) -> Json {
    let event = match delivery.event {
        Event::Created => "CREATED",
        Event::Changed => "CHANGED",
    };
    json!({
        "id": message_id(delivery),
        "event": event,
        "time": delivery.at.to_string(),
        "finding": delivery.finding,
        "resource": delivery.resource,
    })
}

/// The config that asked for it; where that was the output itself, a name such as a config of its own would have.
fn config_name(delivery: &Delivery) -> String {
    let own = || format!("{}/locations/global/notificationConfigs/{}", scope(delivery), delivery.output);
    delivery.config.clone().unwrap_or_else(own)
}

/// Subscriptions lie in projects.
fn project(delivery: &Delivery) -> String {
    let mut parts = Facts { delivery }.text("/canonicalName").split('/');
    match (parts.next(), parts.next()) {
        (Some("projects"), Some(id)) => format!("projects/{id}"),
        _ => "projects/local".to_owned(),
    }
}

/// `organizations/1` or `projects/p`, of the finding's name.
fn scope(delivery: &Delivery) -> String {
    let mut parts = Facts { delivery }.name().split('/');
    match (parts.next(), parts.next()) {
        (Some(kind @ ("organizations" | "folders" | "projects")), Some(id)) => format!("{kind}/{id}"),
        _ => "projects/local".to_owned(),
    }
}
