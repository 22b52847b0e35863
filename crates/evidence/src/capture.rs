//! What ran: the script, its text as far as it was captured, and how complete that is.

use crate::text::{Untrusted, escape};
use crate::{Container, Interpreter, Process, Sha256, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;

/// One execution of a script by an interpreter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capture {
    /// When the interpreter was executed.
    pub observed_at: Timestamp,
    /// The process that runs it.
    pub process: Process,
    /// What interprets it.
    pub interpreter: Interpreter,
    /// The script.
    pub script: Script,
    /// The container; absent for a process of the host.
    pub container: Option<Container>,
    /// What is missing or doubtful in all this; empty where the capture is complete.
    pub coverage: BTreeSet<CoverageNote>,
    /// Set where the text is not what the process was started with but one that it compiled while it ran.
    #[serde(default)]
    pub compiled: Option<Compiled>,
    /// Whether the process is stopped until the text is judged.
    #[serde(default)]
    pub held: bool,
}

/// How a text came to be compiled by an interpreter that was running already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compiled {
    /// The execution of the script that the process was started with; absent where that is not known.
    pub execution: Option<Execution>,
    /// Counts the texts of the execution from 1; 0 where the execution is not known.
    pub number: u32,
    /// Number of the text during whose compilation and run this one was compiled; absent where that was the script itself,
    /// or is not known.
    pub within: Option<u32>,
    /// Who asked for it.
    pub by: CompiledBy,
    /// What the program called the text: the file that it was read from, as a rule, or `<string>`. The program chooses it.
    pub name: Option<Untrusted>,
    /// The probe's name of the text, with which a verdict is told to it; 0 where it has none.
    pub key: u64,
}

/// What hands a text to the compiler at run time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CompiledBy {
    /// Python's `exec` and `eval`.
    PythonExec,
    /// Python's `compile`, and the import of a module's source.
    PythonCompile,
    /// Nothing: Python runs code that was compiled before, out of a `.pyc` file, by `marshal` or put together by a program.
    /// What is captured is the code object as it lies in memory; once written out, its text is what its instructions do.
    PythonCode,
    /// Bash's `eval`, `source` and traps, and functions that come with the environment.
    BashEval,
}

/// What tells one execution from another: a finding counts each once, however often it is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Execution {
    /// When it was observed.
    pub at: Timestamp,
    /// Process id on the host.
    pub pid: u32,
    /// Start of the process in 1/100 s since boot.
    pub start_ticks: u64,
}

impl Capture {
    /// The execution that it describes.
    pub fn execution(&self) -> Execution {
        let process = &self.process;
        Execution { at: self.observed_at, pid: process.pid, start_ticks: process.start_ticks }
    }
}

/// The script of one execution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Script {
    /// How the interpreter was given it.
    pub kind: ScriptKind,
    /// Absolute path inside the container, for kinds that have a file.
    pub path: Option<Untrusted>,
    /// The module's name, for `python3 -m`.
    pub module: Option<Untrusted>,
    /// Which of the process's arguments is the program text itself, for inline scripts.
    pub text_argument: Option<usize>,
    /// The text.
    pub content: Content,
    /// The file that holds it.
    pub file: Option<WholeFile>,
    /// Whether it came with the image.
    pub drift: Drift,
}

/// How an interpreter was given its script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScriptKind {
    /// A file, named on the command line or by its own `#!` line.
    File,
    /// Text on the command line: `python3 -c`, `sh -c`.
    Inline,
    /// `python3 -m NAME`.
    Module,
    /// Standard input that is not a terminal.
    Stdin,
    /// A person or a program typing at a prompt.
    Interactive,
    /// Text that a running program compiled: decoded, received, imported.
    Compiled,
}

/// The captured text of a script.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Content {
    /// All of it.
    Whole(Untrusted),
    /// The beginning and the end of a text that is larger than the capture limit.
    HeadAndTail {
        /// Bytes from offset 0.
        head: Untrusted,
        /// Bytes up to the end.
        tail: Untrusted,
        /// Bytes left out between them; of a text that was compiled at run time at least so many.
        omitted: u64,
    },
    /// None of it.
    NotCaptured(NotCaptured),
}

/// Why there is no text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum NotCaptured {
    /// It comes over standard input.
    StandardInput,
    /// It is typed at a prompt.
    Interactive,
    /// The process, and each other process of its container, ended before the file could be read.
    ProcessGone,
    /// There is no file at the path.
    NoSuchFile,
    /// The path leads to something that cannot be read without side effects: a directory without
    /// `__main__.py`, a FIFO, a device, a socket.
    NotARegularFile(String),
    /// No file of this name was found where the interpreter looks for modules.
    NoSuchModule,
    /// The file could not be opened or read; the system's words.
    Unreadable(String),
}

