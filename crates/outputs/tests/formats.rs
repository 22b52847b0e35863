//! Formats, as those read them who are to: the receivers' own libraries and schemas, and whatever findings hold.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

use evidence::Timestamp;
use outputs::format::{Format, logs, message_id};
use outputs::{Key, sample};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use store::{Delivery, Event};
use tempfile::TempDir;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/python/check_outputs.py");
const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/python/bin/python");
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NOON: Timestamp = Timestamp::from_seconds(1_795_262_400);

const HOSTILE: &str = "\u{1b}[2J\r\n\u{202e}|=\\ act=x <!channel> @all [a](https://x) \"}],\u{0}\u{7f}\u{9b} ]]> %s ${jndi:x} \u{fffd} 실행";

/// Deliveries of all kinds, by a name.
fn cases() -> BTreeMap<&'static str, Delivery> {
    let sample = || sample("soc", NOON);
    let with = |change: &dyn Fn(&mut Delivery)| {
        let mut delivery = sample();
        change(&mut delivery);
        delivery
    };
    BTreeMap::from([
        ("sample", sample()),
        (
            "closed",
            with(&|delivery| {
                delivery.event = Event::Changed;
                delivery.finding["state"] = json!("INACTIVE");
                delivery.config = Some("organizations/1/notificationConfigs/all".to_owned());
            }),
        ),
        ("muted", with(&|delivery| delivery.finding["mute"] = json!("MUTED"))),
        ("hostile", with(&|delivery| poison(&mut delivery.finding))),
        (
            "client's",
            with(&|delivery| {
                let name = "organizations/1/sources/2/locations/global/findings/3";
                delivery.finding = json!({"name": name, "state": "ACTIVE", "category": "X"});
                delivery.resource = json!({"name": "//x"});
            }),
        ),
        (
            "odd",
            with(&|delivery| {
                delivery.finding["sourceProperties"] =
                    json!({"Pod_Name": 7, "Reasons": "x", "contextUris": [], "Score": "high"});
                delivery.finding["eventTime"] = json!("1969-01-01T00:00:00Z");
            }),
        ),
    ])
}

/// Puts hostile text wherever a container's may stand.
fn poison(value: &mut Json) {
    match value {
        Json::Object(members) => {
            for (name, member) in members.iter_mut() {
                let is_ours = [
                    "name",
                    "canonicalName",
                    "parent",
                    "resourceName",
                    "state",
                    "severity",
                    "mute",
                    "findingClass",
                ];
                let is_ours = is_ours.contains(&name.as_str())
                    && member.as_str().is_some_and(|text| text.contains('/') || text.len() > 5)
                    || name.ends_with("Time")
                    || name.starts_with("primary")
                    || name.starts_with("additional")
                    || ["size", "hashedSize", "pid", "parentPid", "userId", "sha256", "contextUris"]
                        .contains(&name.as_str());
                if !is_ours {
                    poison(member);
                }
            }
        }
        Json::Array(items) => items.iter_mut().for_each(poison),
        Json::String(text) => text.push_str(HOSTILE),
        _ => {}
    }
}

fn write(folder: &Path, delivery: &Delivery) {
    std::fs::create_dir(folder).unwrap();
    let put = |name: &str, bytes: Vec<u8>| std::fs::write(folder.join(name), bytes).unwrap();
    put("scc.json", Format::Scc.body(delivery));
    put("ocsf.json", Format::Ocsf.render(delivery));
    put("otlp.json", logs(delivery));
    put("syslog.txt", outputs::format::syslog(delivery));
    let body = Format::Finding.render(delivery);
    // The verification compares with the clock of the machine.
    let now = std::fs::metadata(folder).unwrap().modified().unwrap();
    let now = now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let id = message_id(delivery);
    let signature = Key::parse(SECRET).unwrap().sign(&id, Timestamp::from_seconds(now), &body);
    let headers =
        json!({"webhook-id": id, "webhook-timestamp": now.to_string(), "webhook-signature": signature});
    let sent = json!({"secret": SECRET, "headers": headers, "body": String::from_utf8(body).unwrap()});
    put("webhook.json", sent.to_string().into_bytes());
}

