//! Findings are created and changed: by clients with sources of their own, and by people who work on any finding.

use super::findings::message;
use super::{Call, Service, explain, required};
use crate::json;
use crate::mask::{self, Path};
use crate::name::{FindingName, SourceName, check_new_finding_id};
use crate::protocol::v2::finding::State;
use crate::protocol::v2::{self, Finding};
use crate::refusal::Refusal;
use serde_json::{Value, json};
use store::mute_info::{Decision, decide};
use store::{Kind, StoreError};

/// Fields that no client sets by a finding: urva sets them, or a method of their own does.
const SET_BY_URVA: [&str; 10] = [
    "name",
    "canonicalName",
    "parent",
    "parentDisplayName",
    "createTime",
    "mute",
    "muteInfo",
    "muteInitiator",
    "muteUpdateTime",
    "externalSystems",
];
const MARKS: &str = "securityMarks";
/// The source in which nobody but urva has findings.
const OWN_SOURCE: &str = "urva";

/// The longest category and resource name.
const TEXT_LIMIT: usize = 255;

/// `CreateFinding`.
pub(super) async fn create(
    service: &Service,
    call: &Call,
    request: v2::CreateFindingRequest,
) -> Result<Finding, Refusal> {
    let parent = SourceName::parse("parent", &request.parent)?;
    service.scopes.check(&parent.scope)?;
    let source = parent.source.clone();
    let source = source.ok_or_else(|| Refusal::malformed("parent", "must name one source, not all"))?;
    check_new_finding_id("finding_id", &request.finding_id)?;
    let finding = required("finding", request.finding)?;
    let name =
        FindingName { scope: parent.scope, source, located: parent.located, finding: request.finding_id };
    add(service, call, &name, json::from_message(&finding)?).await
}

async fn add(service: &Service, call: &Call, name: &FindingName, given: Value) -> Result<Finding, Refusal> {
    let parent =
        SourceName { scope: name.scope.clone(), source: Some(name.source.clone()), located: name.located };
    if name.source == OWN_SOURCE {
        let description =
            format!("the source {OWN_SOURCE} has urva's own findings only: create one of your own");
        return Err(Refusal::NotNow { description });
    }
    let source = service.store.setting(Kind::Source, &name.source).await;
    let source = source.map_err(|error| explain(error, &parent.to_string()))?;
    let mut document = given;
    for field in SET_BY_URVA.iter().chain(&[MARKS]) {
        document.as_object_mut().map(|members| members.remove(*field));
    }
    document["name"] = json!(name.to_string());
    document["canonicalName"] = json!(name.to_string());
    document["parent"] = json!(parent.to_string());
    document["parentDisplayName"] = source.get("displayName").cloned().unwrap_or_default();
    document["createTime"] = json!(call.at.to_string());
    document["mute"] = json!("UNDEFINED");
    document[MARKS] = marks_of(name);
    if document.get("state").is_none() {
        document["state"] = json!("ACTIVE");
    }
    check(&document)?;
    let resource = json!({"name": document.get("resourceName")});
    let created =
        service.store.create_finding(&name.source, &name.finding, document, resource, &call.by()).await;
    message(&created.map_err(|error| explain(error, &name.to_string()))?)
}

/// A finding's marks before there are any.
fn marks_of(name: &FindingName) -> Value {
    let name = format!("{name}/securityMarks");
    json!({"name": name, "canonicalName": name})
}

/// What each finding of a client has.
fn check(document: &Value) -> Result<(), Refusal> {
    for field in ["category", "resourceName"] {
        let text = document.get(field).and_then(Value::as_str).unwrap_or_default();
        if text.is_empty() || text.len() > TEXT_LIMIT {
            let field = format!("finding.{field}");
            return Err(Refusal::malformed(field, format!("must be 1 to {TEXT_LIMIT} bytes")));
        }
    }
    required("finding.event_time", document.get("eventTime")).map(|_| ())
}

/// `UpdateFinding`, which creates the finding where there is none.
pub(super) async fn update(
    service: &Service,
    call: &Call,
    request: v2::UpdateFindingRequest,
) -> Result<Finding, Refusal> {
    let finding = required("finding", request.finding)?;
    let name = FindingName::parse("finding.name", &finding.name)?;
    service.scopes.check(&name.scope)?;
    let given = json::from_message(&finding)?;
    let is_clients = |field: &str| !SET_BY_URVA.contains(&field) && field != MARKS;
    let paths = mask::read_for_change(&json::descriptor::<Finding>()?, request.update_mask, &[], is_clients)?;
    let change = |document: &mut Value| {
        overwrite(document, &given, &paths);
        check(document)?;
        // Two members of one group of which there may be one, such as `ipRules.allowed` and `ipRules.denied`.
        json::read::<Finding>(document).map(drop).map_err(|error| {
            Refusal::malformed(
                "update_mask",
                format!("the change makes something that is no finding: {error}"),
            )
        })
    };
    let changed =
        service.store.change_finding(&name.source, &name.finding, &call.by(), "UpdateFinding", change).await;
    match changed {
        Err(StoreError::NoSuchFinding { .. }) => {
            check_new_finding_id("finding.name", &name.finding)?;
            add(service, call, &name, given).await
        }
        changed => message(&changed.map_err(|error| explain(error, &finding.name))??),
    }
}

/// What the mask names; without a mask, all that a client may set.
fn overwrite(document: &mut Value, given: &Value, paths: &[Path]) {
    for path in paths {
        path.replace(given, document);
    }
    let (Some(members), Some(given), true) = (document.as_object_mut(), given.as_object(), paths.is_empty())
    else {
        return;
    };
    let is_kept = |field: &str| SET_BY_URVA.contains(&field) || field == MARKS;
    members.retain(|field, _| is_kept(field));
    let new = given.iter().filter(|(field, _)| !is_kept(field));
    members.extend(new.map(|(field, value)| (field.clone(), value.clone())));
}

/// `SetFindingState`.
pub(super) async fn set_state(
    service: &Service,
    call: &Call,
    request: v2::SetFindingStateRequest,
) -> Result<Finding, Refusal> {
    let state = match request.state() {
        State::Unspecified => return Err(Refusal::malformed("state", "must be ACTIVE or INACTIVE")),
        state => state.as_str_name(),
    };
    change(service, call, &request.name, "SetFindingState", |document| document["state"] = json!(state)).await
}

/// `SetMute`.
pub(super) async fn set_mute(
    service: &Service,
    call: &Call,
    request: v2::SetMuteRequest,
) -> Result<Finding, Refusal> {
    let wrong = || Refusal::malformed("mute", "must be MUTED, UNMUTED or UNDEFINED");
    let decision = Decision::parse(request.mute().as_str_name()).ok_or_else(wrong)?;
    change(service, call, &request.name, "SetMute", |document| decide(document, decision, &call.by())).await
}

/// Changes a finding of any source.
async fn change(
    service: &Service,
    call: &Call,
    name: &str,
    action: &str,
    change: impl FnOnce(&mut Value),
) -> Result<Finding, Refusal> {
    let parsed = FindingName::parse("name", name)?;
    service.scopes.check(&parsed.scope)?;
    let change = |document: &mut Value| -> Result<(), Refusal> {
        change(document);
        Ok(())
    };
    let changed =
        service.store.change_finding(&parsed.source, &parsed.finding, &call.by(), action, change).await;
    message(&changed.map_err(|error| explain(error, name))??)
}
