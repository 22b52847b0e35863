//! Who may call what: asked before each call, whichever transport it came over.
//!
//! Owns: reading the token, its role against the method's, how often a token may call, how often an address may try a wrong
//! one.
//! Refuses: calls without a token, on loopback as well, since containers on the host's network reach that too.

use crate::metrics::Metrics;
use crate::rate::Buckets;
use crate::refusal::Refusal;
use crate::seats::network_of;
use crate::seldom::Seldom;
use crate::serve::Peer;
use crate::token::{Role, Token};
use evidence::Timestamp;
use http::header::AUTHORIZATION;
use http::{Extensions, HeaderMap};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use store::{Store, StoreError};

/// Tells the time; the server reads no clock of its own.
pub type Clock = fn() -> Timestamp;

/// Wrong tokens from one address in [`WRONG_WITHIN`].
const WRONG_LIMIT: u32 = 10;
const WRONG_WITHIN: Duration = Duration::from_secs(60);

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The token's number and name, for the audit trail.
    pub(crate) name: String,
    /// What the token may do.
    pub(crate) role: Role,
}

/// Lets calls through.
pub struct Gate {
    store: Arc<Store>,
    clock: Clock,
    metrics: Arc<Metrics>,
    calls: Mutex<Buckets<i64>>,
    wrong: Mutex<Buckets<IpAddr>>,
    store_failed: Seldom,
    token_refused: Seldom,
    role_refused: Seldom,
}

impl Gate {
    /// A gate that lets each token call so often a second.
    pub fn new(store: Arc<Store>, clock: Clock, metrics: Arc<Metrics>, calls_per_second: u32) -> Self {
        Self {
            store,
            clock,
            metrics,
            calls: Mutex::new(Buckets::new(calls_per_second, Duration::from_secs(1))),
            wrong: Mutex::new(Buckets::new(WRONG_LIMIT, WRONG_WITHIN)),
            store_failed: Seldom::default(),
            token_refused: Seldom::default(),
            role_refused: Seldom::default(),
        }
    }

    pub(crate) fn store(&self) -> &Arc<Store> {
        &self.store
    }

    pub(crate) fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// Whose call of `method` this is, if it may be made.
    pub(crate) async fn admit(
        &self,
        headers: &HeaderMap,
        extensions: &Extensions,
        method: &str,
    ) -> Result<Caller, Refusal> {
        let needed = Role::for_method(method);
        let caller = self.identify(headers, extensions).await?;
        if caller.role < needed {
            let (needed, has) = (needed.as_str(), caller.role.as_str());
            if let Some(left_out) = self.role_refused.turn(self.now()) {
                tracing::warn!(left_out, "{} called {method}, which needs the role {needed}", caller.name);
            }
            return Err(Refusal::Forbidden { method: method.to_owned(), needed, has });
        }
        Ok(caller)
    }

