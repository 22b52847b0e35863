//! Google's own client for Python calls each method, over gRPC and over REST, with TLS and without. Nothing on the client's side is
//! urva's but `tests/python/check_api.py`, which says what is to be called.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

use evidence::scc::Place;
use evidence::{Finding, Gap, GapKind, Timestamp};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use server::token::{Role, Token};
use server::{Gate, Limits, Metrics, Scopes, Tls};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;
use std::time::Duration;
use store::{NewToken, Store};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::sync::oneshot;

const NOON: Timestamp = Timestamp::from_seconds(1_795_262_400);
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/python/check_api.py");
const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/python/bin/python");

async fn token(store: &Store, number: u8, role: Role, expires_at: Timestamp) -> String {
    let token = Token::from_random(&[number; 32]);
    let new = NewToken {
        name: role.to_string(),
        role: role.to_string(),
        sha256: token.hash(),
        created_at: NOON,
        expires_at,
    };
    store.add_token(&new).await.expect("a token");
    token.reveal().to_owned()
}

/// A store with one finding of urva's own.
async fn store(folder: &Path) -> Arc<Store> {
    let place =
        Place { organization: Some("123".to_owned()), project: "shop".to_owned(), ..Place::default() };
    let store = Store::open_in(folder.join("urva.db"), place).await.expect("a store");
    let detail = "urva was killed".to_owned();
    let gap = Gap { kind: GapKind::Killed, from: NOON, to: NOON, lost: None, detail, container: None };
    let finding = Finding::of_gap(&gap).expect("a gap that impairs");
    store.record(&[finding], Duration::ZERO).await.expect("a finding");
    Arc::new(store)
}

/// Files that Python trusts, where TLS is spoken.
fn certificate(folder: &Path) -> (Tls, PathBuf) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let path = folder.join("certificate.pem");
    std::fs::write(&path, cert.pem()).expect("a file");
    let tls = Tls::from_pem(cert.pem().as_bytes(), signing_key.serialize_pem().as_bytes()).expect("TLS");
    (tls, path)
}

async fn check(transport: &str, scheme: &str) {
    let folder = TempDir::new().expect("a folder");
    let store = store(folder.path()).await;
    let later = Timestamp(NOON.0 + 3_600_000_000_000);
    let roles = [Role::Admin, Role::Responder, Role::Analyst, Role::Viewer];
    let mut tokens = Vec::new();
    for (number, role) in (1..).zip(roles) {
        tokens.push(token(&store, number, role, later).await);
    }
    tokens.push(token(&store, 9, Role::Admin, NOON).await);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
    let port = listener.local_addr().expect("its address").port();
    let (tls, trusted) = match scheme {
        "https" => Some(certificate(folder.path())).unzip(),
        _ => (None, None),
    };
    let metrics = Arc::new(Metrics::default());
    let gate = Gate::new(Arc::clone(&store), || NOON, Arc::clone(&metrics), 1_000_000);
    let scopes = Scopes {
        organization: Some("123".to_owned()),
        folder: Some("5".to_owned()),
        project: "shop".to_owned(),
        project_number: "0".to_owned(),
    };
    let app = server::api(store, gate, || NOON, scopes);
    let (stop, is_stopped) = oneshot::channel::<()>();
    let served = tokio::spawn(server::serve(listener, tls, app, Limits::default(), metrics, async {
        let _ = is_stopped.await;
    }));
    let mut python = Command::new(PYTHON);
    python.arg(SCRIPT).arg(format!("localhost:{port}")).args([transport, scheme, "organizations/123"]);
    python.arg(tokens.join(","));
    if let Some(trusted) = trusted {
        python.env("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", &trusted).env("REQUESTS_CA_BUNDLE", &trusted);
    }
    let Output { status, stdout, stderr } =
        python.output().await.expect("target/python; run: scripts/install-tools test");
    drop(stop);
    served.await.expect("a server that ends");
    let said = [stdout, stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(status.success() && said.contains("0 wrong"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_method_works_over_grpc() {
    check("grpc", "http").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_method_works_over_rest() {
    check("rest", "http").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_client_as_it_is_works_over_grpc_and_tls() {
    check("grpc", "https").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_client_as_it_is_works_over_rest_and_tls() {
    check("rest", "https").await;
}
