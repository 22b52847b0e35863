//! The fields that findings are sorted and grouped by, as expressions of SQL.

use super::{Column, Columns, Dialect, Resources, Spot, Sql, Writer};
use crate::filter::fields::Type;
use crate::filter::order::Key;

/// What an expression is, for whoever reads its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sorted {
    pub(crate) sql: Sql,
    /// Whether its values are whole numbers, of a time nanoseconds since 1970; else they are texts, compared by their bytes.
    pub(crate) is_number: bool,
    /// Whether it may be absent (`NULL`).
    pub(crate) may_be_absent: bool,
}

impl Key {
    /// The field's value. Where the finding does not have it, it is what the protocol takes for an absent one, as far as there is such a value.
    /// `others` are fields that are sorted by a column though it holds less than the field.
    pub(crate) fn sql(
        &self,
        dialect: Dialect,
        columns: &Columns,
        others: &[(&str, &'static str)],
        first: usize,
    ) -> Sorted {
        let mut writer = Writer { words: dialect.words(), columns, first, values: Vec::new(), names: 0 };
        let (text, is_number, may_be_absent) =
            self.column(columns, others).unwrap_or_else(|| self.in_document(&mut writer));
        Sorted { sql: Sql { text, values: writer.values }, is_number, may_be_absent }
    }

    /// The expression, whether it is a number, and whether it may be absent.
    fn column(&self, columns: &Columns, others: &[(&str, &'static str)]) -> Option<(String, bool, bool)> {
        let name = self.path.to_string();
        if let Some((_, column)) = others.iter().find(|(known, _)| *known == name) {
            return Some(((*column).to_owned(), false, false));
        }
        let (_, column) = columns.finding.iter().find(|(known, _)| *known == name)?;
        Some(match *column {
            Column::LastPart(_) => return None,
            Column::Text(column) => (column.to_owned(), false, false),
            Column::Property(column) => (column.to_owned(), false, true),
            Column::Time(column) => (column.to_owned(), true, false),
            Column::OfResource(column) => {
                let Resources { rows, id, key, .. } = columns.resources;
                (format!("(SELECT {column} FROM {rows} WHERE {id} = {key})"), false, true)
            }
        })
    }

    fn in_document(&self, writer: &mut Writer<'_>) -> (String, bool, bool) {
        let way = writer.way(&self.path, &Spot::new(writer.columns.document));
        let (words, end) = (writer.words, &way.end);
        let value = match self.kind {
            Type::Integer => words.integer(end),
            Type::Time => words.time_key(end),
            Type::Value => words.any_text(end),
            Type::Truth => words.truth_name(end),
            _ => words.scalar(end),
        };
        let is_number = self.kind == Type::Integer;
        let value = if is_number { words.as_integer(&value) } else { words.by_bytes(&value) };
        let mut rows = way.rows;
        let mut tests = way.tests;
        if way.of_resource {
            let Resources { rows: resources, id, key, .. } = writer.columns.resources;
            rows.insert(0, resources.to_owned());
            tests.insert(0, format!("{id} = {key}"));
        }
        let text = match rows.as_slice() {
            [] => value,
            // Under keys that differ in capital letters alone there may be several.
            rows => format!("(SELECT min({value}) FROM {} WHERE {})", rows.join(", "), tests.join(" AND ")),
        };
        let is_plain = self.path.steps.len() == 1;
        match (self.kind, is_plain) {
            (Type::Text, true) => (format!("COALESCE({text}, '')"), false, false),
            (Type::Integer, true) => (format!("COALESCE({text}, 0)"), true, false),
            (Type::Enum([first, ..]), true) => (format!("COALESCE({text}, '{first}')"), false, false),
            _ => (text, is_number, true),
        }
    }
}
