//! Tells whether a script came with the container's image or was added later.
//!
//! Owns: reading `/proc/PID/mountinfo` and looking into the upper layer of an overlay.
//! Blind spot: a container whose root is no overlay (a plain directory, a block device) has no layers; there the
//! inode's change time is compared with the container's start, so an image unpacked after that looks added.

use crate::file::OpenFile;
use evidence::{Drift, Timestamp};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, StatxFlags};
use rustix::io::Errno;
use std::os::fd::{AsFd, OwnedFd};

/// Most bytes of a mount table that are read.
const MOUNT_TABLE_MAX: u64 = 4 * 1024 * 1024;

/// One line of `/proc/PID/mountinfo`, see proc(5).
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mount {
    /// The directory of the file system that is mounted.
    root: Vec<u8>,
    /// Where, seen from the process's root.
    point: Vec<u8>,
    file_system: Vec<u8>,
    options: Vec<u8>,
}

/// Where `file` came from, which processes of one mount namespace see: `pids`, of which the first that still runs is
/// asked. `container_since` is when the container was made.
pub(crate) fn drift(
    file: &OpenFile,
    mut pids: impl Iterator<Item = u32>,
    container_since: Option<Timestamp>,
) -> Drift {
    if file.path.starts_with(b"/memfd:") {
        return Drift::Memory;
    }
    let Some(id) = mount_id(&file.file) else {
        return Drift::Unknown("the kernel does not tell the file's mount".to_owned());
    };
    let Some(table) = pids.find_map(read_table) else {
        return Drift::Unknown("the container's mounts could not be read".to_owned());
    };
    match find_mount(&table, id) {
        Some(mount) => judge(&mount, file, container_since),
        None => Drift::Unknown("the file's mount is not in the container's mount table".to_owned()),
    }
}

fn judge(mount: &Mount, file: &OpenFile, container_since: Option<Timestamp>) -> Drift {
    if matches!(&*mount.file_system, b"tmpfs" | b"ramfs" | b"hugetlbfs") {
        return Drift::Memory;
    }
    if mount.point != b"/" {
        return Drift::Volume(mount.point.clone().into());
    }
    match option(&mount.options, b"upperdir=") {
        Some(upper) => in_upper_layer(upper, mount, &file.path),
        None if mount.file_system == b"overlay" => Drift::Image, // without an upper layer it is read-only
        None => changed_since(file.identity.changed_at, container_since),
    }
}

/// A file that was created or changed in the container lies in the overlay's upper directory, on the host.
fn in_upper_layer(upper: &[u8], mount: &Mount, path: &[u8]) -> Drift {
    let within = [mount.root.strip_prefix(b"/").unwrap_or(&mount.root), path].concat();
    let within = within.strip_prefix(b"/").unwrap_or(&within);
    let found = open_upper_layer(upper).and_then(|layer| {
        // The path holds no links any more; should the container put one in its way now, it is not followed.
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::openat2(layer, within, flags, Mode::empty(), resolve) {
            Ok(file) => rustix::fs::fstat(file).map(Some),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(error) => Err(error),
        }
    });
    match found {
        Ok(Some(stat)) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => {
            Drift::WritableLayer
        }
        Ok(_) => Drift::Image,
        Err(error) => Drift::Unknown(format!("the container's writable layer could not be read: {error}")),
    }
}

/// The mount table speaks of the host's paths. Where urva runs in a container itself, they lie below process 1's root.
fn open_upper_layer(upper: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open([b"/proc/1/root", upper].concat(), flags, Mode::empty())
        .or_else(|_| rustix::fs::open(upper, flags, Mode::empty()))
}

fn changed_since(changed_at: Timestamp, container_since: Option<Timestamp>) -> Drift {
    match container_since {
        Some(since) if changed_at >= since => Drift::WritableLayer,
        Some(_) => Drift::Image,
        None => Drift::Unknown("the container's root is no overlay, and its start is not known".to_owned()),
    }
}

fn mount_id(file: &impl AsFd) -> Option<u64> {
    let wanted = StatxFlags::MNT_ID;
    let found = rustix::fs::statx(file, c"", AtFlags::EMPTY_PATH, wanted).ok()?;
    (found.stx_mask & wanted.bits() != 0).then_some(found.stx_mnt_id)
}

fn read_table(pid: u32) -> Option<Vec<u8>> {
    use std::io::Read;
    let path = format!("/proc/{pid}/mountinfo");
    let file = rustix::fs::openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let mut table = Vec::new();
    std::fs::File::from(file).take(MOUNT_TABLE_MAX).read_to_end(&mut table).ok()?;
    Some(table)
}

fn find_mount(table: &[u8], id: u64) -> Option<Mount> {
    let id = id.to_string();
    table.split(|byte| *byte == b'\n').find_map(|line| {
        let mut fields = line.split(|byte| *byte == b' ');
        if fields.next()? != id.as_bytes() {
            return None;
        }
        let (root, point) = (unescape(fields.nth(2)?), unescape(fields.next()?));
        // Optional fields end with a single hyphen.
        let mut rest = fields.skip_while(|field| *field != b"-").skip(1);
        let file_system = rest.next()?.to_vec();
        let options = unescape(rest.nth(1).unwrap_or(b""));
        Some(Mount { root, point, file_system, options })
    })
}

/// The kernel writes space, tab, line feed and backslash as three octal digits.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((byte, after)) = rest.split_first() {
        let digits = after
            .first_chunk::<3>()
            .filter(|digits| digits.iter().all(|digit| (b'0'..=b'7').contains(digit)));
        match digits {
            Some([high, middle, low]) if *byte == b'\\' => {
                plain.push(((high & 3) << 6) | ((middle & 7) << 3) | (low & 7));
                rest = &after[3..];
            }
            _ => {
                plain.push(*byte);
                rest = after;
            }
        }
    }
    plain
}

fn option<'a>(options: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    options.split(|byte| *byte == b',').find_map(|option| option.strip_prefix(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[u8] = b"22 1 0:21 / / rw,relatime shared:1 - overlay overlay rw,lowerdir=/l1:/l2,upperdir=/var/lib/x\\040y/upper,workdir=/w\n\
        23 22 0:22 / /proc rw - proc proc rw\n\
        24 22 8:1 /srv/data /data\\012x rw,relatime master:2 propagate_from:1 - ext4 /dev/sda1 rw\n";

    #[test]
    fn a_mount_is_found_by_its_id() {
        let root = find_mount(TABLE, 22).unwrap();
        assert_eq!((&root.point[..], &root.file_system[..]), (&b"/"[..], &b"overlay"[..]));
        assert_eq!(option(&root.options, b"upperdir="), Some(&b"/var/lib/x y/upper"[..]));
        let volume = find_mount(TABLE, 24).unwrap();
        assert_eq!((&volume.root[..], &volume.point[..]), (&b"/srv/data"[..], &b"/data\nx"[..]));
        assert_eq!(find_mount(TABLE, 2), None);
    }

    #[test]
    fn without_layers_the_change_time_decides() {
        let [before, start, after] = [1, 2, 3].map(Timestamp);
        assert_eq!(changed_since(before, Some(start)), Drift::Image);
        assert_eq!(changed_since(after, Some(start)), Drift::WritableLayer);
        assert!(matches!(changed_since(after, None), Drift::Unknown(_)));
    }

    proptest::proptest! {
        #[test]
        fn any_table_is_survived(table: Vec<u8>, id: u64) {
            let _ = find_mount(&table, id);
            let _ = unescape(&table);
        }
    }
}
