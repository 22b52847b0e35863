//! Reading the file, and saying in one sentence what is wrong in which line.

use super::keys::{SECTIONS, Section, nearest};
use super::{Config, DEFAULT_PATH, DetectorConfig, ServerConfig};
use evidence::text::escape;
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};

/// Bytes of a config file; a larger one is something else.
const FILE_LIMIT: u64 = 1 << 20;

/// What is wrong with a config file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error(
        "the config file {path} cannot be read: {cause}; correct --config or URVA_CONFIG, or the file's mode"
    )]
    Unreadable { path: String, cause: io::Error },
    #[error("the config file {path} is larger than 1 MiB: this cannot be a config file of urva")]
    TooLarge { path: String },
    #[error("{path}, line {line}: this is not TOML: {detail}")]
    Syntax { path: String, line: usize, detail: String },
    #[error("{path}, line {line}: there is no {what} {name}{}; `urva config reference` lists all keys", hint(.nearest.as_deref()))]
    Unknown { path: String, line: usize, what: String, name: String, nearest: Option<String> },
    #[error("{path}, line {line}: {key}: {detail}")]
    Value { path: String, line: usize, key: String, detail: String },
}

fn hint(nearest: Option<&str>) -> String {
    nearest.map(|name| format!("; did you mean {name}?")).unwrap_or_default()
}

/// The file that is read: the one that is named, or the default one if it exists.
pub(super) fn file_to_read(named: Option<&Path>) -> Option<PathBuf> {
    match named {
        Some(path) => Some(path.to_owned()),
        None => Some(PathBuf::from(DEFAULT_PATH)).filter(|path| path.exists()),
    }
}

impl Config {
    /// Reads the named file, or the default one if it exists, or takes all defaults.
    pub(crate) fn load(named: Option<&Path>) -> Result<Self, ConfigError> {
        let Some(path) = file_to_read(named) else { return Ok(Self::default()) };
        let shown = escape(path.as_os_str().as_encoded_bytes()).to_string();
        let text = match read_text(&path) {
            Ok(Some(text)) => text,
            Ok(None) => return Err(ConfigError::TooLarge { path: shown }),
            Err(cause) => return Err(ConfigError::Unreadable { path: shown, cause }),
        };
        Self::parse(&shown, &text)
    }

    /// Reads the text of a file, whose name is only for messages.
    pub(super) fn parse(path: &str, text: &str) -> Result<Self, ConfigError> {
        let source = Source { path, text };
        let table = DeTable::parse(text).map_err(|error| source.syntax(&error))?;
        source.refuse_unknown(table.get_ref())?;
        let config: Self = toml::from_str(text).map_err(|error| source.value(table.get_ref(), &error))?;
        if let Some((section, key, detail)) = config.first_wrong() {
            return Err(source.refused(table.get_ref(), section, key, detail));
        }
        match config.first_wrong_output() {
            Some((number, key, detail)) => Err(source.refused_output(table.get_ref(), number, key, &detail)),
            None => Ok(config),
        }
    }

    /// The first output that cannot be used, by its place.
    fn first_wrong_output(&self) -> Option<(usize, &'static str, String)> {
        for (number, output) in self.outputs.iter().enumerate() {
            if let Some((key, detail)) = output.first_wrong() {
                return Some((number, key, detail));
            }
            if self.outputs.iter().take(number).any(|other| other.name == output.name) {
                return Some((number, "name", "is that of another output too".to_owned()));
            }
        }
        None
    }

    /// The first value that has the right type and is still none that can be used.
    fn first_wrong(&self) -> Option<(&'static str, &'static str, &'static str)> {
        let place = &self.place;
        let names = [
            ("project", Some(&place.project)),
            ("location", Some(&place.location)),
            ("cluster", Some(&place.cluster)),
            ("node", place.node.as_ref()),
        ];
        let numbers = [
            ("project_number", Some(&place.project_number)),
            ("organization", place.organization.as_ref()),
            ("folder", place.folder.as_ref()),
        ];
        for (key, value) in names {
            if value.is_some_and(|value| !is_name(value)) {
                return Some(("place", key, "must be 1 to 253 letters, digits and `._:-`"));
            }
        }
        for (key, value) in numbers {
            if value.is_some_and(|value| value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_digit()))
            {
                return Some(("place", key, "must be digits, between quotes"));
            }
        }
        let is_shown = |name: &String| {
            !name.is_empty() && name.len() <= 253 && escape(name.as_bytes()).to_string() == *name
        };
        if place.project_display_name.as_ref().is_some_and(|name| !is_shown(name)) {
            return Some(("place", "project_display_name", "must be 1 to 253 printable characters"));
        }
        if !(4096..=8 << 20).contains(&self.capture.content_limit.bytes()) {
            return Some((
                "capture",
                "content_limit",
                "must be 4 KiB to 8 MiB: less shows too little to judge, more takes too long",
            ));
        }
        if self.capture.environment_limit.bytes() > 128 << 10 {
            return Some(("capture", "environment_limit", "must be at most 128 KiB"));
        }
        if matches!(self.detector.user.as_deref(), Some("" | "root" | "0")) {
            return Some((
                "detector",
                "user",
                "must be a user other than root: the detector reads hostile text",
            ));
        }
        if let Some((key, detail)) = self.server.first_wrong() {
            return Some(("server", key, detail));
        }
        let DetectorConfig { malicious_threshold, suspicious_threshold, .. } = &self.detector;
        if let (Some(malicious), Some(suspicious)) = (malicious_threshold, suspicious_threshold)
            && suspicious.get() > malicious.get()
        {
            return Some(("detector", "suspicious_threshold", "must not be above malicious_threshold"));
        }
        None
    }
}

