//! Podman, which needs no daemon, with storage of its own.

use crate::client::{Client, EngineContainer};
use crate::daemon::Daemon;
use crate::leftovers::{RunFolder, end_containers, end_processes};
use crate::rootfs::Rootfs;
use anyhow::Result;
use std::path::{Path, PathBuf};

/// Its own default raises limits beyond what a test in a container may.
const LIMITS: [&str; 2] = ["--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024"];

/// A Podman of the test's own, without networks. Dropping it ends everything it runs.
#[derive(Debug)]
pub struct Podman {
    client: Client,
    folder: RunFolder,
}

/// The daemon that speaks Docker's interface on Podman's behalf. Dropping it ends it, and the containers.
#[derive(Debug)]
pub struct PodmanService {
    _daemon: Daemon,
    socket: PathBuf,
}

impl Podman {
    /// Prepares it without images.
    pub fn new() -> Result<Self> {
        let folder = RunFolder::new("podman")?;
        let text = |path: PathBuf| path.display().to_string();
        let (storage, tmp) = (text(folder.folder("storage")?), text(folder.folder("tmp")?));
        let runroot = text(folder.short()?);
        let options = ["--root", &storage, "--runroot", &runroot, "--tmpdir", &tmp];
        let mut options: Vec<String> = options.map(str::to_owned).into();
        // crun, which it prefers, refuses hosts that have both kinds of cgroup hierarchies.
        options.extend(
            ["--storage-driver=overlay", "--cgroup-manager=cgroupfs", "--runtime=runc"].map(Into::into),
        );
        options.push("--events-backend=file".into());
        let client = Client { program: "podman", options, remove: &["rm", "--force", "--time=0"] };
        Ok(Self { client, folder })
    }

    /// The folder of its storage, as `/var/lib/containers/storage`.
    pub fn storage(&self) -> PathBuf {
        self.folder.path().join("storage")
    }

    /// Makes an image known.
    pub fn import(&self, rootfs: &Rootfs) -> Result<()> {
        self.client.import(rootfs)
    }

    /// Starts a container in the background; `options` are those of `podman run`.
    pub fn container(
        &self,
        rootfs: &Rootfs,
        options: &[&str],
        command: &[&str],
    ) -> Result<EngineContainer<'_>> {
        self.client.container(rootfs, &[&LIMITS, options].concat(), command)
    }

    /// Makes an image with a layer for what each of the steps, which are shell text, changes.
    pub fn layer(&self, rootfs: &Rootfs, steps: &[&str], name: &str) -> Result<()> {
        self.client.layer(rootfs, &LIMITS, steps, name)
    }

    /// Writes an image in one of Podman's formats: `docker-archive`, `oci-archive`, `oci-dir`, `docker-dir`.
    pub fn save(&self, format: &str, image: &str, path: &Path) -> Result<()> {
        self.client.save(&["--format", format], image, path)
    }

    /// Starts the service on a socket.
    pub fn service(&self) -> Result<PodmanService> {
        let socket = self.folder.path().join("podman.sock");
        let address = format!("unix://{}", socket.display());
        let command = self.client.command(&["system", "service", "--time=0", &address]);
        let daemon = Daemon::start(command, self.folder.path(), &socket)?;
        Ok(PodmanService { _daemon: daemon, socket })
    }
}

impl PodmanService {
    /// The socket of its HTTP API.
    pub fn socket(&self) -> &Path {
        &self.socket
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        end_containers(self.folder.path());
        end_processes(self.folder.path());
    }
}
