//! Services that answer with what they were asked, to test the way to them.

use crate::name::SourceName;
use crate::protocol::longrunning::operations_server::Operations;
use crate::protocol::v2::security_center_server::SecurityCenter;
use crate::protocol::{longrunning, v2};
use crate::refusal::Refusal;
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
