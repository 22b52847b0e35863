//! Reads a script's file as its container sees it, without being led outside and without side effects.
//!
//! Owns: opening below a process's root, refusing what is no plain file, head and tail, hash, identity.
//! Guarantee: a symbolic link cannot lead out of the container's root (`openat2`, `RESOLVE_IN_ROOT`); a
//! FIFO, a device or a socket is never opened for reading; what was read is compared with what the path
//! leads to afterwards.
//! Blind spot: a file that was changed and changed back between the exec and the read, within the
//! granularity of the file system's clock (up to 4 ms before Linux 6.13).

use crate::probe::namespace_of;
use evidence::{Content, FileIdentity, NotCaptured, Sha256, Timestamp, Untrusted};
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, Stat, StatFs};
use rustix::io::Errno;
use sha2::Digest;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::time::Duration;

/// How often, and after which pause, a file with a lease is tried again.
const LEASE_TRIES: u32 = 10;
const LEASE_PAUSE: Duration = Duration::from_millis(5);

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
    /// The root of a process in this mount namespace, or `None` where the process has ended. Its id may belong to
    /// another process by now, which is in another container or on the host.
    pub(crate) fn of(pid: u32, pid_in_container: u32, mount_namespace: u32) -> Option<Self> {
        let path = format!("/proc/{pid}/root");
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(path, flags, Mode::empty()).ok()?;
        let namespace = namespace_of(&format!("/proc/{pid}/ns/mnt")).ok()?;
        (namespace == mount_namespace).then_some(Self { pid, pid_in_container, directory })
    }

    /// The root of a process that is known to run in its place.
    pub(crate) fn of_process(pid: u32) -> Option<Self> {
        let namespace = namespace_of(&format!("/proc/{pid}/ns/mnt")).ok()?;
        Self::of(pid, pid, namespace)
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
        let file = File::from(open_patiently(&again, flags).map_err(unreadable)?);
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
        let path = plain(path);
        let found = match self.through_proc(&path) {
            Some(Link::Descriptor(number)) => {
                rustix::fs::open(format!("/proc/{}/fd/{number}", self.pid), flags, Mode::empty())
            }
            Some(Link::Folder(name, rest)) => {
                let folder = rustix::fs::open(format!("/proc/{}/{name}", self.pid), flags, Mode::empty());
                // Below the root this is what the process sees; below its working directory a `..` that leads
                // further up than that is not followed.
                folder.and_then(|folder| below(&folder, rest))
            }
            None => below(&self.directory, &path),
        };
        found.map_err(|errno| match errno {
            Errno::NOENT | Errno::NOTDIR => NotCaptured::NoSuchFile,
            Errno::SRCH => NotCaptured::ProcessGone,
            other => unreadable(other),
        })
    }

    /// Links of /proc that only the process itself can follow: `/dev/fd/N`, `/proc/self/fd/N`, `/proc/self/root/…` and
    /// their kin.
    fn through_proc<'a>(&self, path: &'a [u8]) -> Option<Link<'a>> {
        if path == b"/dev/stdin" {
            return Some(Link::Descriptor(0));
        }
        let number = |text: &[u8]| std::str::from_utf8(text).ok()?.parse().ok().map(Link::Descriptor);
        if let Some(rest) = path.strip_prefix(b"/dev/fd/") {
            return number(rest);
        }
        let own = format!("/proc/{}/", self.pid_in_container);
        let prefixes = [&b"/proc/self/"[..], b"/proc/thread-self/", own.as_bytes()];
        let rest = prefixes.iter().find_map(|prefix| path.strip_prefix(*prefix))?;
        if let Some(rest) = rest.strip_prefix(b"fd/") {
            return number(rest);
        }
        ["root", "cwd"].into_iter().find_map(|name| {
            Some(Link::Folder(name, rest.strip_prefix(name.as_bytes())?.strip_prefix(b"/")?))
        })
    }
}

