//! The privileged half: captures, asks the runtimes who the containers are, and sends it all to the detector.
//!
//! Owns: the sensor, the outbox, the questions to the runtimes.
//! Refuses: looking at script text. It holds BPF and file privileges, and no more than those.
//!
//! ```text
//! sensor ─▶ intake ─▶ outbox ─▶ writer ─▶ socket ─▶ detector
//!             └▶ container? ─▶ runtimes ─▶ outbox      stored ─▶ outbox
//! ```

use super::link::{self, Judged, Order, Replaced, Stored, Word};
use super::naming::Naming;
use super::outbox::{Outbox, Resent};
use super::watchdog::Supervisor;
use crate::clock;
use crate::config::Config;
use anyhow::Context;
use evidence::{Gap, GapKind, HoldAction, Message, Timestamp};
use sensor::{Release, Seen, Sensor, Settings, Stopper, Verdicts};
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// How long the sensor may take to end where nobody kills it; longer than the supervisor waits.
const END_WITHIN: Duration = Duration::from_secs(2);

/// Runs the sensor process until the supervisor closes the control socket, which is standard input.
/// `replaced` says when and how the sensor process before this one ended.
pub(super) fn run(config: &Config, replaced: Option<Replaced>) -> anyhow::Result<()> {
    let control: OwnedFd =
        std::io::stdin().as_fd().try_clone_to_owned().context("taking over standard input")?;
    let settings = Settings {
        include_host: config.capture.host_processes,
        content_limit: config.capture.content_limit.bytes() as u64,
        environment_limit: u32::try_from(config.capture.environment_limit.bytes()).unwrap_or(u32::MAX),
        canary_parent: rustix::process::getppid()
            .and_then(|pid| u32::try_from(pid.as_raw_nonzero().get()).ok()),
        hold: config.hold_settings(),
        now: clock::now,
    };
    let (sensor, stopper) = Sensor::open(&settings)?;
    let on_malicious = match config.hold.action {
        HoldAction::Kill => Release::Kill,
        HoldAction::Stop => Release::Keep,
        HoldAction::Report => Release::Continue,
    };
    let verdicts = (sensor.verdicts(), on_malicious);
    if let Some(table) = sensor.held_table() {
        // The supervisor lets go of whatever is held when this process ends.
        link::say(&control, Word::Holding(table));
    }
    let outbox = Arc::new(Outbox::default());
    if let Some(Replaced { since, reason }) = replaced {
        outbox.push(&Message::Gap(gap(GapKind::SensorRestarted, since, None, reason)));
    }
    let naming = Naming::start(config, Arc::clone(&outbox))?;
    let intake = spawn("urva-intake", {
        let outbox = Arc::clone(&outbox);
        let control = control.try_clone()?;
        move || take_in(&sensor, &naming, &outbox, &control)
    })?;
    serve(&control, stopper, intake, &outbox, &verdicts)
}

/// Messages from the sensor into the outbox, until the sensor ends.
fn take_in(sensor: &Sensor, naming: &Naming, outbox: &Outbox, control: &OwnedFd) {
    while let Some(seen) = sensor.next() {
        match seen {
            Seen::Gap(mut gap) => {
                naming.name(&mut gap.container);
                outbox.push(&Message::Gap(*gap));
            }
            Seen::Canary => {
                link::say(control, Word::Seen);
                outbox.push(&Message::Canary);
            }
            Seen::Completed(mut capture) => {
                naming.name(&mut capture.container);
                outbox.push(&Message::Completed(capture));
            }
            Seen::Captured(mut capture) => {
                naming.name(&mut capture.container);
                let container = capture.container.clone();
                outbox.push(&Message::Capture(capture));
                // Only now, so that an answer that follows cannot overtake the capture.
                naming.follow_up(container, outbox);
            }
        }
    }
    naming.finish();
}

