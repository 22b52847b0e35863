//! `[[outputs]]`: who is told of findings. What is secret stands in files of its own, never here.

use super::{Age, Size};
use anyhow::{Context, bail};
use evidence::text::escape;
use outputs::{Format, Key, Kind, MailServer, Output, Secret, SyslogAddress, Trust, Url};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use store::filter::Filter;
use store::{Subscription, Wanted};

/// Bytes of a file that holds a secret or certificates.
const FILE_LIMIT: u64 = 1 << 20;

/// Findings that are open and that nobody muted.
const USUAL_FILTER: &str = "state=\"ACTIVE\" AND -mute=\"MUTED\"";

/// One output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct OutputConfig {
    pub(crate) name: String,
    pub(crate) kind: OutputKind,
    pub(crate) format: Option<OutputFormat>,
    pub(crate) filter: String,
    pub(crate) topic: Option<String>,
    pub(crate) url: Option<String>,
    pub(crate) url_file: Option<PathBuf>,
    pub(crate) secret_file: Option<PathBuf>,
    pub(crate) token_file: Option<PathBuf>,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) address: Option<String>,
    pub(crate) server: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) password_file: Option<PathBuf>,
    pub(crate) from: Option<String>,
    pub(crate) to: Vec<String>,
    pub(crate) path: Option<PathBuf>,
    pub(crate) max_size: Size,
    pub(crate) keep: u32,
    pub(crate) timeout: Age,
    pub(crate) max_age: Age,
    pub(crate) max_waiting: u32,
}

/// What an output is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OutputKind {
    Webhook,
    Slack,
    Email,
    Syslog,
    File,
    Otlp,
}

/// What is sent, where there is a choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OutputFormat {
    Finding,
    Scc,
    Ocsf,
    Ecs,
}

impl From<OutputFormat> for Format {
    fn from(format: OutputFormat) -> Self {
        match format {
            OutputFormat::Finding => Self::Finding,
            OutputFormat::Scc => Self::Scc,
            OutputFormat::Ocsf => Self::Ocsf,
            OutputFormat::Ecs => Self::Ecs,
        }
    }
}

impl Default for OutputConfig {
    fn default() -> Self {
        Self {
            name: String::new(),
            kind: OutputKind::Webhook,
            format: None,
            filter: USUAL_FILTER.to_owned(),
            topic: None,
            url: None,
            url_file: None,
            secret_file: None,
            token_file: None,
            ca_file: None,
            address: None,
            server: None,
            user: None,
            password_file: None,
            from: None,
            to: Vec::new(),
            path: None,
            max_size: Size::mebibytes(100),
            keep: 5,
            timeout: Age::seconds(10),
            max_age: Age::days(3),
            max_waiting: 10_000,
        }
    }
}

impl OutputKind {
    /// Keys that outputs of this kind can have, those that they must have first.
    fn keys(self) -> (&'static [&'static str], &'static [&'static str]) {
        match self {
            Self::Webhook => {
                (&[], &["url", "url_file", "format", "topic", "secret_file", "token_file", "ca_file"])
            }
            Self::Slack => (&["url_file"], &["ca_file"]),
            Self::Otlp => (&["url"], &["token_file", "ca_file"]),
            Self::Email => (&["server", "from", "to"], &["user", "password_file", "ca_file"]),
            Self::Syslog => (&["address"], &["ca_file"]),
            Self::File => (&["path"], &["format", "topic"]),
        }
    }
}

impl OutputConfig {
    /// The first value that is none that can be used: its key, and why.
    pub(super) fn first_wrong(&self) -> Option<(&'static str, String)> {
        let refused = |key, detail: &str| Some((key, detail.to_owned()));
        let is_letter =
            |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
        if !(1..=63).contains(&self.name.len()) || !self.name.chars().all(is_letter) {
            return refused("name", "must be 1 to 63 of a-z, 0-9 and -");
        }
        let (needed, possible) = self.kind.keys();
        for (key, is_set) in self.set_keys() {
            if is_set && !needed.contains(&key) && !possible.contains(&key) {
                return refused(key, "is no key of an output of this kind");
            }
            if !is_set && needed.contains(&key) {
                return refused(key, "is needed by an output of this kind");
            }
        }
        if self.kind == OutputKind::Webhook && self.url.is_some() == self.url_file.is_some() {
            return refused("url", "one of url and url_file is needed");
        }
        if self.user.is_some() != self.password_file.is_some() {
            return refused("user", "user and password_file need each other");
        }
        if self.topic.is_some() && self.format != Some(OutputFormat::Scc) {
            return refused("topic", "needs format = \"scc\", which notification configs send");
        }
        if self.topic.as_ref().is_some_and(|topic| !is_topic(topic)) {
            return refused("topic", "must be projects/PROJECT/topics/TOPIC");
        }
        if self.path.as_ref().is_some_and(|path| !path.is_absolute() || path.file_name().is_none()) {
            return refused("path", "must be a file's absolute path");
        }
        if self.max_size.bytes() < 1 << 20 {
            return refused("max_size", "must be at least 1 MiB");
        }
        if self.keep > 1000 {
            return refused("keep", "must be at most 1000");
        }
        if !(1..=300).contains(&self.timeout.duration().as_secs()) {
            return refused("timeout", "must be 1s to 5m");
        }
        if self.max_waiting == 0 || self.max_waiting > 1_000_000 {
            return refused("max_waiting", "must be 1 to 1000000");
        }
        if let Err(error) = Filter::parse(&self.filter) {
            return Some(("filter", error.to_string()));
        }
        let Err((key, detail)) = self.address_of() else { return None };
        refused(key, detail)
    }

