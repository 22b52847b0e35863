//! The API as tests call it: on a socket of its own, over a store with one finding of urva's own.

use evidence::scc::Place;
use evidence::{Finding, Gap, GapKind, Timestamp};
use server::token::{Role, Token};
use server::{Gate, Limits, Metrics, Scopes, Tls};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use store::{NewToken, Site, Store};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// When everything happens.
pub(crate) const NOON: Timestamp = Timestamp::from_seconds(1_795_262_400);

/// A server that runs until it is dropped, or told to end.
pub(crate) struct Served {
    pub(crate) port: u16,
    pub(crate) store: Arc<Store>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Served {
    pub(crate) async fn start(folder: &Path, tls: Option<Tls>) -> Self {
        let store = store(folder).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
        let port = listener.local_addr().expect("its address").port();
        let metrics = Arc::new(Metrics::default());
        let gate = Gate::new(Arc::clone(&store), || NOON, Arc::clone(&metrics), 1_000_000);
        let scopes = Scopes {
            organization: Some("123".to_owned()),
            folder: Some("5".to_owned()),
            project: "shop".to_owned(),
            project_number: "0".to_owned(),
        };
        let app = server::api(Arc::clone(&store), gate, || NOON, scopes);
        let (stop, is_stopped) = oneshot::channel::<()>();
        let task =
            tokio::spawn(server::serve(listener, tls, app, Limits::default(), || NOON, metrics, async {
                let _ = is_stopped.await;
            }));
        Self { port, store, stop, task }
    }

    /// A token that is valid until then.
    pub(crate) async fn token(&self, number: u8, role: Role, expires_at: Timestamp) -> String {
        token(&self.store, number, role, expires_at).await
    }

    pub(crate) async fn end(self) {
        drop(self.stop);
        self.task.await.expect("a server that ends");
    }
}

async fn token(store: &Store, number: u8, role: Role, expires_at: Timestamp) -> String {
    let token = Token::from_random(&[number; 32]);
    let new = NewToken {
        name: role.to_string(),
        role: role.to_string(),
        sha256: token.hash(),
        created_at: NOON,
        expires_at,
    };
    store.add_token(&new, "test").await.expect("a token");
    token.reveal().to_owned()
}

/// A store with one finding of urva's own.
async fn store(folder: &Path) -> Arc<Store> {
    let place =
        Place { organization: Some("123".to_owned()), project: "shop".to_owned(), ..Place::default() };
    let store =
        Store::open_in(folder.join("urva.db"), Site { place, ..Site::default() }).await.expect("a store");
    let detail = "urva was killed".to_owned();
    let gap = Gap { kind: GapKind::Killed, from: NOON, to: NOON, lost: None, detail, container: None };
    let finding = Finding::of_gap(&gap).expect("a gap that impairs");
    store.record(&[finding], Duration::ZERO).await.expect("a finding");
    Arc::new(store)
}
