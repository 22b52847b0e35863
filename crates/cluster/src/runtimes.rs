//! All sources together: whom to ask, in which order, and what their answers make.

use crate::grpc::GrpcSocket;
use crate::metadata::fill;
use crate::settings::{RuntimeSettings, distinct};
use crate::source::{SourceError, SourceReport};
use crate::state::State;
use crate::{containerd, cri, docker, state, storage};
use evidence::{Container, Metadata, Runtime};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// The container runtimes of this host.
#[derive(Debug)]
pub struct Runtimes {
    engines: Vec<Engine>,
    state_folders: Arc<[PathBuf]>,
    storage_folders: Arc<[PathBuf]>,
    timeout: Duration,
}

/// A daemon that knows containers.
#[derive(Debug)]
enum Engine {
    /// Kubernetes' interface, and containerd's own where it is containerd.
    Cri(GrpcSocket, Runtime),
    /// Docker Engine's interface.
    Docker(PathBuf, Runtime),
}

impl Runtimes {
    /// Notes where to ask. Nothing is connected and nothing needs to exist yet.
    pub fn discover(settings: &RuntimeSettings) -> Self {
        let cri = distinct(&settings.cri_sockets).into_iter().map(|path| {
            let runtime = if names(&path, "crio") { Runtime::Crio } else { Runtime::Containerd };
            Engine::Cri(GrpcSocket::new(path), runtime)
        });
        let docker = distinct(&settings.docker_sockets).into_iter().map(|path| {
            let runtime = if names(&path, "podman") { Runtime::Podman } else { Runtime::Docker };
            Engine::Docker(path, runtime)
        });
        Self {
            engines: cri.chain(docker).collect(),
            state_folders: settings.state_folders.clone().into(),
            storage_folders: settings.storage_folders.clone().into(),
            timeout: settings.timeout(),
        }
    }

    /// Who the container is. Call it when the container's first process is seen: what runc keeps is gone
    /// as soon as the container is. `hint` is the runtime that the cgroup path tells of, which is then asked first.
    ///
    /// Never fails: where nobody knows the container, `metadata` is [`Metadata::Missing`] with what each
    /// source said. Each source has [`RuntimeSettings::timeout_ms`]; they are asked one after the other,
    /// so the whole takes that times the number of daemons that hang. Needs a tokio runtime with I/O and time.
    pub async fn describe(&self, id: &str, hint: Option<Runtime>) -> Container {
        let mut container = Container::pending(id, hint);
        if !is_id(id) {
            container.metadata = Metadata::Missing("the cgroup's name is no container id".into());
            return container;
        }
        let mut said = Vec::new();
        let state = self.read_state(id).await.unwrap_or_else(|error| {
            said.push(format!("runc state: {error}"));
            None
        });
        // A path of plain runc is also what an engine's looks like that urva does not know.
        let by_state = state.as_ref().and_then(|state| state.container.runtime);
        let runtime = hint.filter(|hint| *hint != Runtime::Runc).or(by_state).or(hint);
        let has_no_engine = by_state == Some(Runtime::Runc) && runtime == Some(Runtime::Runc);
        let namespace = state.as_ref().and_then(|state| state.namespace.as_deref());
        let engine = if has_no_engine { None } else { self.ask(id, runtime, namespace, &mut said).await };
        container.runtime = engine.as_ref().and_then(|engine| engine.runtime).or(runtime);
        container.metadata = match (&engine, &state) {
            (Some(_), _) => Metadata::Complete,
            (None, Some(_)) if has_no_engine => Metadata::Complete,
            (None, Some(_)) => {
                Metadata::Missing(format!("only files tell of it, no daemon does; {}", said.join("; ")))
            }
            (None, None) => Metadata::Missing(self.nobody(&said)),
        };
        for source in [engine, state.map(|state| state.container)].into_iter().flatten() {
            fill(&mut container, source);
        }
        container
    }

    /// Each source and whether it works, for `urva doctor`.
    pub async fn report(&self) -> Vec<SourceReport> {
        let mut report = Vec::new();
        for engine in &self.engines {
            let answer = timeout(self.timeout, engine.version()).await;
            let answer = answer.unwrap_or(Err(SourceError::Timeout(self.timeout)));
            report.push(SourceReport {
                name: engine.name(),
                path: engine.path().into(),
                state: answer.into(),
            });
        }
        for folder in self.state_folders.iter() {
            let count = state::count(folder).map(|count| format!("containers: {count}"));
            report.push(SourceReport { name: "runc state", path: folder.clone(), state: count.into() });
        }
        report
    }

