//! Field masks: which fields a caller wants to see, or to change. Paths are those of filters, found in the same table.

use super::error::{Fault, FilterError, Problem};
use super::fields::{RESOURCE, Type, message};
use super::path::{Base, Path, Step};
use super::syntax::read_field;
use serde_json::{Map, Value};

/// The most paths of one mask.
const PATH_LIMIT: usize = 200;

/// What `ListFindingsResult` calls the finding; a mask may name it in front of a field.
const RESULT: &str = "finding";

/// What a mask is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Masked {
    /// A finding, with its resource as the member `resource`.
    Finding,
    /// The security marks of a finding: `marks`, `marks.team`.
    SecurityMarks,
    /// One external system of a finding.
    ExternalSystem,
}

/// Fields of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mask {
    /// Empty where the mask means everything.
    paths: Vec<Named>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Named {
    /// All of a finding, without its resource.
    Finding,
    Field(Path),
}

impl Masked {
    fn base(self) -> Base {
        match self {
            Self::Finding => Base::Finding,
            Self::SecurityMarks => Base::Element(Type::Message(message("SecurityMarks"))),
            Self::ExternalSystem => Base::Element(Type::Message(message("ExternalSystem"))),
        }
    }
}

impl Mask {
    /// Finds the fields. No path, or the path `*`, means everything. A path of a finding may begin with `finding.`.
    ///
    /// # Errors
    /// As for filters; places are those within the path that is wrong. More than 200 paths are refused.
    pub fn parse<T: AsRef<str>>(of: Masked, paths: &[T]) -> Result<Self, FilterError> {
        if let Some(path) = paths.get(PATH_LIMIT) {
            return Err(FilterError::new(path.as_ref(), 0, Problem::ManyFields { limit: PATH_LIMIT }));
        }
        let named: Result<Vec<Option<Named>>, FilterError> = paths
            .iter()
            .map(|path| named(of, path.as_ref()).map_err(|fault: Fault| fault.within(path.as_ref())))
            .collect();
        let all: Option<Vec<Named>> = named?.into_iter().collect();
        Ok(Self { paths: all.unwrap_or_default() })
    }

    /// Whether it means everything.
    pub fn is_everything(&self) -> bool {
        self.paths.is_empty()
    }

    /// The fields, as filters name them; none where the mask means everything.
    pub fn fields(&self) -> impl Iterator<Item = String> {
        self.paths.iter().map(|named| match named {
            Named::Finding => RESULT.to_owned(),
            Named::Field(path) => path.to_string(),
        })
    }

    /// A document with nothing in it but these fields. Of a list, the fields of each element.
    pub fn keep(&self, document: &Value) -> Value {
        if self.is_everything() {
            return document.clone();
        }
        let mut kept = Value::Object(Map::new());
        for named in &self.paths {
            match (named, document, &mut kept) {
                (Named::Field(path), ..) => copy(&path.steps, document, &mut kept),
                (Named::Finding, Value::Object(members), Value::Object(kept)) => {
                    let own = members.iter().filter(|(name, _)| *name != RESOURCE);
                    kept.extend(own.map(|(name, value)| (name.clone(), value.clone())));
                }
                (Named::Finding, ..) => {}
            }
        }
        kept
    }

    /// Sets these fields of a document to what they are in the other one, and removes those that are absent there. A list is
    /// replaced as a whole, also where the path names fields of its elements.
    pub fn put(&self, from: &Value, into: &mut Value) {
        if self.is_everything() {
            *into = from.clone();
            return;
        }
        for named in &self.paths {
            match (named, from.as_object(), into.as_object_mut()) {
                (Named::Field(path), ..) => put(&path.steps, Some(from), into),
                (Named::Finding, Some(from), Some(into)) => {
                    into.retain(|name, _| name == RESOURCE);
                    let own = from.iter().filter(|(name, _)| *name != RESOURCE);
                    into.extend(own.map(|(name, value)| (name.clone(), value.clone())));
                }
                (Named::Finding, ..) => {}
            }
        }
    }
}

/// What a path means; nothing where it means everything.
fn named(of: Masked, path: &str) -> Result<Option<Named>, Fault> {
    let trimmed = path.trim_ascii();
    if trimmed == "*" {
        return Ok(None);
    }
    let rest = match (of, trimmed.strip_prefix(RESULT)) {
        (Masked::Finding, Some("")) => return Ok(Some(Named::Finding)),
        (Masked::Finding, Some(rest)) if rest.starts_with('.') => rest.get(1..).unwrap_or_default(),
        _ => trimmed,
    };
    let at = rest.as_ptr().addr() - path.as_ptr().addr();
    Path::find(of.base(), &read_field(rest, at)?).map(|path| Some(Named::Field(path)))
}

/// The name of the member that a step means, as this group spells it.
fn member(step: &Step, members: &Map<String, Value>) -> String {
    match step {
        Step::Field(field) => field.json.to_owned(),
        Step::Member(name) => name.clone(),
        Step::Key { name, folded: false } => name.clone(),
        Step::Key { name, folded: true } => {
            members.keys().find(|key| key.eq_ignore_ascii_case(name)).unwrap_or(name).clone()
        }
    }
}

fn copy(steps: &[Step], from: &Value, into: &mut Value) {
    let Some((step, rest)) = steps.split_first() else {
        *into = from.clone();
        return;
    };
    // A value of any type that is no group has no member.
    let (Value::Object(from), Value::Object(into)) = (from, into) else { return };
    let name = member(step, from);
    let Some(child) = from.get(&name) else { return };
    let empty = match child {
        Value::Array(elements) => elements.iter().map(|_| Value::Object(Map::new())).collect(),
        _ => Value::Object(Map::new()),
    };
    let kept = into.entry(name).or_insert(empty);
    match (child, kept) {
        (Value::Array(elements), Value::Array(kept)) if !rest.is_empty() => {
            elements.iter().zip(kept).for_each(|(element, kept)| copy(rest, element, kept));
        }
        (child, kept) => copy(rest, child, kept),
    }
}

