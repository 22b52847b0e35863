//! The same methods, for a program of urva's own that has the database: no transport, no gate.
//!
//! Refuses: asking who may. Whoever can write the database could change it without this.

use crate::gate::{Caller, Clock};
use crate::json;
use crate::protocol::longrunning::operation::Result as Outcome;
use crate::protocol::longrunning::operations_server::Operations;
use crate::protocol::longrunning::{ListOperationsRequest, Operation, WaitOperationRequest};
use crate::protocol::v2::security_center_server::SecurityCenter;
use crate::refusal::Refusal;
use crate::service::{CONFIRM, CONFIRMED, Scopes, Service};
use crate::token::Role;
use prost::{Message, Name};
use serde_json::Value;
use std::sync::Arc;
use store::Store;
use tonic::metadata::MetadataValue;
use tonic::{Code, Request, Status};

/// Operations that are looked at; so many are not under way.
const LISTED: i32 = 1_000;

/// The methods on a store, called by one who is named in the audit trail.
pub struct Local {
    service: Service,
    root: String,
    caller: Caller,
}

impl Local {
    /// `actor` is for the audit trail.
    pub fn new(store: Arc<Store>, clock: Clock, scopes: Scopes, actor: String) -> Self {
        let root = scopes.root();
        Self {
            service: Service::new(store, clock, scopes),
            root,
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

    /// The same of somebody who was asked twice, and wants it.
    pub fn confirmed<T>(&self, message: T) -> Request<T> {
        let mut request = self.request(message);
        request.metadata_mut().insert(CONFIRM, MetadataValue::from_static(CONFIRMED));
        request
    }

    /// Waits until what calls have begun is done.
    ///
    /// # Errors
    /// What went wrong with it.
    pub async fn finish(&self) -> Result<(), Status> {
        let name = self.root.clone();
        let list = ListOperationsRequest { name, page_size: LISTED, ..ListOperationsRequest::default() };
        let begun = self.service.list_operations(self.request(list)).await?.into_inner().operations;
        for Operation { name, .. } in begun.into_iter().filter(|operation| !operation.done) {
            loop {
                let wait = WaitOperationRequest { name: name.clone(), timeout: None };
                let operation = self.service.wait_operation(self.request(wait)).await?.into_inner();
                match operation.result {
                    Some(Outcome::Error(error)) => {
                        return Err(Status::new(Code::from(error.code), error.message));
                    }
                    _ if operation.done => break,
                    _ => {}
                }
            }
        }
        Ok(())
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
