//! Cuts a finding until its message fits: an argument of a mebibyte shall not keep an alert from arriving.

use serde_json::{Value as Json, json};
use store::Delivery;

/// Bytes of a text and members of a list that stay, from try to try.
const STEPS: [(usize, usize); 5] = [(16 << 10, 256), (2048, 64), (512, 16), (128, 4), (64, 1)];

/// Fields by which somebody finds the finding, whatever else had to go.
const KEPT: [&str; 12] = [
    "name",
    "canonicalName",
    "parent",
    "resourceName",
    "state",
    "category",
    "eventTime",
    "createTime",
    "severity",
    "mute",
    "findingClass",
    "parentDisplayName",
];

/// Renders a delivery in at most `limit` bytes, with less and less of it until it fits. A finding that was cut has the source property
/// `Message_Cut`.
pub(crate) fn fit(delivery: &Delivery, limit: usize, render: impl Fn(&Delivery) -> Vec<u8>) -> Vec<u8> {
    let message = render(delivery);
    if message.len() <= limit {
        return message;
    }
    for (text, members) in STEPS {
        let mut smaller = delivery.clone();
        cut(&mut smaller.finding, text, members);
        cut(&mut smaller.resource, text, members);
        mark(&mut smaller.finding);
        let message = render(&smaller);
        if message.len() <= limit {
            return message;
        }
    }
    let mut least = delivery.clone();
    least.finding = Json::Object(
        KEPT.iter()
            .filter_map(|name| Some(((*name).to_owned(), delivery.finding.get(*name)?.clone())))
            .collect(),
    );
    cut(&mut least.finding, 512, 1);
    cut(&mut least.resource, 64, 1);
    mark(&mut least.finding);
    render(&least)
}

fn mark(finding: &mut Json) {
    let Some(members) = finding.as_object_mut() else { return };
    let properties = members.entry("sourceProperties").or_insert_with(|| json!({}));
    if let Some(properties) = properties.as_object_mut() {
        properties.insert("Message_Cut".to_owned(), Json::Bool(true));
    }
}

fn cut(value: &mut Json, text: usize, members: usize) {
    match value {
        Json::String(string) if string.len() > text => {
            string.truncate(string.floor_char_boundary(text));
            string.push('…');
        }
        Json::Array(items) => {
            items.truncate(members);
            items.iter_mut().for_each(|item| cut(item, text, members));
        }
        Json::Object(fields) => {
            // Names of the finding and its resource are short, or were made up.
            fields.iter_mut().for_each(|(name, field)| {
                let text = if KEPT.contains(&name.as_str()) { text.max(512) } else { text };
                cut(field, text, members);
            });
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use evidence::Timestamp;

    fn rendered(delivery: &Delivery) -> Vec<u8> {
        delivery.finding.to_string().into_bytes()
    }

    #[test]
    fn what_fits_is_not_touched() {
        let delivery = sample("test", Timestamp(0));
        assert_eq!(fit(&delivery, 1 << 20, rendered), rendered(&delivery));
    }

    #[test]
    fn what_is_too_long_is_cut_marked_and_keeps_its_name() {
        let mut delivery = sample("test", Timestamp(0));
        delivery.finding["processes"][0]["args"] = json!(vec!["ä".repeat(1 << 16); 32]);
        for limit in [256 << 10, 8 << 10, 2048, 1024] {
            let message = fit(&delivery, limit, rendered);
            assert!(message.len() <= limit, "{} of {limit}", message.len());
            let cut: Json = serde_json::from_slice(&message).expect("JSON");
            assert_eq!(cut["name"], delivery.finding["name"]);
            assert_eq!(cut["sourceProperties"]["Message_Cut"], true);
        }
    }
}
