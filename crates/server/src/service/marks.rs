//! Security marks of findings.

use super::{Call, Service, explain, required};
use crate::json;
use crate::name::FindingName;
use crate::protocol::v2::{self, SecurityMarks};
use crate::refusal::Refusal;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Marks of one finding.
const MARKS_LIMIT: usize = 500;
const KEY_LIMIT: usize = 128;
const VALUE_LIMIT: usize = 4096;

/// `UpdateSecurityMarks`. Without a mask, or with `marks`, all marks are replaced.
pub(super) async fn update(
    service: &Service,
    call: &Call,
    request: v2::UpdateSecurityMarksRequest,
) -> Result<SecurityMarks, Refusal> {
    let given = required("security_marks", request.security_marks)?;
    if given.name.contains("/assets/") {
        return Err(Refusal::NotFound { name: "an asset of this name".to_owned() });
    }
    let name = FindingName::parse_marks("security_marks.name", &given.name)?;
    service.scopes.check(&name.scope)?;
    let given_marks: BTreeMap<String, String> = given.marks.into_iter().collect();
    let change = Change::read(request.update_mask.unwrap_or_default().paths, given_marks)?;
    let apply = |document: &mut Value| {
        let known = document.pointer("/securityMarks/marks").cloned().unwrap_or_default();
        let known: BTreeMap<String, String> = serde_json::from_value(known).unwrap_or_default();
        let marks = change.apply(known);
        if marks.len() > MARKS_LIMIT {
            return Err(Refusal::NotNow {
                description: format!("a finding has at most {MARKS_LIMIT} marks"),
            });
        }
        document["securityMarks"]["marks"] = json!(marks);
        Ok(())
    };
    let changed = service
        .store
        .change_finding(&name.source, &name.finding, &call.by(), "UpdateSecurityMarks", apply)
        .await;
    let changed = changed.map_err(|error| explain(error, &name.to_string()))??;
    json::to_message(&changed.document["securityMarks"])
}

enum Change {
    All(BTreeMap<String, String>),
    /// A mark that the request does not give is removed.
    Some(BTreeMap<String, Option<String>>),
}

impl Change {
    fn read(paths: Vec<String>, mut given: BTreeMap<String, String>) -> Result<Self, Refusal> {
        for (key, value) in &given {
            check(key, value)?;
        }
        if paths.is_empty() || paths.iter().any(|path| path == "marks") {
            return Ok(Self::All(given));
        }
        let some = paths.into_iter().map(|path| {
            let key = path.strip_prefix("marks.").ok_or_else(|| {
                Refusal::malformed("update_mask", "a path is marks, or marks. and the key of a mark")
            })?;
            let value = given.remove(key);
            check(key, value.as_deref().unwrap_or_default())?;
            Ok((key.to_owned(), value))
        });
        some.collect::<Result<_, _>>().map(Self::Some)
    }

    fn apply(&self, mut known: BTreeMap<String, String>) -> BTreeMap<String, String> {
        match self {
            Self::All(marks) => return marks.clone(),
            Self::Some(some) => {
                for (key, value) in some {
                    match value {
                        Some(value) => known.insert(key.clone(), value.clone()),
                        None => known.remove(key),
                    };
                }
            }
        }
        known
    }
}

fn check(key: &str, value: &str) -> Result<(), Refusal> {
    let is_key = |key: &str| key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    if !(1..=KEY_LIMIT).contains(&key.len()) || !is_key(key) {
        let rule = format!("a key is 1 to {KEY_LIMIT} letters, digits, _ and -");
        return Err(Refusal::malformed("security_marks.marks", rule));
    }
    if value.len() > VALUE_LIMIT {
        return Err(Refusal::malformed(
            "security_marks.marks",
            format!("a value has at most {VALUE_LIMIT} bytes"),
        ));
    }
    Ok(())
}
