//! Connections: accepted, kept within their limits, and ended in order.
//!
//! Owns: HTTP/1.1 and HTTP/2 on one socket, TLS, how long a client may take for what, how many there may be.
//! Refuses: looking into a request.
//!
//! A client that sends or reads slowly costs a connection for a bounded time, and nothing else.

use crate::answer;
use crate::metrics::Metrics;
use crate::refusal::Refusal;
use crate::tls::Tls;
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
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tower::{ServiceExt, service_fn};

/// What clients may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once; more are closed at once.
    pub connections: usize,
    /// Requests that are worked on at once; more are refused.
    pub requests: usize,
    /// How long the beginning of a connection, and the headers of each request, may take.
    pub headers_within: Duration,
    /// How long a request may take from its headers to its answer, the body included.
    pub answer_within: Duration,
    /// How long connections may go on when the server is told to stop.
    pub end_within: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            requests: 256,
            headers_within: Duration::from_secs(10),
            answer_within: Duration::from_secs(30),
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
    metrics: Arc<Metrics>,
    stop: impl Future<Output = ()>,
) {
    let host = Arc::new(Host {
        app,
        limits,
        tls: tls.map(|tls| TlsAcceptor::from(tls.0)),
        requests: Semaphore::new(limits.requests),
        metrics,
    });
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
                Ok(_) if connections.len() >= limits.connections => {
                    host.metrics.connections_refused.inc();
                    tracing::warn!("a connection was closed: {} are open", limits.connections);
                }
                Ok((stream, peer)) => {
                    host.metrics.connections.inc();
                    connections.spawn(Arc::clone(&host).converse(stream, peer, is_stopping.clone()));
                }
                Err(error) => {
                    tracing::error!("no connection can be accepted: {error}");
                    tokio::time::sleep(ACCEPT_AGAIN_AFTER).await;
                }
            },
        }
    }
    drop(listener);
    let _ = stopping.send(true);
    let all = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(limits.end_within, all).await.is_err() {
        tracing::warn!("{} connections are cut", connections.len());
    }
}

struct Host {
    app: Router,
    limits: Limits,
    tls: Option<TlsAcceptor>,
    requests: Semaphore,
    metrics: Arc<Metrics>,
}

impl Host {
    async fn converse(
        self: Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        is_stopping: watch::Receiver<bool>,
    ) {
        if let Err(error) = bound_writing(&stream, self.limits.answer_within) {
            return tracing::debug!("a connection cannot be bounded: {error}");
        }
        let Some(acceptor) = self.tls.clone() else {
            return self.speak_http(stream, peer, is_stopping).await;
        };
        match tokio::time::timeout(self.limits.headers_within, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => self.speak_http(stream, peer, is_stopping).await,
            Ok(Err(error)) => tracing::debug!("a connection has no TLS: {error}"),
            Err(_) => tracing::debug!("a connection was silent"),
        }
    }

    async fn speak_http<S>(
        self: Arc<Self>,
        stream: S,
        peer: SocketAddr,
        mut is_stopping: watch::Receiver<bool>,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let builder = self.builder();
        let limit = self.limits.headers_within;
        let has_asked = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&has_asked);
        let service = service_fn(move |request: Request<hyper::body::Incoming>| {
            asked.store(true, Ordering::Relaxed);
            Arc::clone(&self).answer(request, peer.ip())
        });
        let mut connection =
            pin!(builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service)));
        let mut stop = pin!(async move {
            let _ = is_stopping.wait_for(|stop| *stop).await;
        });
        let mut silence = pin!(tokio::time::sleep(limit));
        let mut watches_silence = true;
        loop {
            tokio::select! {
                _ = connection.as_mut() => return,
                () = silence.as_mut(), if watches_silence => {
                    // What hyper does not bound by itself: a connection that never says which protocol it speaks.
                    if !has_asked.load(Ordering::Relaxed) {
                        return;
                    }
                    watches_silence = false;
                }
                () = stop.as_mut() => {
                    connection.as_mut().graceful_shutdown();
                    let _ = connection.as_mut().await;
                    return;
                }
            }
        }
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
    ) -> Result<Response, Infallible> {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Peer(peer));
        let is_grpc = answer::is_grpc(&request);
        let Ok(_permit) = self.requests.try_acquire() else {
            self.metrics.requests_refused.inc();
            let description = format!("{} requests are being worked on: try again", self.limits.requests);
            return Ok(answer::refuse_request(is_grpc, Refusal::TooMany { description }));
        };
        let answered = self.app.clone().oneshot(request);
        match tokio::time::timeout(self.limits.answer_within, answered).await {
            Ok(answer) => answer,
            Err(_) => {
                self.metrics.requests_refused.inc();
                Ok(answer::refuse_request(is_grpc, Refusal::TooSlow))
            }
        }
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
    use crate::mirror::mirrored;
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
        let server = tokio::spawn(serve(listener, None, app, limits, Arc::default(), async {
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
        let answer = converse(Limits { connections: 0, ..Limits::default() }, "").await;
        assert_eq!(answer, "");
    }

    #[tokio::test]
    async fn a_server_that_is_told_to_stop_ends_though_somebody_is_connected() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
        let address = listener.local_addr().expect("its address");
        let (stop, is_stopped) = oneshot::channel::<()>();
        let mirrored = mirrored().await;
        let app = mirrored.router(BODY_LIMIT);
        let server = tokio::spawn(serve(listener, None, app, Limits::default(), Arc::default(), async {
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
