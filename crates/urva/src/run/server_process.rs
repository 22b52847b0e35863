//! The process that serves the API: it reads what clients send, and holds no privilege.
//!
//! Owns: TLS files, its confinement, the store that it shares with the detector.
//! Refuses: script text that was not stored, and every address but the socket that the supervisor hands over.

use super::beside::answer_supervisor;
use super::confine::{self, ACCEPTING};
use super::link::{Order, take_order};
use crate::cli::{DATABASE, Globals};
use crate::clock;
use crate::config::{Config, ServerConfig};
use anyhow::{Context, bail};
use server::{Gate, Limits, Metrics, Tls};
use std::fs;
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use store::Store;
use tokio::sync::oneshot;

/// Connections that wait to be accepted.
const BACKLOG: i32 = 256;
/// How long to wait before it is asked again whether there is a token.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// Serves until the supervisor closes the control socket, which is standard input.
/// `restarts` is how often that happened before.
pub(super) fn run(config: &Config, globals: &Globals, restarts: u64) -> anyhow::Result<()> {
    let control: OwnedFd =
        std::io::stdin().as_fd().try_clone_to_owned().context("taking over standard input")?;
    let Some((Order::Socket(_), Some(socket))) = take_order(&control)? else {
        bail!("the supervisor sent no socket");
    };
    let tls = tls(&config.server)?;
    let ids = confine::detector_ids(config.detector.user.as_deref())?;
    confine::confine(ids, &globals.state, ACCEPTING).context("confining the server")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let is_stopped = answer_supervisor(control, runtime.handle())?;
    let metrics = Arc::new(Metrics::default());
    metrics.started_again(restarts);
    runtime.block_on(serve(config, socket, tls, metrics, is_stopped))
}

/// The certificate and its key, where there are any; read while this process may still read them.
fn tls(config: &ServerConfig) -> anyhow::Result<Option<Tls>> {
    let (Some(certificate), Some(key)) = (&config.certificate, &config.key) else { return Ok(None) };
    let read = |path: &Path| fs::read(path).with_context(|| format!("reading {}", path.display()));
    Ok(Some(Tls::from_pem(&read(certificate)?, &read(key)?)?))
}

async fn serve(
    config: &Config,
    socket: OwnedFd,
    tls: Option<Tls>,
    metrics: Arc<Metrics>,
    mut is_stopped: oneshot::Receiver<()>,
) -> anyhow::Result<()> {
    let store = Store::open_in(Path::new("/").join(DATABASE), config.site()).await?;
    let store = Arc::new(store.limit_reads(Limits::default().answer_within));
    let needs_token = !config.server.listen.ip().is_loopback();
    if needs_token && !has_token(&store).await {
        tracing::warn!("the API is served from when there is a token: `urva tokens create` makes one");
    }
    while needs_token && !has_token(&store).await {
        if tokio::time::timeout(ASK_AGAIN_AFTER, &mut is_stopped).await.is_ok() {
            return Ok(());
        }
    }
    rustix::net::listen(&socket, BACKLOG).context("listening")?;
    let listener = TcpListener::from(socket);
    listener.set_nonblocking(true)?;
    let gate =
        Gate::new(Arc::clone(&store), clock::now, Arc::clone(&metrics), config.server.calls_per_second);
    let app = server::api(store, gate, clock::now, config.scopes());
    let stop = async {
        let _ = is_stopped.await;
    };
    let listener = tokio::net::TcpListener::from_std(listener)?;
    server::serve(listener, tls, app, Limits::default(), clock::now, metrics, stop).await;
    Ok(())
}

/// Whether anybody could call. A database that cannot be asked has nobody who could.
async fn has_token(store: &Store) -> bool {
    let now = clock::now();
    store.tokens().await.is_ok_and(|tokens| tokens.iter().any(|token| token.is_valid(now)))
}
