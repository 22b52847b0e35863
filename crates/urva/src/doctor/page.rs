//! Writes the rows for people: a mark, the name, what was found, and below it what to do.

use super::{Row, State};
use anstyle::{AnsiColor, Style};
use evidence::text::escape;
use unicode_width::UnicodeWidthStr;

/// Columns of the longest mark.
const MARK_COLUMNS: usize = 13;
/// Names that are longer are followed by what was found on a line of its own.
const NAME_COLUMNS: usize = 24;
/// Columns before what was found.
const INDENT: usize = MARK_COLUMNS + 2 + NAME_COLUMNS + 2;

/// The rows on lines of at most `width` columns where words allow it.
pub(super) fn page(rows: &[Row], width: usize) -> String {
    let mut page = String::new();
    for (at, row) in rows.iter().enumerate() {
        let next = rows.get(at + 1).and_then(|row| row.remedy.as_ref());
        // Several rows with one remedy have it once, below the last.
        let remedy = row.remedy.as_ref().filter(|remedy| Some(*remedy) != next);
        write_row(&mut page, row, remedy.map(String::as_str), width);
    }
    page.push('\n');
    page += &verdict(rows);
    page
}

fn write_row(page: &mut String, row: &Row, remedy: Option<&str>, width: usize) {
    let (mark, style) = match row.state {
        State::Ok => ("ok", AnsiColor::Green.on_default()),
        State::NotAvailable => ("not available", AnsiColor::Yellow.on_default()),
        State::Fails => ("FAILS", AnsiColor::Red.on_default().bold()),
    };
    let name = escape(row.name.as_bytes()).to_string();
    let space = |used: usize, columns: usize| " ".repeat(columns.saturating_sub(used));
    *page += &format!("{style}{mark}{style:#}{}  {name}", space(mark.len(), MARK_COLUMNS));
    if name.width() > NAME_COLUMNS {
        *page += &format!("\n{}", " ".repeat(INDENT));
    } else {
        *page += &format!("{}  ", space(name.width(), NAME_COLUMNS));
    }
    write_wrapped(page, &row.found, Style::new(), width);
    if let Some(remedy) = remedy {
        *page += &" ".repeat(INDENT);
        write_wrapped(page, &format!("→ {remedy}"), Style::new().bold(), width);
    }
}

/// Writes text from the column [`INDENT`] on, broken at spaces.
fn write_wrapped(page: &mut String, text: &str, style: Style, width: usize) {
    let room = width.saturating_sub(INDENT).max(30);
    let mut lines: Vec<String> = vec![String::new()];
    for word in escape(text.as_bytes()).to_string().split(' ') {
        let Some(line) = lines.last_mut() else { return };
        if line.is_empty() {
            line.push_str(word);
        } else if line.width() + 1 + word.width() <= room {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    let between = format!("{style:#}\n{}{style}", " ".repeat(INDENT));
    *page += &format!("{style}{}{style:#}\n", lines.join(&between));
}

fn verdict(rows: &[Row]) -> String {
    let named = |state: State| {
        let names = rows.iter().filter(|row| row.state == state).map(|row| row.name.as_str());
        escape(names.collect::<Vec<_>>().join(", ").as_bytes()).to_string()
    };
    match (named(State::Fails), named(State::NotAvailable)) {
        (fails, _) if !fails.is_empty() => format!("urva cannot watch this host yet: {fails}.\n"),
        (_, missing) if !missing.is_empty() => {
            format!("Everything that urva needs works here. It does without: {missing}.\n")
        }
        _ => "Everything works here.\n".to_owned(),
    }
}
