//! Syslog, mail, chats and collectors: real sockets, a real server of mail, and their failures.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

#[allow(dead_code, reason = "this program uses a part of it")]
mod receiver;

use evidence::Timestamp;
use outputs::{Failure, Kind, MailServer, Output, SyslogAddress, Transport, Trust, sample};
use receiver::{Answer, Receiver};
use serde_json::{Value as Json, json};
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::net::{TcpListener, UdpSocket, UnixDatagram};
use tokio::process::{Child, ChildStdout, Command};

const MAIL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/python/take_mail.py");
const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/python/bin/python");
const NOON: Timestamp = Timestamp::from_seconds(1_795_262_400);

fn transport(kind: Kind) -> Transport {
    let name = "soc".to_owned();
    let output = Output { name, kind, timeout: Duration::from_secs(20), max_age: Duration::from_secs(60) };
    Transport::new(&output, &Trust::of_host().unwrap()).unwrap()
}

fn syslog(address: SyslogAddress) -> Transport {
    transport(Kind::Syslog { address })
}

fn check_line(line: &[u8]) {
    let line = std::str::from_utf8(line).unwrap();
    assert!(
        line.starts_with("<106>1 2026-11-21T12:00:00Z localhost urva urva_") && line.contains(" - CEF:0|"),
        "{line}"
    );
    assert!(line.len() <= 8 << 10 && !line.contains('\n'), "{line}");
}

#[tokio::test]
async fn datagrams_of_syslog_arrive() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = socket.local_addr().unwrap().port();
    let mut transport = syslog(SyslogAddress::Udp("127.0.0.1".to_owned(), port));
    let mut delivery = sample("soc", NOON);
    delivery.finding["processes"][0]["args"] = json!(vec!["x".repeat(1 << 20)]);
    transport.send(&delivery, NOON).await.unwrap();
    transport.settle().await.unwrap();
    let mut line = vec![0; 65_536];
    let length = socket.recv(&mut line).await.unwrap();
    check_line(&line[..length]);

    let folder = TempDir::new().unwrap();
    let path = folder.path().join("log");
    let socket = UnixDatagram::bind(&path).unwrap();
    syslog(SyslogAddress::Unix(path)).send(&sample("soc", NOON), NOON).await.unwrap();
    let length = socket.recv(&mut line).await.unwrap();
    check_line(&line[..length]);
}

#[tokio::test]
async fn a_stream_of_syslog_counts_when_it_was_read() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut transport = syslog(SyslogAddress::Tcp("127.0.0.1".to_owned(), port));
    let reading = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.unwrap();
        (all, listener)
    });
    for _ in 0..3 {
        transport.send(&sample("soc", NOON), NOON).await.unwrap();
    }
    transport.settle().await.unwrap();
    let (all, listener) = reading.await.unwrap();
    let mut rest = &all[..];
    for _ in 0..3 {
        let end = rest.iter().position(|byte| *byte == b' ').unwrap();
        let length: usize = std::str::from_utf8(&rest[..end]).unwrap().parse().unwrap();
        check_line(&rest[end + 1..end + 1 + length]);
        rest = &rest[end + 1 + length..];
    }
    assert!(rest.is_empty());

    // Who breaks the stream off has not read it.
    let breaking = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        stream.readable().await.unwrap();
        // What was not read is answered with a reset.
        drop(stream);
    });
    transport.send(&sample("soc", NOON), NOON).await.unwrap();
    breaking.await.unwrap();
    let settled = transport.settle().await;
    assert!(matches!(settled, Err(Failure::Later { .. })), "{settled:?}");
}

/// A server of mail.
struct Post {
    _child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    port: u16,
}

impl Post {
    async fn start(answer: &[&str]) -> Self {
        let mut child = Command::new(PYTHON)
            .arg(MAIL)
            .args(answer)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("target/python; run: scripts/install-tools test");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = lines.next_line().await.unwrap().expect("a port").parse().unwrap();
        Self { _child: child, lines, port }
    }

    fn transport(&self, scheme: &str) -> Transport {
        let server = MailServer::parse(&format!("{scheme}://127.0.0.1:{}", self.port), None).unwrap();
        let (from, to) = (
            "urva <urva@example.com>".to_owned(),
            vec!["a@example.com".to_owned(), "b@example.com".to_owned()],
        );
        transport(Kind::Email { server, from, to })
    }
}