    /// Keys that only some kinds have, and whether they are set.
    fn set_keys(&self) -> [(&'static str, bool); 14] {
        [
            ("url", self.url.is_some()),
            ("url_file", self.url_file.is_some()),
            ("format", self.format.is_some()),
            ("topic", self.topic.is_some()),
            ("secret_file", self.secret_file.is_some()),
            ("token_file", self.token_file.is_some()),
            ("ca_file", self.ca_file.is_some()),
            ("address", self.address.is_some()),
            ("server", self.server.is_some()),
            ("user", self.user.is_some()),
            ("password_file", self.password_file.is_some()),
            ("from", self.from.is_some()),
            ("to", !self.to.is_empty()),
            ("path", self.path.is_some()),
        ]
    }

    /// Reads each address that stands in the config itself.
    fn address_of(&self) -> Result<(), (&'static str, &'static str)> {
        if let Some(url) = &self.url {
            Url::parse(url).map_err(|error| ("url", error))?;
        }
        if let Some(address) = &self.address {
            SyslogAddress::parse(address).map_err(|error| ("address", error))?;
        }
        if let Some(server) = &self.server {
            let login = self.user.clone().map(|user| (user, Secret(String::new())));
            MailServer::parse(server, login).map_err(|error| ("server", error))?;
        }
        Ok(())
    }

    /// What the store has to know of it; nothing where its filter is none, which the config is checked for when it is read.
    pub(super) fn subscription(&self) -> Option<Subscription> {
        let wanted = match &self.topic {
            Some(topic) => Wanted::Topic(topic.clone()),
            None => Wanted::Matching(Filter::parse(&self.filter).ok()?),
        };
        Some(Subscription { output: self.name.clone(), wanted, max_waiting: self.max_waiting })
    }

    /// The output with its secrets and whom it trusts, read from their files.
    pub(crate) fn open(&self) -> anyhow::Result<(Output, Trust)> {
        let named = || format!("the output {}", self.name);
        let trust = match &self.ca_file {
            Some(path) => Trust::from_pem(&read(path)?)
                .map_err(|error| anyhow::anyhow!("ca_file {}: {error}", shown(path)))
                .with_context(named)?,
            None => Trust::of_host().map_err(anyhow::Error::msg).with_context(named)?,
        };
        let kind = self.open_kind().with_context(named)?;
        let output = Output {
            name: self.name.clone(),
            kind,
            timeout: self.timeout.duration(),
            max_age: self.max_age.duration(),
        };
        Ok((output, trust))
    }

    fn open_kind(&self) -> anyhow::Result<Kind> {
        let format = self.format.unwrap_or(OutputFormat::Finding).into();
        let token = self.token_file.as_deref().map(secret).transpose()?;
        Ok(match self.kind {
            OutputKind::Webhook => {
                let read_key = |path: &PathBuf| {
                    let text = secret(path)?;
                    Key::parse(&text.0)
                        .map_err(|error| anyhow::anyhow!("secret_file {} {error}", shown(path)))
                };
                let key = self.secret_file.as_ref().map(read_key).transpose()?;
                Kind::Webhook { url: self.open_url()?, format, key, token }
            }
            OutputKind::Slack => Kind::Slack { url: self.open_url()? },
            OutputKind::Otlp => Kind::Otlp { url: self.open_url()?, token },
            OutputKind::Email => {
                let password = self.password_file.as_deref().map(secret).transpose()?;
                let login = self.user.clone().zip(password);
                let server = MailServer::parse(self.server.as_deref().unwrap_or_default(), login);
                let server = server.map_err(|error| anyhow::anyhow!("server {error}"))?;
                Kind::Email { server, from: self.from.clone().unwrap_or_default(), to: self.to.clone() }
            }
            OutputKind::Syslog => {
                let address = SyslogAddress::parse(self.address.as_deref().unwrap_or_default());
                Kind::Syslog { address: address.map_err(|error| anyhow::anyhow!("address {error}"))? }
            }
            OutputKind::File => Kind::File {
                path: self.path.clone().unwrap_or_default(),
                format,
                max_bytes: self.max_size.bytes() as u64,
                kept: self.keep,
            },
        })
    }

    fn open_url(&self) -> anyhow::Result<Url> {
        let (text, from) = match (&self.url, &self.url_file) {
            (Some(url), _) => (Secret(url.clone()), "url".to_owned()),
            (None, Some(path)) => (secret(path)?, format!("url_file {}", shown(path))),
            (None, None) => bail!("there is no url"),
        };
        Url::parse(&text.0).map_err(|error| anyhow::anyhow!("{from} {error}"))
    }
}

fn is_topic(name: &str) -> bool {
    let parts: Vec<&str> = name.split('/').collect();
    matches!(parts[..], ["projects", project, "topics", topic] if !project.is_empty() && !topic.is_empty())
}

fn shown(path: &Path) -> String {
    escape(path.as_os_str().as_encoded_bytes()).to_string()
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path).and_then(|file| file.take(FILE_LIMIT).read_to_end(&mut bytes));
    file.with_context(|| format!("reading {}", shown(path)))?;
    Ok(bytes)
}

/// The text of a file without blanks around it.
fn secret(path: &Path) -> anyhow::Result<Secret> {
    let text = String::from_utf8(read(path)?).with_context(|| format!("{} is no text", shown(path)))?;
    match text.trim() {
        "" => bail!("{} is empty", shown(path)),
        text if text.contains(|letter: char| letter.is_control()) => {
            bail!("{} holds more than one line", shown(path))
        }
        text => Ok(Secret(text.to_owned())),
    }
}
