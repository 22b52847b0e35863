//! containerd with its CRI plugin: real Pods without a kubelet.

use crate::cri::{
    ContainerConfig, ContainerMetadata, ContainerSecurity, ContainerStatusRequest, ContainerStatusResponse,
    CreateContainerRequest, Cri, Empty, ExecSyncRequest, ExecSyncResponse, Id, ImageSpec,
    LinuxContainerConfig, LinuxPodSandboxConfig, NamespaceOption, Number, PodSandboxConfig,
    PodSandboxMetadata, RunPodSandboxRequest, SandboxSecurity, StopContainerRequest,
};
use crate::daemon::Daemon;
use crate::leftovers::RunFolder;
use crate::rootfs::Rootfs;
use crate::runc::Output;
use anyhow::{Context, Result, bail, ensure};
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

/// `NamespaceMode` of the node: no network plugin is needed.
const NODE: i32 = 2;
/// `NamespaceMode` of the container.
const CONTAINER: i32 = 1;
/// `ContainerState` of one that has ended.
const EXITED: i32 = 2;

/// A containerd of the test's own. Dropping it ends it and everything it runs.
#[derive(Debug)]
pub struct Containerd {
    // In the order in which they have to end.
    daemon: Daemon,
    folder: RunFolder,
    socket: PathBuf,
}

/// A Pod; its containers hold on to it. Removed when the last of them is dropped.
#[derive(Debug, Clone)]
pub struct Pod(Arc<Sandbox>);

#[derive(Debug)]
struct Sandbox {
    cri: Cri,
    id: String,
    uid: String,
    config: PodSandboxConfig,
}

/// A container of a Pod. Dropping it kills and removes it.
#[derive(Debug)]
pub struct PodContainer {
    pod: Pod,
    id: String,
    name: String,
}

impl Containerd {
    /// Starts it with the image that holds Pods together, and no other.
    pub fn start() -> Result<Self> {
        let pause = Rootfs::pause()?;
        let folder = RunFolder::new("containerd")?;
        let socket = folder.path().join("containerd.sock");
        let config = folder.path().join("config.toml");
        fs::write(&config, configuration(&folder, &socket, &pause)?)?;
        let daemon = Daemon::start(command(&config), folder.path(), &socket)?;
        let containerd = Self { daemon, folder, socket };
        Cri::connect(&containerd.socket)?.wait_until_ready()?;
        containerd.import(&pause)?;
        Ok(containerd)
    }

    /// The socket, which speaks both CRI and containerd's own interface.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Makes an image known. It takes seconds for Debian.
    pub fn import(&self, rootfs: &Rootfs) -> Result<()> {
        self.ctr("k8s.io", ["images", "import"], &[&rootfs.archive().display().to_string()])?;
        Ok(())
    }

    /// Runs containerd's own client in one of containerd's namespaces, and returns what it prints.
    pub fn ctr<'a>(
        &self,
        namespace: &str,
        command: impl IntoIterator<Item = &'a str>,
        args: &[&str],
    ) -> Result<String> {
        let mut ctr = Command::new("ctr");
        ctr.arg("--address").arg(&self.socket).args(["--namespace", namespace]).args(command).args(args);
        let done = ctr.output().with_context(|| format!("run {ctr:?}"))?;
        ensure!(
            done.status.success(),
            "{ctr:?} failed: {}{}",
            String::from_utf8_lossy(&done.stderr),
            self.daemon.last_words()
        );
        Ok(String::from_utf8_lossy(&done.stdout).into_owned())
    }

    /// Starts a Pod in the node's network, in a cgroup as kubelet would choose it.
    pub fn pod(&self, namespace: &str, name: &str, labels: &[(&str, &str)]) -> Result<Pod> {
        let cri = Cri::connect(&self.socket)?;
        let uid = new_uid();
        let mut all = kubelet_labels(namespace, name, &uid);
        all.extend(labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        let namespaces = Some(NamespaceOption { network: NODE, pid: CONTAINER });
        let config = PodSandboxConfig {
            metadata: Some(PodSandboxMetadata {
                name: name.into(),
                uid: uid.clone(),
                namespace: namespace.into(),
            }),
            log_directory: self.folder.folder("logs")?.display().to_string(),
            labels: all,
            linux: Some(LinuxPodSandboxConfig {
                cgroup_parent: format!("/kubepods/burstable/pod{uid}"),
                security_context: Some(SandboxSecurity { namespaces }),
            }),
        };
        let request = RunPodSandboxRequest { config: Some(config.clone()) };
        let answer: Id = cri.call("RunPodSandbox", request).with_context(|| self.daemon.last_words())?;
        Ok(Pod(Arc::new(Sandbox { cri, id: answer.id, uid, config })))
    }

    /// Ends the daemon and starts it anew; containers run on meanwhile. Connections break.
    pub fn restart(&mut self) -> Result<()> {
        let config = self.folder.path().join("config.toml");
        self.daemon.restart(command(&config), &self.socket)?;
        Cri::connect(&self.socket)?.wait_until_ready()
    }
}

