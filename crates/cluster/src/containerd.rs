//! containerd's own API, for containers that Kubernetes did not start: those of nerdctl and ctr.
//!
//! The messages are those of `containerd/api/services/{containers,namespaces,version}/v1`, with the
//! fields that are asked for and no others.

use crate::grpc::GrpcSocket;
use crate::metadata::{fill_from_labels, labels, text};
use crate::source::SourceError;
use evidence::{Container, Runtime, Timestamp};
use std::collections::HashMap;

/// Docker's namespace. Docker Engine keeps what it knows to itself, so there is nothing to learn here.
const DOCKER_NAMESPACE: &str = "moby";
/// More namespaces than this are not asked.
const NAMESPACES_MAX: usize = 32;

/// Asks in the namespace that runc's state names, else in each.
pub(crate) async fn find(
    socket: &GrpcSocket,
    namespace: Option<&str>,
    id: &str,
) -> Result<Option<Container>, SourceError> {
    let namespaces = match namespace {
        Some(name) => vec![name.to_owned()],
        None => namespaces(socket).await?,
    };
    for namespace in namespaces.iter().filter(|name| *name != DOCKER_NAMESPACE).take(NAMESPACES_MAX) {
        let request = GetContainerRequest { id: id.into() };
        let answer: Option<GetContainerResponse> = socket
            .call("/containerd.services.containers.v1.Containers/Get", Some(namespace), request)
            .await?;
        if let Some(found) = answer.and_then(|answer| answer.container) {
            return Ok(Some(container(id, found)));
        }
    }
    Ok(None)
}

/// Version of a containerd that has no CRI, as Docker's; none where it is no containerd.
pub(crate) async fn version(socket: &GrpcSocket) -> Result<Option<String>, SourceError> {
    let answer: Option<VersionResponse> =
        socket.call("/containerd.services.version.v1.Version/Version", None, Empty {}).await?;
    Ok(answer.map(|answer| format!("containerd {} without CRI", answer.version)))
}

async fn namespaces(socket: &GrpcSocket) -> Result<Vec<String>, SourceError> {
    let answer: Option<ListNamespacesResponse> =
        socket.call("/containerd.services.namespaces.v1.Namespaces/List", None, Empty {}).await?;
    Ok(answer.into_iter().flat_map(|list| list.namespaces).map(|namespace| namespace.name).collect())
}

fn container(id: &str, found: ContainerRecord) -> Container {
    let mut container = Container::pending(id, Some(Runtime::Containerd));
    container.image = text(found.image);
    container.created_at = found.created_at.and_then(|time| {
        let seconds = u64::try_from(time.seconds).ok().filter(|seconds| *seconds > 0)?;
        let nanoseconds = u64::try_from(time.nanoseconds).ok()?;
        Some(Timestamp(Timestamp::from_seconds(seconds).0.saturating_add(nanoseconds)))
    });
    container.labels = labels(found.labels);
    let labels = container.labels.clone();
    fill_from_labels(&mut container, &labels);
    container
}

#[derive(Clone, PartialEq, prost::Message)]
struct Empty {}

#[derive(Clone, PartialEq, prost::Message)]
struct VersionResponse {
    #[prost(string, tag = "1")]
    version: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ListNamespacesResponse {
    #[prost(message, repeated, tag = "1")]
    namespaces: Vec<Namespace>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Namespace {
    #[prost(string, tag = "1")]
    name: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct GetContainerRequest {
    #[prost(string, tag = "1")]
    id: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct GetContainerResponse {
    #[prost(message, optional, tag = "1")]
    container: Option<ContainerRecord>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ContainerRecord {
    #[prost(map = "string, string", tag = "2")]
    labels: HashMap<String, String>,
    #[prost(string, tag = "3")]
    image: String,
    #[prost(message, optional, tag = "8")]
    created_at: Option<Time>,
}

/// `google.protobuf.Timestamp`.
#[derive(Clone, PartialEq, prost::Message)]
struct Time {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanoseconds: i32,
}
