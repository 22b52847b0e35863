//! The command line that Docker and Podman share, and the containers that it starts.

use crate::rootfs::Rootfs;
use crate::runc::{Output, output};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::Path;
use std::process::Command;

/// `docker` or `podman` with the options that lead to one engine.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) program: &'static str,
    pub(crate) options: Vec<String>,
    /// What kills and removes a container without asking it first.
    pub(crate) remove: &'static [&'static str],
}

/// A container of Docker or Podman. Dropping it kills and removes it.
#[derive(Debug)]
pub struct EngineContainer<'a> {
    client: &'a Client,
    id: String,
}

impl Client {
    /// Runs a command to its end and returns what it prints.
    pub(crate) fn call(&self, args: &[&str]) -> Result<String> {
        let mut command = self.command(args);
        let done = command
            .output()
            .with_context(|| format!("run {command:?}; scripts/install-tools test installs it"))?;
        ensure!(done.status.success(), "{command:?} failed: {}", String::from_utf8_lossy(&done.stderr));
        Ok(String::from_utf8_lossy(&done.stdout).into_owned())
    }

    pub(crate) fn import(&self, rootfs: &Rootfs) -> Result<()> {
        self.call(&["load", "--input", &rootfs.archive().display().to_string()])?;
        Ok(())
    }

    pub(crate) fn container(
        &self,
        rootfs: &Rootfs,
        options: &[&str],
        command: &[&str],
    ) -> Result<EngineContainer<'_>> {
        self.container_of(&rootfs.image(), options, command)
    }

    fn container_of(&self, image: &str, options: &[&str], command: &[&str]) -> Result<EngineContainer<'_>> {
        let args = [&["run", "--detach", "--network=none"], options, &[image], command].concat();
        let id = self.call(&args)?.trim().to_owned();
        Ok(EngineContainer { client: self, id })
    }

    /// Makes an image of this name out of a root file system, with a layer for what each of the steps, which are shell text,
    /// changes in it.
    pub(crate) fn layer(&self, rootfs: &Rootfs, options: &[&str], steps: &[&str], name: &str) -> Result<()> {
        let mut image = rootfs.image();
        for step in steps {
            let container = self.container_of(&image, options, &["sh", "-c", step])?;
            let status = container.wait()?;
            ensure!(status == 0, "{step:?} ended with {status} in a container of {image}");
            self.call(&["commit", container.id(), name])?;
            image = name.to_owned();
        }
        Ok(())
    }

    /// Writes an image to a file or folder; `options` are those of `save`.
    pub(crate) fn save(&self, options: &[&str], image: &str, path: &Path) -> Result<()> {
        self.call(&[&["save"], options, &["--output", &path.display().to_string(), image]].concat())?;
        Ok(())
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(self.program);
        command.args(&self.options).args(args);
        command
    }
}

impl EngineContainer<'_> {
    /// The engine's id: 64 hexadecimal digits.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The first process, as the host numbers it.
    pub fn pid(&self) -> Result<i32> {
        let pid = self.client.call(&["inspect", "--format={{.State.Pid}}", &self.id])?;
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
        output(self.client.command(&all), input, &self.id)
    }

    /// What it has printed so far on standard output.
    pub fn output(&self) -> Result<String> {
        self.client.call(&["logs", &self.id])
    }

    /// Waits until it has ended; its exit status.
    pub fn wait(&self) -> Result<i32> {
        Ok(self.client.call(&["wait", &self.id])?.trim().parse()?)
    }
}

impl Drop for EngineContainer<'_> {
    fn drop(&mut self) {
        let _ = self.client.call(&[self.client.remove, &[&self.id]].concat());
    }
}
