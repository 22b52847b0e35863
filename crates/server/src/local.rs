//! The same methods, for a program of urva's own that has the database: no transport, no gate.
//!
//! Refuses: asking who may. Whoever can write the database could change it without this.

use crate::gate::{Caller, Clock};
use crate::json;
use crate::protocol::v2::security_center_server::SecurityCenter;
use crate::refusal::Refusal;
use crate::service::{Scopes, Service};
use crate::token::Role;
use prost::{Message, Name};
use serde_json::Value;
use std::sync::Arc;
use store::Store;
use tonic::Request;

/// The methods on a store, called by one who is named in the audit trail.
pub struct Local {
    service: Service,
    caller: Caller,
}

impl Local {
    /// `actor` is for the audit trail.
    pub fn new(store: Arc<Store>, clock: Clock, scopes: Scopes, actor: String) -> Self {
        Self {
            service: Service::new(store, clock, scopes),
            caller: Caller { name: actor, role: Role::Admin },
        }
    }

    /// All methods of findings.
    pub fn methods(&self) -> &impl SecurityCenter {
        &self.service
    }

    /// A request as the methods want it.
    pub fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.extensions_mut().insert(self.caller.clone());
        request
    }
}

/// A message as ProtoJSON.
///
/// # Errors
/// Where it has what JSON cannot write.
pub fn to_json<M: Message + Name>(message: &M) -> Result<Value, Refusal> {
    json::from_message(message)
}

/// A mask of these paths.
pub fn field_mask(paths: impl IntoIterator<Item = String>) -> prost_types::FieldMask {
    prost_types::FieldMask { paths: paths.into_iter().collect() }
}
