//! A finding in plain words: what happened, and what to do next, for an analyst who was just woken.
//!
//! Owns: the sentences, in English, and the rule of what may stand in a command that somebody pastes.
//! Refuses: layout. Each text is one line, safe on a terminal: what a container wrote is escaped and cut.

use crate::scc::Place;
use crate::text::escape;
use crate::{
    Capture, Container, Content, Drift, Finding, Gap, Judged, Language, Metadata, Reason, Runtime, Script,
    ScriptKind, Subject, Tactic, Technique, Timestamp, Verdict,
};
use std::collections::BTreeSet;
use std::fmt;

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What, as a sentence.
    pub text: String,
    /// The command that does it.
    pub command: Option<String>,
    /// Pages to read.
    pub links: Vec<String>,
}

impl Step {
    fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), command: None, links: Vec::new() }
    }

    fn with_command(text: impl Into<String>, command: impl Into<String>) -> Self {
        Self { command: Some(command.into()), ..Self::new(text) }
    }
}

impl fmt::Display for Step {
    /// All on one line: the sentence, then the command or the links.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        self.command.iter().chain(&self.links).try_for_each(|more| write!(f, " {more}"))
    }
}

/// Characters of one escaped text within a sentence.
const TEXT_LIMIT: usize = 256;

/// Reasons that the description names; the card and the JSON list more.
const REASONS_NAMED: usize = 3;

/// What ran, where, why it is malicious, whether it came with the image, and how sure all this is; or what kept urva
/// from seeing.
pub fn description(finding: &Finding, place: &Place) -> String {
    let mut sentences = match &finding.subject {
        Subject::Script(judged) => about_script(judged, place),
        Subject::Gap { gap } => about_gap(gap, place),
    };
    if finding.count > 1 {
        let what = if finding.script().is_some() { "It was executed" } else { "This happened" };
        sentences.push(format!(
            "{what} {} times from {} to {}.",
            finding.count, finding.first_seen, finding.last_seen
        ));
    }
    sentences.join(" ")
}

/// What to do, in this order.
pub fn next_steps(finding: &Finding, place: &Place) -> Vec<Step> {
    match &finding.subject {
        Subject::Script(judged) => steps_after_script(finding, judged, place),
        Subject::Gap { gap } => steps_after_gap(finding, gap, place),
    }
}

fn about_script(judged: &Judged, place: &Place) -> Vec<String> {
    let mut sentences = vec![what_ran(judged), where_it_ran(&judged.capture, place)];
    sentences.push(why(judged));
    if judged.capture.container.is_some() {
        sentences.push(origin(&judged.capture.script));
    }
    sentences.push(completeness(&judged.capture));
    sentences.extend(unseen(&judged.verdict));
    sentences
}

fn steps_after_script(finding: &Finding, judged: &Judged, place: &Place) -> Vec<Step> {
    let container = judged.capture.container.as_ref();
    let mut steps = vec![read_the_script(finding, judged)];
    if let Some(container) = container {
        steps.push(look_nearby(container));
        steps.extend(open_a_shell(judged, container));
    }
    steps.push(research(judged));
    steps.extend(container.map(|container| make_immutable(judged, container)));
    steps.push(replace(container, place));
    if shows(judged, Tactic::CredentialAccess) || shows(judged, Tactic::Exfiltration) {
        steps.push(Step::new(
            "Replace every password, token and key that the container could read: the script reaches for them.",
        ));
    }
    steps
}

/// What happened to urva, in a few words.
pub fn impairment(gap: &Gap) -> String {
    cut(&gap.detail)
}

fn about_gap(gap: &Gap, place: &Place) -> Vec<String> {
    let mut sentences = vec![
        format!("urva was kept from seeing what runs on node {}: {}.", cut(&place.node), impairment(gap)),
        format!("This was from {} to {}.", gap.from, gap.to),
    ];
    sentences.push(match gap.lost {
        Some(0) => "Nothing is known to be lost.".to_owned(),
        Some(lost) => format!("{lost} executions are known to be lost."),
        None => "How much went unseen is not known.".to_owned(),
    });
    sentences
}

