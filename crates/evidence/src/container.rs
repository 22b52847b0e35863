//! Where it ran: the container, and the Pod that it belongs to.

use crate::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// A container, as far as it is known at the time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// The runtime's id; 64 hexadecimal digits for most, a chosen name for plain runc.
    pub id: String,
    /// Who runs it, as its cgroup path or its metadata tells.
    pub runtime: Option<Runtime>,
    /// The name that people know it by.
    pub name: Option<String>,
    /// Image reference, `registry/repository:tag`.
    pub image: Option<String>,
    /// Image id or digest, `sha256:…`.
    pub image_id: Option<String>,
    /// Labels of the container.
    pub labels: BTreeMap<String, String>,
    /// When the runtime created it.
    pub created_at: Option<Timestamp>,
    /// The Pod, where Kubernetes runs it.
    pub pod: Option<Pod>,
    /// Whether the fields above are all that will be known.
    pub metadata: Metadata,
}

/// The Pod of a container, from the labels that kubelet gives each container.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Pod {
    /// Kubernetes' unique id of the Pod.
    pub uid: Option<String>,
    /// Namespace of the Pod; unknown where only the cgroup path told of a Pod.
    pub namespace: Option<String>,
    /// Name of the Pod.
    pub name: Option<String>,
    /// Labels of the Pod.
    pub labels: BTreeMap<String, String>,
}

/// Container runtimes whose cgroup paths urva reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Runtime {
    /// runc, started by hand or by an unknown engine.
    Runc,
    /// containerd, under Kubernetes or alone.
    Containerd,
    /// Docker Engine.
    Docker,
    /// Podman.
    Podman,
    /// CRI-O.
    Crio,
}

/// How complete a container's metadata is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Metadata {
    /// The runtime has not answered yet; a later message completes it.
    Pending,
    /// The runtime answered; absent fields do not exist.
    Complete,
    /// No runtime could be asked, or none knew the container; the reason in plain words.
    Missing(String),
}

impl Container {
    /// A container of which only the cgroup path is known.
    pub fn pending(id: impl Into<String>, runtime: Option<Runtime>) -> Self {
        Self {
            id: id.into(),
            runtime,
            name: None,
            image: None,
            image_id: None,
            labels: BTreeMap::new(),
            created_at: None,
            pod: None,
            metadata: Metadata::Pending,
        }
    }

    /// The first twelve characters of the id, as the runtimes' own tools show it.
    pub fn short_id(&self) -> &str {
        self.id.char_indices().nth(12).map_or(&self.id, |(end, _)| &self.id[..end])
    }
}

impl fmt::Display for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Runc => "runc",
            Self::Containerd => "containerd",
            Self::Docker => "Docker",
            Self::Podman => "Podman",
            Self::Crio => "CRI-O",
        })
    }
}
