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
#[cfg(test)]
mod tests;

use crate::gate::{Caller, Clock};
use crate::metrics::Metrics;
use crate::protocol::longrunning::operations_server::Operations;
use crate::protocol::longrunning::{
    DeleteOperationRequest, GetOperationRequest, ListOperationsRequest, ListOperationsResponse, Operation,
    WaitOperationRequest,
};
use crate::protocol::v2::security_center_server::SecurityCenter;
use crate::protocol::v2::{self, Finding, MuteConfig, NotificationConfig, SecurityMarks, Source};
use crate::refusal::Refusal;
use crate::seldom::Seldom;
use bulk::Bell;
use evidence::Timestamp;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use store::{By, Store, StoreError};
use tonic::{Request, Response, Status};

pub use scopes::Scopes;

/// How often rules that have expired are looked for, and work that another process queued, such as a command.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// Carries out the methods.
#[derive(Clone)]
pub(crate) struct Service {
    store: Arc<Store>,
    clock: Clock,
    scopes: Arc<Scopes>,
    metrics: Arc<Metrics>,
    bell: Arc<Bell>,
    unreadable: Arc<Seldom>,
    /// Whether somebody carries out what is queued.
    carries_on: bool,
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
    /// Methods for one who calls them, and waits for what they begin.
    pub(crate) fn new(store: Arc<Store>, clock: Clock, scopes: Scopes) -> Self {
        let (metrics, bell, unreadable) = (Arc::default(), Arc::default(), Arc::default());
        Self { store, clock, scopes: Arc::new(scopes), metrics, bell, unreadable, carries_on: false }
    }

    /// Methods for many, beside [`Service::carry_on`].
    pub(crate) fn served(self, metrics: Arc<Metrics>) -> Self {
        Self { metrics, carries_on: true, ..self }
    }

    /// Carries out what is queued, and takes back what expired mute rules did; never ends.
    pub(crate) async fn carry_on(self) {
        let mut expired = HashSet::new();
        loop {
            if let Err(error) = self.carry_out(&mut expired).await {
                tracing::warn!("what is queued is tried again: {error}");
            }
            // Whoever queues something rings.
            self.bell.wait(LOOK_EVERY).await;
        }
    }

    async fn carry_out(&self, expired: &mut HashSet<(String, String)>) -> Result<(), StoreError> {
        bulk::carry_out(self).await?;
        let call = Call { actor: "urva".to_owned(), at: (self.clock)(), is_confirmed: false };
        mute_configs::withdraw_expired(self, &call, expired).await
    }

    /// What of a list can be read, each with its name. The rest is counted, and hides nothing else.
    fn readable<T>(&self, items: impl Iterator<Item = (String, Result<T, String>)>) -> Vec<T> {
        let read = |(name, item): (String, Result<T, String>)| {
            item.inspect_err(|error| {
                self.metrics.unreadable.inc();
                if let Some(left_out) = self.unreadable.turn((self.clock)()) {
                    tracing::error!(left_out, "{name} cannot be read, and is left out of lists: {error}");
                }
            })
            .ok()
        };
        items.filter_map(read).collect()
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
        StoreError::TooLong { field, .. } => Refusal::malformed(field, error.to_string()),
        StoreError::TooLarge { .. } => Refusal::malformed(name, error.to_string()),
        error if error.is_temporary() || matches!(error, StoreError::TooSlow { .. }) => {
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
