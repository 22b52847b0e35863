//! Docker Engine's HTTP API over its Unix socket; Podman's service speaks the same.

use crate::metadata::{fill_from_labels, labels, text};
use crate::source::SourceError;
use evidence::{Container, Runtime, Timestamp};
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::header::HOST;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::path::Path;
use tokio::net::UnixStream;

/// A container's description is some 5 KiB, more with many mounts, labels and variables.
const RESPONSE_MAX_BYTES: usize = 2 << 20;

/// Asks for a container by its id. Docker would take a name as well, so the answer's id is compared.
pub(crate) async fn find(
    socket: &Path,
    runtime: Runtime,
    id: &str,
) -> Result<Option<Container>, SourceError> {
    let found: Option<Inspection> = get(socket, &format!("/containers/{id}/json")).await?;
    Ok(found.filter(|found| found.id == id).map(|found| container(found, runtime)))
}

/// Who answers: name and version.
pub(crate) async fn version(socket: &Path) -> Result<String, SourceError> {
    let answer: Option<Version> = get(socket, "/version").await?;
    let answer = answer.ok_or_else(|| SourceError::Undecodable("it has no /version".into()))?;
    let name = answer.components.into_iter().next().map_or("Docker".into(), |first| first.name);
    Ok(format!("{name} {}", answer.version))
}

fn container(found: Inspection, runtime: Runtime) -> Container {
    let mut container = Container::pending(found.id, Some(runtime));
    container.name = text(found.name.trim_start_matches('/').to_owned());
    container.image = text(found.config.image.unwrap_or_default());
    container.image_id = text(found.image.unwrap_or_default());
    container.created_at = found.created.as_deref().and_then(Timestamp::parse);
    container.labels = labels(found.config.labels.unwrap_or_default());
    let labels = container.labels.clone();
    fill_from_labels(&mut container, &labels);
    container
}

/// One request on its own connection: Docker is asked once for each container, so none is kept open.
async fn get<A: DeserializeOwned>(socket: &Path, path: &str) -> Result<Option<A>, SourceError> {
    let stream = UnixStream::connect(socket).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(undecodable)?;
    let request =
        Request::get(path).header(HOST, "localhost").body(Empty::<Bytes>::new()).map_err(undecodable)?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(undecodable)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), RESPONSE_MAX_BYTES).collect().await;
        let body = body.map_err(|error| {
            if error.is::<LengthLimitError>() {
                SourceError::TooLarge(RESPONSE_MAX_BYTES)
            } else {
                undecodable(error)
            }
        })?;
        Ok((status, body.to_bytes()))
    };
    let (status, body) = drive(connection, exchange).await?;
    match status {
        StatusCode::OK => serde_json::from_slice(&body).map(Some).map_err(undecodable),
        StatusCode::NOT_FOUND => Ok(None),
        status => Err(SourceError::Refused(status.to_string())),
    }
}

/// Polls the connection beside the exchange, rather than in a task of its own that could outlive it.
async fn drive<T>(
    connection: impl Future<Output = Result<(), hyper::Error>>,
    exchange: impl Future<Output = Result<T, SourceError>>,
) -> Result<T, SourceError> {
    tokio::pin!(connection, exchange);
    tokio::select! {
        answer = &mut exchange => answer,
        // It ends first where the server closes it with the last byte: the answer may be there already.
        _ = &mut connection => exchange.await,
    }
}

fn undecodable(error: impl std::fmt::Display) -> SourceError {
    SourceError::Undecodable(error.to_string().chars().take(200).collect())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspection {
    id: String,
    #[serde(default)]
    name: String,
    created: Option<String>,
    /// The image's id.
    image: Option<String>,
    config: Config,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Config {
    /// The image's name as it was asked for.
    image: Option<String>,
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Version {
    version: String,
    #[serde(default)]
    components: Vec<Component>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Component {
    name: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn any_bytes_are_an_answer_or_an_error(body: Vec<u8>) {
            let _ = serde_json::from_slice::<Inspection>(&body);
        }
    }
}
