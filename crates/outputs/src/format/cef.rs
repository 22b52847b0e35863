//! ArcSight's Common Event Format, version 0 (CEF 25): a header of fields between pipes, then `key=value` pairs.

use super::milliseconds;
use crate::facts::Facts;
use evidence::text::escape;
use store::{Delivery, Event};

/// Bytes of one value; the schema allows most fields 1023.
const VALUE_LIMIT: usize = 1023;

/// The finding as one line without a line end.
pub fn cef(delivery: &Delivery) -> String {
    let facts = Facts { delivery };
    let header = [
        "urva",
        "urva",
        crate::VERSION,
        facts.module(),
        match facts.text("/category") {
            "" => "-",
            category => category,
        },
        severity(facts.severity()),
    ];
    let header: Vec<String> = header.into_iter().map(header_field).collect();
    let fields = fields(&facts).into_iter().filter(|(_, value)| !value.is_empty());
    let fields: Vec<String> = fields.map(|(key, value)| format!("{key}={}", value_field(&value))).collect();
    format!("CEF:0|{}|{}", header.join("|"), fields.join(" "))
}

/// From 0 to 10.
fn severity(name: &str) -> &'static str {
    match name {
        "CRITICAL" => "10",
        "HIGH" => "8",
        "MEDIUM" => "5",
        "LOW" => "3",
        _ => "0",
    }
}

fn fields(facts: &Facts<'_>) -> Vec<(&'static str, String)> {
    let text = str::to_owned;
    let number = |pointer| facts.number(pointer).map(|number| number.to_string()).unwrap_or_default();
    let act = match (facts.delivery.event, facts.text("/state")) {
        (Event::Created, _) => "created",
        (Event::Changed, "INACTIVE") => "closed",
        (Event::Changed, _) => "changed",
    };
    let mut fields = vec![
        ("rt", milliseconds(facts.delivery.at).to_string()),
        ("start", milliseconds(facts.time("/createTime")).to_string()),
        ("end", milliseconds(facts.time("/eventTime")).to_string()),
        ("externalId", text(facts.id())),
        ("act", text(act)),
        ("outcome", text(facts.text("/state"))),
        ("cat", text(facts.text("/findingClass"))),
        ("cnt", text(facts.property("Execution_Count"))),
        ("dvchost", text(facts.property("VM_Instance_Name"))),
        ("sproc", text(facts.text("/processes/0/binary/path"))),
        ("spid", number("/processes/0/pid")),
        ("suid", number("/processes/0/userId")),
        ("filePath", text(facts.text("/processes/0/script/path"))),
        ("fileHash", text(facts.script_sha256())),
        ("msg", facts.summary()),
    ];
    let labelled = [
        (["cs1Label", "cs1"], "Namespace", facts.property("Pod_Namespace")),
        (["cs2Label", "cs2"], "Pod", facts.property("Pod_Name")),
        (["cs3Label", "cs3"], "Container", facts.property("Container_Name")),
        (["cs4Label", "cs4"], "Image", facts.property("Container_Image_Uri")),
        (["cs5Label", "cs5"], "Arguments", &facts.args().join(" ")),
        (["cs6Label", "cs6"], "Finding", facts.name()),
    ];
    for ([label, key], name, value) in labelled {
        if !value.is_empty() {
            fields.extend([(label, text(name)), (key, text(value))]);
        }
    }
    fields
}

/// What a container wrote, on one line and without what steers a terminal.
fn shown(text: &str) -> String {
    let shown = escape(text.as_bytes()).to_string();
    match shown.len() > VALUE_LIMIT {
        true => format!("{}…", &shown[..shown.floor_char_boundary(VALUE_LIMIT - 3)]),
        false => shown,
    }
}

/// Many who read CEF know no escapes in the header, and take a `=` for the end of it: what would need one is written otherwise.
fn header_field(text: &str) -> String {
    shown(text).replace(['\\', '|'], "/").replace('=', ":")
}

fn value_field(text: &str) -> String {
    shown(text).replace('\\', "\\\\").replace('=', "\\=")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use evidence::Timestamp;
    use serde_json::json;

    #[test]
    fn a_sample_is_one_line_of_known_fields() {
        insta::assert_snapshot!(cef(&sample("siem", Timestamp::from_seconds(1_795_262_400))));
    }

    #[test]
    fn what_a_container_wrote_makes_no_field_and_no_line() {
        let mut delivery = sample("siem", Timestamp(0));
        delivery.finding["category"] = json!("a|b\\c\nd=e");
        delivery.finding["processes"][0]["script"]["path"] =
            json!("/tmp/x act=blocked\r\nCEF:0|a|b|\u{202e}\\");
        let line = cef(&delivery);
        assert!(!line.contains(['\n', '\r', '\u{202e}']), "{line}");
        assert!(line.contains("|a/b/c/nd:e|10|"), "{line}");
        assert!(line.contains("filePath=/tmp/x act\\=blocked\\\\r\\\\nCEF:0|a|b|\\\\u{202e}\\\\ "), "{line}");
    }
}
