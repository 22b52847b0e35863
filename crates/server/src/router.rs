//! Puts the services of gRPC and the face of REST behind one router.
//!
//! Owns: which path goes where, and what gRPC is told of services that do not exist.
//! Refuses: knowing a method.

use crate::answer;
use crate::gate::{Clock, Gate};
use crate::health;
use crate::protocol::longrunning::operations_server::{Operations, OperationsServer};
use crate::protocol::v2::security_center_server::{SecurityCenter, SecurityCenterServer};
use crate::rest::Rest;
use crate::service::{Scopes, Service};
use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::Request;
use std::convert::Infallible;
use std::sync::Arc;
use store::Store;
use tonic::server::NamedService;
use tonic::{Code, Status};
use tower::util::BoxCloneSyncService;
use tower::{ServiceExt, service_fn};

/// Calls of gRPC, to any service, by callers who were let through.
pub(crate) type Calls = BoxCloneSyncService<Request<Body>, Response, Infallible>;

/// The API over what carries it out: gRPC and REST, each call through the gate. Bodies of more than `body_limit` bytes
/// are refused.
pub(crate) fn router<S: SecurityCenter, O: Operations>(
    security_center: S,
    operations: O,
    gate: Arc<Gate>,
    body_limit: usize,
) -> Router {
    let services = Services {
        security_center: SecurityCenterServer::new(security_center).max_decoding_message_size(body_limit),
        operations: OperationsServer::new(operations).max_decoding_message_size(body_limit),
        gate: Arc::clone(&gate),
    };
    let admitted = services.clone();
    let calls = service_fn(move |request| {
        let services = admitted.clone();
        async move { Ok(services.dispatch(request).await) }
    });
    let rest = Rest::new(BoxCloneSyncService::new(calls), Arc::clone(&gate), body_limit);
    let (counted, asked) = (Arc::clone(&gate), gate);
    let router = Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(move || health::readyz(Arc::clone(&asked))))
        .route("/openapi.json", get(health::openapi))
        .route("/metrics", get(move |request| health::metrics(Arc::clone(&counted), request)));
    router.fallback(move |request: Request<Body>| async move {
        if answer::is_grpc(&request) { services.call(request).await } else { rest.answer(request).await }
    })
}

/// The longest body of a request.
const BODY_LIMIT: usize = 4 << 20;

/// The API over a store: all methods that urva offers, and those of the operations that they begin. Called within tokio's runtime,
/// where it carries out what is queued, and watches mute rules, from then on.
pub fn api(store: Arc<Store>, gate: Gate, clock: Clock, scopes: Scopes) -> Router {
    let service = Service::new(store, clock, scopes).served(Arc::clone(gate.metrics()));
    tokio::spawn(service.clone().carry_on());
    router(service.clone(), service, Arc::new(gate), BODY_LIMIT)
}

/// What calls go to.
struct Services<S, O> {
    security_center: SecurityCenterServer<S>,
    operations: OperationsServer<O>,
    gate: Arc<Gate>,
}

impl<S, O> Clone for Services<S, O> {
    fn clone(&self) -> Self {
        Self {
            security_center: self.security_center.clone(),
            operations: self.operations.clone(),
            gate: Arc::clone(&self.gate),
        }
    }
}

impl<S: SecurityCenter, O: Operations> Services<S, O> {
    /// Carries out a call, where it may be made, and counts it.
    async fn call(self, mut request: Request<Body>) -> Response {
        let gate = Arc::clone(&self.gate);
        let began = gate.now();
        let method = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
        let response = match gate.admit(request.headers(), request.extensions(), &method).await {
            Ok(caller) => {
                request.extensions_mut().insert(caller);
                self.dispatch(request).await
            }
            Err(refusal) => Status::from(refusal).into_http(),
        };
        let code = Status::from_header_map(response.headers()).map_or(Code::Ok, |status| status.code());
        gate.metrics().count(&method, code, gate.now().since(began));
        response
    }

