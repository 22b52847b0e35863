//! The config: one TOML file, each key with a default, unknown keys refused.
//!
//! Owns: the keys, their defaults and documentation, reading the file, and telling what is wrong where.
//! Refuses: carrying anything out. [`Config`] is plain data.

mod keys;
mod outputs;
mod read;
mod units;

use crate::cli::{ConfigCommand, Globals};
use cluster::RuntimeSettings;
use detect::{Detector, ModelError};
use evidence::scc::{Limits, Place};
use evidence::{HoldAction, Redaction};
use sensor::HoldSettings;
use serde::{Deserialize, Serialize};
use server::Scopes;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use store::{RetentionPolicy, Site};

pub(crate) use outputs::OutputConfig;
pub(crate) use units::{Age, Score, Size};

/// The file that is read where none is named, if it exists.
pub(crate) const DEFAULT_PATH: &str = "/etc/urva/urva.toml";

/// All settings. Each key is documented in `keys.rs`, from which the reference page is written.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    pub(crate) place: PlaceConfig,
    pub(crate) capture: CaptureConfig,
    pub(crate) detector: DetectorConfig,
    pub(crate) hold: HoldConfig,
    pub(crate) findings: FindingsConfig,
    pub(crate) retention: RetentionConfig,
    pub(crate) runtimes: RuntimesConfig,
    pub(crate) server: ServerConfig,
    pub(crate) outputs: Vec<OutputConfig>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PlaceConfig {
    pub(crate) project: String,
    pub(crate) project_number: String,
    pub(crate) project_display_name: Option<String>,
    pub(crate) organization: Option<String>,
    pub(crate) folder: Option<String>,
    pub(crate) location: String,
    pub(crate) cluster: String,
    pub(crate) node: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CaptureConfig {
    pub(crate) host_processes: bool,
    pub(crate) content_limit: Size,
    pub(crate) environment_limit: Size,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct DetectorConfig {
    pub(crate) model: Option<PathBuf>,
    pub(crate) user: Option<String>,
    pub(crate) malicious_threshold: Option<Score>,
    pub(crate) suspicious_threshold: Option<Score>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct HoldConfig {
    pub(crate) enabled: bool,
    pub(crate) action: HoldAction,
    pub(crate) within_ms: u64,
    pub(crate) terminals: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct FindingsConfig {
    pub(crate) fold_window: Age,
    pub(crate) contents_limit: Size,
    pub(crate) report_cli_arguments: bool,
    pub(crate) report_environment_variables: bool,
    pub(crate) redact_secrets: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RetentionConfig {
    pub(crate) max_age: Age,
    pub(crate) max_findings: u64,
    pub(crate) max_mebibytes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RuntimesConfig {
    pub(crate) cri_sockets: Vec<PathBuf>,
    pub(crate) docker_sockets: Vec<PathBuf>,
    pub(crate) state_folders: Vec<PathBuf>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ServerConfig {
    pub(crate) enabled: bool,
    pub(crate) listen: SocketAddr,
    pub(crate) certificate: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
    pub(crate) calls_per_second: u32,
}

impl Default for PlaceConfig {
    fn default() -> Self {
        let place = Place::default();
        Self {
            project: place.project,
            project_number: place.project_number,
            project_display_name: None,
            organization: None,
            folder: None,
            location: place.location,
            cluster: place.cluster,
            node: None,
        }
    }
}

impl Default for CaptureConfig {
    fn default() -> Self {
        Self {
            host_processes: false,
            content_limit: Size::mebibytes(1),
            environment_limit: Size::kibibytes(32),
        }
    }
}

impl Default for HoldConfig {
    fn default() -> Self {
        Self { enabled: false, action: HoldAction::Kill, within_ms: 100, terminals: false }
    }
}

impl Default for FindingsConfig {
    fn default() -> Self {
        Self {
            fold_window: Age::minutes(10),
            contents_limit: Size::kibibytes(64),
            report_cli_arguments: true,
            report_environment_variables: true,
            redact_secrets: true,
        }
    }
}

impl Default for RetentionConfig {
    fn default() -> Self {
        Self { max_age: Age::days(90), max_findings: 100_000, max_mebibytes: 0 }
    }
}

impl Default for RuntimesConfig {
    fn default() -> Self {
        let RuntimeSettings { cri_sockets, docker_sockets, state_folders, .. } = RuntimeSettings::default();
        Self { cri_sockets, docker_sockets, state_folders }
    }
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8470)),
            certificate: None,
            key: None,
            calls_per_second: 1000,
        }
    }
}

impl DetectorConfig {
    /// Puts the thresholds that are set in the place of the model's own.
    #[allow(clippy::cast_possible_truncation, reason = "scores are compared in f32")]
    pub(crate) fn set_thresholds(&self, detector: &mut Detector) -> Result<(), ModelError> {
        let score = |threshold: Option<Score>| threshold.map(|threshold| threshold.get() as f32);
        detector.set_thresholds(score(self.malicious_threshold), score(self.suspicious_threshold))
    }
}

impl Config {
    /// Where findings of this host lie, in the protocol's names. The node is the host's name unless it is set.
    pub(crate) fn place(&self) -> Place {
        let place = &self.place;
        let host = || rustix::system::uname().nodename().to_string_lossy().into_owned();
        Place {
            organization: place.organization.clone(),
            project: place.project.clone(),
            project_number: place.project_number.clone(),
            project_display_name: place.project_display_name.clone().unwrap_or_else(|| place.project.clone()),
            location: place.location.clone(),
            cluster: place.cluster.clone(),
            node: place.node.clone().unwrap_or_else(host),
            source: Place::default().source,
        }
    }

    /// How much of a container's text a finding carries.
    pub(crate) fn limits(&self) -> Limits {
        Limits { contents: self.findings.contents_limit.bytes() }
    }

    /// What the store needs to know of this host.
    pub(crate) fn site(&self) -> Site {
        let subscriptions = self.outputs.iter().filter_map(OutputConfig::subscription).collect();
        Site { place: self.place(), limits: self.limits(), subscriptions }
    }

    /// When findings are thrown away.
    pub(crate) fn retention(&self) -> RetentionPolicy {
        let RetentionConfig { max_age, max_findings, max_mebibytes } = self.retention;
        RetentionPolicy {
            max_age: Some(max_age.duration()).filter(|age| !age.is_zero()),
            max_findings: Some(max_findings).filter(|number| *number > 0),
            max_bytes: Some(max_mebibytes.saturating_mul(1 << 20)).filter(|bytes| *bytes > 0),
        }
    }

    /// What names in the API may begin with.
    pub(crate) fn scopes(&self) -> Scopes {
        let PlaceConfig { organization, folder, project, project_number, .. } = self.place.clone();
        Scopes { organization, folder, project, project_number }
    }

    /// Where container runtimes are looked for.
    pub(crate) fn runtime_settings(&self) -> RuntimeSettings {
        let runtimes = &self.runtimes;
        RuntimeSettings {
            cri_sockets: runtimes.cri_sockets.clone(),
            docker_sockets: runtimes.docker_sockets.clone(),
            state_folders: runtimes.state_folders.clone(),
            ..RuntimeSettings::default()
        }
    }

    /// Whether and how long processes are stopped until their texts are judged.
    pub(crate) fn hold_settings(&self) -> Option<HoldSettings> {
        let HoldConfig { enabled, within_ms, terminals, .. } = self.hold;
        enabled.then_some(HoldSettings { within: Duration::from_millis(within_ms), terminals })
    }

    /// What is kept out of findings.
    pub(crate) fn redaction(&self) -> Redaction {
        Redaction {
            report_arguments: self.findings.report_cli_arguments,
            report_environment: self.findings.report_environment_variables,
            redact_secrets: self.findings.redact_secrets,
        }
    }
}

/// Carries out `urva config …`.
pub(crate) fn run(command: ConfigCommand, globals: &Globals) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    match command {
        ConfigCommand::Reference => out.write_all(keys::reference()?.as_bytes())?,
        ConfigCommand::Show => out.write_all(toml::to_string(&globals.load_config()?)?.as_bytes())?,
        ConfigCommand::Check => {
            globals.load_config()?;
            match read::file_to_read(globals.config.as_deref()) {
                Some(path) => writeln!(out, "{} is right.", path.display())?,
                None => writeln!(out, "There is no {DEFAULT_PATH}: all defaults are in force.")?,
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests;
