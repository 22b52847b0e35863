//! What comes out of reading: scripts, faults, and what is no script.

use crate::{Fault, Text};
use evidence::{Language, Untrusted};
use std::fmt;

/// One thing that was met.
#[derive(Debug)]
pub enum Item {
    /// A script to be judged.
    Script(Script),
    /// Something that could not be read, or only in part.
    Unread {
        /// Where, written as [`Script::path`] is.
        path: Untrusted,
        /// Why.
        fault: Fault,
    },
    /// Something that was left alone on purpose.
    Skipped(Skipped),
}

/// A script's text and where it was found.
#[derive(Debug)]
pub struct Script {
    /// The path as the caller named it; below that what was found inside, each step after `!/`.
    pub path: Untrusted,
    /// The record's own name in its corpus.
    pub id: Option<Untrusted>,
    /// The language to read it as.
    pub language: Language,
    /// The text, as far as it is kept.
    pub text: Text,
    /// What is missing or changed in the text; empty where it is complete.
    pub notes: Vec<Note>,
}

/// How a kept text differs from what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// The middle is missing.
    HeadAndTail {
        /// Bytes that were left out.
        omitted: u64,
        /// Bytes of the whole.
        size: u64,
    },
    /// Reading failed in the middle; the system's or the decoder's words.
    CutOff(String),
    /// It goes on behind the limit.
    TooLong(u64),
    /// It holds NUL bytes.
    Binary,
    /// The corpus record was not UTF-8.
    Undecodable,
    /// A container does not see it: a later layer of the image replaces or removes it.
    Hidden,
    /// Only the code cells of a notebook, one behind the other: lines count in them.
    Cells,
    /// Only the lines of a `.pth` file that Python executes; the others are left empty.
    ImportLines,
}

/// Why something was left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Skipped {
    /// Neither its name nor its beginning says that it is a script.
    NotAScript,
    /// A symbolic or hard link inside a folder or an archive: what it leads to is met by itself, or is outside.
    Link,
    /// A file of an image's layer that a later layer replaces or removes.
    Hidden,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HeadAndTail { omitted, size } => {
                write!(f, "head and tail only: {omitted} of {size} bytes are left out")
            }
            Self::CutOff(why) => write!(f, "cut off: {why}"),
            Self::TooLong(limit) => {
                write!(f, "only the first {limit} bytes were read, size and hash are theirs")
            }
            Self::Binary => f.write_str("holds NUL bytes, judged as text"),
            Self::Hidden => f.write_str("complete; a later layer of the image replaces or removes it"),
            Self::Cells => f.write_str("the code cells of a notebook, in which lines count"),
            Self::ImportLines => f.write_str("the lines that Python executes"),
            Self::Undecodable => f.write_str("the record is not UTF-8, undecodable bytes were replaced"),
        }
    }
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAScript => "not a script",
            Self::Link => "a link",
            Self::Hidden => "removed by a later layer",
        })
    }
}
