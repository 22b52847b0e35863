//! Docker Engine, over a containerd of its own.

use crate::client::{Client, EngineContainer};
use crate::containerd::Containerd;
use crate::daemon::Daemon;
use crate::leftovers::RunFolder;
use crate::rootfs::Rootfs;
use anyhow::Result;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A Docker Engine of the test's own, without networks. Dropping it ends it and everything it runs.
#[derive(Debug)]
pub struct Docker {
    // In the order in which they have to end.
    _daemon: Daemon,
    folder: RunFolder,
    _containerd: Containerd,
    socket: PathBuf,
    client: Client,
}

impl Docker {
    /// Starts it without images.
    pub fn start() -> Result<Self> {
        let containerd = Containerd::start()?;
        let folder = RunFolder::new("docker")?;
        let socket = folder.path().join("docker.sock");
        let host = format!("unix://{}", socket.display());
        // An empty file, so that the machine's own /etc/docker/daemon.json has no say.
        let config = folder.path().join("daemon.json");
        fs::write(&config, "{}")?;
        let mut command = Command::new("dockerd");
        command.args(["--iptables=false", "--ip6tables=false", "--bridge=none", "--storage-driver=overlay2"]);
        command.args(["--exec-opt=native.cgroupdriver=cgroupfs", "--host", &host]);
        command.arg("--config-file").arg(&config);
        command.arg("--data-root").arg(folder.folder("data")?);
        command.arg("--exec-root").arg(folder.folder("exec")?);
        command.arg("--pidfile").arg(folder.path().join("pid"));
        command.arg("--containerd").arg(containerd.socket());
        let daemon = Daemon::start(command, folder.path(), &socket)?;
        // The caller's own settings of the client name other hosts.
        let options = ["--host", &host, "--config", &folder.path().display().to_string()];
        let client = Client {
            program: "docker",
            options: options.map(str::to_owned).into(),
            remove: &["rm", "--force"],
        };
        Ok(Self { _daemon: daemon, folder, _containerd: containerd, socket, client })
    }

    /// The socket of its HTTP API.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The folder in which runc keeps the state of its containers.
    pub fn runc_state(&self) -> PathBuf {
        self.folder.path().join("exec/runtime-runc/moby")
    }

    /// Makes an image known.
    pub fn import(&self, rootfs: &Rootfs) -> Result<()> {
        self.client.import(rootfs)
    }

    /// Makes an image with a layer for what each of the steps, which are shell text, changes.
    pub fn layer(&self, rootfs: &Rootfs, steps: &[&str], name: &str) -> Result<()> {
        self.client.layer(rootfs, &[], steps, name)
    }

    /// Writes an image to a file, as `docker save` does.
    pub fn save(&self, image: &str, path: &Path) -> Result<()> {
        self.client.save(&[], image, path)
    }

    /// Starts a container in the background; `options` are those of `docker run`.
    pub fn container(
        &self,
        rootfs: &Rootfs,
        options: &[&str],
        command: &[&str],
    ) -> Result<EngineContainer<'_>> {
        self.client.container(rootfs, options, command)
    }
}
