//! Shows findings on the terminal of `urva run`, once they are stored.

use crate::card;
use crate::cli::RunFormat;
use crate::config::Config;
use crate::output;
use evidence::Finding;
use evidence::scc::{self, Limits, Place};
use std::io::{self, Write};
use store::{Outcome, Recorded};

/// See the module.
pub(super) struct Announcer {
    format: RunFormat,
    place: Place,
    limits: Limits,
    width: usize,
}

impl Announcer {
    /// Asks for the terminal's width now: later the process may not.
    pub(super) fn new(config: &Config, format: RunFormat) -> Self {
        Self { format, place: config.place(), limits: config.limits(), width: output::width() }
    }

    /// Shows a finding: a new one whole, a further execution in one line, a repeated report not at all.
    pub(super) fn announce(&self, finding: &Finding, recorded: &Recorded) {
        // Somebody who stopped reading does not stop the detector.
        let _ = match (self.format, recorded.outcome) {
            (RunFormat::Quiet, _) | (_, Outcome::AlreadyKnown) => Ok(()),
            (RunFormat::Text, Outcome::New) => self.write(&card::card(finding, &[], &self.place, self.width)),
            (RunFormat::Text, Outcome::Updated) => {
                self.write(&format!("{} ({} times)\n", card::line(finding), recorded.count))
            }
            (RunFormat::Json, _) => self.write_json(finding),
        };
    }

    fn write(&self, text: &str) -> io::Result<()> {
        anstream::stdout().lock().write_all(text.as_bytes())
    }

    fn write_json(&self, finding: &Finding) -> io::Result<()> {
        let result = scc::result(finding, &self.place, self.limits);
        output::write_json_line(&mut io::stdout().lock(), &result)
    }
}
