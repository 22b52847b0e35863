//! Remembers what executables are, so that each is looked at once.
//!
//! Owns: the table of executables in user space, and telling the probe what to leave out. A dynamic loader that
//! is executed itself (`ld-linux.so python3 …`) is seen through to the program that it loads.
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

/// What an executable is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Interpreter(Known),
    /// The dynamic loader: what it runs stands in its arguments.
    Loader,
    Other,
}

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
    known: Mutex<HashMap<Key, Kind>>,
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

    /// What the executable of this exec is. Where the process has ended, the file is looked for below `roots`: its own
    /// and those of other processes of its container.
    pub(crate) fn look_up<R: Iterator<Item = Root>>(&self, exec: &Exec, roots: impl FnOnce() -> R) -> Kind {
        let key = Key::of(exec);
        let remembered = self.lock().get(&key).copied();
        let kind = match remembered {
            Some(kind) => kind,
            None => match open(exec, roots) {
                Some(file) => self.remember(key, look_at(&exec.executable, &file)),
                None => return by_name_alone(exec),
            },
        };
        if exec.has(value::EXEC_UNKNOWN_EXECUTABLE)
            && let Some(probe) = &self.probe
        {
            probe.set_class(&exec.header, class_of(kind));
        }
        kind
    }

    fn remember(&self, key: Key, kind: Kind) -> Kind {
        let mut known = self.lock();
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(key, kind);
        kind
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Kind>> {
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
fn open<R: Iterator<Item = Root>>(exec: &Exec, roots: impl FnOnce() -> R) -> Option<File> {
    let pid = exec.header.pid;
    // The link leads to what the process executes now: after a further exec that is another file.
    let running = File::open(format!("/proc/{pid}/exe")).ok().filter(|file| is_it(file, exec));
    running.or_else(|| {
        let mut files = roots().filter_map(|root| Some(root.open(&exec.executable).ok()?.file));
        files.find(|file| is_it(file, exec))
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

/// What a file is, by its content.
pub(crate) fn look_at(path: &[u8], file: &File) -> Kind {
    let Some(family) = recognize::recognize(path, file) else {
        return if recognize::is_loader(file) { Kind::Loader } else { Kind::Other };
    };
    let size = file.metadata().map_or(0, |metadata| metadata.len());
    let sha256 = (size <= HASH_MAX)
        .then(|| hash(file, &mut |_| true).ok())
        .flatten()
        .and_then(|(sha256, hashed)| (hashed == size).then_some(sha256));
    Kind::Interpreter(Known { family, size, sha256 })
}

/// The process is gone and so is its file: the name is all there is. Nothing of this is remembered.
fn by_name_alone(exec: &Exec) -> Kind {
    match recognize::by_name(&exec.executable) {
        Some(family) => Kind::Interpreter(Known { family, size: exec.header.executable_size, sha256: None }),
        None => Kind::Other,
    }
}

fn class_of(kind: Kind) -> u32 {
    match kind {
        Kind::Other => value::CLASS_OTHER,
        Kind::Interpreter(Known { family: Family::Busybox, .. }) => value::CLASS_BUSYBOX,
        Kind::Interpreter(_) | Kind::Loader => value::CLASS_INTERPRETER,
    }
}
