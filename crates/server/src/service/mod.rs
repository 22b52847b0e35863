//! The methods of Security Command Center, carried out on the store.
//!
//! Owns: what each method means: its defaults, what it refuses, what it leaves in the audit trail.
//! Refuses: transports, tokens (the gate let the call through), SQL.

mod bulk;
mod change;
mod external;
mod findings;
mod marks;
mod mute_configs;
mod notifications;
mod page;
mod scopes;
mod sources;

use crate::gate::{Caller, Clock};
use crate::protocol::longrunning::operations_server::Operations;
use crate::protocol::longrunning::{
    DeleteOperationRequest, GetOperationRequest, ListOperationsRequest, ListOperationsResponse, Operation,
    WaitOperationRequest,
};
use crate::protocol::v2::security_center_server::SecurityCenter;
use crate::protocol::v2::{self, Finding, MuteConfig, NotificationConfig, SecurityMarks, Source};
use crate::refusal::Refusal;
use bulk::Works;
use evidence::Timestamp;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use store::{By, Store, StoreError};
use tonic::{Request, Response, Status};

pub use scopes::Scopes;

/// How often rules that have expired are looked for.
const LOOK_FOR_EXPIRED_EVERY: Duration = Duration::from_secs(30);

/// Carries out the methods.
#[derive(Clone)]
pub(crate) struct Service {
    store: Arc<Store>,
    clock: Clock,
    scopes: Arc<Scopes>,
    works: Arc<Works>,
}

/// The header by which a caller says that a wide mute rule is meant, and what it says.
pub(crate) const CONFIRM: &str = "x-urva-confirm";
pub(crate) const CONFIRMED: &str = "yes";

/// Who calls, and when.
#[derive(Clone)]
struct Call {
    actor: String,
    at: Timestamp,
    /// Whether the caller says that what is refused once is meant.
    is_confirmed: bool,
}

impl Call {
    fn by(&self) -> By<'_> {
        By { actor: &self.actor, at: self.at }
    }
}

/// The names of all methods that are offered, as the protocol has them.
pub(crate) fn offered() -> Vec<String> {
    let camel = |name: &&str| name.split('_').map(capital).collect();
    OF_FINDINGS.iter().chain(OF_OPERATIONS).map(camel).collect()
}

fn capital(word: &str) -> String {
    let (first, rest) = word.split_at(word.len().min(1));
    first.to_uppercase() + rest
}

impl Service {
    pub(crate) fn new(store: Arc<Store>, clock: Clock, scopes: Scopes) -> Self {
        Self { store, clock, scopes: Arc::new(scopes), works: Arc::default() }
    }

    /// Looks again and again for mute rules that have expired; never ends.
    pub(crate) async fn watch_rules(self) {
        let mut done = HashSet::new();
        loop {
            let call = Call { actor: "urva".to_owned(), at: (self.clock)(), is_confirmed: false };
            if let Err(refusal) = mute_configs::withdraw_expired(&self, &call, &mut done).await {
                tracing::warn!("mute rules that have expired are looked for later: {refusal}");
            }
            tokio::time::sleep(LOOK_FOR_EXPIRED_EVERY).await;
        }
    }

    fn call<T>(&self, request: &Request<T>) -> Call {
        let caller = request.extensions().get::<Caller>();
        // The gate lets no call through that has none.
        let actor = caller.map_or_else(|| "unknown".to_owned(), |caller| caller.name.clone());
        let is_confirmed = request.metadata().get(CONFIRM).is_some_and(|value| value == CONFIRMED);
        Call { actor, at: (self.clock)(), is_confirmed }
    }
}

/// What a failure of the store means to a caller. `name` is what was asked for.
fn explain(error: StoreError, name: &str) -> Refusal {
    match error {
        StoreError::NoSuchFinding { .. } | StoreError::NoSuchSetting { .. } => {
            Refusal::NotFound { name: name.to_owned() }
        }
        StoreError::AlreadyThere { .. } => Refusal::Exists { name: name.to_owned() },
        StoreError::Fixed { .. } => Refusal::NotNow { description: error.to_string() },
        StoreError::PageToken => Refusal::malformed("page_token", error.to_string()),
        StoreError::Busy { .. } | StoreError::Unreachable { .. } | StoreError::DiskFull { .. } => {
            tracing::error!("{error}");
            Refusal::Unavailable
        }
        other => {
            tracing::error!("{other}");
            Refusal::Internal
        }
    }
}

/// A field that has to be there.
fn required<T>(field: &str, value: Option<T>) -> Result<T, Refusal> {
    value.ok_or_else(|| Refusal::malformed(field, "is missing"))
}

/// Each method of the protocol and who carries it out.
macro_rules! methods {
    ($trait:ident, $names:ident: $($method:ident($request:ty) -> $response:ty = $handler:path;)*) => {
        #[tonic::async_trait]
        impl $trait for Service {
            $(async fn $method(&self, request: Request<$request>) -> Result<Response<$response>, Status> {
                let call = self.call(&request);
                Ok(Response::new($handler(self, &call, request.into_inner()).await?))
            })*
        }

        /// The names of the methods as Rust has them.
        const $names: &[&str] = &[$(stringify!($method)),*];
    };
}

