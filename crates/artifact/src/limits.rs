//! How much of hostile input is read, and the account of what has been.

use std::cell::Cell;
use std::io;

/// Bounds for what is read, each of them on one file, image or stream that the caller named.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes of a script that are kept: half of them from its beginning and half from its end where it is longer.
    pub text: usize,
    /// Bytes of a script that are read at all, so that a sparse file of terabytes ends.
    pub longest_script: u64,
    /// Bytes of one line of a corpus.
    pub corpus_line: usize,
    /// Archives inside each other; compression counts as one.
    pub depth: u32,
    /// Entries of all archives.
    pub entries: u64,
    /// Bytes that come out of all archives.
    pub unpacked: u64,
    /// How many times as large as what it came from unpacked data may be.
    pub expansion: u64,
    /// Bytes that may be unpacked whatever they came from.
    pub free: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            text: 4 << 20,
            longest_script: 1 << 30,
            corpus_line: 64 << 20,
            depth: 8,
            entries: 2_000_000,
            unpacked: 32 << 30,
            expansion: 250,
            free: 256 << 20,
        }
    }
}

/// What has been read below one named file, image or stream.
#[derive(Debug)]
pub(crate) struct Account<'a> {
    limits: &'a Limits,
    packed: Cell<u64>,
    unpacked: Cell<u64>,
    entries: Cell<u64>,
    refusal: Cell<Option<&'static str>>,
}

impl<'a> Account<'a> {
    /// `packed`: bytes of the file; a stream's are counted as they come.
    pub(crate) fn new(limits: &'a Limits, packed: u64) -> Self {
        Self {
            limits,
            packed: Cell::new(packed),
            unpacked: Cell::new(0),
            entries: Cell::new(0),
            refusal: Cell::new(None),
        }
    }

    /// Counts bytes of the stream that was named.
    pub(crate) fn add_packed(&self, bytes: u64) {
        self.packed.set(self.packed.get().saturating_add(bytes));
    }

    /// Counts bytes that came out of a decoder which has been given `consumed` bytes and gave `produced`.
    pub(crate) fn add_unpacked(&self, bytes: u64, consumed: u64, produced: u64) -> io::Result<()> {
        let limits = self.limits;
        let total = self.unpacked.get().saturating_add(bytes);
        self.unpacked.set(total);
        if total > limits.unpacked {
            self.refuse("unpacks to more than is read; perhaps a bomb");
        }
        if total > limits.free.saturating_mul(4) && total / limits.expansion > self.packed.get() {
            self.refuse("unpacks to too many times its size; perhaps a bomb");
        }
        if produced > limits.free && produced / limits.expansion > consumed {
            return Err(io::Error::other("unpacks to too many times its size; perhaps a bomb"));
        }
        self.check()
    }

    /// Counts an entry of an archive.
    pub(crate) fn add_entry(&self) -> io::Result<()> {
        self.entries.set(self.entries.get() + 1);
        if self.entries.get() > self.limits.entries {
            self.refuse("holds more entries than are read");
        }
        self.check()
    }

    /// Why nothing more is read below the named one, if so.
    pub(crate) fn refusal(&self) -> Option<&'static str> {
        self.refusal.get()
    }

    fn refuse(&self, why: &'static str) {
        self.refusal.set(self.refusal.get().or(Some(why)));
    }

    fn check(&self) -> io::Result<()> {
        match self.refusal.get() {
            Some(why) => Err(io::Error::other(why)),
            None => Ok(()),
        }
    }
}
