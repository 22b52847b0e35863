//! A daemon that a test starts and ends.

use crate::leftovers::{end_containers, end_processes, kill};
use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use std::fs::File;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

/// The kernel's limit on a socket's path, with room for the suffixes that containerd adds.
const SOCKET_PATH_MAX: usize = 100;
const POLL: Duration = Duration::from_millis(20);

#[derive(Debug)]
pub(crate) struct Daemon {
    child: Child,
    folder: PathBuf,
}

impl Daemon {
    /// Starts it with its output in `folder`/log, and waits until it accepts connections.
    pub(crate) fn start(command: Command, folder: &Path, socket: &Path) -> Result<Self> {
        let mut daemon = Self { child: spawn(command, folder, socket)?, folder: folder.to_owned() };
        daemon.wait_until_ready(socket)?;
        Ok(daemon)
    }

    /// Ends it, leaving its containers, and starts it anew with the same folder and socket.
    pub(crate) fn restart(&mut self, command: Command, socket: &Path) -> Result<()> {
        self.stop();
        self.child = spawn(command, &self.folder, socket)?;
        self.wait_until_ready(socket)
    }

    fn wait_until_ready(&mut self, socket: &Path) -> Result<()> {
        for _ in 0..1500 {
            if UnixStream::connect(socket).is_ok() {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("the daemon ended ({status}):\n{}", self.last_words());
            }
            thread::sleep(POLL);
        }
        bail!("the daemon is not ready after thirty seconds:\n{}", self.last_words())
    }

    /// The end of what it printed.
    pub(crate) fn last_words(&self) -> String {
        let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(10)..].join("\n")
    }

    pub(crate) fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// Ends it as a service manager would: asks, waits ten seconds, forces. What it ran, runs on.
    pub(crate) fn stop(&mut self) {
        kill(self.pid(), Signal::TERM);
        for _ in 0..500 {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(POLL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.stop();
        end_containers(&self.folder);
        end_processes(&self.folder);
    }
}

fn spawn(mut command: Command, folder: &Path, socket: &Path) -> Result<Child> {
    let path = socket.display().to_string();
    ensure!(path.len() <= SOCKET_PATH_MAX, "{path} is too long for a socket; test in a shorter path");
    let log = File::options().create(true).append(true).open(folder.join("log"))?;
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    command.spawn().with_context(|| format!("run {command:?}; scripts/install-tools test installs it"))
}