/// Ten minutes before a time, in seconds since 1970.
fn before(time: Timestamp) -> u64 {
    (time.0 / 1_000_000_000).saturating_sub(600)
}

fn steps_after_gap(finding: &Finding, gap: &Gap, place: &Place) -> Vec<Step> {
    let mut steps = vec![
        Step::new(format!(
            "Find out whether it was meant: an administrator's work on node {}, a full machine, or a crash.",
            cut(&place.node)
        )),
        Step::with_command(
            format!(
                "If nobody meant it, somebody with root on the node did it. Look at what was found before {}:",
                gap.to
            ),
            "urva findings list",
        ),
        Step::with_command(
            "Look at who became root before that, and what they did:",
            format!("journalctl --since=@{} _COMM=sudo + _COMM=sshd + _COMM=su", before(gap.from)),
        ),
    ];
    steps.push(Step {
        links: vec![Technique::ImpairDefenses.url()],
        ..Step::new("Research the technique at MITRE ATT&CK:")
    });
    steps.push(Step::new(format!(
        "If it was not meant: contact the owner of project {}, and take the node out of service. Executions in that time were not judged, so trust nothing that ran on it (finding {}).",
        cut(&place.project_display_name),
        finding.id
    )));
    steps
}

/// The script in a few words: its path, or how its text was given.
pub fn script_name(script: &Script) -> String {
    let path = script.path.as_deref().map(shown);
    match script.kind {
        ScriptKind::File => path.unwrap_or_else(|| "a file of unknown path".to_owned()),
        ScriptKind::Module => match &script.module {
            Some(module) => format!("the module {}", shown(module)),
            None => path.unwrap_or_else(|| "a module of unknown name".to_owned()),
        },
        ScriptKind::Inline => "program text on the command line (-c)".to_owned(),
        ScriptKind::Stdin => "program text on standard input".to_owned(),
        ScriptKind::Interactive => "program text typed at a prompt".to_owned(),
        ScriptKind::Compiled => "program text that was compiled at run time".to_owned(),
    }
}

/// A command that opens a shell in the container, for the runtime that runs it. None where the names are unknown,
/// or are such that a shell would read more than a name in them.
pub fn shell_command(container: &Container) -> Option<String> {
    if let Some(pod) = &container.pod {
        let namespace = word(pod.namespace.as_deref()?)?;
        let name = word(pod.name.as_deref()?)?;
        let container = word(container.name.as_deref()?)?;
        return Some(format!("kubectl exec --namespace={namespace} -ti {name} -c {container} -- /bin/sh"));
    }
    let id = word(&container.id)?;
    Some(match container.runtime? {
        Runtime::Docker => format!("docker exec -ti {id} /bin/sh"),
        Runtime::Podman => format!("podman exec -ti {id} /bin/sh"),
        Runtime::Runc => format!("runc exec -t {id} /bin/sh"),
        Runtime::Containerd | Runtime::Crio => format!("crictl exec -ti {id} /bin/sh"),
    })
}

fn what_ran(judged: &Judged) -> String {
    let language = match judged.verdict.language {
        Language::Python => "Python",
        Language::Shell => "shell",
    };
    let process = &judged.capture.process;
    format!(
        "A machine-learning model identified executed {language} code as malicious: {} ({}, process {}, user {}) ran {}.",
        shown(&process.executable.path),
        judged.capture.interpreter.family,
        process.pid,
        process.uid,
        script_name(&judged.capture.script)
    )
}

