//! Reads a script's file as its container sees it, without being led outside and without side effects.
//!
//! Owns: opening below a process's root, refusing what is no plain file, head and tail, hash, identity.
//! Guarantee: a symbolic link cannot lead out of the container's root (`openat2`, `RESOLVE_IN_ROOT`); a
//! FIFO, a device or a socket is never opened for reading; what was read is compared with what the path
//! leads to afterwards.
//! Blind spot: a file that was changed and changed back between the exec and the read, within the
//! granularity of the file system's clock (up to 4 ms before Linux 6.13).

use evidence::{Content, FileIdentity, NotCaptured, Sha256, Timestamp, Untrusted};
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, Stat, StatFs};
use rustix::io::Errno;
use sha2::Digest;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;

/// The file system as one process of a container sees it.
pub(crate) struct Root {
    pid: u32,
    pid_in_container: u32,
    directory: OwnedFd,
}

/// An open script.
pub(crate) struct OpenFile {
    pub(crate) file: File,
    /// Path inside the container after following links.
    pub(crate) path: Untrusted,
    pub(crate) identity: FileIdentity,
}

/// What was read of it.
pub(crate) struct ReadFile {
    pub(crate) content: Content,
    /// SHA-256 of everything, and the bytes that it covers, where the whole file was read.
    pub(crate) hash: Option<(Sha256, u64)>,
    /// Whether the open file changed meanwhile.
    pub(crate) is_changed: bool,
}

impl Root {
    /// The root of a process, or `None` where the process has ended.
    pub(crate) fn of(pid: u32, pid_in_container: u32) -> Option<Self> {
        let path = format!("/proc/{pid}/root");
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(path, flags, Mode::empty()).ok()?;
        Some(Self { pid, pid_in_container, directory })
    }

    /// The process through which it is seen.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Opens a regular file for reading.
    pub(crate) fn open(&self, path: &[u8]) -> Result<OpenFile, NotCaptured> {
        let handle = self.locate(path)?;
        let stat = rustix::fs::fstat(&handle).map_err(unreadable)?;
        refuse_special(&stat)?;
        refuse_kernel_file(&rustix::fs::fstatfs(&handle).map_err(unreadable)?)?;
        let again = format!("/proc/self/fd/{}", handle.as_raw_fd());
        // Non-blocking, for file systems whose regular files block; without becoming the controlling terminal.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::openat(CWD, again, flags, Mode::empty()).map_err(unreadable)?);
        let path = path_of(&handle);
        Ok(OpenFile { file, path, identity: identity(&stat) })
    }

    /// Whether the path still leads to that file in that state.
    pub(crate) fn still_leads_to(&self, path: &[u8], identity_then: &FileIdentity) -> bool {
        let Ok(handle) = self.locate(path) else { return false };
        rustix::fs::fstat(&handle).is_ok_and(|stat| identity(&stat) == *identity_then)
    }

    /// A handle that allows nothing but looking at what the path leads to.
    fn locate(&self, path: &[u8]) -> Result<OwnedFd, NotCaptured> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let found = match self.descriptor(path) {
            Some(number) => rustix::fs::open(format!("/proc/{}/fd/{number}", self.pid), flags, Mode::empty()),
            None => {
                let resolve = ResolveFlags::IN_ROOT;
                rustix::fs::openat2(&self.directory, path, flags, Mode::empty(), resolve)
            }
        };
        found.map_err(|errno| match errno {
            Errno::NOENT | Errno::NOTDIR => NotCaptured::NoSuchFile,
            Errno::SRCH => NotCaptured::ProcessGone,
            other => unreadable(other),
        })
    }

    /// The number of the descriptor that the path names: `/dev/fd/N`, `/proc/self/fd/N` and their kin are
    /// links that only the process itself can follow.
    fn descriptor(&self, path: &[u8]) -> Option<u32> {
        if path == b"/dev/stdin" {
            return Some(0);
        }
        let own = format!("/proc/{}/fd/", self.pid_in_container);
        let prefixes = [&b"/dev/fd/"[..], b"/proc/self/fd/", b"/proc/thread-self/fd/", own.as_bytes()];
        let number = prefixes.iter().find_map(|prefix| path.strip_prefix(*prefix))?;
        std::str::from_utf8(number).ok()?.parse().ok()
    }
}

impl OpenFile {
    /// Reads up to `limit` bytes whole, and beyond that as much from the head and the tail together.
    pub(crate) fn read(&self, limit: u64) -> Result<ReadFile, NotCaptured> {
        let mut head = Vec::new();
        (&self.file).take(limit + 1).read_to_end(&mut head).map_err(|error| from_io(&error))?;
        let read = head.len() as u64;
        let (content, hash) = if read <= limit {
            let hash = Sha256::of(&head);
            (Content::Whole(head.into()), Some((hash, read)))
        } else {
            (self.head_and_tail(head, limit).map_err(|error| from_io(&error))?, None)
        };
        let is_changed = rustix::fs::fstat(&self.file).is_ok_and(|stat| identity(&stat) != self.identity);
        Ok(ReadFile { content, hash, is_changed })
    }

