//! Remembers what executables are, so that each is looked at once.
//!
//! Owns: the table of executables in user space, and telling the probe what to leave out.
//! Refuses: names as proof. The file itself is looked at; its name only counts where it cannot be opened.

use crate::assemble::Exec;
use crate::file::{Root, hash};
use crate::probe::Executables;
use crate::recognize;
use crate::wire::value;
use evidence::{Family, Sha256};
use std::collections::HashMap;
use std::fs::File;
use std::sync::Mutex;

/// Executables that are remembered; then the table is emptied, and each is looked at again.
const KNOWN_MAX: usize = 16_384;
/// Executables larger than this are not hashed: the hash would come too late to be of use.
const HASH_MAX: u64 = 256 * 1024 * 1024;

/// What is known of an executable that is an interpreter.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known {
    pub(crate) family: Family,
    pub(crate) size: u64,
    pub(crate) sha256: Option<Sha256>,
}

/// The executables that were looked at.
pub(crate) struct Catalogue {
    probe: Option<Executables>,
    known: Mutex<HashMap<Key, Option<Known>>>,
}

/// One state of one executable.
#[derive(PartialEq, Eq, Hash, Clone, Copy)]
struct Key {
    device: u64,
    inode: u64,
    size: u64,
    changed: (u64, u32),
}

impl Catalogue {
    /// An empty catalogue that tells `probe` what it finds.
    pub(crate) fn new(probe: Option<Executables>) -> Self {
        Self { probe, known: Mutex::new(HashMap::new()) }
    }

    /// What the executable of this exec is; `None` where it is no interpreter.
    pub(crate) fn look_up(&self, exec: &Exec) -> Option<Known> {
        let key = Key::of(exec);
        let remembered = self.lock().get(&key).copied();
        let found = match remembered {
            Some(found) => found,
            None => match open(exec) {
                Some(file) => self.remember(key, look_at(&exec.executable, &file)),
                // The process is gone and so is its file: the name is all there is, and nothing is remembered.
                None => {
                    let family = recognize::by_name(&exec.executable)?;
                    return Some(Known { family, size: exec.header.executable_size, sha256: None });
                }
            },
        };
        if exec.has(value::EXEC_UNKNOWN_EXECUTABLE)
            && let Some(probe) = &self.probe
        {
            probe.set_class(&exec.header, class_of(found));
        }
        found
    }

    fn remember(&self, key: Key, found: Option<Known>) -> Option<Known> {
        let mut known = self.lock();
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(key, found);
        found
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Option<Known>>> {
        // A thread that panicked while holding it left whole entries: they can be used.
        self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Key {
    fn of(exec: &Exec) -> Self {
        let header = &exec.header;
        Self {
            device: header.executable_device,
            inode: header.executable_inode,
            size: header.executable_size,
            changed: (header.executable_changed, header.executable_changed_ns),
        }
    }
}

/// The very file that runs, or the one of that name in the container where the process has ended.
fn open(exec: &Exec) -> Option<File> {
    let pid = exec.header.pid;
    // The link leads to what the process executes now: after a further exec that is another file.
    let running = File::open(format!("/proc/{pid}/exe")).ok().filter(|file| is_it(file, exec));
    running.or_else(|| {
        let file = Root::of(pid, exec.header.pid_in_container)?.open(&exec.executable).ok()?.file;
        is_it(&file, exec).then_some(file)
    })
}

/// The device is left out: overlayfs shows another one to `stat` than the kernel uses itself.
fn is_it(file: &File, exec: &Exec) -> bool {
    use std::os::unix::fs::MetadataExt;
    file.metadata().is_ok_and(|file| {
        let header = &exec.header;
        file.len() == header.executable_size
            && u64::try_from(file.ctime()) == Ok(header.executable_changed)
            && u32::try_from(file.ctime_nsec()) == Ok(header.executable_changed_ns)
    })
}

fn look_at(path: &[u8], file: &File) -> Option<Known> {
    let family = recognize::recognize(path, file)?;
    let size = file.metadata().map_or(0, |metadata| metadata.len());
    let sha256 = (size <= HASH_MAX)
        .then(|| hash(file, &mut |_| true).ok())
        .flatten()
        .and_then(|(sha256, hashed)| (hashed == size).then_some(sha256));
    Some(Known { family, size, sha256 })
}

fn class_of(found: Option<Known>) -> u32 {
    match found {
        None => value::CLASS_OTHER,
        Some(Known { family: Family::Busybox, .. }) => value::CLASS_BUSYBOX,
        Some(_) => value::CLASS_INTERPRETER,
    }
}
