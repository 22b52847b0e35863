//! Folders that hold what a test has running, and the removal of those whose test was killed.

use crate::rootfs::repository;
use anyhow::{Context, Result};
use rustix::mount::{UnmountFlags, unmount};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};
use std::{fs, io};

/// A folder of one container or daemon, removed with everything mounted in it.
#[derive(Debug)]
pub(crate) struct RunFolder {
    name: String,
    path: PathBuf,
}

impl RunFolder {
    /// Makes `target/containers/run/KIND-PID-NUMBER`, after removing what killed tests left there.
    pub(crate) fn new(kind: &str) -> Result<Self> {
        static SWEPT: Once = Once::new();
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let parent = repository().join("target/containers/run");
        fs::create_dir_all(&parent).with_context(|| format!("make {}", parent.display()))?;
        // The kernel lists mounts by their real paths.
        let parent = parent.canonicalize()?;
        SWEPT.call_once(|| sweep(&parent));
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{kind}-{}-{number}", std::process::id());
        let path = parent.join(&name);
        fs::create_dir(&path).with_context(|| format!("make {}", path.display()))?;
        Ok(Self { name, path })
    }

    /// The last part of the path: unique among everything that runs.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a folder of the same name where paths are short, for programs that ask for that.
    pub(crate) fn short(&self) -> Result<PathBuf> {
        let path = short(&self.name);
        fs::create_dir_all(&path).with_context(|| format!("make {}", path.display()))?;
        Ok(path)
    }

    /// Makes a folder in it, which everybody may pass.
    pub(crate) fn folder(&self, name: &str) -> Result<PathBuf> {
        let path = self.path.join(name);
        fs::create_dir_all(&path).with_context(|| format!("make {}", path.display()))?;
        Ok(path)
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        remove_with_mounts(&short(&self.name));
        remove_with_mounts(&self.path);
    }
}

fn short(name: &str) -> PathBuf {
    Path::new("/run/end-to-end").join(name)
}

/// Removes the folders whose process is gone.
fn sweep(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(pid) = name.split('-').nth(1) else { continue };
        if Path::new("/proc").join(pid).exists() {
            continue;
        }
        end_processes(&entry.path());
        end_containers(&entry.path());
        let _ = Command::new("runc").args(["delete", "--force", &name]).stderr(Stdio::null()).status();
        remove_with_mounts(&short(&name));
        remove_with_mounts(&entry.path());
    }
}

/// Ends the daemons that a killed test left: they are those that have the folder on their command line.
/// Nobody else's can have it, since the folder's name holds the killed test's pid.
pub(crate) fn end_processes(folder: &Path) {
    let needle = folder.to_string_lossy().into_owned();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<i32>() else { continue };
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if String::from_utf8_lossy(&line).contains(&needle) {
            kill(pid, rustix::process::Signal::KILL);
        }
    }
}

/// Ends the containers whose bundle lies in the folder, wherever the engine has runc keep its state:
/// containerd in one place for all daemons, Docker in a folder of its own, Podman where runc has it by itself.
pub(crate) fn end_containers(folder: &Path) {
    let needle = folder.to_string_lossy().into_owned();
    let mut roots = vec![PathBuf::from("/run/runc")];
    roots.extend(entries(Path::new("/run/containerd/runc")));
    roots.extend(entries(&folder.join("exec/runtime-runc")));
    for (root, container) in roots.iter().flat_map(|root| entries(root).map(move |own| (root, own))) {
        let state = fs::read(container.join("state.json")).unwrap_or_default();
        if String::from_utf8_lossy(&state).contains(&needle) {
            let mut runc = Command::new("runc");
            runc.arg("--root").arg(root).args(["delete", "--force"]);
            let _ = runc.arg(container.file_name().unwrap_or_default()).stderr(Stdio::null()).status();
        }
    }
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path())
}

/// Signals a process of which the caller knows that it is its own; one that is gone already is fine.
pub(crate) fn kill(pid: i32, signal: rustix::process::Signal) {
    if let Some(pid) = rustix::process::Pid::from_raw(pid) {
        let _ = rustix::process::kill_process(pid, signal);
    }
}

/// Detaches each mount below `path`, the innermost first, and removes the folder.
fn remove_with_mounts(path: &Path) {
    let prefix = format!("{}/", path.display());
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    for mount in mounts.lines().rev().filter_map(|line| line.split(' ').nth(1)) {
        if mount.starts_with(&prefix) {
            let _ = unmount(mount, UnmountFlags::DETACH);
        }
    }
    if let Err(error) = fs::remove_dir_all(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        eprintln!("cannot remove {}: {error}", path.display());
    }
}