fn put(steps: &[Step], from: Option<&Value>, into: &mut Value) {
    let Some((step, rest)) = steps.split_first() else { return };
    let nothing = Map::new();
    let from = from.and_then(Value::as_object).unwrap_or(&nothing);
    let Value::Object(into) = into else { return };
    let (child, name) = (from.get(&member(step, from)), member(step, into));
    let is_list = child.is_some_and(Value::is_array) || into.get(&name).is_some_and(Value::is_array);
    match child {
        None if rest.is_empty() || is_list => {
            into.remove(&name);
        }
        Some(child) if rest.is_empty() || is_list || !child.is_object() => {
            into.remove(&name);
            into.insert(member(step, from), child.clone());
        }
        child => {
            if let Some(inner) = into.get_mut(&name) {
                put(rest, child, inner);
            } else if child.is_some() {
                let mut inner = Value::Object(Map::new());
                put(rest, child, &mut inner);
                into.insert(name, inner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn mask(paths: &[&str]) -> Mask {
        Mask::parse(Masked::Finding, paths).unwrap()
    }

    fn sample() -> Value {
        json!({
            "category": "c", "severity": "HIGH",
            "processes": [{"name": "a", "pid": "1"}, {"pid": "2"}],
            "sourceProperties": {"x": 1, "y": {"z": [{"w": 2}]}},
            "securityMarks": {"marks": {"Team": "blue", "other": "x"}},
            "resource": {"name": "r", "gcpMetadata": {"project": "p"}},
        })
    }

    fn keeps(paths: &[&str], expected: &Value) {
        assert_eq!(&mask(paths).keep(&sample()), expected, "{paths:?}");
    }

    #[test]
    fn a_mask_keeps_what_it_names() {
        keeps(&["category", "finding.severity"], &json!({"category": "c", "severity": "HIGH"}));
        keeps(&["processes.name"], &json!({"processes": [{"name": "a"}, {}]}));
        keeps(
            &["sourceProperties.x", "source_properties.y.z.w"],
            &json!({"sourceProperties": {"x": 1, "y": {"z": [{"w": 2}]}}}),
        );
        keeps(&["security_marks.marks.TEAM"], &json!({"securityMarks": {"marks": {"Team": "blue"}}}));
        keeps(&["resource.project_name"], &json!({"resource": {"gcpMetadata": {"project": "p"}}}));
        keeps(&["description"], &json!({}));
        let mut finding = sample();
        finding.as_object_mut().unwrap().remove("resource");
        keeps(&["finding"], &finding);
        keeps(&[], &sample());
        keeps(&["category", "*"], &sample());
    }

    fn puts(paths: &[&str], from: &Value, changed: &[(&str, Value)]) {
        let (mut document, mut expected) = (sample(), sample());
        mask(paths).put(from, &mut document);
        for (pointer, value) in changed {
            *expected.pointer_mut(pointer).unwrap() = value.clone();
        }
        assert_eq!(document, expected, "{paths:?}");
    }

    #[test]
    fn a_mask_changes_what_it_names_and_nothing_else() {
        let from = json!({"severity": "LOW", "category": "d", "sourceProperties": {"x": 2, "n": 3}, "processes": [{"name": "z"}]});
        puts(&["severity"], &from, &[("/severity", json!("LOW"))]);
        puts(&["source_properties.x"], &from, &[("/sourceProperties/x", json!(2))]);
        puts(
            &["source_properties.n", "source_properties.y"],
            &from,
            &[("/sourceProperties", json!({"x": 1, "n": 3}))],
        );
        puts(&["source_properties.y.z"], &from, &[("/sourceProperties/y", json!({}))]);
        puts(&["processes"], &from, &[("/processes", json!([{"name": "z"}]))]);
        puts(&["resource.gcp_metadata.project"], &from, &[("/resource/gcpMetadata", json!({}))]);
        let marks = json!({"securityMarks": {"marks": {"TEAM": "red"}}});
        puts(
            &["security_marks.marks.team"],
            &marks,
            &[("/securityMarks/marks", json!({"TEAM": "red", "other": "x"}))],
        );
        puts(&["access.caller_ip"], &from, &[]);
    }

    #[test]
    fn marks_and_external_systems_have_masks_of_their_own() {
        let marks = Mask::parse(Masked::SecurityMarks, &["marks.team"]).unwrap();
        assert_eq!(marks.keep(&json!({"marks": {"team": "a", "b": "c"}})), json!({"marks": {"team": "a"}}));
        assert!(Mask::parse(Masked::ExternalSystem, &["external_uid", "status"]).is_ok());
        assert!(Mask::parse(Masked::ExternalSystem, &["category"]).is_err());
    }

    fn refuses(path: &str, expected: &str) {
        assert_eq!(Mask::parse(Masked::Finding, &["state", path]).unwrap_err().to_string(), expected);
    }

    #[test]
    fn an_unknown_path_is_named_with_what_is_like_it() {
        refuses(
            "finding.catgory",
            "`catgory` is not a field of a finding; did you mean `category`? (at character 9)",
        );
        refuses("category.x", "`category` is a text and has no part `x` (at character 10)");
        refuses("", "expected a field, found the end (at character 1)");
        refuses("category,state", "expected a dot or the end of the field, found `,` (at character 9)");
        let many = vec!["state"; 201];
        let error = Mask::parse(Masked::Finding, &many).unwrap_err();
        assert_eq!(error.to_string(), "there are more than 200 fields: leave some out (at character 1)");
    }
}
