//! Detection Finding of the Open Cybersecurity Schema Framework: <https://schema.ocsf.io/1.5.0/classes/detection_finding>.

use super::{message_id, milliseconds, product, without_empty};
use crate::facts::Facts;
use serde_json::{Value as Json, json};
use store::{Delivery, Event};

const SCHEMA: &str = "1.5.0";
const CLASS: u32 = 2004;

/// Version of ATT&CK whose names are used.
const ATTACK: &str = "17.1";

pub(super) fn detection_finding(delivery: &Delivery) -> Json {
    let facts = Facts { delivery };
    let (activity, activity_name) = activity(&facts);
    let (severity, severity_name) = severity(facts.severity());
    let (status, status_name) = status(&facts);
    without_empty(json!({
        "metadata": {
            "version": SCHEMA,
            "uid": message_id(delivery),
            "product": product(),
            "event_code": facts.text("/moduleName"),
        },
        "category_uid": 2,
        "category_name": "Findings",
        "class_uid": CLASS,
        "class_name": "Detection Finding",
        "activity_id": activity,
        "activity_name": activity_name,
        "type_uid": CLASS * 100 + activity,
        "type_name": format!("Detection Finding: {activity_name}"),
        "severity_id": severity,
        "severity": severity_name,
        "status_id": status,
        "status": status_name,
        "time": milliseconds(delivery.at),
        "message": facts.summary(),
        "is_alert": true,
        "confidence_score": confidence(delivery),
        "finding_info": info(&facts),
        "resources": [{
            "uid": facts.text("/resourceName"),
            "name": delivery.resource.get("displayName"),
            "type": delivery.resource.get("type"),
            "namespace": facts.property("Pod_Namespace"),
        }],
        "evidences": [{
            "process": process(&facts),
            "file": file(facts.text("/processes/0/script/path"), facts.script_sha256()),
            "container": container(&facts),
        }],
        "remediation": {"desc": next_steps(&facts)},
        "unmapped": {
            "Pod_Name": facts.property("Pod_Name"),
            "Pod_Namespace": facts.property("Pod_Namespace"),
            "VM_Instance_Name": facts.property("VM_Instance_Name"),
            "Mute": facts.text("/mute"),
            "Test": facts.is_test().then_some(true),
            "Message_Cut": delivery.finding.pointer("/sourceProperties/Message_Cut"),
        },
    }))
}

fn activity(facts: &Facts<'_>) -> (u32, &'static str) {
    match (facts.delivery.event, facts.text("/state")) {
        (Event::Created, _) => (1, "Create"),
        (Event::Changed, "INACTIVE") => (3, "Close"),
        (Event::Changed, _) => (2, "Update"),
    }
}

fn severity(name: &str) -> (u32, &'static str) {
    match name {
        "CRITICAL" => (5, "Critical"),
        "HIGH" => (4, "High"),
        "MEDIUM" => (3, "Medium"),
        "LOW" => (2, "Low"),
        _ => (0, "Unknown"),
    }
}

fn status(facts: &Facts<'_>) -> (u32, &'static str) {
    match (facts.text("/mute"), facts.text("/state")) {
        ("MUTED", _) => (3, "Suppressed"),
        (_, "INACTIVE") => (4, "Resolved"),
        _ => (1, "New"),
    }
}

/// The model's score in percent.
#[allow(clippy::cast_possible_truncation, reason = "the bound keeps it within a percentage")]
fn confidence(delivery: &Delivery) -> Option<i64> {
    let score = delivery.finding.pointer("/sourceProperties/Score")?.as_f64()?;
    Some((score.clamp(0.0, 1.0) * 100.0).round() as i64)
}

fn info(facts: &Facts<'_>) -> Json {
    let techniques = facts.techniques();
    let tactics = facts.tactics();
    let technique = |(id, name): &(&str, &str)| match id.split_once('.') {
        // What MITRE calls a sub-technique is told by that name alone.
        Some(_) => json!({"version": ATTACK, "sub_technique": {"uid": id, "name": name}}),
        None => json!({"version": ATTACK, "technique": {"uid": id, "name": name}}),
    };
    let tactic = |(id, name): &(&str, &str)| json!({"version": ATTACK, "tactic": {"uid": id, "name": name}});
    let attacks: Vec<Json> = techniques.iter().map(technique).chain(tactics.iter().map(tactic)).collect();
    json!({
        "uid": facts.name(),
        "title": facts.text("/category"),
        "desc": facts.text("/description"),
        "types": [facts.text("/findingClass")],
        "created_time": milliseconds(facts.time("/createTime")),
        "first_seen_time": milliseconds(facts.time("/createTime")),
        "last_seen_time": milliseconds(facts.time("/eventTime")),
        "attacks": attacks,
        "analytic": {"type_id": 4, "type": "Learning (ML/DL)", "name": facts.module(), "uid": facts.property("Model_Id")},
        "data_sources": ["eBPF"],
    })
}

fn process(facts: &Facts<'_>) -> Json {
    let pid = facts.number("/processes/0/pid");
    let binary = facts.text("/processes/0/binary/path");
    json!({
        "pid": pid,
        "name": facts.text("/processes/0/name"),
        "cmd_line": facts.args().join(" "),
        "file": file(binary, facts.hash("/processes/0/binary/sha256")),
        "parent_process": facts.number("/processes/0/parentPid").map(|pid| json!({"pid": pid})),
        "user": facts.number("/processes/0/userId").map(|id| json!({"uid": id.to_string()})),
    })
}

fn file(path: &str, sha256: &str) -> Json {
    let name = path.rsplit('/').next().unwrap_or_default();
    if name.is_empty() {
        return Json::Null;
    }
    let hash = json!({"algorithm_id": 3, "algorithm": "SHA-256", "value": sha256});
    let hashes = if sha256.is_empty() { json!([]) } else { json!([hash]) };
    json!({"type_id": 1, "type": "Regular File", "name": name, "path": path, "hashes": hashes})
}

fn container(facts: &Facts<'_>) -> Json {
    let image = facts.property("Container_Image_Uri");
    json!({
        "uid": facts.property("Container_Id"),
        "name": facts.property("Container_Name"),
        "image": if image.is_empty() { Json::Null } else { json!({"name": image, "uid": image}) },
        "pod_uuid": facts.property("Pod_Uid"),
        "runtime": facts.property("Container_Runtime"),
    })
}

fn next_steps(facts: &Facts<'_>) -> String {
    match facts.text("/nextSteps") {
        "" => "See the finding.".to_owned(),
        steps => steps.to_owned(),
    }
}
