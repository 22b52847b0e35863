//! Compression: which one a stream begins with, and its decoder, with an account of how much comes out.

use crate::limits::Account;
use std::cell::Cell;
use std::io::{self, BufReader, Read};

/// First bytes of a zstd frame.
pub(crate) const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// The largest window of zstd that is decoded, 128 MiB: what its own command line takes without being told.
pub(crate) const ZSTD_WINDOW_LOG: u32 = 27;

/// KiB that a decoder of xz may use: enough for `xz -9`.
const XZ_MEMORY: u32 = 128 << 10;

/// Kinds of compression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    Gzip,
    Bzip2,
    Xz,
    Zstd,
}

impl Compression {
    /// By the first bytes of a stream.
    pub(crate) fn of(prefix: &[u8]) -> Option<Self> {
        match prefix {
            [0x1f, 0x8b, 8, ..] => Some(Self::Gzip),
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31 | 0x17, ..] => Some(Self::Bzip2),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Self::Xz),
            _ if prefix.starts_with(&ZSTD_MAGIC) => Some(Self::Zstd),
            _ => None,
        }
    }

    /// The name without the ending that says how it is compressed.
    pub(crate) fn inner_name(self, name: &[u8]) -> Vec<u8> {
        let lower = name.to_ascii_lowercase();
        let endings: &[(&[u8], &[u8])] = match self {
            Self::Gzip => &[(b".tgz", b".tar"), (b".gz", b"")],
            Self::Bzip2 => &[(b".tbz2", b".tar"), (b".tbz", b".tar"), (b".bz2", b"")],
            Self::Xz => &[(b".txz", b".tar"), (b".xz", b"")],
            Self::Zstd => &[(b".tzst", b".tar"), (b".zst", b"")],
        };
        match endings.iter().find(|(ending, _)| lower.ends_with(ending)) {
            Some((ending, instead)) => {
                let mut stem = name.get(..name.len() - ending.len()).unwrap_or_default().to_vec();
                stem.extend_from_slice(instead);
                stem
            }
            None => name.to_vec(),
        }
    }
}

/// Decodes `stream` and hands the decoded one to `read`.
pub(crate) fn decode<T>(
    compression: Compression,
    stream: &mut dyn Read,
    account: &Account<'_>,
    read: impl FnOnce(&mut dyn Read) -> T,
) -> io::Result<T> {
    let consumed = Cell::new(0);
    let stream = BufReader::with_capacity(1 << 15, Consumed { inner: stream, count: &consumed });
    let mut decoder: Box<dyn Read + '_> = match compression {
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(stream)),
        Compression::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(stream)),
        Compression::Xz => Box::new(lzma_rust2::XzReader::new_mem_limit(stream, true, XZ_MEMORY)),
        Compression::Zstd => {
            let mut decoder = zstd::Decoder::with_buffer(stream)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG)?;
            Box::new(decoder)
        }
    };
    Ok(read(&mut Produced { inner: &mut *decoder, consumed: &consumed, count: 0, account }))
}

/// Hands what a decoder of a single entry gives to `read`, with the same account.
pub(crate) fn metered<T>(
    packed: u64,
    decoder: &mut dyn Read,
    account: &Account<'_>,
    read: impl FnOnce(&mut dyn Read) -> T,
) -> T {
    read(&mut Produced { inner: decoder, consumed: &Cell::new(packed), count: 0, account })
}

/// Counts what a decoder is given.
struct Consumed<'a> {
    inner: &'a mut dyn Read,
    count: &'a Cell<u64>,
}

impl Read for Consumed<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(out)?;
        self.count.set(self.count.get() + read as u64);
        Ok(read)
    }
}

/// Counts what a decoder gives, and ends it where that is too much.
struct Produced<'a> {
    inner: &'a mut dyn Read,
    consumed: &'a Cell<u64>,
    count: u64,
    account: &'a Account<'a>,
}

impl Read for Produced<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(out)?;
        self.count += read as u64;
        self.account.add_unpacked(read as u64, self.consumed.get(), self.count)?;
        Ok(read)
    }
}
