//! A finding as the protocol's JSON: rendered of what urva saw, or given by a client, and what of it stands in columns.

use crate::outbox::Subscription;
use evidence::scc::{self, Limits, Place};
use evidence::{Finding, Timestamp};
use serde_json::{Map, Number, Value};

/// Fields that people set. They outlive each rendering of one of urva's own findings, and alone may be changed in it.
pub(crate) const PEOPLES_FIELDS: [&str; 8] = [
    "state",
    "mute",
    "muteInitiator",
    "muteUpdateTime",
    "muteInfo",
    "securityMarks",
    "externalSystems",
    "contacts",
];

/// Bytes of one column. An index of PostgreSQL takes no row of more than 2,704.
pub(crate) const COLUMN_LIMIT: usize = 1024;

/// Bytes of a document in JSON that somebody other than urva has written to.
pub(crate) const DOCUMENT_LIMIT: usize = 512 * 1024;

/// What findings are rendered with besides what was seen.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Site {
    /// Where they are recorded, for the names in them.
    pub place: Place,
    /// How much of a container's text a document carries.
    pub limits: Limits,
    /// Outputs that are to hear of findings.
    pub subscriptions: Vec<Subscription>,
}

/// One of urva's own findings with its resource, without the contents of the script.
pub(crate) fn render(finding: &Finding, site: &Site) -> Result<(Value, Value), sqlx::Error> {
    let result = scc::result(finding, &site.place, site.limits);
    let encode = |error: serde_json::Error| sqlx::Error::Encode(error.into());
    let mut document = serde_json::to_value(&result.finding).map_err(encode)?;
    for process in document.get_mut("processes").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(script) = process.get_mut("script").and_then(Value::as_object_mut) {
            script.remove("contents");
        }
    }
    Ok((normal(document), normal(serde_json::to_value(&result.resource).map_err(encode)?)))
}

/// Takes what people set from the older document into the newer one.
pub(crate) fn keep_peoples_fields(older: &Value, newer: &mut Value) {
    let (Some(older), Some(newer)) = (older.as_object(), newer.as_object_mut()) else { return };
    for field in PEOPLES_FIELDS {
        match older.get(field) {
            Some(value) => newer.insert(field.to_owned(), value.clone()),
            None => newer.remove(field),
        };
    }
}

/// The one form of a document, in which both databases give it back: without null characters, which PostgreSQL's JSON cannot
/// hold, and whole numbers without a fraction, which it forgets.
pub(crate) fn normal(value: Value) -> Value {
    match value {
        Value::String(text) if text.contains('\0') => Value::String(text.replace('\0', "\u{fffd}")),
        Value::Number(number) => Value::Number(whole(number)),
        Value::Array(items) => items.into_iter().map(normal).collect(),
        Value::Object(members) => Value::Object(
            members
                .into_iter()
                .map(|(name, value)| (name.replace('\0', "\u{fffd}"), normal(value)))
                .collect::<Map<_, _>>(),
        ),
        other => other,
    }
}

#[allow(clippy::cast_possible_truncation, reason = "the bound keeps the number within what i64 holds")]
fn whole(number: Number) -> Number {
    /// Below 2⁶³ each whole `f64` is an `i64`.
    const BOUND: f64 = 9_223_372_036_854_775_000.0;
    match number.as_f64() {
        Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < BOUND => {
            Number::from(float as i64)
        }
        _ => number,
    }
}

/// What of a document stands in columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Columns {
    pub(crate) category: String,
    pub(crate) state: String,
    pub(crate) severity: String,
    pub(crate) mute: String,
    pub(crate) create_time: Timestamp,
    pub(crate) event_time: Timestamp,
    pub(crate) container_name: Option<String>,
    pub(crate) image: Option<String>,
    pub(crate) namespace: Option<String>,
    pub(crate) pod: Option<String>,
}

impl Columns {
    /// A field that is absent has the protocol's default.
    pub(crate) fn of(document: &Value) -> Self {
        let text = |name: &str, default: &str| {
            document.get(name).and_then(Value::as_str).unwrap_or(default).to_owned()
        };
        let time = |name: &str| {
            let text = document.get(name).and_then(Value::as_str).unwrap_or_default();
            // What is no time of this kind is before 1970 or after 2554.
            Timestamp::parse(text).unwrap_or(if text > "2262" { Timestamp(u64::MAX) } else { Timestamp(0) })
        };
        let property = |name: &str| match document.get("sourceProperties").and_then(|all| all.get(name)) {
            Some(Value::String(text)) if text.len() <= COLUMN_LIMIT => Some(text.clone()),
            // What has more than one value, or too long a one, is looked for in the document.
            Some(Value::String(_) | Value::Array(_) | Value::Object(_)) => None,
            _ => Some(String::new()),
        };
        Self {
            category: text("category", ""),
            state: text("state", "STATE_UNSPECIFIED"),
            severity: text("severity", "SEVERITY_UNSPECIFIED"),
            mute: text("mute", "MUTE_UNSPECIFIED"),
            create_time: time("createTime"),
            event_time: time("eventTime"),
            container_name: property("Container_Name"),
            image: property("Container_Image_Uri"),
            namespace: property("Pod_Namespace"),
            pod: property("Pod_Name"),
        }
    }
}
