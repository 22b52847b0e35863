//! The steps between a text and the layer that it holds.

use std::fmt;

/// One step of decoding, or what a layer is handed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[allow(missing_docs, reason = "each says its name in `words`")]
pub enum Step {
    Hex,
    Base32,
    Base64,
    Base85,
    Ascii85,
    Zlib,
    Gzip,
    Lzma,
    Bzip2,
    Rot13,
    Reversed,
    Xor,
    Escapes,
    Characters,
    Joined,
    Replaced,
    UrlQuoted,
    UuEncoded,
    Marshal,
    Bytecode,
    Fernet,
    Aes,
    Lookup,
    Executed,
    Evaluated,
    Compiled,
    OsCommand,
    Process,
    ShellString,
    PythonInShell,
    ShellInPython,
    HereDocument,
    WrittenFile,
    Piped,
    Downloaded,
    Archive,
}

/// Every step, in the order of the bits of [`StepSet`], with its words.
const STEPS: [(Step, &str); 36] = [
    (Step::Hex, "hexadecimal"),
    (Step::Base32, "base32"),
    (Step::Base64, "base64"),
    (Step::Base85, "base85"),
    (Step::Ascii85, "ascii85"),
    (Step::Zlib, "zlib"),
    (Step::Gzip, "gzip"),
    (Step::Lzma, "lzma"),
    (Step::Bzip2, "bzip2"),
    (Step::Rot13, "rot13"),
    (Step::Reversed, "reversed"),
    (Step::Xor, "xor"),
    (Step::Escapes, "escapes"),
    (Step::Characters, "character codes"),
    (Step::Joined, "joined parts"),
    (Step::Replaced, "replacement"),
    (Step::UrlQuoted, "percent-encoding"),
    (Step::UuEncoded, "uuencode"),
    (Step::Marshal, "marshal"),
    (Step::Bytecode, "bytecode"),
    (Step::Fernet, "fernet"),
    (Step::Aes, "aes"),
    (Step::Lookup, "looked-up names"),
    (Step::Executed, "executed"),
    (Step::Evaluated, "evaluated"),
    (Step::Compiled, "compiled"),
    (Step::OsCommand, "shell command"),
    (Step::Process, "process arguments"),
    (Step::ShellString, "sh -c"),
    (Step::PythonInShell, "python in shell"),
    (Step::ShellInPython, "shell in python"),
    (Step::HereDocument, "here-document"),
    (Step::WrittenFile, "written to a file"),
    (Step::Piped, "piped to an interpreter"),
    (Step::Downloaded, "downloaded"),
    (Step::Archive, "archive behind the script"),
];

impl Step {
    /// In an analyst's words.
    pub fn words(self) -> &'static str {
        STEPS.iter().find(|(step, _)| *step == self).map_or("", |(_, words)| words)
    }

    /// Whether it turns unreadable data into readable data.
    pub fn decodes(self) -> bool {
        (self as u8) <= Step::Aes as u8 && self != Step::Joined && self != Step::Replaced
    }

    /// Every step.
    pub fn all() -> impl Iterator<Item = Self> {
        STEPS.iter().map(|(step, _)| *step)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

/// A set of steps, one bit each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StepSet(pub u64);

impl StepSet {
    /// Adds a step.
    pub fn insert(&mut self, step: Step) {
        self.0 |= 1 << (step as u8);
    }

    /// Whether the step is in it.
    pub fn contains(self, step: Step) -> bool {
        self.0 & 1 << (step as u8) != 0
    }
}
