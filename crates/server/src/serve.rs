//! Connections: accepted, kept within their limits, and ended in order.
//!
//! Owns: HTTP/1.1 and HTTP/2 on one socket, TLS, how long a client may take for what, how many there may be.
//! Refuses: looking into a request.
//!
//! A client that sends or reads slowly costs a connection for a bounded time, and nothing else.

use crate::answer;
use crate::gate::Clock;
use crate::metrics::Metrics;
use crate::refusal::Refusal;
use crate::seats::{Seat, Seats};
use crate::seldom::Seldom;
use crate::tls::Tls;
use crate::underway::Requests;
use axum::Router;
use axum::body::Body;
use axum::response::Response;
use http::Request;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{interval, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tower::{ServiceExt, service_fn};

/// What clients may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once; more are closed at once.
    pub connections: usize,
    /// Connections at once from one address, or one network of 64 bits of IPv6; more are closed at once.
    pub connections_of_one_address: usize,
    /// Requests at once, each until its answer was taken; more are refused.
    pub requests: usize,
    /// How long the beginning of a connection, and the headers of each request, may take.
    pub headers_within: Duration,
    /// How long a request may take from its headers to its answer, the body included; and at least how long the client has to
    /// take the answer, which ends its connection after four times as long at the most.
    pub answer_within: Duration,
    /// How long a connection stays open without a request, and twice as long at the most.
    pub idle_within: Duration,
    /// How long connections may go on when the server is told to stop.
    pub end_within: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            connections_of_one_address: 256,
            requests: 256,
            headers_within: Duration::from_secs(10),
            answer_within: Duration::from_secs(30),
            idle_within: Duration::from_secs(300),
            end_within: Duration::from_millis(700),
        }
    }
}

/// Bytes of all headers of a request. An address may have 64 KiB of them, since a filter stands in it, encoded.
const HEADERS_LIMIT: u32 = 72 << 10;
/// Requests at once on one connection of HTTP/2.
const STREAMS_LIMIT: u32 = 128;
/// How often a silent connection of HTTP/2 is asked whether somebody is there.
const PING_EVERY: Duration = Duration::from_secs(60);
/// How long to wait where the system has no more file descriptors.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// Who is at the other end of a request's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// Serves `app` to whoever connects, until `stop` is over.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Tls>,
    app: Router,
    limits: Limits,
    clock: Clock,
    metrics: Arc<Metrics>,
    stop: impl Future<Output = ()>,
) {
    let host = Arc::new(Host {
        app,
        limits,
        tls: tls.map(|tls| TlsAcceptor::from(tls.0)),
        permits: Arc::new(Semaphore::new(limits.requests)),
        metrics,
    });
    let seats = Arc::new(Seats::new(limits.connections, limits.connections_of_one_address));
    let (full, failed) = (Seldom::default(), Seldom::default());
    let (stopping, is_stopping) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {
                host.metrics.connections.dec();
            }
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    if let Some(seat) = seats.take(peer.ip()) {
                        host.metrics.connections.inc();
                        connections.spawn(Arc::clone(&host).converse(stream, peer, seat, is_stopping.clone()));
                        continue;
                    }
                    host.metrics.connections_refused.inc();
                    if let Some(left_out) = full.turn(clock()) {
                        let open = connections.len();
                        tracing::warn!(open, left_out, peer = %peer.ip(), "a connection was closed: too many are open");
                    }
                }
                Err(error) => {
                    if let Some(left_out) = failed.turn(clock()) {
                        tracing::error!(left_out, "no connection can be accepted: {error}");
                    }
                    sleep(ACCEPT_AGAIN_AFTER).await;
                }
            },
        }
    }
    drop(listener);
    let _ = stopping.send(true);
    let all = async { while connections.join_next().await.is_some() {} };
    if timeout(limits.end_within, all).await.is_err() {
        tracing::warn!("{} connections are cut", connections.len());
    }
}

