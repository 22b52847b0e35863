//! Laying out lines: sections, fields, items, and text cut to a number of columns.

use anstyle::{AnsiColor, Style};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

pub(super) const BOLD: Style = Style::new().bold();
pub(super) const RED: Style = AnsiColor::Red.on_default().bold();
pub(super) const DIM: Style = Style::new().dimmed();
pub(super) const YELLOW: Style = AnsiColor::Yellow.on_default();

pub(super) const GREEN: Style = AnsiColor::Green.on_default();

/// Columns of a field's name, with the space before and after it.
const LABEL_COLUMNS: usize = 14;

/// A page of lines that grows.
pub(crate) struct Sheet {
    text: String,
    width: usize,
}

impl Sheet {
    pub(super) fn new(width: usize) -> Self {
        Self { text: String::new(), width: width.max(40) }
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    pub(super) fn line(&mut self, text: &str) {
        self.text += text.trim_end();
        self.text.push('\n');
    }

    pub(super) fn section(&mut self, name: &str) {
        self.line("");
        self.line(&paint(BOLD, name));
    }

    /// A name and a value; what does not fit continues below the value.
    pub(super) fn field(&mut self, name: &str, value: &str) {
        let label = format!("  {name:<columns$}", columns = LABEL_COLUMNS - 2);
        self.wrapped(&paint(DIM, &label), LABEL_COLUMNS, value);
    }

    /// One of several facts; what does not fit continues further in.
    pub(super) fn item(&mut self, text: &str) {
        self.wrapped("  ", 4, text);
    }

    /// A sentence with a number before it.
    pub(super) fn numbered(&mut self, number: usize, text: &str) {
        self.wrapped(&format!("{number:>3}. "), 5, text);
    }

    /// A command, on a line of its own so that it can be copied.
    pub(super) fn command(&mut self, command: &str) {
        self.line(&format!("     {}", paint(GREEN, command)));
    }

    pub(super) fn finish(self) -> String {
        self.text
    }

    fn wrapped(&mut self, first: &str, indent: usize, text: &str) {
        for (index, row) in wrap(text, self.width - indent).into_iter().enumerate() {
            if index == 0 {
                self.line(&format!("{first}{row}"));
            } else {
                self.line(&format!("{:indent$}{row}", ""));
            }
        }
    }
}

/// Text in a style.
pub(super) fn paint(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// Rows of at most `columns`, broken at spaces. A word that is longer gets a row of its own and stays whole, so that
/// commands and addresses can be copied.
fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut rows = vec![String::new()];
    let mut used = 0;
    for word in text.split(' ') {
        let width = word.width();
        if used > 0 && used + 1 + width > columns {
            rows.push(String::new());
            used = 0;
        }
        if let Some(row) = rows.last_mut() {
            if used > 0 {
                row.push(' ');
            }
            row.push_str(word);
            used += width + usize::from(used > 0);
        }
    }
    rows
}

/// Cuts a text to a number of columns; where something is cut, `…` says so.
pub(crate) fn fit(text: &str, columns: usize) -> String {
    let mut used = 0;
    for (at, character) in text.char_indices() {
        used += character.width().unwrap_or(0);
        if used > columns {
            return fit_exactly(&text[..at], columns);
        }
    }
    text.to_owned()
}

/// The longest beginning that leaves a column for `…`.
fn fit_exactly(text: &str, columns: usize) -> String {
    let mut kept = text;
    while kept.width() + 1 > columns {
        let Some((at, _)) = kept.char_indices().next_back() else { break };
        kept = &kept[..at];
    }
    format!("{kept}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_to_columns() {
        for (text, columns, expected) in [
            ("abc", 3, "abc"),
            ("abcd", 3, "ab…"),
            ("실행됨", 6, "실행됨"),
            ("실행됨", 5, "실행…"),
            ("실행됨", 4, "실…"),
            ("", 0, ""),
        ] {
            assert_eq!(fit(text, columns), expected, "{text} in {columns}");
        }
    }

    #[test]
    fn text_is_wrapped_at_spaces_and_words_stay_whole() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("a verylongword b", 4), ["a", "verylongword", "b"]);
        assert_eq!(wrap("", 4), [""]);
    }
}
