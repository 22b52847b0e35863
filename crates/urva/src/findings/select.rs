//! Which findings a command is about: what its options say, as one filter.

use crate::card;
use crate::cli::{CategoryName, Which};
use crate::config::Age;
use anyhow::{Context, Result, bail};
use evidence::{Category, Timestamp};
use store::filter::{Filter, quoted};

/// All that the options say, together.
pub(super) fn filter(which: &Which, now: Timestamp) -> Result<Filter> {
    let Which { filter, since, category, namespace, pod, container } = which;
    let given = filter.as_deref().unwrap_or_default();
    // Alone, so that a mistake is told by its place in what was typed.
    let parsed = Filter::parse(given).with_context(|| "--filter")?;
    let mut parts = Vec::new();
    if !parsed.is_empty() {
        parts.push(format!("({given})"));
    }
    if let Some(since) = since {
        parts.push(format!("event_time >= {}", quoted(&time(since, now)?.to_string())));
    }
    if let Some(category) = category {
        parts.push(format!("category = {}", quoted(name(*category))));
    }
    if let Some(namespace) = namespace {
        parts.push(format!("source_properties.Pod_Namespace = {}", quoted(namespace)));
    }
    if let Some(pod) = pod {
        parts.push(format!("source_properties.Pod_Name = {}", quoted(pod)));
    }
    if let Some(container) = container {
        let of = |property: &str| format!("source_properties.Container_{property} = {}", quoted(container));
        parts.push(format!("({} OR {} OR {})", of("Name"), of("Id"), of("Id_Short")));
    }
    Filter::parse(&parts.join(" AND ")).context("what the options say together")
}

fn name(category: CategoryName) -> &'static str {
    Category::from(category).display_name()
}

/// A point in time, or the one that lies so long before `now`.
fn time(text: &str, now: Timestamp) -> Result<Timestamp> {
    if let Some(age) = Age::parse(text) {
        return Ok(now.minus(age.duration()));
    }
    match Timestamp::parse(text) {
        Some(time) => Ok(time),
        None => bail!(
            "--since {text:?} is neither a duration nor a time: give 90m, 12h or 7d, or a time such as {}",
            card::seconds(now)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_duration_or_a_point() {
        let now = Timestamp::from_seconds(1_000_000);
        assert_eq!(time("1h", now).unwrap(), Timestamp::from_seconds(996_400));
        assert_eq!(time("30d", now).unwrap(), Timestamp(0), "before the epoch is the epoch");
        assert_eq!(time("1970-01-02T00:00:00Z", now).unwrap(), Timestamp::from_seconds(86_400));
        for text in ["", "yesterday", "-1h", "10"] {
            assert!(time(text, now).is_err(), "{text}");
        }
    }

    #[test]
    fn options_and_a_filter_hold_together() {
        // OR binds tighter than AND.
        let which = Which {
            filter: Some("state = \"ACTIVE\" OR severity = \"HIGH\"".to_owned()),
            namespace: Some("a\" OR \"b".to_owned()),
            ..Which::default()
        };
        let filter = filter(&which, Timestamp(0)).unwrap().to_string();
        assert_eq!(
            filter,
            r#"state = "ACTIVE" OR severity = "HIGH" AND source_properties.Pod_Namespace = "a\" OR \"b""#
        );
    }

    #[test]
    fn a_mistake_is_told_by_its_place_in_what_was_typed() {
        let which = Which { filter: Some("colour = \"red\"".to_owned()), ..Which::default() };
        let error = format!("{:#}", filter(&which, Timestamp(0)).unwrap_err());
        assert!(
            error.contains("--filter") && error.contains("colour") && error.contains("character 1"),
            "{error}"
        );
    }
}
