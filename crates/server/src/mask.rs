//! Field masks: which fields of a message are wanted, or are to be changed.
//!
//! Owns: reading the paths against the protocol, and carrying them out on JSON.
//! Refuses: paths that the message has no field for, by name.

use crate::refusal::Refusal;
use prost_reflect::{Kind, MessageDescriptor};
use serde_json::{Map, Value};

/// Paths of a mask at the most.
const PATHS_LIMIT: usize = 256;

/// A path that was read: the members of JSON from the message down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Path {
    members: Vec<String>,
    /// Whether it goes on behind a list, and so means something in each of its elements.
    is_in_list: bool,
}

impl Path {
    /// Reads a path in either spelling. Below a map comes one key, below `google.protobuf.Struct` nothing.
    pub(crate) fn parse(descriptor: &MessageDescriptor, path: &str) -> Option<Self> {
        let mut message = Some(descriptor.clone());
        let mut members = Vec::new();
        let mut is_in_list = false;
        let mut rest = Some(path);
        while let Some(text) = rest {
            let (head, tail) = text.split_once('.').map_or((text, None), |(head, tail)| (head, Some(tail)));
            let within = message?;
            let field = within.get_field_by_name(head).or_else(|| within.get_field_by_json_name(head))?;
            members.push(field.json_name().to_owned());
            is_in_list |= field.is_list() && tail.is_some();
            rest = tail;
            message = match field.kind() {
                Kind::Message(_) if field.is_map() => {
                    // All that follows is the key, which may hold dots itself.
                    if let Some(key) = tail {
                        members.push(unquote(key).to_owned());
                    }
                    rest = None;
                    None
                }
                Kind::Message(inner) if inner.parent_file().package_name() != "google.protobuf" => {
                    Some(inner)
                }
                _ => None,
            };
        }
        Some(Self { members, is_in_list })
    }

    /// The first member, which names the field of the message.
    pub(crate) fn field(&self) -> &str {
        self.members.first().map_or("", String::as_str)
    }

    /// The path as it is written in JSON.
    pub(crate) fn to_json(&self) -> String {
        self.members.join(".")
    }

    fn copy(&self, from: &Value, to: &mut Value) {
        copy(&self.members, from, to);
    }

    /// Puts what `from` has at the path in the place of what `to` has there; where `from` has nothing, `to` loses it.
    pub(crate) fn replace(&self, from: &Value, to: &mut Value) {
        let new = self.members.iter().try_fold(from, |value, member| value.get(member));
        replace(&self.members, new, to);
    }
}

fn unquote(key: &str) -> &str {
    let inner = key.strip_prefix(['"', '`']).and_then(|key| key.strip_suffix(['"', '`']));
    inner.unwrap_or(key)
}

/// Copies what lies at a path, in each element of a list that lies on the way.
fn copy(path: &[String], from: &Value, to: &mut Value) {
    let Some((head, rest)) = path.split_first() else {
        to.clone_from(from);
        return;
    };
    match from {
        Value::Object(members) => {
            let Some(value) = members.get(head) else { return };
            if !to.is_object() {
                *to = Value::Object(Map::new());
            }
            if let Some(target) = to.as_object_mut() {
                copy(rest, value, target.entry(head.as_str()).or_insert(Value::Null));
            }
        }
        Value::Array(items) => {
            if !to.is_array() {
                *to = Value::Array(vec![Value::Object(Map::new()); items.len()]);
            }
            for (item, target) in items.iter().zip(to.as_array_mut().into_iter().flatten()) {
                copy(path, item, target);
            }
        }
        _ => {}
    }
}

fn replace(path: &[String], new: Option<&Value>, to: &mut Value) {
    let Some((head, rest)) = path.split_first() else { return };
    if !to.is_object() {
        *to = Value::Object(Map::new());
    }
    let Some(members) = to.as_object_mut() else { return };
    match (rest.is_empty(), new) {
        (true, Some(new)) => {
            members.insert(head.clone(), new.clone());
        }
        (true, None) => {
            members.remove(head);
        }
        (false, None) if !members.contains_key(head) => {}
        (false, new) => replace(rest, new, members.entry(head.as_str()).or_insert(Value::Null)),
    }
}

/// Reads the paths of a mask that stands in `field`.
pub(crate) fn read(
    descriptor: &MessageDescriptor,
    field: &str,
    mask: &prost_types::FieldMask,
) -> Result<Vec<Path>, Refusal> {
    if mask.paths.len() > PATHS_LIMIT {
        return Err(Refusal::malformed(field, format!("a mask has at most {PATHS_LIMIT} paths")));
    }
    let read = |path: &String| {
        let unknown = || {
            let shown: String = path.chars().take(64).collect();
            Refusal::malformed(field, format!("{} has no field {shown:?}", descriptor.name()))
        };
        Path::parse(descriptor, path).ok_or_else(unknown)
    };
    mask.paths.iter().map(read).collect()
}

