//! Who ran: a process, its executable, and the interpreter that the executable is.

use crate::text::Untrusted;
use crate::{Sha256, Timestamp};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A process at the moment of its `execve`, as the kernel saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Process id (thread group) in the host's PID namespace.
    pub pid: u32,
    /// The same process's id in its own PID namespace; the host's where they are one.
    pub pid_in_container: u32,
    /// Parent's process id in the host's PID namespace.
    pub parent_pid: u32,
    /// When the process was forked.
    pub started_at: Timestamp,
    /// When the process was forked, in units of 1/100 s since boot: field 22 of `/proc/PID/stat`.
    /// Together with `pid` this names a process for as long as the host is up.
    pub start_ticks: u64,
    /// Effective user and group id in the host's user namespace.
    pub uid: u32,
    /// See `uid`.
    pub gid: u32,
    /// The kernel's name of the task, at most 15 bytes.
    pub comm: Untrusted,
    /// Working directory, absolute inside the container.
    pub cwd: Untrusted,
    /// What the kernel runs: for a script started by its `#!` line, the interpreter.
    pub executable: Executable,
    /// The complete argument vector, `argv[0]` first.
    pub args: Vec<Untrusted>,
    /// The environment at the start, `NAME=value`.
    pub environment: Vec<Untrusted>,
    /// Path of the process's cgroup, in the v2 hierarchy or the one that names the container.
    pub cgroup: Untrusted,
    /// Namespaces that the process is in.
    pub namespaces: Namespaces,
}

/// Inode numbers of namespaces, as `/proc/PID/ns/*` shows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Namespaces {
    /// Mount namespace.
    pub mount: u32,
    /// PID namespace.
    pub pid: u32,
    /// Network namespace.
    pub network: u32,
    /// User namespace.
    pub user: u32,
}

/// The file that the kernel executes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Executable {
    /// Absolute path inside the container.
    pub path: Untrusted,
    /// Size in bytes; unknown where the file could not be read.
    pub size: Option<u64>,
    /// SHA-256 of the whole file; unknown where the file could not be read.
    pub sha256: Option<Sha256>,
}

/// What kind of interpreter an executable is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Interpreter {
    /// Which implementation.
    pub family: Family,
}

/// Implementations of the languages that urva judges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Family {
    /// The reference Python.
    CPython,
    /// Python with a tracing compiler.
    PyPy,
    /// GNU Bash.
    Bash,
    /// Debian's Almquist shell, and any other `sh` that is not one of the others.
    Dash,
    /// The shell inside BusyBox, under the names `sh`, `ash` and `hush`.
    Busybox,
    /// Z shell.
    Zsh,
}

/// The language of a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// Python 2 and 3.
    Python,
    /// POSIX shell and its descendants.
    Shell,
}

impl Interpreter {
    /// The language that it interprets.
    pub fn language(self) -> Language {
        match self.family {
            Family::CPython | Family::PyPy => Language::Python,
            Family::Bash | Family::Dash | Family::Busybox | Family::Zsh => Language::Shell,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CPython => "CPython",
            Self::PyPy => "PyPy",
            Self::Bash => "Bash",
            Self::Dash => "dash",
            Self::Busybox => "BusyBox sh",
            Self::Zsh => "Z shell",
        })
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Python => "Python",
            Self::Shell => "shell",
        })
    }
}