impl ServerConfig {
    fn first_wrong(&self) -> Option<(&'static str, &'static str)> {
        if self.certificate.is_some() != self.key.is_some() {
            let key = if self.key.is_some() { "key" } else { "certificate" };
            return Some((key, "certificate and key need each other"));
        }
        if self.enabled && !self.listen.ip().is_loopback() && self.certificate.is_none() {
            return Some(("listen", "an address other than loopback needs certificate and key, for TLS"));
        }
        if self.calls_per_second == 0 {
            return Some(("calls_per_second", "must be above 0; enabled = false turns the API off"));
        }
        None
    }
}

/// The whole text; `None` where it is too large.
fn read_text(path: &Path) -> io::Result<Option<String>> {
    let file = File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut text = String::new();
    file.take(FILE_LIMIT + 1).read_to_string(&mut text)?;
    Ok(Some(text).filter(|text| text.len() as u64 <= FILE_LIMIT))
}

fn is_name(name: &str) -> bool {
    (1..=253).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte))
}

/// A text and the name of its file, for messages.
struct Source<'a> {
    path: &'a str,
    text: &'a str,
}

impl Source<'_> {
    fn refuse_unknown(&self, table: &DeTable<'_>) -> Result<(), ConfigError> {
        for (name, value) in table {
            let section = SECTIONS.iter().find(|section| section.name == name.get_ref());
            let Some(section) = section else {
                let nearest = nearest(name.get_ref(), SECTIONS.iter().map(|section| section.name));
                let nearest = nearest.and_then(|name| SECTIONS.iter().find(|section| section.name == name));
                let home = home_of(name.get_ref());
                let what = if value.get_ref().is_table() { "section" } else { "key" };
                return Err(self.unknown(
                    name.span(),
                    what.to_owned(),
                    name.get_ref(),
                    home.or(nearest.map(Section::heading)),
                ));
            };
            for name in tables(value.get_ref()).flat_map(|keys| keys.keys()) {
                if section.keys.iter().all(|key| key.name != name.get_ref()) {
                    let nearest = nearest(name.get_ref(), section.keys.iter().map(|key| key.name));
                    let nearest = nearest.map(str::to_owned).or_else(|| home_of(name.get_ref()));
                    return Err(self.unknown(
                        name.span(),
                        format!("key in {} named", section.heading()),
                        name.get_ref(),
                        nearest,
                    ));
                }
            }
        }
        Ok(())
    }

    fn unknown(&self, span: Range<usize>, what: String, name: &str, nearest: Option<String>) -> ConfigError {
        let name = escape(name.as_bytes()).to_string();
        ConfigError::Unknown { path: self.path.to_owned(), line: self.line(span.start), what, name, nearest }
    }

    fn syntax(&self, error: &toml::de::Error) -> ConfigError {
        let line = self.line(error.span().map_or(0, |span| span.start));
        ConfigError::Syntax { path: self.path.to_owned(), line, detail: one_line(error.message()) }
    }

    fn value(&self, table: &DeTable<'_>, error: &toml::de::Error) -> ConfigError {
        let at = error.span().map_or(0, |span| span.start);
        let key = key_at(table, at).unwrap_or_else(|| "this".to_owned());
        ConfigError::Value {
            path: self.path.to_owned(),
            line: self.line(at),
            key,
            detail: one_line(error.message()),
        }
    }

    fn refused(&self, table: &DeTable<'_>, section: &str, key: &str, detail: &str) -> ConfigError {
        let value = table.get(section).and_then(|section| section.get_ref().get(key));
        let line = self.line(value.map_or(0, |value| value.span().start));
        ConfigError::Value {
            path: self.path.to_owned(),
            line,
            key: format!("{section}.{key}"),
            detail: detail.to_owned(),
        }
    }

    /// The same of one of several outputs. A key that is missing is told with the line of its output.
    fn refused_output(&self, table: &DeTable<'_>, number: usize, key: &str, detail: &str) -> ConfigError {
        let output = table.get("outputs").and_then(|outputs| outputs.get_ref().get(number));
        let value = output.and_then(|output| output.get_ref().get(key)).or(output);
        ConfigError::Value {
            path: self.path.to_owned(),
            line: self.line(value.map_or(0, |value| value.span().start)),
            key: format!("outputs.{key}"),
            detail: one_line(detail),
        }
    }

    /// Lines are counted from 1.
    fn line(&self, offset: usize) -> usize {
        self.text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
    }
}

/// The section that a key belongs to, where it stands in a wrong one.
fn home_of(name: &str) -> Option<String> {
    let home = SECTIONS.iter().find(|section| section.keys.iter().any(|key| key.name == name))?;
    Some(format!("{name} in {}", home.heading()))
}

/// The table that stands there, or all tables of a list of such.
fn tables<'a, 'b>(value: &'a DeValue<'b>) -> impl Iterator<Item = &'a DeTable<'b>> {
    let items = match value {
        DeValue::Array(items) => items.iter().collect(),
        _ => Vec::new(),
    };
    value.as_table().into_iter().chain(items.into_iter().filter_map(|item| item.get_ref().as_table()))
}

/// The key whose value stands at an offset.
fn key_at(table: &DeTable<'_>, offset: usize) -> Option<String> {
    for (section, value) in table {
        let mut keys = tables(value.get_ref()).flat_map(|keys| keys.iter());
        if let Some((key, _)) = keys.find(|(_, value)| value.span().contains(&offset)) {
            return Some(format!("{}.{}", section.get_ref(), key.get_ref()));
        }
        if !value.get_ref().is_table() && value.span().contains(&offset) {
            return Some(section.get_ref().to_string());
        }
    }
    None
}

fn one_line(text: &str) -> String {
    escape(text.trim().replace('\n', "; ").as_bytes()).to_string()
}
