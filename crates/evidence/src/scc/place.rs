//! Where it ran, in the protocol's names: finding, source, cluster, node, Pod, container.

use super::types::{Container, GcpMetadata, Kubernetes, Label, Node, Pod, Resource};
use super::{SHORT_TEXT_LIMIT, prefix};
use crate::FindingId;
use std::collections::BTreeMap;

/// What the operator says about the place that urva watches; none of it can be read off a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Organization id; where there is none, names begin with the project.
    pub organization: Option<String>,
    /// Project id.
    pub project: String,
    /// Project number, as it stands in full resource names.
    pub project_number: String,
    /// Name of the project for people; `resource.gcpMetadata.projectDisplayName`.
    pub project_display_name: String,
    /// Region or zone of the cluster.
    pub location: String,
    /// Name of the cluster.
    pub cluster: String,
    /// Name of the node.
    pub node: String,
    /// Id of the source that findings are filed under.
    pub source: String,
}

impl Default for Place {
    fn default() -> Self {
        Self {
            organization: None,
            project: "local".to_owned(),
            project_number: "0".to_owned(),
            project_display_name: "local".to_owned(),
            location: "local".to_owned(),
            cluster: "local".to_owned(),
            node: "localhost".to_owned(),
            source: "urva".to_owned(),
        }
    }
}

/// Bytes of all labels of one container or Pod together.
const LABELS_LIMIT: usize = 64 * 1024;

impl Place {
    /// Full resource name of the cluster: what the console calls "Resource full name".
    pub fn cluster_name(&self) -> String {
        format!(
            "//container.googleapis.com/projects/{}/locations/{}/clusters/{}",
            self.project_number, self.location, self.cluster
        )
    }

    /// Full resource name of the node, in the form that Kubernetes objects of a cluster have.
    pub fn node_name(&self) -> String {
        format!("{}/k8s/nodes/{}", self.cluster_name(), self.node)
    }

    /// The source that findings are filed under. Findings of one source can lie in several locations of
    /// SCC; `global` is the one without data residency.
    pub(super) fn source_name(&self) -> String {
        match &self.organization {
            Some(organization) => {
                format!("organizations/{organization}/sources/{}/locations/global", self.source)
            }
            None => format!("projects/{}/sources/{}/locations/global", self.project, self.source),
        }
    }

    /// The name of a finding.
    pub fn finding_name(&self, id: &FindingId) -> String {
        format!("{}/findings/{id}", self.source_name())
    }

    /// The name of a finding below its closest ancestor, which is the project, by its number.
    pub(super) fn canonical_finding_name(&self, id: &FindingId) -> String {
        format!("projects/{}/sources/{}/locations/global/findings/{id}", self.project_number, self.source)
    }

    /// The cluster. `cloudProvider` is left out, since it need not be anybody's cloud.
    pub(super) fn resource(&self) -> Resource {
        Resource {
            name: self.cluster_name(),
            display_name: self.cluster.clone(),
            kind: "google.container.Cluster",
            service: "container.googleapis.com",
            location: self.location.clone(),
            gcp_metadata: GcpMetadata {
                project: format!("//cloudresourcemanager.googleapis.com/projects/{}", self.project_number),
                project_display_name: self.project_display_name.clone(),
                organization: self.organization.as_ref().map(|id| format!("organizations/{id}")),
            },
        }
    }

    /// The Pod and its node; nothing where no Kubernetes runs the container.
    pub(super) fn kubernetes(&self, known: &crate::Container) -> Option<Kubernetes> {
        let pod = known.pod.as_ref()?;
        Some(Kubernetes {
            pods: vec![Pod {
                ns: pod.namespace.as_deref().map(bounded),
                name: pod.name.as_deref().map(bounded),
                labels: labels(&pod.labels),
                containers: vec![container(known)],
            }],
            nodes: vec![Node { name: self.node_name() }],
        })
    }
}

/// The container.
pub(super) fn container(known: &crate::Container) -> Container {
    Container {
        name: known.name.as_deref().map(bounded),
        uri: known.image.as_deref().map(bounded),
        image_id: known.image_id.as_deref().map(bounded),
        labels: labels(&known.labels),
        create_time: known.created_at.map(|time| time.to_string()),
    }
}

fn labels(known: &BTreeMap<String, String>) -> Vec<Label> {
    let mut room = LABELS_LIMIT;
    let mut labels = Vec::new();
    for (name, value) in known {
        let label = Label { name: bounded(name), value: bounded(value) };
        let Some(rest) = room.checked_sub(label.name.len() + label.value.len() + 1) else { break };
        room = rest;
        labels.push(label);
    }
    labels
}

fn bounded(text: &str) -> String {
    prefix(text, SHORT_TEXT_LIMIT).to_owned()
}
