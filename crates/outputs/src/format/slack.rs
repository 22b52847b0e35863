//! A message for an incoming webhook of Slack, and of what understands the same (Mattermost, Rocket.Chat, Discord's `/slack`).
//!
//! What a container wrote stands in `plain_text`, where Slack reads no markup; in `text`, which the others read, nothing of it calls
//! somebody or becomes a link to something else than it says.

use crate::facts::Facts;
use evidence::text::escape;
use serde_json::{Value as Json, json};
use store::{Delivery, Event};

/// Characters of a heading and of a field, which Slack limits to 150 and 2,000.
const HEADING_LIMIT: usize = 140;
const FIELD_LIMIT: usize = 500;

/// The body of the request.
pub fn slack(delivery: &Delivery) -> Vec<u8> {
    let facts = Facts { delivery };
    let happened = match (delivery.event, facts.text("/state")) {
        (Event::Created, _) => "New finding",
        (Event::Changed, "INACTIVE") => "Closed finding",
        (Event::Changed, _) => "Changed finding",
    };
    let test = if facts.is_test() { "TEST: " } else { "" };
    let heading = format!("{test}{happened}: {} {}", facts.severity(), facts.text("/category"));
    let lines = fields(&facts);
    let text: Vec<String> =
        lines.iter().map(|(name, value)| format!("{name}: {}", disarmed(value))).collect();
    let blocks: Vec<Json> =
        lines.iter().map(|(name, value)| plain(&format!("{name}: {value}"), FIELD_LIMIT)).collect();
    let message = json!({
        "text": format!("{}\n{}", disarmed(&heading), text.join("\n")),
        "mrkdwn": false,
        "link_names": 0,
        "unfurl_links": false,
        "unfurl_media": false,
        "blocks": [
            {"type": "header", "text": plain(&heading, HEADING_LIMIT)},
            {"type": "section", "fields": blocks},
        ],
    });
    message.to_string().into_bytes()
}

/// At most ten, which is what a section takes.
fn fields(facts: &Facts<'_>) -> Vec<(&'static str, String)> {
    let all = [
        ("Where", facts.place()),
        ("Node", facts.property("VM_Instance_Name").to_owned()),
        ("Image", facts.property("Container_Image_Uri").to_owned()),
        ("Script", facts.text("/processes/0/script/path").to_owned()),
        ("Arguments", facts.args().join(" ")),
        ("SHA-256", facts.script_sha256().to_owned()),
        ("Why", reasons(facts)),
        ("Time", facts.time("/eventTime").to_string()),
        ("Finding", facts.name().to_owned()),
    ];
    let shown = all.into_iter().filter(|(_, value)| !value.is_empty());
    shown
        .map(|(name, value)| (name, shortened(&escape(value.as_bytes()).to_string(), FIELD_LIMIT - 20)))
        .collect()
}

/// What the verdict rests on most.
pub(super) fn reasons(facts: &Facts<'_>) -> String {
    let reasons = facts.list("/sourceProperties/Reasons").iter().take(4);
    let words: Vec<&str> = reasons.filter_map(|reason| reason.get("indicator")?.as_str()).collect();
    words.join("; ")
}

fn plain(text: &str, limit: usize) -> Json {
    json!({"type": "plain_text", "text": shortened(text, limit), "emoji": false})
}

fn shortened(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Text that names nobody and links nothing: `<!channel>` and `<url|text>` are Slack's, `@all` and `[text](url)` others'.
fn disarmed(text: &str) -> String {
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    // As wide letters they look the same and mean nothing; an image's digest is no name.
    let escaped = escaped.replace("@sha256:", "\u{0}").replace('@', "\u{ff20}").replace('\u{0}', "@sha256:");
    escaped.replace("](", "] (").replace("://", ":\u{200b}//")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use evidence::Timestamp;

    #[test]
    fn a_sample_says_that_it_is_one() {
        let message = slack(&sample("chat", Timestamp::from_seconds(1_795_262_400)));
        let message: Json = serde_json::from_slice(&message).expect("JSON");
        insta::assert_json_snapshot!(message);
    }

    #[test]
    fn what_a_container_wrote_calls_nobody_and_links_nothing() {
        let mut delivery = sample("chat", Timestamp(0));
        delivery.finding["processes"][0]["script"]["path"] = json!(
            "/tmp/<!channel> <https://evil.example|click> @all [click](https://evil.example) *b* \n# x"
        );
        let message: Json = serde_json::from_slice(&slack(&delivery)).expect("JSON");
        let text = message["text"].as_str().expect("text");
        for harmful in ["<!channel>", "<https", "@all", "](http", "https://", "\n#"] {
            assert!(!text.contains(harmful), "{harmful} is in {text}");
        }
        let fields = message["blocks"][1]["fields"].as_array().expect("fields");
        assert!(fields.iter().all(|field| field["type"] == "plain_text"), "{fields:?}");
    }

    #[test]
    fn long_values_stay_within_what_slack_takes() {
        let mut delivery = sample("chat", Timestamp(0));
        delivery.finding["category"] = json!("ä".repeat(9000));
        delivery.finding["processes"][0]["args"] = json!(vec!["x".repeat(9000); 9]);
        let message: Json = serde_json::from_slice(&slack(&delivery)).expect("JSON");
        let length = |text: &Json| text["text"].as_str().map_or(0, |text| text.chars().count());
        assert!(length(&message["blocks"][0]["text"]) <= 150);
        let fields = message["blocks"][1]["fields"].as_array().expect("fields");
        assert!(fields.len() <= 10 && fields.iter().all(|field| length(field) <= 2000));
    }
}