impl Pod {
    /// Kubernetes' id of it.
    pub fn uid(&self) -> &str {
        &self.0.uid
    }

    /// The runtime's id of its sandbox.
    pub fn sandbox_id(&self) -> &str {
        &self.0.id
    }

    /// Starts a container in it, as a user and group.
    pub fn container<S: Into<String>>(
        &self,
        name: &str,
        rootfs: &Rootfs,
        command: impl IntoIterator<Item = S>,
        (uid, gid): (u32, u32),
    ) -> Result<PodContainer> {
        let metadata = self.0.config.metadata.clone().unwrap_or_default();
        let mut labels = kubelet_labels(&metadata.namespace, &metadata.name, &metadata.uid);
        labels.insert("io.kubernetes.container.name".into(), name.into());
        let number = |value: u32| Some(Number { value: value.into() });
        let security = ContainerSecurity {
            namespaces: Some(NamespaceOption { network: NODE, pid: CONTAINER }),
            user: number(uid),
            group: number(gid),
        };
        let config = ContainerConfig {
            metadata: Some(ContainerMetadata { name: name.into() }),
            image: Some(ImageSpec { image: rootfs.image() }),
            command: command.into_iter().map(Into::into).collect(),
            labels,
            log_path: format!("{}-{name}.log", self.0.uid),
            linux: Some(LinuxContainerConfig { security_context: Some(security) }),
        };
        let request = CreateContainerRequest {
            pod_sandbox_id: self.0.id.clone(),
            config: Some(config),
            sandbox_config: Some(self.0.config.clone()),
        };
        let created: Id = self.0.cri.call("CreateContainer", request)?;
        let container = PodContainer { pod: self.clone(), id: created.id, name: name.into() };
        let _: Empty = self.0.cri.call("StartContainer", Id { id: container.id.clone() })?;
        Ok(container)
    }
}

