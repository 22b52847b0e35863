//! A finding on the terminal: one line for a list, and the card that an analyst reads at night.
//!
//! Owns: what stands where. Refuses: I/O. Everything that a container wrote is escaped and cut before it is
//! laid out. The text holds colours; the writer takes them out where no terminal shows them.

mod impairment;
mod sheet;
mod source;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use sheet::fit;

use evidence::scc::Place;
use evidence::text::escape;
use evidence::{
    Capture, Container, Execution, Finding, Judged, Label, Metadata, Process, Reason, RuntimeLayer, Script,
    ScriptKind, Sha256, Subject, Technique, Timestamp, Untrusted, Verdict, guidance,
};
use sheet::{BOLD, RED, Sheet, paint};
use std::collections::BTreeSet;

/// Characters of one text that a container wrote.
const TEXT_LIMIT: usize = 256;

/// Characters of all arguments.
const ARGUMENTS_LIMIT: usize = 1024;

/// Coverage notes, reasons or executions that are shown of each.
const LIST_LIMIT: usize = 10;

/// The finding on one line, for a stream of them.
pub(crate) fn line(finding: &Finding) -> String {
    let score = score(finding).map(|score| format!("score {score}  ")).unwrap_or_default();
    format!(
        "{}  {}  {}  {}  {}  {score}{}",
        seconds(finding.last_seen),
        paint(RED, label(finding)),
        finding.category.display_name(),
        fit(&location(finding), 60),
        fit(&subject(finding), 60),
        &finding.id.as_str()[..finding.id.as_str().len().min(12)],
    )
}

/// All about a finding, in lines of about `width` columns. `executions` are the latest ones, newest first.
pub(crate) fn card(finding: &Finding, executions: &[Execution], place: &Place, width: usize) -> String {
    let mut sheet = Sheet::new(width);
    let category = paint(BOLD, finding.category.display_name());
    sheet.line(&format!("{}  {category}  {}", paint(RED, label(finding)), finding.state.as_str()));
    sheet.line(&format!("Finding {}", finding.id));
    match &finding.subject {
        Subject::Script(judged) => {
            what_ran(&mut sheet, judged);
            why(&mut sheet, judged);
            where_it_ran(&mut sheet, &judged.capture, place);
            if let Some(held) = judged.held {
                sheet.field("held", &held.to_string());
            }
            how_sure(&mut sheet, &judged.capture, &judged.verdict);
            when(&mut sheet, finding, executions);
            research(&mut sheet, judged, finding.content_sha256);
        }
        Subject::Gap { gap } => impairment::fields(&mut sheet, finding, gap, place),
    }
    sheet.section("What to do");
    for (index, step) in guidance::next_steps(finding, place).iter().enumerate() {
        // The links stand above.
        match step.text.strip_suffix(':').filter(|_| step.command.is_none()) {
            Some(text) => sheet.numbered(index + 1, &format!("{text}.")),
            None => sheet.numbered(index + 1, &step.text),
        }
        if let Some(command) = &step.command {
            sheet.command(command);
        }
    }
    sheet.finish()
}

/// The class of what was found, in one word.
fn label(finding: &Finding) -> &'static str {
    finding.script().map_or("IMPAIRED", |judged| judged.verdict.label.as_str())
}

/// The score, where something was judged.
pub(crate) fn score(finding: &Finding) -> Option<String> {
    finding.script().map(|judged| format!("{:.3}", judged.verdict.score))
}

/// What it is about, in a few words.
pub(crate) fn subject(finding: &Finding) -> String {
    match &finding.subject {
        Subject::Script(judged) => script(&judged.capture.script),
        Subject::Gap { gap } => guidance::impairment(gap),
    }
}

/// Where it ran, in a few words: `namespace/pod/container`, or as much of that as is known.
pub(crate) fn location(finding: &Finding) -> String {
    container_name(finding.container())
}

/// The same of a container, or of the host.
pub(crate) fn container_name(container: Option<&Container>) -> String {
    let Some(container) = container else { return "host".to_owned() };
    let name = match &container.name {
        Some(name) => shown_text(name),
        // Plain runc's ids are names that somebody chose.
        None if container.id.len() == 64 => shown_text(container.short_id()),
        None => shown_text(&container.id),
    };
    match container.pod.as_ref().and_then(|pod| Some((pod.namespace.as_deref()?, pod.name.as_deref()?))) {
        Some((namespace, pod)) => format!("{}/{}/{name}", shown_text(namespace), shown_text(pod)),
        None => name,
    }
}

/// The script, in a few words.
fn script(script: &Script) -> String {
    match (script.kind, &script.path, &script.module) {
        (ScriptKind::File, Some(path), _) => shown(path),
        (ScriptKind::Module, _, Some(module)) => format!("-m {}", shown(module)),
        (ScriptKind::Inline, ..) => {
            let (head, _) = script.content.parts();
            let text: Vec<u8> = head.iter().copied().take(4 * TEXT_LIMIT).collect();
            format!("-c {}", shown(text.trim_ascii()))
        }
        (kind, ..) => format!("({kind})"),
    }
}