fn where_it_ran(capture: &Capture, place: &Place) -> String {
    let Some(container) = &capture.container else {
        return format!("It ran on the host {} itself, in no container.", cut(&place.node));
    };
    let mut text = format!("It ran in container {}", container_name(container));
    if let Some(image) = &container.image {
        text += &format!(" (image {})", cut(image));
    }
    if let Some(pod) = &container.pod
        && let Some(name) = &pod.name
    {
        let namespace = pod.namespace.as_deref().unwrap_or("?");
        text += &format!(" of Pod {}/{}", cut(namespace), cut(name));
    }
    text += &format!(" on node {}, cluster {}.", cut(&place.node), cut(&place.cluster));
    match &container.metadata {
        Metadata::Complete => {}
        Metadata::Pending => text += " The container's metadata is not known yet.",
        Metadata::Missing(reason) => {
            text += &format!(" The container's metadata is missing: {}.", cut(reason))
        }
    }
    text
}

fn why(judged: &Judged) -> String {
    let verdict = &judged.verdict;
    let mut text = format!(
        "Model {} gives it a score of {:.3}, malicious from {:.3} on",
        cut(&verdict.model),
        verdict.score,
        verdict.threshold
    );
    let reasons: Vec<String> =
        verdict.reasons.iter().take(REASONS_NAMED).map(|reason| named_reason(verdict, reason)).collect();
    if !reasons.is_empty() {
        text += &format!(", since it {}", reasons.join("; "));
    }
    text + "."
}

fn named_reason(verdict: &Verdict, reason: &Reason) -> String {
    match verdict.place(reason) {
        Some(place) => format!("{} ({})", cut(&reason.indicator), cut(&place)),
        None => cut(&reason.indicator),
    }
}

fn origin(script: &Script) -> String {
    match &script.drift {
        Drift::NotAFile => {
            "It has no file: its text was given on the command line or over standard input.".to_owned()
        }
        Drift::Image => "The script came with the image.".to_owned(),
        Drift::Unknown(reason) => {
            format!("Whether the script came with the image is unknown: {}.", cut(reason))
        }
        Drift::WritableLayer => {
            "The script did not come with the image (drift): it was written at run time, into the container's writable layer.".to_owned()
        }
        Drift::Memory => {
            "The script did not come with the image (drift): it was written at run time, in memory only.".to_owned()
        }
        Drift::Volume(mount) => {
            format!("The script did not come with the image (drift): it lies on the volume {}.", shown(mount))
        }
    }
}

fn completeness(capture: &Capture) -> String {
    if capture.coverage.is_empty() {
        return "The capture is complete.".to_owned();
    }
    let notes: Vec<String> = capture.coverage.iter().map(|note| cut(&note.to_string())).collect();
    format!("The capture is not complete: {}.", notes.join("; "))
}

fn unseen(verdict: &Verdict) -> Option<String> {
    let parts: Vec<String> = verdict.unseen.iter().map(ToString::to_string).collect();
    (!parts.is_empty()).then(|| format!("The verdict is not complete: {}.", parts.join("; ")))
}

fn read_the_script(finding: &Finding, judged: &Judged) -> Step {
    let text = match judged.capture.script.content {
        Content::Whole(_) => "Read the script and the reasons:",
        Content::HeadAndTail { .. } => {
            "Read the script and the reasons. It is cut: fetch the whole file before the container is gone."
        }
        Content::NotCaptured(_) => {
            "Fetch the script before the container is gone: its text was not captured. Read the reasons:"
        }
    };
    Step::with_command(text, format!("urva findings show {}", finding.id))
}

fn look_nearby(container: &Container) -> Step {
    let command = match word(container.short_id()) {
        Some(id) => format!("urva findings list --container {id}"),
        None => "urva findings list".to_owned(),
    };
    Step::with_command("Look for other findings of this container at a similar time:", command)
}

fn open_a_shell(judged: &Judged, container: &Container) -> Vec<Step> {
    let pid = judged.capture.process.pid;
    let Some(command) = shell_command(container) else {
        return vec![Step::with_command(
            format!(
                "If the container still runs, look around in it. Its name is unknown or unfit for a command; on the node, as long as process {pid} lives:"
            ),
            format!("nsenter --target {pid} --all /bin/sh"),
        )];
    };
    let mut steps = vec![Step::with_command("If the container still runs, look around in it:", command)];
    if let Some((namespace, pod)) = pod_words(container)
        && let Some(target) = container.name.as_deref().and_then(word)
    {
        steps.push(Step::with_command(
            "If its image has no /bin/sh, bring one along:",
            format!(
                "kubectl debug --namespace={namespace} -ti {pod} --target={target} --image=busybox -- /bin/sh"
            ),
        ));
    }
    steps
}

