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
use std::sync::mpsc::{Receiver, Sender, channel};
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
            Event::Stop => {
                pair.stop();
                return Ok(());
            }
            Event::Watching if !is_watching => {
                is_watching = true;
                super::greet_user(config, globals, clock::now().since(started_at));
            }
            Event::Watching => tracing::info!("urva watches again"),
            // A child that was replaced already.
            Event::Ended(role, pid, _) if pair.child(role).pid != pid => {}
            Event::Ended(role, _, status) if !is_watching && cannot_start(status) => {
                pair.stop();
                bail!("the {role} cannot work: its message stands above");
            }
            Event::Ended(role, _, status) => {
                tracing::error!("the {role} ended unexpectedly ({status}): starting it again");
                let since = clock::now();
                if is_told_to_stop(&happened, pair.pause(role)) {
                    pair.stop();
                    return Ok(());
                }
                let reason = format!("the {role} ended ({status}) and was started again");
                let replaced = Replaced { since, reason };
                while let Err(error) = pair.restart(role, &replaced) {
                    tracing::error!("{error:#}: trying again");
                    if is_told_to_stop(&happened, pair.pause(role)) {
                        pair.stop();
                        return Ok(());
                    }
                }
            }
        }
    }
}

/// A child that says by its exit code that it cannot work, and never could, will not be able to the next time.
fn cannot_start(status: ExitStatus) -> bool {
    status.code() == Some(i32::from(crate::cli::ERROR))
}

/// Lets the time pass, unless a signal comes first.
fn is_told_to_stop(happened: &Receiver<Event>, pause: Duration) -> bool {
    let since = clock::now();
    loop {
        let left = pause.saturating_sub(clock::now().since(since));
        match happened.recv_timeout(left) {
            Ok(Event::Stop) => return true,
            // The other child ended too: it is found dead when this one is back.
            Ok(Event::Watching | Event::Ended(..)) if !left.is_zero() => {}
            _ => return false,
        }
    }
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
    /// Shutting it down tells the sensor to stop.
    control: OwnedFd,
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
        Ok(Self { arguments, events, sensor, detector, control, failures: 0 })
    }

    /// How long to wait before a child is started again: longer each time that it ended soon.
    fn pause(&mut self, role: Role) -> Duration {
        let ran_for = clock::now().since(self.child(role).started_at);
        self.failures = if ran_for >= IS_STABLE_AFTER { 0 } else { self.failures + 1 };
        RESTART_AFTER.1.min(RESTART_AFTER.0 * 2u32.saturating_pow(self.failures.min(16)))
    }

    /// Starts again what ended.
    fn restart(&mut self, role: Role, replaced: &Replaced) -> anyhow::Result<()> {
        if role == Role::Detector && !self.sensor.has_ended() {
            return self.restart_detector(replaced);
        }
        // The detector sees the socket's end, stores what it has, and ends.
        self.detector.wait(END_WITHIN);
        let failures = self.failures;
        *self = Self::start(self.arguments, self.events.clone(), Some(replaced))?;
        self.failures = failures;
        Ok(())
    }

    fn restart_detector(&mut self, replaced: &Replaced) -> anyhow::Result<()> {
        let (sensor_socket, detector_socket) = UnixStream::pair().context("making a socket")?;
        let socket = detector_socket.into();
        self.detector = Child::start(Role::Detector, socket, self.arguments, Some(replaced), &self.events)?;
        // A sensor that has ended meanwhile tells so by its own end.
        let _ = hand_over(&self.control, &sensor_socket, Some(replaced));
        Ok(())
    }

    /// Ends both, the sensor first, so that everything it has seen is stored.
    fn stop(&mut self) {
        let told_at = clock::now();
        // A sensor that has ended hears nothing.
        let _ = rustix::net::shutdown(&self.control, rustix::net::Shutdown::Both);
        self.sensor.wait(END_WITHIN);
        self.detector.wait(END_WITHIN.saturating_sub(clock::now().since(told_at)));
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
    fn wait(&self, limit: Duration) {
        let since = clock::now();
        while !self.has_ended() {
            if clock::now().since(since) >= limit {
                tracing::error!("the {} did not end in time and is killed", self.role);
                return self.kill();
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}
