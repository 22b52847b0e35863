//! SARIF 2.1.0: a result for each script that was found, a rule for each indicator, a notification for whatever
//! could not be read. Results are written as they come; the rules, which only then are known, stand behind them.

use super::Report;
use super::jsonl::{coverage, word};
use super::outcome::{Outcome, Summary};
use crate::output;
use anyhow::Result;
use artifact::Script;
use evidence::{Label, Reason, Technique, Untrusted, Verdict};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufWriter, Stdout, Write};

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// Where a rule without a technique is explained.
const HELP: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/blob/main/docs/detection.md");

/// Notifications that are kept; all are counted.
const NOTIFICATIONS: usize = 1000;

/// Rule of a script that has no reasons.
const NO_REASON: &str = "resembles malicious scripts";

pub(super) struct Sarif {
    out: BufWriter<Stdout>,
    results: u64,
    rules: BTreeMap<String, Rule>,
    notifications: Vec<Value>,
}

#[derive(Serialize)]
struct Rule {
    id: String,
    #[serde(rename = "shortDescription")]
    short_description: Value,
    #[serde(rename = "helpUri")]
    help_uri: String,
    properties: Value,
}

impl Sarif {
    pub(super) fn new() -> Self {
        let out = BufWriter::with_capacity(1 << 16, std::io::stdout());
        Self { out, results: 0, rules: BTreeMap::new(), notifications: Vec::new() }
    }

    fn rule(&mut self, indicator: &str, technique: Option<Technique>) -> String {
        let id = rule_id(indicator);
        self.rules.entry(id.clone()).or_insert_with(|| Rule {
            id: id.clone(),
            short_description: text(indicator),
            help_uri: technique.map_or_else(|| HELP.to_owned(), Technique::url),
            properties: match technique {
                Some(technique) => json!({ "tags": ["security", technique.id()] }),
                None => json!({ "tags": ["security"] }),
            },
        });
        id
    }

    fn result(&mut self, script: &Script, verdict: &Verdict) -> Value {
        for reason in &verdict.reasons {
            self.rule(&reason.indicator, reason.technique);
        }
        let first = verdict.reasons.first();
        let rule = match first {
            Some(reason) => rule_id(&reason.indicator),
            None => self.rule(NO_REASON, None),
        };
        let uri = uri(&script.path);
        let mut result = json!({
            "ruleId": rule,
            "level": if verdict.label == Label::Malicious { "error" } else { "warning" },
            "message": text(&message(verdict)),
            "locations": [location(&uri, first)],
            "partialFingerprints": { "scriptSha256/v1": script.text.sha256.to_string() },
            "properties": {
                "verdict": word(verdict.label),
                "score": verdict.score,
                "language": verdict.language,
                "model": verdict.model,
                "size": script.text.size,
                "coverage": coverage(script, verdict),
            },
        });
        let related: Vec<Value> =
            verdict.reasons.iter().skip(1).map(|reason| related(&uri, reason)).collect();
        if let (false, Some(fields)) = (related.is_empty(), result.as_object_mut()) {
            fields.insert("relatedLocations".to_owned(), related.into());
        }
        result
    }

    fn begin(&mut self) -> std::io::Result<()> {
        let head = format!("{{\"$schema\":\"{SCHEMA}\",\"version\":\"2.1.0\",\"runs\":[{{\"results\":[\n");
        self.out.write_all(head.as_bytes())
    }
}

impl Report for Sarif {
    fn write(&mut self, outcome: &Outcome) -> Result<()> {
        match outcome {
            Outcome::Judged(judged) if judged.1.label != Label::Benign => {
                let result = self.result(&judged.0, &judged.1);
                match self.results {
                    0 => self.begin()?,
                    _ => self.out.write_all(b",")?,
                }
                self.results += 1;
                output::write_json_line(&mut self.out, &result)?;
            }
            Outcome::Unread { path, error, .. } if self.notifications.len() < NOTIFICATIONS => {
                self.notifications.push(json!({
                    "level": "error",
                    "message": text(error),
                    "locations": [location(&uri(path), None)],
                }));
            }
            Outcome::Judged(_) | Outcome::Unread { .. } | Outcome::Skipped(_) => {}
        }
        Ok(())
    }

