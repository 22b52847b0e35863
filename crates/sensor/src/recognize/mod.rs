//! Tells which interpreter an executable is: by what it holds first, by its name only where that tells nothing.
//!
//! Owns: the marks of CPython, PyPy, Bash, dash, BusyBox and zsh in an ELF file, and the names they are installed
//! under.
//! Refuses: opening files, following links, caching. One call reads at most 16 MiB and suits being made once for
//! each new inode.
//!
//! How it decides, in this order:
//! 1. Names in the dynamic string table, which stripping leaves: PyPy's start-up function; Bash's and zsh's own
//!    functions, which they export for their loadable modules; for CPython a call of Python's `main`
//!    (`Py_BytesMain`, `Py_Main` and the like) *and* either libpython as a library or a table that is mostly
//!    Python's. A program that embeds Python as a library (gdb, Vim, Blender) does not hand its arguments to
//!    Python's `main`, or exports far more than Python, and so is no interpreter.
//! 2. Message texts among the constants, for shells that are stripped or linked statically, and for a CPython that
//!    is linked statically. A dynamically linked program that imports no `fork` and `execve` is no shell and is not
//!    searched.
//! 3. The base name of the path: for files that cannot be read, for packed ones, and for any other `sh`.
//!
//! [`holding`] tells programs that embed an interpreter, or may come to.
//!
//! Blind spots: a packed or encrypted interpreter under a foreign name; an interpreter whose own code loads
//! libpython at run time (PyInstaller), which is found by what it maps and not here; marks beyond the first 16 MiB of constants; shells that are none of the
//! six, under foreign names. A program may also carry the marks on purpose, and is then read as what it feigns.

mod code;
mod elf;
mod name;
mod prologue;

pub use code::{Python, python};
pub use name::by_name;
pub use prologue::cheap_place;

use elf::{Image, Reader};
use evidence::Family;
use memchr::memmem;
use std::io;

/// A file that is read at offsets, so that a shared descriptor keeps its position.
pub trait ReadAt {
    /// Reads up to `buffer.len()` bytes at `offset`; 0 at the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
}

impl ReadAt for std::fs::File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(self, buffer, offset)
    }
}

impl ReadAt for &[u8] {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|start| self.get(start..)).unwrap_or_default();
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        Ok(length)
    }
}

/// Where in a file the code of these functions begins, as far as it exports them: each as its place in `names` and an
/// offset. Empty for what is no ELF file.
pub fn functions(file: &dyn ReadAt, names: &[&[u8]]) -> Vec<(usize, u64)> {
    elf::functions(&mut Reader::new(file), names).unwrap_or_default()
}

/// What CPython's own `main` calls: since 3.8, in 3.7, before.
const PYTHON_MAINS: [&[u8]; 4] = [b"Py_BytesMain", b"Py_RunMain", b"_Py_UnixMain", b"Py_Main"];

/// What the loaders of glibc and musl export.
const LOADER_NAMES: [&[u8]; 2] = [b"_rtld_global", b"_dlstart"];

/// Texts that together tell a shell: all of them are among its constants.
const SHELL_MARKS: [(Family, &[&[u8]]); 5] = [
    (Family::Busybox, &[b"BusyBox v", b"multi-call binary"]),
    (Family::Bash, &[b"GNU bash, version %s"]),
    (Family::Zsh, &[b"ZSH_SUBSHELL", b"can't open input file: %s", b"no such option: %s"]),
    (Family::Dash, &[b"Illegal option -o %s", b"Illegal option -%c"]),
    // MirBSD's Korn shell, the `sh` of some small systems.
    (Family::Dash, &[b"@(#)MIRBSD KSH"]),
];

/// The same for a CPython that is linked statically.
const PYTHON_MARKS: (Family, &[&[u8]]) =
    (Family::CPython, &[b"[-c cmd | -m mod | file | -] [arg]", b"PYTHONSTARTUP"]);

/// Bytes of constants that are searched at a time, and by how much two stretches overlap: more than any mark.
const STRETCH: u64 = 256 * 1024;
const OVERLAP: u64 = 64;

/// How a program that is no interpreter may come to hold one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holding {
    /// It needs Python's library, or exports what an interpreter does.
    Surely,
    /// It can load libraries while it runs.
    Perhaps,
    /// It can do neither.
    Never,
}

