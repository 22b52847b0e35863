//! The API of Google's Security Command Center, version 2, over urva's store: REST and gRPC on one port.
//!
//! Owns: the protocol, names of resources, and the way from a request to its answer.
//! Refuses: capture, SQL, the clock.
//!
//! Both transports end in the same gRPC services. REST is translated to gRPC by the protocol's own annotations, so
//! that no method can behave in one way here and in another there.

mod answer;
mod gate;
mod health;
mod json;
mod local;
mod mask;
mod metrics;
#[cfg(test)]
mod mirror;
mod name;
mod openapi;
mod rate;
mod refusal;
mod rest;
mod router;
mod seats;
mod seldom;
mod serve;
mod service;
mod tls;
mod underway;

pub mod protocol;
pub mod token;

pub use gate::{Clock, Gate};
pub use json::timestamp;
pub use local::{Local, field_mask, to_json};
pub use metrics::Metrics;
pub use refusal::Refusal;
pub use router::api;
pub use serve::{Limits, serve};
pub use service::Scopes;
pub use tls::{Tls, TlsError};
pub use tonic::Status;
