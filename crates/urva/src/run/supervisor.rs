//! Starts the sensor and the detector, keeps them running, and ends them.
//!
//! Owns: the child processes, the sockets between them, signals. Server and sender are looked after in [`super::beside`].
//! Refuses: everything else. It reads nothing that a container wrote.

use super::beside::Beside;
use super::children;
use super::link::{self, Order, Replaced, Word, hand_over};
use super::sensor_process::spawn;
use super::watchdog::{Finding, Watch};
use crate::cli::Globals;
use crate::clock;
use crate::config::Config;
use anyhow::{Context, bail};
use children::{Child, Role};
use evidence::{Gap, Timestamp};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::Pid;
use sensor::HeldProcesses;
use signal_hook::consts::{SIGINT, SIGTERM};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::ExitStatus;
use std::sync::mpsc::{Receiver, RecvError, RecvTimeoutError, Sender, channel};
use std::time::Duration;

/// After this time a child that was told to end is killed. Together with what comes before it is under a second.
pub(super) const END_WITHIN: Duration = Duration::from_millis(850);
/// The shortest and the longest pause before a child is started again.
const RESTART_AFTER: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(10));
/// A child that ran this long before it ended is started again without a long pause.
const IS_STABLE_AFTER: Duration = Duration::from_secs(30);

/// What the supervisor waits for.
#[derive(Debug)]
pub(super) enum Event {
    /// SIGTERM or SIGINT.
    Stop,
    /// The sensor has answered.
    Heard(Word),
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
    let mut beside = Beside::all(config, arguments);
    let mut pair = Pair::start(arguments, events, None)?;
    let mut is_watching = false;
    let mut watch: Option<Watch> = None;
    let mut tick_at = clock::now();
    loop {
        let event = match &mut watch {
            None => happened.recv(),
            Some(watch) => match happened.recv_timeout(until(tick_at, watch.pause())) {
                Ok(event) => Ok(event),
                Err(RecvTimeoutError::Disconnected) => Err(RecvError),
                Err(RecvTimeoutError::Timeout) => {
                    tick_at = clock::now();
                    look_after(&mut pair, watch);
                    continue;
                }
            },
        };
        let event = event.context("waiting for the processes of urva")?;
        match event {
            Event::Stop => {
                end(&mut pair, beside);
                return Ok(());
            }
            Event::Heard(Word::Holding(table)) => pair.remember_held(table),
            Event::Heard(Word::Watching) => {
                // From here on everything has its answer, and what the sensor before could not take is taken.
                watch = Some(Watch::new());
                tick_at = clock::now();
                pair.tell();
                if is_watching {
                    tracing::info!("urva watches again");
                } else {
                    is_watching = true;
                    // Not before: it shall not keep the others waiting, and finds a database that is up to date.
                    beside.iter_mut().for_each(Beside::start);
                    super::greet_user(config, globals, clock::now().since(started_at));
                }
            }
            Event::Heard(word) => {
                if let Some(watch) = &mut watch {
                    watch.hear(word);
                }
            }
            // A child that was replaced already.
            Event::Ended(role, pid, _) if pair.child(role).is_none_or(|child| child.pid != pid) => {}
            Event::Ended(role, _, status) if !is_watching && cannot_start(status) => {
                end(&mut pair, beside);
                bail!("the {role} cannot work: its message stands above");
            }
            Event::Ended(role, _, status) => {
                tracing::error!("the {role} ended unexpectedly ({status}): starting it again");
                watch = None;
                let since = clock::now();
                if is_told_to_stop(&happened, pair.pause(role)) {
                    end(&mut pair, beside);
                    return Ok(());
                }
                let reason = format!("the {role} ended ({status}) and was started again");
                let replaced = Replaced { since, reason };
                while let Err(error) = pair.restart(role, &replaced) {
                    tracing::error!("{error:#}: trying again");
                    if is_told_to_stop(&happened, pair.pause(role)) {
                        end(&mut pair, beside);
                        return Ok(());
                    }
                }
            }
        }
    }
}

/// Ends all processes, those beside detection at the same time as the others.
fn end(pair: &mut Pair<'_>, beside: Vec<Beside>) {
    beside.iter().for_each(Beside::tell_to_stop);
    pair.stop();
    beside.into_iter().for_each(Beside::wait);
}

/// What is left of a pause. Where the clock was set back, nothing is.
fn until(since: Timestamp, pause: Duration) -> Duration {
    let now = clock::now();
    if now < since { Duration::ZERO } else { pause.saturating_sub(now.since(since)) }
}

/// Judges what became of the last canary, and sends the next one.
fn look_after(pair: &mut Pair<'_>, watch: &mut Watch) {
    let processes = [(Role::Sensor, pair.sensor.pid), (Role::Detector, pair.detector.pid)];
    match watch.judge(processes) {
        Finding::Nothing => {}
        Finding::Record(gap) => {
            tracing::error!("{}", gap.detail);
            pair.untold.push(gap);
        }
        Finding::Restart(gap) => {
            tracing::error!("{}: starting the sensor again", gap.detail);
            pair.untold.push(gap);
            // Its end is noticed like any other.
            pair.sensor.kill();
            return;
        }
    }
    pair.tell();
    watch.send_canary();
    // A sensor that does not read gives no answer, which is judged the next time.
    let _ = link::order(&pair.control, &Order::Ping);
}

