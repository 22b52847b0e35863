//! The evidence of one of urva's own findings, taken apart for its rows and put together again.

use crate::sql::Row;
use evidence::{
    Capture, Container, Content, Finding, FindingId, Metadata, Sha256, State, Subject, Timestamp, Untrusted,
};
use serde::{Deserialize, Serialize};
use sqlx::error::BoxDynError;

use crate::{from_sql, zip};

/// What the column `body` holds, as JSON that is compressed. Fields may be added with a default; none may go or change its meaning, since
/// rows outlive the binary that wrote them.
#[derive(Serialize, Deserialize)]
pub(crate) struct Body {
    /// Without text, container, and the argument that is the text.
    pub(crate) finding: Finding,
    /// Where in the stored text the head of a cut one ends.
    head_bytes: usize,
    /// Whether the argument that the script names is its text, and was left out as well.
    #[serde(default)]
    text_is_argument: bool,
}

impl Body {
    /// What a row holds.
    pub(crate) fn read(packed: &[u8]) -> Result<Self, BoxDynError> {
        Ok(serde_json::from_slice(&zip::unpack(packed)?)?)
    }

    /// Whether `later` is of the same streamed execution, and its text longer than this one, of which `kept` bytes are there.
    pub(crate) fn has_grown(&self, kept: Option<u64>, later: &Finding) -> bool {
        let (Some(old), Some(new)) = (self.finding.script(), later.script()) else { return false };
        let (old, new) = (&old.capture.script, &new.capture.script);
        let size = match (&old.content, kept) {
            (Content::Whole(_), Some(kept)) => Some(kept),
            (Content::HeadAndTail { omitted, .. }, Some(kept)) => {
                (kept >= self.head_bytes as u64).then(|| kept.saturating_add(*omitted))
            }
            _ => None,
        };
        new.is_streamed() && old.is_streamed() && size.is_none_or(|size| new.size() > Some(size))
    }
}

/// A finding as its columns want it.
pub(crate) struct Parts {
    pub(crate) body: Vec<u8>,
    /// None for a script whose text was not captured.
    pub(crate) text: Option<Vec<u8>>,
}

impl Parts {
    pub(crate) fn of(finding: &Finding) -> Result<Self, sqlx::Error> {
        let mut finding = finding.clone();
        *finding.container_mut() = None;
        let (mut text_is_argument, mut text, mut head_bytes) = (false, None, 0);
        keep_numbers_finite(&mut finding);
        if let Subject::Script(judged) = &mut finding.subject {
            text_is_argument = take_argument(&mut judged.capture);
            (text, head_bytes) = take_text(&mut judged.capture.script.content);
        }
        let body = Body { finding, head_bytes, text_is_argument };
        Ok(Self { body: zip::pack(to_json(&body)?.as_bytes())?, text })
    }
}

/// The row of one finding, as [`read`] wants it.
pub(crate) const SELECT: &str = "SELECT id, state, create_time, event_time, count, content_sha256, container, body, text,
         CAST(document AS TEXT) AS document
     FROM findings JOIN documents ON finding = seq LEFT JOIN scripts ON sha256 = content_sha256 WHERE seq = $1";

/// Puts a finding together from a row of [`SELECT`].
pub(crate) fn read(row: &Row) -> Result<Finding, BoxDynError> {
    let body: Vec<u8> = row.get("body")?;
    let text: Option<Vec<u8>> = row.get("text")?;
    let text = text.map(|text| zip::unpack(&text)).transpose()?;
    put_together(Body::read(&body)?, text, row)
}

/// The same of what [`Body::read`] gave, and of the text.
pub(crate) fn put_together(body: Body, text: Option<Vec<u8>>, row: &Row) -> Result<Finding, BoxDynError> {
    let Body { mut finding, head_bytes, text_is_argument } = body;
    if let Subject::Script(judged) = &mut finding.subject {
        put_text(&mut judged.capture.script.content, text, head_bytes)?;
        if text_is_argument {
            put_argument(&mut judged.capture);
        }
    }
    let container: Option<String> = row.get("container")?;
    *finding.container_mut() = container.as_deref().map(serde_json::from_str).transpose()?;
    finding.id = FindingId::parse(&row.get::<String>("id")?).ok_or("its id is not hexadecimal")?;
    finding.state = state(&row.get::<String>("state")?)?;
    finding.first_seen = Timestamp(from_sql(row.get("create_time")?));
    finding.last_seen = Timestamp(from_sql(row.get("event_time")?));
    finding.count = from_sql(row.get("count")?);
    let digest: Vec<u8> = row.get("content_sha256")?;
    finding.content_sha256 = Sha256(digest.as_slice().try_into()?);
    Ok(finding)
}

