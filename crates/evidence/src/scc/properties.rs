//! `sourceProperties`: the names that existing playbooks read (`Pod_Name` and so on), and every fact that
//! the protocol has no field for. Keys are letters, digits and `_`, as SCC wants them.

use super::process::utf8_prefix;
use super::{Place, SHORT_TEXT_LIMIT, prefix, short};
use crate::{
    Capture, Content, Drift, Finding, Gap, Held, Judged, Metadata, Reason, RuntimeLayer, Subject, Technique,
    Verdict,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Reasons that a finding carries; they are sorted by weight, so the rest hardly count.
const REASONS_LIMIT: usize = 32;

/// Bytes of a reason's excerpt: 200 characters of at most four bytes.
const EXCERPT_LIMIT: usize = 800;

/// Bytes of a layer's text.
const LAYER_LIMIT: usize = 16 * 1024;

type Properties = BTreeMap<String, Value>;

/// All properties of a finding. A fact that is not known is left out.
pub(super) fn of(finding: &Finding, place: &Place) -> Properties {
    let mut properties = Properties::new();
    add_location(&mut properties, finding, place);
    let uris = match &finding.subject {
        Subject::Script(judged) => {
            add_process(&mut properties, &judged.capture);
            add_script(&mut properties, finding, judged);
            add_verdict(&mut properties, &judged.verdict);
            add_layers(&mut properties, judged);
            add_hold(&mut properties, judged.held);
            context_uris(judged)
        }
        Subject::Gap { gap } => {
            add_gap(&mut properties, gap);
            json!({"mitreUri": link("MITRE Link", &Technique::ImpairDefenses.url())})
        }
    };
    set(&mut properties, "contextUris", uris);
    set(&mut properties, "Execution_Count", json!(finding.count.to_string()));
    set(&mut properties, "First_Seen", json!(finding.first_seen.to_string()));
    set(&mut properties, "Last_Seen", json!(finding.last_seen.to_string()));
    properties
}

/// The link to the script's page on VirusTotal: by the hash of the whole file, since nobody else has ever hashed
/// the prefix that a finding carries.
pub fn virustotal_url(judged: &Judged) -> Option<String> {
    let whole = judged.capture.script.whole_sha256()?;
    Some(format!("https://www.virustotal.com/gui/file/{whole}/detection"))
}

fn set(properties: &mut Properties, name: &str, value: Value) {
    properties.insert(name.to_owned(), value);
}

fn set_text(properties: &mut Properties, name: &str, text: Option<&str>) {
    if let Some(text) = text {
        set(properties, name, json!(prefix(text, SHORT_TEXT_LIMIT)));
    }
}

fn add_location(properties: &mut Properties, finding: &Finding, place: &Place) {
    set_text(properties, "VM_Instance_Name", Some(&place.node));
    let Some(container) = finding.container() else { return };
    set_text(properties, "Container_Id", Some(&container.id));
    set_text(properties, "Container_Id_Short", Some(container.short_id()));
    set_text(properties, "Container_Name", container.name.as_deref());
    set_text(properties, "Container_Image_Uri", container.image.as_deref());
    set_text(properties, "Container_Image_Id", container.image_id.as_deref());
    set_text(properties, "Container_Runtime", container.runtime.map(|name| name.to_string()).as_deref());
    let (state, reason) = match &container.metadata {
        Metadata::Pending => ("PENDING", None),
        Metadata::Complete => ("COMPLETE", None),
        Metadata::Missing(reason) => ("MISSING", Some(reason.as_str())),
    };
    set_text(properties, "Container_Metadata", Some(state));
    set_text(properties, "Container_Metadata_Missing_Reason", reason);
    if let Some(pod) = &container.pod {
        set_text(properties, "Pod_Namespace", pod.namespace.as_deref());
        set_text(properties, "Pod_Name", pod.name.as_deref());
        set_text(properties, "Pod_Uid", pod.uid.as_deref());
    }
}

fn add_process(properties: &mut Properties, capture: &Capture) {
    let process = &capture.process;
    let namespaces = &process.namespaces;
    set(properties, "Process_Pid_In_Container", json!(process.pid_in_container));
    set(properties, "Process_Start_Time", json!(process.started_at.to_string()));
    set(properties, "Process_Uid", json!(process.uid));
    set(properties, "Process_Gid", json!(process.gid));
    set(properties, "Process_Working_Directory", json!(short(&process.cwd)));
    set(properties, "Process_Cgroup", json!(short(&process.cgroup)));
    set(
        properties,
        "Process_Namespaces",
        json!({
            "mount": namespaces.mount, "pid": namespaces.pid, "network": namespaces.network, "user": namespaces.user,
        }),
    );
    set(properties, "Interpreter", json!(capture.interpreter.family.to_string()));
}

fn add_script(properties: &mut Properties, finding: &Finding, judged: &Judged) {
    let script = &judged.capture.script;
    set(properties, "Script_Kind", json!(script.kind.to_string().to_uppercase()));
    set(properties, "Script_Language", json!(judged.verdict.language.to_string().to_uppercase()));
    set(properties, "Script_Captured_SHA256", json!(finding.content_sha256.to_string()));
    if let Some(whole) = script.whole_sha256() {
        set(properties, "Script_SHA256", json!(whole.to_string()));
    }
    if let Some(module) = &script.module {
        set(properties, "Script_Module", json!(short(module)));
    }
    if let Content::HeadAndTail { omitted, .. } = &script.content {
        set(properties, "Script_Omitted_Bytes", json!(omitted.to_string()));
    }
    set(properties, "Drift", json!(drift_name(&script.drift)));
    set_text(properties, "Drift_Description", Some(&script.drift.to_string()));
    let notes: Vec<_> = judged
        .capture
        .coverage
        .iter()
        .map(|note| prefix(&note.to_string(), SHORT_TEXT_LIMIT).to_owned())
        .collect();
    set(properties, "Capture_Complete", json!(notes.is_empty()));
    set(properties, "Capture_Coverage", json!(notes));
    let unseen = &judged.verdict.unseen;
    if !unseen.is_empty() {
        let parts: Vec<String> = unseen.iter().map(ToString::to_string).collect();
        set(properties, "Verdict_Coverage", json!(parts));
    }
}

fn add_gap(properties: &mut Properties, gap: &Gap) {
    set(properties, "Gap_Kind", json!(gap.kind.as_str()));
    set_text(properties, "Gap_Description", Some(&gap.detail));
    set(properties, "Gap_Begin", json!(gap.from.to_string()));
    set(properties, "Gap_End", json!(gap.to.to_string()));
    if let Some(lost) = gap.lost {
        set(properties, "Gap_Executions_Lost", json!(lost.to_string()));
    }
}

fn drift_name(drift: &Drift) -> &'static str {
    match drift {
        Drift::Image => "IMAGE",
        Drift::WritableLayer => "WRITABLE_LAYER",
        Drift::Volume(_) => "VOLUME",
        Drift::Memory => "MEMORY",
        Drift::NotAFile => "NOT_A_FILE",
        Drift::Unknown(_) => "UNKNOWN",
    }
}

