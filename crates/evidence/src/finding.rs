//! What an analyst gets: one malicious script in one container, however often it ran.

use crate::{Capture, Container, Execution, Label, Language, Redaction, Sha256, Timestamp, Verdict};
use serde::{Deserialize, Serialize};
use std::fmt;

/// One finding. A script that runs again in the same container within the window updates it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Name of the finding, unique in the store.
    pub id: FindingId,
    /// What kind of finding it is.
    pub category: Category,
    /// Whether somebody still has to deal with it.
    pub state: State,
    /// When the script was first executed.
    pub first_seen: Timestamp,
    /// When it was last executed.
    pub last_seen: Timestamp,
    /// How many executions it stands for.
    pub count: u64,
    /// The latest execution, secrets redacted.
    pub capture: Capture,
    /// The judgement of its text.
    pub verdict: Verdict,
    /// SHA-256 of the captured text: with container and category, what makes two executions the same.
    pub content_sha256: Sha256,
}

/// 32 hexadecimal digits: a finding id as the protocol allows it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FindingId(String);

/// Kinds of findings, with SCC's category and module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Category {
    /// Malicious Python.
    MaliciousPythonExecuted,
    /// A malicious shell script.
    MaliciousScriptExecuted,
}

/// Whether a finding is still open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum State {
    /// Open.
    Active,
    /// Dealt with.
    Inactive,
}

impl Finding {
    /// Makes a finding of a capture that was judged malicious; `None` for any other verdict, and for a
    /// capture without text.
    pub fn new(mut capture: Capture, verdict: Verdict, redaction: &Redaction) -> Option<Self> {
        if verdict.label != Label::Malicious {
            return None;
        }
        let content_sha256 = capture.script.content.sha256()?;
        let category = Category::of(verdict.language);
        redaction.apply(&mut capture);
        Some(Self {
            id: FindingId::derive(&capture, category, content_sha256),
            category,
            state: State::Active,
            first_seen: capture.observed_at,
            last_seen: capture.observed_at,
            count: 1,
            capture,
            verdict,
            content_sha256,
        })
    }

    /// The container's id, or the empty string for the host: part of what makes two executions the same.
    pub fn container_id(&self) -> &str {
        self.capture.container.as_ref().map_or("", |container| &container.id)
    }

    /// The execution that the finding's capture describes.
    pub fn execution(&self) -> Execution {
        self.capture.execution()
    }

    /// Puts metadata that came late into its place. Returns whether anything changed.
    pub fn complete(&mut self, container: &Container) -> bool {
        match &mut self.capture.container {
            Some(known) if known.id == container.id && known != container => {
                known.clone_from(container);
                true
            }
            _ => false,
        }
    }
}

impl Category {
    /// The category of a malicious text in this language.
    pub fn of(language: Language) -> Self {
        match language {
            Language::Python => Self::MaliciousPythonExecuted,
            Language::Shell => Self::MaliciousScriptExecuted,
        }
    }

    /// SCC's `category`, by which people filter.
    pub fn display_name(self) -> &'static str {
        match self {
            Self::MaliciousPythonExecuted => "Execution: Malicious Python executed",
            Self::MaliciousScriptExecuted => "Malicious Script Executed",
        }
    }

    /// SCC's `moduleName`.
    pub fn module_name(self) -> &'static str {
        match self {
            Self::MaliciousPythonExecuted => "MALICIOUS_PYTHON_EXECUTED",
            Self::MaliciousScriptExecuted => "MALICIOUS_SCRIPT_EXECUTED",
        }
    }
}

impl State {
    /// The name under which the store, the API and JSON know it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Inactive => "INACTIVE",
        }
    }
}

impl FindingId {
    /// Reads an id, or the beginning of one: 1 to 32 lowercase hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let is_hex = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        (is_hex && (1..=32).contains(&text.len())).then(|| Self(text.to_owned()))
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same execution leads to the same id, so that reporting it twice cannot make two findings.
    fn derive(capture: &Capture, category: Category, content: Sha256) -> Self {
        let container = capture.container.as_ref().map_or("", |container| &container.id);
        let digest = Sha256::of_parts([
            container.as_bytes(),
            b"\0",
            category.module_name().as_bytes(),
            &content.0,
            &capture.process.pid.to_le_bytes(),
            &capture.process.start_ticks.to_le_bytes(),
            &capture.observed_at.0.to_le_bytes(),
        ]);
        Self(digest.to_string()[..32].to_owned())
    }
}

impl fmt::Display for FindingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