/// JSON of a value that is stored. It fails for no value that `evidence` can hold.
pub(crate) fn to_json(value: &impl Serialize) -> Result<String, sqlx::Error> {
    serde_json::to_string(value).map_err(|error| sqlx::Error::Encode(error.into()))
}

pub(crate) fn from_json<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, sqlx::Error> {
    serde_json::from_str(json).map_err(|error| sqlx::Error::Decode(error.into()))
}

/// How much is known of a container, as the column `metadata` has it: less never replaces more.
pub(crate) fn metadata_rank(container: Option<&Container>) -> i64 {
    match container.map(|container| &container.metadata) {
        Some(Metadata::Pending) => 0,
        Some(Metadata::Missing(_)) => 1,
        Some(Metadata::Complete) | None => 2,
    }
}

/// What the known capture of an execution lacks; a report of the same execution replaces it where it lacks less.
pub(crate) fn lacks(finding: &Finding) -> (usize, u64) {
    let Some(judged) = finding.script() else { return (0, 0) };
    let capture = &judged.capture;
    let executable = &capture.process.executable;
    let file = capture.script.file.as_ref();
    let hash_is_missing = file.is_some_and(|file| file.sha256.is_none());
    let missing = [executable.size.is_none(), executable.sha256.is_none(), hash_is_missing];
    let unhashed = file.map_or(0, |file| file.identity.size.saturating_sub(file.hashed_size));
    (capture.coverage.len() + missing.iter().filter(|missing| **missing).count(), unhashed)
}

pub(crate) fn state(name: &str) -> Result<State, BoxDynError> {
    [State::Active, State::Inactive]
        .into_iter()
        .find(|state| state.as_str() == name)
        .ok_or_else(|| "its state is unknown".into())
}

/// JSON has no word for infinity and writes it as null, which is no number when read back.
pub(crate) fn keep_numbers_finite(finding: &mut Finding) {
    let Some(judged) = finding.script_mut() else { return };
    let verdict = &mut judged.verdict;
    let weights = verdict.reasons.iter_mut().map(|reason| &mut reason.weight);
    let scores = judged.layers.iter_mut().map(|layer| &mut layer.score);
    for number in weights.chain(scores).chain([&mut verdict.score, &mut verdict.threshold]) {
        if number.is_nan() {
            *number = 0.0;
        }
        *number = number.clamp(f32::MIN, f32::MAX);
    }
}

fn take_text(content: &mut Content) -> (Option<Vec<u8>>, usize) {
    match content {
        Content::Whole(text) => (Some(std::mem::take(&mut text.0)), 0),
        Content::HeadAndTail { head, tail, .. } => {
            let mut text = std::mem::take(&mut head.0);
            let head_bytes = text.len();
            text.append(&mut tail.0);
            (Some(text), head_bytes)
        }
        Content::NotCaptured(_) => (None, 0),
    }
}

fn put_text(content: &mut Content, text: Option<Vec<u8>>, head_bytes: usize) -> Result<(), BoxDynError> {
    match (content, text) {
        (Content::NotCaptured(_), _) => {}
        (_, None) => return Err("its text is missing".into()),
        (Content::Whole(whole), Some(text)) => *whole = Untrusted(text),
        (Content::HeadAndTail { head, tail, .. }, Some(mut text)) => {
            if head_bytes > text.len() {
                return Err("its text is shorter than its head".into());
            }
            *tail = Untrusted(text.split_off(head_bytes));
            *head = Untrusted(text);
        }
    }
    Ok(())
}

/// The text of an inline script stands in the arguments too; it is stored once.
fn take_argument(capture: &mut Capture) -> bool {
    let Some(index) = capture.script.text_argument else { return false };
    match (capture.process.args.get_mut(index), &capture.script.content) {
        (Some(argument), Content::Whole(text)) if argument == text => {
            argument.0 = Vec::new();
            true
        }
        _ => false,
    }
}

fn put_argument(capture: &mut Capture) {
    let argument = capture.script.text_argument.and_then(|index| capture.process.args.get_mut(index));
    if let (Some(argument), Content::Whole(text)) = (argument, &capture.script.content) {
        argument.clone_from(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As version 1 wrote it, with fields that a later one might add.
    const BODY: &str = include_str!("../testdata/body-1.json");

    #[test]
    fn a_body_is_read_by_each_later_version_and_fields_that_are_unknown_do_no_harm() {
        let body: Body = from_json(BODY).unwrap();
        let process = &body.finding.script().unwrap().capture.process;
        assert_eq!(process.pid, 4_242);
        assert_eq!(process.args[1].0, [0xff, 0, 10]);
        assert_eq!((body.head_bytes, body.text_is_argument), (1_024, false));
    }
}
