//! Where the runtimes are looked for.

use serde::Deserialize;
use std::path::PathBuf;
use std::time::Duration;

/// Paths of the runtimes' sockets and state folders. What does not exist is passed over.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RuntimeSettings {
    /// Sockets that speak the Container Runtime Interface, containerd's API, or both.
    pub cri_sockets: Vec<PathBuf>,
    /// Sockets that speak Docker Engine's HTTP API, as Podman's does.
    pub docker_sockets: Vec<PathBuf>,
    /// Folders in which runc or crun keeps a folder for each container; `*` stands for any one name.
    /// Those that belong to users come last: the first that knows a container is believed.
    pub state_folders: Vec<PathBuf>,
    /// Folders in which Podman and CRI-O keep their storage; `*` as above.
    pub storage_folders: Vec<PathBuf>,
    /// How long one source may take to answer, in milliseconds.
    pub timeout_ms: u64,
}

impl Default for RuntimeSettings {
    fn default() -> Self {
        let paths = |paths: &[&str]| paths.iter().map(PathBuf::from).collect();
        Self {
            cri_sockets: paths(&[
                "/run/containerd/containerd.sock",
                "/run/k3s/containerd/containerd.sock",
                "/run/crio/crio.sock",
                "/var/run/crio/crio.sock",
            ]),
            docker_sockets: paths(&["/run/docker.sock", "/var/run/docker.sock", "/run/podman/podman.sock"]),
            state_folders: paths(&[
                "/run/runc",
                "/run/containerd/runc/*",
                "/run/docker/runtime-runc/*",
                "/run/crun",
                "/run/user/*/runc",
                "/run/user/*/crun",
                "/run/user/*/docker/runtime-runc/*",
            ]),
            storage_folders: paths(&[
                "/var/lib/containers/storage",
                "/home/*/.local/share/containers/storage",
            ]),
            timeout_ms: 500,
        }
    }
}

impl RuntimeSettings {
    /// No source at all; for tests that add their own.
    pub fn none() -> Self {
        Self {
            cri_sockets: vec![],
            docker_sockets: vec![],
            state_folders: vec![],
            storage_folders: vec![],
            ..Self::default()
        }
    }

    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }
}

/// The paths in their order, without those that lead to the same place as an earlier one: `/var/run` is a
/// link to `/run` nearly everywhere. A path that does not exist yet is kept, unless its folder tells.
pub(crate) fn distinct(paths: &[PathBuf]) -> Vec<PathBuf> {
    let mut real = Vec::new();
    for path in paths {
        let place = real_place(path);
        if !real.contains(&place) {
            real.push(place);
        }
    }
    real
}

/// Resolves the longest part of the path that exists.
fn real_place(path: &std::path::Path) -> PathBuf {
    for ancestor in path.ancestors() {
        if let (Ok(real), Ok(rest)) = (ancestor.canonicalize(), path.strip_prefix(ancestor)) {
            return if rest.as_os_str().is_empty() { real } else { real.join(rest) };
        }
    }
    path.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_ways_to_one_socket_are_one_source() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().canonicalize().unwrap();
        std::fs::create_dir(real.join("run")).unwrap();
        std::os::unix::fs::symlink("run", real.join("var-run")).unwrap();
        let paths =
            ["run/docker.sock", "var-run/docker.sock", "run/crio/crio.sock", "var-run/crio/crio.sock"];
        let distinct = distinct(&paths.map(|path| folder.path().join(path)));
        assert_eq!(distinct, ["run/docker.sock", "run/crio/crio.sock"].map(|path| real.join(path)));
    }
}