/// A time without fractions of seconds.
pub(crate) fn seconds(time: Timestamp) -> String {
    Timestamp(time.0 - time.0 % 1_000_000_000).to_string()
}

fn what_ran(sheet: &mut Sheet, judged: &Judged) {
    let capture = &judged.capture;
    let (process, script) = (&capture.process, &capture.script);
    sheet.section("What ran");
    let size = script.size().map(|size| format!(", {size} bytes")).unwrap_or_default();
    sheet.field("script", &format!("{} ({}{size})", guidance::script_name(script), script.kind));
    if let (ScriptKind::Module, Some(path)) = (script.kind, &script.path) {
        sheet.field("file", &shown(path));
    }
    sheet.field("binary", &format!("{} ({})", shown(&process.executable.path), capture.interpreter.family));
    sheet.field("arguments", &arguments(process, script.text_argument));
    sheet.field(
        "process",
        &format!(
            "{} ({} in its container), parent {}, user {}, group {}, name {}",
            process.pid,
            process.pid_in_container,
            process.parent_pid,
            process.uid,
            process.gid,
            shown(&process.comm)
        ),
    );
    sheet.field("folder", &shown(&process.cwd));
}

/// The arguments, as far as they fit; the script's own text is shown by itself.
fn arguments(process: &Process, text_argument: Option<usize>) -> String {
    if process.args.is_empty() {
        return "(not recorded)".to_owned();
    }
    let mut text = String::new();
    for (index, argument) in process.args.iter().enumerate() {
        if text.len() > ARGUMENTS_LIMIT {
            text += &format!(" … ({} more)", process.args.len() - index);
            break;
        }
        if index > 0 {
            text.push(' ');
        }
        text += &match text_argument {
            Some(at) if at == index => "(the script)".to_owned(),
            _ => one_word(argument),
        };
    }
    text
}

/// An argument, in quotes where it would not read as one word.
fn one_word(argument: &Untrusted) -> String {
    let text = shown(argument);
    if text.is_empty() || text.contains([' ', '\'', '"']) { format!("'{text}'") } else { text }
}

fn why(sheet: &mut Sheet, judged: &Judged) {
    let verdict = &judged.verdict;
    sheet.section("Why it is malicious");
    sheet.field("score", &format!("{:.3}, malicious from {:.3} on", verdict.score, verdict.threshold));
    sheet.field("model", &format!("{}, read as {}", shown_text(&verdict.model), verdict.language));
    if let Some(layer) = judged.decisive_layer() {
        let text = format!("layer {}, compiled at run time by {}; lines count in it", layer.number, layer.by);
        sheet.field("judged", &text);
    }
    for reason in verdict.reasons.iter().take(LIST_LIMIT) {
        sheet.item(&reason_line(verdict, reason));
    }
    source::excerpt(sheet, judged.judged_content(), &verdict.reasons);
    layers(sheet, judged);
}

/// What the script compiled while it ran.
fn layers(sheet: &mut Sheet, judged: &Judged) {
    if judged.layers.is_empty() {
        return;
    }
    sheet.section("What it compiled while it ran");
    // What is malicious is shown in any case.
    let benign = judged.layers.iter().filter(|layer| layer.label == Label::Benign);
    let room = LIST_LIMIT.saturating_sub(judged.layers.len() - benign.clone().count());
    let last_benign = benign.map(|layer| layer.number).nth(room);
    let is_shown = |layer: &&RuntimeLayer| {
        layer.label != Label::Benign || last_benign.is_none_or(|last| layer.number < last)
    };
    for layer in judged.layers.iter().filter(is_shown).take(LIST_LIMIT) {
        sheet.item(&layer_line(layer));
    }
    let shown = judged.layers.iter().filter(is_shown).take(LIST_LIMIT).count();
    if shown < judged.layers.len() {
        sheet.item(&format!("{} more", judged.layers.len() - shown));
    }
}

fn layer_line(layer: &RuntimeLayer) -> String {
    let within = layer.within.map(|number| format!(", within {number}")).unwrap_or_default();
    let name = layer.name.as_deref().map(|name| format!(", named {}", shown(name))).unwrap_or_default();
    format!(
        "layer {}: {} score {:.3}, by {}{within}{name}, {} bytes, SHA-256 {}",
        layer.number, layer.label, layer.score, layer.by, layer.size, layer.sha256
    )
}