/// The same of a mask that says what is to be changed, which says it of whole lists only. Without a mask, `usual` is meant. What is not
/// among `changeable`, by the fields' names in JSON, is refused.
pub(crate) fn read_for_change(
    descriptor: &MessageDescriptor,
    mask: Option<prost_types::FieldMask>,
    usual: &[&str],
    is_changeable: impl Fn(&str) -> bool,
) -> Result<Vec<Path>, Refusal> {
    const FIELD: &str = "update_mask";
    let mut mask = mask.unwrap_or_default();
    if mask.paths.is_empty() {
        mask.paths = usual.iter().map(|path| (*path).to_owned()).collect();
    }
    let paths = read(descriptor, FIELD, &mask)?;
    if let Some(path) = paths.iter().find(|path| !is_changeable(path.field())) {
        return Err(Refusal::malformed(FIELD, format!("{} is not changed by this method", path.to_json())));
    }
    if let Some(path) = paths.iter().find(|path| path.is_in_list) {
        let (path, list) = (path.to_json(), path.field());
        let description = format!("{path} lies in a list, which is changed as a whole: say {list}");
        return Err(Refusal::malformed(FIELD, description));
    }
    Ok(paths)
}

/// What of a message lies at the paths.
pub(crate) fn keep(message: &Value, paths: &[Path]) -> Value {
    let mut kept = Value::Object(Map::new());
    for path in paths {
        path.copy(message, &mut kept);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::descriptor;
    use crate::protocol::v2;
    use serde_json::json;

    fn paths(paths: &[&str]) -> Vec<Path> {
        let mask = prost_types::FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() };
        read(&descriptor::<v2::Finding>().expect("a descriptor"), "mask", &mask).expect("paths")
    }

    fn finding() -> Value {
        json!({
            "category": "x", "state": "ACTIVE",
            "processes": [{"name": "sh", "script": {"sha256": "aa", "size": "3"}}, {"name": "ls"}],
            "sourceProperties": {"Pod_Name": "web", "a.b": 1},
        })
    }

    #[test]
    fn what_lies_at_the_paths_is_kept() {
        let kept = keep(
            &finding(),
            &paths(&["category", "processes.script.sha256", "source_properties.a.b", "severity"]),
        );
        let expected = json!({
            "category": "x",
            "processes": [{"script": {"sha256": "aa"}}, {}],
            "sourceProperties": {"a.b": 1},
        });
        assert_eq!(kept, expected);
        assert_eq!(keep(&finding(), &paths(&["processes"])), json!({"processes": finding()["processes"]}));
    }

    #[test]
    fn a_field_is_replaced_or_removed_at_its_path() {
        let mut changed = finding();
        let from = json!({"state": "INACTIVE", "sourceProperties": {"Pod_Name": "db"}, "description": "d"});
        for path in paths(&[
            "state",
            "sourceProperties.Pod_Name",
            "sourceProperties.`a.b`",
            "category",
            "description",
            "access.callerIp",
        ]) {
            path.replace(&from, &mut changed);
        }
        let expected = json!({
            "state": "INACTIVE", "description": "d", "processes": finding()["processes"], "sourceProperties": {"Pod_Name": "db"},
        });
        assert_eq!(changed, expected);
    }

    #[test]
    fn a_key_of_a_map_stays_as_somebody_chose_it() {
        for path in ["contacts.SECURITY", "contacts.security_x"] {
            let key = path.strip_prefix("contacts.").expect("a key");
            let kept = keep(&json!({"contacts": {key: {}, "else": {}}}), &paths(&[path]));
            assert_eq!(kept, json!({"contacts": {key: {}}}));
        }
    }

    #[test]
    fn a_path_that_has_no_field_is_refused_by_name() {
        let descriptor = descriptor::<v2::Finding>().expect("a descriptor");
        for path in ["", ".", "colour", "state.x", "processes.colour", "event_time.seconds", "category.", "*"]
        {
            assert_eq!(Path::parse(&descriptor, path), None, "{path}");
        }
        let mask = prost_types::FieldMask { paths: vec!["colour".to_owned()] };
        let refusal = read(&descriptor, "updateMask", &mask).expect_err("no such field");
        assert_eq!(refusal.to_string(), "updateMask: Finding has no field \"colour\"");
    }
}
