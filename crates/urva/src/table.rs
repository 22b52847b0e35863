//! Tables on the terminal: aligned columns, of which some give way where the terminal is narrow.
//!
//! Refuses: escaping. What goes into a cell is escaped by whoever knows where it comes from.

use crate::card::fit;
use anstyle::{AnsiColor, Style};
use unicode_width::UnicodeWidthStr;

const HEADER: Style = AnsiColor::Yellow.on_default().bold();

/// Blanks between two columns.
const GAP: usize = 2;

/// A column of a table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column<'a> {
    title: &'a str,
    /// Numbers end at the same column.
    is_number: bool,
    /// What it keeps at least where it may give way.
    least: Option<usize>,
}

impl<'a> Column<'a> {
    /// A column of texts that are shown whole.
    pub(crate) const fn text(title: &'a str) -> Self {
        Self { title, is_number: false, least: None }
    }

    /// A column of numbers.
    pub(crate) const fn number(title: &'a str) -> Self {
        Self { title, is_number: true, least: None }
    }

    /// A column of texts that are cut where there is not room for all, down to so many columns of the terminal.
    pub(crate) const fn cut(title: &'a str, least: usize) -> Self {
        Self { title, is_number: false, least: Some(least) }
    }
}

/// The rows below their titles, in at most `width` columns where that can be. `none` is what stands there without rows.
pub(crate) fn table(columns: &[Column<'_>], rows: &[Vec<String>], width: usize, none: &str) -> String {
    if rows.is_empty() {
        return format!("{none}\n");
    }
    let mut widths: Vec<usize> = columns.iter().map(|column| column.title.len()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.width());
        }
    }
    shrink(columns, &mut widths, width);
    let titles: Vec<String> = columns.iter().map(|column| column.title.to_owned()).collect();
    let mut text = format!("{HEADER}{}{HEADER:#}\n", line(columns, &titles, &widths));
    for row in rows {
        text += &line(columns, row, &widths);
        text.push('\n');
    }
    text
}

/// Takes what is too much from the widest of the columns that give way.
fn shrink(columns: &[Column<'_>], widths: &mut [usize], width: usize) {
    let all = widths.iter().sum::<usize>() + GAP * columns.len().saturating_sub(1);
    for _ in width..all {
        let can_give =
            |(width, column): &(&mut usize, &Column<'_>)| column.least.is_some_and(|least| **width > least);
        let widest = widths.iter_mut().zip(columns).filter(can_give).max_by_key(|(width, _)| **width);
        let Some((width, _)) = widest else { break };
        *width -= 1;
    }
}

fn line(columns: &[Column<'_>], cells: &[String], widths: &[usize]) -> String {
    let mut text = String::new();
    for ((column, cell), width) in columns.iter().zip(cells).zip(widths) {
        if !text.is_empty() {
            text += &" ".repeat(GAP);
        }
        let cell = fit(cell, *width);
        let space = " ".repeat(width.saturating_sub(cell.width()));
        text += &if column.is_number { format!("{space}{cell}") } else { format!("{cell}{space}") };
    }
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_aligned_and_cut_to_its_width() {
        let columns = [
            Column::text("SEEN"),
            Column::number("COUNT"),
            Column::cut("SCRIPT", 8),
            Column::cut("POD", 8),
            Column::text("ID"),
        ];
        let row = |seen: &str, count: &str, script: &str, pod: &str| {
            [seen, count, script, pod, "0123456789ab"].map(str::to_owned).to_vec()
        };
        let rows = [
            row("12:00:00Z", "12", "/tmp/a-rather-long-name-of-a-script.py", "shop/app-6f7c9d8b5-x2x4z"),
            row("9:00Z", "7", "실행 중인 스크립트입니다", "-"),
        ];
        for width in [120, 60, 20] {
            let text = anstream::adapter::strip_str(&table(&columns, &rows, width, "None.")).to_string();
            insta::assert_snapshot!(format!("a_table_of_{width}"), text);
            assert!(width == 20 || text.lines().all(|line| line.width() <= width), "{text}");
        }
        assert_eq!(table(&columns, &[], 80, "None."), "None.\n");
    }
}
