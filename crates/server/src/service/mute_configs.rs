//! Mute rules: which findings are muted, from now on or once.

use super::bulk::{Work, begin};
use super::findings::filter;
use super::{CONFIRM, Call, Service, explain, page, required};
use crate::json;
use crate::mask;
use crate::name::{Collection, MemberName, ScopeName, check_new_id};
use crate::protocol::v2::mute_config::MuteConfigType;
use crate::protocol::v2::{self, MuteConfig};
use crate::refusal::Refusal;
use evidence::Timestamp;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::time::Duration;
use store::{Kind, Setting};

const LIST: &str = "muteConfigs";
/// Rules that are read at a time.
const RULES_AT_ONCE: u32 = 100;
const DESCRIPTION_LIMIT: usize = 1024;
const CHANGEABLE: [&str; 3] = ["description", "filter", "expiryTime"];
/// Among the findings of this time is looked for what a rule would mute.
const LOOKED_BACK: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// `CreateMuteConfig`. A dynamic rule takes effect on the findings that are there as well.
pub(super) async fn create(
    service: &Service,
    call: &Call,
    request: v2::CreateMuteConfigRequest,
) -> Result<MuteConfig, Refusal> {
    let parent = ScopeName::parse("parent", &request.parent)?;
    service.scopes.check(&parent.scope)?;
    check_new_id("mute_config_id", &request.mute_config_id)?;
    let mut config = required("mute_config", request.mute_config)?;
    if config.r#type() == MuteConfigType::Unspecified {
        config.set_type(MuteConfigType::Static);
    }
    let id = request.mute_config_id;
    config.name = format!("{parent}/muteConfigs/{id}");
    config.create_time = Some(json::timestamp(call.at));
    config.update_time = config.create_time;
    config.most_recent_editor.clone_from(&call.actor);
    let document = json::from_message(&config)?;
    check(&document, call)?;
    check_width(service, call, &config.filter).await?;
    let created = service.store.create_setting(Kind::MuteConfig, &id, document, &call.by()).await;
    let document = created.map_err(|error| explain(error, &config.name))?;
    take_effect(service, call, None, Some(&document))?;
    json::to_message(&document)
}

/// `GetMuteConfig`.
pub(super) async fn get(
    service: &Service,
    _: &Call,
    request: v2::GetMuteConfigRequest,
) -> Result<MuteConfig, Refusal> {
    let name = one(service, "name", &request.name)?;
    let document = service.store.setting(Kind::MuteConfig, &name.id).await;
    json::to_message(&document.map_err(|error| explain(error, &request.name))?)
}

/// `ListMuteConfigs`.
pub(super) async fn list(
    service: &Service,
    _: &Call,
    request: v2::ListMuteConfigsRequest,
) -> Result<v2::ListMuteConfigsResponse, Refusal> {
    let parent = ScopeName::parse("parent", &request.parent)?;
    service.scopes.check(&parent.scope)?;
    let size = page::size(request.page_size)?;
    let after = page::last(LIST, &request.page_token)?;
    let settings = service.store.settings(Kind::MuteConfig, after.as_deref(), size + 1).await;
    let mut settings = settings.map_err(|error| explain(error, &request.parent))?;
    let next_page_token = page::cut(&mut settings, size, LIST, |setting| &setting.id);
    let configs: Result<_, _> =
        settings.iter().map(|Setting { document, .. }| json::to_message(document)).collect();
    Ok(v2::ListMuteConfigsResponse { mute_configs: configs?, next_page_token })
}

/// `UpdateMuteConfig`.
pub(super) async fn update(
    service: &Service,
    call: &Call,
    request: v2::UpdateMuteConfigRequest,
) -> Result<MuteConfig, Refusal> {
    let given = required("mute_config", request.mute_config)?;
    let name = one(service, "mute_config.name", &given.name)?;
    let shown = given.name.clone();
    let new_filter = given.filter.clone();
    let given = json::from_message(&given)?;
    let mut mask = request.update_mask.unwrap_or_default();
    if mask.paths.is_empty() {
        mask.paths = CHANGEABLE.iter().map(|path| (*path).to_owned()).collect();
    }
    let paths = mask::read(&json::descriptor::<MuteConfig>()?, "update_mask", &mask)?;
    if let Some(path) = paths.iter().find(|path| !CHANGEABLE.contains(&path.field())) {
        return Err(Refusal::malformed("update_mask", format!("{} is not changed", path.to_json())));
    }
    if paths.iter().any(|path| path.field() == "filter") {
        let known = service.store.setting(Kind::MuteConfig, &name.id).await;
        let known = known.map_err(|error| explain(error, &shown))?;
        if known.get("filter").and_then(Value::as_str) != Some(&new_filter) {
            check_width(service, call, &new_filter).await?;
        }
    }
    let mut before = Value::Null;
    let change = |document: &mut Value| {
        before.clone_from(document);
        paths.iter().for_each(|path| path.replace(&given, document));
        document["updateTime"] = json!(call.at.to_string());
        document["mostRecentEditor"] = json!(call.actor);
        check(document, call)
    };
    let by = call.by();
    let changed = service.store.change_setting(Kind::MuteConfig, &name.id, &by, "UpdateMuteConfig", change);
    let document = changed.await.map_err(|error| explain(error, &shown))??;
    take_effect(service, call, Some(&before), Some(&document))?;
    json::to_message(&document)
}

