//! Root file systems of containers. How they are made is known to `scripts/make-rootfs` alone.

use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A root file system that containers share as their image. Nothing ever writes into it.
#[derive(Debug, Clone)]
pub struct Rootfs {
    path: PathBuf,
}

impl Rootfs {
    /// Debian 12 with python3, bash and dash. The first call on a machine takes half a minute.
    pub fn debian() -> Result<Self> {
        Self::make("debian")
    }

    /// Debian 11, with CPython 3.9.
    pub fn bullseye() -> Result<Self> {
        Self::make("bullseye")
    }

    /// Debian 13, with CPython 3.13, its library, and PyPy.
    pub fn trixie() -> Result<Self> {
        Self::make("trixie")
    }

    /// Debian's development version, with the newest CPython that it has.
    pub fn sid() -> Result<Self> {
        Self::make("sid")
    }

    /// busybox with a link for each of its commands, and nothing else.
    pub fn busybox() -> Result<Self> {
        Self::make("busybox")
    }

    /// The process that holds a Pod together.
    pub(crate) fn pause() -> Result<Self> {
        Self::make("pause")
    }

    fn make(name: &str) -> Result<Self> {
        let script = repository().join("scripts/make-rootfs");
        let made = Command::new(&script)
            .arg(name)
            .stderr(std::process::Stdio::inherit())
            .output()
            .with_context(|| format!("run {}", script.display()))?;
        ensure!(made.status.success(), "{} {name} failed: {}", script.display(), made.status);
        let path = PathBuf::from(String::from_utf8(made.stdout)?.trim_end());
        ensure!(path.is_dir(), "{} {name} left no folder {}", script.display(), path.display());
        Ok(Self { path })
    }

    /// The unpacked tree.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The same as a docker-archive, whose image is called [`Self::image`].
    pub fn archive(&self) -> PathBuf {
        self.path.with_extension("image.tar")
    }

    /// The name of the image in the archive.
    pub fn image(&self) -> String {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        format!("localhost/{name}:1")
    }
}

/// The folder that holds the whole source.
pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("/"))
}
