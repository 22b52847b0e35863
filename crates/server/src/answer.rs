//! Answers: ProtoJSON, and errors as Google writes them.
//!
//! Owns: the JSON of messages and of `google.rpc.Status`, and the HTTP status of each code.
//! Refuses: anything that a browser could take for a page.

use crate::protocol::{self, POOL, rpc};
use crate::refusal::Refusal;
use crate::rest::Style;
use axum::body::Body;
use axum::response::Response;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS};
use http::{Request, Response as HttpResponse, StatusCode};
use prost::Message;
use prost_reflect::{DynamicMessage, MessageDescriptor, SerializeOptions};
use serde_json::{Value, json};
use tonic::{Code, Status};

/// Writes a message that was encoded.
pub(crate) fn write(descriptor: &MessageDescriptor, message: &[u8], style: Style) -> Result<Vec<u8>, Status> {
    let message = DynamicMessage::decode(descriptor.clone(), message).map_err(|error| {
        tracing::error!("an answer cannot be read back: {error}");
        Refusal::Internal
    })?;
    let mut out = Vec::new();
    let options = SerializeOptions::new().use_enum_numbers(style.enum_numbers);
    let written = match style.pretty {
        true => message.serialize_with_options(&mut serde_json::Serializer::pretty(&mut out), &options),
        false => message.serialize_with_options(&mut serde_json::Serializer::new(&mut out), &options),
    };
    written.map_err(|error| {
        tracing::error!("an answer cannot be written as JSON: {error}");
        Refusal::Internal
    })?;
    Ok(out)
}

/// An answer in JSON, which nobody keeps.
pub(crate) fn json(status: StatusCode, json: Vec<u8>) -> Response {
    let mut response = HttpResponse::new(Body::from(json));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=UTF-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// An error: `{"error": {"code", "message", "status", "details"}}`.
pub(crate) fn refuse(status: &Status, style: Style) -> Response {
    let code = http_code(status.code());
    let error = json!({
        "error": {
            "code": code.as_u16(),
            "message": status.message(),
            "status": protocol::code_name(status.code()),
            "details": details(status),
        }
    });
    let text = if style.pretty { serde_json::to_vec_pretty(&error) } else { serde_json::to_vec(&error) };
    let mut response = json(code, text.unwrap_or_default());
    if code == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"urva\""));
    }
    response
}

/// Whether a request is a call of gRPC, whose errors lie in its headers.
pub(crate) fn is_grpc<B>(request: &Request<B>) -> bool {
    let kind = request.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    kind.is_some_and(|kind| kind.starts_with(b"application/grpc"))
}

/// A refusal in the transport's own way.
pub(crate) fn refuse_request(is_grpc: bool, refusal: Refusal) -> Response {
    let status = Status::from(refusal);
    if is_grpc { status.into_http::<Body>() } else { refuse(&status, Style::default()) }
}

/// The details that the protocol has types for.
fn details(status: &Status) -> Vec<Value> {
    let Ok(status) = rpc::Status::decode(status.details()) else { return Vec::new() };
    let json = |detail: prost_types::Any| {
        let name = detail.type_url.rsplit('/').next()?.to_owned();
        let message =
            DynamicMessage::decode(POOL.get_message_by_name(&name)?, detail.value.as_slice()).ok()?;
        let mut json = serde_json::to_value(&message).ok()?;
        json.as_object_mut()?.insert("@type".to_owned(), detail.type_url.into());
        Some(json)
    };
    status.details.into_iter().filter_map(json).collect()
}

/// As `google/rpc/code.proto` maps them.
fn http_code(code: Code) -> StatusCode {
    match code {
        Code::Ok => StatusCode::OK,
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => StatusCode::BAD_REQUEST,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        // Nginx's number for a client that went away; http has no name for it.
        Code::Cancelled => StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::Unknown | Code::Internal | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