fn reason_line(verdict: &Verdict, reason: &Reason) -> String {
    let mut text = format!("{:+.2}  {}", reason.weight, shown_text(&reason.indicator));
    match verdict.place(reason) {
        Some(place) => text += &format!(", {}", shown_text(&place)),
        None if !reason.excerpt.is_empty() => text += &format!(": {}", shown_text(&reason.excerpt)),
        None => {}
    }
    if let Some(technique) = reason.technique {
        text += &format!(" ({} {})", technique.id(), technique.name());
    }
    text
}

fn where_it_ran(sheet: &mut Sheet, capture: &Capture, place: &Place) {
    sheet.section("Where");
    match &capture.container {
        Some(container) => container_fields(sheet, container),
        None => sheet.field("container", "none: it ran on the host itself"),
    }
    sheet.field("node", &shown_text(&place.node));
    sheet.field(
        "cluster",
        &format!(
            "{} in {}, project {}",
            shown_text(&place.cluster),
            shown_text(&place.location),
            shown_text(&place.project_display_name)
        ),
    );
    sheet.field("cgroup", &shown(&capture.process.cgroup));
}

fn container_fields(sheet: &mut Sheet, container: &Container) {
    let runtime = container.runtime.map(|runtime| format!(", {runtime}")).unwrap_or_default();
    let id = shown_text(&container.id);
    match &container.name {
        Some(name) => sheet.field("container", &format!("{} (id {id}{runtime})", shown_text(name))),
        None => sheet.field("container", &format!("{id}{runtime}")),
    }
    if let Some(image) = &container.image {
        sheet.field("image", &shown_text(image));
    }
    if let Some(id) = &container.image_id {
        sheet.field("image id", &shown_text(id));
    }
    if let Some(pod) = &container.pod {
        let part = |part: &Option<String>| part.as_deref().map_or_else(|| "?".to_owned(), shown_text);
        sheet.field("Pod", &format!("{}/{}", part(&pod.namespace), part(&pod.name)));
    }
    if let Some(time) = container.created_at {
        sheet.field("created", &seconds(time));
    }
    match &container.metadata {
        Metadata::Complete => {}
        Metadata::Pending => {
            sheet.field("metadata", "the runtime has not answered yet: name, image and Pod may follow")
        }
        Metadata::Missing(reason) => sheet.field("metadata", &format!("missing: {}", shown_text(reason))),
    }
}

fn how_sure(sheet: &mut Sheet, capture: &Capture, verdict: &Verdict) {
    sheet.section("How sure");
    sheet.field("drift", &fit(&capture.script.drift.to_string(), TEXT_LIMIT));
    if capture.coverage.is_empty() {
        sheet.field("capture", "complete");
    }
    for note in capture.coverage.iter().take(LIST_LIMIT) {
        sheet.field("capture", &fit(&note.to_string(), TEXT_LIMIT));
    }
    for part in &verdict.unseen {
        sheet.field("verdict", &fit(&part.to_string(), TEXT_LIMIT));
    }
}

fn when(sheet: &mut Sheet, finding: &Finding, executions: &[Execution]) {
    sheet.section("When");
    let times = match (finding.script().is_some(), finding.count) {
        (true, 1) => "execution",
        (true, _) => "executions",
        (false, 1) => "time",
        (false, _) => "times",
    };
    sheet.field("count", &format!("{} {times}", finding.count));
    sheet.field("first", &finding.first_seen.to_string());
    sheet.field("last", &finding.last_seen.to_string());
    if executions.len() > 1 {
        for execution in executions.iter().take(LIST_LIMIT) {
            sheet.item(&format!("{}  process {}", execution.at, execution.pid));
        }
    }
}

fn research(sheet: &mut Sheet, judged: &Judged, captured: Sha256) {
    let script = &judged.capture.script;
    let known = |hash: Option<Sha256>| hash.map_or_else(|| "not known".to_owned(), |hash| hash.to_string());
    sheet.section("Hashes and links");
    sheet.field("script", &format!("SHA-256 {}", known(script.whole_sha256())));
    if script.whole_sha256() != Some(captured) {
        sheet.field("captured", &format!("SHA-256 {captured}"));
    }
    sheet.field("binary", &format!("SHA-256 {}", known(judged.capture.process.executable.sha256)));
    if let Some(url) = evidence::scc::virustotal_url(judged) {
        sheet.field("VirusTotal", &url);
    }
    let mut techniques: BTreeSet<Technique> =
        judged.verdict.reasons.iter().filter_map(|reason| reason.technique).collect();
    techniques.insert(Technique::CommandAndScriptingInterpreter);
    for technique in techniques {
        sheet.field("MITRE", &format!("{} {}", technique.url(), technique.name()));
    }
}

/// A text that somebody else wrote, on one line: escaped and cut.
pub(crate) fn shown_text(text: &str) -> String {
    shown(text.as_bytes())
}

/// Bytes on one line, escaped and cut.
fn shown(bytes: &[u8]) -> String {
    fit(&escape(&bytes[..bytes.len().min(4 * TEXT_LIMIT)]).to_string(), TEXT_LIMIT)
}
