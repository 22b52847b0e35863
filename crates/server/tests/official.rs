//! Google's own client for Python calls each method, over gRPC and over REST, with TLS and without. Nothing on the client's side is
//! urva's but `tests/python/check_api.py`, which says what is to be called.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod served;

use evidence::Timestamp;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use served::{NOON, Served};
use server::Tls;
use server::token::Role;
use std::path::{Path, PathBuf};
use std::process::Output;
use tempfile::TempDir;
use tokio::process::Command;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/python/check_api.py");
const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/python/bin/python");

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
    let (tls, trusted) = match scheme {
        "https" => Some(certificate(folder.path())).unzip(),
        _ => (None, None),
    };
    let served = Served::start(folder.path(), tls).await;
    let later = Timestamp(NOON.0 + 3_600_000_000_000);
    let mut tokens = Vec::new();
    for (number, role) in (1..).zip([Role::Admin, Role::Responder, Role::Analyst, Role::Viewer]) {
        tokens.push(served.token(number, role, later).await);
    }
    tokens.push(served.token(9, Role::Admin, NOON).await);
    let mut python = Command::new(PYTHON);
    python.arg(SCRIPT).arg(format!("localhost:{}", served.port));
    python.args([transport, scheme, "organizations/123"]).arg(tokens.join(","));
    if let Some(trusted) = trusted {
        python.env("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", &trusted).env("REQUESTS_CA_BUNDLE", &trusted);
    }
    let Output { status, stdout, stderr } =
        python.output().await.expect("target/python; run: scripts/install-tools test");
    served.end().await;
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
