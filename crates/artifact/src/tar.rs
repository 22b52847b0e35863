//! Tar archives, one entry after the other, with names of bounded length.
//!
//! The headers are `tar`'s; the way through them is ours, since that crate keeps long names and extensions of any
//! length in memory, and the sizes in extensions must be obeyed as those who unpack the archive do.

use crate::seekable::Stream;
use std::io::{self, Read};
use tar::{EntryType, Header, PaxExtensions};

/// Bytes of a block.
const BLOCK: usize = 512;

/// Bytes of a long name, or of all extensions of an entry.
const EXTENSIONS: u64 = 1 << 20;

/// Headers without an entry of their own that are read before one.
const HEADERS: u32 = 64;

/// What an entry is, as far as that matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Folder,
    Link,
    /// Devices, FIFOs and what nobody knows.
    Other,
}

#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) path: Vec<u8>,
    pub(crate) kind: Kind,
    /// Where its content begins, counted from the stream's beginning.
    pub(crate) offset: u64,
    pub(crate) size: u64,
    /// What a link leads to.
    pub(crate) target: Option<Vec<u8>>,
}

/// Reads a tar archive. Its own [`Read`] is the current entry's content.
pub(crate) struct Tar<S> {
    stream: S,
    position: u64,
    /// Bytes of the current entry that were not read yet.
    left: u64,
    padding: u64,
}

/// Whether a stream begins as a tar archive does: with a header whose checksum is right.
pub(crate) fn is_tar(prefix: &[u8]) -> bool {
    prefix.get(..BLOCK).is_some_and(has_right_checksum)
}

fn has_right_checksum(block: &[u8]) -> bool {
    let stated = Header::from_byte_slice(block).cksum();
    let sum = |bytes: &[u8]| bytes.iter().map(|&byte| u32::from(byte)).sum::<u32>();
    let (before, behind) = (block.get(..148), block.get(156..));
    let found = sum(before.unwrap_or_default()) + sum(behind.unwrap_or_default()) + 8 * u32::from(b' ');
    stated.is_ok_and(|stated| stated == found)
}

impl<S: Stream> Tar<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, position: 0, left: 0, padding: 0 }
    }

    /// The next entry; what is left of the one before is passed over.
    pub(crate) fn next(&mut self) -> io::Result<Option<Entry>> {
        let (mut long_name, mut pax) = (None, Extensions::default());
        for _ in 0..HEADERS {
            let Some(block) = self.header()? else { return Ok(None) };
            let header = Header::from_byte_slice(&block);
            let kind = header.entry_type();
            let size = header.entry_size().map_err(|_| damaged("an entry's size is no number"))?;
            match kind {
                EntryType::GNULongName => long_name = Some(trimmed(self.extension(size)?)),
                EntryType::XHeader => pax = Extensions::of(&self.extension(size)?),
                EntryType::GNULongLink | EntryType::XGlobalHeader => drop(self.extension(size)?),
                _ => {
                    let kind = kind_of(kind);
                    let size = if kind == Kind::Link { 0 } else { pax.size.unwrap_or(size) };
                    self.begin(size);
                    let path = pax.path.or(long_name).unwrap_or_else(|| header.path_bytes().into_owned());
                    let target = header.link_name_bytes().map(|name| name.into_owned());
                    return Ok(Some(Entry { path, kind, offset: self.position, size, target }));
                }
            }
        }
        Err(damaged("too many extensions before an entry"))
    }

    fn begin(&mut self, size: u64) {
        self.left = size;
        self.padding = (BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64;
    }

    /// The next header; none at the end, which is a block of zeros or the stream's end.
    fn header(&mut self) -> io::Result<Option<[u8; BLOCK]>> {
        let rest = self.left.saturating_add(self.padding);
        self.stream.skip(rest)?;
        self.position = self.position.saturating_add(rest);
        (self.left, self.padding) = (0, 0);
        let mut block = [0; BLOCK];
        let read = fill(&mut self.stream, &mut block)?;
        self.position += read as u64;
        match read {
            0 => Ok(None),
            BLOCK if block.iter().all(|&byte| byte == 0) => Ok(None),
            BLOCK if has_right_checksum(&block) => Ok(Some(block)),
            BLOCK => Err(damaged("a header's checksum is wrong")),
            _ => Err(damaged("it ends in the middle of a header")),
        }
    }

    fn extension(&mut self, size: u64) -> io::Result<Vec<u8>> {
        if size > EXTENSIONS {
            return Err(damaged("an entry's name or extensions are too long"));
        }
        self.begin(size);
        let mut bytes = Vec::new();
        self.take(size).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

impl<S: Stream> Read for Tar<S> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(out.len());
        // Some decoders take a wish for no bytes as an error.
        if most == 0 {
            return Ok(0);
        }
        let read = self.stream.read(out.get_mut(..most).unwrap_or_default())?;
        if read == 0 {
            return Err(damaged("it ends in the middle of an entry"));
        }
        self.left -= read as u64;
        self.position += read as u64;
        Ok(read)
    }
}

#[derive(Default)]
struct Extensions {
    path: Option<Vec<u8>>,
    size: Option<u64>,
}

impl Extensions {
    fn of(bytes: &[u8]) -> Self {
        let mut found = Self::default();
        for extension in PaxExtensions::new(bytes).flatten() {
            match extension.key_bytes() {
                b"path" => found.path = Some(extension.value_bytes().to_vec()),
                b"size" => found.size = extension.value().ok().and_then(|value| value.parse().ok()),
                _ => {}
            }
        }
        found
    }
}

fn kind_of(kind: EntryType) -> Kind {
    match kind {
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => Kind::File,
        EntryType::Directory => Kind::Folder,
        EntryType::Link | EntryType::Symlink => Kind::Link,
        EntryType::Char | EntryType::Block | EntryType::Fifo => Kind::Other,
        // POSIX: what is not known is read as a file.
        _ => Kind::File,
    }
}

fn trimmed(mut name: Vec<u8>) -> Vec<u8> {
    let end = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
    name.truncate(end);
    name
}

fn fill(stream: &mut dyn Read, out: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = out.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match stream.read(rest) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn damaged(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("damaged tar archive: {what}"))
}
