//! Opening what a path leads to, without waiting for it and without side effects.

use crate::Fault;
use rustix::fs::{FileType, Mode, OFlags};
use std::fs::File;
use std::path::Path;

/// What a path leads to.
pub(crate) enum Opened {
    /// A regular file.
    File(File),
    /// A folder.
    Folder,
}

/// Opens a regular file. Nothing else is opened: a FIFO would wait for a writer, and a device may do something.
pub(crate) fn open(path: &Path) -> Result<Opened, Fault> {
    let found = std::fs::metadata(path)?;
    if found.is_dir() {
        return Ok(Opened::Folder);
    }
    regular(FileType::from_raw_mode(rustix::fs::stat(path).map_err(std::io::Error::from)?.st_mode))?;
    // Without O_NONBLOCK a FIFO that has taken the file's place would wait, as some files of procfs do.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = rustix::fs::open(path, flags, Mode::empty()).map_err(std::io::Error::from)?;
    let opened = rustix::fs::fstat(&file).map_err(std::io::Error::from)?;
    regular(FileType::from_raw_mode(opened.st_mode))?;
    Ok(Opened::File(file.into()))
}

fn regular(kind: FileType) -> Result<(), Fault> {
    Err(Fault::NotRegular(match kind {
        FileType::RegularFile => return Ok(()),
        FileType::Fifo => "is a FIFO",
        FileType::Socket => "is a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "is a device",
        FileType::Directory => "is a folder",
        FileType::Symlink => "is a link",
        FileType::Unknown => "is no regular file",
    }))
}