    fn head_and_tail(&self, mut head: Vec<u8>, limit: u64) -> io::Result<Content> {
        let half = limit / 2;
        let size = self.identity.size.max(head.len() as u64);
        head.truncate(usize::try_from(half).unwrap_or(usize::MAX));
        head.shrink_to_fit();
        let mut tail = vec![0; usize::try_from(limit - half).unwrap_or(0)];
        let start = size - tail.len() as u64;
        let mut filled = 0;
        while filled < tail.len() {
            match self.file.read_at(&mut tail[filled..], start + filled as u64)? {
                0 => break,
                count => filled += count,
            }
        }
        tail.truncate(filled);
        Ok(Content::HeadAndTail { head: head.into(), tail: tail.into(), omitted: start - half })
    }

    /// Hashes the file from its beginning. `go_on` is asked after each 1 MiB, with the bytes hashed so far; a
    /// hash that is ended early covers the number of bytes returned with it.
    pub(crate) fn hash(&self, mut go_on: impl FnMut(u64) -> bool) -> io::Result<(Sha256, u64)> {
        hash(&self.file, &mut go_on)
    }
}

/// SHA-256 of an open file, from its beginning; see [`OpenFile::hash`].
pub(crate) fn hash(file: &File, go_on: &mut dyn FnMut(u64) -> bool) -> io::Result<(Sha256, u64)> {
    let mut hasher = sha2::Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    let mut at = 0;
    loop {
        match file.read_at(&mut buffer, at)? {
            0 => break,
            count => {
                hasher.update(&buffer[..count]);
                at += count as u64;
            }
        }
        if at.is_multiple_of(1024 * 1024) && !go_on(at) {
            break;
        }
    }
    Ok((Sha256(hasher.finalize().into()), at))
}

/// The path of an open file as the kernel knows it, seen from the container's own root.
fn path_of(file: &impl AsFd) -> Untrusted {
    let link = format!("/proc/self/fd/{}", file.as_fd().as_raw_fd());
    let path = rustix::fs::readlink(link, Vec::new()).map(std::ffi::CString::into_bytes).unwrap_or_default();
    path.strip_suffix(b" (deleted)").map(<[u8]>::to_vec).unwrap_or(path).into()
}

/// What tells this state of the file from another.
pub(crate) fn identity(stat: &Stat) -> FileIdentity {
    #[allow(clippy::useless_conversion, reason = "the fields' types differ between architectures")]
    let time = |seconds: i64, nanoseconds: u64| {
        Timestamp(u64::try_from(seconds).unwrap_or(0).saturating_mul(1_000_000_000) + nanoseconds)
    };
    FileIdentity {
        device: stat.st_dev,
        inode: stat.st_ino,
        size: u64::try_from(stat.st_size).unwrap_or(0),
        modified_at: time(stat.st_mtime, stat.st_mtime_nsec),
        changed_at: time(stat.st_ctime, stat.st_ctime_nsec),
    }
}

fn refuse_special(stat: &Stat) -> Result<(), NotCaptured> {
    let what = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => return Ok(()),
        FileType::Directory => "a directory",
        FileType::Fifo => "a FIFO",
        FileType::Socket => "a socket",
        FileType::CharacterDevice => "a character device",
        FileType::BlockDevice => "a block device",
        _ => "something that is no file",
    };
    Err(NotCaptured::NotARegularFile(what.to_owned()))
}

/// Files of the kernel itself look regular, but reading some of them waits for ever or takes something away.
fn refuse_kernel_file(file_system: &StatFs) -> Result<(), NotCaptured> {
    const KERNEL_OWN: [i64; 6] = [
        0x9fa0,      // procfs
        0x6265_6572, // sysfs
        0x7472_6163, // tracefs
        0x6462_6720, // debugfs
        0x6367_7270, // cgroup2fs
        0x0027_e0eb, // cgroupfs
    ];
    #[allow(clippy::unnecessary_cast, reason = "the field's type differs between architectures")]
    let kind = file_system.f_type as i64;
    if KERNEL_OWN.contains(&kind) {
        return Err(NotCaptured::NotARegularFile("a file of the kernel's own".to_owned()));
    }
    Ok(())
}

fn unreadable(errno: Errno) -> NotCaptured {
    from_io(&io::Error::from(errno))
}

fn from_io(error: &io::Error) -> NotCaptured {
    match error.raw_os_error() {
        Some(number) if number == Errno::SRCH.raw_os_error() => NotCaptured::ProcessGone,
        _ => NotCaptured::Unreadable(error.to_string()),
    }
}
