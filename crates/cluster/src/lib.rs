//! Container runtimes and, in time, Kubernetes: who a container is, asked of whoever runs it.
//!
//! [`Runtimes::describe`] turns a container's id, as the sensor read it from a cgroup path, into an
//! [`evidence::Container`] with name, image, labels, creation time and Pod. [`Runtimes::report`] says
//! which sources there are and whether they work.
//!
//! Owns: the Container Runtime Interface (CRI), containerd's own API, Docker Engine's HTTP API and the
//! state files of runc and crun, each as far as it tells who a container is.
//! Refuses: SQL, watching. Nothing is polled, so an idle host costs nothing; each question is asked of
//! the runtime when it arises, and a runtime that appears or restarts later is found by the next one.
//!
//! What a runtime answers was in part chosen by whoever wrote the image or the Pod. It is bounded in
//! size, and it is not escaped here.

mod containerd;
mod cri;
mod docker;
mod grpc;
mod metadata;
mod runtimes;
mod settings;
mod source;
mod state;
mod storage;

pub use runtimes::Runtimes;
pub use settings::RuntimeSettings;
pub use source::{SourceError, SourceReport, SourceState};
