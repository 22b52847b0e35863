//! The status for people.

use super::Status;
use evidence::Timestamp;
use evidence::text::escape;
use std::fmt::Write;

/// The page; `now` is what times are told from.
pub(super) fn page(status: &Status, now: Timestamp) -> String {
    let mut page = String::new();
    // Writing to a string does not fail.
    let _ = write(&mut page, status, now);
    page
}

fn write(page: &mut String, status: &Status, now: Timestamp) -> std::fmt::Result {
    let counters = &status.counters;
    let host = escape(status.host.as_bytes());
    let version = escape(status.version.as_bytes());
    match (status.watches, status.ended_at) {
        (true, _) => writeln!(page, "urva {version} watches {host}: process {}", status.pid)?,
        (false, Some(at)) => writeln!(page, "urva does not watch {host}: it was stopped at {at}")?,
        (false, None) => {
            writeln!(page, "urva does not watch {host}: it was last heard of at {}", status.alive_at)?
        }
    }
    let for_minutes = status.alive_at.since(status.started_at).as_secs() / 60;
    let ago = now.since(status.alive_at).as_secs();
    writeln!(
        page,
        "since {}, {} h {} min; counted until {ago} s ago",
        status.started_at,
        for_minutes / 60,
        for_minutes % 60
    )?;
    writeln!(page, "model {}\n", escape(status.model.as_bytes()))?;

    let mut row = |name: &str, number: u64, detail: &str| {
        let detail = if detail.is_empty() { String::new() } else { format!("  {detail}") };
        writeln!(page, "{name:<38}{number:>12}{detail}")
    };
    row("texts seen", counters.captured, "scripts, and what they compiled while they ran")?;
    row("  of these, compiled at run time", counters.compiled, "")?;
    row("judged", counters.judged, "")?;
    row("  malicious", counters.malicious, "`urva findings list` shows them")?;
    row("  suspicious", counters.suspicious, "")?;
    row("held until they were judged", counters.held, "")?;
    row("  of these, malicious", counters.held_malicious, "")?;
    row("without content", counters.not_captured, "")?;
    let lost = counters.lost();
    row("known to be lost", lost.lost, &in_gaps(lost.gaps))?;
    for (kind, loss) in &counters.losses {
        row(&format!("  {}", in_words(kind.as_str())), loss.lost, &in_gaps(loss.gaps))?;
    }
    if !counters.notes.is_empty() {
        row("missing or doubtful", counters.notes.values().sum(), "notes on what was captured")?;
    }
    for (note, number) in &counters.notes {
        row(&format!("  {}", in_words(note)), *number, "")?;
    }
    Ok(())
}

fn in_gaps(gaps: u64) -> String {
    format!("in {gaps} gap{}", if gaps == 1 { "" } else { "s" })
}

/// `HEAD_AND_TAIL` as people write it. The database may have been written by another version.
fn in_words(name: &str) -> String {
    escape(name.to_lowercase().replace('_', " ").as_bytes()).to_string()
}

#[cfg(test)]
mod tests {
    use super::super::tests::status;
    use super::*;

    #[test]
    fn a_page_tells_all_and_steers_no_terminal() {
        let status = status();
        insta::assert_snapshot!(page(&status, status.alive_at));
    }

    #[test]
    fn who_does_not_watch_is_said_not_to() {
        let check = |ended_at, expected: &str| {
            let status = Status { watches: false, ended_at, ..status() };
            let page = page(&status, status.alive_at);
            assert!(page.starts_with(expected), "{page}");
        };
        check(None, "urva does not watch node\\u{1b}[2J-1: it was last heard of at 2026-11-21T14:05:00Z");
        check(
            Some(Timestamp::from_seconds(0)),
            "urva does not watch node\\u{1b}[2J-1: it was stopped at 1970-",
        );
    }
}
