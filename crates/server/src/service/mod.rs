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
use std::sync::Arc;
use store::{By, Store, StoreError};
use tonic::{Request, Response, Status};

pub use scopes::Scopes;

/// Carries out the methods.
#[derive(Clone)]
pub(crate) struct Service {
    store: Arc<Store>,
    clock: Clock,
    scopes: Arc<Scopes>,
    works: Arc<Works>,
}

/// Who calls, and when.
struct Call {
    actor: String,
    at: Timestamp,
}

impl Call {
    fn by(&self) -> By<'_> {
        By { actor: &self.actor, at: self.at }
    }
}

impl Service {
    pub(crate) fn new(store: Arc<Store>, clock: Clock, scopes: Scopes) -> Self {
        Self { store, clock, scopes: Arc::new(scopes), works: Arc::default() }
    }

    fn call<T>(&self, request: &Request<T>) -> Call {
        let caller = request.extensions().get::<Caller>();
        // The gate lets no call through that has none.
        let actor = caller.map_or_else(|| "unknown".to_owned(), |caller| caller.name.clone());
        Call { actor, at: (self.clock)() }
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
    ($trait:ident: $($method:ident($request:ty) -> $response:ty = $handler:path;)*) => {
        #[tonic::async_trait]
        impl $trait for Service {
            $(async fn $method(&self, request: Request<$request>) -> Result<Response<$response>, Status> {
                let call = self.call(&request);
                Ok(Response::new($handler(self, &call, request.into_inner()).await?))
            })*
        }
    };
}

methods! { SecurityCenter:
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

methods! { Operations:
    get_operation(GetOperationRequest) -> Operation = bulk::get;
    list_operations(ListOperationsRequest) -> ListOperationsResponse = bulk::list;
    delete_operation(DeleteOperationRequest) -> () = bulk::delete;
    wait_operation(WaitOperationRequest) -> Operation = bulk::wait;
}
