//! The state files that runc and crun keep while a container exists. They are there before its first
//! process runs and gone within milliseconds after its last, so they are read before anyone is asked.
//!
//! Trust: those under `/run/user` are written by users, so no file is opened that is a link, a FIFO or a
//! device, none is read beyond its bound, and a file that they name is believed only where the same user owns it.

use crate::metadata::{engine, fill_from_labels, labels, text};
use crate::source::SourceError;
use evidence::{Container, Runtime, Timestamp};
use rustix::fs::OFlags;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs::{File, Metadata, OpenOptions, read_dir};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

/// runc's state of a container with many mounts and a seccomp profile is some 100 KiB.
const FILE_MAX_BYTES: usize = 1 << 20;
/// More folders than this are not looked at for one `*`, nor counted for a report.
const FOLDERS_MAX: usize = 1024;

/// What a state file tells.
#[derive(Debug)]
pub(crate) struct State {
    /// The container, as far as it is told.
    pub(crate) container: Container,
    /// containerd's namespace, where containerd chose the folder.
    pub(crate) namespace: Option<String>,
}

impl State {
    /// Whether it is a container of an engine that keeps `containers/storage`.
    pub(crate) fn has_storage(&self) -> bool {
        matches!(self.container.runtime, Some(Runtime::Podman | Runtime::Crio))
    }
}

/// Looks for the container's state in each folder; an error where the only one that has it is unreadable.
pub(crate) fn find(folders: &[PathBuf], id: &str) -> Result<Option<State>, SourceError> {
    let mut error = None;
    for folder in folders.iter().flat_map(|pattern| expand(pattern)) {
        match read(&folder, id) {
            Ok(state) => return Ok(Some(state)),
            Err(SourceError::Absent) => {}
            Err(other) => error = Some(other),
        }
    }
    error.map_or(Ok(None), Err)
}

/// How many containers have their state below the folder.
pub(crate) fn count(pattern: &Path) -> Result<usize, SourceError> {
    let folders = expand(pattern);
    if folders.is_empty() {
        return Err(SourceError::Absent);
    }
    let mut count = 0;
    for folder in folders {
        count += read_dir(&folder)?.take(FOLDERS_MAX).count();
    }
    Ok(count)
}

/// The folders that the pattern stands for, at present.
pub(crate) fn expand(pattern: &Path) -> Vec<PathBuf> {
    let mut folders = vec![PathBuf::new()];
    for part in pattern.components() {
        if part == Component::Normal("*".as_ref()) {
            folders = folders.iter().flat_map(|folder| entries(folder)).take(FOLDERS_MAX).collect();
        } else {
            folders.iter_mut().for_each(|folder| folder.push(part));
        }
    }
    folders.retain(|folder| folder.is_dir());
    folders
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = read_dir(folder).into_iter().flatten().take(FOLDERS_MAX);
    entries.filter_map(Result::ok).map(|entry| entry.path()).collect()
}

fn read(folder: &Path, id: &str) -> Result<State, SourceError> {
    let own = folder.join(id);
    let (created, labels) = match read_json::<RuncState>(&own.join("state.json"), FILE_MAX_BYTES) {
        Ok((state, _)) => (state.created, state.config.labels()),
        Err(SourceError::Absent) => {
            let (status, owner) = read_json::<CrunStatus>(&own.join("status"), FILE_MAX_BYTES)?;
            (status.created.clone(), status.annotations(owner.uid()))
        }
        Err(error) => return Err(error),
    };
    let mut container = Container::pending(id, Some(runtime(folder, &labels)));
    container.created_at = created.as_deref().and_then(Timestamp::parse);
    fill_from_labels(&mut container, &labels);
    // Engines give random ids; a person who runs runc gives a name.
    if container.name.is_none() && !is_random(id) {
        container.name = text(id.to_owned());
    }
    container.labels = labels;
    Ok(State { container, namespace: namespace(folder) })
}

/// Who started it: what the labels say, else who chose the folder.
fn runtime(folder: &Path, labels: &BTreeMap<String, String>) -> Runtime {
    let path = folder.to_string_lossy();
    let by_folder = if path.ends_with("/moby") || path.contains("/docker/") {
        Runtime::Docker
    } else if path.contains("/containerd/") {
        Runtime::Containerd
    } else {
        Runtime::Runc
    };
    engine(labels).unwrap_or(by_folder)
}

/// containerd keeps its containers' state in `…/runc/NAMESPACE`.
fn namespace(folder: &Path) -> Option<String> {
    let parent = folder.parent()?;
    (parent.ends_with("containerd/runc"))
        .then(|| folder.file_name())?
        .map(|name| name.to_string_lossy().into())
}

fn is_random(id: &str) -> bool {
    id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

pub(crate) fn read_json<T: for<'de> Deserialize<'de>>(
    path: &Path,
    max_bytes: usize,
) -> Result<(T, Metadata), SourceError> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(SourceError::Undecodable(format!("{} is no regular file", path.display())));
    }
    let bytes = read_bounded(&file, max_bytes)?;
    let value = serde_json::from_slice(&bytes)
        .map_err(|error| SourceError::Undecodable(format!("{}: {error}", path.display())))?;
    Ok((value, metadata))
}

fn read_bounded(file: &File, max_bytes: usize) -> Result<Vec<u8>, SourceError> {
    let mut bytes = Vec::new();
    file.take(max_bytes as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > max_bytes {
        return Err(SourceError::TooLarge(max_bytes));
    }
    Ok(bytes)
}

/// runc's `state.json`; see `libcontainer.State`.
#[derive(Deserialize)]
struct RuncState {
    created: Option<String>,
    config: RuncConfig,
}

#[derive(Deserialize)]
struct RuncConfig {
    labels: Option<Vec<String>>,
}

impl RuncConfig {
    /// runc writes the annotations of `config.json` as `KEY=VALUE`, and adds the bundle.
    fn labels(self) -> BTreeMap<String, String> {
        let pairs = self.labels.unwrap_or_default();
        let pairs = pairs.iter().filter_map(|pair| pair.split_once('=')).filter(|(key, _)| *key != "bundle");
        labels(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())))
    }
}

/// crun's `status`; see its `libcrun_write_container_status`.
#[derive(Deserialize)]
struct CrunStatus {
    created: Option<String>,
    bundle: Option<PathBuf>,
}

#[derive(Deserialize)]
struct OciConfig {
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

impl CrunStatus {
    /// crun leaves the annotations in the bundle; an unreadable one leaves them unknown.
    fn annotations(&self, owner: u32) -> BTreeMap<String, String> {
        let config = self
            .bundle
            .as_ref()
            .map(|bundle| read_json::<OciConfig>(&bundle.join("config.json"), FILE_MAX_BYTES));
        match config {
            Some(Ok((config, metadata))) if metadata.uid() == owner => labels(config.annotations),
            _ => BTreeMap::new(),
        }
    }
}