impl PodContainer {
    /// The runtime's id: 64 hexadecimal digits.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The first process, as the host numbers it; an error once it has ended.
    pub fn pid(&self) -> Result<i32> {
        let info: serde_json::Value = serde_json::from_str(
            self.status(true)?.info.get("info").context("containerd gives no verbose status")?,
        )?;
        let pid = info["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok()).filter(|pid| *pid > 0);
        pid.with_context(|| format!("container {} has no process", self.id))
    }

    /// Lines of `/proc/PID/cgroup` of the first process, as the host sees them.
    pub fn cgroup(&self) -> Result<String> {
        let path = format!("/proc/{}/cgroup", self.pid()?);
        fs::read_to_string(&path).with_context(|| format!("read {path}"))
    }

    /// Runs a program in it, as the container's user, to its end.
    pub fn exec<S: Into<String>>(&self, args: impl IntoIterator<Item = S>) -> Result<Output> {
        let cmd = args.into_iter().map(Into::into).collect();
        let request = ExecSyncRequest { container_id: self.id.clone(), cmd, timeout_seconds: 60 };
        let done: ExecSyncResponse = self.pod.0.cri.call("ExecSync", request)?;
        Ok(Output {
            status: done.exit_code,
            stdout: String::from_utf8_lossy(&done.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&done.stderr).into_owned(),
            container: self.id.clone(),
        })
    }

    /// Waits until it has ended, at most thirty seconds; its exit status.
    pub fn wait(&self) -> Result<i32> {
        for _ in 0..1500 {
            match self.status(false)?.status {
                Some(status) if status.state == EXITED => return Ok(status.exit_code),
                _ => thread::sleep(Duration::from_millis(20)),
            }
        }
        bail!("container {} still runs after thirty seconds", self.id)
    }

    /// What it has printed so far, standard error included.
    pub fn output(&self) -> Result<String> {
        let path = format!("{}/{}-{}.log", self.pod.0.config.log_directory, self.pod.0.uid, self.name);
        let log = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
        // Each line is: time, stream, F for a full line or P for a part of one, and the text.
        let parts = log.lines().map(|line| {
            let mut fields = line.splitn(4, ' ').skip(2);
            let end = if fields.next() == Some("F") { "\n" } else { "" };
            [fields.next().unwrap_or_default(), end].concat()
        });
        Ok(parts.collect())
    }

    /// Kills it, as Kubernetes does when no grace is left.
    pub fn stop(&self) -> Result<()> {
        let request = StopContainerRequest { container_id: self.id.clone(), timeout: 0 };
        let _: Empty = self.pod.0.cri.call("StopContainer", request)?;
        Ok(())
    }

    /// Removes it, so that the runtime no longer knows it.
    pub fn remove(self) -> Result<()> {
        self.stop()?;
        let _: Empty = self.pod.0.cri.call("RemoveContainer", Id { id: self.id.clone() })?;
        Ok(())
    }

    fn status(&self, verbose: bool) -> Result<ContainerStatusResponse> {
        let request = ContainerStatusRequest { container_id: self.id.clone(), verbose };
        self.pod.0.cri.call("ContainerStatus", request)
    }
}

impl Drop for PodContainer {
    fn drop(&mut self) {
        // Removing what has been removed is no error in CRI.
        let _ = self.stop();
        let _: Result<Empty> = self.pod.0.cri.call("RemoveContainer", Id { id: self.id.clone() });
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        for method in ["StopPodSandbox", "RemovePodSandbox"] {
            let _: Result<Empty> = self.cri.call(method, Id { id: self.id.clone() });
        }
        remove_cgroups(&format!("kubepods/burstable/pod{}", self.uid));
    }
}

/// Kubelet removes a Pod's cgroups itself, in each hierarchy.
fn remove_cgroups(path: &str) {
    let _ = fs::remove_dir(Path::new("/sys/fs/cgroup").join(path));
    for hierarchy in fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten() {
        let _ = fs::remove_dir(hierarchy.path().join(path));
    }
}

/// The labels that kubelet gives each Pod and container.
fn kubelet_labels(namespace: &str, pod: &str, uid: &str) -> HashMap<String, String> {
    [
        ("io.kubernetes.pod.namespace", namespace),
        ("io.kubernetes.pod.name", pod),
        ("io.kubernetes.pod.uid", uid),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into()
}

/// In the form of a UUID, and unlike that of any Pod of another running test.
fn new_uid() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{:08x}-7e57-4000-8000-{number:012x}", std::process::id())
}

fn command(config: &Path) -> Command {
    let mut command = Command::new("containerd");
    command.arg("--config").arg(config);
    command
}

fn configuration(folder: &RunFolder, socket: &Path, pause: &Rootfs) -> Result<String> {
    let (root, state, network) = (folder.folder("root")?, folder.folder("state")?, folder.folder("network")?);
    Ok(format!(
        r#"version = 2
root = "{root}"
state = "{state}"

[grpc]
address = "{socket}"

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{pause}"
# Without it runc fails where the test itself may not lower its own score.
restrict_oom_score_adj = true
disable_apparmor = true
disable_hugetlb_controller = true
tolerate_missing_hugetlb_controller = true

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{network}"
conf_dir = "{network}"

[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "overlayfs"
default_runtime_name = "runc"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
"#,
        root = root.display(),
        state = state.display(),
        socket = socket.display(),
        pause = pause.image(),
        network = network.display(),
    ))
}
