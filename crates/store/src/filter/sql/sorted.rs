//! The fields that findings are sorted and grouped by, as expressions of SQL.

use super::{Column, Columns, Dialect, Resources, Spot, Sql, Writer};
use crate::filter::fields::Type;
use crate::filter::order::SortField;
use crate::from_sql;
use crate::sql::Value;
use evidence::Timestamp;
use serde_json::Value as Json;

/// An expression that rows are sorted by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sorted {
    pub(crate) sql: Sql,
    /// Whether it may be absent (`NULL`).
    pub(crate) may_be_absent: bool,
}

impl SortField {
    /// The field's value: a whole number where [`Self::is_number`] says so, of a time nanoseconds since 1970; else a text that compares by its
    /// bytes. Where the finding does not have it, it is what the protocol takes for an absent one, as far as there is such a value.
    /// `others` are fields that are sorted by a column though it holds less than the field.
    pub(crate) fn sql(
        &self,
        dialect: Dialect,
        columns: &Columns,
        others: &[(&str, &'static str)],
        first: usize,
    ) -> Sorted {
        let mut writer = Writer { words: dialect.words(), columns, first, values: Vec::new(), names: 0 };
        let (text, may_be_absent) =
            self.column(columns, others).unwrap_or_else(|| self.in_document(&mut writer));
        Sorted { sql: Sql { text, values: writer.values }, may_be_absent }
    }

    /// Whether [`Self::sql`] is a whole number.
    pub(crate) fn is_number(&self, columns: &Columns) -> bool {
        let name = self.path.to_string();
        let has_column = || columns.finding.iter().any(|(known, _)| *known == name);
        self.kind == Type::Integer || (self.kind == Type::Time && has_column())
    }

    /// What [`Self::sql`] gave, as JSON of the protocol.
    pub(crate) fn shown(&self, value: &Value) -> Json {
        match (self.kind, value) {
            (Type::Time, Value::Integer(Some(time))) => Timestamp(from_sql(*time)).to_string().into(),
            (Type::Time, Value::Text(Some(key))) if !key.is_empty() => {
                format!("{}Z", key.trim_end_matches('0').trim_end_matches('.')).into()
            }
            (Type::Truth, Value::Text(Some(name))) => (name == "true").into(),
            (_, Value::Integer(Some(number))) => (*number).into(),
            (_, Value::Text(Some(text))) => text.as_str().into(),
            _ => Json::Null,
        }
    }

    /// The expression, and whether it may be absent.
    fn column(&self, columns: &Columns, others: &[(&str, &'static str)]) -> Option<(String, bool)> {
        let name = self.path.to_string();
        if let Some((_, column)) = others.iter().find(|(known, _)| *known == name) {
            return Some(((*column).to_owned(), false));
        }
        let (_, column) = columns.finding.iter().find(|(known, _)| *known == name)?;
        Some(match *column {
            Column::Text(column) => (column.to_owned(), false),
            Column::Property(column) => (column.to_owned(), true),
            Column::Time(column) => (column.to_owned(), false),
            Column::OfResource(column) => {
                let Resources { rows, id, key, .. } = columns.resources;
                (format!("(SELECT {column} FROM {rows} WHERE {id} = {key})"), true)
            }
        })
    }

    fn in_document(&self, writer: &mut Writer<'_>) -> (String, bool) {
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
            (Type::Text, true) => (format!("COALESCE({text}, '')"), false),
            (Type::Integer, _) => (format!("COALESCE({text}, 0)"), false),
            (Type::Enum([first, ..]), true) => (format!("COALESCE({text}, '{first}')"), false),
            _ => (text, true),
        }
    }
}
