//! The process that tells outputs of findings: it connects to others, and holds no privilege.
//!
//! Owns: the outputs' secrets, its confinement, one courier for each output.
//! Refuses: detection. What it delivers stands in the database, where detector and server put it; when it ends, that waits.

use super::beside::answer_supervisor;
use super::confine::{Reach, confine_sender, detector_ids};
use crate::cli::{DATABASE, Globals};
use crate::clock;
use crate::config::Config;
use anyhow::Context;
use evidence::Timestamp;
use outputs::{Backoff, Courier, Kind};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use store::Store;

/// What tells couriers the time.
type Clock = fn() -> Timestamp;

/// How often the outbox is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long to wait where the database could not be asked.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// Delivers until the supervisor closes the control socket, which is standard input.
pub(super) fn run(config: &Config, globals: &Globals) -> anyhow::Result<()> {
    let control: OwnedFd =
        std::io::stdin().as_fd().try_clone_to_owned().context("taking over standard input")?;
    let (couriers, reach) = couriers(config);
    let ids = detector_ids(config.detector.user.as_deref())?;
    let state = confine_sender(ids, &globals.state, &reach).context("confining the sender")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let is_stopped = answer_supervisor(control, runtime.handle())?;
    let done = runtime.block_on(async {
        tokio::select! {
            done = deliver(config, state.join(DATABASE), couriers) => done,
            _ = is_stopped => Ok(()),
        }
    });
    // Somebody may still be looking up a name.
    runtime.shutdown_background();
    done
}

/// One for each output that can be used, and what they all need. Files are read while this process still may.
fn couriers(config: &Config) -> (Vec<Courier<Clock>>, Reach) {
    let mut reach = Reach::default();
    let mut couriers = Vec::new();
    for output in &config.outputs {
        let made = output.open().and_then(|(output, trust)| {
            reach.ports.extend(output.kind.tcp_port());
            if let Kind::File { path, .. } = &output.kind {
                reach.folders.extend(path.parent().map(PathBuf::from));
            }
            let clock: Arc<Clock> = Arc::new(clock::now);
            Courier::new(output, &trust, clock, Backoff(random)).map_err(anyhow::Error::msg)
        });
        match made {
            Ok(courier) => couriers.push(courier),
            Err(error) => tracing::error!("nothing is delivered to the output {}: {error:#}", output.name),
        }
    }
    (couriers, reach)
}

async fn deliver(config: &Config, database: PathBuf, couriers: Vec<Courier<Clock>>) -> anyhow::Result<()> {
    let store = Arc::new(Store::open_in(database, config.site()).await?);
    let names: Vec<&str> = config.outputs.iter().map(|output| output.name.as_str()).collect();
    let given_up = store.give_up_all_but(&names).await?;
    if given_up > 0 {
        tracing::warn!(
            given_up,
            "messages to outputs that the config does not have any more are dead letters now"
        );
    }
    let mut all = tokio::task::JoinSet::new();
    for courier in couriers {
        all.spawn(keep_delivering(courier, Arc::clone(&store)));
    }
    if all.is_empty() {
        std::future::pending::<()>().await;
    }
    while let Some(ended) = all.join_next().await {
        ended.context("delivering")?;
    }
    Ok(())
}

async fn keep_delivering(mut courier: Courier<Clock>, store: Arc<Store>) {
    loop {
        match courier.round(&store).await {
            Ok(round) if round.has_more => {}
            Ok(_) => tokio::time::sleep(LOOK_EVERY).await,
            Err(error) => {
                tracing::error!("the outbox of the output {} cannot be used: {error}", courier.name());
                tokio::time::sleep(TRY_AGAIN_AFTER).await;
            }
        }
    }
}

/// Any number; where the kernel gives none, waits are their shortest.
fn random() -> u64 {
    let mut bytes = [0; 8];
    let _ = getrandom::fill(&mut bytes);
    u64::from_le_bytes(bytes)
}
