//! Reads an argument vector as the interpreter itself reads it, to tell what it is about to run.
//!
//! Owns: the option grammars of CPython, PyPy, Bash, dash, BusyBox's ash and zsh, each after the interpreter's
//! own source and held against the real programs in `tests/command_line.rs`.
//! Refuses: files, the environment, terminals. Whether standard input is a terminal, whether a path is a
//! directory or a zip archive, and what a login shell's profile does is for the caller to find out.
//!
//! ```text
//! read(family, args) -> CommandLine { source, own_arguments, interactive, module_search }
//! loaded(args)       -> Option<Loaded { program, argument, argv0 }>, for an executable that is the dynamic loader
//! ```
//!
//! A `#!` line needs no treatment of its own: the kernel rewrites the vector to `[interpreter, the rest of the
//! line as one argument, path of the script, arguments…]` before the interpreter sees it, and `env -S` executes
//! the interpreter anew with an ordinary vector.
//!
//! An option that this reader does not know is taken for a flag without a value. An interpreter that does not
//! know it either refuses to start, so that too much is read and nothing was run; one that is newer than this
//! reader runs its script, and that must not be missed.
//!
//! Blind spots: `-n` (check the syntax only) is read as if the script ran, since a script can be told to undo it;
//! files that an interpreter runs beside its script (`BASH_ENV`, `ENV`, `--rcfile`, profiles, `PYTHONSTARTUP`,
//! `sitecustomize`, `.pth`) and those that the script itself reads in; commands that follow on standard input after
//! `sh -sc TEXT` or `python3 -i FILE`; scripts without a `#!` line that a shell runs in a fork of itself, and applets
//! that BusyBox's shell runs without an exec.

mod loader;
mod python;
mod shell;

pub use loader::{Loaded, loaded};

use evidence::{Family, Untrusted};

/// What an interpreter makes of its argument vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommandLine<'a> {
    /// What it runs.
    pub source: ScriptSource<'a>,
    /// Index of the first argument that the script sees as its own; the length of the vector where there is
    /// none. After a shell's `-c TEXT` that argument becomes `$0`.
    pub own_arguments: usize,
    /// `-i`: a prompt is shown, after the script or instead of it.
    pub interactive: bool,
    /// Where `python3 -m` is told to look; without meaning for shells.
    pub module_search: ModuleSearch,
}

/// Where an interpreter finds its script. Each `argument` is an index into the argument vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScriptSource<'a> {
    /// Text on the command line.
    Inline {
        /// The text.
        text: &'a [u8],
        /// The argument that holds it.
        argument: usize,
        /// Where in that argument it starts: more than 0 for `python3 -cTEXT`.
        offset: usize,
    },
    /// A path; for Python it may lead to a file, a zip archive or a directory that holds `__main__.py`.
    File {
        /// The path as it was given: absolute or relative to the working directory, perhaps empty.
        path: &'a [u8],
        /// The argument that holds it.
        argument: usize,
        /// Whether a name without a slash that is not in the working directory is looked up on `PATH`.
        searched_on_path: bool,
    },
    /// `python3 -m NAME`.
    Module {
        /// The dotted name.
        name: &'a [u8],
        /// The argument that holds it.
        argument: usize,
        /// Where in that argument it starts: more than 0 for `python3 -mNAME`.
        offset: usize,
    },
    /// Standard input, be it a pipe, a file or a terminal.
    Stdin,
    /// It runs no script: it prints its help or version, refuses its arguments, or is another BusyBox applet.
    Nothing,
}

/// Options that change where Python looks for modules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ModuleSearch {
    /// `-I` or `-P`: the working directory is left out.
    pub without_working_directory: bool,
    /// `-I` or `-E`: `PYTHONPATH`, `PYTHONHOME` and `PYTHONSAFEPATH` have no effect.
    pub without_environment: bool,
    /// `-I` or `-s`: the user's own site-packages are left out.
    pub without_user_site: bool,
    /// `-S`: no site-packages at all.
    pub without_site: bool,
}

/// Reads `args`, `argv[0]` first, as an interpreter of `family` does. Never fails: a vector that the interpreter
/// refuses gives [`ScriptSource::Nothing`]. Takes time linear in the length of the options.
pub fn read(family: Family, args: &[Untrusted]) -> CommandLine<'_> {
    match family {
        Family::CPython => python::read(args, python::Dialect::CPython),
        Family::PyPy => python::read(args, python::Dialect::PyPy),
        Family::Bash => shell::bash(args),
        Family::Dash => shell::almquist(args, 0, shell::LongOptions::Refused),
        Family::Busybox => shell::busybox(args),
        Family::Zsh => shell::zsh(args),
    }
}

impl<'a> CommandLine<'a> {
    fn new(source: ScriptSource<'a>, own_arguments: usize) -> Self {
        Self { source, own_arguments, interactive: false, module_search: ModuleSearch::default() }
    }

    fn nothing(args: &'a [Untrusted]) -> Self {
        Self::new(ScriptSource::Nothing, args.len())
    }
}

/// The argument at `index` as bytes.
fn argument(args: &[Untrusted], index: usize) -> Option<&[u8]> {
    args.get(index).map(|argument| &argument.0[..])
}
