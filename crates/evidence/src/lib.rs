//! The values that urva passes from stage to stage, in the order in which they arise:
//! a [`Process`] in a [`Container`] runs a [`Script`]; the sensor hands it on as a [`Capture`], or says
//! with a [`Gap`] what it could not see; the detector answers with a [`Verdict`]; both together make a
//! [`Finding`], which [`scc`] writes as Security Command Center JSON and [`guidance`] puts into words.
//!
//! Owns: the shapes, their text for people, redaction of secrets, the SCC mapping.
//! Refuses: I/O, async, the clock. Times come in as [`Timestamp`] values.
//!
//! Most bytes in here were perhaps written by an attacker. They are kept as they were found
//! ([`text::Untrusted`]) and escaped where they leave: by JSON for machines, by [`text::escape`] for a terminal.

mod capture;
mod container;
mod finding;
mod gap;
pub mod guidance;
mod hash;
mod message;
mod process;
mod redact;
pub mod scc;
pub mod text;
mod time;
mod verdict;

pub use capture::{
    Capture, Compiled, CompiledBy, Content, CoverageNote, Drift, Execution, FileIdentity, NotCaptured,
    Script, ScriptKind, WholeFile,
};
pub use container::{Container, Metadata, Pod, Runtime};
pub use finding::{Category, Finding, FindingId, Held, HoldAction, Judged, RuntimeLayer, State, Subject};
pub use gap::{Gap, GapKind};
pub use hash::Sha256;
pub use message::{Message, Numbered, PROTOCOL_VERSION};
pub use process::{Executable, Family, Interpreter, Language, Namespaces, Process};
pub use redact::Redaction;
pub use text::Untrusted;
pub use time::Timestamp;
pub use verdict::{Label, Layer, Reason, Tactic, Technique, Unseen, Verdict};
