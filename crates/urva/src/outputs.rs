//! `urva outputs`: how far outputs are, whether they work, and what could not be delivered.
//!
//! Refuses: delivering what waits, which the sender of `urva run` does.

use crate::cli::{DeadCommand, Format, Globals, OutputsCommand, WhichDead};
use crate::config::Config;
use crate::waiting::wait_for;
use crate::{clock, output};
use anyhow::{Result, bail, ensure};
use evidence::text::escape;
use outputs::Transport;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;
use store::{Delivery, DeliveryId, OutputState, Store, StoreError};

/// Dead letters that are listed.
const LISTED: u32 = 1_000;

/// Exit code where an output does not take the test.
const REFUSED: u8 = 1;

/// Carries out `urva outputs …`.
pub(crate) fn run(command: &OutputsCommand, globals: &Globals) -> Result<ExitCode> {
    let config = globals.load_config()?;
    wait_for(async {
        match command {
            OutputsCommand::List { format } => list(*format, &config, globals).await,
            OutputsCommand::Test { name, format } => test(name.as_deref(), *format, &config).await,
            OutputsCommand::Dead(DeadCommand::List { output, format }) => {
                list_dead(output.as_deref(), *format, globals).await
            }
            OutputsCommand::Dead(DeadCommand::Show { id }) => show_dead(DeliveryId(*id), globals).await,
            OutputsCommand::Dead(DeadCommand::Retry(which)) => retry(which, &config, globals).await,
            OutputsCommand::Dead(DeadCommand::Drop(which)) => drop_dead(which, &config, globals).await,
        }
    })
}

/// An output of the config, or one that was in it, with what was counted.
struct Listed {
    state: OutputState,
    /// Its kind; nothing where the config does not have it.
    kind: Option<String>,
}

