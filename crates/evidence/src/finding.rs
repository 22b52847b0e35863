//! What an analyst gets: one malicious script in one container, however often it ran; or one way in which urva itself
//! was kept from seeing.

use crate::{
    Capture, CompiledBy, Container, Content, Execution, Gap, Label, Language, Redaction, Sha256, Timestamp,
    Untrusted, Verdict,
};
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
    /// When the script was first executed, or when the first gap began.
    pub first_seen: Timestamp,
    /// When it was last executed, or when the last gap ended.
    pub last_seen: Timestamp,
    /// How many executions or gaps it stands for.
    pub count: u64,
    /// What was found.
    #[serde(flatten)]
    pub subject: Subject,
    /// SHA-256 of the captured text, or of the gap's kind: with container and category, what makes two of them the same.
    pub content_sha256: Sha256,
}

/// What a finding is about. A finding of every kind has the same envelope.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Subject {
    /// A script that was judged malicious.
    Script(Box<Judged>),
    /// A stretch of time in which urva was kept from seeing.
    Gap {
        /// The latest one.
        gap: Box<Gap>,
    },
}

/// A script that was executed, and the judgement of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// The latest execution, secrets redacted.
    pub capture: Capture,
    /// The judgement of its text, or of the layer that `decided_by` names.
    pub verdict: Verdict,
    /// Texts that the script compiled while it ran, in the order of their numbers; see [`RuntimeLayer`].
    #[serde(default)]
    pub layers: Vec<RuntimeLayer>,
    /// Number of the layer that `verdict` is about; absent where it is about the script itself.
    #[serde(default)]
    pub decided_by: Option<u32>,
    /// What was done with the process, where it was stopped before the first statement of the text that was judged.
    #[serde(default)]
    pub held: Option<Held>,
}

/// What became of a process that was stopped before a malicious text could run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Held {
    /// It was killed.
    Kill,
    /// It was left stopped.
    Stop,
    /// It was let go as configured.
    Report,
    /// It was let go since the verdict took too long.
    Late,
}

impl From<HoldAction> for Held {
    fn from(action: HoldAction) -> Self {
        match action {
            HoldAction::Kill => Self::Kill,
            HoldAction::Stop => Self::Stop,
            HoldAction::Report => Self::Report,
        }
    }
}

/// What becomes of a process that was stopped before a malicious text could run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HoldAction {
    /// It is killed.
    Kill,
    /// It stays stopped, for the analyst.
    Stop,
    /// It goes on.
    Report,
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kill => "stopped before its first statement, and killed",
            Self::Stop => {
                "stopped before its first statement, and left so: SIGCONT lets it go on, SIGKILL ends it"
            }
            Self::Report => "stopped before its first statement, and let go as configured",
            Self::Late => "stopped before its first statement, but let go before it was judged: it has run",
        })
    }
}

/// A text that a script compiled while it ran: decoded, received or imported.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RuntimeLayer {
    /// Counts the texts of the execution from 1.
    pub number: u32,
    /// Number of the layer that compiled it; absent where the script itself did, or where that is not known.
    pub within: Option<u32>,
    /// Who asked for it.
    pub by: CompiledBy,
    /// What the program called it; the program chooses that.
    pub name: Option<Untrusted>,
    /// When it was compiled.
    pub at: Timestamp,
    /// Hash of what was captured of it.
    pub sha256: Sha256,
    /// Bytes that were captured of it.
    pub size: u64,
    /// Its verdict's label.
    pub label: Label,
    /// Its verdict's score.
    pub score: f32,
    /// Its text; kept of those that are not benign, and no more than [`RuntimeLayer::TEXT_MAX`] bytes of each.
    pub content: Option<Content>,
}

impl RuntimeLayer {
    /// Most bytes of text that a finding carries of one layer.
    pub const TEXT_MAX: usize = 64 * 1024;

    /// The layer that a capture shows, with its verdict. `None` for what is no layer, and for one without text.
    pub fn new(capture: &Capture, verdict: &Verdict) -> Option<Self> {
        let compiled = capture.compiled.as_ref()?;
        let content = &capture.script.content;
        let (head, tail) = content.parts();
        let beginning = || match content {
            Content::Whole(whole) if whole.len() <= Self::TEXT_MAX => content.clone(),
            _ => {
                let kept = &head[..head.len().min(Self::TEXT_MAX)];
                let omitted = (head.len() - kept.len() + tail.len()) as u64;
                Content::HeadAndTail { head: kept.into(), tail: Untrusted::default(), omitted }
            }
        };
        Some(Self {
            number: compiled.number,
            within: compiled.within,
            by: compiled.by,
            name: compiled.name.clone(),
            at: capture.observed_at,
            sha256: content.sha256()?,
            size: (head.len() + tail.len()) as u64,
            label: verdict.label,
            score: verdict.score,
            content: (verdict.label != Label::Benign).then(beginning),
        })
    }
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
    /// urva was kept from seeing: a probe was removed, or one of its processes stopped or killed.
    DetectionImpaired,
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

impl Judged {
    /// The text that the verdict is about: the script's, or that of a layer.
    pub fn judged_content(&self) -> &Content {
        self.decisive_layer().and_then(|layer| layer.content.as_ref()).unwrap_or(&self.capture.script.content)
    }

