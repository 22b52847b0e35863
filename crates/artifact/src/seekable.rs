//! Bytes that can be read in any order: a file, or a copy of a stream in memory or in a file without a name.
//!
//! Refuses: files with names. A copy is of the stream as it is; its entries are never written anywhere.

use rawzip::ReaderAt;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of a stream that are copied into memory; a longer one goes to a temporary file.
const IN_MEMORY: u64 = 16 << 20;

#[derive(Debug)]
pub(crate) enum Seekable<'a> {
    Bytes(Vec<u8>),
    /// And, for a file that was named, who counts the bytes that are read.
    File(File, Option<&'a AtomicU64>),
}

impl Seekable<'_> {
    /// Copies a stream.
    pub(crate) fn copy(stream: &mut dyn Read) -> io::Result<Self> {
        let mut bytes = Vec::new();
        stream.take(IN_MEMORY).read_to_end(&mut bytes)?;
        if (bytes.len() as u64) < IN_MEMORY {
            return Ok(Self::Bytes(bytes));
        }
        let mut file = tempfile::tempfile()?;
        file.write_all(&bytes)?;
        drop(bytes);
        io::copy(stream, &mut file)?;
        Ok(Self::File(file, None))
    }

    pub(crate) fn size(&self) -> io::Result<u64> {
        match self {
            Self::Bytes(bytes) => Ok(bytes.len() as u64),
            Self::File(file, _) => {
                let mut file = file;
                file.seek(io::SeekFrom::End(0))
            }
        }
    }

    /// A stream of `size` bytes from `offset` on, or fewer where it ends before.
    pub(crate) fn part(&self, offset: u64, size: u64) -> Part<'_> {
        Part { whole: self, at: offset, end: offset.saturating_add(size) }
    }
}

impl ReaderAt for Seekable<'_> {
    fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<usize> {
        match self {
            Self::Bytes(bytes) => bytes.read_at(out, offset),
            Self::File(file, progress) => {
                let read = FileExt::read_at(file, out, offset)?;
                if let Some(progress) = progress {
                    progress.fetch_add(read as u64, Ordering::Relaxed);
                }
                Ok(read)
            }
        }
    }
}

/// See [`Seekable::part`].
pub(crate) struct Part<'a> {
    whole: &'a Seekable<'a>,
    at: u64,
    end: u64,
}

impl Read for Part<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end.saturating_sub(self.at)).unwrap_or(usize::MAX).min(out.len());
        let read = self.whole.read_at(out.get_mut(..left).unwrap_or_default(), self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// A stream that may know how to pass over bytes without reading them.
pub(crate) trait Stream: Read {
    /// Passes over `count` bytes, or to the end.
    fn skip(&mut self, count: u64) -> io::Result<()>;
}

impl Stream for Part<'_> {
    fn skip(&mut self, count: u64) -> io::Result<()> {
        self.at = self.at.saturating_add(count).min(self.end);
        Ok(())
    }
}

/// A stream that must be read to pass over it.
pub(crate) struct Once<'a>(pub(crate) &'a mut dyn Read);

impl Read for Once<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.0.read(out)
    }
}

impl Stream for Once<'_> {
    fn skip(&mut self, count: u64) -> io::Result<()> {
        io::copy(&mut self.0.take(count), &mut io::sink()).map(drop)
    }
}