/// What a path of /proc leads through.
enum Link<'a> {
    Descriptor(u32),
    Folder(&'static str, &'a [u8]),
}

fn below(folder: &OwnedFd, path: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    rustix::fs::openat2(folder, path, flags, Mode::empty(), ResolveFlags::IN_ROOT)
}

/// The path without doubled slashes and components that are a single dot, as the kernel reads it.
fn plain(path: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(path.len());
    if path.starts_with(b"/") {
        plain.push(b'/');
    }
    let names = path.split(|byte| *byte == b'/').filter(|name| !name.is_empty() && *name != b".");
    for (index, name) in names.enumerate() {
        if index > 0 {
            plain.push(b'/');
        }
        plain.extend_from_slice(name);
    }
    plain
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

    /// Hashes the file from its beginning; see [`hash`].
    pub(crate) fn hash(&self, limit: u64, go_on: &dyn Fn() -> bool) -> io::Result<(Sha256, u64)> {
        hash(&self.file, limit, go_on)
    }
}

/// SHA-256 of the first `limit` bytes of a file, and how many there were. `go_on` is asked after each 256 KiB; where it
/// says no, the hash covers what was read by then. A file that grows meanwhile is not followed.
pub(crate) fn hash(file: &File, limit: u64, go_on: &dyn Fn() -> bool) -> io::Result<(Sha256, u64)> {
    let mut hasher = sha2::Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    let mut at = 0;
    while at < limit && go_on() {
        let wanted = usize::try_from(limit - at).unwrap_or(usize::MAX).min(buffer.len());
        match file.read_at(&mut buffer[..wanted], at)? {
            0 => break,
            count => {
                hasher.update(&buffer[..count]);
                at += count as u64;
            }
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

/// A lease that the container holds on its file makes the first tries fail; the kernel breaks it meanwhile.
fn open_patiently(path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    for _ in 0..LEASE_TRIES {
        match rustix::fs::openat(CWD, path, flags, Mode::empty()) {
            Err(Errno::AGAIN) => std::thread::sleep(LEASE_PAUSE),
            other => return other,
        }
    }
    rustix::fs::openat(CWD, path, flags, Mode::empty())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, expected: &str) {
        assert_eq!(plain(path.as_bytes()), expected.as_bytes());
    }

    #[test]
    fn a_path_is_folded_as_the_kernel_reads_it() {
        check("/tmp/x.sh", "/tmp/x.sh");
        check("//dev//fd/./4", "/dev/fd/4");
        check("./x.sh", "x.sh");
        check("/../x", "/../x");
        check("/", "/");
    }

    #[test]
    fn a_file_that_is_larger_than_the_limit_is_hashed_so_far() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(1 << 40).unwrap();
        let (hash_of_3, hashed) = hash(&file, 3, &|| true).unwrap();
        assert_eq!((hash_of_3, hashed), (Sha256::of(&[0; 3]), 3));
        assert_eq!(hash(&file, u64::MAX, &|| false).unwrap().1, 0);
    }

    #[test]
    fn links_that_only_the_process_can_follow_are_followed_for_it() {
        use std::os::fd::AsRawFd;
        let pid = std::process::id();
        let root = Root::of(pid, pid, namespace_of("/proc/self/ns/mnt").unwrap()).unwrap();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file, b"text").unwrap();
        let (path, number) = (file.path().to_str().unwrap(), file.as_file().as_raw_fd());
        for path in [
            path.to_owned(),
            format!("/proc/self/root{path}"),
            format!("/proc/{pid}/root/{path}"),
            format!("/proc/self/fd/{number}"),
            format!("//dev/./fd/{number}"),
        ] {
            let read = root.open(path.as_bytes()).unwrap_or_else(|error| panic!("{path}: {error}")).read(10);
            assert_eq!(read.unwrap().content, Content::Whole("text".into()), "{path}");
        }
        assert!(Root::of(pid, pid, 0).is_none(), "a process of another mount namespace is another process");
    }
}
