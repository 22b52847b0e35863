//! The processes that run beside detection, as the supervisor sees them: the server, whose socket is bound once, and the sender. Each is
//! started again whenever it ends, or does not answer any more.
//!
//! Refuses: to matter. Whatever is wrong with them is logged, and urva watches all the same.

use super::children::{Arguments, Child, Role};
use super::link::{Order, Word, hand_over, order, say, take_order};
use super::sensor_process::spawn;
use super::supervisor::{END_WITHIN, Event, is_told_to_stop, pass_on_answers, pause_after};
use crate::clock;
use crate::config::{Config, ServerConfig};
use anyhow::Context;
use rustix::net::{
    AddressFamily, Shutdown, SocketFlags, SocketType, bind, shutdown, socket_with, socketpair, sockopt,
};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// How often such a process is asked whether it is at work, and how many of these questions in a row it may leave unanswered.
const ASKED_EVERY: Duration = Duration::from_secs(3);
const UNANSWERED_MAX: u32 = 4;

/// One of them, and the thread that keeps it running.
pub(super) struct Beside {
    events: Sender<Event>,
    /// What the thread needs, until it is started.
    waiting: Option<Keeper>,
    thread: Option<JoinHandle<()>>,
}

/// Keeps a process running.
struct Keeper {
    role: Role,
    /// What the process is handed when it starts.
    socket: Option<OwnedFd>,
    arguments: Arguments,
    events: Sender<Event>,
    happened: Receiver<Event>,
}

impl Beside {
    /// Those that the config asks for. Their sockets are bound, and nobody can connect to them yet.
    pub(super) fn all(config: &Config, arguments: &Arguments) -> Vec<Self> {
        let server = socket_of(&config.server).map(|socket| Self::new(Role::Server, Some(socket), arguments));
        let has_outputs = !config.outputs.is_empty();
        let sender = has_outputs.then(|| Self::new(Role::Sender, None, arguments));
        server.into_iter().chain(sender).collect()
    }

    fn new(role: Role, socket: Option<OwnedFd>, arguments: &Arguments) -> Self {
        let (events, happened) = channel();
        let keeper = Keeper { role, socket, arguments: arguments.clone(), events: events.clone(), happened };
        Self { events, waiting: Some(keeper), thread: None }
    }

    /// Starts it, the first time that it is called.
    pub(super) fn start(&mut self) {
        let Some(keeper) = self.waiting.take() else { return };
        let role = keeper.role;
        match spawn("urva-beside", move || keeper.keep()) {
            Ok(thread) => self.thread = Some(thread),
            Err(error) => tracing::error!("there is no {role}: {error:#}"),
        }
    }

    pub(super) fn tell_to_stop(&self) {
        // A thread that was never started needs no telling.
        let _ = self.events.send(Event::Stop);
    }

    /// Waits for its end, once it was told.
    pub(super) fn wait(self) {
        if let Some(thread) = self.thread {
            let _ = thread.join();
        }
    }
}

impl Keeper {
    fn keep(mut self) {
        let mut failures = 0;
        loop {
            let started_at = clock::now();
            match self.start() {
                Ok((child, control)) => {
                    let is_to_end = self.is_to_end(&child, &control);
                    // Whoever waits for answers has the socket as well.
                    let _ = shutdown(&control, Shutdown::Both);
                    if is_to_end {
                        return child.wait(END_WITHIN);
                    }
                }
                Err(error) => tracing::error!("the {} cannot be started: {error:#}", self.role),
            }
            self.arguments.restarts += 1;
            if is_told_to_stop(&self.happened, pause_after(started_at, &mut failures)) {
                return;
            }
        }
    }

    fn start(&self) -> anyhow::Result<(Child, OwnedFd)> {
        let (control, other_end) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .with_context(|| format!("making the control socket of the {}", self.role))?;
        let child = Child::start(self.role, other_end, &self.arguments, None, &self.events)?;
        if let Some(socket) = &self.socket {
            hand_over(&control, socket, None)?;
        }
        pass_on_answers(&control, &self.events)?;
        Ok((child, control))
    }

    /// Waits until the child has ended, or it is to be ended, which is true. One that is stopped or hangs is killed.
    fn is_to_end(&self, child: &Child, control: &OwnedFd) -> bool {
        let mut unanswered = 0;
        loop {
            match self.happened.recv_timeout(ASKED_EVERY) {
                Ok(Event::Ended(_, pid, status)) if pid == child.pid => {
                    tracing::error!("the {} ended ({status}): starting it again", self.role);
                    return false;
                }
                Ok(Event::Stop) | Err(RecvTimeoutError::Disconnected) => return true,
                Ok(Event::Heard(Word::Here)) => unanswered = 0,
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) if unanswered == UNANSWERED_MAX => {
                    let seconds = (ASKED_EVERY * UNANSWERED_MAX).as_secs();
                    tracing::error!(
                        "the {} (process {}) has not answered for {seconds} s",
                        self.role,
                        child.pid.as_raw_nonzero()
                    );
                    // Its end is noticed like any other.
                    child.kill();
                }
                Err(RecvTimeoutError::Timeout) => {
                    unanswered += 1;
                    // One that does not read gives no answer.
                    let _ = order(control, &Order::Ping);
                }
            }
        }
    }
}

/// The other end, in the process itself: answers the supervisor until it orders the end, which is then told.
pub(super) fn answer_supervisor(control: OwnedFd, workers: &Handle) -> anyhow::Result<oneshot::Receiver<()>> {
    let (stop, is_stopped) = oneshot::channel();
    let (control, workers) = (Arc::new(control), workers.clone());
    spawn("urva-control", move || {
        // Nothing but whether it is at work is ever asked; the end of the socket is the order to end.
        while let Ok(Some(_)) = take_order(&control) {
            let control = Arc::clone(&control);
            // Those who do the work answer, not this thread.
            workers.spawn(async move { say(&*control, Word::Here) });
        }
        drop::<oneshot::Sender<()>>(stop);
    })?;
    Ok(is_stopped)
}

/// The socket of the API; `None` where no API is wanted, or none can be had.
fn socket_of(config: &ServerConfig) -> Option<OwnedFd> {
    let address = config.listen;
    let socket = config.enabled.then(|| bind_to(address))?;
    let socket = socket.inspect_err(|error| {
        tracing::error!(
            "the API is not served, since {address} cannot be had ({error}): free it, or set server.listen"
        );
    });
    let socket = socket.ok()?;
    tracing::info!("the API is served on {address}");
    Some(socket)
}

/// A socket that has the address and does not listen: whoever connects is refused until the server listens.
fn bind_to(address: SocketAddr) -> rustix::io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    bind(&socket, &address)?;
    Ok(socket)
}
