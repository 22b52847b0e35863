//! The report for people: what was found, why, and how much was looked at.

use super::Report;
use super::jsonl::{coverage, word};
use super::outcome::{Outcome, Summary};
use super::progress::Progress;
use anstyle::{AnsiColor, Style};
use anyhow::Result;
use artifact::Script;
use evidence::text::escape;
use evidence::{Label, Reason, Verdict};
use std::fmt::Write as _;
use std::io::Write as _;

/// Reasons that are shown of each script.
const REASONS: usize = 8;

const RED: Style = AnsiColor::Red.on_default().bold();
const YELLOW: Style = AnsiColor::Yellow.on_default().bold();
const GREEN: Style = AnsiColor::Green.on_default();
const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();

pub(super) struct TextReport<'a> {
    shows_all: bool,
    progress: &'a Progress<'a>,
}

impl<'a> TextReport<'a> {
    pub(super) fn new(shows_all: bool, progress: &'a Progress<'a>) -> Self {
        Self { shows_all, progress }
    }
}

impl Report for TextReport<'_> {
    fn write(&mut self, outcome: &Outcome) -> Result<()> {
        match outcome {
            Outcome::Judged(judged) if self.shows_all || judged.1.label != Label::Benign => {
                let shown = finding(&judged.0, &judged.1);
                self.progress.suspend(|| anstream::stdout().write_all(shown.as_bytes()))?;
            }
            Outcome::Unread { path, error, .. } => {
                let line = format!("urva: {path}: {error}\n");
                self.progress.suspend(|| anstream::stderr().write_all(line.as_bytes()))?;
            }
            Outcome::Judged(_) | Outcome::Skipped(_) => {}
        }
        Ok(())
    }

    fn finish(&mut self, summary: &Summary) -> Result<()> {
        let text = sum(summary);
        Ok(self.progress.suspend(|| anstream::stdout().write_all(text.as_bytes()))?)
    }
}

fn finding(script: &Script, verdict: &Verdict) -> String {
    let style = match verdict.label {
        Label::Malicious => RED,
        Label::Suspicious => YELLOW,
        Label::Benign => GREEN,
    };
    let mut text = format!(
        "{}  {}\n",
        paint(style, &format!("{:<10}", word(verdict.label))),
        paint(BOLD, &script.path.to_string())
    );
    let id = script.id.as_ref().map(|id| format!(", record {id}")).unwrap_or_default();
    let _ = writeln!(
        text,
        "            score {}, {}, {} bytes{id}, SHA-256 {}",
        verdict.score, verdict.language, script.text.size, script.text.sha256
    );
    if !script.notes.is_empty() || !verdict.unseen.is_empty() {
        let _ = writeln!(text, "            {}", escape(coverage(script, verdict).as_bytes()));
    }
    for reason in verdict.reasons.iter().take(REASONS) {
        text += &reason_lines(reason, verdict);
    }
    if verdict.reasons.len() > REASONS {
        let _ = writeln!(text, "    … and {} more reasons", verdict.reasons.len() - REASONS);
    }
    if verdict.label != Label::Benign {
        text.push('\n');
    }
    text
}

fn reason_lines(reason: &Reason, verdict: &Verdict) -> String {
    let place = verdict.place(reason).unwrap_or_else(|| "whole text".to_owned());
    let place = escape(place.as_bytes());
    let technique = reason.technique.map(|it| format!(" ({} {})", it.id(), it.name())).unwrap_or_default();
    let mut text =
        format!("    {:+.2}  {}{technique}, {place}\n", reason.weight, escape(reason.indicator.as_bytes()));
    if !reason.excerpt.is_empty() {
        let excerpt = escape(reason.excerpt.trim().as_bytes()).to_string();
        let _ = writeln!(text, "           {}", paint(DIM, &excerpt));
    }
    text
}

fn sum(summary: &Summary) -> String {
    let count = |label| summary.judged.get(&label).copied().unwrap_or_default();
    let mut text = format!(
        "{} judged: {} malicious, {} suspicious, {} benign",
        number(summary.scripts(), "script"),
        count(Label::Malicious),
        count(Label::Suspicious),
        count(Label::Benign)
    );
    for (why, count) in &summary.skipped {
        let _ = write!(text, "; {count} skipped: {why}");
    }
    if summary.unread > 0 {
        let _ = write!(text, "; {} not read, see above", summary.unread);
    }
    text + "\n"
}

/// Says how fast it was, apart from the report, which is the same each time.
pub(super) fn speed(summary: &Summary, nanoseconds: u64) {
    let tenths = nanoseconds / 100_000_000;
    let kilobytes = summary.bytes / 1000;
    // Bytes over microseconds are megabytes over seconds.
    let rate = summary.bytes / (nanoseconds / 1000).max(1);
    let line = format!("{kilobytes} kB of scripts in {}.{} s, {rate} MB/s", tenths / 10, tenths % 10);
    // Nobody needs to know where nobody can read it.
    let _ = writeln!(anstream::stderr(), "{}", paint(DIM, &line));
}

fn number(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

fn paint(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}
