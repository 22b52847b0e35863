//! Services that answer with what they were asked, to test the way to them.

use crate::gate::Gate;
use crate::metrics::Metrics;
use crate::name::SourceName;
use crate::protocol::longrunning::operations_server::Operations;
use crate::protocol::v2::security_center_server::SecurityCenter;
use crate::protocol::{longrunning, v2};
use crate::refusal::Refusal;
use crate::router::router;
use crate::token::{Role, Token};
use axum::Router;
use evidence::Timestamp;
use http::header::{AUTHORIZATION, HeaderValue};
use std::sync::Arc;
use store::{NewToken, Store};
use tempfile::TempDir;
use tonic::Status;

/// Answers with what it was asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mirror;

#[tonic::async_trait]
impl SecurityCenter for Mirror {
    async fn update_finding(
        &self,
        request: tonic::Request<v2::UpdateFindingRequest>,
    ) -> Result<tonic::Response<v2::Finding>, Status> {
        let request = request.into_inner();
        let mut finding = request.finding.unwrap_or_default();
        finding.description = request.update_mask.unwrap_or_default().paths.join(" ");
        Ok(tonic::Response::new(finding))
    }

    async fn get_source(
        &self,
        request: tonic::Request<v2::GetSourceRequest>,
    ) -> Result<tonic::Response<v2::Source>, Status> {
        let name = SourceName::parse("name", &request.into_inner().name)?;
        Err(Refusal::NotFound { name: name.to_string() }.into())
    }
}

#[tonic::async_trait]
impl Operations for Mirror {
    async fn delete_operation(
        &self,
        _: tonic::Request<longrunning::DeleteOperationRequest>,
    ) -> Result<tonic::Response<()>, Status> {
        Ok(tonic::Response::new(()))
    }
}

/// When everything happens in the tests.
pub(crate) const NOON: Timestamp = Timestamp::from_seconds(1_795_262_400);

/// The services behind a gate, with a store of their own.
pub(crate) struct Mirrored {
    _folder: TempDir,
    pub(crate) store: Arc<Store>,
    pub(crate) metrics: Arc<Metrics>,
    /// A token that may do everything.
    pub(crate) admin: Token,
}

pub(crate) async fn mirrored() -> Mirrored {
    let folder = TempDir::new().expect("a folder");
    let store = Store::open(folder.path().join("urva.db")).await.expect("a store");
    let mut mirrored = Mirrored {
        _folder: folder,
        store: Arc::new(store),
        metrics: Arc::default(),
        admin: Token::from_random(&[0; 32]),
    };
    mirrored.admin = mirrored.token(1, Role::Admin).await;
    mirrored
}

impl Mirrored {
    /// A token that is valid for a minute.
    pub(crate) async fn token(&self, number: u8, role: Role) -> Token {
        let token = Token::from_random(&[number; 32]);
        let new = NewToken {
            name: format!("test {number}"),
            role: role.to_string(),
            sha256: token.hash(),
            created_at: NOON,
            expires_at: Timestamp(NOON.0 + 60_000_000_000),
        };
        self.store.add_token(&new, "test").await.expect("a token");
        token
    }

    pub(crate) fn router(&self, body_limit: usize) -> Router {
        let gate = Gate::new(Arc::clone(&self.store), || NOON, Arc::clone(&self.metrics), 100);
        router(Mirror, Mirror, Arc::new(gate), body_limit)
    }

    /// The request with the token of an administrator.
    pub(crate) fn with_token<B>(&self, request: http::Request<B>) -> http::Request<B> {
        with(request, &self.admin)
    }
}

/// The request with a token.
pub(crate) fn with<B>(mut request: http::Request<B>, token: &Token) -> http::Request<B> {
    let header = HeaderValue::from_str(&format!("Bearer {}", token.reveal())).expect("a header");
    request.headers_mut().insert(AUTHORIZATION, header);
    request
}