/// Namespace and name of the Pod, where both can stand in a command.
fn pod_words(container: &Container) -> Option<(&str, &str)> {
    let pod = container.pod.as_ref()?;
    Some((word(pod.namespace.as_deref()?)?, word(pod.name.as_deref()?)?))
}

fn research(judged: &Judged) -> Step {
    let mut techniques: BTreeSet<Technique> =
        judged.verdict.reasons.iter().filter_map(|reason| reason.technique).collect();
    techniques.insert(Technique::CommandAndScriptingInterpreter);
    let virustotal = crate::scc::virustotal_url(judged);
    let text = match virustotal {
        Some(_) => "Research the techniques at MITRE ATT&CK and the script's hash at VirusTotal:",
        None => {
            "Research the techniques at MITRE ATT&CK (the hash of the whole script is not known, so there is no link to VirusTotal):"
        }
    };
    let links = techniques.into_iter().map(Technique::url).chain(virustotal).collect();
    Step { links, ..Step::new(text) }
}

fn make_immutable(judged: &Judged, container: &Container) -> Step {
    let image = container
        .image
        .as_deref()
        .map_or_else(|| "its image".to_owned(), |image| format!("the image {}", cut(image)));
    let script = &judged.capture.script;
    let fetches =
        judged.verdict.reasons.iter().any(|reason| reason.technique == Some(Technique::IngressToolTransfer));
    let what = match (script.drift.is_added(), fetches) {
        (_, true) => "the tools that the script fetches, so that it need not run",
        (Some(true), false) => "the script itself and whatever it changes",
        _ => "whatever the script changes, so that it need not run",
    };
    Step::new(format!(
        "If the script made intended changes: rebuild {image} with {what}. Then the container can be immutable."
    ))
}

fn replace(container: Option<&Container>, place: &Place) -> Step {
    let owner = cut(&place.project_display_name);
    let Some(container) = container else {
        return Step::new(format!(
            "Otherwise: contact the owner of project {owner}, and take the host out of service before you repair it."
        ));
    };
    let text = format!(
        "Otherwise: contact the owner of project {owner}, save what you need as evidence, then stop or delete the container and replace it with a new one"
    );
    match pod_words(container) {
        Some((namespace, pod)) => {
            Step::with_command(text + ":", format!("kubectl delete pod --namespace={namespace} {pod}"))
        }
        None => Step::new(text + "."),
    }
}

fn shows(judged: &Judged, tactic: Tactic) -> bool {
    judged.verdict.reasons.iter().filter_map(|reason| reason.technique).any(|shown| shown.tactic() == tactic)
}

fn container_name(container: &Container) -> String {
    match &container.name {
        Some(name) if *name != container.id => format!("{} ({})", cut(name), cut(container.short_id())),
        // Plain runc's ids are names that somebody chose, so all of it.
        _ => cut(&container.id),
    }
}

/// A name that a shell reads as one word and no program as an option; as Kubernetes and runtimes allow them.
fn word(name: &str) -> Option<&str> {
    let is_fit = name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.len() <= 253
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    is_fit.then_some(name)
}

fn cut(text: &str) -> String {
    shown(text.as_bytes())
}

/// Bytes on one line, escaped and cut.
fn shown(bytes: &[u8]) -> String {
    let escaped = escape(&bytes[..bytes.len().min(4 * TEXT_LIMIT)]).to_string();
    match escaped.char_indices().nth(TEXT_LIMIT) {
        Some((end, _)) => format!("{}…", &escaped[..end]),
        None => escaped,
    }
}
