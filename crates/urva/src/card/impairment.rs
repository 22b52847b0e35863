//! The part of a card that says what kept urva from seeing.

use super::{Sheet, TEXT_LIMIT, fit, shown_text, when};
use evidence::scc::Place;
use evidence::{Finding, Gap, Technique, guidance};

/// What happened, where and when.
pub(super) fn fields(sheet: &mut Sheet, finding: &Finding, gap: &Gap, place: &Place) {
    sheet.section("What happened");
    sheet.field("urva", &fit(&guidance::impairment(gap), TEXT_LIMIT));
    sheet.field("kind", gap.kind.as_str());
    sheet.field("unseen", &format!("from {} to {}", gap.from, gap.to));
    sheet
        .field("lost", &gap.lost.map_or_else(|| "not known".to_owned(), |lost| format!("{lost} executions")));
    sheet.section("Where");
    sheet.field("node", &shown_text(&place.node));
    when(sheet, finding, &[]);
    sheet.section("Links");
    let technique = Technique::ImpairDefenses;
    sheet.field("MITRE", &format!("{} {}", technique.url(), technique.name()));
}
