//! A mail in plain text: nothing in it is markup, and nothing that a container wrote makes a line or a header.

use super::message_id;
use super::slack::reasons;
use crate::facts::Facts;
use evidence::text::{escape, escape_lines};
use std::fmt::Write;
use store::{Delivery, Event};

/// Characters of a subject.
const SUBJECT_LIMIT: usize = 150;

/// The subject: one line.
pub fn subject(delivery: &Delivery) -> String {
    let facts = Facts { delivery };
    let subject = format!("[urva] {}{}", happened(&facts), facts.summary());
    let shown = escape(subject.as_bytes()).to_string();
    match shown.char_indices().nth(SUBJECT_LIMIT) {
        Some((end, _)) => format!("{}…", &shown[..end]),
        None => shown,
    }
}

fn happened(facts: &Facts<'_>) -> &'static str {
    match (facts.delivery.event, facts.text("/state")) {
        (Event::Created, _) => "",
        (Event::Changed, "INACTIVE") => "closed: ",
        (Event::Changed, _) => "changed: ",
    }
}

/// The text.
pub fn body(delivery: &Delivery) -> Vec<u8> {
    let facts = Facts { delivery };
    let mut text = String::new();
    let description = escape_lines(facts.text("/description").as_bytes());
    // Writing to a text does not fail.
    let _ = writeln!(text, "{}\n\n{description}\n", escape(facts.summary().as_bytes()));
    let rows = [
        ("Namespace", facts.property("Pod_Namespace").to_owned()),
        ("Pod", facts.property("Pod_Name").to_owned()),
        ("Container", facts.property("Container_Name").to_owned()),
        ("Image", facts.property("Container_Image_Uri").to_owned()),
        ("Node", facts.property("VM_Instance_Name").to_owned()),
        ("Script", facts.text("/processes/0/script/path").to_owned()),
        ("Binary", facts.text("/processes/0/binary/path").to_owned()),
        ("Arguments", facts.args().join(" ")),
        ("SHA-256", facts.script_sha256().to_owned()),
        ("Why", reasons(&facts)),
        ("First seen", facts.time("/createTime").to_string()),
        ("Last seen", facts.time("/eventTime").to_string()),
        ("State", facts.text("/state").to_owned()),
        ("Finding", facts.name().to_owned()),
    ];
    for (name, value) in rows.iter().filter(|(_, value)| !value.is_empty()) {
        let _ = writeln!(text, "{name:<11} {}", escape(value.as_bytes()));
    }
    let _ = writeln!(text, "\nWhat to do\n{}", escape_lines(facts.text("/nextSteps").as_bytes()));
    if delivery.finding.pointer("/sourceProperties/Message_Cut").is_some() {
        let _ = writeln!(text, "\nThis mail was cut: the finding holds more.");
    }
    let _ = writeln!(text, "\nMessage {}", message_id(delivery));
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use evidence::Timestamp;
    use serde_json::json;

    #[test]
    fn a_sample_says_that_it_is_one() {
        let delivery = sample("mail", Timestamp::from_seconds(1_795_262_400));
        let body = String::from_utf8(body(&delivery)).expect("text");
        insta::assert_snapshot!(format!("{}\n\n{body}", subject(&delivery)));
    }

    #[test]
    fn what_a_container_wrote_makes_no_header_and_no_line() {
        let mut delivery = sample("mail", Timestamp(0));
        let hostile = "x\r\nBcc: all@example.com\n\n<b>\u{202e}\u{1b}[2J";
        delivery.finding["processes"][0]["script"]["path"] = json!(hostile);
        delivery.finding["category"] = json!(hostile);
        let subject = subject(&delivery);
        assert!(!subject.contains(['\r', '\n', '\u{1b}', '\u{202e}']), "{subject}");
        let body = String::from_utf8(body(&delivery)).expect("text");
        assert!(!body.contains("\nBcc:") && !body.contains(['\r', '\u{1b}', '\u{202e}']), "{body}");
    }
}
