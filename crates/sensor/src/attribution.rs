//! Which container a process belongs to, from its cgroup.

use crate::assemble::Exec;
use crate::cgroup::{ContainerRef, containers_of, containers_of_path};
use evidence::{Container, Pod, Timestamp};
use std::path::PathBuf;

/// Where cgroup hierarchies are mounted, seen from the host.
const HIERARCHIES: [&str; 4] =
    ["/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/pids", "/sys/fs/cgroup/memory"];
/// Processes of a container that are tried where the one in question has ended.
const SIBLINGS_MAX: usize = 8;

/// A container and where its cgroup lies.
#[derive(Debug, Clone)]
pub(crate) struct Attributed {
    pub(crate) container: Container,
    /// Whether the path leaves no doubt; see [`ContainerRef::certain`].
    pub(crate) certain: bool,
    directory: Option<PathBuf>,
}

/// The container of the process that was executed, or `None` for a process of the host.
pub(crate) fn attribute(exec: &Exec) -> Option<Attributed> {
    of_path(&exec.cgroup).or_else(|| {
        let text = std::fs::read(format!("/proc/{}/cgroup", exec.header.pid)).ok()?;
        containers_of(&text).into_iter().next().map(attributed)
    })
}

fn of_path(cgroup: &[u8]) -> Option<Attributed> {
    containers_of_path(cgroup).into_iter().next().map(attributed)
}

/// The container that a cgroup's path names, from the path alone. `is_contained` says that the process is known to be
/// in one, whatever the path looks like.
pub(crate) fn named(cgroup: &[u8], is_contained: bool) -> Option<Container> {
    let found = containers_of_path(cgroup).into_iter().next()?;
    (found.certain || is_contained).then(|| pending(&found))
}

fn pending(found: &ContainerRef) -> Container {
    let mut container = Container::pending(found.id.clone(), found.runtime);
    container.pod = found.pod_uid.clone().map(|uid| Pod { uid: Some(uid), ..Pod::default() });
    container
}

fn attributed(found: ContainerRef) -> Attributed {
    let container = pending(&found);
    let path = found.cgroup.trim_start_matches('/');
    let directory = HIERARCHIES.iter().map(|top| PathBuf::from(top).join(path)).find(|path| path.is_dir());
    Attributed { container, certain: found.certain, directory }
}

impl Attributed {
    /// When the container's cgroup was made: a little before its first process.
    pub(crate) fn since(&self) -> Option<Timestamp> {
        let stat = rustix::fs::stat(self.directory.as_ref()?).ok()?;
        // A cgroup directory's times are set when it is made; children change none of them.
        Some(crate::file::identity(&stat).changed_at)
    }

    /// Other processes of the container, through which its files can still be seen.
    pub(crate) fn siblings(&self) -> Vec<u32> {
        let Some(directory) = &self.directory else { return Vec::new() };
        let processes = std::fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
        processes.lines().filter_map(|line| line.parse().ok()).take(SIBLINGS_MAX).collect()
    }
}