methods! { SecurityCenter, OF_FINDINGS:
    list_findings(v2::ListFindingsRequest) -> v2::ListFindingsResponse = findings::list;
    group_findings(v2::GroupFindingsRequest) -> v2::GroupFindingsResponse = findings::group;
    create_finding(v2::CreateFindingRequest) -> Finding = change::create;
    update_finding(v2::UpdateFindingRequest) -> Finding = change::update;
    set_finding_state(v2::SetFindingStateRequest) -> Finding = change::set_state;
    set_mute(v2::SetMuteRequest) -> Finding = change::set_mute;
    bulk_mute_findings(v2::BulkMuteFindingsRequest) -> Operation = bulk::mute;
    update_security_marks(v2::UpdateSecurityMarksRequest) -> SecurityMarks = marks::update;
    update_external_system(v2::UpdateExternalSystemRequest) -> v2::ExternalSystem = external::update;
    create_source(v2::CreateSourceRequest) -> Source = sources::create;
    get_source(v2::GetSourceRequest) -> Source = sources::get;
    list_sources(v2::ListSourcesRequest) -> v2::ListSourcesResponse = sources::list;
    update_source(v2::UpdateSourceRequest) -> Source = sources::update;
    create_mute_config(v2::CreateMuteConfigRequest) -> MuteConfig = mute_configs::create;
    get_mute_config(v2::GetMuteConfigRequest) -> MuteConfig = mute_configs::get;
    list_mute_configs(v2::ListMuteConfigsRequest) -> v2::ListMuteConfigsResponse = mute_configs::list;
    update_mute_config(v2::UpdateMuteConfigRequest) -> MuteConfig = mute_configs::update;
    delete_mute_config(v2::DeleteMuteConfigRequest) -> () = mute_configs::delete;
    create_notification_config(v2::CreateNotificationConfigRequest) -> NotificationConfig = notifications::create;
    get_notification_config(v2::GetNotificationConfigRequest) -> NotificationConfig = notifications::get;
    list_notification_configs(v2::ListNotificationConfigsRequest) -> v2::ListNotificationConfigsResponse
        = notifications::list;
    update_notification_config(v2::UpdateNotificationConfigRequest) -> NotificationConfig = notifications::update;
    delete_notification_config(v2::DeleteNotificationConfigRequest) -> () = notifications::delete;
}

methods! { Operations, OF_OPERATIONS:
    get_operation(GetOperationRequest) -> Operation = bulk::get;
    list_operations(ListOperationsRequest) -> ListOperationsResponse = bulk::list;
    delete_operation(DeleteOperationRequest) -> () = bulk::delete;
    wait_operation(WaitOperationRequest) -> Operation = bulk::wait;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::v2::finding::Mute;
    use crate::protocol::v2::mute_config::MuteConfigType;
    use std::sync::atomic::{AtomicU64, Ordering};
    use tempfile::TempDir;

    static SECONDS: AtomicU64 = AtomicU64::new(1_795_262_400);

    fn now() -> Timestamp {
        Timestamp::from_seconds(SECONDS.load(Ordering::Relaxed))
    }

    fn call() -> Call {
        Call { actor: "token 1 (test)".to_owned(), at: now(), is_confirmed: false }
    }

    /// Waits until the finding's mute is this one. What is waited for goes on in the background and has an end.
    async fn wait_until(service: &Service, source: &str, mute: Mute) {
        loop {
            let request = v2::ListFindingsRequest { parent: source.to_owned(), ..Default::default() };
            let listed = findings::list(service, &call(), request).await.expect("a list");
            let finding = listed.list_findings_results[0].finding.clone().expect("a finding");
            if finding.mute() == mute {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    #[tokio::test]
    async fn a_dynamic_rule_mutes_until_it_expires() {
        let folder = TempDir::new().expect("a folder");
        let store = Arc::new(Store::open(folder.path().join("urva.db")).await.expect("a store"));
        let scopes = Scopes { project: "local".to_owned(), ..Scopes::default() };
        let service = Service::new(store, now, scopes);
        let parent = "projects/local".to_owned();
        let source = Source { display_name: "Scanner".to_owned(), ..Default::default() };
        let create = v2::CreateSourceRequest { parent: parent.clone(), source: Some(source) };
        let source = sources::create(&service, &call(), create).await.expect("a source").name;
        let finding = Finding {
            category: "Noise".to_owned(),
            resource_name: "//x".to_owned(),
            event_time: Some(crate::json::timestamp(now())),
            ..Default::default()
        };
        let create = v2::CreateFindingRequest {
            parent: source.clone(),
            finding_id: "a".to_owned(),
            finding: Some(finding),
        };
        change::create(&service, &call(), create).await.expect("a finding");
        let expiry = Timestamp(now().0 + 60_000_000_000);
        let mut rule = MuteConfig {
            filter: "category=\"Noise\"".to_owned(),
            expiry_time: Some(crate::json::timestamp(expiry)),
            ..Default::default()
        };
        rule.set_type(MuteConfigType::Dynamic);
        let mute_config_id = "noise".to_owned();
        let create = v2::CreateMuteConfigRequest { parent, mute_config: Some(rule), mute_config_id };
        mute_configs::create(&service, &call(), create).await.expect("a rule");
        wait_until(&service, &source, Mute::Muted).await;
        let mut done = HashSet::new();
        mute_configs::withdraw_expired(&service, &call(), &mut done).await.expect("a store");
        assert!(done.is_empty(), "it has not expired");
        SECONDS.fetch_add(60, Ordering::Relaxed);
        mute_configs::withdraw_expired(&service, &call(), &mut done).await.expect("a store");
        assert_eq!(done.len(), 1);
        wait_until(&service, &source, Mute::Undefined).await;
    }
}
