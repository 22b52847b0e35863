//! One JSON object for each script and for each thing that could not be read.

use super::Report;
use super::outcome::{Outcome, Summary};
use crate::output;
use anyhow::Result;
use artifact::Script;
use evidence::text::escape;
use evidence::{Label, Language, Sha256, Untrusted, Verdict};
use serde::Serialize;
use std::io::{BufWriter, Stdout, Write};

pub(super) struct JsonLines {
    out: BufWriter<Stdout>,
}

#[derive(Serialize)]
struct Line<'a> {
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    language: Language,
    sha256: String,
    size: u64,
    verdict: &'static str,
    score: f32,
    threshold: f32,
    layers: Vec<LayerLine<'a>>,
    reasons: Vec<ReasonLine<'a>>,
    model: &'a str,
    coverage: String,
}

#[derive(Serialize)]
struct LayerLine<'a> {
    origin: &'a str,
    parent: Option<u32>,
    language: Language,
    sha256: Sha256Text,
    size: u64,
    score: f32,
}

#[derive(Serialize)]
struct ReasonLine<'a> {
    line: Option<u32>,
    end_line: Option<u32>,
    layer: Option<u32>,
    indicator: &'a str,
    technique: Option<&'static str>,
    weight: f32,
    text: &'a str,
}

#[derive(Serialize)]
struct ErrorLine<'a> {
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    error: &'a str,
}

struct Sha256Text(Sha256);

impl Serialize for Sha256Text {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl JsonLines {
    pub(super) fn new() -> Self {
        Self { out: BufWriter::with_capacity(1 << 16, std::io::stdout()) }
    }
}

impl Report for JsonLines {
    fn write(&mut self, outcome: &Outcome) -> Result<()> {
        match outcome {
            Outcome::Judged(judged) => output::write_json_line(&mut self.out, &line(&judged.0, &judged.1))?,
            Outcome::Unread { path, id, error } => {
                let line = ErrorLine { path: name(path), id: id.as_ref().map(name), error };
                output::write_json_line(&mut self.out, &line)?;
            }
            Outcome::Skipped(_) => {}
        }
        Ok(())
    }

    fn finish(&mut self, _: &Summary) -> Result<()> {
        Ok(self.out.flush()?)
    }
}

fn line<'a>(script: &Script, verdict: &'a Verdict) -> Line<'a> {
    let layers = verdict.layers.iter().map(|layer| LayerLine {
        origin: &layer.origin,
        parent: layer.parent,
        language: layer.language,
        sha256: Sha256Text(layer.sha256),
        size: layer.size,
        score: layer.score,
    });
    let reasons = verdict.reasons.iter().map(|reason| ReasonLine {
        line: reason.line,
        end_line: reason.end_line.or(reason.line),
        layer: reason.layer,
        indicator: &reason.indicator,
        technique: reason.technique.map(|technique| technique.id()),
        weight: reason.weight,
        text: &reason.excerpt,
    });
    Line {
        path: name(&script.path),
        id: script.id.as_ref().map(name),
        language: verdict.language,
        sha256: script.text.sha256.to_string(),
        size: script.text.size,
        verdict: word(verdict.label),
        score: verdict.score,
        threshold: verdict.threshold,
        layers: layers.collect(),
        reasons: reasons.collect(),
        model: &verdict.model,
        coverage: coverage(script, verdict),
    }
}

/// A name as it is where it is UTF-8, else with its odd bytes escaped, so that names that differ stay apart.
pub(super) fn name(bytes: &Untrusted) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => escape(bytes).to_string(),
    }
}

/// What is missing in a text and in its verdict, in words.
pub(super) fn coverage(script: &Script, verdict: &Verdict) -> String {
    let notes = script.notes.iter().map(ToString::to_string);
    let notes: Vec<String> = notes.chain(verdict.unseen.iter().map(ToString::to_string)).collect();
    if notes.is_empty() { "complete".to_owned() } else { notes.join("; ") }
}

pub(super) fn word(label: Label) -> &'static str {
    match label {
        Label::Malicious => "malicious",
        Label::Suspicious => "suspicious",
        Label::Benign => "benign",
    }
}