/// Serves one socket after the other; ends when the control socket is closed and all is stored.
fn serve(
    control: &OwnedFd,
    stopper: Stopper,
    intake: JoinHandle<()>,
    outbox: &Arc<Outbox>,
    verdicts: &(Verdicts, Release),
) -> anyhow::Result<()> {
    let mut writers = Vec::new();
    let mut supervisor = Supervisor::new();
    let mut is_told_to_stop = false;
    loop {
        if !supervisor.speaks(control) {
            outbox_tell(outbox, supervisor.absent());
            continue;
        }
        let Some((order, socket)) = link::take_order(control)? else { break };
        match order {
            Order::Stop => is_told_to_stop = true,
            Order::Ping => link::say(control, Word::Here),
            Order::Record(gap) => outbox.push(&Message::Gap(*gap)),
            Order::Socket(replaced) => {
                let socket = UnixStream::from(socket.context("the supervisor sent no socket")?);
                let (number, resent) = outbox.reconnect(clock::now());
                writers.push(talk(socket, number, outbox, verdicts, control.try_clone()?)?);
                outbox_tell(outbox, replaced.map(|replaced| detector_gap(replaced, resent)));
                writers.retain(|writer| !writer.is_finished());
            }
        }
    }
    if !is_told_to_stop {
        let detail = "the supervisor ended without stopping its processes, which ended then".to_owned();
        outbox.push(&Message::Gap(gap(GapKind::SupervisorEnded, clock::now(), None, detail)));
    }
    drop(stopper);
    // The supervisor kills what takes too long. Where it has been killed itself, nobody else ends a sensor whose detector
    // does not listen.
    let last = verdicts.0.clone();
    spawn("urva-last", move || {
        std::thread::sleep(END_WITHIN);
        last.release_all();
        std::process::exit(i32::from(crate::cli::ERROR));
    })?;
    // Everything that the kernel had seen by now goes through before the outbox is closed.
    let _ = intake.join();
    // Should the supervisor be gone, nobody else does it.
    verdicts.0.release_all();
    outbox.close();
    for writer in writers {
        let _ = writer.join();
    }
    Ok(())
}

fn outbox_tell(outbox: &Outbox, gap: Option<Gap>) {
    gap.into_iter().for_each(|gap| outbox.push(&Message::Gap(gap)));
}

fn detector_gap(Replaced { since, reason }: Replaced, Resent { again, given_up }: Resent) -> Gap {
    let detail = format!("{reason}; {again} messages are judged again, {given_up} were given up");
    gap(GapKind::DetectorRestarted, since, Some(given_up as u64), detail)
}

/// Talks with one detector: a thread that writes, and one that hears what is stored. Once both have greeted each
/// other, what the probes see reaches the disk, and the supervisor is told.
fn talk(
    mut socket: UnixStream,
    number: u64,
    outbox: &Arc<Outbox>,
    verdicts: &(Verdicts, Release),
    control: OwnedFd,
) -> anyhow::Result<JoinHandle<()>> {
    let (outbox, verdicts) = (Arc::clone(outbox), verdicts.clone());
    spawn("urva-writer", move || {
        let listener = link::greet(&mut socket)
            .and_then(|()| listen(socket.try_clone()?, number, &outbox, verdicts, control.try_clone()?));
        let listener = match listener {
            Ok(listener) => listener,
            Err(error) => return tracing::warn!("no conversation with the detector: {error:#}"),
        };
        link::say(&control, Word::Watching);
        while let Some(frame) = outbox.next(number) {
            if let Err(error) = socket.write_all(&frame) {
                return tracing::warn!(%error, "the detector does not listen any more");
            }
        }
        // The detector sees the end, stores what it has, says so, and closes.
        let _ = socket.shutdown(std::net::Shutdown::Write);
        let _ = listener.join();
    })
}

fn listen(
    mut socket: UnixStream,
    number: u64,
    outbox: &Arc<Outbox>,
    (verdicts, on_malicious): (Verdicts, Release),
    control: OwnedFd,
) -> anyhow::Result<JoinHandle<()>> {
    let outbox = Arc::clone(outbox);
    spawn("urva-listener", move || {
        while let Ok(Some(Stored { number, harmless, judged })) = link::read_frame(&mut socket) {
            for Judged { pid, start_ticks, is_malicious } in judged {
                let release = if is_malicious { on_malicious } else { Release::Continue };
                let was_held = verdicts.release(pid, start_ticks, release);
                if is_malicious && !was_held {
                    outbox.push(&Message::LetGo { pid, start_ticks });
                }
            }
            if outbox.stored(number) {
                link::say(&control, Word::Stored);
            }
            harmless.into_iter().for_each(|key| verdicts.mark_harmless(key));
        }
        outbox.hang_up(number);
    })
}

fn gap(kind: GapKind, from: Timestamp, lost: Option<u64>, detail: String) -> Gap {
    Gap { kind, from, to: clock::now(), lost, detail, container: None }
}

pub(super) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> anyhow::Result<JoinHandle<()>> {
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(work);
    thread.with_context(|| format!("starting the thread {name}; is a limit on processes reached?"))
}
