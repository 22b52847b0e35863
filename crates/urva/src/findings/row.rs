//! What a list says of a finding of any source: read from its document, escaped.

use crate::card::{seconds, shown_text};
use evidence::Timestamp;
use serde_json::Value;
use store::Stored;

/// Digits of an id that a list shows; enough for any number of findings that a store keeps.
const ID_DIGITS: usize = 12;

/// A finding and its resource.
pub(super) struct Row<'a> {
    stored: &'a Stored,
}

impl<'a> Row<'a> {
    pub(super) fn of(stored: &'a Stored) -> Self {
        Self { stored }
    }

    /// A text at the top of the finding, as `category`; empty where there is none.
    pub(super) fn text(&self, field: &str) -> &'a str {
        self.stored.document.get(field).and_then(Value::as_str).unwrap_or_default()
    }

    /// A property that urva's own findings have; of others it may be anything.
    pub(super) fn property(&self, name: &str) -> Option<&'a str> {
        self.stored.document.get("sourceProperties")?.get(name)?.as_str()
    }

    /// When it was last seen, in whole seconds.
    pub(super) fn last_seen(&self) -> String {
        let time = self.text("eventTime");
        Timestamp::parse(time).map_or_else(|| shown_text(time), seconds)
    }

    /// How often it was seen.
    pub(super) fn count(&self) -> String {
        shown_text(self.property("Execution_Count").unwrap_or("1"))
    }

    /// How malicious it is, where something was judged.
    pub(super) fn score(&self) -> Option<String> {
        let score = self.stored.document.get("sourceProperties")?.get("Score")?.as_f64()?;
        Some(format!("{score:.3}"))
    }

    /// What people made of it, in a word.
    pub(super) fn state(&self) -> &'static str {
        match (self.text("state"), self.text("mute")) {
            ("INACTIVE", _) => "closed",
            (_, "MUTED") => "muted",
            _ => "open",
        }
    }

    /// `namespace/pod/container` or as much of that as is known; of other sources the resource.
    pub(super) fn location(&self) -> String {
        let container = self.property("Container_Name").or_else(|| {
            let id = self.property("Container_Id")?;
            // Plain runc's ids are names that somebody chose.
            if id.len() == 64 { self.property("Container_Id_Short") } else { Some(id) }
        });
        let parts = [self.property("Pod_Namespace"), self.property("Pod_Name"), container];
        let parts: Vec<String> = parts.into_iter().flatten().map(shown_text).collect();
        match (parts.is_empty(), self.property("VM_Instance_Name")) {
            (false, _) => parts.join("/"),
            (true, Some(_)) => "host".to_owned(),
            (true, None) => shown_text(self.text("resourceName")),
        }
    }

    /// What it is about, in a few words.
    pub(super) fn subject(&self) -> String {
        let script = self.stored.document.pointer("/processes/0/script");
        let of_script = |field: &str| script?.get(field)?.as_str();
        match self.property("Script_Kind") {
            Some("FILE") if of_script("path").is_some() => {
                of_script("path").map(shown_text).unwrap_or_default()
            }
            Some("MODULE") if self.property("Script_Module").is_some() => {
                format!("-m {}", self.property("Script_Module").map(shown_text).unwrap_or_default())
            }
            Some("INLINE") => format!(
                "-c {}",
                of_script("contents").map(|text| shown_text(text.trim())).unwrap_or_default()
            ),
            Some(kind) => format!("({})", shown_text(&kind.to_ascii_lowercase())),
            None => shown_text(self.property("Gap_Description").unwrap_or(self.text("description"))),
        }
    }

    /// The beginning of its id.
    pub(super) fn id(&self) -> String {
        shown_text(&self.stored.id.chars().take(ID_DIGITS).collect::<String>())
    }
}
