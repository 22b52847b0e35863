//! The folder that runc is given: a root made of image and writable layer, and `config.json`.

use crate::leftovers::RunFolder;
use anyhow::{Context, Result};
use rustix::mount::{MountFlags, mount};
use serde_json::{Value, json};
use std::ffi::CString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::{fs, str};

/// What `root` inside a container may do, as Docker has it.
const CAPABILITIES: [&str; 14] = [
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];

/// What a container is made of.
#[derive(Debug, Clone, Default)]
pub(crate) struct Description {
    pub(crate) rootfs: PathBuf,
    pub(crate) args: Vec<String>,
    pub(crate) env: Vec<String>,
    pub(crate) cwd: String,
    pub(crate) user: (u32, u32),
    pub(crate) annotations: Vec<(String, String)>,
    pub(crate) cgroup: Option<String>,
    pub(crate) image_files: Vec<File>,
    pub(crate) layer_files: Vec<File>,
    pub(crate) volumes: Vec<(String, Vec<File>)>,
    pub(crate) tmpfs: Vec<String>,
}

/// A file to be placed; the mode is `chmod`'s.
#[derive(Debug, Clone)]
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) content: Vec<u8>,
    pub(crate) mode: u32,
}

impl File {
    pub(crate) fn write_below(&self, root: &Path) -> Result<()> {
        let path = root.join(self.path.trim_start_matches('/'));
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).with_context(|| format!("make {}", parent.display()))?;
        }
        fs::write(&path, &self.content).with_context(|| format!("write {}", path.display()))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(self.mode))
            .with_context(|| format!("change the mode of {}", path.display()))
    }
}

/// Mounts the root at `rootfs` in the folder and writes `config.json` beside it.
pub(crate) fn prepare(folder: &RunFolder, description: &Description) -> Result<PathBuf> {
    let image = folder.folder("image")?;
    for file in &description.image_files {
        file.write_below(&image)?;
    }
    let root = mount_overlay(folder, &[&image, &description.rootfs])?;
    // Through the mount, not into the upper folder, so that the kernel marks the files as it always does.
    for file in &description.layer_files {
        file.write_below(&root)?;
    }
    let mut mounts = usual_mounts();
    for (number, (target, files)) in description.volumes.iter().enumerate() {
        let source = folder.folder(&format!("volume-{number}"))?;
        fs::set_permissions(&source, fs::Permissions::from_mode(0o1777))?;
        for file in files {
            file.write_below(&source)?;
        }
        mounts.push(
            json!({"destination": target, "type": "bind", "source": source, "options": ["rbind", "rw"]}),
        );
    }
    for target in &description.tmpfs {
        mounts.push(
            json!({"destination": target, "type": "tmpfs", "source": "tmpfs", "options": ["mode=1777"]}),
        );
    }
    let config = serde_json::to_vec_pretty(&config(folder.name(), description, &mounts))?;
    fs::write(folder.path().join("config.json"), config).context("write config.json")?;
    Ok(root)
}

/// An overlay as runtimes make it: image below, writable layer above.
fn mount_overlay(folder: &RunFolder, lower: &[&Path]) -> Result<PathBuf> {
    let (upper, work) = (folder.folder("upper")?, folder.folder("work")?);
    let root = folder.folder("rootfs")?;
    let lower = lower.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(":");
    let options = format!("lowerdir={lower},upperdir={},workdir={}", upper.display(), work.display());
    let options = CString::new(options)?;
    mount("overlay", &root, "overlay", MountFlags::empty(), options.as_c_str()).with_context(|| {
        format!("mount an overlay at {} (it needs root and a disk that is no overlay itself)", root.display())
    })?;
    Ok(root)
}

fn config(hostname: &str, description: &Description, mounts: &[Value]) -> Value {
    let annotations: serde_json::Map<String, Value> =
        description.annotations.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
    let mut config = json!({
        "ociVersion": "1.0.2",
        "hostname": hostname,
        "annotations": annotations,
        "root": {"path": "rootfs", "readonly": false},
        "mounts": mounts,
        "process": {
            "terminal": false,
            "user": {"uid": description.user.0, "gid": description.user.1},
            "args": description.args,
            "env": description.env,
            "cwd": description.cwd,
            "capabilities": capabilities(description.user.0),
            "noNewPrivileges": true,
        },
        "linux": {
            "namespaces": (["pid", "ipc", "uts", "mount", "network"].map(|kind| json!({"type": kind}))),
            "resources": {"devices": [{"allow": false, "access": "rwm"}]},
        },
    });
    if let Some(path) = &description.cgroup {
        config["linux"]["cgroupsPath"] = json!(path);
    }
    config
}

fn capabilities(user: u32) -> Value {
    if user == 0 {
        json!({"bounding": CAPABILITIES, "effective": CAPABILITIES, "permitted": CAPABILITIES})
    } else {
        json!({"bounding": CAPABILITIES})
    }
}

fn usual_mounts() -> Vec<Value> {
    let mount = |target: &str, kind: &str, options: &[&str]| json!({"destination": target, "type": kind, "source": kind, "options": options});
    vec![
        mount("/proc", "proc", &[]),
        mount("/dev", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount(
            "/dev/pts",
            "devpts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        mount("/dev/shm", "tmpfs", &["nosuid", "nodev", "mode=1777", "size=65536k"]),
        mount("/sys", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
    ]
}
