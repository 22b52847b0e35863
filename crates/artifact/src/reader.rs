//! The way through files and folders, in a fixed order.

use crate::corpus::Corpus;
use crate::file::{self, Opened};
use crate::item::{Item, Skipped};
use crate::limits::Account;
use crate::seekable::Seekable;
use crate::unpack::{Place, Unpack};
use crate::{Fault, Flow, Limits, decode, image};
use evidence::{Language, Untrusted};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::ops::ControlFlow::Continue;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use walkdir::WalkDir;

/// What is asked of a reader.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Bounds.
    pub limits: Limits,
    /// Reads every script as this language, whatever it is called.
    pub language: Option<Language>,
    /// Reads files of an image that a later layer replaces or removes, too.
    pub all_layers: bool,
}

/// Reads what it is told to, and hands over what it finds.
pub struct Reader<'a> {
    options: &'a Options,
    /// Bytes of the named files that were read, for whoever shows how far it is.
    progress: &'a AtomicU64,
    sink: &'a mut dyn FnMut(Item) -> Flow,
}

impl<'a> Reader<'a> {
    /// `sink` gets each item in order, and breaks off the reading where it wants no more.
    pub fn new(options: &'a Options, progress: &'a AtomicU64, sink: &'a mut dyn FnMut(Item) -> Flow) -> Self {
        Self { options, progress, sink }
    }

    /// Reads a file, or all files below a folder by name. Links inside a folder are not followed.
    pub fn path(&mut self, path: &Path) -> Flow {
        let name = Untrusted::from(path.as_os_str().as_bytes());
        match file::open(path) {
            Ok(Opened::File(file)) => self.file(name, file, true),
            Ok(Opened::Folder) if image::is_layout(path) => self.layout(path, name),
            Ok(Opened::Folder) => self.folder(path),
            Err(fault) => (self.sink)(Item::Unread { path: name, fault }),
        }
    }

    /// Reads a stream to its end, as a file that a person has named.
    pub fn stream(&mut self, name: &str, stream: &mut dyn Read) -> Flow {
        let account = Account::new(&self.options.limits, 0);
        let mut counted = Counted { inner: stream, progress: self.progress, account: Some(&account) };
        Unpack::new(self.options, &account, self.sink).stream(&Place::root(name.into(), true), &mut counted)
    }

    /// Reads a corpus: a file of records.
    pub fn corpus(&mut self, path: &Path) -> Flow {
        let name = Untrusted::from(path.as_os_str().as_bytes());
        match self.open_corpus(path) {
            Ok(mut stream) => {
                let limits = &self.options.limits;
                let corpus = Corpus { limits, name: &name, language: self.options.language };
                corpus.read(&mut stream, self.sink)
            }
            Err(fault) => (self.sink)(Item::Unread { path: name, fault }),
        }
    }

    fn open_corpus(&self, path: &Path) -> Result<Box<dyn BufRead + 'a>, Fault> {
        let Opened::File(file) = file::open(path)? else { return Err(Fault::NotRegular("is a folder")) };
        let mut file = BufReader::new(Counted { inner: file, progress: self.progress, account: None });
        if file.fill_buf()?.starts_with(&decode::ZSTD_MAGIC) {
            let mut decoder = zstd::Decoder::with_buffer(file)?;
            decoder.window_log_max(decode::ZSTD_WINDOW_LOG)?;
            return Ok(Box::new(BufReader::with_capacity(1 << 17, decoder)));
        }
        Ok(Box::new(file))
    }

    fn layout(&mut self, path: &Path, name: Untrusted) -> Flow {
        // What may come out is measured by what lies there.
        let account = Account::new(&self.options.limits, measure([path]));
        let place = Place::root(name, true);
        Unpack::new(self.options, &account, self.sink).layout(&place, path)
    }

    fn folder(&mut self, root: &Path) -> Flow {
        for entry in WalkDir::new(root).sort_by_file_name() {
            match entry {
                Ok(entry) if entry.file_type().is_dir() => {}
                Ok(entry) if entry.path_is_symlink() => (self.sink)(Item::Skipped(Skipped::Link))?,
                Ok(entry) => {
                    let name = Untrusted::from(entry.path().as_os_str().as_bytes());
                    match file::open(entry.path()) {
                        Ok(Opened::File(file)) => self.file(name, file, false)?,
                        // It was a file a moment ago.
                        Ok(Opened::Folder) => {}
                        Err(fault) => (self.sink)(Item::Unread { path: name, fault })?,
                    }
                }
                Err(error) => {
                    let path = error.path().unwrap_or(root).as_os_str().as_bytes().into();
                    let fault = match error.into_io_error() {
                        Some(error) => Fault::Unreadable(error),
                        None => Fault::NotRegular("is a loop of links"),
                    };
                    (self.sink)(Item::Unread { path, fault })?;
                }
            }
        }
        Continue(())
    }

    fn file(&mut self, name: Untrusted, file: File, is_named: bool) -> Flow {
        let size = file.metadata().map_or(0, |found| found.len());
        let file = Seekable::File(file, Some(self.progress));
        let account = Account::new(&self.options.limits, size);
        let place = Place::root(name, is_named);
        Unpack::new(self.options, &account, self.sink).file(&place, &file)
    }
}

/// Counts what is read.
struct Counted<'a, R> {
    inner: R,
    progress: &'a AtomicU64,
    account: Option<&'a Account<'a>>,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(out)?;
        self.progress.fetch_add(read as u64, Ordering::Relaxed);
        if let Some(account) = self.account {
            account.add_packed(read as u64);
        }
        Ok(read)
    }
}

/// Bytes of all regular files below the paths, to know how far a reader is.
pub fn measure<'a>(paths: impl IntoIterator<Item = &'a Path>) -> u64 {
    let files = paths.into_iter().flat_map(|path| WalkDir::new(path).into_iter().flatten());
    files
        .filter_map(|entry| entry.metadata().ok())
        .filter(std::fs::Metadata::is_file)
        .fold(0, |sum, found| sum.saturating_add(found.len()))
}
