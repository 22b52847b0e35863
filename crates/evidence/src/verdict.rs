//! What it means: the detector's judgement of one text.

use crate::{Language, Sha256};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The judgement of one text, with its reasons.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The class.
    pub label: Label,
    /// Probability that the text is malicious, 0 to 1, as calibrated by the model.
    pub score: f32,
    /// The threshold at and above which `label` is malicious.
    pub threshold: f32,
    /// The language as which the text was read.
    pub language: Language,
    /// Which model judged, `NAME@FIRST-12-HEX-OF-ITS-SHA256`.
    pub model: String,
    /// What made the verdict, heaviest first. Empty for a benign text.
    pub reasons: Vec<Reason>,
    /// Texts that were found encoded inside the judged one, each after the one that holds it.
    #[serde(default)]
    pub layers: Vec<Layer>,
    /// What the text carries and the judgement could not look at, each once. Empty where all was looked at.
    #[serde(default)]
    pub unseen: Vec<Unseen>,
}

/// A part of a text that could not be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Unseen {
    /// A bound of unpacking (nesting, number, size, work) was met, or a part could not be parsed within it.
    Layers,
    /// A packer left its marks; only its own native code can read the payload.
    PackedPayload,
}

/// A text that another one carries encoded or as a string, as it was unpacked without running anything.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Layer {
    /// Where it was found and how it is decoded, from the outside in: `line 3: base64, zlib`.
    pub origin: String,
    /// The layer that holds it, as an index into [`Verdict::layers`]; absent where the judged text itself does.
    pub parent: Option<u32>,
    /// The language as which it was read.
    pub language: Language,
    /// Hash of its bytes.
    pub sha256: Sha256,
    /// Length in bytes.
    pub size: u64,
    /// Probability that it is malicious, taken alone.
    pub score: f32,
}

/// Classes of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Label {
    /// Nothing speaks against it.
    Benign,
    /// Worth a look, at an error rate that is too high to wake somebody.
    Suspicious,
    /// Malicious, at the error rate that the model card states.
    Malicious,
}

/// One reason for a verdict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reason {
    /// In an analyst's words: "connects a shell to a socket".
    pub indicator: String,
    /// Line in the text, counted from 1; absent where it concerns the whole.
    pub line: Option<u32>,
    /// Last line of the same statement; absent where that is `line`.
    #[serde(default)]
    pub end_line: Option<u32>,
    /// The layer that `line` counts in, as an index into [`Verdict::layers`]; absent for the judged text itself.
    #[serde(default)]
    pub layer: Option<u32>,
    /// That line or its decisive part as it says, escaped letters (`\x63`) decoded; at most 200 characters, not escaped itself.
    pub excerpt: String,
    /// Contribution to the score, in the model's units (log-odds); comparable within one verdict only.
    pub weight: f32,
    /// The attack technique that it shows, where there is one.
    pub technique: Option<Technique>,
}

/// Techniques of MITRE ATT&CK that urva names, by their ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names are MITRE's own")]
pub enum Technique {
    CommandAndScriptingInterpreter,
    UnixShell,
    Python,
    IngressToolTransfer,
    ObfuscatedFilesOrInformation,
    DeobfuscateDecode,
    UnsecuredCredentials,
    ContainerApi,
    CloudInstanceMetadataApi,
    ResourceHijacking,
    ExfiltrationOverC2,
    ExfiltrationOverWebService,
    ApplicationLayerProtocol,
    ScheduledTask,
    AccountManipulation,
    ImpairDefenses,
    IndicatorRemoval,
    DataDestruction,
    EscapeToHost,
    SystemInformationDiscovery,
    ReflectiveCodeLoading,
}

/// Tactics of MITRE ATT&CK: what a technique is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names are MITRE's own")]
pub enum Tactic {
    Execution,
    Persistence,
    PrivilegeEscalation,
    DefenseEvasion,
    CredentialAccess,
    Discovery,
    CommandAndControl,
    Exfiltration,
    Impact,
}

