//! REST: each request becomes the gRPC call that it stands for, and the answer becomes JSON.
//!
//! Owns: the way from HTTP to the gRPC services and back. It knows no method by name; [`routes`] reads them from the
//! protocol.
//! Refuses: a second way to the handlers; and reading a body before it is known whose it is.

mod request;
mod routes;
mod template;

use crate::answer;
use crate::gate::Gate;
use crate::refusal::Refusal;
use crate::router::Calls;
use crate::service::CONFIRM;
use axum::body::Body;
use axum::response::Response;
use bytes::{BufMut, Bytes, BytesMut};
use http::header::{ALLOW, CONTENT_TYPE, HeaderValue, TE};
use http::{Request, StatusCode, Version};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use prost_reflect::MethodDescriptor;
pub(crate) use request::Style;
use routes::Found;
pub(crate) use routes::{ROUTES, Route};
use std::sync::Arc;
use template::Binding;
pub(crate) use template::Place;
use tonic::{Code, Status};
use tower::ServiceExt;

/// Bytes in front of a message of gRPC: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// The face of REST to `calls`, which are made by those whom the gate let through.
#[derive(Clone)]
pub(crate) struct Rest {
    calls: Calls,
    gate: Arc<Gate>,
    /// The longest body that is read.
    body_limit: usize,
}

impl Rest {
    pub(crate) fn new(calls: Calls, gate: Arc<Gate>, body_limit: usize) -> Self {
        Self { calls, gate, body_limit }
    }

    /// Answers a request.
    pub(crate) async fn answer(self, request: Request<Body>) -> Response {
        let (verb, uri) = (request.method().clone(), request.uri().clone());
        match ROUTES.find(&verb, uri.path()) {
            Found::Route(route, bindings) => {
                let began = self.gate.now();
                let (style, answer) = self.call(route, &bindings, request).await;
                let answer =
                    answer.and_then(|message| answer::write(&route.method.output(), &message, style));
                let code = answer.as_ref().map_or_else(Status::code, |_| Code::Ok);
                self.gate.metrics().count(route.method.name(), code, self.gate.now().since(began));
                match answer {
                    Ok(json) => answer::json(StatusCode::OK, json),
                    Err(status) => answer::refuse(&status, style),
                }
            }
            Found::OtherVerbs(verbs) => {
                let verbs: Vec<&str> = verbs.iter().map(|verb| verb.as_str()).collect();
                let verbs = verbs.join(", ");
                let status = Status::unimplemented(format!("{verb} is not offered here, but {verbs} is"));
                let mut response = answer::refuse(&status, Style::default());
                *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
                if let Ok(verbs) = HeaderValue::from_str(&verbs) {
                    response.headers_mut().insert(ALLOW, verbs);
                }
                response
            }
            Found::BadEncoding(error) => {
                answer::refuse(&Refusal::malformed("", error.to_string()).into(), Style::default())
            }
            Found::Nothing => {
                let status = Status::not_found("urva has nothing under this address: paths begin with /v2/");
                answer::refuse(&status, Style::default())
            }
        }
    }

    /// The answer's bytes, with the style that the request asked for as far as it could be read.
    async fn call(
        &self,
        route: &Route,
        bindings: &[Binding<'_>],
        request: Request<Body>,
    ) -> (Style, Result<Bytes, Status>) {
        let (mut parts, body) = request.into_parts();
        match self.gate.admit(&parts.headers, &parts.extensions, route.method.name()).await {
            Ok(caller) => parts.extensions.insert(caller),
            Err(refusal) => return (Style::default(), Err(refusal.into())),
        };
        let body = match self.read(body).await {
            Ok(body) => body,
            Err(refusal) => return (Style::default(), Err(refusal.into())),
        };
        if !body.is_empty() && !is_json(&parts.headers) {
            let refusal =
                Refusal::malformed("", "the body must be JSON, with Content-Type: application/json");
            return (Style::default(), Err(refusal.into()));
        }
        let query = parts.uri.query().unwrap_or_default();
        let (message, style) = match request::read(route, bindings, query, &body) {
            Ok(read) => read,
            Err(refusal) => return (Style::default(), Err(refusal.into())),
        };
        let call = match call_of(&route.method, &parts, &message) {
            Ok(call) => call,
            Err(refusal) => return (style, Err(refusal.into())),
        };
        let Ok(response) = self.calls.clone().oneshot(call).await;
        (style, message_of(response).await)
    }

    async fn read(&self, body: Body) -> Result<Bytes, Refusal> {
        let collected = Limited::new(body, self.body_limit).collect().await;
        collected.map(http_body_util::Collected::to_bytes).map_err(|error| {
            let limit = self.body_limit;
            match error.downcast_ref::<LengthLimitError>() {
                Some(_) => Refusal::malformed("", format!("the body is longer than {limit} bytes")),
                None => Refusal::malformed("", "the body ended early"),
            }
        })
    }
}

fn is_json(headers: &http::HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("application/json");
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
}

/// The gRPC call of a method, with what the request says about its caller.
fn call_of(
    method: &MethodDescriptor,
    parts: &http::request::Parts,
    message: &[u8],
) -> Result<Request<Body>, Refusal> {
    let length = u32::try_from(message.len()).map_err(|_| Refusal::Internal)?;
    let mut framed = BytesMut::with_capacity(PREFIX + message.len());
    framed.put_u8(0);
    framed.put_u32(length);
    framed.put_slice(message);
    let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
    let mut call = Request::post(path).version(Version::HTTP_2).header(TE, "trailers");
    call = call.header(CONTENT_TYPE, "application/grpc");
    if let Some(said) = parts.headers.get(CONFIRM) {
        call = call.header(CONFIRM, said);
    }
    let mut call = call.body(Body::from(framed.freeze())).map_err(|_| Refusal::Internal)?;
    *call.extensions_mut() = parts.extensions.clone();
    Ok(call)
}

/// The message that a call was answered with, or the status.
async fn message_of(response: Response) -> Result<Bytes, Status> {
    if let Some(status) =
        Status::from_header_map(response.headers()).filter(|status| status.code() != tonic::Code::Ok)
    {
        return Err(status);
    }
    let collected = response.into_body().collect().await.map_err(|_| Status::from(Refusal::Internal))?;
    if let Some(status) = collected.trailers().and_then(Status::from_header_map)
        && status.code() != tonic::Code::Ok
    {
        return Err(status);
    }
    let mut bytes = collected.to_bytes();
    if bytes.len() < PREFIX {
        return Err(Refusal::Internal.into());
    }
    Ok(bytes.split_off(PREFIX))
}