    async fn dispatch(self, request: Request<Body>) -> Response {
        let service = request.uri().path().split('/').nth(1).unwrap_or_default();
        if service == SecurityCenterServer::<S>::NAME {
            let Ok(response) = self.security_center.oneshot(request).await;
            response.into_response()
        } else if service == OperationsServer::<O>::NAME {
            let Ok(response) = self.operations.oneshot(request).await;
            response.into_response()
        } else {
            Status::unimplemented("urva has no such service").into_http()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mirror::mirrored;
    use http::header::CONTENT_TYPE;
    use http::{HeaderMap, Method, StatusCode};
    use http_body_util::BodyExt;
    use serde_json::{Value, json};

    async fn ask(request: Request<Body>) -> (StatusCode, HeaderMap, Vec<u8>) {
        let mirrored = mirrored().await;
        let Ok(response) = mirrored.router(4096).oneshot(mirrored.with_token(request)).await;
        let (parts, body) = response.into_parts();
        let collected = body.collect().await.expect("a body");
        let mut headers = parts.headers;
        headers.extend(collected.trailers().cloned().unwrap_or_default());
        (parts.status, headers, collected.to_bytes().to_vec())
    }

    #[track_caller]
    fn check(verb: &Method, target: &str, body: &str, expected: &(u16, Value)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let request = Request::builder().method(verb).uri(target).body(Body::from(body.to_owned()));
        let (status, headers, answer) = runtime.block_on(ask(request.expect("a request")));
        let answer: Value = serde_json::from_slice(&answer).expect("JSON");
        assert_eq!(&(status.as_u16(), answer), expected);
        assert_eq!(headers["content-type"], "application/json; charset=UTF-8");
    }

    const FINDING: &str = "/v2/organizations/1/sources/2/findings/3";

    #[test]
    fn a_request_of_rest_is_carried_out_as_a_call() {
        let body = r#"{"state": "INACTIVE", "eventTime": "2026-01-02T03:04:05.500Z", "attackExposure": {"score": 0.5}}"#;
        let expected = json!({
            "name": "organizations/1/sources/2/findings/3", "state": "INACTIVE", "eventTime": "2026-01-02T03:04:05.500Z",
            "description": "state eventTime", "attackExposure": {"score": 0.5},
        });
        check(&Method::PATCH, &format!("{FINDING}?updateMask=state,eventTime"), body, &(200, expected));
        let expected = json!({"name": "organizations/1/sources/2/findings/3", "state": 2});
        check(
            &Method::PATCH,
            &format!("{FINDING}?$alt=json;enum-encoding=int"),
            r#"{"state": 2}"#,
            &(200, expected),
        );
        check(&Method::DELETE, "/v2/organizations/1/operations/2", "", &(200, json!({})));
    }

    #[test]
    fn a_refusal_is_written_as_google_writes_it() {
        let name = "organizations/1/sources/2";
        let expected = json!({"error": {
            "code": 404,
            "message": "organizations/1/sources/2 was not found",
            "status": "NOT_FOUND",
            "details": [
                {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "NOT_FOUND", "domain": "urva"},
                {"@type": "type.googleapis.com/google.rpc.ResourceInfo", "resourceName": name},
            ],
        }});
        check(&Method::GET, &format!("/v2/{name}"), "", &(404, expected));
        let message = "name: must be SCOPE/sources/ID, or SCOPE/sources/ID/locations/global; \
                       SCOPE is organizations/ID, folders/ID or projects/ID";
        let description = message.strip_prefix("name: ");
        let expected = json!({"error": {
            "code": 400,
            "message": message,
            "status": "INVALID_ARGUMENT",
            "details": [
                {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "MALFORMED", "domain": "urva"},
                {"@type": "type.googleapis.com/google.rpc.BadRequest",
                 "fieldViolations": [{"field": "name", "description": description}]},
            ],
        }});
        check(&Method::GET, "/v2/organizations/1/sources/..", "", &(400, expected));
    }

    #[track_caller]
    fn refused(verb: &Method, target: &str, body: &str, expected: (u16, &str, &str)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let request = Request::builder().method(verb).uri(target).body(Body::from(body.to_owned()));
        let (status, _, answer) = runtime.block_on(ask(request.expect("a request")));
        let answer: Value = serde_json::from_slice(&answer).expect("JSON");
        let error = &answer["error"];
        assert_eq!((status.as_u16(), error["status"].as_str().unwrap()), (expected.0, expected.1), "{error}");
        assert!(error["message"].as_str().unwrap().contains(expected.2), "{error}");
    }

    #[test]
    fn what_urva_does_not_have_is_refused() {
        refused(&Method::GET, "/v1/organizations/1/sources", "", (404, "NOT_FOUND", "paths begin with /v2/"));
        refused(&Method::PUT, FINDING, "", (405, "UNIMPLEMENTED", "PUT is not offered here, but PATCH is"));
        refused(&Method::GET, "/v2/organizations/1/sources", "", (501, "UNIMPLEMENTED", ""));
        refused(
            &Method::GET,
            "/v2/organizations/%FF/sources",
            "",
            (400, "INVALID_ARGUMENT", "percent-encoded"),
        );
        refused(
            &Method::PATCH,
            FINDING,
            &" ".repeat(4097),
            (400, "INVALID_ARGUMENT", "longer than 4096 bytes"),
        );
    }

    #[tokio::test]
    async fn a_body_is_not_read_before_it_is_known_whose_it_is() {
        let mirrored = mirrored().await;
        let app = mirrored.router(4096);
        let status = |request: Request<Body>| async {
            let Ok(response) = app.clone().oneshot(request).await;
            response.status()
        };
        let patch = |body: Body| Request::patch(FINDING).body(body).expect("a request");
        // It would be waited for for ever, was it read.
        let endless = || Body::new(Never);
        assert_eq!(status(patch(endless())).await, StatusCode::UNAUTHORIZED);
        let viewer = mirrored.token(2, crate::token::Role::Viewer).await;
        assert_eq!(status(crate::mirror::with(patch(endless()), &viewer)).await, StatusCode::FORBIDDEN);
        assert_eq!(status(mirrored.with_token(patch(Body::from("x")))).await, StatusCode::BAD_REQUEST);
        let text = mirrored.metrics.text();
        for code in ["UNAUTHENTICATED", "PERMISSION_DENIED", "INVALID_ARGUMENT"] {
            let line = format!("urva_server_calls_total{{method=\"UpdateFinding\",code=\"{code}\"}} 1");
            assert!(text.lines().any(|one| one == line), "{line} is not in\n{text}");
        }
    }

    /// A body that never comes.
    struct Never;

    impl axum::body::HttpBody for Never {
        type Data = bytes::Bytes;
        type Error = Infallible;

        fn poll_frame(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<hyper::body::Frame<bytes::Bytes>, Infallible>>> {
            std::task::Poll::Pending
        }
    }

    #[tokio::test]
    async fn a_call_of_grpc_is_answered_in_its_own_way() {
        for (path, code) in [
            ("/google.cloud.securitycenter.v2.SecurityCenter/ListSources", "12"),
            ("/google.cloud.securitycenter.v2.SecurityCenter/GetSource", "3"),
            ("/google.cloud.securitycenter.v2.SecurityCenter/Nothing", "12"),
            ("/google.longrunning.Operations/DeleteOperation", "0"),
            ("/other.Service/Call", "12"),
            ("/", "12"),
        ] {
            let empty = Body::from(vec![0u8; 5]);
            let request = Request::post(path).header(CONTENT_TYPE, "application/grpc").body(empty).unwrap();
            let (status, headers, _) = ask(request).await;
            assert_eq!((status, headers["grpc-status"].to_str().unwrap()), (StatusCode::OK, code), "{path}");
        }
    }
}