fn add_verdict(properties: &mut Properties, verdict: &Verdict) {
    set(properties, "Verdict", json!(verdict.label.as_str()));
    set(properties, "Model_Id", json!(prefix(&verdict.model, SHORT_TEXT_LIMIT)));
    set(properties, "Score", decimal(verdict.score));
    set(properties, "Threshold", decimal(verdict.threshold));
    let reasons: Vec<Value> =
        verdict.reasons.iter().take(REASONS_LIMIT).map(|one| reason(verdict, one)).collect();
    set(properties, "Reasons", json!(reasons));
}

/// Texts that were compiled at run time. `Decided_By_Layer` says that the verdict and its reasons are about one of them.
fn add_layers(properties: &mut Properties, judged: &Judged) {
    if judged.layers.is_empty() {
        return;
    }
    set(properties, "Runtime_Layers", judged.layers.iter().map(layer).collect());
    if let Some(number) = judged.decided_by {
        set(properties, "Decided_By_Layer", json!(number));
    }
}

fn add_hold(properties: &mut Properties, held: Option<Held>) {
    let Some(held) = held else { return };
    let name = match held {
        Held::Kill => "KILL",
        Held::Stop => "STOP",
        Held::Report => "REPORT",
        Held::Late => "LATE",
    };
    set(properties, "Hold_Action", json!(name));
    set_text(properties, "Hold_Description", Some(&held.to_string()));
}

fn layer(layer: &RuntimeLayer) -> Value {
    let mut value = json!({
        "number": layer.number,
        "compiledBy": layer.by.as_str(),
        "time": layer.at.to_string(),
        "sha256": layer.sha256.to_string(),
        "size": layer.size.to_string(),
        "verdict": layer.label.as_str(),
        "score": decimal(layer.score),
    });
    if let Some(number) = layer.within {
        value["within"] = json!(number);
    }
    if let Some(name) = &layer.name {
        value["name"] = json!(short(name));
    }
    if let Some(content) = &layer.content {
        let contents = utf8_prefix(content.parts().0, LAYER_LIMIT);
        value["contentsCut"] = json!((contents.len() as u64) < layer.size);
        value["contents"] = json!(contents);
    }
    value
}

fn reason(verdict: &Verdict, reason: &Reason) -> Value {
    let mut value = json!({
        "indicator": prefix(&reason.indicator, EXCERPT_LIMIT),
        "excerpt": prefix(&reason.excerpt, EXCERPT_LIMIT),
        "weight": decimal(reason.weight),
    });
    if let Some(line) = reason.line {
        value["line"] = json!(line);
    }
    // The line counts in the layer then.
    if let Some(layer) = verdict.layer_of(reason) {
        value["layer"] = json!(prefix(&layer.origin, EXCERPT_LIMIT));
    }
    if let Some(technique) = reason.technique {
        value["technique"] = json!(technique.id());
    }
    value
}

/// A number to four decimals; null where it is none, as JSON has no word for it.
fn decimal(number: f32) -> Value {
    json!((f64::from(number) * 10_000.0).round() / 10_000.0)
}

fn context_uris(judged: &Judged) -> Value {
    let mut uris = json!({
        "mitreUri": link("MITRE Link", &Technique::CommandAndScriptingInterpreter.url()),
    });
    let shown: std::collections::BTreeSet<Technique> =
        judged.verdict.reasons.iter().filter_map(|reason| reason.technique).collect();
    uris["relatedMitreUris"] = shown
        .into_iter()
        .map(|technique| link(&format!("{} {}", technique.id(), technique.name()), &technique.url()))
        .collect();
    if let Some(url) = virustotal_url(judged) {
        uris["virustotalIndicatorQueryUri"] = json!([link("VirusTotal File Link", &url)]);
    }
    uris
}

fn link(display_name: &str, url: &str) -> Value {
    json!({"displayName": display_name, "url": url})
}
