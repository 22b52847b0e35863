//! Where `python3 -m NAME` finds its file.
//!
//! Owns: the order in which CPython and PyPy search for modules, as paths to try.
//! Refuses: looking whether a file is there. The caller opens the paths one after another, inside the root of the
//! process, and takes the first that is a file.
//!
//! Blind spots: modules inside zip archives, folders that `.pth` files and `sitecustomize` add, `pyvenv.cfg` of a
//! virtual environment whose interpreter is a copy outside `/usr` and `/usr/local`, modules that exist as bytecode only,
//! and modules frozen into the interpreter.

use crate::command_line::ModuleSearch;
use evidence::Untrusted;

/// Most paths that are given for one name.
pub const CANDIDATES_MAX: usize = 64;
/// Longest path that is given; the kernel refuses longer ones.
const PATH_MAX: usize = 4096;
/// Most entries of `PYTHONPATH` and of `PATH` that are followed.
const ENTRIES_MAX: usize = 16;
/// Versions that are tried where the interpreter's name does not tell.
const VERSIONS: [&str; 9] = ["3.11", "3.12", "3.13", "3.10", "3.9", "3.14", "3.8", "3.7", "3.6"];
/// Prefixes under which distributions and Docker's official images install Python.
const PREFIXES: [&str; 2] = ["/usr/local", "/usr"];

/// All that decides where a module is looked for. Paths are those inside the container.
#[derive(Debug, Clone, Copy)]
pub struct Search<'a> {
    /// The dotted name, as it was given to `-m`.
    pub name: &'a [u8],
    /// What the options say.
    pub options: ModuleSearch,
    /// Working directory of the process.
    pub working_directory: &'a [u8],
    /// Environment of the process, `NAME=value`.
    pub environment: &'a [Untrusted],
    /// Resolved path of the interpreter.
    pub executable: &'a [u8],
    /// The name by which the interpreter was called: a virtual environment shows in it, not in the resolved path.
    pub argv0: &'a [u8],
}

/// The files that may hold the module, the likeliest first: at most [`CANDIDATES_MAX`] absolute paths. Empty for a
/// name that no file can have.
pub fn candidates(search: &Search<'_>) -> Vec<Vec<u8>> {
    let _ = search;
    Vec::new()
}

/// The files of the packages around the module, which Python executes before it, outermost first and then as
/// [`candidates`]. `python3 -m NAME.py` executes `NAME.py` in this way before it complains.
pub fn imported_before(search: &Search<'_>) -> Vec<Vec<u8>> {
    let _ = search;
    Vec::new()
}
