//! Sources: whose findings these are. One of them is urva's own.

use super::{Call, Service, explain, page, required};
use crate::json;
use crate::mask;
use crate::name::{Scope, ScopeName, SourceName};
use crate::protocol::v2::{self, Source};
use crate::refusal::Refusal;
use serde_json::{Value, json};
use store::{Kind, Setting, StoreError};

const CHANGEABLE: [&str; 2] = ["displayName", "description"];
const NAME_LIMIT: usize = 64;
const DESCRIPTION_LIMIT: usize = 1024;

/// `CreateSource`.
pub(super) async fn create(
    service: &Service,
    call: &Call,
    request: v2::CreateSourceRequest,
) -> Result<Source, Refusal> {
    let parent = ScopeName::parse("parent", &request.parent)?;
    service.scopes.check(&parent.scope)?;
    let source = required("source", request.source)?;
    let document = json!({"displayName": source.display_name, "description": source.description});
    check(&document)?;
    // As Google's, an id is a number that nobody chooses. Two sources of one nanosecond are two tries.
    for number in call.at.0.. {
        let id = number.to_string();
        let created = service.store.create_setting(Kind::Source, &id, document.clone(), &call.by()).await;
        match created {
            Err(StoreError::AlreadyThere { .. }) => {}
            created => {
                let document = created.map_err(|error| explain(error, &request.parent))?;
                return message(&parent.scope, &Setting { id, document });
            }
        }
    }
    Err(Refusal::Internal)
}

/// `GetSource`.
pub(super) async fn get(
    service: &Service,
    _: &Call,
    request: v2::GetSourceRequest,
) -> Result<Source, Refusal> {
    let (scope, id) = one(service, "name", &request.name)?;
    let document = service.store.setting(Kind::Source, &id).await;
    message(&scope, &Setting { id, document: document.map_err(|error| explain(error, &request.name))? })
}

/// `ListSources`.
pub(super) async fn list(
    service: &Service,
    _: &Call,
    request: v2::ListSourcesRequest,
) -> Result<v2::ListSourcesResponse, Refusal> {
    let parent = ScopeName::parse("parent", &request.parent)?;
    service.scopes.check(&parent.scope)?;
    let read = |setting: &Setting| read(&parent.scope, setting);
    let (sources, next_page_token) =
        page::of(service, Kind::Source, request.page_size, &request.page_token, read).await?;
    Ok(v2::ListSourcesResponse { sources, next_page_token })
}

/// `UpdateSource`.
pub(super) async fn update(
    service: &Service,
    call: &Call,
    request: v2::UpdateSourceRequest,
) -> Result<Source, Refusal> {
    let source = required("source", request.source)?;
    let (scope, id) = one(service, "source.name", &source.name)?;
    let given = json::from_message(&source)?;
    let paths =
        mask::read_for_change(&json::descriptor::<Source>()?, request.update_mask, &CHANGEABLE, |field| {
            CHANGEABLE.contains(&field)
        })?;
    let change = |document: &mut Value| {
        paths.iter().for_each(|path| path.replace(&given, document));
        check(document)
    };
    let changed = service.store.change_setting(Kind::Source, &id, &call.by(), "UpdateSource", change).await;
    let document = changed.map_err(|error| explain(error, &source.name))??;
    message(&scope, &Setting { id, document })
}

fn one(service: &Service, field: &str, name: &str) -> Result<(Scope, String), Refusal> {
    let name = SourceName::parse(field, name)?;
    service.scopes.check(&name.scope)?;
    let source = name.source.ok_or_else(|| Refusal::malformed(field, "must name one source, not all"))?;
    Ok((name.scope, source))
}

fn check(document: &Value) -> Result<(), Refusal> {
    let length =
        |field: &str| document.get(field).and_then(Value::as_str).map_or(0, |text| text.chars().count());
    if !(1..=NAME_LIMIT).contains(&length("displayName")) {
        return Err(Refusal::malformed(
            "source.display_name",
            format!("must be 1 to {NAME_LIMIT} characters"),
        ));
    }
    if length("description") > DESCRIPTION_LIMIT {
        let rule = format!("must be at most {DESCRIPTION_LIMIT} characters");
        return Err(Refusal::malformed("source.description", rule));
    }
    Ok(())
}

fn message(scope: &Scope, setting: &Setting) -> Result<Source, Refusal> {
    read(scope, setting).map_err(|error| {
        tracing::error!("the source {} cannot be read: {error}", setting.id);
        Refusal::Internal
    })
}

/// The source under the scope that it was asked for.
fn read(scope: &Scope, setting: &Setting) -> Result<Source, String> {
    let mut source: Source = json::read(&setting.document)?;
    source.name = format!("{scope}/sources/{}", setting.id);
    source.canonical_name.clone_from(&source.name);
    Ok(source)
}