struct Host {
    app: Router,
    limits: Limits,
    tls: Option<TlsAcceptor>,
    permits: Arc<Semaphore>,
    metrics: Arc<Metrics>,
}

impl Host {
    async fn converse(
        self: Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        _seat: Seat,
        is_stopping: watch::Receiver<bool>,
    ) {
        if let Err(error) = bound_writing(&stream, self.limits.answer_within) {
            return tracing::debug!("a connection cannot be bounded: {error}");
        }
        let Some(acceptor) = self.tls.clone() else {
            return self.speak_http(stream, peer, is_stopping).await;
        };
        match timeout(self.limits.headers_within, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => self.speak_http(stream, peer, is_stopping).await,
            Ok(Err(error)) => tracing::debug!("a connection has no TLS: {error}"),
            Err(_) => tracing::debug!("a connection was silent"),
        }
    }

    /// Answers until the client ends it, or does one of the things that hyper does not bound by itself: it never says which protocol
    /// it speaks, does not take an answer, or wants nothing any more.
    async fn speak_http<S>(
        self: Arc<Self>,
        stream: S,
        peer: SocketAddr,
        mut is_stopping: watch::Receiver<bool>,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (builder, limits, requests) = (self.builder(), self.limits, Requests::default());
        let counted = requests.clone();
        let service = service_fn(move |request: Request<hyper::body::Incoming>| {
            Arc::clone(&self).answer(request, peer.ip(), counted.clone())
        });
        let mut connection =
            pin!(builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service)));
        let mut stop = pin!(async move {
            let _ = is_stopping.wait_for(|stop| *stop).await;
        });
        let mut silence = pin!(sleep(limits.headers_within));
        let mut watches_silence = true;
        // Both are over at once for the first time, and only look.
        let (mut look_for_stuck, mut look_for_idle) =
            (interval(limits.answer_within * 2), interval(limits.idle_within));
        let (mut begun_then, mut begun_long_ago) = (0, None);
        loop {
            tokio::select! {
                _ = connection.as_mut() => return,
                () = silence.as_mut(), if watches_silence => {
                    if requests.begun() == 0 {
                        return;
                    }
                    watches_silence = false;
                }
                _ = look_for_stuck.tick() => {
                    if requests.is_stuck_since(begun_then) {
                        return tracing::debug!(%peer, "a connection was cut: it does not take an answer");
                    }
                    begun_then = requests.begun();
                }
                _ = look_for_idle.tick() => {
                    if begun_long_ago.is_some_and(|begun| requests.is_idle_since(begun)) {
                        break;
                    }
                    begun_long_ago = Some(requests.begun());
                }
                () = stop.as_mut() => break,
            }
        }
        // What is under way goes on, for as long as it may; when the server is told to stop, that is cut short.
        connection.as_mut().graceful_shutdown();
        let _ = timeout(limits.answer_within, connection.as_mut()).await;
    }

    fn builder(&self) -> auto::Builder<TokioExecutor> {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        let mut http1 = builder.http1();
        http1.timer(TokioTimer::new()).header_read_timeout(self.limits.headers_within);
        http1.max_buf_size(HEADERS_LIMIT as usize);
        let mut http2 = builder.http2();
        http2.timer(TokioTimer::new()).keep_alive_interval(PING_EVERY);
        http2.max_concurrent_streams(STREAMS_LIMIT).max_header_list_size(HEADERS_LIMIT);
        builder
    }

    async fn answer(
        self: Arc<Self>,
        request: Request<hyper::body::Incoming>,
        peer: IpAddr,
        requests: Requests,
    ) -> Result<Response, Infallible> {
        let mut underway = requests.begin();
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Peer(peer));
        let is_grpc = answer::is_grpc(&request);
        let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else {
            self.metrics.requests_refused.inc();
            let description = format!("{} requests are being worked on: try again", self.limits.requests);
            let refused = answer::refuse_request(is_grpc, Refusal::TooMany { description });
            return Ok(underway.answer(refused));
        };
        underway.hold(permit);
        let answered = self.app.clone().oneshot(request);
        let response = match timeout(self.limits.answer_within, answered).await {
            Ok(answer) => answer?,
            Err(_) => {
                self.metrics.requests_refused.inc();
                answer::refuse_request(is_grpc, Refusal::TooSlow)
            }
        };
        Ok(underway.answer(response))
    }
}

