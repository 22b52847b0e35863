//! A finding as Security Command Center writes it: `ListFindingsResult {finding, resource}` of
//! `google.cloud.securitycenter.v2`, in the protocol's JSON mapping (camelCase, 64-bit integers as strings,
//! enum values by name).
//!
//! Owns: which fact goes into which field, and how much of a container's text may go there.
//! Refuses: storing, and every field that urva has no fact for (those are left out, as the mapping leaves
//! out default values).
//!
//! ```text
//! Finding ─┬─▶ finding.processes[]    process     what ran, the script's text and its hashes
//!          ├─▶ finding.containers[]   place       where it ran, the names of finding and resource
//!          ├─▶ finding.mitreAttack    mitre       techniques that the protocol has names for
//!          └─▶ sourceProperties       properties  all that the protocol has no field for
//! ```

mod mitre;
mod place;
mod process;
mod properties;
mod types;

pub use place::Place;
pub use properties::virustotal_url;
pub use types::{
    Container, EnvironmentVariable, File, FindingMessage, GcpMetadata, Indicator, Int64, Kubernetes, Label,
    ListFindingsResult, MitreAttack, Node, Pod, Process, Resource, SecurityMarks,
};

use crate::{Finding, Untrusted, guidance};

/// How much of a container's text a finding carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of `script.contents`.
    pub contents: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { contents: 64 * 1024 }
    }
}

/// Bytes of any one name, path or other short text.
const SHORT_TEXT_LIMIT: usize = 4096;

/// Name of the source of findings, as people see it.
const SOURCE_DISPLAY_NAME: &str = "urva";

/// Writes a finding in the protocol's shape.
pub fn result(finding: &Finding, place: &Place, limits: Limits) -> ListFindingsResult {
    ListFindingsResult { finding: message(finding, place, limits), resource: place.resource() }
}

fn message(finding: &Finding, place: &Place, limits: Limits) -> FindingMessage {
    let name = place.finding_name(&finding.id);
    let canonical_name = place.canonical_finding_name(&finding.id);
    let container = finding.container();
    let capture = finding.script().map(|judged| &judged.capture);
    FindingMessage {
        parent: place.source_name(),
        resource_name: place.cluster_name(),
        state: finding.state.as_str(),
        category: finding.category.display_name(),
        source_properties: properties::of(finding, place),
        security_marks: SecurityMarks {
            name: format!("{name}/securityMarks"),
            canonical_name: format!("{canonical_name}/securityMarks"),
        },
        name,
        canonical_name,
        event_time: finding.last_seen.to_string(),
        create_time: finding.first_seen.to_string(),
        severity: finding.category.severity(),
        mute: "UNDEFINED",
        finding_class: "THREAT",
        indicator: capture.and_then(process::indicator),
        mitre_attack: mitre::attack(finding),
        processes: capture.map(|capture| process::of(capture, limits)).into_iter().collect(),
        parent_display_name: SOURCE_DISPLAY_NAME,
        description: guidance::description(finding, place),
        next_steps: next_steps(finding, place),
        module_name: finding.category.module_name(),
        containers: container.map(place::container).into_iter().collect(),
        kubernetes: container.and_then(|container| place.kubernetes(container)),
    }
}

/// The steps as numbered lines.
fn next_steps(finding: &Finding, place: &Place) -> String {
    let steps = guidance::next_steps(finding, place);
    let lines: Vec<String> =
        steps.iter().enumerate().map(|(index, step)| format!("{}. {step}", index + 1)).collect();
    lines.join("\n")
}

/// A prefix of `text` of at most `limit` bytes that ends between two characters.
fn prefix(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}

/// Bytes of a container as a short text.
fn short(text: &Untrusted) -> String {
    prefix(&text.to_text(), SHORT_TEXT_LIMIT).to_owned()
}
