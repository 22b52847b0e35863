//! Figures as they are printed: a spread of measurements, a row with its target, the table.

use std::fmt;
use std::fmt::Write;

/// Where a figure comes from measurements that differ, the smallest, the middle and the largest of them.
#[derive(Debug, Clone)]
pub(crate) struct Spread {
    sorted: Vec<f64>,
}

impl Spread {
    /// The measurements may not be empty.
    pub(crate) fn of(mut measured: Vec<f64>) -> Self {
        measured.sort_by(f64::total_cmp);
        Self { sorted: measured }
    }

    /// The value that `percent` of a hundred measurements do not exceed; not a number where there is none.
    pub(crate) fn percentile(&self, percent: usize) -> f64 {
        let last = self.sorted.len().saturating_sub(1);
        self.sorted.get((last * percent).div_ceil(100)).copied().unwrap_or(f64::NAN)
    }

    pub(crate) fn median(&self) -> f64 {
        self.percentile(50)
    }

    pub(crate) fn count(&self) -> usize {
        self.sorted.len()
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(2);
        let (least, most) = (self.percentile(0), self.percentile(100));
        write!(f, "{:.digits$} ({least:.digits$} to {most:.digits$})", self.median())
    }
}

/// One promise and what became of it.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) target: String,
    pub(crate) measured: String,
    pub(crate) holds: bool,
}

impl Row {
    pub(crate) fn new(what: &str, target: &str, measured: impl fmt::Display, holds: bool) -> Self {
        Self { what: what.to_owned(), target: target.to_owned(), measured: measured.to_string(), holds }
    }

    /// A row whose median must not be above a limit.
    pub(crate) fn at_most(what: &str, limit: f64, unit: &str, measured: &Spread, digits: usize) -> Self {
        let holds = measured.median() <= limit;
        let target = format!("≤ {limit} {unit}");
        Self::new(what, &target, format!("{measured:.digits$} {unit}"), holds)
    }

    fn answer(&self) -> &'static str {
        if self.holds { "yes" } else { "**no**" }
    }
}

/// The rows as a Markdown table, its columns aligned so that it can be read on a terminal as well.
pub(crate) fn table(rows: &[Row]) -> String {
    let head = ["what", "target", "measured", "holds"];
    let cells =
        |row: &Row| [row.what.clone(), row.target.clone(), row.measured.clone(), row.answer().to_owned()];
    let mut lines = vec![head.map(str::to_owned)];
    lines.extend(rows.iter().map(cells));
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2), width(3)];
    let mut table = String::new();
    for (number, line) in lines.iter().enumerate() {
        for (cell, width) in line.iter().zip(widths) {
            let _ = write!(table, "| {cell:width$} ");
        }
        table.push_str("|\n");
        if number == 0 {
            for width in widths {
                let _ = write!(table, "|{:-<1$}", "", width + 2);
            }
            table.push_str("|\n");
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_measured_values() {
        let spread = Spread::of((1..=200).rev().map(f64::from).collect());
        assert_eq!([0, 50, 99, 100].map(|percent| spread.percentile(percent)), [1.0, 101.0, 199.0, 200.0]);
        assert_eq!(Spread::of(vec![3.0]).to_string(), "3.00 (3.00 to 3.00)");
        assert!(Spread::of(vec![]).median().is_nan());
    }

    #[test]
    fn a_median_above_its_limit_does_not_hold() {
        let row = |median| Row::at_most("x", 2.0, "µs", &Spread::of(vec![median]), 1);
        assert!(row(2.0).holds && !row(2.1).holds && !row(f64::NAN).holds);
        assert_eq!(
            table(&[row(2.1)]),
            "| what | target | measured            | holds  |\n\
             |------|--------|---------------------|--------|\n\
             | x    | ≤ 2 µs | 2.1 (2.1 to 2.1) µs | **no** |\n"
        );
    }
}
