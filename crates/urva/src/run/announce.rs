//! Shows findings on the terminal of `urva run`, once they are stored.
//!
//! Refuses: keeping the detector waiting. A terminal that is stopped, or a pipe that nobody reads, costs the showing and
//! not the finding: it is in the store.

use super::sensor_process::spawn;
use crate::card;
use crate::cli::RunFormat;
use crate::config::Config;
use crate::output;
use evidence::Finding;
use evidence::scc::{self, Limits, Place};
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;
use store::{Outcome, Recorded};

/// Findings that wait to be shown.
const WAITING_MAX: usize = 256;
/// How long the end waits for those that are left.
const FINISH_WITHIN: Duration = Duration::from_millis(200);

/// What is shown of a finding, and where.
pub(super) struct Style {
    format: RunFormat,
    place: Place,
    limits: Limits,
    width: usize,
}

/// See the module.
pub(super) struct Announcer {
    format: RunFormat,
    findings: SyncSender<(Finding, Recorded)>,
    thread: JoinHandle<()>,
    unshown: Arc<AtomicU64>,
}

impl Style {
    /// Asks for the terminal's width now: later the process may not.
    pub(super) fn new(config: &Config, format: RunFormat) -> Self {
        Self { format, place: config.place(), limits: config.limits(), width: output::width() }
    }

    /// Shows a finding: a new one whole, a further execution in one line.
    fn show(&self, finding: &Finding, recorded: &Recorded) -> io::Result<()> {
        match (self.format, recorded.outcome) {
            (RunFormat::Json, _) => {
                let result = scc::result(finding, &self.place, self.limits);
                output::write_json_line(&mut io::stdout().lock(), &result)
            }
            (_, Outcome::New) => write(&card::card(finding, &[], &self.place, self.width)),
            _ => write(&format!("{} ({} times)\n", card::line(finding), recorded.count)),
        }
    }
}

fn write(text: &str) -> io::Result<()> {
    anstream::stdout().lock().write_all(text.as_bytes())
}

impl Announcer {
    /// Starts the thread that shows.
    pub(super) fn start(style: Style) -> anyhow::Result<Self> {
        let (findings, waiting) = sync_channel(WAITING_MAX);
        let unshown = Arc::new(AtomicU64::new(0));
        let format = style.format;
        let counter = Arc::clone(&unshown);
        let thread = spawn("urva-announcer", move || show_all(&style, &waiting, &counter))?;
        Ok(Self { format, findings, thread, unshown })
    }

    /// Whether this is to be shown: not what was reported before.
    pub(super) fn wants(&self, recorded: &Recorded) -> bool {
        self.format != RunFormat::Quiet && recorded.outcome != Outcome::AlreadyKnown
    }

    /// Has a finding shown.
    pub(super) fn announce(&self, finding: Finding, recorded: Recorded) {
        if self.findings.try_send((finding, recorded)).is_err() {
            self.unshown.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits a moment for those that are not shown yet.
    pub(super) fn finish(self) {
        drop(self.findings);
        for _ in 0..20 {
            if self.thread.is_finished() {
                return;
            }
            std::thread::sleep(FINISH_WITHIN / 20);
        }
    }
}

fn show_all(style: &Style, waiting: &Receiver<(Finding, Recorded)>, unshown: &AtomicU64) {
    for (finding, recorded) in waiting {
        // Somebody who stopped reading does not stop the detector.
        let _ = style.show(&finding, &recorded);
        match unshown.swap(0, Ordering::Relaxed) {
            0 => {}
            more => tracing::warn!("{more} findings were not shown here: `urva findings list` has them"),
        }
    }
}
