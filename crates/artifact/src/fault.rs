//! Why something was not read, in words that name the remedy where there is one.

use evidence::text::escape;
use std::io;
use thiserror::Error;

/// What stood in the way. Where it was is told beside it, by [`crate::Item::Unread`].
#[derive(Debug, Error)]
pub enum Fault {
    /// The system refused.
    #[error("cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// Opening it could wait for ever or do something.
    #[error("{0}, which is not opened; to scan what comes out of it, redirect it to `urva scan -`")]
    NotRegular(&'static str),
    /// Reading it would cost too much.
    #[error("is refused: it {0}")]
    Refused(&'static str),
    /// An archive inside too many others.
    #[error("is an archive inside {0} others, and is not opened")]
    TooDeep(u32),
    /// Nobody can read it without its password.
    #[error("is encrypted")]
    Encrypted,
    /// An image lacks a part.
    #[error("{0}")]
    Image(String),
    /// A record of a corpus.
    #[error("line {line}: {what}")]
    CorpusLine {
        /// Counted from 1.
        line: u64,
        /// What is wrong with it.
        what: String,
    },
}

impl Fault {
    pub(crate) fn line(line: u64, what: impl AsRef<str>) -> Self {
        // A parser's words may quote what it read.
        Self::CorpusLine { line, what: escape(what.as_ref().as_bytes()).to_string() }
    }
}
