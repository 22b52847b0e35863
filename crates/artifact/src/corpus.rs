//! Corpora: one JSON object on each line, with at least a `text`; compressed by zstd or plain.
//!
//! Owns: that each record gives exactly one item, in the order of the file, whatever its text.

use crate::item::{Item, Note, Script};
use crate::line::{LineEnd, read_line};
use crate::{Fault, Flow, Limits, Text, language};
use evidence::{Language, Untrusted};
use serde::Deserialize;
use serde_bytes::ByteBuf;
use serde_json::value::RawValue;
use std::io::BufRead;
use std::ops::ControlFlow::Continue;

/// A record's fields as JSON text. They are decoded one by one, since a string may escape half of a surrogate pair,
/// which is no error of the record.
#[derive(Deserialize)]
struct Record<'a> {
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    lang: Option<&'a RawValue>,
    #[serde(borrow)]
    language: Option<&'a RawValue>,
    #[serde(borrow)]
    path: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
}

/// How records become scripts.
pub(crate) struct Corpus<'a> {
    pub(crate) limits: &'a Limits,
    /// The file's name.
    pub(crate) name: &'a Untrusted,
    /// Overrides what the records say.
    pub(crate) language: Option<Language>,
}

impl Corpus<'_> {
    /// Hands over each record of the stream.
    pub(crate) fn read(&self, stream: &mut dyn BufRead, sink: &mut dyn FnMut(Item) -> Flow) -> Flow {
        let mut line = Vec::new();
        for number in 1.. {
            let item = match read_line(stream, self.limits.corpus_line, &mut line) {
                Ok(LineEnd::End) => break,
                Ok(LineEnd::Whole) if line.trim_ascii().is_empty() => continue,
                Ok(LineEnd::Whole) => self.item(&line, number),
                Ok(LineEnd::TooLong) => {
                    let limit = self.limits.corpus_line;
                    self.broken(Fault::line(number, format!("is longer than {limit} bytes")))
                }
                Err(error) => {
                    let what = format!("the file cannot be read from here on: {error}");
                    return sink(self.broken(Fault::line(number, what)));
                }
            };
            // A line of 64 MiB must not stay in memory for the rest of the corpus.
            line.shrink_to(1 << 20);
            sink(item)?;
        }
        Continue(())
    }

    fn broken(&self, fault: Fault) -> Item {
        Item::Unread { path: self.name.clone(), fault }
    }

    fn item(&self, line: &[u8], number: u64) -> Item {
        match self.script(line) {
            Ok(script) => Item::Script(script),
            Err(what) => self.broken(Fault::line(number, what)),
        }
    }

    fn script(&self, line: &[u8]) -> Result<Script, String> {
        let mut notes = Vec::new();
        let line = String::from_utf8_lossy(line);
        if let std::borrow::Cow::Owned(_) = line {
            notes.push(Note::Undecodable);
        }
        let line = line.trim_start_matches('\u{feff}');
        let record: Record<'_> =
            serde_json::from_str(line).map_err(|error| format!("is no record: {error}"))?;
        let text = record.text.ok_or("is no record: it has no `text`")?;
        let text = string(text).ok_or("is no record: its `text` is no string")?;
        let path = record.path.and_then(string).unwrap_or_default();
        let language = self.language_of(&record, &path, &text);
        let text = Text::of(text, self.limits.text);
        if text.omitted() > 0 {
            notes.push(Note::HeadAndTail { omitted: text.omitted(), size: text.size });
        }
        let id = record.id.map(|id| string(id).unwrap_or_else(|| id.get().as_bytes().to_vec()));
        Ok(Script { path: path.into(), id: id.map(Untrusted::from), language, text, notes })
    }

    fn language_of(&self, record: &Record<'_>, path: &[u8], text: &[u8]) -> Language {
        let said = record.lang.or(record.language).and_then(string).unwrap_or_default();
        self.language
            .or_else(|| language::of_word(&said))
            .or_else(|| language::of_name(path))
            .unwrap_or_else(|| language::guess(text))
    }
}

/// A JSON string as bytes. Half of a surrogate pair becomes the three bytes that UTF-8 would use for it, if it
/// allowed it (as Python's `surrogatepass` and WTF-8 do).
fn string(json: &RawValue) -> Option<Vec<u8>> {
    serde_json::from_str::<ByteBuf>(json.get())
        .ok()
        .filter(|_| json.get().starts_with('"'))
        .map(ByteBuf::into_vec)
}
