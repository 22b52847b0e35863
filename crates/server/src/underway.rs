//! What a connection's requests are at: each is under way from its headers until its answer was taken, or thrown away.
//!
//! Owns: counting them, the permit of each, and the answer's body in pieces, so that a client that does not read holds what it takes.
//! Refuses: the clock. Whoever asks again after some time learns what was so all that time.

use axum::body::{Body, HttpBody};
use axum::response::Response;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::sync::OwnedSemaphorePermit;

/// Bytes that are handed to the connection at once. It asks for more when the client has room.
const PIECE: usize = 16 << 10;

/// The requests of one connection.
#[derive(Debug, Clone, Default)]
pub(crate) struct Requests(Arc<Mutex<Open>>);

#[derive(Debug, Default)]
struct Open {
    begun: u64,
    numbers: BTreeSet<u64>,
}

/// One request; it is over when this is dropped.
#[derive(Debug)]
pub(crate) struct Request {
    number: u64,
    requests: Requests,
    permit: Option<OwnedSemaphorePermit>,
}

impl Requests {
    /// A request begins.
    pub(crate) fn begin(&self) -> Request {
        let mut open = self.lock();
        open.begun += 1;
        let number = open.begun;
        open.numbers.insert(number);
        Request { number, requests: self.clone(), permit: None }
    }

    /// How many have begun so far.
    pub(crate) fn begun(&self) -> u64 {
        self.lock().begun
    }

    /// Whether one is under way that was among the first `begun` already.
    pub(crate) fn is_stuck_since(&self, begun: u64) -> bool {
        self.lock().numbers.first().is_some_and(|number| *number <= begun)
    }

    /// Whether there was one, none is under way, and none has begun since `begun` had.
    pub(crate) fn is_idle_since(&self, begun: u64) -> bool {
        let open = self.lock();
        begun > 0 && open.numbers.is_empty() && open.begun == begun
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Request {
    /// What the request occupies until it is over.
    pub(crate) fn hold(&mut self, permit: OwnedSemaphorePermit) {
        self.permit = Some(permit);
    }

    /// The answer, with which the request is over.
    pub(crate) fn answer(self, response: Response) -> Response {
        response.map(|body| Body::new(Pieces { body, rest: Bytes::new(), _request: self }))
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        self.requests.lock().numbers.remove(&self.number);
    }
}

/// The body of an answer.
struct Pieces {
    body: Body,
    rest: Bytes,
    _request: Request,
}

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                other => return Poll::Ready(other),
            }
        }
        let length = self.rest.len().min(PIECE);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = u64::try_from(self.rest.len()).unwrap_or(u64::MAX);
        let body = self.body.size_hint();
        let mut hint = SizeHint::new();
        if let Some(upper) = body.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint.set_lower(body.lower().saturating_add(rest));
        hint
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;
    use tokio::sync::Semaphore;

    #[tokio::test]
    async fn a_request_is_over_when_its_answer_was_taken() {
        let (requests, permits) = (Requests::default(), Arc::new(Semaphore::new(1)));
        let mut request = requests.begin();
        request.hold(Arc::clone(&permits).try_acquire_owned().expect("a permit"));
        let text = "x".repeat(PIECE + 1);
        let mut body = request.answer(Response::new(Body::from(text.clone()))).into_body();
        assert_eq!(body.size_hint().exact(), Some(PIECE as u64 + 1));
        let piece = body.frame().await.expect("a frame").expect("a piece").into_data().expect("data");
        assert_eq!((piece.len(), body.size_hint().exact(), body.is_end_stream()), (PIECE, Some(1), false));
        assert!(permits.try_acquire().is_err());
        assert!(requests.is_stuck_since(1) && !requests.is_stuck_since(0) && !requests.is_idle_since(1));
        assert_eq!(body.collect().await.expect("the rest").to_bytes(), &text[PIECE..]);
        assert!(permits.try_acquire().is_ok());
        assert!(requests.is_idle_since(1) && !requests.is_idle_since(0) && !requests.is_stuck_since(1));
    }
}
