//! Finds the file that holds a program's system calls, in the program's own container: its C library, or itself.
//!
//! Owns: where C libraries lie, and what was found in them, by inode and state. No file is kept open: that would keep
//! a container's mounts alive.
//! Blind spot: a program that is led to another library, by `LD_PRELOAD` or `LD_LIBRARY_PATH` or its own search path.

use super::sites::{self, Site};
use crate::assemble::Exec;
use crate::file::{OpenFile, Root};
use evidence::{FileIdentity, Timestamp};
use std::collections::HashMap;
use std::fs::File;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Programs and libraries that are remembered; then all are forgotten.
const KNOWN_MAX: usize = 1024;
/// Folders of C libraries, beside that in which the loader lies.
const FOLDERS: [&str; 8] = [
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib64",
    "/usr/lib64",
    "/lib",
    "/usr/lib",
    "/lib/aarch64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
];

/// A file that is open, and the places in it.
pub(super) struct Library {
    pub(super) file: File,
    pub(super) inode: u64,
    pub(super) sites: Arc<[Site]>,
    /// Whether it is the program itself, and so was there from the start.
    pub(super) is_program: bool,
}

/// See the module.
#[derive(Default)]
pub(super) struct Libraries {
    /// Where a program's library lies. The mount namespace is part of the name, the device tells images apart.
    paths: Mutex<HashMap<Name, Arc<[u8]>>>,
    /// The places in a file. Its device is left out: each container shows the same layer under another one, and the
    /// places are looked at again before they are used.
    sites: Mutex<HashMap<State, Arc<[Site]>>>,
}

#[derive(PartialEq, Eq, Hash)]
struct Name {
    mount_namespace: u32,
    device: u64,
    inode: u64,
    changed: (u64, u32),
}

#[derive(PartialEq, Eq, Hash)]
struct State {
    inode: u64,
    size: u64,
    changed_at: Timestamp,
}

impl Libraries {
    /// The file through which this program reads; None where it is not known.
    pub(super) fn of(&self, exec: &Exec) -> Option<Library> {
        let header = &exec.header;
        let root = Root::of(header.pid, header.pid_in_container, header.mount_namespace)?;
        let name = Name {
            mount_namespace: header.mount_namespace,
            device: header.executable_device,
            inode: header.executable_inode,
            changed: (header.executable_changed, header.executable_changed_ns),
        };
        let known = lock(&self.paths).get(&name).cloned();
        if let Some(library) = known.and_then(|path| self.open(&root, &path)) {
            return Some(library);
        }
        let program = File::open(format!("/proc/{}/exe", header.pid)).ok()?;
        let Some(loader) = sites::open(&program)?.loader else { return self.itself(program) };
        let found =
            candidates(&root, &loader).into_iter().find_map(|path| Some((self.open(&root, &path)?, path)));
        let (library, path) = found?;
        remember(&self.paths, name, path.into());
        Some(library)
    }

    /// A static program.
    fn itself(&self, program: File) -> Option<Library> {
        let identity = crate::file::identity(&rustix::fs::fstat(&program).ok()?);
        self.with_sites(program, &identity, true)
    }

    fn open(&self, root: &Root, path: &[u8]) -> Option<Library> {
        let OpenFile { file, identity, .. } = root.open(path).ok()?;
        self.with_sites(file, &identity, false)
    }

    fn with_sites(&self, file: File, identity: &FileIdentity, is_program: bool) -> Option<Library> {
        let state = State { inode: identity.inode, size: identity.size, changed_at: identity.changed_at };
        let known = lock(&self.sites).get(&state).cloned();
        let is_known = |sites: &Arc<[Site]>| sites.iter().all(|site| sites::still_has(&file, site));
        let sites = match known.filter(is_known) {
            Some(sites) => sites,
            None => {
                let sites: Arc<[Site]> =
                    sites::open(&file).map(|program| sites::sites(&file, &program))?.into();
                remember(&self.sites, state, Arc::clone(&sites));
                sites
            }
        };
        (!sites.is_empty()).then_some(Library { file, inode: identity.inode, sites, is_program })
    }
}

/// Paths at which the library of a program may lie that asks for this loader. musl's loader is the library itself.
fn candidates(root: &Root, loader: &[u8]) -> Vec<Vec<u8>> {
    let real = root.open(loader).map_or_else(|_| loader.to_vec(), |file| file.path.to_vec());
    if memchr::memmem::find(&real, b"ld-musl").is_some() || memchr::memmem::find(loader, b"ld-musl").is_some()
    {
        return vec![loader.to_vec()];
    }
    let folder = real.iter().rposition(|byte| *byte == b'/').map_or(&b""[..], |at| &real[..at]);
    let folders = std::iter::once(folder).chain(FOLDERS.iter().map(|folder| folder.as_bytes()));
    folders.map(|folder| [folder, b"/libc.so.6"].concat()).collect()
}

fn remember<K: std::hash::Hash + Eq, V>(known: &Mutex<HashMap<K, V>>, key: K, value: V) {
    let mut known = lock(known);
    if known.len() >= KNOWN_MAX {
        known.clear();
    }
    known.insert(key, value);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A thread that panicked while holding it left whole entries.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