impl Verdict {
    /// Where a reason stands, in words and not escaped: `line 12`, `lines 3-5`, `line 2 in a layer (line 7: base64, executed)`.
    /// Absent where it concerns the judged text as a whole.
    pub fn place(&self, reason: &Reason) -> Option<String> {
        let lines = match (reason.line, reason.end_line) {
            (Some(line), Some(end)) if end > line => Some(format!("lines {line}-{end}")),
            (Some(line), _) => Some(format!("line {line}")),
            (None, _) => None,
        };
        let Some(layer) = self.layer_of(reason) else { return lines };
        let lines = lines.map(|lines| lines + " ").unwrap_or_default();
        Some(format!("{lines}in a layer ({})", layer.origin))
    }

    /// The layer that a reason's line counts in.
    pub fn layer_of(&self, reason: &Reason) -> Option<&Layer> {
        self.layers.get(usize::try_from(reason.layer?).ok()?)
    }
}

impl Reason {
    /// Its line in the judged text itself; absent where it counts in a layer.
    pub fn own_line(&self) -> Option<u32> {
        self.line.filter(|_| self.layer.is_none())
    }
}

impl Technique {
    /// MITRE's id, `T1105`.
    pub fn id(self) -> &'static str {
        self.row().0
    }

    /// MITRE's name.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// The tactic that urva files it under; MITRE lists some techniques under several.
    pub fn tactic(self) -> Tactic {
        self.row().2
    }

    /// The address of its page.
    pub fn url(self) -> String {
        format!("https://attack.mitre.org/techniques/{}/", self.id().replace('.', "/"))
    }

    fn row(self) -> (&'static str, &'static str, Tactic) {
        use Tactic as T;
        match self {
            Self::CommandAndScriptingInterpreter => {
                ("T1059", "Command and Scripting Interpreter", T::Execution)
            }
            Self::UnixShell => ("T1059.004", "Unix Shell", T::Execution),
            Self::Python => ("T1059.006", "Python", T::Execution),
            Self::IngressToolTransfer => ("T1105", "Ingress Tool Transfer", T::CommandAndControl),
            Self::ObfuscatedFilesOrInformation => {
                ("T1027", "Obfuscated Files or Information", T::DefenseEvasion)
            }
            Self::DeobfuscateDecode => {
                ("T1140", "Deobfuscate/Decode Files or Information", T::DefenseEvasion)
            }
            Self::UnsecuredCredentials => ("T1552", "Unsecured Credentials", T::CredentialAccess),
            Self::ContainerApi => ("T1552.007", "Container API", T::CredentialAccess),
            Self::CloudInstanceMetadataApi => {
                ("T1552.005", "Cloud Instance Metadata API", T::CredentialAccess)
            }
            Self::ResourceHijacking => ("T1496", "Resource Hijacking", T::Impact),
            Self::ExfiltrationOverC2 => ("T1041", "Exfiltration Over C2 Channel", T::Exfiltration),
            Self::ExfiltrationOverWebService => ("T1567", "Exfiltration Over Web Service", T::Exfiltration),
            Self::ApplicationLayerProtocol => ("T1071", "Application Layer Protocol", T::CommandAndControl),
            Self::ScheduledTask => ("T1053", "Scheduled Task/Job", T::Persistence),
            Self::AccountManipulation => ("T1098", "Account Manipulation", T::Persistence),
            Self::ImpairDefenses => ("T1562", "Impair Defenses", T::DefenseEvasion),
            Self::IndicatorRemoval => ("T1070", "Indicator Removal", T::DefenseEvasion),
            Self::DataDestruction => ("T1485", "Data Destruction", T::Impact),
            Self::EscapeToHost => ("T1611", "Escape to Host", T::PrivilegeEscalation),
            Self::SystemInformationDiscovery => ("T1082", "System Information Discovery", T::Discovery),
            Self::ReflectiveCodeLoading => ("T1620", "Reflective Code Loading", T::DefenseEvasion),
        }
    }
}

impl Label {
    /// The name under which the store, the API and JSON know it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Benign => "BENIGN",
            Self::Suspicious => "SUSPICIOUS",
            Self::Malicious => "MALICIOUS",
        }
    }
}

impl fmt::Display for Unseen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Layers => "not all layers were looked at, since unpacking met a bound",
            Self::PackedPayload => {
                "a packer's payload, which only its native code can read, was not looked at"
            }
        })
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
