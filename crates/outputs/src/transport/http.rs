//! POST, to the one address that the config says: no redirects, no proxies, no cookies.

use super::Failure;
use super::stream::Stream;
use crate::{Trust, Url};
use bytes::Bytes;
use evidence::text::escape;
use http::header::{CONTENT_TYPE, HOST, RETRY_AFTER, USER_AGENT};
use http::{Method, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use std::io;
use std::time::Duration;

/// Bytes of an answer that are read.
const ANSWER_LIMIT: usize = 16 << 10;

/// Characters of a refusal that are kept for people.
const SAID_LIMIT: usize = 200;

/// What is posted.
pub(super) struct Request {
    pub(super) body: Vec<u8>,
    pub(super) media: &'static str,
    pub(super) headers: Vec<(&'static str, String)>,
}

/// A connection to one address, made when it is needed.
#[derive(Debug)]
pub(super) struct Http {
    url: Url,
    trust: Trust,
    open: Option<SendRequest<Full<Bytes>>>,
}

impl Http {
    pub(super) fn new(url: Url, trust: Trust) -> Self {
        Self { url, trust, open: None }
    }

    /// Posts; an answer of success is the end of it.
    pub(super) async fn post(&mut self, request: Request) -> Result<(), Failure> {
        let request = self
            .request(request)
            .map_err(|error| Failure::later(format!("a header cannot be sent: {error}")))?;
        let mut kept = self.open.take();
        if let Some(open) = &mut kept
            && open.ready().await.is_err()
        {
            kept = None;
        }
        let mut connection = match kept {
            Some(open) => open,
            None => {
                self.connect().await.map_err(|error| Failure::later(format!("cannot connect: {error}")))?
            }
        };
        let answer = connection.send_request(request).await;
        let answer = answer.map_err(|error| Failure::later(format!("the connection broke: {error}")))?;
        let (status, after) = (answer.status(), retry_after(&answer));
        // A receiver that says more than this is not listened to, and not asked again on the same connection.
        let said = Limited::new(answer.into_body(), ANSWER_LIMIT).collect().await;
        let said =
            said.map(|body| body.to_bytes()).inspect(|_| self.open = Some(connection)).unwrap_or_default();
        judge(status, after, &said)
    }

    /// The next request makes a new connection.
    pub(super) fn close(&mut self) {
        self.open = None;
    }

    fn request(&self, request: Request) -> http::Result<http::Request<Full<Bytes>>> {
        let uri = &self.url.uri;
        let host = uri.authority().map_or("", |authority| authority.as_str());
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let mut builder = http::Request::builder()
            .method(Method::POST)
            .uri(path)
            .header(HOST, host)
            .header(CONTENT_TYPE, request.media)
            .header(USER_AGENT, concat!("urva/", env!("CARGO_PKG_VERSION")));
        for (name, value) in request.headers {
            builder = builder.header(name, value);
        }
        builder.body(Full::from(request.body))
    }

    async fn connect(&self) -> io::Result<SendRequest<Full<Bytes>>> {
        let trust = self.url.is_tls.then_some(&self.trust);
        let stream = Stream::connect(&self.url.host, self.url.port, trust).await?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        tokio::spawn(async move {
            // How it ends is told by the request.
            let _ = connection.await;
        });
        Ok(sender)
    }
}

/// Seconds; a date is not understood, and the usual wait holds.
fn retry_after(answer: &Response<Incoming>) -> Option<Duration> {
    let text = answer.headers().get(RETRY_AFTER)?.to_str().ok()?;
    Some(Duration::from_secs(text.trim().parse().ok()?))
}

/// What an answer means. A code that blames the message itself is final; one that blames the sender, the address or the time is not, since
/// a config can be corrected.
fn judge(status: StatusCode, after: Option<Duration>, said: &[u8]) -> Result<(), Failure> {
    if status.is_success() {
        return Ok(());
    }
    let said = escape(said).to_string();
    let said = said.char_indices().nth(SAID_LIMIT).map_or(said.as_str(), |(end, _)| &said[..end]);
    let error = match said {
        "" => format!("answered {}", status.as_u16()),
        said => format!("answered {}: {said}", status.as_u16()),
    };
    match status.as_u16() {
        400 | 406 | 411 | 413 | 414 | 415 | 422 | 431 | 451 => Err(Failure::Never { error }),
        300..=399 => Err(Failure::Later { error: format!("{error}; redirects are not followed"), after }),
        _ => Err(Failure::Later { error, after }),
    }
}
