//! What watches the server: whether it lives, whether it can work, what it has counted; and the document that says what it offers.
//!
//! Refuses: telling anything but that to whoever has no token.

use crate::answer;
use crate::gate::Gate;
use crate::openapi;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{Request, StatusCode};
use std::sync::Arc;

/// The format that Prometheus reads.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Whether the process answers at all.
pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether calls can be carried out, which is so while the store can be asked.
pub(crate) async fn readyz(gate: Arc<Gate>) -> Response {
    match gate.store().latest_run().await {
        Ok(_) => "ok\n".into_response(),
        Err(error) => {
            gate.complain(&error);
            (StatusCode::SERVICE_UNAVAILABLE, "the store of findings cannot be reached\n").into_response()
        }
    }
}

/// The document of the API, which says nothing of what is in it.
pub(crate) async fn openapi() -> Response {
    ([(CONTENT_TYPE, "application/json")], openapi::TEXT.clone()).into_response()
}

/// The metrics, for whoever may read findings.
pub(crate) async fn metrics(gate: Arc<Gate>, request: Request<Body>) -> Response {
    match gate.admit(request.headers(), request.extensions(), "GetMetrics").await {
        Ok(_) => ([(CONTENT_TYPE, OPEN_METRICS)], gate.metrics().text()).into_response(),
        Err(refusal) => answer::refuse_request(false, refusal),
    }
}