/// The file that holds a script.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WholeFile {
    /// What told it from other files when it was read.
    pub identity: FileIdentity,
    /// SHA-256 of the first `hashed_size` bytes.
    pub sha256: Option<Sha256>,
    /// How many bytes the hash covers; less than the size where hashing was cut short or is still under way.
    pub hashed_size: u64,
}

/// What tells one state of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileIdentity {
    /// Device that holds the file.
    pub device: u64,
    /// Inode number on the device.
    pub inode: u64,
    /// Size in bytes.
    pub size: u64,
    /// Last change of the content.
    pub modified_at: Timestamp,
    /// Last change of the inode; user space cannot set it.
    pub changed_at: Timestamp,
}

/// Where a script came from, seen from the container's image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Drift {
    /// It is part of the image.
    Image,
    /// It was written into the container's writable layer after the start.
    WritableLayer,
    /// It lies on a volume or another mount; the mount point.
    Volume(Untrusted),
    /// It lies in memory: tmpfs, `/dev/shm`, a memfd.
    Memory,
    /// There is no file: the text came on the command line or over standard input.
    NotAFile,
    /// It could not be told; the reason in plain words.
    Unknown(String),
}

/// One thing that is missing or doubtful in a capture.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum CoverageNote {
    /// The kernel's buffer could not take all arguments.
    ArgumentsCut,
    /// The environment is longer than what is kept.
    EnvironmentCut,
    /// The text is longer than the capture limit: head and tail only.
    HeadAndTail,
    /// Content not captured.
    ContentNotCaptured(NotCaptured),
    /// The file changed between the start of the process and the end of the read, so the text that
    /// ran may not be the text that was judged.
    IdentityChanged,
    /// The process was already running when urva began to watch: arguments and files are those of now.
    StartedEarlier,
    /// The file was read through another process of the container, since its own had ended.
    ReadThroughSibling,
    /// Only a first part of the file is hashed.
    HashIncomplete,
    /// A part of a text that was compiled at run time was not in memory when it was looked at.
    TextUnreadable,
    /// The interpreter may have read the beginning of its standard input before urva could see it.
    InputLate,
    /// Parts of what came over standard input were lost between kernel and sensor.
    InputLost,
    /// The process was held at a later part of its standard input: what had come before was let go, and has run.
    HeldLate,
}

impl Content {
    /// The text that was captured, in one or two parts; empty where none was.
    pub fn parts(&self) -> (&[u8], &[u8]) {
        match self {
            Self::Whole(text) => (text, b""),
            Self::HeadAndTail { head, tail, .. } => (head, tail),
            Self::NotCaptured(_) => (b"", b""),
        }
    }

    /// Whether there is any text.
    pub fn is_captured(&self) -> bool {
        !matches!(self, Self::NotCaptured(_))
    }

    /// SHA-256 over the captured parts; the key under which a verdict is remembered. None where there is no text.
    pub fn sha256(&self) -> Option<Sha256> {
        match self {
            Self::NotCaptured(_) => None,
            _ => {
                let (head, tail) = self.parts();
                Some(Sha256::of_parts([head, tail]))
            }
        }
    }
}

impl fmt::Debug for Content {
    /// The shape without the text: script text never goes to a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(text) => write!(f, "Whole({} bytes)", text.len()),
            Self::HeadAndTail { head, tail, omitted } => {
                write!(f, "HeadAndTail({} + {} bytes, {omitted} omitted)", head.len(), tail.len())
            }
            Self::NotCaptured(reason) => write!(f, "NotCaptured({reason:?})"),
        }
    }
}

impl Script {
    /// A script of which nothing but the kind is known yet.
    pub fn new(kind: ScriptKind, content: Content) -> Self {
        Self {
            kind,
            path: None,
            module: None,
            text_argument: None,
            content,
            file: None,
            drift: Drift::NotAFile,
        }
    }

    /// Whether the text comes bit by bit, over a pipe or from a keyboard: one execution is then captured several times, each
    /// time with more of it.
    pub fn is_streamed(&self) -> bool {
        matches!(self.kind, ScriptKind::Stdin | ScriptKind::Interactive) && self.file.is_none()
    }

    /// Size of the whole script in bytes, where it is known.
    pub fn size(&self) -> Option<u64> {
        match (&self.file, &self.content) {
            (Some(file), _) => Some(file.identity.size),
            (None, Content::Whole(text)) => Some(text.len() as u64),
            (None, Content::HeadAndTail { head, tail, omitted }) => {
                Some(head.len() as u64 + omitted + tail.len() as u64)
            }
            (None, Content::NotCaptured(_)) => None,
        }
    }

    /// SHA-256 of the whole script as VirusTotal knows it, where all of it was hashed.
    pub fn whole_sha256(&self) -> Option<Sha256> {
        match (&self.file, &self.content) {
            (Some(file), _) if file.hashed_size == file.identity.size => file.sha256,
            (_, Content::Whole(text)) => Some(Sha256::of(text)),
            _ => None,
        }
    }
}

