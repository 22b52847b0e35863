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
    let inwards_out = || (0..names.len()).rev();
    let certain: Vec<_> =
        inwards_out().filter_map(|place| reference(&names, place)).take(NESTED_MAX).collect();
    if !certain.is_empty() {
        return certain;
    }
    inwards_out().filter_map(|place| runc_candidate(&names, place)).take(NESTED_MAX).collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ID: &str = "4f6c0a2b9d8e7f61504a3b2c1d0e9f88776655443322110ffeeddccbbaa99887";
    const OTHER: &str = "aa11bb22cc33dd44ee55ff6600112233445566778899aabbccddeeff00112233";
    const UID: &str = "b2a0f9c4-1d3e-4f5a-8b6c-7d8e9f0a1b2c";

    /// `ID`, `OTHER`, `UID` and `U_D` (with underscores) in a path stand for the values.
    fn fill(text: &str) -> String {
        let underscored = UID.replace('-', "_");
        text.replace("OTHER", OTHER).replace("UID", UID).replace("U_D", &underscored).replace("ID", ID)
    }

    /// The innermost container of a path, that it is certain, and where its own cgroup ends.
    #[track_caller]
    fn check(path: &str, runtime: Option<Runtime>, in_pod: bool, below: &str) {
        let path = fill(path);
        let found = containers_of_path(path.as_bytes());
        let expected = ContainerRef {
            id: ID.to_owned(),
            runtime,
            pod_uid: in_pod.then(|| UID.to_owned()),
            cgroup: path.strip_suffix(below).unwrap().to_owned(),
            certain: true,
        };
        assert_eq!(found.first(), Some(&expected), "{path}");
    }

    #[track_caller]
    fn check_host(path: &str) {
        assert_eq!(containers_of_path(fill(path).as_bytes()), [], "{path}");
    }

    #[test]
    fn docker() {
        let runtime = Some(Runtime::Docker);
        check("/docker/ID", runtime, false, "");
        check("/docker/ID/init.scope", runtime, false, "/init.scope");
        check("/docker/buildx/ID", runtime, false, "");
        check("/system.slice/docker-ID.scope", runtime, false, "");
        check("/user.slice/user-1000.slice/user@1000.service/user.slice/docker-ID.scope", runtime, false, "");
    }

    #[test]
    fn kubernetes_with_the_cgroupfs_driver() {
        let containerd = Some(Runtime::Containerd);
        check("/kubepods/podUID/ID", containerd, true, "");
        check("/kubepods/burstable/podUID/ID", containerd, true, "");
        check("/kubepods/besteffort/podUID/ID/own/sub", containerd, true, "/own/sub");
        check("/kubepods/burstable/podUID/crio-ID", Some(Runtime::Crio), true, "");
        check("/docker/OTHER/kubelet/kubepods/podUID/ID", containerd, true, "");
    }

    #[test]
    fn kubernetes_with_the_systemd_driver() {
        let containerd = Some(Runtime::Containerd);
        check("/kubepods.slice/kubepods-podU_D.slice/cri-containerd-ID.scope", containerd, true, "");
        check(
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podU_D.slice/cri-containerd-ID.scope",
            containerd,
            true,
            "",
        );
        check(
            "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-podU_D.slice/cri-containerd-ID.scope/x",
            containerd,
            true,
            "/x",
        );
        check("/kubepods.slice/kubepods-podU_D.slice/crio-ID.scope", Some(Runtime::Crio), true, "");
        check("/kubepods.slice/kubepods-podU_D.slice/docker-ID.scope", Some(Runtime::Docker), true, "");
        check(
            "/system.slice/containerd.service/kubepods-burstable-podU_D.slice:cri-containerd:ID",
            containerd,
            true,
            "",
        );
    }

    #[test]
    fn containerd_alone() {
        check("/default/ID", Some(Runtime::Containerd), false, "");
        check("/k8s.io/ID", Some(Runtime::Containerd), false, "");
        check("/system.slice/nerdctl-ID.scope", Some(Runtime::Containerd), false, "");
        check(
            "/user.slice/user-1000.slice/user@1000.service/user.slice/nerdctl-ID.scope",
            Some(Runtime::Containerd),
            false,
            "",
        );
    }

    #[test]
    fn podman() {
        let runtime = Some(Runtime::Podman);
        check("/machine.slice/libpod-ID.scope", runtime, false, "");
        check("/machine.slice/libpod-ID.scope/container", runtime, false, "/container");
        check("/libpod_parent/libpod-ID", runtime, false, "");
        check(
            "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope/container",
            runtime,
            false,
            "/container",
        );
        check("/machine.slice/machine-libpod_pod_OTHER.slice/libpod-ID.scope", runtime, false, "");
    }

    #[test]
    fn engines_that_are_not_known_by_name() {
        check("/ecs/0123456789abcdef0123456789abcdef/ID", None, false, "");
        check("/machine.slice/someengine-ID.scope", None, false, "");
        check("/ID", None, false, "");
    }

    #[test]
    fn processes_of_the_host_are_in_no_container() {
        check_host("/");
        check_host("");
        check_host("/init.scope");
        check_host("/system.slice/ssh.service");
        check_host("/system.slice/kubelet.service");
        check_host("/user.slice/user-1000.slice/session-3.scope");
        check_host("/user.slice/user-1000.slice/user@1000.service/app.slice/app-gnome-foo.scope");
        check_host("/machine.slice/libpod-conmon-ID.scope");
        check_host(
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podU_D.slice/crio-conmon-ID.scope",
        );
        check_host("/kubepods/burstable/podUID");
        check_host("/kubepods.slice/kubepods-podU_D.slice");
    }

    #[test]
    fn the_innermost_container_wins_and_the_outer_ones_follow() {
        let path = fill("/docker/OTHER/docker/ID/init.scope");
        let ids: Vec<String> =
            containers_of_path(path.as_bytes()).into_iter().map(|container| container.id).collect();
        assert_eq!(ids, [ID, OTHER]);
        // The Pod around the outer container is not the inner one's.
        let path = fill("/kubepods/podUID/OTHER/docker/ID");
        let found = containers_of_path(path.as_bytes());
        assert_eq!((&found[0].pod_uid, &found[1].pod_uid), (&None, &Some(UID.to_owned())));
    }

    #[test]
    fn plain_runc_gives_candidates() {
        let candidates = |path: &str| -> Vec<(String, Option<Runtime>, bool)> {
            let found = containers_of_path(path.as_bytes()).into_iter();
            found.map(|container| (container.id, container.runtime, container.certain)).collect()
        };
        assert_eq!(candidates("/web-1"), [("web-1".to_owned(), None, false)]);
        assert_eq!(
            candidates("/system.slice/runc-web.scope"),
            [("web".to_owned(), Some(Runtime::Runc), false)]
        );
        assert_eq!(candidates("/default/web"), [("web".to_owned(), Some(Runtime::Containerd), false)]);
        assert_eq!(
            candidates("/web/sub"),
            [("sub".to_owned(), None, false), ("web".to_owned(), None, false)]
        );
    }

    #[test]
    fn paths_from_another_cgroup_namespace_climb_first() {
        let path = fill("/../../docker/ID");
        assert_eq!(containers_of_path(path.as_bytes())[0].cgroup, fill("/docker/ID"));
    }

    #[test]
    fn the_hierarchy_that_names_a_container_is_taken() {
        let id = |text: &str| container_of(fill(text).as_bytes()).map(|container| container.id);
        assert_eq!(id("0::/system.slice/docker-ID.scope\n"), Some(ID.to_owned()));
        assert_eq!(
            id("12:pids:/docker/ID\n11:cpu,cpuacct:/docker/ID\n1:name=systemd:/docker/ID\n0::/\n"),
            Some(ID.to_owned()),
            "hybrid"
        );
        assert_eq!(id("9:name=systemd:/\n4:memory:/web\n0::/\n"), Some("web".to_owned()));
        assert_eq!(id("5:devices:/web\n0::/docker/ID (deleted)\n"), Some(ID.to_owned()));
        assert_eq!(id("0::/init.scope\n"), None);
        for text in ["", "\n", "0::", "0", "::", "0::docker/ID", "a:b"] {
            assert_eq!(id(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_does_harm(text in "([0-9a-f]{64}|docker-|/|:|\\.scope|pod|\\.\\.|-|\n|0::/|\\PC){0,60}") {
            for container in containers_of(text.as_bytes()) {
                prop_assert!(!container.id.is_empty() && container.id.is_ascii());
                prop_assert!(container.cgroup.starts_with('/'));
            }
        }

        #[test]
        fn no_bytes_do_harm(text: Vec<u8>) {
            prop_assert!(containers_of(&text).len() <= NESTED_MAX);
        }
    }
}
