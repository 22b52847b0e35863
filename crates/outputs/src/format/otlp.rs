//! A record of a log, as OpenTelemetry's protocol carries it over HTTP in JSON: `ExportLogsServiceRequest`
//! (<https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>).

use super::message_id;
use crate::facts::Facts;
use serde_json::{Value as Json, json};
use store::{Delivery, Event};

/// The body of the request.
pub fn logs(delivery: &Delivery) -> Vec<u8> {
    let facts = Facts { delivery };
    let event = match delivery.event {
        Event::Created => "created",
        Event::Changed => "changed",
    };
    let (number, severity) = severity(facts.severity());
    let mut attributes = vec![
        text("urva.message.id", &message_id(delivery)),
        text("urva.event", event),
        text("urva.finding.name", facts.name()),
        text("urva.finding.category", facts.text("/category")),
        text("urva.finding.state", facts.text("/state")),
        text("urva.finding.mute", facts.text("/mute")),
        text("security_rule.name", facts.text("/moduleName")),
        text("security_rule.category", facts.text("/category")),
        text("k8s.namespace.name", facts.property("Pod_Namespace")),
        text("k8s.pod.name", facts.property("Pod_Name")),
        text("k8s.pod.uid", facts.property("Pod_Uid")),
        text("container.id", facts.property("Container_Id")),
        text("container.name", facts.property("Container_Name")),
        text("container.image.name", facts.property("Container_Image_Uri")),
        text("process.executable.path", facts.text("/processes/0/binary/path")),
        text("file.path", facts.text("/processes/0/script/path")),
        text("urva.script.sha256", facts.script_sha256()),
        number_of("process.pid", facts.number("/processes/0/pid")),
        list("process.command_args", &facts.args()),
    ];
    if delivery.finding.pointer("/sourceProperties/Message_Cut").is_some() {
        attributes.push(text("urva.message.cut", "true"));
    }
    attributes.retain(|attribute| !attribute.is_null());
    let resource: Vec<Json> = [
        text("service.name", "urva"),
        text("service.version", crate::VERSION),
        text("host.name", facts.property("VM_Instance_Name")),
        text("k8s.cluster.name", facts.text("/resourceName").rsplit('/').next().unwrap_or_default()),
    ]
    .into_iter()
    .filter(|attribute| !attribute.is_null())
    .collect();
    let record = json!({
        "timeUnixNano": facts.time("/eventTime").0.to_string(),
        "observedTimeUnixNano": delivery.at.0.to_string(),
        "severityNumber": number,
        "severityText": severity,
        "eventName": "urva.finding",
        "body": {"stringValue": facts.summary()},
        "attributes": attributes,
    });
    let scope = json!({"name": "urva", "version": crate::VERSION});
    let logs = json!({"scope": scope, "logRecords": [record]});
    json!({"resourceLogs": [{"resource": {"attributes": resource}, "scopeLogs": [logs]}]})
        .to_string()
        .into_bytes()
}

/// OpenTelemetry's number and word: <https://opentelemetry.io/docs/specs/otel/logs/data-model/#field-severitynumber>.
fn severity(name: &str) -> (u32, &'static str) {
    match name {
        "CRITICAL" => (21, "CRITICAL"),
        "HIGH" => (17, "HIGH"),
        "MEDIUM" => (13, "MEDIUM"),
        "LOW" => (9, "LOW"),
        _ => (0, "SEVERITY_UNSPECIFIED"),
    }
}

fn text(key: &str, value: &str) -> Json {
    match value {
        "" => Json::Null,
        value => json!({"key": key, "value": {"stringValue": value}}),
    }
}

fn number_of(key: &str, value: Option<i64>) -> Json {
    value.map_or(Json::Null, |value| json!({"key": key, "value": {"intValue": value.to_string()}}))
}

fn list(key: &str, values: &[&str]) -> Json {
    if values.is_empty() {
        return Json::Null;
    }
    let values: Vec<Json> = values.iter().map(|value| json!({"stringValue": value})).collect();
    json!({"key": key, "value": {"arrayValue": {"values": values}}})
}
