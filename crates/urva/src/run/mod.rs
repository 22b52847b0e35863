//! `urva run`: watches this host.
//!
//! Processes of one program: a supervisor that starts and restarts, a sensor that is privileged and looks
//! at no text, a detector that looks at text and holds no privilege. Sensor and detector are joined by a socket
//! ([`link`]); what the detector has not stored, the sensor keeps ([`outbox`]). Beside them, a server of the API and a sender to outputs share
//! the database.

mod announce;
mod beside;
mod children;
mod confine;
mod detector_process;
mod held;
mod judge;
mod lineage;
mod link;
mod naming;
mod outbox;
mod preflight;
mod sender_process;
mod sensor_process;
mod server_process;
mod supervisor;
mod watchdog;

use crate::cli::{Globals, ProcessArgs, RunArgs};
use crate::config::Config;
use anyhow::Context;
use evidence::Timestamp;
use link::Replaced;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::ffi::OsString;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

pub(crate) use children::Role;
pub(crate) use confine::detector_ids;

/// The hidden argument with which urva executes itself, and ends, so that the probe has something to see.
pub(crate) const CANARY: &str = "canary";

/// Carries out `urva run`.
pub(crate) fn run(args: &RunArgs, globals: &Globals) -> anyhow::Result<ExitCode> {
    start_log();
    let config = globals.load_config()?;
    let mut arguments: Vec<OsString> = vec!["--state".into(), std::path::absolute(&globals.state)?.into()];
    if let Some(config) = &globals.config {
        arguments.extend(["--config".into(), std::path::absolute(config)?.into()]);
    }
    let mut globals = globals.clone();
    globals.state = std::path::absolute(&globals.state)?;
    let format = clap::ValueEnum::to_possible_value(&args.chosen_format());
    let format = format.map_or_else(String::new, |format| format.get_name().to_owned());
    // The children read the terminal's settings from the environment; the format is theirs to know.
    let arguments = children::Arguments { common: arguments, format, restarts: 0 };
    supervisor::run(&config, &globals, &arguments)?;
    Ok(ExitCode::SUCCESS)
}

/// Runs one of the children.
pub(crate) fn process(args: &ProcessArgs, globals: &Globals) -> anyhow::Result<ExitCode> {
    start_log();
    ignore_signals()?;
    // Without a controlling terminal nothing can be typed into it, and Ctrl-C reaches the supervisor alone, which ends
    // the children in order. A process that leads its group already, as in a test, has none to leave.
    let _ = rustix::process::setsid();
    go_on_without_parent()?;
    // The API and outputs can wait; detection cannot.
    if !matches!(args.role, Role::Server | Role::Sender) {
        sensor::priority::go_first();
    }
    let config = globals.load_config()?;
    let since = args.gone_since.map(Timestamp);
    let replaced = since.zip(args.because.clone()).map(|(since, reason)| Replaced { since, reason });
    match args.role {
        Role::Sensor => sensor_process::run(&config, replaced)?,
        Role::Detector => detector_process::run(&config, globals, args.format, replaced.is_some())?,
        Role::Server => server_process::run(&config, globals, args.restarts)?,
        Role::Sender => sender_process::run(&config, globals)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// A service manager signals all processes of a service. The children end when the supervisor closes their
/// sockets, in the order that loses nothing.
fn ignore_signals() -> anyhow::Result<()> {
    for signal in [SIGTERM, SIGINT, SIGHUP] {
        signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))?;
    }
    Ok(())
}

/// A process that somebody has stopped goes on when the supervisor ends, sees the end of its socket, and ends in order.
/// Whoever becomes another user has to ask for it again.
fn go_on_without_parent() -> anyhow::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::CONT))
        .context("asking for a signal at the supervisor's end")
}

fn start_log() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("URVA_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none());
    // A second call, as in tests, keeps the first.
    let _ = log.try_init();
}

/// Says that urva watches, and what it watches with.
fn greet_user(config: &Config, globals: &Globals, took: Duration) {
    let config_file = globals
        .config
        .as_ref()
        .map_or_else(|| "defaults, no config file".to_owned(), |path| path.display().to_string());
    let scope =
        if config.capture.host_processes { "containers and host processes" } else { "the containers" };
    anstream::eprintln!(
        "urva {} watches {scope} of {} (ready after {} ms)\n  state {}, config {config_file}\n  Ctrl-C ends it; \
         `urva findings list` in another terminal shows what was found",
        env!("CARGO_PKG_VERSION"),
        config.place().node,
        took.as_millis(),
        globals.state.display(),
    );
}
