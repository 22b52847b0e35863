//! Mute rules: which findings are muted, from now on or once.

use super::findings::filter;
use super::{CONFIRM, Call, Service, bulk, explain, page, required};
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
use store::filter::Filter;
use store::mute_info::{leave, meet};
use store::{By, Kind, Setting, StoreError};

/// Rules that are read at a time.
const RULES_AT_ONCE: u32 = 100;
const DESCRIPTION_LIMIT: usize = 1024;
const CHANGEABLE: [&str; 3] = ["description", "filter", "expiryTime"];
/// Later than this is each time that is too late to be read.
const AFTER_ALL: &str = "2262";
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
    check(&document, None, call)?;
    check_width(service, call, &config.filter).await?;
    let is_dynamic = is_dynamic(&document);
    let (by, store) = (call.by(), &service.store);
    let created = store.create_setting(Kind::MuteConfig, &id, document, &by);
    let created = bulk::with_rule(service, call, Some(id.as_str()).filter(|_| is_dynamic), created).await?;
    json::to_message(&created.map_err(|error| explain(error, &config.name))?)
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
    let read = |setting: &Setting| json::read(&setting.document);
    let (mute_configs, next_page_token) =
        page::of(service, Kind::MuteConfig, request.page_size, &request.page_token, read).await?;
    Ok(v2::ListMuteConfigsResponse { mute_configs, next_page_token })
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
    let given = json::from_message(&given)?;
    let descriptor = json::descriptor::<MuteConfig>()?;
    let is_changeable = |field: &str| CHANGEABLE.contains(&field);
    let paths = mask::read_for_change(&descriptor, request.update_mask, &CHANGEABLE, is_changeable)?;
    let known = service.store.setting(Kind::MuteConfig, &name.id).await;
    let known = known.map_err(|error| explain(error, &shown))?;
    let mut wanted = known.clone();
    paths.iter().for_each(|path| path.replace(&given, &mut wanted));
    let differs = |field: &str| known.get(field) != wanted.get(field);
    if differs("filter") {
        check_width(service, call, text(&wanted, "filter")).await?;
    }
    let takes_effect = is_dynamic(&known) && (differs("filter") || differs("expiryTime"));
    let rule = Some(name.id.as_str()).filter(|_| takes_effect);
    let change = |document: &mut Value| {
        let before = document.clone();
        paths.iter().for_each(|path| path.replace(&given, document));
        document["updateTime"] = json!(call.at.to_string());
        document["mostRecentEditor"] = json!(call.actor);
        check(document, Some(&before), call)
    };
    let by = call.by();
    let changed = service.store.change_setting(Kind::MuteConfig, &name.id, &by, "UpdateMuteConfig", change);
    let changed = bulk::with_rule(service, call, rule, changed).await?;
    json::to_message(&changed.map_err(|error| explain(error, &shown))??)
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
    let rule = Some(name.id.as_str()).filter(|_| is_dynamic(&known));
    let by = call.by();
    let deleted = service.store.delete_setting(Kind::MuteConfig, &name.id, &by);
    let deleted = bulk::with_rule(service, call, rule, deleted).await?;
    deleted.map_err(|error| explain(error, &request.name))
}

/// Takes back what dynamic rules did that have expired. `done` remembers which ones and when, so that each is looked at once.
pub(super) async fn withdraw_expired(
    service: &Service,
    call: &Call,
    done: &mut HashSet<(String, String)>,
) -> Result<(), StoreError> {
    let mut after = None;
    loop {
        let settings = service.store.settings(Kind::MuteConfig, after.as_deref(), RULES_AT_ONCE).await?;
        for Setting { id, document } in &settings {
            let expiry = text(document, "expiryTime");
            let is_over = Timestamp::parse(expiry).is_some_and(|expiry| expiry <= call.at);
            if is_over && !done.contains(&(id.clone(), expiry.to_owned())) {
                settle(service, id, &call.by()).await?;
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

/// What each rule has. An expiry that is over stays where it was so `before`.
fn check(document: &Value, before: Option<&Value>, call: &Call) -> Result<(), Refusal> {
    if filter("mute_config.filter", text(document, "filter"))?.is_empty() {
        return Err(Refusal::malformed(
            "mute_config.filter",
            "is missing: a rule that mutes everything is none",
        ));
    }
    if text(document, "description").chars().count() > DESCRIPTION_LIMIT {
        let rule = format!("must be at most {DESCRIPTION_LIMIT} characters");
        return Err(Refusal::malformed("mute_config.description", rule));
    }
    let expiry = text(document, "expiryTime");
    if expiry.is_empty() || before.is_some_and(|before| text(before, "expiryTime") == expiry) {
        return Ok(());
    }
    if !is_dynamic(document) {
        return Err(Refusal::malformed("mute_config.expiry_time", "only a rule of the type DYNAMIC expires"));
    }
    // What is no time of this kind is before 1970 or after 2554.
    if Timestamp::parse(expiry).map_or(expiry < AFTER_ALL, |expiry| expiry <= call.at) {
        return Err(Refusal::malformed("mute_config.expiry_time", "is over: it must be in the future"));
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
    let preview = preview.map_err(|error| explain(error, "muteConfigs"))?;
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

/// Brings all findings to what a dynamic rule says now, or to its being gone. Done twice, it changes nothing the second time; so it
/// is enough to do it some time after each change.
pub(super) async fn settle(service: &Service, id: &str, by: &By<'_>) -> Result<u64, StoreError> {
    let rule = match service.store.setting(Kind::MuteConfig, id).await {
        Ok(document) => in_force(&document, by.at),
        Err(StoreError::NoSuchSetting { .. }) => None,
        Err(error) => return Err(error),
    };
    // Names of rules end in their ids. One id may be the beginning of another; `leave` knows them apart.
    let met = format!("mute_info.dynamic_mute_records.mute_config:\"muteConfigs/{id}\"");
    let about_no_more = rule.as_ref().map(|(_, filter)| format!("{met} AND NOT ({filter})"));
    // A filter that is too long with that added to it has all taken back, and done anew.
    let left = about_no_more.and_then(|text| Filter::parse(&text).ok());
    let mut changed = 0;
    if let Some(left) = left.or_else(|| Filter::parse(&met).ok()) {
        let change = |document: &mut Value| leave(document, id, by);
        changed += bulk::change_all(service, &left, by, "WithdrawMuteConfig", change).await?;
    }
    if let Some((name, filter)) = rule {
        let new = format!("({filter}) AND NOT mute_info.dynamic_mute_records.mute_config=\"{name}\"");
        let new = Filter::parse(&new).unwrap_or(filter);
        let rule = By { actor: &name, at: by.at };
        let change = |document: &mut Value| meet(document, &rule);
        changed += bulk::change_all(service, &new, by, "FollowMuteConfig", change).await?;
    }
    Ok(changed)
}

/// The name and the filter of a dynamic rule that has not expired.
fn in_force(document: &Value, now: Timestamp) -> Option<(String, Filter)> {
    let is_alive = Timestamp::parse(text(document, "expiryTime")).is_none_or(|expiry| now < expiry);
    let filter = Filter::parse(text(document, "filter")).ok().filter(|filter| !filter.is_empty())?;
    (is_dynamic(document) && is_alive).then(|| (text(document, "name").to_owned(), filter))
}

fn is_dynamic(document: &Value) -> bool {
    text(document, "type") == "DYNAMIC"
}

fn text<'a>(document: &'a Value, field: &str) -> &'a str {
    document.get(field).and_then(Value::as_str).unwrap_or_default()
}
