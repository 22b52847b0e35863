//! Tells the container from the path of a process's cgroup.
//!
//! Owns: the path shapes of runc, containerd and its CRI plugin, Docker, Podman and CRI-O, under the cgroupfs and
//! the systemd driver, in v1, v2 and hybrid hierarchies.
//! Refuses: reading `/proc` or `/sys`, and asking a runtime.
//!
//! Guarantee: the path of a process in a container names the container, however deep in its own sub-cgroups the
//! process sits. Blind spot: who may write to the cgroup file system of a container can make sub-cgroups in it,
//! named like containers, and the innermost name wins, as it must for Docker in Docker. So [`containers_of`] gives
//! the enclosing containers too: where no runtime knows the innermost, the next one is the true one.

use evidence::Runtime;

/// A container as a cgroup path names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerRef {
    /// The runtime's id.
    pub id: String,
    /// Who runs it, where the path tells. `Containerd` for a bare id under `kubepods` is what is usual there.
    pub runtime: Option<Runtime>,
    /// Kubernetes' unique id of the Pod, with dashes.
    pub pod_uid: Option<String>,
    /// The cgroup of the container itself, without what lies below; absolute in its hierarchy.
    pub cgroup: String,
    /// Whether the shape of the path leaves no doubt. Plain runc takes any name for an id and puts it where a
    /// host's own cgroups are, so such a reference holds only if runc has a container of this id.
    pub certain: bool,
}

/// Most containers that are given for one process.
const NESTED_MAX: usize = 8;
/// Longest text of `/proc/PID/cgroup` that is read; a line has at most 4,096 bytes of path.
const TEXT_MAX: usize = 256 * 1024;
/// Most lines: the kernel has 14 controllers, and named hierarchies are rare.
const LINES_MAX: usize = 64;
/// Most components of a path.
const DEPTH_MAX: usize = 256;
/// Longest id that is taken for one of runc's.
const RUNC_ID_MAX: usize = 255;

/// The prefixes that engines put before an id in the name of a cgroup.
const PREFIXES: [(&str, Option<Runtime>); 6] = [
    ("docker", Some(Runtime::Docker)),
    ("cri-containerd", Some(Runtime::Containerd)),
    ("nerdctl", Some(Runtime::Containerd)),
    ("crio", Some(Runtime::Crio)),
    ("libpod", Some(Runtime::Podman)),
    ("runc", Some(Runtime::Runc)),
];

/// Endings of systemd's units that can have a cgroup: such a name is no runc id.
const UNITS: [&str; 6] = [".slice", ".service", ".scope", ".mount", ".socket", ".swap"];

/// Folders in which engines put their containers.
const FOLDERS: [&str; 9] = [
    "docker",
    "buildx",
    "kubepods",
    "burstable",
    "besteffort",
    "guaranteed",
    "libpod_parent",
    "default",
    "k8s.io",
];

/// The innermost container of a process, from the text of its `/proc/PID/cgroup`; None for a process of the host.
pub fn container_of(proc_cgroup: &[u8]) -> Option<ContainerRef> {
    containers_of(proc_cgroup).into_iter().next()
}

/// The containers that a process is in, innermost first and at most 8, from the text of its `/proc/PID/cgroup`.
pub fn containers_of(proc_cgroup: &[u8]) -> Vec<ContainerRef> {
    let text = &proc_cgroup[..proc_cgroup.len().min(TEXT_MAX)];
    let mut lines: Vec<(u8, &[u8])> =
        text.split(|byte| *byte == b'\n').take(LINES_MAX).filter_map(line).collect();
    lines.sort_by_key(|(rank, _)| *rank);
    let mut uncertain = Vec::new();
    for (_, path) in lines {
        let found = containers_of_path(path);
        match found.first() {
            Some(first) if first.certain => return found,
            Some(_) if uncertain.is_empty() => uncertain = found,
            _ => {}
        }
    }
    uncertain
}

/// The containers that the path of one cgroup names, innermost first and at most 8.
///
/// Where the path has the shape of no engine, each name in it that could be a runc id is given, uncertain.
pub fn containers_of_path(path: &[u8]) -> Vec<ContainerRef> {
    let path = String::from_utf8_lossy(&path[..path.len().min(TEXT_MAX)]);
    let path = path.strip_suffix(" (deleted)").unwrap_or(&path);
    // Seen from another cgroup namespace a path climbs first: `/../../docker/ID`.
    let names: Vec<&str> =
        path.split('/').filter(|name| !matches!(*name, "" | "." | "..")).take(DEPTH_MAX).collect();
    let places = |certain| (0..names.len()).rev().filter_map(move |place| Some((place, certain)));
    let certain: Vec<_> =
        places(true).filter_map(|(place, _)| reference(&names, place)).take(NESTED_MAX).collect();
    if !certain.is_empty() {
        return certain;
    }
    places(false).filter_map(|(place, _)| runc_candidate(&names, place)).take(NESTED_MAX).collect()
}

