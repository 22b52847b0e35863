//! Docker Engine, over a containerd of its own.

use crate::containerd::Containerd;
use crate::daemon::Daemon;
use crate::leftovers::RunFolder;
use crate::rootfs::Rootfs;
use crate::runc::{Output, output};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A Docker Engine of the test's own, without networks. Dropping it ends it and everything it runs.
#[derive(Debug)]
pub struct Docker {
    // In the order in which they have to end.
    daemon: Daemon,
    folder: RunFolder,
    _containerd: Containerd,
    socket: PathBuf,
}

/// A container of Docker. Dropping it kills and removes it.
#[derive(Debug)]
pub struct DockerContainer<'a> {
    docker: &'a Docker,
    id: String,
}

impl Docker {
    /// Starts it without images.
    pub fn start() -> Result<Self> {
        let containerd = Containerd::start()?;
        let folder = RunFolder::new("docker")?;
        let socket = folder.path().join("docker.sock");
        // An empty file, so that the machine's own /etc/docker/daemon.json has no say.
        let config = folder.path().join("daemon.json");
        fs::write(&config, "{}")?;
        let mut command = Command::new("dockerd");
        command.args(["--iptables=false", "--ip6tables=false", "--bridge=none", "--storage-driver=overlay2"]);
        command.arg("--exec-opt=native.cgroupdriver=cgroupfs");
        command.arg("--config-file").arg(&config);
        command.arg("--data-root").arg(folder.folder("data")?);
        command.arg("--exec-root").arg(folder.folder("exec")?);
        command.arg("--pidfile").arg(folder.path().join("pid"));
        command.arg("--host").arg(format!("unix://{}", socket.display()));
        command.arg("--containerd").arg(containerd.socket());
        let daemon = Daemon::start(command, folder.path(), &socket)?;
        Ok(Self { daemon, folder, _containerd: containerd, socket })
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
        self.docker(&["load", "--input", &rootfs.archive().display().to_string()])?;
        Ok(())
    }

    /// Starts a container in the background; `options` are those of `docker run`.
    pub fn container(
        &self,
        rootfs: &Rootfs,
        options: &[&str],
        command: &[&str],
    ) -> Result<DockerContainer<'_>> {
        let image = rootfs.image();
        let mut args = vec!["run", "--detach", "--network=none"];
        args.extend(options);
        args.push(&image);
        args.extend(command);
        let id = self.docker(&args)?.trim().to_owned();
        Ok(DockerContainer { docker: self, id })
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.arg("--host").arg(format!("unix://{}", self.socket.display()));
        // The caller's own Docker settings name other hosts.
        command.arg("--config").arg(self.folder.path()).args(args);
        command
    }

    fn docker(&self, args: &[&str]) -> Result<String> {
        let mut command = self.command(args);
        let done = command.output().with_context(|| format!("run {command:?}"))?;
        ensure!(
            done.status.success(),
            "{command:?} failed: {}{}",
            String::from_utf8_lossy(&done.stderr),
            self.daemon.last_words()
        );
        Ok(String::from_utf8_lossy(&done.stdout).into_owned())
    }
}

impl DockerContainer<'_> {
    /// Docker's id: 64 hexadecimal digits.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The first process, as the host numbers it.
    pub fn pid(&self) -> Result<i32> {
        let pid = self.docker.docker(&["inspect", "--format={{.State.Pid}}", &self.id])?;
        Ok(pid.trim().parse()?)
    }

    /// Lines of `/proc/PID/cgroup` of the first process, as the host sees them.
    pub fn cgroup(&self) -> Result<String> {
        let path = format!("/proc/{}/cgroup", self.pid()?);
        fs::read_to_string(&path).with_context(|| format!("read {path}"))
    }

    /// Runs a program in it, with bytes on standard input, to its end.
    pub fn exec(&self, args: &[&str], input: &[u8]) -> Result<Output> {
        let all = [&["exec", "--interactive", &self.id], args].concat();
        output(self.docker.command(&all), input, &self.id)
    }

    /// What it has printed so far on standard output.
    pub fn output(&self) -> Result<String> {
        self.docker.docker(&["logs", &self.id])
    }

    /// Waits until it has ended; its exit status.
    pub fn wait(&self) -> Result<i32> {
        Ok(self.docker.docker(&["wait", &self.id])?.trim().parse()?)
    }
}

impl Drop for DockerContainer<'_> {
    fn drop(&mut self) {
        let _ = self.docker.docker(&["rm", "--force", &self.id]);
    }
}
