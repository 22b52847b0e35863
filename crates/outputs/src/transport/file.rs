//! A file of lines: whole lines only, on disk before they count, rotated by size.

use super::Failure;
use evidence::text::escape;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// `O_NOFOLLOW` and `O_CLOEXEC`: a link that somebody put in the file's place is not followed.
const FLAGS: rustix::fs::OFlags = rustix::fs::OFlags::NOFOLLOW.union(rustix::fs::OFlags::CLOEXEC);

/// Bytes that are looked through at a time for the end of the last whole line.
const BLOCK: u64 = 64 << 10;

#[derive(Debug)]
pub(super) struct Lines {
    path: PathBuf,
    max_bytes: u64,
    kept: u32,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    file: File,
    size: u64,
}

impl Lines {
    pub(super) fn new(path: PathBuf, max_bytes: u64, kept: u32) -> Self {
        Self { path, max_bytes, kept, open: None }
    }

    /// Writes a line behind the others.
    pub(super) fn write(&mut self, line: &[u8]) -> Result<(), Failure> {
        self.try_write(line).map_err(|error| self.failed(&error))
    }

    /// All that was written is on disk when it returns. The file is opened anew for what comes next: somebody may have moved it.
    pub(super) fn sync(&mut self) -> Result<(), Failure> {
        let Some(open) = self.open.take() else { return Ok(()) };
        open.file.sync_data().map_err(|error| self.failed(&error))
    }

    fn failed(&mut self, error: &io::Error) -> Failure {
        self.open = None;
        let path = escape(self.path.as_os_str().as_encoded_bytes()).to_string();
        Failure::later(format!("{path} cannot be written: {error}"))
    }

    fn try_write(&mut self, line: &[u8]) -> io::Result<()> {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => Open::at(&self.path)?,
        };
        let length = line.len() as u64 + 1;
        if open.size > 0 && open.size + length > self.max_bytes {
            open.file.sync_data()?;
            self.rotate()?;
            open = Open::at(&self.path)?;
        }
        let mut line = line.to_vec();
        line.push(b'\n');
        open.file.write_all(&line)?;
        open.size += length;
        self.open = Some(open);
        Ok(())
    }

    /// `PATH` becomes `PATH.1`, that one `PATH.2`, and the last one goes.
    fn rotate(&self) -> io::Result<()> {
        let name = |number: u32| {
            let mut name = self.path.as_os_str().to_owned();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        for number in (1..self.kept).rev() {
            rename_if_there(&name(number), &name(number + 1))?;
        }
        match self.kept {
            0 => std::fs::remove_file(&self.path)?,
            _ => rename_if_there(&self.path, &name(1))?,
        }
        sync_folder(&self.path)
    }
}

impl Open {
    /// Opens the file, or makes it, readable for its owner and group. A line that was cut short when urva or the host was killed goes: it never
    /// counted, and comes again.
    fn at(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).append(true).mode(0o640).custom_flags(FLAGS.bits().cast_signed());
        let (mut file, is_new) = match options.clone().create_new(true).open(path) {
            Ok(file) => (file, true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => (options.open(path)?, false),
            Err(error) => return Err(error),
        };
        if is_new {
            sync_folder(path)?;
        }
        let metadata = file.metadata()?;
        if !metadata.is_file() || metadata.nlink() != 1 {
            return Err(io::Error::other("it is no file of its own"));
        }
        let size = whole_lines(&mut file, metadata.len())?;
        if size < metadata.len() {
            file.set_len(size)?;
        }
        Ok(Self { file, size })
    }
}

/// Bytes up to the end of the last whole line.
fn whole_lines(file: &mut File, size: u64) -> io::Result<u64> {
    let mut end = size;
    while end > 0 {
        let start = end.saturating_sub(BLOCK);
        file.seek(SeekFrom::Start(start))?;
        let mut block = Vec::new();
        Read::take(&mut *file, end - start).read_to_end(&mut block)?;
        if let Some(place) = block.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + place as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

fn rename_if_there(from: &Path, to: &Path) -> io::Result<()> {
    match std::fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// A name is on disk when its folder is.
fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    fn text(path: &Path) -> String {
        std::fs::read_to_string(path).unwrap_or_default()
    }

    #[test]
    fn lines_are_added_and_the_file_is_rotated_by_size() {
        let folder = TempDir::new().expect("a folder");
        let path = folder.path().join("findings.jsonl");
        let mut lines = Lines::new(path.clone(), 8, 2);
        for line in ["one", "two", "three", "four", "five"] {
            lines.write(line.as_bytes()).expect("a line");
            lines.sync().expect("on disk");
        }
        assert_eq!(text(&path), "five\n");
        assert_eq!(text(&folder.path().join("findings.jsonl.1")), "four\n");
        assert_eq!(text(&folder.path().join("findings.jsonl.2")), "three\n");
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 3);
    }

    #[test]
    fn a_line_that_was_cut_short_goes() {
        let folder = TempDir::new().expect("a folder");
        let path = folder.path().join("findings.jsonl");
        for (before, after) in [("one\ntw", "one\nthree\n"), ("torn", "three\n"), ("", "three\n")] {
            std::fs::write(&path, before).expect("a file");
            let mut lines = Lines::new(path.clone(), 1 << 20, 1);
            lines.write(b"three").expect("a line");
            lines.sync().expect("on disk");
            assert_eq!(text(&path), after);
        }
    }

    #[test]
    fn a_link_in_the_place_of_the_file_is_not_followed() {
        let folder = TempDir::new().expect("a folder");
        let (path, other) = (folder.path().join("findings.jsonl"), folder.path().join("other"));
        std::fs::write(&other, "").expect("a file");
        std::os::unix::fs::symlink(&other, &path).expect("a link");
        let failed = Lines::new(path.clone(), 1 << 20, 1).write(b"x").expect_err("a link");
        assert!(matches!(failed, Failure::Later { .. }), "{failed:?}");
        std::fs::remove_file(&path).expect("the link");
        std::fs::hard_link(&other, &path).expect("a second name");
        Lines::new(path, 1 << 20, 1).write(b"x").expect_err("a second name");
        assert_eq!(text(&other), "");
    }

    #[test]
    fn a_file_that_was_moved_away_is_made_again() {
        let folder = TempDir::new().expect("a folder");
        let path = folder.path().join("findings.jsonl");
        let mut lines = Lines::new(path.clone(), 1 << 20, 1);
        lines.write(b"one").expect("a line");
        lines.sync().expect("on disk");
        std::fs::rename(&path, folder.path().join("moved")).expect("moved");
        lines.write(b"two").expect("a line");
        lines.sync().expect("on disk");
        assert_eq!(text(&path), "two\n");
    }
}
