//! The Container Runtime Interface: what kubelet knows about containers and Pods.
//!
//! The messages are those of `k8s.io/cri-api/pkg/apis/runtime/v1/api.proto`, with the fields that are
//! asked for and no others; protobuf skips what it does not know. Written by hand, since generating all
//! 200 messages needs `protoc` on the machine that builds.

use crate::grpc::GrpcSocket;
use crate::metadata::{labels, text};
use crate::source::SourceError;
use evidence::{Container, Pod, Runtime, Timestamp};
use std::collections::HashMap;

/// Asks for a container or, since a Pod's sandbox is one too, for a sandbox.
pub(crate) async fn find(
    socket: &GrpcSocket,
    runtime: Runtime,
    id: &str,
) -> Result<Option<Container>, SourceError> {
    let filter = Some(IdFilter { id: id.into() });
    let list: Option<ListContainersResponse> = socket
        .call("/runtime.v1.RuntimeService/ListContainers", None, ListRequest { filter: filter.clone() })
        .await?;
    // The filter matches the beginning of an id too.
    let listed = list.into_iter().flat_map(|list| list.containers).find(|listed| listed.id == id);
    let Some(listed) = listed else {
        return find_sandbox(socket, runtime, id, filter).await;
    };
    let status_request = ContainerStatusRequest { container_id: id.into() };
    let pod_request = PodSandboxStatusRequest { pod_sandbox_id: listed.pod_sandbox_id.clone() };
    let (status, pod): (
        Result<Option<ContainerStatusResponse>, _>,
        Result<Option<PodSandboxStatusResponse>, _>,
    ) = tokio::join!(
        socket.call("/runtime.v1.RuntimeService/ContainerStatus", None, status_request),
        socket.call("/runtime.v1.RuntimeService/PodSandboxStatus", None, pod_request),
    );
    let status = status?.and_then(|answer| answer.status);
    let pod = pod?.and_then(|answer| answer.status).map(|pod| self::pod(pod.metadata, pod.labels));
    Ok(Some(container(listed, status, pod, runtime)))
}

async fn find_sandbox(
    socket: &GrpcSocket,
    runtime: Runtime,
    id: &str,
    filter: Option<IdFilter>,
) -> Result<Option<Container>, SourceError> {
    let list: Option<ListPodSandboxResponse> =
        socket.call("/runtime.v1.RuntimeService/ListPodSandbox", None, ListRequest { filter }).await?;
    let Some(sandbox) = list.into_iter().flat_map(|list| list.items).find(|sandbox| sandbox.id == id) else {
        return Ok(None);
    };
    let mut container = Container::pending(id, Some(runtime));
    container.created_at = time(sandbox.created_at);
    container.pod = Some(pod(sandbox.metadata, sandbox.labels));
    Ok(Some(container))
}

/// Who answers: name and version. None where the socket's owner has no CRI.
pub(crate) async fn version(socket: &GrpcSocket) -> Result<Option<String>, SourceError> {
    let answer: Option<VersionResponse> = socket
        .call("/runtime.v1.RuntimeService/Version", None, VersionRequest { version: String::new() })
        .await?;
    Ok(answer.map(|answer| format!("{} {}", answer.runtime_name, answer.runtime_version)))
}

fn container(
    listed: ListedContainer,
    status: Option<ContainerStatus>,
    pod: Option<Pod>,
    runtime: Runtime,
) -> Container {
    let mut container = Container::pending(listed.id, Some(runtime));
    container.name = listed.metadata.and_then(|metadata| text(metadata.name));
    container.created_at = time(listed.created_at);
    container.labels = labels(listed.labels);
    container.pod = pod;
    // The status has the image's name where the list has what kubelet asked for: often a bare digest.
    let (image, reference, id) = match status {
        Some(status) => (status.image, status.image_ref, status.image_id),
        None => (listed.image, listed.image_ref, listed.image_id),
    };
    container.image = image.and_then(|image| text(image.user_specified_image).or(text(image.image)));
    container.image_id = text(id).or(text(reference));
    container
}

fn pod(metadata: Option<PodSandboxMetadata>, all_labels: HashMap<String, String>) -> Pod {
    let PodSandboxMetadata { name, uid, namespace } = metadata.unwrap_or_default();
    Pod { uid: text(uid), namespace: text(namespace), name: text(name), labels: labels(all_labels) }
}

/// Nanoseconds since the epoch; 0 means that it is not known.
fn time(nanoseconds: i64) -> Option<Timestamp> {
    u64::try_from(nanoseconds).ok().filter(|time| *time > 0).map(Timestamp)
}

#[derive(Clone, PartialEq, prost::Message)]
struct VersionRequest {
    #[prost(string, tag = "1")]
    version: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct VersionResponse {
    #[prost(string, tag = "2")]
    runtime_name: String,
    #[prost(string, tag = "3")]
    runtime_version: String,
}

/// `ListContainersRequest` and `ListPodSandboxRequest`, which are alike as far as the id goes.
#[derive(Clone, PartialEq, prost::Message)]
struct ListRequest {
    #[prost(message, optional, tag = "1")]
    filter: Option<IdFilter>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct IdFilter {
    #[prost(string, tag = "1")]
    id: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ListContainersResponse {
    #[prost(message, repeated, tag = "1")]
    containers: Vec<ListedContainer>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ListedContainer {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(string, tag = "2")]
    pod_sandbox_id: String,
    #[prost(message, optional, tag = "3")]
    metadata: Option<ContainerMetadata>,
    #[prost(message, optional, tag = "4")]
    image: Option<ImageSpec>,
    #[prost(string, tag = "5")]
    image_ref: String,
    #[prost(int64, tag = "7")]
    created_at: i64,
    #[prost(map = "string, string", tag = "8")]
    labels: HashMap<String, String>,
    #[prost(string, tag = "10")]
    image_id: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ContainerMetadata {
    #[prost(string, tag = "1")]
    name: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ImageSpec {
    #[prost(string, tag = "1")]
    image: String,
    #[prost(string, tag = "18")]
    user_specified_image: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ContainerStatusRequest {
    #[prost(string, tag = "1")]
    container_id: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ContainerStatusResponse {
    #[prost(message, optional, tag = "1")]
    status: Option<ContainerStatus>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ContainerStatus {
    #[prost(message, optional, tag = "8")]
    image: Option<ImageSpec>,
    #[prost(string, tag = "9")]
    image_ref: String,
    #[prost(string, tag = "17")]
    image_id: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct PodSandboxStatusRequest {
    #[prost(string, tag = "1")]
    pod_sandbox_id: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct PodSandboxStatusResponse {
    #[prost(message, optional, tag = "1")]
    status: Option<PodSandboxStatus>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct PodSandboxStatus {
    #[prost(message, optional, tag = "2")]
    metadata: Option<PodSandboxMetadata>,
    #[prost(map = "string, string", tag = "7")]
    labels: HashMap<String, String>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct PodSandboxMetadata {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    uid: String,
    #[prost(string, tag = "3")]
    namespace: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ListPodSandboxResponse {
    #[prost(message, repeated, tag = "1")]
    items: Vec<PodSandbox>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct PodSandbox {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(message, optional, tag = "2")]
    metadata: Option<PodSandboxMetadata>,
    #[prost(int64, tag = "4")]
    created_at: i64,
    #[prost(map = "string, string", tag = "5")]
    labels: HashMap<String, String>,
}
