//! A running urva: started, read, asked for its costs, stopped, and its record read afterwards.

use crate::machine;
use anyhow::{Context, Result, bail, ensure};
use evidence::{Gap, Timestamp};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use store::{Counters, Store};
use tempfile::TempDir;

/// How long urva may take to start, and to stop.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where the binary lies, and where states are made: on a disk, since what is measured is the way to it.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    pub(crate) scratch: PathBuf,
}

/// One run.
#[derive(Debug)]
pub(crate) struct Urva {
    child: Child,
    /// From the start of the process to the word that it watches.
    pub(crate) started_within: Duration,
    findings: Option<JoinHandle<Vec<Arrival>>>,
    state: TempDir,
}

/// A finding as urva printed it, after it was on disk.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) at: Timestamp,
    pub(crate) line: String,
}

/// What a run left behind.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) findings: Vec<Arrival>,
    pub(crate) counters: Counters,
    pub(crate) gaps: Vec<Gap>,
}

impl Program {
    /// Starts urva and waits until it watches.
    pub(crate) fn start(&self) -> Result<Urva> {
        self.start_with("")
    }

    /// The same with a config.
    pub(crate) fn start_with(&self, config: &str) -> Result<Urva> {
        let state = tempfile::Builder::new().prefix("state-").tempdir_in(&self.scratch)?;
        let mut command = Command::new(&self.path);
        let config_file = state.path().with_extension("toml");
        fs::write(&config_file, config).with_context(|| format!("write {}", config_file.display()))?;
        command.arg("--config").arg(&config_file).arg("--state").arg(state.path());
        command.args(["run", "--format", "json"]);
        command.env_remove("URVA_CONFIG").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let began = machine::uptime();
        let mut child = command.spawn().with_context(|| format!("start {}", self.path.display()))?;
        let watches = child.stderr.take().map(listen).context("urva has no standard error")?;
        let stdout = child.stdout.take().context("urva has no standard output")?;
        let findings = Some(thread::spawn(move || collect(stdout)));
        let mut urva = Urva { child, started_within: Duration::ZERO, findings, state };
        match watches.recv_timeout(PATIENCE) {
            Ok(at) => urva.started_within = at - began,
            Err(RecvTimeoutError::Timeout) => bail!("urva does not watch after {PATIENCE:?}"),
            Err(RecvTimeoutError::Disconnected) => {
                bail!("urva ended before it watched; its words stand above")
            }
        }
        Ok(urva)
    }

    pub(crate) fn version(&self) -> Result<String> {
        let output = Command::new(&self.path).arg("--version").output()?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}

/// Passes urva's words on, and tells when it said that it watches.
fn listen(stderr: impl Read + Send + 'static) -> Receiver<Duration> {
    let (told, watches) = channel();
    thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            let at = machine::uptime();
            if line.starts_with("urva ") && line.contains(" watches ") {
                // Nobody waits for a second one.
                let _ = told.send(at);
            } else if !line.starts_with("  ") {
                eprintln!("urva says: {line}");
            }
        }
    });
    watches
}

fn collect(stdout: impl Read) -> Vec<Arrival> {
    // What measures shall not be what waits.
    let _ = rustix::process::setpriority_process(None, -20);
    let lines = BufReader::new(stdout).lines().map_while(Result::ok);
    lines.map(|line| Arrival { at: machine::now(), line }).collect()
}

impl Urva {
    /// All its processes.
    pub(crate) fn processes(&self) -> Result<Vec<u32>> {
        let mut processes = machine::family(self.child.id())?;
        // Not canaries, which end at once; one that has ended has no command line any more.
        let lasts = |pid: &u32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            !line.is_empty() && !line.split(|byte| *byte == 0).any(|word| word == b"canary")
        };
        processes.retain(lasts);
        ensure!(processes.len() == 4, "urva has {} processes and should have 4", processes.len());
        Ok(processes)
    }

    /// Stops it and reads what it recorded.
    pub(crate) fn stop(mut self) -> Result<Record> {
        self.signal(Signal::TERM);
        let status = self.child.wait().context("wait for urva")?;
        ensure!(status.success(), "urva ended with {status}");
        let findings = self.findings.take().and_then(|reader| reader.join().ok());
        let findings = findings.context("the reader of urva's findings failed")?;
        let (counters, gaps) = read_record(&self.state.path().join("urva.db"))?;
        Ok(Record { findings, counters, gaps })
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // It may have ended by itself.
            let _ = kill_process(pid, signal);
        }
    }
}

impl Drop for Urva {
    /// After `stop` there is nothing left to end. Its children end with it.
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            self.signal(Signal::TERM);
            let _ = self.child.wait();
        }
    }
}

fn read_record(database: &Path) -> Result<(Counters, Vec<Gap>)> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(async {
        let store = Store::open_read_only(database).await?;
        let run = store.latest_run().await?.context("urva recorded no run")?;
        ensure!(run.ended_at.is_some(), "urva did not record its end");
        let gaps = store.gaps(Timestamp(0), 1_000).await?;
        store.close().await?;
        Ok((run.counters, gaps))
    })
}
