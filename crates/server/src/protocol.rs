//! Google's protocol as Rust types, and its descriptors.
//!
//! Owns: the generated code and the pool of descriptors, from which the routes of REST and the JSON come.
//! Refuses: types written by hand.

use prost_reflect::{DescriptorPool, ServiceDescriptor};
use std::sync::LazyLock;
use tonic::Code;

mod generated {
    #![allow(
        missing_docs,
        unreachable_pub,
        dead_code,
        clippy::all,
        clippy::cast_sign_loss,
        clippy::cast_possible_truncation,
        clippy::too_many_lines,
        reason = "generated from Google's files, which document it"
    )]
    include!(concat!(env!("OUT_DIR"), "/protocol.rs"));
}

pub use generated::google::cloud::securitycenter::v2;
pub use generated::google::{longrunning, rpc};

/// All files of the protocol, with their annotations.
pub(crate) static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    let bytes = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
    // A test decodes them; the pool of a build that passed it is never empty.
    DescriptorPool::decode(bytes.as_slice()).unwrap_or_default()
});

/// The services whose methods are served over REST as well.
pub(crate) fn services() -> impl Iterator<Item = ServiceDescriptor> {
    POOL.services().filter(|service| {
        matches!(
            service.full_name(),
            "google.cloud.securitycenter.v2.SecurityCenter" | "google.longrunning.Operations"
        )
    })
}

/// The name of a code in `google/rpc/code.proto`.
pub(crate) fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
