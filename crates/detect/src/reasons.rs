//! Reasons: the lines of the decisive window that weigh most, each in an analyst's words where an
//! indicator names it.
//!
//! Owns: which lines are shown and how they are called. Refuses: the label, which is settled before.

use crate::Peak;
use crate::features::Extractor;
use crate::indicator_table::{FETCHES, READS_WEB, WRITES_BINARY, Worth};
use crate::indicators::{Indicators, Marks, indicator};
use crate::model::Scorer;
use crate::text::Piece;
use evidence::{Language, Reason, Technique};

/// Most reasons that a verdict has.
pub(crate) const MOST_REASONS: usize = 8;

/// Most reasons that only the model's weights give: without words of its own, more of them say nothing more.
const MOST_UNNAMED: usize = 2;

/// Most characters of an excerpt.
const LONGEST_EXCERPT: usize = 200;

/// Most pieces that are looked at. The window of a large whole text is cut here; its head is shown.
const MOST_PIECES: usize = 4096;

/// The reasons, heaviest first; at least one where the window has a line.
pub(crate) fn find(
    scorer: &Scorer,
    indicators: &Indicators,
    language: Language,
    (head, tail): (&[u8], &[u8]),
    peak: Peak,
) -> Vec<Reason> {
    let (start, end) = peak.pieces;
    let mut found = Found { language, named: Vec::new(), unnamed: Vec::new(), reads_web: None, writes: None };
    Extractor::new(language, indicators).pieces_of(
        (head, tail),
        (start, end.min(start.saturating_add(MOST_PIECES))),
        &mut |piece, marks, buckets| {
            let weight =
                buckets.iter().map(|&bucket| peak.values.of_bucket(bucket) * scorer.weight(bucket)).sum();
            found.add(piece, marks, weight);
        },
    );
    found.heaviest_first()
}

struct Found {
    language: Language,
    named: Vec<Reason>,
    unnamed: Vec<Reason>,
    reads_web: Option<f32>,
    writes: Option<Reason>,
}

impl Found {
    fn add(&mut self, piece: Piece<'_>, marks: Marks, weight: f32) {
        let mut is_named = false;
        for row in marks.iter().filter_map(indicator) {
            let reason = reason(row.words, row.technique, piece, weight.max(0.0));
            match row.words {
                READS_WEB => self.reads_web = Some(weight),
                WRITES_BINARY => self.writes = Some(reason.clone()),
                _ => {}
            }
            if row.worth == Worth::Telling || weight > 0.0 {
                is_named = true;
                self.name(reason);
            }
        }
        if !is_named && weight > 0.0 && !piece.bytes.trim_ascii().is_empty() {
            let words = match self.language {
                Language::Python => "typical of malicious Python",
                Language::Shell => "typical of malicious shell scripts",
            };
            self.unnamed.push(reason(words, None, piece, weight));
        }
    }

    /// Keeps the heaviest line for each indicator.
    fn name(&mut self, reason: Reason) {
        match self.named.iter_mut().find(|known| known.indicator == reason.indicator) {
            Some(known) if known.weight >= reason.weight => {}
            Some(known) => *known = reason,
            None => self.named.push(reason),
        }
    }

    fn heaviest_first(mut self) -> Vec<Reason> {
        if let (Some(_), Some(written)) = (self.reads_web, self.writes.take()) {
            let technique = Some(Technique::IngressToolTransfer);
            self.name(Reason { indicator: FETCHES.to_owned(), technique, ..written });
        }
        let by_weight = |a: &Reason, b: &Reason| b.weight.total_cmp(&a.weight);
        self.unnamed.sort_by(by_weight);
        self.unnamed.truncate(MOST_UNNAMED);
        self.named.sort_by(by_weight);
        keep_ingress(&mut self.named);
        self.named.truncate(MOST_REASONS - self.unnamed.len());
        self.named.append(&mut self.unnamed);
        self.named.sort_by(by_weight);
        self.named
    }
}

/// A finding names the transfer of tools wherever a script shows it, so that reason is not cut off.
fn keep_ingress(reasons: &mut [Reason]) {
    let last_kept = MOST_REASONS - MOST_UNNAMED - 1;
    let at = reasons.iter().position(|one| one.technique == Some(Technique::IngressToolTransfer));
    if let Some(at) = at.filter(|&at| at > last_kept) {
        reasons.swap(at, last_kept);
    }
}

fn reason(words: &str, technique: Option<Technique>, piece: Piece<'_>, weight: f32) -> Reason {
    let text = String::from_utf8_lossy(piece.bytes.trim_ascii());
    let excerpt = text.chars().take(LONGEST_EXCERPT).collect();
    Reason {
        indicator: words.to_owned(),
        line: piece.line,
        end_line: None,
        layer: None,
        excerpt,
        weight,
        technique,
    }
}
