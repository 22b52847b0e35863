//! The messages of `google.cloud.securitycenter.v2`, as far as urva has facts for them, with the
//! protocol's own field names. A field without a value is left out, as protobuf's JSON mapping does.

use serde::{Serialize, Serializer};
use std::collections::BTreeMap;

/// `ListFindingsResponse.ListFindingsResult`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListFindingsResult {
    /// What was found.
    pub finding: FindingMessage,
    /// What it was found in.
    pub resource: Resource,
}

/// `Finding`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "the names are the protocol's own")]
pub struct FindingMessage {
    pub name: String,
    pub canonical_name: String,
    pub parent: String,
    pub resource_name: String,
    pub state: &'static str,
    pub category: &'static str,
    pub source_properties: BTreeMap<String, serde_json::Value>,
    pub security_marks: SecurityMarks,
    pub event_time: String,
    pub create_time: String,
    pub severity: &'static str,
    pub mute: &'static str,
    pub finding_class: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub indicator: Option<Indicator>,
    pub mitre_attack: MitreAttack,
    pub processes: Vec<Process>,
    pub parent_display_name: &'static str,
    pub description: String,
    pub next_steps: String,
    pub module_name: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub containers: Vec<Container>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<Kubernetes>,
}

/// `SecurityMarks`; the marks themselves are the user's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "the names are the protocol's own")]
pub struct SecurityMarks {
    pub name: String,
    pub canonical_name: String,
}

/// `Indicator`: addresses that the script names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "the names are the protocol's own")]
pub struct Indicator {
    pub uris: Vec<String>,
}

/// `MitreAttack`, with the names of the protocol's enums.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "the names are the protocol's own")]
pub struct MitreAttack {
    pub primary_tactic: &'static str,
    pub primary_techniques: Vec<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub additional_tactics: Vec<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub additional_techniques: Vec<&'static str>,
}

/// `Process`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "the names are the protocol's own")]
pub struct Process {
    pub name: String,
    pub binary: File,
    pub script: File,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    pub arguments_truncated: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env_variables: Vec<EnvironmentVariable>,
    pub env_variables_truncated: bool,
    pub pid: Int64,
    pub parent_pid: Int64,
    pub user_id: Int64,
}

/// `File`. `sha256` covers exactly the first `hashed_size` bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "the names are the protocol's own")]
pub struct File {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<Int64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hashed_size: Option<Int64>,
    pub partially_hashed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contents: Option<String>,
}

/// `EnvironmentVariable`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the names are the protocol's own")]
pub struct EnvironmentVariable {
    pub name: String,
    pub val: String,
}

/// `Container`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "the names are the protocol's own")]
pub struct Container {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_id: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<Label>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub create_time: Option<String>,
}

/// `Label`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the names are the protocol's own")]
pub struct Label {
    pub name: String,
    pub value: String,
}

/// `Kubernetes`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the names are the protocol's own")]
pub struct Kubernetes {
    pub pods: Vec<Pod>,
    pub nodes: Vec<Node>,
}

/// `Kubernetes.Pod`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the names are the protocol's own")]
pub struct Pod {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ns: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<Label>,
    pub containers: Vec<Container>,
}

/// `Kubernetes.Node`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the names are the protocol's own")]
pub struct Node {
    pub name: String,
}

/// `Resource`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "the names are the protocol's own")]
pub struct Resource {
    pub name: String,
    pub display_name: String,
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub service: &'static str,
    pub location: String,
    pub gcp_metadata: GcpMetadata,
}

/// `GcpMetadata`: in version 2 the project's display name lies here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "the names are the protocol's own")]
pub struct GcpMetadata {
    pub project: String,
    pub project_display_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organization: Option<String>,
}

/// An `int64`, which protobuf's JSON mapping writes as a string; larger numbers become the largest `int64`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Int64(pub u64);

impl Serialize for Int64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0.min(i64::MAX.unsigned_abs()))
    }
}