    /// The layer that the verdict is about.
    pub fn decisive_layer(&self) -> Option<&RuntimeLayer> {
        let number = self.decided_by?;
        self.layers.iter().find(|layer| layer.number == number)
    }
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
            subject: Subject::Script(Box::new(Judged {
                capture,
                verdict,
                layers: Vec::new(),
                decided_by: None,
                held: None,
            })),
            content_sha256,
        })
    }

    /// Makes a finding of a script that compiled a text that was judged malicious. `capture` is the script's, or where
    /// nothing is known of that, the text's own.
    pub fn of_layers(
        capture: Capture,
        verdict: Verdict,
        layers: Vec<RuntimeLayer>,
        decided_by: u32,
        redaction: &Redaction,
    ) -> Option<Self> {
        let mut finding = Self::new(capture, verdict, redaction)?;
        let judged = finding.script_mut()?;
        judged.layers = layers;
        judged.decided_by = Some(decided_by);
        Some(finding)
    }

    /// Makes a finding of a gap that somebody may have made to stay unseen; `None` for any other.
    pub fn of_gap(gap: &Gap) -> Option<Self> {
        if !gap.kind.impairs() {
            return None;
        }
        let category = Category::DetectionImpaired;
        let content_sha256 = Sha256::of(gap.kind.as_str().as_bytes());
        Some(Self {
            id: FindingId::of_gap(gap, category),
            category,
            state: State::Active,
            first_seen: gap.from,
            last_seen: gap.to,
            count: 1,
            subject: Subject::Gap { gap: Box::new(gap.clone()) },
            content_sha256,
        })
    }

    /// The script that it is about, where it is about one.
    pub fn script(&self) -> Option<&Judged> {
        match &self.subject {
            Subject::Script(judged) => Some(judged),
            Subject::Gap { .. } => None,
        }
    }

    /// The same, to be changed.
    pub fn script_mut(&mut self) -> Option<&mut Judged> {
        match &mut self.subject {
            Subject::Script(judged) => Some(judged),
            Subject::Gap { .. } => None,
        }
    }

    /// The container; absent for the host.
    pub fn container(&self) -> Option<&Container> {
        match &self.subject {
            Subject::Script(judged) => judged.capture.container.as_ref(),
            Subject::Gap { gap } => gap.container.as_ref(),
        }
    }

    /// The same, to be changed.
    pub fn container_mut(&mut self) -> &mut Option<Container> {
        match &mut self.subject {
            Subject::Script(judged) => &mut judged.capture.container,
            Subject::Gap { gap } => &mut gap.container,
        }
    }

    /// The container's id, or the empty string for the host: part of what makes two executions the same.
    pub fn container_id(&self) -> &str {
        self.container().map_or("", |container| &container.id)
    }

    /// The same, of a process that was stopped before the text could run.
    pub fn with_hold(mut self, held: Option<Held>) -> Self {
        if let Subject::Script(judged) = &mut self.subject {
            judged.held = held;
        }
        self
    }

    /// The execution that the finding describes. A gap has no process; its beginning tells it from others.
    pub fn execution(&self) -> Execution {
        match &self.subject {
            Subject::Script(judged) => judged.capture.execution(),
            Subject::Gap { gap } => Execution { at: gap.to, pid: 0, start_ticks: gap.from.0 },
        }
    }

    /// Puts metadata that came late into its place. Returns whether anything changed.
    pub fn complete(&mut self, container: &Container) -> bool {
        match self.container_mut() {
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
            Self::DetectionImpaired => "Defense Evasion: Detection Impaired",
        }
    }

    /// SCC's `moduleName`.
    pub fn module_name(self) -> &'static str {
        match self {
            Self::MaliciousPythonExecuted => "MALICIOUS_PYTHON_EXECUTED",
            Self::MaliciousScriptExecuted => "MALICIOUS_SCRIPT_EXECUTED",
            Self::DetectionImpaired => "DETECTION_IMPAIRED",
        }
    }

    /// SCC's `severity`: its own for scripts.
    pub fn severity(self) -> &'static str {
        match self {
            Self::MaliciousPythonExecuted | Self::MaliciousScriptExecuted => "CRITICAL",
            Self::DetectionImpaired => "HIGH",
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

    /// The same execution leads to the same id, so that reporting it twice cannot make two findings, nor can a text that
    /// has grown meanwhile.
    fn derive(capture: &Capture, category: Category, content: Sha256) -> Self {
        let container = capture.container.as_ref().map_or("", |container| &container.id);
        let content = if capture.script.is_streamed() { &[][..] } else { &content.0 };
        let digest = Sha256::of_parts([
            container.as_bytes(),
            b"\0",
            category.module_name().as_bytes(),
            content,
            &capture.process.pid.to_le_bytes(),
            &capture.process.start_ticks.to_le_bytes(),
            &capture.observed_at.0.to_le_bytes(),
        ]);
        Self(digest.to_string()[..32].to_owned())
    }

    fn of_gap(gap: &Gap, category: Category) -> Self {
        let container = gap.container.as_ref().map_or("", |container| &container.id);
        let digest = Sha256::of_parts([
            container.as_bytes(),
            b"\0",
            category.module_name().as_bytes(),
            gap.kind.as_str().as_bytes(),
            &gap.from.0.to_le_bytes(),
        ]);
        Self(digest.to_string()[..32].to_owned())
    }
}

impl fmt::Display for FindingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
