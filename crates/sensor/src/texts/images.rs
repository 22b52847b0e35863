//! The files that the probe of texts is attached to: interpreters, and libraries that hold one.
//!
//! Owns: finding them by what processes map and by the functions that they export, not by their names; attaching once
//! for each file, which serves every container of its image; dropping what is not used any more.
//! Blind spot: until the probe is attached to a file for the first time, some milliseconds after the first process that
//! maps it was executed, that process is not watched. Python needs 10 ms and more before it compiles a script's text.
//! A program that can load libraries is looked at some times in its first seconds ([`super::later`]), the first time that
//! its file is executed; an interpreter that it loads later, or of which no process was ever seen, stays unseen.

use super::later::Later;
use super::probe::{Function, TextProbe};
use crate::recognize::{cheap_place, functions, python};
use crate::wire::value;
use evidence::Timestamp;
use libbpf_rs::Link;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

/// What is attached to: the exported function and what it compiles.
const FUNCTIONS: [(&[u8], u32); 7] = [
    (b"PyRun_StringFlags", value::TEXT_PYTHON_RUN),
    // Since 3.13 these lead past the one above. A text that comes by several of them counts once.
    (b"PyRun_SimpleStringFlags", value::TEXT_PYTHON_RUN),
    (b"PyRun_SimpleString", value::TEXT_PYTHON_RUN),
    (b"PyRun_String", value::TEXT_PYTHON_RUN),
    (b"Py_CompileStringObject", value::TEXT_PYTHON_COMPILE),
    // Python 2.7, where the name is a string.
    (b"Py_CompileStringFlags", value::TEXT_PYTHON_RUN),
    (b"parse_and_execute", value::TEXT_BASH),
];

/// Files that are attached to at the same time; then the one that was not used for the longest time gives way.
const ATTACHED_MAX: usize = 1024;
/// Files that are remembered as having nothing to attach to; then all are forgotten, and looked at again.
const EMPTY_MAX: usize = 16_384;
/// Mappings of one process that are looked at.
const MAPPINGS_MAX: usize = 1024;
/// Whether a process has mapped its libraries is looked at this often, with pauses that double.
const LOOKS: u32 = 9;
const FIRST_PAUSE: Duration = Duration::from_micros(250);
/// How often the probe is detached from what no process maps any more. It takes some 50 µs for each process of the host.
pub(super) const CLEAN_EVERY: Duration = Duration::from_secs(600);

/// One state of one file. Each container has an overlay of its own on the layers of its image, and a device number for it;
/// the probe lies on the file below, whose inode number and times the overlay shows, and serves them all. To be
/// attached once for each container would cost each text as often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Image {
    /// Zero for all overlays.
    device: u64,
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

impl Image {
    fn of(file: &File) -> Option<Self> {
        const OVERLAYFS: i64 = 0x794c_7630;
        #[allow(clippy::unnecessary_cast, reason = "the field's type differs between architectures")]
        let is_overlay = rustix::fs::fstatfs(file).is_ok_and(|found| found.f_type as i64 == OVERLAYFS);
        let file = file.metadata().ok()?;
        Some(Self {
            device: if is_overlay { 0 } else { file.dev() },
            inode: file.ino(),
            size: file.len(),
            changed: (file.ctime(), file.ctime_nsec()),
        })
    }
}

struct Attached {
    _links: Vec<Link>,
    /// Its place in the table of files whose code objects are looked at.
    code: Option<u32>,
    /// Which of the processes that came in used it last, counted.
    used: u64,
}

/// See the module.
pub(super) struct Images {
    probe: TextProbe,
    attached: HashMap<Image, Attached>,
    empty: HashSet<Image>,
    /// Executables that map no interpreter that exports anything.
    fruitless: HashSet<Image>,
    processes: u64,
    /// Places in the table of files whose code objects are looked at.
    free: Vec<u32>,
}

/// A process that was executed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Started {
    /// It holds an interpreter, or will in a moment.
    Interpreter(u32),
    /// It can load one while it runs.
    MayLoad(u32),
}