/// A child that says by its exit code that it cannot work, and never could, will not be able to the next time.
fn cannot_start(status: ExitStatus) -> bool {
    status.code() == Some(i32::from(crate::cli::ERROR))
}

/// Lets the time pass, unless a signal comes first.
pub(super) fn is_told_to_stop(happened: &Receiver<Event>, pause: Duration) -> bool {
    let since = clock::now();
    loop {
        let left = pause.saturating_sub(clock::now().since(since));
        match happened.recv_timeout(left) {
            Ok(Event::Stop) => return true,
            // The other child ended too: it is found dead when this one is back.
            Ok(Event::Heard(_) | Event::Ended(..)) if !left.is_zero() => {}
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

/// How long to wait before what was started then is started again. `failures` counts how often it ended soon.
pub(super) fn pause_after(started_at: Timestamp, failures: &mut u32) -> Duration {
    let ran_for = clock::now().since(started_at);
    *failures = if ran_for >= IS_STABLE_AFTER { 0 } else { *failures + 1 };
    RESTART_AFTER.1.min(RESTART_AFTER.0 * 2u32.saturating_pow((*failures).min(16)))
}

/// The two children and what joins them.
struct Pair<'a> {
    arguments: &'a children::Arguments,
    events: Sender<Event>,
    sensor: Child,
    detector: Child,
    /// Shutting it down tells the sensor to stop.
    control: OwnedFd,
    /// What the sensor holds, where it was told to hold anything.
    held: Option<HeldProcesses>,
    failures: u32,
    /// What is to be recorded and was not yet taken by a sensor, the oldest first.
    untold: Vec<Gap>,
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
        pass_on_answers(&control, &events)?;
        Ok(Self { arguments, events, sensor, detector, control, held: None, failures: 0, untold: Vec::new() })
    }

    /// How long to wait before a child is started again: longer each time that it ended soon.
    fn pause(&mut self, role: Role) -> Duration {
        let started_at = self.child(role).map_or_else(clock::now, |child| child.started_at);
        pause_after(started_at, &mut self.failures)
    }

    /// Starts again what ended.
    fn restart(&mut self, role: Role, replaced: &Replaced) -> anyhow::Result<()> {
        if role == Role::Detector && !self.sensor.has_ended() {
            return self.restart_detector(replaced);
        }
        self.let_go();
        // The detector sees the socket's end, stores what it has, and ends.
        self.detector.wait(END_WITHIN);
        let (failures, untold) = (self.failures, std::mem::take(&mut self.untold));
        match Self::start(self.arguments, self.events.clone(), Some(replaced)) {
            Ok(pair) => *self = Self { failures, untold, ..pair },
            Err(error) => {
                self.untold = untold;
                return Err(error);
            }
        }
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

    /// Has recorded what is to be; what the sensor cannot take now it gets the next time.
    fn tell(&mut self) {
        let control = &self.control;
        self.untold.retain(|gap| link::order(control, &Order::Record(Box::new(gap.clone()))).is_err());
    }

    /// Ends both, the sensor first, so that everything it has seen is stored.
    fn stop(&mut self) {
        let told_at = clock::now();
        // A sensor that has ended hears nothing.
        let _ = link::order(&self.control, &Order::Stop);
        let _ = rustix::net::shutdown(&self.control, rustix::net::Shutdown::Both);
        self.sensor.wait(END_WITHIN);
        self.let_go();
        self.detector.wait(END_WITHIN.saturating_sub(clock::now().since(told_at)));
    }

    /// The sensor holds processes from now on.
    fn remember_held(&mut self, table: u32) {
        match HeldProcesses::of(table) {
            Ok(held) => self.held = Some(held),
            Err(error) => tracing::error!("what the sensor holds cannot be let go when it crashes: {error}"),
        }
    }

    /// Lets go of what the sensor held when it ended: with it its probes are gone, so nothing is held anew.
    fn let_go(&self) {
        if let Some(released) =
            self.held.as_ref().map(HeldProcesses::release).filter(|released| *released > 0)
        {
            tracing::warn!(released, "processes that the sensor had stopped were let go");
        }
    }

    fn child(&self, role: Role) -> Option<&Child> {
        match role {
            Role::Sensor => Some(&self.sensor),
            Role::Detector => Some(&self.detector),
            Role::Server | Role::Sender => None,
        }
    }
}

/// Passes on what a child answers.
pub(super) fn pass_on_answers(control: &OwnedFd, events: &Sender<Event>) -> anyhow::Result<()> {
    let control = control.try_clone()?;
    let events = events.clone();
    spawn("urva-answers", move || {
        while let Some(word) = link::hear(&control) {
            // Nobody waits any more when urva is ending.
            if events.send(Event::Heard(word)).is_err() {
                return;
            }
        }
    })?;
    Ok(())
}

impl Child {
    /// Waits until the child has ended; kills it when the time is over.
    pub(super) fn wait(&self, limit: Duration) {
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
