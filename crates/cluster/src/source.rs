//! What a source of metadata can be and say, apart from the metadata itself.

use std::path::PathBuf;
use std::time::Duration;
use std::{fmt, io};

/// Why a source gave no answer. Each message completes "SOURCE: …".
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// There is no socket or folder.
    #[error("not there")]
    Absent,
    /// It exists and cannot be opened, connected to or read.
    #[error("cannot be read: {0}")]
    Io(#[source] io::Error),
    /// It took too long; it may be stopped or overloaded.
    #[error("gave no answer within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// It answered with an error; its own words.
    #[error("answered with an error: {0}")]
    Refused(String),
    /// It answered with something that is not what its interface says.
    #[error("gave an answer that cannot be read: {0}")]
    Undecodable(String),
    /// Its answer is larger than anything that metadata needs.
    #[error("gave an answer of more than {0} bytes")]
    TooLarge(usize),
}

impl From<io::Error> for SourceError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Absent,
            _ => Self::Io(error),
        }
    }
}

/// One source and whether it works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceReport {
    /// What kind of source it is: "CRI", "Docker Engine API", "runc state".
    pub name: &'static str,
    /// The socket or folder.
    pub path: PathBuf,
    /// What it said.
    pub state: SourceState,
}

/// Whether a source works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceState {
    /// It answers; who it is or what it holds: "containerd 1.6.20", "containers: 3".
    Works(String),
    /// There is nothing at the path: this runtime does not run here.
    Absent,
    /// There is something that cannot be used, and why.
    Broken(String),
}

impl From<Result<String, SourceError>> for SourceState {
    fn from(answer: Result<String, SourceError>) -> Self {
        match answer {
            Ok(detail) => Self::Works(detail),
            Err(SourceError::Absent) => Self::Absent,
            Err(error) => Self::Broken(error.to_string()),
        }
    }
}

impl fmt::Display for SourceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Works(detail) => write!(f, "works: {}", evidence::text::escape(detail.as_bytes())),
            Self::Absent => f.write_str("not there"),
            Self::Broken(why) => write!(f, "does not work: {}", evidence::text::escape(why.as_bytes())),
        }
    }
}