/// Whether a program that is no interpreter may hold one.
pub fn holding(file: &dyn ReadAt) -> Holding {
    let Some(image) = elf::open(&mut Reader::new(file)) else { return Holding::Never };
    let has_any = |names: &[&[u8]]| names.iter().any(|name| has(&image.strings, name));
    if memmem::find(&image.strings, b"libpython").is_some() || has_any(&EMBEDDING_NAMES) {
        Holding::Surely
    } else if has_any(&[b"dlopen"]) {
        Holding::Perhaps
    } else {
        Holding::Never
    }
}

/// What a program calls, or exports, that embeds Python.
const EMBEDDING_NAMES: [&[u8]; 4] =
    [b"Py_Initialize", b"Py_InitializeEx", b"Py_InitializeFromConfig", b"PyEval_EvalCode"];

/// The interpreter that the executable `file` is, whose resolved path is `path`; None where it is none.
pub fn recognize(path: &[u8], file: &dyn ReadAt) -> Option<Family> {
    by_content(file).or_else(|| by_name(path))
}

/// The interpreter that the bytes of an ELF file make; None for another program and for what is no ELF file.
pub fn by_content(file: &dyn ReadAt) -> Option<Family> {
    let mut reader = Reader::new(file);
    let image = elf::open(&mut reader)?;
    if let Some(family) = by_symbols(&image.strings) {
        return Some(family);
    }
    let mut marks = Vec::new();
    if image.is_static || may_be_shell(&image.strings) {
        marks.extend(SHELL_MARKS);
    }
    if image.is_static {
        marks.push(PYTHON_MARKS);
    }
    by_marks(&mut reader, &image, &marks)
}

/// Whether the executable is the dynamic loader of glibc or musl, which runs the program that its arguments name:
/// see [`crate::command_line::loaded`].
pub fn is_loader(file: &dyn ReadAt) -> bool {
    let image = elf::open(&mut Reader::new(file));
    image.is_some_and(|image| image.is_static && LOADER_NAMES.iter().any(|name| has(&image.strings, name)))
}

fn by_symbols(strings: &[u8]) -> Option<Family> {
    if has(strings, b"pypy_main_startup") {
        Some(Family::PyPy)
    } else if has(strings, b"parse_and_execute") && has(strings, b"shell_name") {
        Some(Family::Bash)
    } else if has(strings, b"zsh_main") && has(strings, b"zshlex") {
        Some(Family::Zsh)
    } else {
        is_python(strings).then_some(Family::CPython)
    }
}

fn is_python(strings: &[u8]) -> bool {
    let calls_main = PYTHON_MAINS.iter().any(|name| has(strings, name));
    calls_main && (memmem::find(strings, b"libpython").is_some() || is_mostly_python(strings))
}

fn is_mostly_python(strings: &[u8]) -> bool {
    let (mut own, mut all) = (0usize, 0usize);
    for name in strings.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        all += 1;
        own += usize::from(name.starts_with(b"Py") || name.starts_with(b"_Py"));
    }
    own * 2 > all
}

fn may_be_shell(strings: &[u8]) -> bool {
    has(strings, b"execve") && has(strings, b"fork")
}

/// Whether a string table has this name. Linkers store a name that ends another one inside it, `fork` in `vfork`,
/// so only its end is looked at.
fn has(strings: &[u8], name: &[u8]) -> bool {
    memmem::find_iter(strings, name).any(|start| strings.get(start + name.len()) == Some(&0))
}

fn by_marks(reader: &mut Reader<'_>, image: &Image, marks: &[(Family, &[&[u8]])]) -> Option<Family> {
    // The marks that are still to be found, family by family.
    let mut missing: Vec<(Family, Vec<memmem::Finder<'_>>)> = marks
        .iter()
        .map(|(family, texts)| (*family, texts.iter().map(|text| memmem::Finder::new(*text)).collect()))
        .collect();
    for constants in image.constants.iter().filter(|_| !marks.is_empty()) {
        let mut start = constants.start;
        while start < constants.end {
            let stretch = reader.read(start, (constants.end - start).min(STRETCH + OVERLAP))?;
            for (family, texts) in &mut missing {
                texts.retain(|text| text.find(&stretch).is_none());
                if texts.is_empty() {
                    return Some(*family);
                }
            }
            start += STRETCH;
        }
    }
    None
}
