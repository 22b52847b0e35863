//! A sensor that watches the whole host, for tests.

#![allow(dead_code, reason = "each test program uses its part")]

use evidence::{Capture, Gap, GapKind, Timestamp};
use sensor::{Seen, Sensor, Settings, Stopper};
use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

#[allow(clippy::disallowed_methods, reason = "a test has a real clock")]
pub(crate) fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp(u64::try_from(since.as_nanos()).unwrap())
}

/// A sensor that sees the whole host, and what it has seen.
pub(crate) struct Watch {
    pub(crate) seen: Receiver<Seen>,
    stopper: Option<Stopper>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// `None` where tests that need root are left out.
    pub(crate) fn start(include_host: bool) -> Option<Self> {
        if std::env::var_os("URVA_TEST_SKIP_PRIVILEGED").is_some_and(|value| value == "1") {
            let name = thread::current().name().unwrap_or("a test").to_owned();
            let line = format!("SKIPPED: {name}: needs root (URVA_TEST_SKIP_PRIVILEGED is set)\n");
            let _ = std::io::stderr().write_all(line.as_bytes());
            return None;
        }
        let (opened_by, opened) = channel();
        let (seen_by, seen) = channel();
        // The sensor gives up privileges of the thread that opens it; the test's own thread keeps them.
        let thread = thread::spawn(move || {
            let settings = Settings {
                include_host,
                content_limit: 1 << 20,
                environment_limit: 32 * 1024,
                canary_parent: None,
                hold: None,
                now,
            };
            let (sensor, stopper) = match Sensor::open(&settings) {
                Ok(open) => open,
                Err(error) => return opened_by.send(Err(error)).unwrap(),
            };
            opened_by.send(Ok(stopper)).unwrap();
            while let Some(one) = sensor.next() {
                let _ = seen_by.send(one);
            }
        });
        let stopper = opened.recv().unwrap().unwrap();
        Some(Self { seen, stopper: Some(stopper), thread: Some(thread) })
    }

    /// The capture of the process `pid`; everything else is passed over.
    #[track_caller]
    pub(crate) fn capture_of(&self, pid: u32) -> Box<Capture> {
        loop {
            match self.seen.recv_timeout(Duration::from_secs(5)) {
                Ok(Seen::Captured(capture)) if capture.process.pid == pid => return capture,
                Ok(Seen::Captured(_) | Seen::Completed(_) | Seen::Canary) => {}
                Ok(Seen::Gap(gap)) if !is_own(&gap) => {}
                Ok(Seen::Gap(gap)) => panic!("something was lost: {gap:?}"),
                Err(error) => panic!("process {pid} was not captured: {error}"),
            }
        }
    }

    /// All that is seen until each of these processes was captured.
    #[track_caller]
    pub(crate) fn until_all_are_captured(&self, pids: &[u32]) -> Vec<Seen> {
        let mut missing: BTreeSet<u32> = pids.iter().copied().collect();
        let mut all = Vec::new();
        while !missing.is_empty() {
            let one = self.seen.recv_timeout(Duration::from_secs(10));
            let one = one.unwrap_or_else(|error| panic!("{error}: {missing:?} not captured, but {all:?}"));
            if let Seen::Captured(capture) = &one {
                missing.remove(&capture.process.pid);
            }
            all.push(one);
        }
        all
    }

    /// Stops the sensor and returns what it hands out until its end.
    pub(crate) fn stop(mut self) -> Vec<Seen> {
        self.stopper.take();
        self.thread.take().unwrap().join().unwrap();
        self.seen.try_iter().collect()
    }
}

/// Whether a gap may be about what a test has started: it runs on the host, and others run containers meanwhile, start
/// programs that end at once, and type or pipe into interpreters.
pub(crate) fn is_own(gap: &Gap) -> bool {
    let of_others = [GapKind::ExecutableGone, GapKind::InputLate, GapKind::InputLost];
    gap.container.is_none() && !of_others.contains(&gap.kind)
}

/// Runs a command to its end, and returns its process id.
pub(crate) fn run(command: &mut Command) -> u32 {
    let mut child = spawn(command);
    child.wait().unwrap();
    child.id()
}

pub(crate) fn spawn(command: &mut Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}
