//! One writer for each state folder.

use crate::StoreError;
use crate::error::explain_io;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

const FILE_NAME: &str = "urva.lock";

/// The right to write to a state folder, held until it is dropped.
///
/// The kernel holds it (`flock`), not the file's presence: it ends with its process, however that ends, so no
/// lock is ever left over. The file stays; the number in it is for the message only.
#[derive(Debug)]
pub struct StateLock {
    file: File,
}

impl StateLock {
    /// Takes the lock `urva.lock` of the folder, without waiting.
    ///
    /// # Errors
    /// [`StoreError::Locked`] names the process that holds it, [`StoreError::NoFolder`] a folder that is missing.
    pub fn acquire(folder: &Path) -> Result<Self, StoreError> {
        if !folder.is_dir() {
            return Err(StoreError::NoFolder { path: folder.to_owned() });
        }
        let path = folder.join(FILE_NAME);
        let explained = |error: io::Error| explain_io(&path, "take the lock", &error);
        let mut file = open(&path).map_err(explained)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                return Err(StoreError::Locked { path: folder.to_owned(), pid: read_pid(&mut file) });
            }
            Err(error) => return Err(explained(error.into())),
        }
        // A full disk must not keep urva from starting: the lock holds without the number in it.
        write_pid(&mut file).or_else(|error| match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Ok(()),
            _ => Err(explained(error)),
        })?;
        Ok(Self { file })
    }
}

impl Drop for StateLock {
    fn drop(&mut self) {
        // A failure leaves a number that nobody reads until the next holder has replaced it.
        self.file.set_len(0).ok();
        // Closing is not enough: a child of another thread that has not called `exec` yet has the file open too.
        flock(&self.file, FlockOperation::Unlock).ok();
    }
}

fn open(path: &Path) -> io::Result<File> {
    let nofollow = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or(0);
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(nofollow)
        .open(path)
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn write_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}
