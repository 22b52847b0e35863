//! How much of hostile input is read.

/// Bounds for what is read, each of them on one file, image or stream that the caller named.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes of a script that are kept: half of them from its beginning and half from its end where it is longer.
    pub text: usize,
    /// Bytes of a script that are read at all, so that a sparse file of terabytes ends.
    pub longest_script: u64,
    /// Bytes of one line of a corpus.
    pub corpus_line: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { text: 4 << 20, longest_script: 1 << 30, corpus_line: 64 << 20 }
    }
}