    fn finish(&mut self, summary: &Summary) -> Result<()> {
        if self.results == 0 {
            self.begin()?;
        }
        let rules = std::mem::take(&mut self.rules).into_values().collect::<Vec<_>>();
        let driver = json!({
            "name": "urva",
            "version": env!("CARGO_PKG_VERSION"),
            "semanticVersion": env!("CARGO_PKG_VERSION"),
            "informationUri": env!("CARGO_PKG_REPOSITORY"),
            "rules": rules,
        });
        let invocation = json!({
            "executionSuccessful": summary.unread == 0,
            "toolExecutionNotifications": std::mem::take(&mut self.notifications),
        });
        self.out.write_all(b"],\"tool\":{\"driver\":\n")?;
        output::write_json_line(&mut self.out, &driver)?;
        self.out.write_all(b"},\"invocations\":[\n")?;
        output::write_json_line(&mut self.out, &invocation)?;
        self.out.write_all(b"]}]}\n")?;
        Ok(self.out.flush()?)
    }
}

fn text(words: &str) -> Value {
    json!({ "text": words })
}

fn message(verdict: &Verdict) -> String {
    let label = word(verdict.label);
    let reasons: Vec<&str> = verdict.reasons.iter().map(|reason| reason.indicator.as_str()).collect();
    let why = if reasons.is_empty() { NO_REASON.to_owned() } else { reasons.join("; ") };
    format!("{label} {} script, score {}: {why}", verdict.language, verdict.score)
}

/// Where a reason stands. Lines of a decoded layer are none of the file's.
fn location(uri: &str, reason: Option<&Reason>) -> Value {
    let mut physical = json!({ "artifactLocation": { "uri": uri } });
    if let Some((reason, line)) = reason.and_then(|it| Some((it, it.own_line()?))) {
        let region = json!({
            "startLine": line.max(1),
            "endLine": reason.end_line.unwrap_or(line).max(line).max(1),
            "snippet": text(&reason.excerpt),
        });
        physical["region"] = region;
    }
    json!({ "physicalLocation": physical })
}

fn related(uri: &str, reason: &Reason) -> Value {
    let mut place = location(uri, Some(reason));
    place["message"] = text(&reason.indicator);
    place
}

/// The indicator's words as an id that stays.
fn rule_id(indicator: &str) -> String {
    let words = indicator.split(|character: char| !character.is_ascii_alphanumeric());
    let words: Vec<String> = words.filter(|word| !word.is_empty()).map(str::to_ascii_lowercase).collect();
    if words.is_empty() { "unnamed".to_owned() } else { words.join("-") }
}

/// A path as a reference of RFC 3986: relative where the path is, else with the scheme `file`.
fn uri(path: &Untrusted) -> String {
    use std::fmt::Write as _;
    let mut uri = if path.starts_with(b"/") { "file://".to_owned() } else { String::new() };
    for &byte in path.iter() {
        if byte.is_ascii_alphanumeric() || b"/-._~!".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_references() {
        let check = |path: &[u8], expected: &str| assert_eq!(uri(&Untrusted::from(path)), expected);
        check(b"a/b c.py", "a/b%20c.py");
        check(b"/tmp/x.sh", "file:///tmp/x.sh");
        check(b"image.tar!/sha256:ab!/../\xff\x1b", "image.tar!/sha256%3Aab!/../%FF%1B");
    }

    #[test]
    fn rules_are_named_by_the_words_of_an_indicator() {
        assert_eq!(rule_id("connects a shell to a socket"), "connects-a-shell-to-a-socket");
        assert_eq!(rule_id("  "), "unnamed");
    }
}
