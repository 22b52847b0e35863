//! Elastic Common Schema: <https://www.elastic.co/docs/reference/ecs>. A finding is an event of kind `alert`.

use super::{message_id, without_empty};
use crate::facts::Facts;
use serde_json::{Value as Json, json};
use store::{Delivery, Event};

const SCHEMA: &str = "8.17.0";

pub(super) fn document(delivery: &Delivery) -> Json {
    let facts = Facts { delivery };
    without_empty(json!({
        "@timestamp": facts.time("/eventTime").to_string(),
        "ecs": {"version": SCHEMA},
        "message": facts.summary(),
        "event": event(&facts),
        "rule": {
            "name": facts.text("/category"),
            "category": facts.text("/findingClass"),
            "description": facts.text("/description"),
            "id": facts.text("/moduleName"),
            "ruleset": "urva",
        },
        "threat": threat(&facts),
        "process": process(&facts),
        "file": file(&facts),
        "container": {
            "id": facts.property("Container_Id"),
            "name": facts.property("Container_Name"),
            "image": {"name": facts.property("Container_Image_Uri")},
            "runtime": facts.property("Container_Runtime"),
        },
        "orchestrator": orchestrator(&facts),
        "host": {"name": facts.property("VM_Instance_Name")},
        "observer": {"vendor": "urva", "product": "urva", "type": "ids", "version": crate::VERSION},
        "labels": labels(&facts),
    }))
}

fn event(facts: &Facts<'_>) -> Json {
    let action = match (facts.delivery.event, facts.text("/state")) {
        (Event::Created, _) => "finding-created",
        (Event::Changed, "INACTIVE") => "finding-closed",
        (Event::Changed, _) => "finding-changed",
    };
    json!({
        "kind": "alert",
        "category": ["malware", "process"],
        "type": ["info"],
        "action": action,
        "id": message_id(facts.delivery),
        "module": "urva",
        "dataset": "urva.finding",
        "provider": "urva",
        "code": facts.id(),
        "created": facts.delivery.at.to_string(),
        "start": facts.time("/createTime").to_string(),
        "end": facts.time("/eventTime").to_string(),
        "severity": severity(facts.severity()),
        "reason": facts.text("/description"),
        "reference": facts.name(),
    })
}

/// Elastic's own numbers for the four words.
fn severity(name: &str) -> u32 {
    match name {
        "CRITICAL" => 99,
        "HIGH" => 73,
        "MEDIUM" => 47,
        _ => 21,
    }
}

fn threat(facts: &Facts<'_>) -> Json {
    let split = |pairs: Vec<(&str, &str)>| -> (Vec<String>, Vec<String>) {
        pairs.iter().map(|(id, name)| ((*id).to_owned(), (*name).to_owned())).unzip()
    };
    let (tactic_ids, tactic_names) = split(facts.tactics());
    let (subs, whole): (Vec<_>, Vec<_>) =
        facts.techniques().into_iter().partition(|(id, _)| id.contains('.'));
    let (ids, names) = split(whole);
    let (sub_ids, sub_names) = split(subs);
    json!({
        "framework": "MITRE ATT&CK",
        "tactic": {"id": tactic_ids, "name": tactic_names},
        "technique": {"id": ids, "name": names, "subtechnique": {"id": sub_ids, "name": sub_names}},
    })
}

fn process(facts: &Facts<'_>) -> Json {
    let args = facts.args();
    let user = facts.number("/processes/0/userId").map(|id| json!({"id": id.to_string()}));
    json!({
        "pid": facts.number("/processes/0/pid"),
        "name": facts.text("/processes/0/name"),
        "executable": facts.text("/processes/0/binary/path"),
        "hash": {"sha256": facts.hash("/processes/0/binary/sha256")},
        "args": args,
        "args_count": args.len(),
        "command_line": args.join(" "),
        "parent": {"pid": facts.number("/processes/0/parentPid")},
        "user": user,
        "working_directory": facts.property("Process_Working_Directory"),
    })
}

fn file(facts: &Facts<'_>) -> Json {
    let path = facts.text("/processes/0/script/path");
    let (folder, name) = path.rsplit_once('/').unwrap_or_default();
    json!({
        "path": path,
        "name": name,
        "directory": folder,
        "size": facts.number("/processes/0/script/size"),
        "hash": {"sha256": facts.script_sha256()},
    })
}

fn orchestrator(facts: &Facts<'_>) -> Json {
    let pod = facts.property("Pod_Name");
    if pod.is_empty() {
        return Json::Null;
    }
    let cluster = facts.text("/resourceName").rsplit('/').next().unwrap_or_default();
    json!({
        "type": "kubernetes",
        "cluster": {"name": cluster},
        "namespace": facts.property("Pod_Namespace"),
        "resource": {"type": "pod", "name": pod, "id": facts.property("Pod_Uid")},
    })
}

/// Labels are short words.
fn labels(facts: &Facts<'_>) -> Json {
    json!({
        "urva_state": facts.text("/state"),
        "urva_mute": facts.text("/mute"),
        "urva_test": facts.is_test().then_some("true"),
        "urva_message_cut": facts.delivery.finding.pointer("/sourceProperties/Message_Cut").map(|_| "true"),
    })
}