/// Attaches for each process that comes in, until nobody can send any more.
pub(super) fn serve(probe: TextProbe, processes: &Receiver<Started>, now: fn() -> Timestamp) {
    let mut images = Images {
        probe,
        attached: HashMap::new(),
        empty: HashSet::new(),
        fruitless: HashSet::new(),
        processes: 0,
        free: (0..value::CODE_IMAGES).rev().collect(),
    };
    let mut cleaned_at = now();
    let mut later = Later::default();
    loop {
        match processes.recv_timeout(later.wait(now())) {
            Ok(Started::Interpreter(pid)) => images.watch(pid),
            Ok(Started::MayLoad(pid)) => later.add(pid, now()),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        while let Some(look) = later.due(now()) {
            if images.look_at_mappings(look.pid) == Some(false) {
                later.again(look);
            }
        }
        if now().since(cleaned_at) >= CLEAN_EVERY {
            cleaned_at = now();
            images.clean();
        }
    }
}

impl Images {
    /// Attaches to what this process executes. A program that is not an interpreter by itself has one in a library, which
    /// its loader maps within a millisecond as a rule.
    fn watch(&mut self, pid: u32) {
        self.processes += 1;
        let Ok(executable) = File::open(format!("/proc/{pid}/exe")) else { return };
        let image = Image::of(&executable);
        if image.is_none_or(|image| self.fruitless.contains(&image)) || self.look_at(&executable) {
            return;
        }
        let mut pause = FIRST_PAUSE;
        for _ in 0..LOOKS {
            match self.look_at_mappings(pid) {
                Some(false) => {}
                Some(true) | None => return,
            }
            std::thread::sleep(pause);
            pause *= 2;
        }
        // It has mapped all that it needs by now: the next one need not be waited for.
        self.fruitless.extend(image);
        if self.fruitless.len() > EMPTY_MAX {
            self.fruitless.clear();
        }
    }

    /// Whether one of the files that the process maps is an interpreter; `None` where the process has ended.
    fn look_at_mappings(&mut self, pid: u32) -> Option<bool> {
        let maps = std::fs::read(format!("/proc/{pid}/maps")).ok().filter(|maps| !maps.is_empty())?;
        let paths =
            maps.split(|byte| *byte == b'\n').take(MAPPINGS_MAX).filter_map(|line| Some(code(line)?.1));
        let root = crate::file::Root::of_process(pid)?;
        let mut is_found = false;
        let mut before: &[u8] = b"";
        for path in paths {
            if path == before {
                continue;
            }
            before = path;
            is_found |= root.open(path).is_ok_and(|found| self.look_at(&found.file));
        }
        Some(is_found)
    }

    /// Attaches to the file where that is not done yet. Returns whether it is an interpreter.
    fn look_at(&mut self, file: &File) -> bool {
        let Some(image) = Image::of(file) else { return false };
        if let Some(attached) = self.attached.get_mut(&image) {
            attached.used = self.processes;
            return true;
        }
        if self.empty.contains(&image) {
            return false;
        }
        let names = FUNCTIONS.map(|(name, _)| name);
        let found = functions(file, &names);
        let functions: Vec<Function> = found
            .iter()
            .filter_map(|(index, offset)| {
                let (_, kind) = FUNCTIONS.get(*index)?;
                let arguments = if *kind == value::TEXT_PYTHON_RUN { 1 } else { 2 };
                let offset = offset + cheap_place(file, *offset, arguments);
                Some(Function { kind: u64::from(*kind), offset })
            })
            .collect();
        if functions.is_empty() {
            self.remember_empty(image);
            return false;
        }
        match self.probe.attach(file, &functions) {
            Ok(mut links) => {
                let code = self.attach_code(file, &mut links);
                self.remember(image, Attached { _links: links, code, used: self.processes });
            }
            Err(error) => {
                tracing::warn!(%error, "the texts of an interpreter are not watched");
                self.remember_empty(image);
                return false;
            }
        }
        true
    }

    /// Has the file's code objects looked at, where it holds CPython; returns its place in the table.
    fn attach_code(&mut self, file: &File, links: &mut Vec<Link>) -> Option<u32> {
        let python = self.probe.has_code().then(|| python(file)).flatten()?;
        let number = self.free.pop()?;
        match self.probe.attach_code(file, &python, number) {
            Ok(further) => {
                links.extend(further);
                Some(number)
            }
            Err(error) => {
                tracing::warn!(%error, "the code objects of an interpreter are not watched");
                self.free.push(number);
                None
            }
        }
    }

    fn remember(&mut self, image: Image, attached: Attached) {
        if self.attached.len() >= ATTACHED_MAX {
            let oldest =
                self.attached.iter().min_by_key(|(_, attached)| attached.used).map(|(image, _)| *image);
            let oldest = oldest.and_then(|image| self.attached.remove(&image));
            self.free.extend(oldest.and_then(|oldest| oldest.code));
        }
        self.attached.insert(image, attached);
    }

    fn remember_empty(&mut self, image: Image) {
        if self.empty.len() >= EMPTY_MAX {
            self.empty.clear();
        }
        self.empty.insert(image);
    }

    /// Detaches from what no process maps any more. A number of an inode may stand for another file too, which then only
    /// stays attached for longer.
    fn clean(&mut self) {
        if self.attached.is_empty() {
            return;
        }
        let mapped = mapped_inodes();
        let unused = self.attached.extract_if(|image, _| !mapped.contains(&image.inode));
        self.free.extend(unused.filter_map(|(_, attached)| attached.code));
    }
}

/// The inodes of all code that a process of the host maps.
fn mapped_inodes() -> HashSet<u64> {
    let mut inodes = HashSet::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        // What is no process has no such file.
        let maps = std::fs::read(entry.path().join("maps")).unwrap_or_default();
        inodes.extend(maps.split(|byte| *byte == b'\n').filter_map(|line| Some(code(line)?.0)));
    }
    inodes
}

/// The inode and path of a mapping of a file's code, out of a line of `/proc/PID/maps`.
fn code(line: &[u8]) -> Option<(u64, &[u8])> {
    let mut fields = line.splitn(6, |byte| *byte == b' ');
    let permissions = fields.nth(1)?;
    let inode = std::str::from_utf8(fields.nth(2)?).ok()?.parse().ok()?;
    let path = fields.next()?;
    let path = &path[path.iter().position(|byte| *byte != b' ')?..];
    (permissions.get(2) == Some(&b'x') && path.starts_with(b"/")).then_some((inode, path))
}

#[cfg(test)]
mod tests {
    use super::code;

    #[test]
    fn code_of_files_is_told_from_other_mappings() {
        let check = |line: &str, expected: Option<(u64, &str)>| {
            assert_eq!(
                code(line.as_bytes()),
                expected.map(|(inode, path)| (inode, path.as_bytes())),
                "{line}"
            );
        };
        let library = "/usr/lib/libpython3.11.so.1.0";
        check(&format!("7f00-7f10 r-xp 00001000 fe:00 12   {library}"), Some((12, library)));
        check(
            "7f00-7f10 r-xp 00001000 fe:00 7   /opt/a b/python (deleted)",
            Some((7, "/opt/a b/python (deleted)")),
        );
        check(&format!("7f00-7f10 r--p 00001000 fe:00 12   {library}"), None);
        check("7f00-7f10 r-xp 00000000 00:00 0    [vdso]", None);
        check("7f00-7f10 rwxp 00000000 00:00 0 ", None);
        check("", None);
    }
}