impl Drift {
    /// Whether the script was added after the container's image was built; unknown where it could not be told.
    pub fn is_added(&self) -> Option<bool> {
        match self {
            Self::Image => Some(false),
            Self::WritableLayer | Self::Volume(_) | Self::Memory => Some(true),
            Self::NotAFile | Self::Unknown(_) => None,
        }
    }
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Image => f.write_str("came with the image"),
            Self::WritableLayer => f.write_str("written at run time, into the container's writable layer"),
            Self::Volume(mount) => {
                write!(f, "not part of the image: on the volume {}", mount)
            }
            Self::Memory => f.write_str("written at run time, in memory only"),
            Self::NotAFile => f.write_str("no file: given on the command line or over standard input"),
            Self::Unknown(reason) => write!(f, "unknown: {}", escape(reason.as_bytes())),
        }
    }
}

impl CompiledBy {
    /// The name under which JSON knows it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PythonExec => "PYTHON_EXEC",
            Self::PythonCompile => "PYTHON_COMPILE",
            Self::PythonCode => "PYTHON_CODE",
            Self::BashEval => "BASH_EVAL",
        }
    }
}

impl fmt::Display for CompiledBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PythonExec => "exec or eval",
            Self::PythonCompile => "compile or import",
            Self::PythonCode => "bytecode, written out as text",
            Self::BashEval => "eval, source or trap",
        })
    }
}

impl fmt::Display for ScriptKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "file",
            Self::Inline => "inline",
            Self::Module => "module",
            Self::Stdin => "stdin",
            Self::Interactive => "interactive",
            Self::Compiled => "compiled",
        })
    }
}

impl CoverageNote {
    /// The name under which counters know it, without what differs from capture to capture.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::ArgumentsCut => "ARGUMENTS_CUT",
            Self::EnvironmentCut => "ENVIRONMENT_CUT",
            Self::HeadAndTail => "HEAD_AND_TAIL",
            Self::ContentNotCaptured(reason) => reason.as_str(),
            Self::IdentityChanged => "IDENTITY_CHANGED",
            Self::StartedEarlier => "STARTED_EARLIER",
            Self::ReadThroughSibling => "READ_THROUGH_SIBLING",
            Self::HashIncomplete => "HASH_INCOMPLETE",
            Self::TextUnreadable => "TEXT_UNREADABLE",
            Self::InputLate => "INPUT_LATE",
            Self::HeldLate => "HELD_LATE",
            Self::InputLost => "INPUT_LOST",
        }
    }
}

impl NotCaptured {
    /// The name under which counters know it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::StandardInput => "NOT_CAPTURED_STANDARD_INPUT",
            Self::Interactive => "NOT_CAPTURED_INTERACTIVE",
            Self::ProcessGone => "NOT_CAPTURED_PROCESS_GONE",
            Self::NoSuchFile => "NOT_CAPTURED_NO_SUCH_FILE",
            Self::NotARegularFile(_) => "NOT_CAPTURED_NOT_A_REGULAR_FILE",
            Self::NoSuchModule => "NOT_CAPTURED_NO_SUCH_MODULE",
            Self::Unreadable(_) => "NOT_CAPTURED_UNREADABLE",
        }
    }
}

impl fmt::Display for NotCaptured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StandardInput => f.write_str("it comes over standard input"),
            Self::Interactive => f.write_str("it is typed at a prompt"),
            Self::ProcessGone => f.write_str("the process ended before its file could be read"),
            Self::NoSuchFile => f.write_str("there is no file at the path"),
            Self::NotARegularFile(what) => write!(f, "the path leads to {what}"),
            Self::NoSuchModule => f.write_str("no file of this module was found"),
            Self::Unreadable(why) => {
                write!(f, "the file could not be read: {}", escape(why.as_bytes()))
            }
        }
    }
}

impl fmt::Display for CoverageNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ArgumentsCut => f.write_str("arguments are cut"),
            Self::EnvironmentCut => f.write_str("environment is cut"),
            Self::HeadAndTail => f.write_str("content is cut: head and tail only"),
            Self::ContentNotCaptured(reason) => write!(f, "content not captured: {reason}"),
            Self::IdentityChanged => {
                f.write_str("the file changed while it was read: other text may have run")
            }
            Self::StartedEarlier => f.write_str("the process was running before urva began to watch"),
            Self::ReadThroughSibling => f.write_str("the file was read after its process had ended"),
            Self::HashIncomplete => f.write_str("only a first part of the file is hashed"),
            Self::TextUnreadable => f.write_str("a part of the text was not in memory and is missing"),
            Self::HeldLate => f.write_str("held late: what had come before over standard input has run"),
            Self::InputLate => f.write_str("the beginning of standard input may be missing"),
            Self::InputLost => f.write_str("parts of standard input are missing"),
        }
    }
}