#[tokio::test]
async fn a_mail_arrives_with_nothing_of_a_container_in_its_headers() {
    let mut post = Post::start(&[]).await;
    let mut delivery = sample("mail", NOON);
    let hostile = "x\r\nBcc: all@example.com\r\n\r\n<script>\u{202e}실행";
    delivery.finding["category"] = json!(hostile);
    delivery.finding["processes"][0]["script"]["path"] = json!(hostile);
    delivery.finding["processes"][0]["args"] = json!(vec!["y".repeat(1 << 20)]);
    post.transport("smtp").send(&delivery, NOON).await.unwrap();
    let mail: Json = serde_json::from_str(&post.lines.next_line().await.unwrap().unwrap()).unwrap();
    assert_eq!(
        (&mail["from"], &mail["to"]),
        (&json!("urva@example.com"), &json!(["a@example.com", "b@example.com"]))
    );
    let headers: Vec<(String, String)> = serde_json::from_value(mail["headers"].clone()).unwrap();
    assert!(headers.iter().all(|(name, _)| !name.eq_ignore_ascii_case("bcc")), "{headers:?}");
    let header = |name: &str| {
        headers.iter().find(|(one, _)| one.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    };
    let subject = header("Subject").unwrap();
    assert!(subject.starts_with("[urva] TEST CRITICAL x\\r\\nBcc: all@example.com"), "{subject}");
    assert_eq!(
        header("Message-ID").unwrap(),
        format!("<{}@example.com>", outputs::format::message_id(&delivery))
    );
    let text = mail["text"].as_str().unwrap();
    assert!(
        text.len() <= 64 << 10 && text.contains("This mail was cut") && !text.contains("\nBcc"),
        "{text}"
    );
}

#[tokio::test]
async fn what_a_server_of_mail_says_decides() {
    for (answer, is_final) in
        [("552 too large", true), ("554 not wanted", true), ("451 later", false), ("550 nobody", false)]
    {
        let post = Post::start(&[answer]).await;
        let failed = post.transport("smtp").send(&sample("mail", NOON), NOON).await.unwrap_err();
        assert_eq!(matches!(failed, Failure::Never { .. }), is_final, "{answer}: {failed:?}");
    }
    // No TLS to be had: nothing is sent.
    let mut post = Post::start(&[]).await;
    let failed = post.transport("smtp+starttls").send(&sample("mail", NOON), NOON).await.unwrap_err();
    assert!(matches!(failed, Failure::Later { .. }), "{failed:?}");
    post.transport("smtp").send(&sample("only", NOON), NOON).await.unwrap();
    let mail = post.lines.next_line().await.unwrap().unwrap();
    assert!(
        mail.contains(&outputs::format::message_id(&sample("only", NOON))),
        "the first that came: {mail}"
    );
}

#[tokio::test]
async fn a_chat_and_a_collector_get_json() {
    let receiver = Receiver::start(Answer::Code(200, None)).await;
    transport(Kind::Slack { url: receiver.url() }).send(&sample("chat", NOON), NOON).await.unwrap();
    let token = Some(outputs::Secret("geheim".to_owned()));
    transport(Kind::Otlp { url: receiver.url(), token }).send(&sample("otel", NOON), NOON).await.unwrap();
    let came = receiver.came();
    let bodies: Vec<Json> = came.iter().map(|came| serde_json::from_slice(&came.body).unwrap()).collect();
    assert_eq!(bodies[0]["blocks"][0]["type"], "header");
    assert_eq!(bodies[1]["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]["severityText"], "CRITICAL");
}

#[tokio::test]
async fn who_is_not_trusted_is_told_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut hello = [0; 512];
            let _ = stream.read(&mut hello).await;
        }
    });
    let url = outputs::Url::parse(&format!("https://localhost:{port}/")).unwrap();
    let failed = transport(Kind::Slack { url }).send(&sample("chat", NOON), NOON).await.unwrap_err();
    assert!(failed.error().starts_with("cannot connect: "), "{failed:?}");
}
