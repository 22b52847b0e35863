//! Zip archives, wheels and zipapps among them, by their directory, one entry at a time.

use crate::decode::metered;
use crate::limits::Account;
use crate::seekable::Seekable;
use rawzip::{CompressionMethod, RECOMMENDED_BUFFER_SIZE, ZipArchive, ZipArchiveEntryWayfinder};
use std::io::{self, BufReader, Read};

/// Bytes of a window of a deflated or other entry that is read at a time.
const BUFFER: usize = 1 << 15;

/// Whether a stream begins as a zip archive does, or as a Python program in one, whose first line names Python.
pub(crate) fn is_zip(prefix: &[u8]) -> bool {
    const STARTS: [&[u8]; 2] = [b"PK\x03\x04", b"PK\x05\x06"];
    let behind_shebang = prefix.starts_with(b"#!").then(|| {
        let end = prefix.iter().position(|&byte| byte == b'\n')?;
        prefix.get(end + 1..)
    });
    let candidates = [Some(prefix), behind_shebang.flatten()];
    candidates.into_iter().flatten().any(|bytes| STARTS.iter().any(|start| bytes.starts_with(start)))
}

/// An entry that is no folder.
pub(crate) struct Entry {
    pub(crate) path: Vec<u8>,
    pub(crate) is_link: bool,
    pub(crate) is_encrypted: bool,
    method: CompressionMethod,
    place: ZipArchiveEntryWayfinder,
}

/// An archive that can be read.
pub(crate) struct Zip<'a>(ZipArchive<&'a Seekable<'a>>);

impl<'a> Zip<'a> {
    pub(crate) fn open(bytes: &'a Seekable<'a>) -> io::Result<Self> {
        let mut buffer = vec![0; RECOMMENDED_BUFFER_SIZE];
        let size = bytes.size()?;
        let located = rawzip::ZipLocator::new().locate_in_reader(bytes, &mut buffer, size);
        Ok(Self(located.map_err(|(_, error)| damaged(&error))?))
    }

    /// Hands over each entry, until `each` breaks off.
    pub(crate) fn entries(
        &self,
        each: &mut dyn FnMut(Entry) -> io::Result<crate::Flow>,
    ) -> io::Result<crate::Flow> {
        let mut buffer = vec![0; RECOMMENDED_BUFFER_SIZE];
        let mut entries = self.0.entries(&mut buffer);
        while let Some(record) = entries.next_entry().map_err(|error| damaged(&error))? {
            if record.is_dir() {
                continue;
            }
            let entry = Entry {
                path: record.file_path().as_ref().to_vec(),
                is_link: record.mode().is_symlink(),
                is_encrypted: record.flags().is_encrypted(),
                method: record.compression_method(),
                place: record.wayfinder(),
            };
            if each(entry)?.is_break() {
                return Ok(crate::Flow::Break(()));
            }
        }
        Ok(crate::Flow::Continue(()))
    }

    /// Hands the content of an entry to `read`.
    pub(crate) fn content<T>(
        &self,
        entry: &Entry,
        account: &Account<'_>,
        read: impl FnOnce(&mut dyn Read) -> T,
    ) -> io::Result<T> {
        let found = self.0.get_entry(entry.place).map_err(|error| damaged(&error))?;
        let packed = entry.place.compressed_size_hint();
        let mut raw = BufReader::with_capacity(BUFFER, found.reader());
        let mut decoder: Box<dyn Read + '_> = match entry.method {
            CompressionMethod::STORE => return Ok(metered(packed, &mut raw, account, read)),
            CompressionMethod::DEFLATE => Box::new(flate2::bufread::DeflateDecoder::new(raw)),
            CompressionMethod::BZIP2 => Box::new(bzip2::bufread::BzDecoder::new(raw)),
            CompressionMethod::ZSTD => {
                let mut decoder = zstd::Decoder::with_buffer(raw)?;
                decoder.window_log_max(crate::decode::ZSTD_WINDOW_LOG)?;
                Box::new(decoder)
            }
            method => {
                return Err(io::Error::other(format!("compressed by a method that is not read: {method}")));
            }
        };
        Ok(metered(packed, &mut decoder, account, read))
    }
}

fn damaged(error: &rawzip::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("damaged zip archive: {error}"))
}