/// `DeleteMuteConfig`. What a dynamic rule muted is not muted any more, unless by another rule or by somebody.
pub(super) async fn delete(
    service: &Service,
    call: &Call,
    request: v2::DeleteMuteConfigRequest,
) -> Result<(), Refusal> {
    let name = one(service, "name", &request.name)?;
    let known = service.store.setting(Kind::MuteConfig, &name.id).await;
    let known = known.map_err(|error| explain(error, &request.name))?;
    let deleted = service.store.delete_setting(Kind::MuteConfig, &name.id, &call.by()).await;
    deleted.map_err(|error| explain(error, &request.name))?;
    take_effect(service, call, Some(&known), None)
}

/// Takes back what dynamic rules did that have expired. `done` remembers which ones and when, so that each is looked at once.
pub(super) async fn withdraw_expired(
    service: &Service,
    call: &Call,
    done: &mut HashSet<(String, String)>,
) -> Result<(), Refusal> {
    let mut after = None;
    loop {
        let settings = service.store.settings(Kind::MuteConfig, after.as_deref(), RULES_AT_ONCE).await;
        let settings = settings.map_err(|error| explain(error, LIST))?;
        for Setting { id, document } in &settings {
            let expiry = document.get("expiryTime").and_then(Value::as_str).unwrap_or_default();
            let is_over = Timestamp::parse(expiry).is_some_and(|expiry| expiry <= call.at);
            if is_over && !done.contains(&(id.clone(), expiry.to_owned())) {
                take_effect(service, call, Some(document), None)?;
                done.insert((id.clone(), expiry.to_owned()));
            }
        }
        let Some(last) = settings.last() else { return Ok(()) };
        after = Some(last.id.clone());
    }
}

fn one(service: &Service, field: &str, name: &str) -> Result<MemberName, Refusal> {
    let name = MemberName::parse(field, name, Collection::MuteConfigs)?;
    service.scopes.check(&name.scope)?;
    Ok(name)
}

fn check(document: &Value, call: &Call) -> Result<(), Refusal> {
    let text = |field: &str| document.get(field).and_then(Value::as_str).unwrap_or_default();
    if filter("mute_config.filter", text("filter"))?.is_empty() {
        return Err(Refusal::malformed(
            "mute_config.filter",
            "is missing: a rule that mutes everything is none",
        ));
    }
    if text("description").chars().count() > DESCRIPTION_LIMIT {
        let rule = format!("must be at most {DESCRIPTION_LIMIT} characters");
        return Err(Refusal::malformed("mute_config.description", rule));
    }
    let expiry = Some(text("expiryTime")).filter(|text| !text.is_empty());
    if expiry.is_some() && text("type") != "DYNAMIC" {
        return Err(Refusal::malformed("mute_config.expiry_time", "only a rule of the type DYNAMIC expires"));
    }
    if expiry.and_then(Timestamp::parse).is_some_and(|expiry| expiry <= call.at) {
        return Err(Refusal::malformed("mute_config.expiry_time", "is over"));
    }
    Ok(())
}

/// Refuses a rule that would hide what is critical in more than one namespace, unless the caller says that it is meant.
async fn check_width(service: &Service, call: &Call, text: &str) -> Result<(), Refusal> {
    if call.is_confirmed {
        return Ok(());
    }
    let filter = filter("mute_config.filter", text)?;
    let preview = service.store.preview_mute(&filter, call.at.minus(LOOKED_BACK)).await;
    let preview = preview.map_err(|error| explain(error, LIST))?;
    if !preview.is_wide() {
        return Ok(());
    }
    let description = format!(
        "in the last 30 days the rule would have muted {} findings of the severity CRITICAL in {} namespaces: \
         narrow its filter, or make the same call with the header {CONFIRM}: yes where that is meant",
        preview.critical, preview.critical_namespace_count
    );
    Err(Refusal::NotNow { description })
}

/// Takes back what a dynamic rule did before it was changed, and has it do what it does now. That goes on after the call.
fn take_effect(
    service: &Service,
    call: &Call,
    before: Option<&Value>,
    after: Option<&Value>,
) -> Result<(), Refusal> {
    let is_dynamic = |rule: &&Value| rule.get("type").and_then(Value::as_str) == Some("DYNAMIC");
    let (before, after) = (before.filter(is_dynamic), after.filter(is_dynamic));
    let part =
        |rule: &Value, field: &str| rule.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    if let Some(rule) = before {
        begin(service, call, Work::withdraw(part(rule, "name")))?;
    }
    if let Some(rule) = after {
        begin(service, call, Work::follow(part(rule, "name"), &part(rule, "filter")))?;
    }
    Ok(())
}
