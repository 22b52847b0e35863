//! The lines of a script around the reasons, numbered, the ones that are reasons marked.

use super::sheet::{DIM, Sheet, YELLOW, fit, paint};
use evidence::text::escape;
use evidence::{Content, Reason};
use std::collections::BTreeSet;

/// Lines before and after a marked one.
const CONTEXT: usize = 2;

/// Lines of one excerpt.
const LINES_LIMIT: usize = 40;

/// Lines that are shown of a text in which no line is a reason.
const BEGINNING: usize = 12;

/// Columns of the number and the bar before a line.
const MARGIN: usize = 11;

/// Writes the excerpt. Lines are counted in the text's head; reasons in the tail of a cut text have no number.
pub(super) fn excerpt(sheet: &mut Sheet, content: &Content, reasons: &[Reason]) {
    let (head, _) = content.parts();
    if head.is_empty() {
        return;
    }
    let marked: BTreeSet<usize> =
        reasons.iter().filter_map(Reason::own_line).filter_map(|line| usize::try_from(line).ok()).collect();
    let chosen = chosen_lines(&marked);
    sheet.line("");
    let mut shown = 0;
    let mut last = 0;
    let mut total = 0;
    for (index, line) in lines(head).enumerate() {
        let number = index + 1;
        total = number;
        if shown >= LINES_LIMIT || !chosen.contains(&number) {
            continue;
        }
        if last > 0 && number > last + 1 {
            sheet.line(&paint(DIM, "         ⋮"));
        }
        sheet.line(&source_line(number, line, marked.contains(&number), sheet.width()));
        shown += 1;
        last = number;
    }
    let rest = match (total - last, content) {
        (0, Content::HeadAndTail { tail, .. }) => {
            format!("⋮ a part that was not captured, then the last {} bytes", tail.len())
        }
        (0, _) => return,
        (more, Content::HeadAndTail { tail, .. }) => {
            format!(
                "⋮ {more} more lines, then a part that was not captured, then the last {} bytes",
                tail.len()
            )
        }
        (more, _) => format!("⋮ {more} more lines"),
    };
    sheet.line(&paint(DIM, &format!("         {rest}")));
}

fn source_line(number: usize, line: &[u8], is_marked: bool, width: usize) -> String {
    let columns = width.saturating_sub(MARGIN);
    // Each byte takes at most ten columns when it is escaped, and at least a quarter of one when it is not.
    let visible = &line[..line.len().min(4 * columns)];
    let text = fit(&escape(&expand_tabs(visible)).to_string(), columns);
    if is_marked {
        format!("{} {}", paint(YELLOW, &format!("> {number:>6} │")), paint(YELLOW, &text))
    } else {
        format!("{} {text}", paint(DIM, &format!("  {number:>6} │")))
    }
}

fn chosen_lines(marked: &BTreeSet<usize>) -> BTreeSet<usize> {
    if marked.is_empty() {
        return (1..=BEGINNING).collect();
    }
    marked
        .iter()
        .take(LINES_LIMIT)
        .flat_map(|line| line.saturating_sub(CONTEXT)..=line.saturating_add(CONTEXT))
        .collect()
}

/// The lines of a text; a line end at its end begins no further one.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    text.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}

fn expand_tabs(line: &[u8]) -> Vec<u8> {
    line.iter()
        .flat_map(|byte| if *byte == b'\t' { &b"    "[..] } else { std::slice::from_ref(byte) })
        .copied()
        .collect()
}
