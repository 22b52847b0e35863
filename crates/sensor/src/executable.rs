//! Remembers what executables are, so that each is looked at once.
//!
//! Owns: the table of executables in user space, and telling the probe what to leave out. A dynamic loader that
//! is executed itself (`ld-linux.so python3 …`) is seen through to the program that it loads.
//! Refuses: names as proof. The file itself is looked at; its name only counts where it cannot be opened.

use crate::assemble::Exec;
use crate::file::{Root, hash};
use crate::losses::{Tally, What};
use crate::probe::Executables;
use crate::recognize::{self, Holding};
use crate::wire::value;
use evidence::{Family, GapKind, Sha256};
use std::collections::HashMap;
use std::fs::File;
use std::sync::{Arc, Mutex};

/// Executables that are remembered; then the table is emptied, and each is looked at again.
const KNOWN_MAX: usize = 16_384;
/// Executables larger than this are not hashed: the hash would come too late to be of use.
const HASH_MAX: u64 = 64 * 1024 * 1024;

/// What an executable is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Interpreter(Known),
    /// The dynamic loader: what it runs stands in its arguments.
    Loader,
    /// A program that is no interpreter by itself and holds one in a library.
    Embedding,
    /// Any other program, and whether it can load libraries while it runs.
    Other {
        loads: bool,
    },
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
    tally: Arc<Tally>,
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
    pub(crate) fn new(probe: Option<Executables>, tally: Arc<Tally>) -> Self {
        Self { probe, known: Mutex::new(HashMap::new()), tally }
    }

    /// What the executable of this exec is. Where the process has ended, the file is looked for below `roots`: its own
    /// and those of other processes of its container.
    pub(crate) fn look_up<R: Iterator<Item = Root>>(&self, exec: &Exec, roots: impl FnOnce() -> R) -> Kind {
        let key = Key::of(exec);
        let remembered = self.lock().get(&key).copied();
        let kind = match remembered {
            Some(kind) => kind,
            None => {
                let Some((file, is_running)) = open(exec, roots) else { return self.by_name_alone(exec) };
                let kind = look_at(&exec.executable, &file);
                // What was found by its name need not be what ran; and where a file can change without a trace, what it
                // is now says nothing of the next time.
                if !is_running || !keeps_a_trace(&file) {
                    return kind;
                }
                self.remember(key, kind)
            }
        };
        if exec.has(value::EXEC_UNKNOWN_EXECUTABLE)
            && let Some(probe) = &self.probe
        {
            probe.set_class(&exec.header, class_of(kind));
        }
        kind
    }

    /// Which interpreter this exec runs, by itself and without a loader: found out quickly, without hashing anything.
    pub(crate) fn family(&self, exec: &Exec) -> Option<Family> {
        match self.lock().get(&Key::of(exec)) {
            Some(Kind::Interpreter(known)) => return Some(known.family),
            Some(_) => return None,
            None => {}
        }
        // A name that proves wrong costs probes that are taken away again; looking would cost time that there is not.
        if let Some(family) = recognize::by_name(&exec.executable) {
            return Some(family);
        }
        let file =
            File::open(format!("/proc/{}/exe", exec.header.pid)).ok().filter(|file| is_it(file, exec))?;
        recognize::recognize(&exec.executable, &file)
    }

    /// The process is gone and so is its file: the name is all there is. Nothing of this is remembered.
    fn by_name_alone(&self, exec: &Exec) -> Kind {
        let Some(family) = recognize::by_name(&exec.executable) else {
            // A program without arguments is given no script by them.
            let is_doubtful = exec.arguments.len() > 1 || exec.arguments_cut;
            if is_doubtful {
                self.tally.add(exec.header.budget, What::Execs, GapKind::ExecutableGone, 1);
            }
            return Kind::Other { loads: false };
        };
        Kind::Interpreter(Known { family, size: exec.header.executable_size, sha256: None })
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

/// The very file that runs, and `true`; or the one of that name in the container where the process has ended.
fn open<R: Iterator<Item = Root>>(exec: &Exec, roots: impl FnOnce() -> R) -> Option<(File, bool)> {
    let pid = exec.header.pid;
    // The link leads to what the process executes now: after a further exec that is another file.
    let running = File::open(format!("/proc/{pid}/exe")).ok().filter(|file| is_it(file, exec));
    if let Some(file) = running {
        return Some((file, true));
    }
    let mut files = roots().filter_map(|root| Some(root.open(&exec.executable).ok()?.file));
    files.find(|file| is_it(file, exec)).map(|file| (file, false))
}

/// Whether the process still runs the program of this exec.
pub(crate) fn is_running(exec: &Exec) -> bool {
    File::open(format!("/proc/{}/exe", exec.header.pid)).is_ok_and(|file| is_it(&file, exec))
}

/// Whether the file system keeps the change time of an executable true. In memory a file that is mapped for writing
/// changes without it, and a file system of user space or of another machine tells what it likes.
fn keeps_a_trace(file: &File) -> bool {
    const ON_DISK: [i64; 9] = [
        0xef53,      // ext2 to ext4
        0x5846_5342, // xfs
        0x9123_683e, // btrfs
        0xf2f5_2010, // f2fs
        0x2fc1_2fc1, // zfs
        0xca45_1a4e, // bcachefs
        0xe0f5_e1e2, // erofs
        0x7371_7368, // squashfs
        0x794c_7630, // overlayfs: what lies below it is one of these as a rule
    ];
    #[allow(clippy::unnecessary_cast, reason = "the field's type differs between architectures")]
    rustix::fs::fstatfs(file).is_ok_and(|found| ON_DISK.contains(&(found.f_type as i64)))
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
        return match recognize::holding(file) {
            _ if recognize::is_loader(file) => Kind::Loader,
            Holding::Surely => Kind::Embedding,
            holding => Kind::Other { loads: holding == Holding::Perhaps },
        };
    };
    let size = file.metadata().map_or(0, |metadata| metadata.len());
    let sha256 = (size <= HASH_MAX)
        .then(|| hash(file, size, &|| true).ok())
        .flatten()
        .and_then(|(sha256, hashed)| (hashed == size).then_some(sha256));
    Kind::Interpreter(Known { family, size, sha256 })
}

fn class_of(kind: Kind) -> u32 {
    match kind {
        Kind::Other { .. } => value::CLASS_OTHER,
        Kind::Interpreter(Known { family: Family::Busybox, .. }) => value::CLASS_BUSYBOX,
        Kind::Interpreter(_) | Kind::Loader | Kind::Embedding => value::CLASS_INTERPRETER,
    }
}
