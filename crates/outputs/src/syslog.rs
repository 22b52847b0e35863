//! Lines of syslog, RFC 5424, with CEF as their text.

use crate::facts::Facts;
use crate::format::{cef, message_id};
use evidence::Timestamp;
use store::Delivery;

/// Facility 13, "log audit".
const FACILITY: u8 = 13;

/// Characters of the host's name and of the message's id, by the grammar of the RFC.
const HOST_LIMIT: usize = 255;

/// The message as RFC 5424 has it, without what frames it on a stream.
pub fn line(delivery: &Delivery) -> Vec<u8> {
    let facts = Facts { delivery };
    let priority = FACILITY * 8 + severity(facts.severity());
    let host = printable(facts.property("VM_Instance_Name"));
    let time = time(delivery.at);
    let id = message_id(delivery);
    let process: String = id.chars().take(128).collect();
    format!("<{priority}>1 {time} {host} urva {process} FINDING - {}", cef(delivery)).into_bytes()
}

fn severity(name: &str) -> u8 {
    match name {
        "CRITICAL" => 2,
        "HIGH" => 3,
        "MEDIUM" => 4,
        "LOW" => 5,
        _ => 6,
    }
}

/// A name as the RFC allows it; `-` where nothing of it is left.
fn printable(name: &str) -> String {
    let name: String = name.chars().filter(char::is_ascii_graphic).take(HOST_LIMIT).collect();
    if name.is_empty() { "-".to_owned() } else { name }
}

/// To the microsecond, which is the most that the RFC allows.
fn time(at: Timestamp) -> String {
    Timestamp(at.0 / 1_000 * 1_000).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use serde_json::json;

    #[test]
    fn a_line_has_the_fields_of_the_rfc() {
        let mut delivery = sample("siem", Timestamp(1_795_262_400_123_456_789));
        delivery.finding["sourceProperties"]["VM_Instance_Name"] = json!("node 1\n<0>1 - - - - - -");
        let line = String::from_utf8(line(&delivery)).expect("text");
        assert!(line.starts_with("<106>1 2026-11-21T12:00:00.123456Z node1<0>1------ urva urva_"), "{line}");
        assert!(line.contains(" FINDING - CEF:0|urva|urva|") && !line.contains('\n'), "{line}");
    }
}
