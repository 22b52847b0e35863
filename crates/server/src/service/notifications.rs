//! Notification configs: who wants to be told of which findings.

use super::findings::filter;
use super::{Call, Service, explain, page, required};
use crate::json;
use crate::mask;
use crate::name::{Collection, MemberName, ScopeName, check_new_id};
use crate::protocol::v2::{self, NotificationConfig};
use crate::refusal::Refusal;
use serde_json::{Value, json};
use store::{Kind, Setting};

const DESCRIPTION_LIMIT: usize = 1024;
const CHANGEABLE: [&str; 3] = ["description", "pubsubTopic", "streamingConfig"];

/// `CreateNotificationConfig`.
pub(super) async fn create(
    service: &Service,
    call: &Call,
    request: v2::CreateNotificationConfigRequest,
) -> Result<NotificationConfig, Refusal> {
    let parent = ScopeName::parse("parent", &request.parent)?;
    service.scopes.check(&parent.scope)?;
    check_new_id("config_id", &request.config_id)?;
    let mut config = required("notification_config", request.notification_config)?;
    let id = request.config_id;
    config.name = format!("{parent}/notificationConfigs/{id}");
    config.service_account = String::new();
    config.update_time = Some(json::timestamp(call.at));
    let document = json::from_message(&config)?;
    check(&document)?;
    let created = service.store.create_setting(Kind::NotificationConfig, &id, document, &call.by()).await;
    json::to_message(&created.map_err(|error| explain(error, &config.name))?)
}

/// `GetNotificationConfig`.
pub(super) async fn get(
    service: &Service,
    _: &Call,
    request: v2::GetNotificationConfigRequest,
) -> Result<NotificationConfig, Refusal> {
    let name = one(service, "name", &request.name)?;
    let document = service.store.setting(Kind::NotificationConfig, &name.id).await;
    json::to_message(&document.map_err(|error| explain(error, &request.name))?)
}

/// `ListNotificationConfigs`.
pub(super) async fn list(
    service: &Service,
    _: &Call,
    request: v2::ListNotificationConfigsRequest,
) -> Result<v2::ListNotificationConfigsResponse, Refusal> {
    let parent = ScopeName::parse("parent", &request.parent)?;
    service.scopes.check(&parent.scope)?;
    let read = |setting: &Setting| json::read(&setting.document);
    let (notification_configs, next_page_token) =
        page::of(service, Kind::NotificationConfig, request.page_size, &request.page_token, read).await?;
    Ok(v2::ListNotificationConfigsResponse { notification_configs, next_page_token })
}

/// `UpdateNotificationConfig`.
pub(super) async fn update(
    service: &Service,
    call: &Call,
    request: v2::UpdateNotificationConfigRequest,
) -> Result<NotificationConfig, Refusal> {
    let given = required("notification_config", request.notification_config)?;
    let name = one(service, "notification_config.name", &given.name)?;
    let shown = given.name.clone();
    let given = json::from_message(&given)?;
    let paths = mask::read_for_change(
        &json::descriptor::<NotificationConfig>()?,
        request.update_mask,
        &CHANGEABLE,
        |field| CHANGEABLE.contains(&field),
    )?;
    let change = |document: &mut Value| {
        paths.iter().for_each(|path| path.replace(&given, document));
        document["updateTime"] = json!(call.at.to_string());
        check(document)
    };
    let action = "UpdateNotificationConfig";
    let changed =
        service.store.change_setting(Kind::NotificationConfig, &name.id, &call.by(), action, change).await;
    json::to_message(&changed.map_err(|error| explain(error, &shown))??)
}

/// `DeleteNotificationConfig`.
pub(super) async fn delete(
    service: &Service,
    call: &Call,
    request: v2::DeleteNotificationConfigRequest,
) -> Result<(), Refusal> {
    let name = one(service, "name", &request.name)?;
    let deleted = service.store.delete_setting(Kind::NotificationConfig, &name.id, &call.by()).await;
    deleted.map_err(|error| explain(error, &request.name))
}

fn one(service: &Service, field: &str, name: &str) -> Result<MemberName, Refusal> {
    let name = MemberName::parse(field, name, Collection::NotificationConfigs)?;
    service.scopes.check(&name.scope)?;
    Ok(name)
}

fn check(document: &Value) -> Result<(), Refusal> {
    let text = document.pointer("/streamingConfig/filter").and_then(Value::as_str).unwrap_or_default();
    filter("notification_config.streaming_config.filter", text)?;
    let description = document.get("description").and_then(Value::as_str).unwrap_or_default();
    if description.chars().count() > DESCRIPTION_LIMIT {
        let rule = format!("must be at most {DESCRIPTION_LIMIT} characters");
        return Err(Refusal::malformed("notification_config.description", rule));
    }
    Ok(())
}
