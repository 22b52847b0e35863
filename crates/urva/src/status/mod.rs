//! `urva status`: whether urva watches this host, what it has counted, and what it did not see.
//!
//! Owns: reading the record of the latest run back, and its three forms: for people, JSON, and Prometheus' text format.
//! Refuses: asking the running processes anything. What stands in the database is at most one heartbeat old.

mod metrics;
mod page;

use crate::cli::{ERROR, Globals, StatusArgs, StatusFormat};
use crate::waiting::wait_for;
use crate::{clock, output};
use evidence::Timestamp;
use serde::Serialize;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;
use store::{Counters, OutputState, Run, Store, StoreError};

/// A run that was not heard of for so long does not watch: three heartbeats.
const SILENT_AFTER: Duration = Duration::from_secs(90);

/// What is known of the latest run.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Status {
    /// Whether it watches now.
    pub(crate) watches: bool,
    started_at: Timestamp,
    /// Until when it has counted.
    alive_at: Timestamp,
    /// When it was stopped in order.
    ended_at: Option<Timestamp>,
    version: String,
    model: String,
    host: String,
    pid: u32,
    pub(crate) counters: Counters,
}

impl Status {
    /// The run as it stands at `now`.
    pub(crate) fn of(run: Run, now: Timestamp) -> Self {
        let is_heard_of = now.since(run.alive_at) < SILENT_AFTER;
        Self {
            watches: run.ended_at.is_none() && is_heard_of,
            started_at: run.start.started_at,
            alive_at: run.alive_at,
            ended_at: run.ended_at,
            version: run.start.version,
            model: run.start.model,
            host: run.start.host,
            pid: run.start.pid,
            counters: run.counters,
        }
    }

    /// What was seen and what was not, in a few words; for `urva doctor`.
    pub(crate) fn coverage(&self) -> String {
        let Counters { captured, not_captured, .. } = self.counters;
        let store::Loss { gaps, lost } = self.counters.lost();
        let of_gaps = if gaps == 0 { "no gap".to_owned() } else { format!("{lost} lost in {gaps} gaps") };
        format!("{captured} texts seen, {not_captured} without content, {of_gaps}")
    }

    /// Whether something was lost.
    pub(crate) fn has_losses(&self) -> bool {
        !self.counters.losses.is_empty()
    }
}

/// Carries out `urva status`. The exit code is [`ERROR`] where nobody watches.
pub(crate) fn run(args: &StatusArgs, globals: &Globals) -> anyhow::Result<ExitCode> {
    let now = clock::now();
    let Some((run, outputs)) = latest(globals)? else {
        anyhow::bail!(
            "nobody has watched yet with the state folder {}: start `urva run`, or name another with --state",
            globals.state.display()
        );
    };
    let status = Status::of(run, now);
    match args.format {
        StatusFormat::Text => {
            anstream::stdout().lock().write_all(page::page(&status, now).as_bytes())?;
        }
        StatusFormat::Json => output::write_json(&mut std::io::stdout().lock(), &status)?,
        StatusFormat::Prometheus => {
            std::io::stdout().lock().write_all(metrics::encode(&status, &outputs).as_bytes())?
        }
    }
    Ok(if status.watches { ExitCode::SUCCESS } else { ERROR.into() })
}

/// The latest run, and how far each output is.
fn latest(globals: &Globals) -> anyhow::Result<Option<(Run, Vec<OutputState>)>> {
    wait_for(async {
        match Store::open_read_only(globals.database()).await {
            Ok(store) => {
                let outputs = store.output_states().await?;
                Ok(store.latest_run().await?.map(|run| (run, outputs)))
            }
            Err(StoreError::NoDatabase { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use evidence::{Gap, GapKind};
    use store::RunId;

    const STARTED: Timestamp = Timestamp::from_seconds(1_795_262_400);

    /// A run that has counted something of each kind.
    pub(crate) fn status() -> Status {
        let mut counters = Counters {
            captured: 12_345,
            compiled: 300,
            judged: 12_000,
            malicious: 2,
            suspicious: 11,
            not_captured: 345,
            held: 40,
            held_malicious: 1,
            ..Counters::default()
        };
        counters.notes.insert("NOT_CAPTURED_PROCESS_GONE".to_owned(), 345);
        counters.notes.insert("HEAD_AND_TAIL".to_owned(), 4);
        let gap = |kind, lost| Gap {
            kind,
            from: STARTED,
            to: STARTED,
            lost,
            detail: String::new(),
            container: None,
        };
        counters.add_gap(&gap(GapKind::OverBudget, Some(1023)));
        counters.add_gap(&gap(GapKind::Starved, None));
        let start = store::RunStart {
            started_at: STARTED,
            version: "0.1.0".to_owned(),
            model: "linear@0123456789ab".to_owned(),
            host: "node\u{1b}[2J-1".to_owned(),
            pid: 4242,
        };
        let alive_at = Timestamp::from_seconds(1_795_262_400 + 7_500);
        Status::of(Run { id: RunId::default(), start, alive_at, ended_at: None, counters }, alive_at)
    }

    #[test]
    fn a_run_watches_while_it_is_heard_of_and_has_not_ended() {
        let check = |ended_at, seconds_after: u64, expected| {
            let alive_at = Timestamp::from_seconds(1_795_262_400);
            let start = store::RunStart {
                started_at: alive_at,
                version: String::new(),
                model: String::new(),
                host: String::new(),
                pid: 1,
            };
            let run = Run { id: RunId::default(), start, alive_at, ended_at, counters: Counters::default() };
            let now = Timestamp::from_seconds(1_795_262_400 + seconds_after);
            assert_eq!(Status::of(run, now).watches, expected, "{seconds_after} s after");
        };
        check(None, 0, true);
        check(None, 89, true);
        check(None, 90, false);
        check(Some(STARTED), 0, false);
    }

    #[test]
    fn coverage_is_told_in_a_line() {
        assert_eq!(status().coverage(), "12345 texts seen, 345 without content, 1023 lost in 2 gaps");
    }
}
