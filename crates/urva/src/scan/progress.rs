//! How far the scan is, on standard error where that is a terminal.

use super::ScanArgs;
use super::outcome::Summary;
use evidence::Label;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// A bar; nothing where standard error is no terminal.
pub(super) struct Progress<'a> {
    bar: ProgressBar,
    read: &'a AtomicU64,
}

impl<'a> Progress<'a> {
    /// `read` counts the bytes that have been read.
    pub(super) fn start(args: &ScanArgs, read: &'a AtomicU64) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        let paths = args.paths.iter().chain(&args.corpora).map(std::path::PathBuf::as_path);
        let mut template = "{spinner} {bytes} read, {bytes_per_sec}  {msg}";
        if !bar.is_hidden() && !args.paths.iter().any(|path| path == Path::new("-")) {
            bar.set_length(artifact::measure(paths));
            template = "[{bar:30}] {percent:>3} %  {bytes_per_sec}  {msg}";
        }
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        Self { bar, read }
    }

    pub(super) fn judged(&self, summary: &Summary) {
        if self.bar.is_hidden() {
            return;
        }
        let found = summary.judged.get(&Label::Malicious).copied().unwrap_or_default();
        self.bar.set_position(self.read.load(Ordering::Relaxed));
        self.bar.set_message(format!("{} scripts, {found} malicious", summary.scripts()));
    }

    /// Writes something while no bar is in the way.
    pub(super) fn suspend<T>(&self, write: impl FnOnce() -> T) -> T {
        self.bar.suspend(write)
    }

    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}
