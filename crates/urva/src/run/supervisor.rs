//! Starts the sensor and the detector, keeps them running, and ends them.
//!
//! Owns: the two child processes, the sockets between them, signals.
//! Refuses: everything else. It reads nothing that a container wrote.

use super::link::{Replaced, hand_over};
use super::sensor_process::spawn;
use super::{READY, children};
use crate::cli::Globals;
use crate::clock;
use crate::config::Config;
use anyhow::{Context, bail};
use children::{Child, Role};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::Pid;
use signal_hook::consts::{SIGINT, SIGTERM};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::ExitStatus;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

/// After this time a child that was told to end is killed. Together with what comes before it is under a second.
const END_WITHIN: Duration = Duration::from_millis(850);
/// The shortest and the longest pause before a child is started again.
const RESTART_AFTER: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(10));
/// A child that ran this long before it ended is started again without a long pause.
const IS_STABLE_AFTER: Duration = Duration::from_secs(30);

/// What the supervisor waits for.
#[derive(Debug)]
pub(super) enum Event {
    /// SIGTERM or SIGINT.
    Stop,
    /// The probes are attached, and what they see reaches the disk.
    Watching,
    /// A child ended.
    Ended(Role, Pid, ExitStatus),
}

/// Watches this host until it is told to stop.
pub(super) fn run(config: &Config, globals: &Globals, arguments: &children::Arguments) -> anyhow::Result<()> {
    let started_at = clock::now();
    super::preflight::check_privileges()?;
    let _lock = super::preflight::prepare_state(config, &globals.state)?;
    let (events, happened) = channel();
    listen_to_signals(&events)?;
    let mut pair = Pair::start(arguments, events, None)?;
    let mut is_watching = false;
    loop {
        match happened.recv().context("waiting for the processes of urva")? {
            Event::Stop => return pair.stop(&happened),
            Event::Watching if !is_watching => {
                is_watching = true;
                super::greet_user(config, globals, clock::now().since(started_at));
            }
            Event::Watching => tracing::info!("urva watches again"),
            // A child that was replaced already.
            Event::Ended(role, pid, _) if pair.child(role).pid != pid => {}
            Event::Ended(role, _, status) if !is_watching && cannot_start(status) => {
                pair.stop(&happened)?;
                bail!("the {role} cannot work: its message stands above");
            }
            Event::Ended(role, _, status) => {
                tracing::error!("the {role} ended unexpectedly ({status}): starting it again");
                pair.restart(role, status, &happened)?;
            }
        }
    }
}

/// A child that says by its exit code that it cannot work, and never could, will not be able to the next time.
fn cannot_start(status: ExitStatus) -> bool {
    status.code() == Some(i32::from(crate::cli::ERROR))
}

fn listen_to_signals(events: &Sender<Event>) -> anyhow::Result<()> {
    let mut signals =
        signal_hook::iterator::Signals::new([SIGTERM, SIGINT]).context("listening to signals")?;
    let events = events.clone();
    spawn("urva-signals", move || {
        for _ in signals.forever() {
            if events.send(Event::Stop).is_err() {
                return;
            }
        }
    })?;
    Ok(())
}

/// The two children and what joins them.
struct Pair<'a> {
    arguments: &'a children::Arguments,
    events: Sender<Event>,
    sensor: Child,
    detector: Child,
    /// Closing it tells the sensor to stop.
    control: Option<OwnedFd>,
    failures: u32,
}

impl<'a> Pair<'a> {
    /// Starts both. `replaced` says how the sensor before ended.
    fn start(
        arguments: &'a children::Arguments,
        events: Sender<Event>,
        replaced: Option<&Replaced>,
    ) -> anyhow::Result<Self> {
        let (control, sensor_end) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .context("making the sensor's control socket")?;
        let (sensor_socket, detector_socket) = UnixStream::pair().context("making a socket")?;
        let detector = Child::start(Role::Detector, detector_socket.into(), arguments, replaced, &events)?;
        let sensor = Child::start(Role::Sensor, sensor_end, arguments, replaced, &events)?;
        hand_over(&control, &sensor_socket, None)?;
        tell_when_watching(&control, &events)?;
        Ok(Self { arguments, events, sensor, detector, control: Some(control), failures: 0 })
    }

    /// Starts again what ended.
    fn restart(&mut self, role: Role, status: ExitStatus, happened: &Receiver<Event>) -> anyhow::Result<()> {
        let ran_for = clock::now().since(self.child(role).started_at);
        self.failures = if ran_for >= IS_STABLE_AFTER { 0 } else { self.failures + 1 };
        let since = clock::now();
        let pause = RESTART_AFTER.0 * 2u32.saturating_pow(self.failures.min(16));
        std::thread::sleep(pause.min(RESTART_AFTER.1));
        let replaced =
            Replaced { since, reason: format!("the {role} ended ({status}) and was started again") };
        match role {
            Role::Detector => {
                let (sensor_socket, detector_socket) = UnixStream::pair().context("making a socket")?;
                self.detector = Child::start(
                    role,
                    detector_socket.into(),
                    self.arguments,
                    Some(&replaced),
                    &self.events,
                )?;
                match &self.control {
                    // A sensor that is gone as well is noticed by its own end.
                    Some(control) => hand_over(control, &sensor_socket, Some(&replaced)).or(Ok(())),
                    None => Ok(()),
                }
            }
            Role::Sensor => {
                // The detector sees the socket's end, stores what it has, and ends.
                self.detector.wait(happened, END_WITHIN);
                let failures = self.failures;
                *self = Self::start(self.arguments, self.events.clone(), Some(&replaced))?;
                self.failures = failures;
                Ok(())
            }
        }
    }

    /// Ends both, the sensor first, so that everything it has seen is stored.
    fn stop(&mut self, happened: &Receiver<Event>) -> anyhow::Result<()> {
        self.control = None;
        let told_at = clock::now();
        self.sensor.wait(happened, END_WITHIN);
        self.detector.wait(happened, END_WITHIN.saturating_sub(clock::now().since(told_at)));
        Ok(())
    }

    fn child(&self, role: Role) -> &Child {
        match role {
            Role::Sensor => &self.sensor,
            Role::Detector => &self.detector,
        }
    }
}

/// Hears from the sensor each time that it has greeted a detector.
fn tell_when_watching(control: &OwnedFd, events: &Sender<Event>) -> anyhow::Result<()> {
    let control = control.try_clone()?;
    let events = events.clone();
    spawn("urva-ready", move || {
        let mut word = [0; READY.len()];
        while let Ok((length, _)) =
            rustix::net::recv(&control, &mut word[..], rustix::net::RecvFlags::empty())
        {
            // Nobody waits any more when urva is ending.
            if &word[..length] != READY || events.send(Event::Watching).is_err() {
                return;
            }
        }
    })?;
    Ok(())
}

impl Child {
    /// Waits until the child has ended; kills it when the time is over.
    fn wait(&mut self, happened: &Receiver<Event>, limit: Duration) {
        let until = clock::now();
        while !self.has_ended() {
            let left = limit.saturating_sub(clock::now().since(until));
            match happened.recv_timeout(left.min(Duration::from_millis(5)).max(Duration::from_millis(1))) {
                Ok(_) | Err(RecvTimeoutError::Timeout) if left.is_zero() => {
                    tracing::error!("the {} did not end in time and is killed", self.role);
                    self.kill();
                }
                Ok(_) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }
}
