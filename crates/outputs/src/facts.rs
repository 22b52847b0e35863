//! What formats ask of a finding, out of the protocol's JSON. Anything may be missing, or of another type: a client may have made it.

use evidence::Timestamp;
use serde_json::Value as Json;
use store::Delivery;

/// A delivery, as formats read it.
#[derive(Clone, Copy)]
pub(crate) struct Facts<'a> {
    pub(crate) delivery: &'a Delivery,
}

impl<'a> Facts<'a> {
    /// A text of the finding by its JSON pointer; empty where there is none.
    pub(crate) fn text(&self, pointer: &str) -> &'a str {
        self.delivery.finding.pointer(pointer).and_then(Json::as_str).unwrap_or_default()
    }

    /// One of `sourceProperties`, where it is a text.
    pub(crate) fn property(&self, name: &str) -> &'a str {
        self.delivery
            .finding
            .pointer("/sourceProperties")
            .and_then(|all| all.get(name))
            .and_then(Json::as_str)
            .unwrap_or_default()
    }

    /// A number that the protocol may write as a text.
    pub(crate) fn number(&self, pointer: &str) -> Option<i64> {
        match self.delivery.finding.pointer(pointer)? {
            Json::Number(number) => number.as_i64(),
            Json::String(text) => text.parse().ok(),
            _ => None,
        }
    }

    pub(crate) fn list(&self, pointer: &str) -> &'a [Json] {
        self.delivery.finding.pointer(pointer).and_then(Json::as_array).map_or(&[], Vec::as_slice)
    }

    /// A time of the finding; that of the event where it is missing.
    pub(crate) fn time(&self, pointer: &str) -> Timestamp {
        Timestamp::parse(self.text(pointer)).unwrap_or(self.delivery.at)
    }

    /// The last part of the finding's name.
    pub(crate) fn id(&self) -> &'a str {
        self.text("/name").rsplit('/').next().unwrap_or_default()
    }

    /// What found it; `FINDING` where nobody says.
    pub(crate) fn module(&self) -> &'a str {
        match self.text("/moduleName") {
            "" => "FINDING",
            module => module,
        }
    }

    pub(crate) fn name(&self) -> &'a str {
        self.text("/name")
    }

    pub(crate) fn severity(&self) -> &'a str {
        match self.text("/severity") {
            "" => "SEVERITY_UNSPECIFIED",
            severity => severity,
        }
    }

    /// The script's path, else the binary's.
    pub(crate) fn path(&self) -> &'a str {
        match self.text("/processes/0/script/path") {
            "" => self.text("/processes/0/binary/path"),
            path => path,
        }
    }

    pub(crate) fn args(&self) -> Vec<&'a str> {
        self.list("/processes/0/args").iter().filter_map(Json::as_str).collect()
    }

    /// The hash of the script, of the whole file where it is known.
    pub(crate) fn script_sha256(&self) -> &'a str {
        match self.property("Script_SHA256") {
            whole if is_sha256(whole) => whole,
            _ => self.hash("/processes/0/script/sha256"),
        }
    }

    /// A hash, where it is one.
    pub(crate) fn hash(&self, pointer: &str) -> &'a str {
        let hash = self.text(pointer);
        if is_sha256(hash) { hash } else { "" }
    }

    /// Where it ran, in a few words.
    pub(crate) fn place(&self) -> String {
        let (namespace, pod) = (self.property("Pod_Namespace"), self.property("Pod_Name"));
        let container = match self.property("Container_Name") {
            "" => self.property("Container_Id_Short"),
            name => name,
        };
        let pod = [namespace, pod].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/");
        match (pod.as_str(), container) {
            ("", "") => self.property("VM_Instance_Name").to_owned(),
            ("", container) => format!("container {container}"),
            (pod, "") => pod.to_owned(),
            (pod, container) => format!("{pod}, container {container}"),
        }
    }

    /// The finding in one line.
    pub(crate) fn summary(&self) -> String {
        let place = match self.place() {
            place if place.is_empty() => place,
            place => format!(" in {place}"),
        };
        let path = match self.path() {
            "" => String::new(),
            path => format!(": {path}"),
        };
        let test = if self.is_test() { "TEST " } else { "" };
        format!("{test}{} {}{place}{path}", self.severity(), self.text("/category"))
    }

    /// Whether somebody tries the output.
    pub(crate) fn is_test(&self) -> bool {
        self.delivery.finding.pointer("/sourceProperties/Test") == Some(&Json::Bool(true))
    }

    /// MITRE's techniques as id and name, that of the finding first.
    pub(crate) fn techniques(&self) -> Vec<(&'a str, &'a str)> {
        let url = self.text("/sourceProperties/contextUris/mitreUri/url");
        let first = url.trim_end_matches('/').split_once("/techniques/").map(|(_, id)| id);
        let first = match first {
            Some("T1059") => Some(("T1059", "Command and Scripting Interpreter")),
            Some("T1562") => Some(("T1562", "Impair Defenses")),
            _ => None,
        };
        let others = self.list("/sourceProperties/contextUris/relatedMitreUris").iter();
        let others =
            others.filter_map(|one| one.get("displayName")?.as_str()?.split_once(' ')).filter(|(id, _)| {
                id.starts_with('T') && id[1..].bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
            });
        first.into_iter().chain(others).collect()
    }

    /// MITRE's tactics as id and name, that of the finding first.
    pub(crate) fn tactics(&self) -> Vec<(&'static str, &'static str)> {
        let primary = self.text("/mitreAttack/primaryTactic");
        let others = self.list("/mitreAttack/additionalTactics").iter().filter_map(Json::as_str);
        std::iter::once(primary).chain(others).filter_map(tactic).collect()
    }
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Id and name of a tactic of the protocol: <https://attack.mitre.org/tactics/enterprise/>.
fn tactic(name: &str) -> Option<(&'static str, &'static str)> {
    Some(match name {
        "RECONNAISSANCE" => ("TA0043", "Reconnaissance"),
        "RESOURCE_DEVELOPMENT" => ("TA0042", "Resource Development"),
        "INITIAL_ACCESS" => ("TA0001", "Initial Access"),
        "EXECUTION" => ("TA0002", "Execution"),
        "PERSISTENCE" => ("TA0003", "Persistence"),
        "PRIVILEGE_ESCALATION" => ("TA0004", "Privilege Escalation"),
        "DEFENSE_EVASION" => ("TA0005", "Defense Evasion"),
        "CREDENTIAL_ACCESS" => ("TA0006", "Credential Access"),
        "DISCOVERY" => ("TA0007", "Discovery"),
        "LATERAL_MOVEMENT" => ("TA0008", "Lateral Movement"),
        "COLLECTION" => ("TA0009", "Collection"),
        "EXFILTRATION" => ("TA0010", "Exfiltration"),
        "COMMAND_AND_CONTROL" => ("TA0011", "Command and Control"),
        "IMPACT" => ("TA0040", "Impact"),
        _ => return None,
    })
}
