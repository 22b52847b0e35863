//! A table for a terminal and for Markdown.
//!
//! Owns: columns, and escaping of what a corpus wrote.

use evidence::text::escape;
use std::fmt::{self, Write};

/// Characters of a cell in the first column that are shown.
const WIDEST: usize = 44;

/// Rows of cells under a title. The first column is of names, the others of figures.
pub(super) struct Table {
    title: String,
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(title: &str, header: &[&str]) -> Self {
        let header = header.iter().map(|&cell| cell.to_owned()).collect();
        Self { title: title.to_owned(), header, rows: Vec::new() }
    }

    /// Adds a row; what stands in its cells may come from a corpus.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| shown(&cell)).collect());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Aligned columns.
    pub(super) fn text(&self, out: &mut impl Write) -> fmt::Result {
        writeln!(out, "\n  {}", self.title)?;
        let width = |at: usize| {
            let cells = self.rows.iter().chain([&self.header]).filter_map(|row| row.get(at));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<_> = (0..self.header.len()).map(width).collect();
        for row in [&self.header].into_iter().chain(&self.rows) {
            write!(out, "   ")?;
            for (at, (cell, &width)) in row.iter().zip(&widths).enumerate() {
                match at {
                    0 => write!(out, " {cell:<width$}")?,
                    _ => write!(out, "  {cell:>width$}")?,
                }
            }
            writeln!(out)?;
        }
        Ok(())
    }

    /// A Markdown table under a heading.
    pub(super) fn markdown(&self, out: &mut impl Write) -> fmt::Result {
        let line = |cells: &[String]| {
            let cells: Vec<_> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
            format!("| {} |", cells.join(" | "))
        };
        writeln!(out, "\n#### {}\n\n{}", self.title, line(&self.header))?;
        writeln!(out, "|---|{}", "---:|".repeat(self.header.len().saturating_sub(1)))?;
        self.rows.iter().try_for_each(|row| writeln!(out, "{}", line(row)))
    }
}

fn shown(cell: &str) -> String {
    let cell = escape(cell.as_bytes()).to_string();
    if cell.chars().count() <= WIDEST {
        return cell;
    }
    let end: String = cell.chars().skip(cell.chars().count() - WIDEST + 1).collect();
    format!("…{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_aligned_and_escaped_in_both_forms() {
        let mut table = Table::new("Shares", &["name", "share"]);
        table.row(["a\x1b[2J".to_owned(), "1 %".to_owned()]);
        table.row(["x|y".to_owned(), "100 %".to_owned()]);
        let (mut text, mut page) = (String::new(), String::new());
        table.text(&mut text).unwrap();
        table.markdown(&mut page).unwrap();
        assert_eq!(
            text,
            "\n  Shares\n    name        share\n    a\\u{1b}[2J    1 %\n    x|y         100 %\n"
        );
        assert_eq!(
            page,
            "\n#### Shares\n\n| name | share |\n|---|---:|\n| a\\u{1b}[2J | 1 % |\n| x\\|y | 100 % |\n"
        );
    }
}