    async fn identify(&self, headers: &HeaderMap, extensions: &Extensions) -> Result<Caller, Refusal> {
        let peer = extensions.get::<Peer>().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0);
        let Some(header) = headers.get(AUTHORIZATION) else {
            self.metrics.tokens_refused.inc();
            let description =
                "a token is needed: `urva tokens create` makes one, send it as Authorization: Bearer TOKEN";
            return Err(Refusal::Unauthenticated { description });
        };
        let (scheme, text) = header.to_str().unwrap_or_default().split_once(' ').unwrap_or_default();
        let token = Token::parse(text.trim()).filter(|_| scheme.eq_ignore_ascii_case("bearer"));
        let Some(token) = token else {
            return Err(self.refuse(peer, "this is no token of urva: send Authorization: Bearer urva_…"));
        };
        let found = self.store.find_token(&token.hash()).await.map_err(|error| {
            self.complain(&error);
            Refusal::Unavailable
        })?;
        let now = self.now();
        match found {
            None => Err(self.refuse(peer, "the token is not known here")),
            Some(token) if token.revoked_at.is_some() => Err(self.refuse(peer, "the token was revoked")),
            Some(token) if !token.is_valid(now) => Err(self.refuse(peer, "the token has expired")),
            Some(token) => {
                lock(&self.calls).take(token.id, now).map_err(|wait| Refusal::TooMany {
                    description: format!("the token calls too often: wait {} ms", wait.as_millis().max(1)),
                })?;
                let role = token.role.parse().map_err(|_| {
                    tracing::error!(token = token.id, "a token has a role that this urva does not know");
                    Refusal::Internal
                })?;
                Ok(Caller { name: format!("token {} ({})", token.id, token.name), role })
            }
        }
    }

    /// Counts a token that opens nothing, and tells of it.
    fn refuse(&self, peer: IpAddr, description: &'static str) -> Refusal {
        self.metrics.tokens_refused.inc();
        let now = self.now();
        if let Err(wait) = lock(&self.wrong).take(network_of(peer), now) {
            let seconds = wait.as_secs() + 1;
            let description = format!("too many wrong tokens came from this address: wait {seconds} s");
            return Refusal::TooMany { description };
        }
        if let Some(left_out) = self.token_refused.turn(now) {
            tracing::warn!(%peer, left_out, "a call was refused: {description}");
        }
        Refusal::Unauthenticated { description }
    }

    /// Tells of a store that cannot be asked, which every call finds out anew.
    pub(crate) fn complain(&self, error: &StoreError) {
        if let Some(left_out) = self.store_failed.turn(self.now()) {
            tracing::error!(left_out, "the store cannot be asked: {error}");
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mirror::{Mirrored, NOON, mirrored, with};
    use axum::body::Body;
    use http::{Method, Request, StatusCode};
    use tower::ServiceExt;

    const SOURCE: &str = "/v2/organizations/1/sources/2";
    const FINDING: &str = "/v2/organizations/1/sources/2/findings/3";

    fn request(verb: Method, target: &str) -> Request<Body> {
        Request::builder().method(verb).uri(target).body(Body::empty()).expect("a request")
    }

    async fn status(mirrored: &Mirrored, request: Request<Body>) -> u16 {
        let Ok(response) = mirrored.router(4096).oneshot(request).await;
        response.status().as_u16()
    }

    #[tokio::test]
    async fn a_call_without_a_good_token_is_refused() {
        let mirrored = mirrored().await;
        assert_eq!(status(&mirrored, request(Method::PATCH, FINDING)).await, 401);
        let unknown = with(request(Method::PATCH, FINDING), &Token::from_random(&[9; 32]));
        assert_eq!(status(&mirrored, unknown).await, 401);
        for header in ["Basic x", "Bearer", "Bearer urva_x", "Bearer \u{e9}"] {
            let mut request = request(Method::PATCH, FINDING);
            request
                .headers_mut()
                .insert(AUTHORIZATION, http::HeaderValue::from_str(header).expect("a header"));
            assert_eq!(status(&mirrored, request).await, 401, "{header}");
        }
        assert_eq!(status(&mirrored, mirrored.with_token(request(Method::PATCH, FINDING))).await, 200);
        assert!(mirrored.metrics.text().contains("urva_server_tokens_refused_total 6"));
    }

    #[tokio::test]
    async fn a_role_opens_its_methods_only() {
        let mirrored = mirrored().await;
        let viewer = mirrored.token(2, Role::Viewer).await;
        assert_eq!(status(&mirrored, with(request(Method::GET, SOURCE), &viewer)).await, 404);
        assert_eq!(status(&mirrored, with(request(Method::PATCH, FINDING), &viewer)).await, 403);
        let analyst = mirrored.token(3, Role::Analyst).await;
        assert_eq!(status(&mirrored, with(request(Method::PATCH, FINDING), &analyst)).await, 200);
        assert_eq!(status(&mirrored, with(request(Method::PATCH, SOURCE), &analyst)).await, 403);
    }

    #[tokio::test]
    async fn a_token_that_was_revoked_or_has_expired_opens_nothing() {
        let mirrored = mirrored().await;
        assert!(
            mirrored.store.revoke_token(1, &store::By { actor: "test", at: NOON }).await.expect("a store")
        );
        assert_eq!(status(&mirrored, mirrored.with_token(request(Method::PATCH, FINDING))).await, 401);
        let token = mirrored.token(2, Role::Admin).await;
        let late: Clock = || Timestamp(NOON.0 + 60_000_000_000);
        let gate = Gate::new(Arc::clone(&mirrored.store), late, Arc::default(), 100);
        let (parts, ()) = with(Request::new(()), &token).into_parts();
        let refusal = gate.admit(&parts.headers, &parts.extensions, "ListFindings").await;
        assert_eq!(refusal, Err(Refusal::Unauthenticated { description: "the token has expired" }));
    }

    #[tokio::test]
    async fn guessing_and_flooding_are_slowed() {
        let mirrored = mirrored().await;
        let app = mirrored.router(4096);
        let mut codes = Vec::new();
        for number in 0..=WRONG_LIMIT {
            let guess = Token::from_random(&[u8::try_from(number).unwrap_or(0) + 100; 32]);
            let Ok(response) = app.clone().oneshot(with(request(Method::PATCH, FINDING), &guess)).await;
            codes.push(response.status());
        }
        assert_eq!(
            codes.iter().filter(|code| **code == StatusCode::UNAUTHORIZED).count(),
            WRONG_LIMIT as usize
        );
        assert_eq!(codes.last(), Some(&StatusCode::TOO_MANY_REQUESTS));
        // Whoever has a token is not locked out by guesses from the same address, and may call so often a second.
        for number in 0..=100 {
            let Ok(response) =
                app.clone().oneshot(mirrored.with_token(request(Method::PATCH, FINDING))).await;
            let expected = if number < 100 { StatusCode::OK } else { StatusCode::TOO_MANY_REQUESTS };
            assert_eq!(response.status(), expected, "call {number}");
        }
    }
}