    /// What lies in files, runc's state first, with what the storage adds to it.
    /// On a thread of its own, since a folder of a user may be on a file system that hangs.
    async fn read_state(&self, id: &str) -> Result<Option<State>, SourceError> {
        let (folders, id) = (self.state_folders.clone(), id.to_owned());
        let storage = self.storage_folders.clone();
        let read = spawn_blocking(move || {
            let mut state = state::find(&folders, &id)?;
            if let Some(state) = state.as_mut().filter(|state| state.has_storage())
                // What runc's state tells is worth keeping where the storage cannot be read.
                && let Ok(Some(stored)) = storage::find(&storage, &id)
            {
                fill(&mut state.container, stored);
            }
            Ok(state)
        });
        match timeout(self.timeout, read).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(SourceError::Undecodable("its reader ended".into())),
            Err(_) => Err(SourceError::Timeout(self.timeout)),
        }
    }

    /// The first engine's answer, in the order of their likelihood; notes what the others said.
    async fn ask(
        &self,
        id: &str,
        hint: Option<Runtime>,
        namespace: Option<&str>,
        said: &mut Vec<String>,
    ) -> Option<Container> {
        let mut engines: Vec<&Engine> = self.engines.iter().collect();
        engines.sort_by_key(|engine| hint.is_none_or(|hint| engine.runtime() != hint));
        for engine in engines {
            match timeout(self.timeout, engine.find(id, namespace)).await {
                Ok(Ok(Some(container))) => return Some(container),
                Ok(Ok(None)) => said.push(format!("{}: does not know it", engine.path().display())),
                Ok(Err(error)) => said.push(format!("{}: {error}", engine.path().display())),
                Err(_) => {
                    engine.disconnect();
                    said.push(format!("{}: {}", engine.path().display(), SourceError::Timeout(self.timeout)));
                }
            }
        }
        None
    }

    fn nobody(&self, said: &[String]) -> String {
        if self.engines.is_empty() && self.state_folders.is_empty() {
            return "no container runtime is configured".into();
        }
        format!(
            "no runtime knows it; runc state: none in {} folders; {}",
            self.state_folders.len(),
            said.join("; ")
        )
    }
}

impl Engine {
    async fn find(&self, id: &str, namespace: Option<&str>) -> Result<Option<Container>, SourceError> {
        match self {
            Self::Docker(path, runtime) => docker::find(path, *runtime, id).await,
            Self::Cri(socket, runtime) => match cri::find(socket, *runtime, id).await? {
                None => containerd::find(socket, namespace, id).await,
                found => Ok(found),
            },
        }
    }

    async fn version(&self) -> Result<String, SourceError> {
        let socket = match self {
            Self::Docker(path, _) => return docker::version(path).await,
            Self::Cri(socket, _) => socket,
        };
        if let Some(version) = cri::version(socket).await? {
            return Ok(version);
        }
        let version = containerd::version(socket).await?;
        version.ok_or_else(|| {
            SourceError::Undecodable("it speaks neither CRI nor containerd's interface".into())
        })
    }

    fn disconnect(&self) {
        if let Self::Cri(socket, _) = self {
            socket.disconnect();
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Cri(..) => "CRI",
            Self::Docker(..) => "Docker Engine API",
        }
    }

    fn path(&self) -> &Path {
        match self {
            Self::Cri(socket, _) => socket.path(),
            Self::Docker(path, _) => path,
        }
    }

    fn runtime(&self) -> Runtime {
        match self {
            Self::Cri(_, runtime) | Self::Docker(_, runtime) => *runtime,
        }
    }
}

fn names(path: &Path, word: &str) -> bool {
    path.to_string_lossy().contains(word)
}

/// Whether the text is an id as runtimes allow it. Anything else would be another path or another URL.
fn is_id(id: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.+-".contains(&byte);
    !id.is_empty() && id.len() <= 255 && id.bytes().all(allowed) && id != "." && id != ".."
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_cannot_lead_elsewhere() {
        for id in ["0123456789abcdef", "web_1.2+x-y", "a"] {
            assert!(is_id(id), "{id}");
        }
        for id in ["", ".", "..", "../x", "a/b", "a b", "a\0", "a?x=1", "ä", &"a".repeat(256)] {
            assert!(!is_id(id), "{id}");
        }
    }
}
