//! What other systems, such as a tracker, know of a finding.

use super::{Call, Service, explain, required};
use crate::json;
use crate::mask;
use crate::name::ExternalSystemName;
use crate::protocol::v2::{self, ExternalSystem};
use crate::refusal::Refusal;
use serde_json::{Value, json};

/// Systems of one finding.
const SYSTEMS_LIMIT: usize = 32;

/// `UpdateExternalSystem`, which adds the system where the finding has none of its name.
pub(super) async fn update(
    service: &Service,
    call: &Call,
    request: v2::UpdateExternalSystemRequest,
) -> Result<ExternalSystem, Refusal> {
    let given = required("external_system", request.external_system)?;
    let name = ExternalSystemName::parse("external_system.name", &given.name)?;
    service.scopes.check(&name.finding.scope)?;
    let descriptor = json::descriptor::<ExternalSystem>()?;
    let paths = mask::read_for_change(&descriptor, request.update_mask, &[], |_| true)?;
    let given = json::from_message(&given)?;
    let change = |document: &mut Value| {
        let known = document["externalSystems"].get(&name.system).cloned();
        let is_new = known.is_none();
        let mut system = match known {
            Some(known) if !paths.is_empty() => known,
            _ => json!({}),
        };
        match paths.is_empty() {
            true => system.clone_from(&given),
            false => paths.iter().for_each(|path| path.replace(&given, &mut system)),
        }
        system["name"] = json!(name.to_string());
        let count = document["externalSystems"].as_object().map_or(0, serde_json::Map::len);
        if is_new && count >= SYSTEMS_LIMIT {
            let description = format!("a finding has at most {SYSTEMS_LIMIT} external systems");
            return Err(Refusal::NotNow { description });
        }
        document["externalSystems"][&name.system] = system;
        Ok(())
    };
    let (finding, by) = (&name.finding, call.by());
    let changed =
        service.store.change_finding(&finding.source, &finding.finding, &by, "UpdateExternalSystem", change);
    let changed = changed.await.map_err(|error| explain(error, &finding.to_string()))??;
    json::to_message(&changed.document["externalSystems"][&name.system])
}