async fn list(format: Format, config: &Config, globals: &Globals) -> Result<ExitCode> {
    let states = match Store::open_read_only(globals.database()).await {
        Ok(store) => store.output_states().await?,
        Err(StoreError::NoDatabase { .. }) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    let listed = listed(config, states);
    let mut out = std::io::stdout().lock();
    match format {
        Format::Json => output::write_json(&mut out, &listed.iter().map(json_of).collect::<Vec<_>>())?,
        Format::Text => write!(out, "{}", table(&listed))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Those of the config in its order, then the others.
fn listed(config: &Config, states: Vec<OutputState>) -> Vec<Listed> {
    let mut states: BTreeMap<String, OutputState> =
        states.into_iter().map(|state| (state.name.clone(), state)).collect();
    let mut listed = Vec::new();
    for output in &config.outputs {
        let state = states.remove(&output.name);
        let state =
            state.unwrap_or_else(|| OutputState { name: output.name.clone(), ..OutputState::default() });
        let kind = format!("{:?}", output.kind).to_lowercase();
        listed.push(Listed { state, kind: Some(kind) });
    }
    listed.extend(states.into_values().map(|state| Listed { state, kind: None }));
    listed
}

fn table(listed: &[Listed]) -> String {
    if listed.is_empty() {
        return "The config has no outputs: docs/outputs.md says how to add one.\n".to_owned();
    }
    let head = ["NAME", "KIND", "STATE", "WAITING", "SENT", "FAILED", "DEAD", "LOST"];
    let mut text = format!(
        "{:<20}  {:<8}  {:<8}  {:>8}  {:>9}  {:>8}  {:>6}  {:>6}  LAST ERROR\n",
        head[0], head[1], head[2], head[3], head[4], head[5], head[6], head[7]
    );
    for one in listed {
        let OutputState { name, waiting, dead, sent, failed, lost, error, .. } = &one.state;
        let error = error.as_ref().map(|(error, at)| format!("{at} {}", escape(error.as_bytes())));
        let name = escape(name.as_bytes()).to_string();
        let kind = one.kind.as_deref().unwrap_or("-");
        text += &format!(
            "{name:<20}  {kind:<8}  {:<8}  {waiting:>8}  {sent:>9}  {failed:>8}  {dead:>6}  {lost:>6}  {}\n",
            state_of(one),
            error.unwrap_or_default()
        );
    }
    text
}

/// In one word.
fn state_of(one: &Listed) -> &'static str {
    let OutputState { sent_at, error, waiting, .. } = &one.state;
    let error_at = error.as_ref().map(|(_, at)| *at);
    match one.kind {
        None => "removed",
        Some(_) if error_at > *sent_at && *waiting > 0 => "failing",
        Some(_) if *waiting > 0 => "waiting",
        Some(_) => "ok",
    }
}

fn json_of(one: &Listed) -> Value {
    let OutputState { name, waiting, dead, sent, failed, lost, sent_at, error } = &one.state;
    json!({
        "name": name,
        "kind": one.kind,
        "state": state_of(one),
        "waiting": waiting,
        "sent": sent,
        "failed": failed,
        "dead": dead,
        "lost": lost,
        "sendTime": sent_at.map(|at| at.to_string()),
        "error": error.as_ref().map(|(error, _)| error),
        "errorTime": error.as_ref().map(|(_, at)| at.to_string()),
    })
}

async fn test(name: Option<&str>, format: Format, config: &Config) -> Result<ExitCode> {
    let chosen: Vec<_> =
        config.outputs.iter().filter(|output| name.is_none_or(|name| output.name == name)).collect();
    match name {
        Some(name) => {
            ensure!(!chosen.is_empty(), "the config has no output named {}", escape(name.as_bytes()))
        }
        None => ensure!(!chosen.is_empty(), "the config has no outputs: docs/outputs.md says how to add one"),
    }
    let mut results = Vec::new();
    for output in chosen {
        let (output, trust) = output.open()?;
        let mut transport = Transport::new(&output, &trust).map_err(anyhow::Error::msg)?;
        let now = clock::now();
        let sent = transport.send(&outputs::sample(&output.name, now), now).await;
        let sent = match sent {
            Ok(()) => transport.settle().await,
            failed => failed,
        };
        results.push((output, sent));
    }
    let mut out = std::io::stdout().lock();
    let is_well = results.iter().all(|(_, sent)| sent.is_ok());
    match format {
        Format::Json => {
            let results: Vec<_> = results
                .iter()
                .map(|(output, sent)| {
                    let error = sent.as_ref().err().map(outputs::Failure::error);
                    json!({"name": output.name, "destination": output.kind.destination(), "sent": sent.is_ok(), "error": error})
                })
                .collect();
            output::write_json(&mut out, &results)?;
        }
        Format::Text => {
            for (output, sent) in &results {
                let destination = output.kind.destination();
                let destination = escape(destination.as_bytes());
                match sent {
                    Ok(()) => writeln!(out, "{}: a test was sent to {destination}", output.name)?,
                    Err(failure) => {
                        let error = escape(failure.error().as_bytes()).to_string();
                        writeln!(out, "{}: {destination} did not take a test: {error}", output.name)?;
                    }
                }
            }
        }
    }
    Ok(if is_well { ExitCode::SUCCESS } else { REFUSED.into() })
}

async fn list_dead(name: Option<&str>, format: Format, globals: &Globals) -> Result<ExitCode> {
    let store = Store::open_read_only(globals.database()).await?;
    let letters = store.dead_letters(name, None, LISTED).await?;
    let mut out = std::io::stdout().lock();
    match format {
        Format::Json => output::write_json(&mut out, &letters.iter().map(summary).collect::<Vec<_>>())?,
        Format::Text => {
            writeln!(out, "{:>8}  {:<20}  {:<30}  {:>5}  ERROR", "ID", "OUTPUT", "TIME", "TRIES")?;
            for letter in &letters {
                let name = escape(letter.output.as_bytes()).to_string();
                let error = letter.error.clone().unwrap_or_default();
                let (at, error) = (letter.at.to_string(), escape(error.as_bytes()));
                writeln!(out, "{:>8}  {name:<20}  {at:<30}  {:>5}  {error}", letter.id.0, letter.tries)?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn summary(letter: &Delivery) -> Value {
    json!({
        "id": letter.id.0,
        "output": letter.output,
        "time": letter.at.to_string(),
        "tries": letter.tries,
        "error": letter.error,
        "finding": letter.finding.get("name"),
    })
}

async fn show_dead(id: DeliveryId, globals: &Globals) -> Result<ExitCode> {
    let store = Store::open_read_only(globals.database()).await?;
    let Some(letter) = store.dead_letter(id).await? else {
        bail!("there is no dead letter {}: `urva outputs dead list` shows all", id.0);
    };
    let mut whole = summary(&letter);
    whole["finding"] = letter.finding;
    whole["resource"] = letter.resource;
    output::write_json(&mut std::io::stdout().lock(), &whole)?;
    Ok(ExitCode::SUCCESS)
}

async fn retry(which: &WhichDead, config: &Config, globals: &Globals) -> Result<ExitCode> {
    let store = Store::open_in(globals.database(), config.site()).await?;
    let count = store.send_again(which.id.map(DeliveryId), which.output.as_deref(), clock::now()).await?;
    ensure!(count > 0 || which.all, "there is no such dead letter: `urva outputs dead list` shows all");
    anstream::eprintln!("{count} dead letters wait again; `urva run` sends them.");
    Ok(ExitCode::SUCCESS)
}

async fn drop_dead(which: &WhichDead, config: &Config, globals: &Globals) -> Result<ExitCode> {
    let store = Store::open_in(globals.database(), config.site()).await?;
    let count = store.drop_dead(which.id.map(DeliveryId), which.output.as_deref()).await?;
    ensure!(count > 0 || which.all, "there is no such dead letter: `urva outputs dead list` shows all");
    anstream::eprintln!("{count} dead letters were thrown away.");
    Ok(ExitCode::SUCCESS)
}
