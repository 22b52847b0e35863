//! gRPC over a runtime's Unix socket: one connection, made when it is needed and again when it broke.

use crate::source::SourceError;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

/// A container's status with all its mounts and annotations is some 10 KiB.
const RESPONSE_MAX_BYTES: usize = 2 << 20;

/// A socket that speaks gRPC.
#[derive(Debug)]
pub(crate) struct GrpcSocket {
    path: PathBuf,
    channel: Mutex<Option<Channel>>,
}

impl GrpcSocket {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, channel: Mutex::new(None) }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Forgets the connection, so that the next call makes a new one. To be called when an answer did
    /// not come in time: whoever is at the other end may be another by now.
    pub(crate) fn disconnect(&self) {
        *self.channel.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Calls `method`, in containerd's namespace where one is given. None where there is no such thing,
    /// or where the server does not have the method's service.
    pub(crate) async fn call<Q, A>(
        &self,
        method: &'static str,
        namespace: Option<&str>,
        message: Q,
    ) -> Result<Option<A>, SourceError>
    where
        Q: prost::Message + Clone + 'static,
        A: prost::Message + Default + 'static,
    {
        // Looked at each time: a connection to a socket that has been removed is of no use later on.
        std::fs::symlink_metadata(&self.path)?;
        let answer = match self.call_once(method, namespace, message.clone()).await {
            // The runtime restarted since the last call: its first answer is a broken connection.
            Err(status) if is_broken(&status) => {
                self.disconnect();
                self.call_once(method, namespace, message).await
            }
            answer => answer,
        };
        match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(status) => self.explain(&status),
        }
    }

    async fn call_once<Q, A>(
        &self,
        method: &'static str,
        namespace: Option<&str>,
        message: Q,
    ) -> Result<A, Status>
    where
        Q: prost::Message + 'static,
        A: prost::Message + Default + 'static,
    {
        let channel = self.channel().map_err(|error| Status::unavailable(error.to_string()))?;
        let mut client = Grpc::new(channel).max_decoding_message_size(RESPONSE_MAX_BYTES);
        client.ready().await.map_err(|error| Status::unavailable(deepest(&error)))?;
        let mut request = Request::new(message);
        if let Some(namespace) = namespace.and_then(|name| name.parse::<MetadataValue<Ascii>>().ok()) {
            request.metadata_mut().insert("containerd-namespace", namespace);
        }
        let codec = ProstCodec::<Q, A>::default();
        Ok(client.unary(request, PathAndQuery::from_static(method), codec).await?.into_inner())
    }

    fn channel(&self) -> Result<Channel, tonic::transport::Error> {
        let mut channel = self.channel.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(channel) = &*channel {
            return Ok(channel.clone());
        }
        let new = Endpoint::from_shared(format!("unix://{}", self.path.display()))?.connect_lazy();
        Ok(channel.insert(new).clone())
    }

    fn explain<A>(&self, status: &Status) -> Result<Option<A>, SourceError> {
        if is_broken(status) {
            self.disconnect();
            return Err(SourceError::Refused(short(&deepest(status))));
        }
        match status.code() {
            Code::NotFound | Code::Unimplemented => Ok(None),
            Code::OutOfRange | Code::ResourceExhausted => Err(SourceError::TooLarge(RESPONSE_MAX_BYTES)),
            Code::Internal => Err(SourceError::Undecodable(short(status.message()))),
            _ => Err(SourceError::Refused(short(status.message()))),
        }
    }
}

/// Whether the connection failed rather than the server: a status that came over the wire has no cause.
fn is_broken(status: &Status) -> bool {
    status.code() == Code::Unavailable || status.source().is_some()
}

/// The cause at the bottom: "transport error" helps nobody, "Connection refused" does.
fn deepest(error: &dyn Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

fn short(message: &str) -> String {
    message.chars().take(200).collect()
}