/// Rank and path of a line `ID:CONTROLLERS:PATH`. The v2 hierarchy speaks first, then systemd's own.
fn line(line: &[u8]) -> Option<(u8, &[u8])> {
    let mut parts = line.splitn(3, |byte| *byte == b':');
    let (id, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
    let rank = match (id, controllers) {
        (b"0", b"") => 0,
        (_, b"name=systemd") => 1,
        _ => 2,
    };
    path.starts_with(b"/").then_some((rank, path))
}

/// The container whose own cgroup is `names[place]`, if its shape leaves no doubt.
fn reference(names: &[&str], place: usize) -> Option<ContainerRef> {
    let (id, runtime, slice) = named(names[place]).or_else(|| bare(names, place))?;
    Some(ContainerRef {
        id: id.to_owned(),
        runtime,
        pod_uid: slice.and_then(pod_uid).or_else(|| pod_above(&names[..place])),
        cgroup: path_to(names, place),
        certain: true,
    })
}

/// An id with its engine's prefix: `docker-ID.scope`, `crio-ID`, `SLICE:cri-containerd:ID`.
fn named(name: &str) -> Option<(&str, Option<Runtime>, Option<&str>)> {
    // The systemd driver's notation, which a runtime with the cgroupfs driver takes for a plain name.
    if let Some((slice, rest)) = name.split_once(':') {
        let (prefix, id) = rest.split_once(':')?;
        return is_engine_id(id).then(|| (id, engine(prefix), Some(slice)));
    }
    let name = name.strip_suffix(".scope").unwrap_or(name);
    let (prefix, id) = name.rsplit_once('-')?;
    // conmon watches a container from outside.
    if !is_engine_id(id) || prefix.ends_with("conmon") {
        return None;
    }
    Some((id, engine(prefix), None))
}

fn engine(prefix: &str) -> Option<Runtime> {
    PREFIXES.iter().find(|(name, _)| *name == prefix).and_then(|(_, runtime)| *runtime)
}

/// An id alone, whose engine the folders above tell.
fn bare<'a>(names: &[&'a str], place: usize) -> Option<(&'a str, Option<Runtime>, Option<&'a str>)> {
    let id = names[place];
    if !is_engine_id(id) {
        return None;
    }
    let parent = place.checked_sub(1).map(|above| names[above]);
    let runtime = match parent {
        Some("docker" | "buildx") => Some(Runtime::Docker),
        Some("default" | "k8s.io") => Some(Runtime::Containerd),
        Some(name) if pod_uid(name).is_some() => Some(Runtime::Containerd),
        _ => None,
    };
    Some((id, runtime, None))
}

/// A name that plain runc or `ctr run NAME` may have been given.
fn runc_candidate(names: &[&str], place: usize) -> Option<ContainerRef> {
    let name = names[place];
    let scope = name.strip_prefix("runc-").and_then(|rest| rest.strip_suffix(".scope"));
    let id = scope.unwrap_or(name);
    let is_unit = scope.is_none() && UNITS.iter().any(|ending| name.ends_with(ending));
    if is_unit || !is_runc_id(id) || FOLDERS.contains(&id) || pod_uid(id).is_some() {
        return None;
    }
    let runtime = match place.checked_sub(1).map(|above| names[above]) {
        _ if scope.is_some() => Some(Runtime::Runc),
        Some("default" | "k8s.io") => Some(Runtime::Containerd),
        _ => None,
    };
    Some(ContainerRef {
        id: id.to_owned(),
        runtime,
        pod_uid: None,
        cgroup: path_to(names, place),
        certain: false,
    })
}

fn path_to(names: &[&str], place: usize) -> String {
    names[..=place].iter().flat_map(|name| ["/", name]).collect()
}

/// The Pod nearest above a container, unless another container comes between.
fn pod_above(names: &[&str]) -> Option<String> {
    for (place, name) in names.iter().enumerate().rev() {
        if named(name).is_some() || bare(names, place).is_some() {
            return None;
        }
        if let Some(uid) = pod_uid(name) {
            return Some(uid);
        }
    }
    None
}

/// The uid in `podUID`, `kubepods-burstable-podUID.slice` and `kubelet-kubepods-podUID.slice`; systemd's names
/// write its dashes as underscores.
fn pod_uid(name: &str) -> Option<String> {
    let uid = match name.strip_suffix(".slice") {
        Some(name) => name.rsplit_once("-pod")?.1.replace('_', "-"),
        None => name.strip_prefix("pod")?.to_owned(),
    };
    is_pod_uid(&uid).then_some(uid)
}

/// A UUID, or the 32 digits that kubelet gives a static Pod.
fn is_pod_uid(uid: &str) -> bool {
    let digits = |group: &str, length| group.len() == length && group.bytes().all(is_hex_digit);
    let groups: Vec<&str> = uid.split('-').take(6).collect();
    match groups[..] {
        [whole] => digits(whole, 32),
        [a, b, c, d, e] => digits(a, 8) && digits(b, 4) && digits(c, 4) && digits(d, 4) && digits(e, 12),
        _ => false,
    }
}

/// The ids of Docker, Podman, CRI-O and containerd's CRI: 64 hexadecimal digits.
fn is_engine_id(id: &str) -> bool {
    id.len() == 64 && id.bytes().all(is_hex_digit)
}

fn is_hex_digit(byte: u8) -> bool {
    byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)
}

/// What runc's `validateID` accepts.
fn is_runc_id(id: &str) -> bool {
    (1..=RUNC_ID_MAX).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+-.".contains(&byte))
}
