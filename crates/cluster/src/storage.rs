//! The list of containers that Podman and CRI-O keep on disk (`containers/storage`). Podman runs without a
//! daemon, so on most hosts this is the only one to tell a container's name and image. It has no labels.

use crate::metadata::text;
use crate::source::SourceError;
use crate::state::{expand, read_json};
use evidence::{Container, Timestamp};
use serde::Deserialize;
use std::path::PathBuf;

/// Some 1 KiB for each container, running or not.
const FILE_MAX_BYTES: usize = 4 << 20;

/// Looks for the container in the list of each storage folder and each of its drivers.
pub(crate) fn find(folders: &[PathBuf], id: &str) -> Result<Option<Container>, SourceError> {
    for folder in folders.iter().flat_map(|pattern| expand(pattern)) {
        for driver in ["overlay", "vfs", "btrfs"] {
            let path = folder.join(format!("{driver}-containers/containers.json"));
            match read_json::<Vec<Record>>(&path, FILE_MAX_BYTES) {
                Ok((records, _)) => {
                    if let Some(record) = records.into_iter().find(|record| record.id == id) {
                        return Ok(Some(record.into_container()));
                    }
                }
                Err(SourceError::Absent) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(None)
}

#[derive(Deserialize)]
struct Record {
    id: String,
    names: Option<Vec<String>>,
    image: Option<String>,
    /// JSON within JSON; its shape is the engine's own.
    metadata: Option<String>,
    created: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case", default)]
struct EngineMetadata {
    image_name: String,
    /// Podman's name of the container.
    name: String,
    /// CRI-O's: the name in the Pod.
    metadata_name: String,
}

impl Record {
    fn into_container(self) -> Container {
        let metadata: EngineMetadata =
            self.metadata.and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default();
        let first_name = self.names.and_then(|names| names.into_iter().next());
        let mut container = Container::pending(self.id, None);
        container.name = text(metadata.metadata_name).or(text(metadata.name)).or(first_name.and_then(text));
        container.image = text(metadata.image_name);
        container.image_id = self.image.and_then(text).map(|id| format!("sha256:{id}"));
        container.created_at = self.created.as_deref().and_then(Timestamp::parse);
        container
    }
}