/// Has the kernel end the connection of a client that does not take what it asked for.
fn bound_writing(stream: &TcpStream, within: Duration) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let milliseconds = u32::try_from(within.as_millis()).unwrap_or(u32::MAX);
    rustix::net::sockopt::set_tcp_user_timeout(stream, milliseconds)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mirror::{NOON, mirrored};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::oneshot;

    const BODY_LIMIT: usize = 4096;
    const REQUEST: &str = "PATCH /v2/organizations/1/sources/2/findings/3 HTTP/1.1\r\nHost: urva\r\nConnection: close\r\nAuthorization: Bearer TOKEN\r\n";

    /// What comes back to `sent`, after which nothing more is sent, until the server closes the connection.
    async fn converse(limits: Limits, sent: &str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
        let address = listener.local_addr().expect("its address");
        let (stop, is_stopped) = oneshot::channel::<()>();
        let mirrored = mirrored().await;
        let app = mirrored.router(BODY_LIMIT);
        let server = tokio::spawn(serve(listener, None, app, limits, || NOON, Arc::default(), async {
            let _ = is_stopped.await;
        }));
        let mut client = TcpStream::connect(address).await.expect("a connection");
        let sent = sent.replace("TOKEN", mirrored.admin.reveal());
        client.write_all(sent.as_bytes()).await.expect("a server that listens");
        let mut answer = Vec::new();
        // A connection that is cut is an end as well.
        let _ = client.read_to_end(&mut answer).await;
        drop(stop);
        server.await.expect("a server that ends");
        String::from_utf8_lossy(&answer).into_owned()
    }

    const SOON: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn a_request_is_answered_and_its_connection_closed() {
        let answer = converse(Limits::default(), &format!("{REQUEST}Content-Length: 2\r\n\r\n{{}}")).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.ends_with(r#"{"name":"organizations/1/sources/2/findings/3"}"#), "{answer}");
    }

    #[tokio::test]
    async fn who_says_nothing_or_half_a_request_is_cut_off() {
        for sent in ["", "P", REQUEST, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
            let answer = converse(Limits { headers_within: SOON, ..Limits::default() }, sent).await;
            assert!(!answer.contains("200 OK"), "{answer}");
        }
    }

    #[tokio::test]
    async fn a_body_that_does_not_come_is_not_waited_for() {
        let limits = Limits { answer_within: SOON, ..Limits::default() };
        let answer = converse(limits, &format!("{REQUEST}Content-Length: 2\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 504 Gateway Timeout\r\n"), "{answer}");
        assert!(answer.contains("DEADLINE_EXCEEDED"), "{answer}");
    }

    #[tokio::test]
    async fn what_is_too_large_is_refused() {
        let body = " ".repeat(BODY_LIMIT + 1);
        let answer =
            converse(Limits::default(), &format!("{REQUEST}Content-Length: {}\r\n\r\n{body}", body.len()))
                .await;
        assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
        let header = format!("X: {}\r\n\r\n", "x".repeat(2 * HEADERS_LIMIT as usize));
        let answer = converse(Limits::default(), &format!("{REQUEST}{header}")).await;
        assert!(answer.starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\n"), "{answer}");
    }

    #[tokio::test]
    async fn there_are_only_so_many_requests_and_connections() {
        let limits = Limits { requests: 0, ..Limits::default() };
        let answer = converse(limits, &format!("{REQUEST}Content-Length: 2\r\n\r\n{{}}")).await;
        assert!(answer.starts_with("HTTP/1.1 429 Too Many Requests\r\n"), "{answer}");
        for limits in [
            Limits { connections: 0, ..Limits::default() },
            Limits { connections_of_one_address: 0, ..Limits::default() },
        ] {
            assert_eq!(converse(limits, "").await, "");
        }
    }

    /// Frames of HTTP/2 by hand: <https://www.rfc-editor.org/rfc/rfc9113#section-4.1>.
    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).expect("a short frame").to_be_bytes();
        let mut frame = length[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        frame
    }

    /// What a client of HTTP/2 begins with, whose windows are of `window` bytes.
    fn greeting(window: u32) -> Vec<u8> {
        let mut settings = vec![0, 4];
        settings.extend(window.to_be_bytes());
        [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(4, 0, 0, &settings)].concat()
    }

    /// `GET /healthz`, in literal headers that no table knows (`:method: GET` and `:scheme: http` are of the static one).
    fn get(stream: u32) -> Vec<u8> {
        let mut headers = vec![0x82, 0x86, 0x04, 8];
        headers.extend(b"/healthz");
        headers.extend([0x01, 4]);
        headers.extend(b"urva");
        frame(1, 5, stream, &headers)
    }

    /// All that comes until the server closes the connection, by kinds of frames.
    async fn kinds(limits: Limits, sent: &[u8]) -> Vec<u8> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
        let address = listener.local_addr().expect("its address");
        let (stop, is_stopped) = oneshot::channel::<()>();
        let app = mirrored().await.router(BODY_LIMIT);
        let server = tokio::spawn(serve(listener, None, app, limits, || NOON, Arc::default(), async {
            let _ = is_stopped.await;
        }));
        let mut client = TcpStream::connect(address).await.expect("a connection");
        client.write_all(sent).await.expect("a server that listens");
        let mut answer = Vec::new();
        let _ = client.read_to_end(&mut answer).await;
        drop(stop);
        server.await.expect("a server that ends");
        let (mut kinds, mut rest) = (Vec::new(), answer.as_slice());
        while let [a, b, c, kind, _, _, _, _, _, behind @ ..] = rest {
            kinds.push(*kind);
            let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
            rest = behind.get(length..).unwrap_or_default();
        }
        kinds
    }

    const DATA: u8 = 0;
    const HEADERS: u8 = 1;
    const GOAWAY: u8 = 7;

    #[tokio::test]
    async fn a_client_of_http2_that_takes_no_answer_is_cut_off() {
        let limits = Limits { answer_within: SOON, ..Limits::default() };
        let kinds = kinds(limits, &[greeting(0), get(1)].concat()).await;
        assert!(!kinds.contains(&DATA), "{kinds:?}");
    }

    #[tokio::test]
    async fn a_connection_of_http2_that_nobody_uses_is_closed_in_order() {
        let limits = Limits { idle_within: SOON, ..Limits::default() };
        let kinds = kinds(limits, &[greeting(65_535), get(1)].concat()).await;
        assert!([HEADERS, DATA, GOAWAY].iter().all(|kind| kinds.contains(kind)), "{kinds:?}");
    }

    #[tokio::test]
    async fn a_server_that_is_told_to_stop_ends_though_somebody_is_connected() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
        let address = listener.local_addr().expect("its address");
        let (stop, is_stopped) = oneshot::channel::<()>();
        let mirrored = mirrored().await;
        let app = mirrored.router(BODY_LIMIT);
        let server =
            tokio::spawn(serve(listener, None, app, Limits::default(), || NOON, Arc::default(), async {
                let _ = is_stopped.await;
            }));
        let mut client = TcpStream::connect(address).await.expect("a connection");
        client.write_all(REQUEST.as_bytes()).await.expect("a server that listens");
        drop(stop);
        server.await.expect("a server that ends");
        let mut rest = Vec::new();
        let _ = client.read_to_end(&mut rest).await;
        assert!(!String::from_utf8_lossy(&rest).contains("200 OK"));
    }
}
