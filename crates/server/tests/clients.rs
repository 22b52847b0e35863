//! Many clients at once, and clients that send what nobody should.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod served;

use evidence::Timestamp;
use served::{NOON, Served};
use server::token::Role;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const LATER: Timestamp = Timestamp(NOON.0 + 3_600_000_000_000);
const CLIENTS: usize = 200;
const LIST: &str = "GET /v2/organizations/123/sources/-/findings?filter=state%3D%22ACTIVE%22 HTTP/1.1\r\n";

/// What comes back to `request`, to the end of the connection.
async fn ask(port: u16, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("a connection");
    stream.write_all(request).await.expect("a server that listens");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("an answer");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_clients_at_once_are_answered() {
    let folder = TempDir::new().expect("a folder");
    let served = Served::start(folder.path(), None).await;
    let token = served.token(1, Role::Viewer, LATER).await;
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let request =
            format!("{LIST}Host: urva\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n");
        let port = served.port;
        clients.spawn(async move { ask(port, request.as_bytes()).await });
    }
    let answers = clients.join_all().await;
    let good = answers.iter().filter(|answer| {
        answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("Defense Evasion: Detection Impaired")
    });
    assert_eq!(good.count(), CLIENTS);
    served.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odd_requests_are_refused_and_the_next_is_answered() {
    let folder = TempDir::new().expect("a folder");
    let served = Served::start(folder.path(), None).await;
    let token = served.token(1, Role::Viewer, LATER).await;
    let head = format!("Host: urva\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n");
    for (request, status) in [
        ("GET /v2/organizations/../sources/%00/findings HTTP/1.1\r\n", "400 Bad Request"),
        ("GET /v2/organizations/%ff/sources/-/findings HTTP/1.1\r\n", "400 Bad Request"),
        ("GET /v2/organizations/123/sources/-/findings?filter=%ff HTTP/1.1\r\n", "400 Bad Request"),
        ("GET /v2/organizations/123/sources/-/findings?pageToken=x HTTP/1.1\r\n", "400 Bad Request"),
        ("GET /v2/organizations/123/sources/-/findings?pageSize=99999999999 HTTP/1.1\r\n", "400 Bad Request"),
        ("GET /v2/organizations/9/sources/-/findings HTTP/1.1\r\n", "404 Not Found"),
        ("GET / HTTP/1.1\r\n", "404 Not Found"),
        ("TRACE /v2/organizations/123/sources HTTP/1.1\r\n", "405 Method Not Allowed"),
        ("POST /google.cloud.securitycenter.v2.SecurityCenter/ListFindings HTTP/1.1\r\n", "404 Not Found"),
        ("\u{0}\u{1}\u{2}\r\n", "400 Bad Request"),
    ] {
        let answer = ask(served.port, format!("{request}{head}").as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{request:?}: {answer}");
    }
    let good = ask(served.port, format!("{LIST}{head}").as_bytes()).await;
    assert!(good.starts_with("HTTP/1.1 200 OK\r\n"), "{good}");
    served.end().await;
}