#[test]
fn receivers_own_libraries_read_what_is_sent() {
    let folder = TempDir::new().unwrap();
    for (name, delivery) in cases() {
        write(&folder.path().join(name), &delivery);
    }
    let done = Command::new(PYTHON).arg(SCRIPT).arg(folder.path()).output();
    let done = done.expect("target/python; run: scripts/install-tools test");
    let said = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
    assert!(done.status.success() && said.contains("30 checked, 0 wrong"), "{said}");
}

#[test]
fn the_sample_stays_as_it_is_in_each_format() {
    let delivery = sample("soc", NOON);
    for (name, format) in
        [("finding", Format::Finding), ("scc", Format::Scc), ("ocsf", Format::Ocsf), ("ecs", Format::Ecs)]
    {
        let json: Json = serde_json::from_slice(&format.render(&delivery)).unwrap();
        insta::assert_json_snapshot!(name, json);
    }
    let json: Json = serde_json::from_slice(&logs(&delivery)).unwrap();
    insta::assert_json_snapshot!("otlp", json);
}

/// A field of the Elastic Common Schema.
struct Field {
    kind: &'static str,
    holds_many: bool,
    allowed: Vec<&'static str>,
}

fn ecs() -> BTreeMap<&'static str, Field> {
    let lines = include_str!("../testdata/ecs-fields.txt").lines().filter(|line| !line.starts_with('#'));
    let field = |line: &'static str| {
        let mut parts = line.split(' ');
        let (name, kind, many) = (parts.next()?, parts.next()?, parts.next()?);
        let allowed = parts.next().map(|all| all.split('|').collect()).unwrap_or_default();
        Some((name, Field { kind, holds_many: many == "array", allowed }))
    };
    lines.map(|line| field(line).expect(line)).collect()
}

fn check_ecs(fields: &BTreeMap<&str, Field>, path: &str, value: &Json) {
    if let (Json::Object(members), None) = (value, fields.get(path)) {
        for (name, member) in members {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            check_ecs(fields, &path, member);
        }
        return;
    }
    let field = fields.get(path).unwrap_or_else(|| panic!("{path} is no field of the schema"));
    assert_eq!(value.is_array(), field.holds_many, "{path}: {value}");
    let values = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    for value in values {
        match field.kind {
            "long" => assert!(value.is_i64(), "{path}: {value}"),
            "object" => assert!(value.as_object().unwrap().values().all(Json::is_string), "{path}: {value}"),
            "date" => assert!(Timestamp::parse(value.as_str().unwrap()).is_some(), "{path}: {value}"),
            _ => assert!(value.is_string(), "{path}: {value}"),
        }
        assert!(
            field.allowed.is_empty() || field.allowed.contains(&value.as_str().unwrap()),
            "{path}: {value}"
        );
    }
}

#[test]
fn each_field_of_ecs_is_one_of_the_schema() {
    let fields = ecs();
    for (name, delivery) in cases() {
        let document: Json = serde_json::from_slice(&Format::Ecs.render(&delivery)).unwrap();
        check_ecs(&fields, "", &document);
        for needed in ["/@timestamp", "/ecs/version", "/event/kind", "/message"] {
            assert!(document.pointer(needed).is_some(), "{name} has no {needed}");
        }
    }
}

proptest::proptest! {
    #[test]
    fn any_text_is_one_line_of_syslog_and_json_elsewhere(text: String, number in proptest::num::u64::ANY) {
        let mut delivery = sample("soc", Timestamp(number));
        for pointer in ["/category", "/name", "/severity", "/state", "/sourceProperties/Pod_Name", "/processes/0/script/path", "/processes/0/args/0", "/mitreAttack/primaryTactic", "/sourceProperties/contextUris/mitreUri/url", "/sourceProperties/contextUris/relatedMitreUris/0/displayName"] {
            *delivery.finding.pointer_mut(pointer).unwrap() = json!(text);
        }
        let line = String::from_utf8(outputs::format::syslog(&delivery)).unwrap();
        proptest::prop_assert!(!line.chars().any(char::is_control), "{line:?}");
        for format in [Format::Finding, Format::Scc, Format::Ocsf, Format::Ecs] {
            serde_json::from_slice::<Json>(&format.render(&delivery)).unwrap();
        }
        serde_json::from_slice::<Json>(&logs(&delivery)).unwrap();
        serde_json::from_slice::<Json>(&outputs::format::slack(&delivery)).unwrap();
        proptest::prop_assert!(!outputs::format::subject(&delivery).chars().any(char::is_control));
        outputs::format::body(&delivery);
    }
}
