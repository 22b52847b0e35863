//! A filter as a condition of SQL, for both databases. Means the same as `evaluate`, which tests compare it with.
//!
//! Owns: which column or which place in a document a field is, and how each test is said of it.
//! Refuses: any text of a user in the statement. Values and keys are bound; the statement has only names of
//! the table of fields and of the schema in it.
//!
//! A condition may be neither true nor false in SQL (`NULL`) where it is false here; only what is true lets a row
//! through, and `NOT` says `IS NOT TRUE`.

#[cfg(test)]
mod agreement;
mod postgres;
pub(crate) mod sorted;
mod sqlite;

use super::Filter;
use super::fields::{Count, RESOURCE, Type};
use super::path::{Base, End, Path, Step};
use super::tree::{Condition, Expression, Order, Test, TextOrder, TextTest};
use crate::sql::Value;

/// Which database the condition is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
}

/// Where the parts of a finding lie in the tables that the condition is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Columns {
    /// The finding's document: JSON as text in SQLite, `jsonb` in PostgreSQL.
    pub(crate) document: &'static str,
    /// Fields of a finding, as filters name them, that have a column.
    pub(crate) finding: &'static [(&'static str, Column)],
    pub(crate) resources: Resources,
    /// Whether there may be a finding with nothing in a [`Column::Property`].
    pub(crate) has_long_properties: bool,
}

/// Where the resources lie, each of which may be that of many findings.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Resources {
    /// The finding's column that names its resource.
    pub(crate) key: &'static str,
    /// The table, and the name that the other texts use for it.
    pub(crate) rows: &'static str,
    /// The column that `key` has the value of.
    pub(crate) id: &'static str,
    pub(crate) document: &'static str,
    /// Fields of a resource that have a column.
    pub(crate) columns: &'static [(&'static str, Column)],
}

/// A column and what it holds of its field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Column {
    /// The text or the name, always: the protocol's default where the field is absent.
    Text(&'static str),
    /// The text where the value is one. Nothing where the value is a list or a group or the text is too long for the column, which
    /// are looked at in the document then. An empty text where there is no value, or another one.
    Property(&'static str),
    /// Nanoseconds since 1970; 0 where the field is absent or earlier, the largest number where it is later.
    Time(&'static str),
    /// What stands behind the last `/` of the text. A finding is asked for by its whole name, and found by this.
    LastPart(&'static str),
    /// A text that the finding repeats of its resource, where it has one.
    OfResource(&'static str),
}

/// What is written after `WHERE`, and the values of its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sql {
    pub(crate) text: String,
    /// For `$first`, `$first + 1`, …
    pub(crate) values: Vec<Value>,
}

impl Filter {
    /// The filter as a condition. `first` is the number of its first parameter.
    pub(crate) fn sql(&self, dialect: Dialect, columns: &Columns, first: usize) -> Sql {
        let mut writer = Writer { words: dialect.words(), columns, first, values: Vec::new(), names: 0 };
        let document = Spot::new(columns.document);
        let text = match &self.expression {
            Some(expression) => writer.expression(expression, &document),
            None => "TRUE".to_owned(),
        };
        Sql { text, values: writer.values }
    }
}

impl Dialect {
    fn words(self) -> &'static dyn Words {
        match self {
            Self::Sqlite => &sqlite::Sqlite,
            Self::Postgres => &postgres::Postgres,
        }
    }
}

/// A place in JSON: fields of the table below a column, or below a row of what was unfolded.
#[derive(Debug, Clone)]
struct Spot {
    /// The column, or the name of the row.
    base: String,
    /// Whether the base is a row.
    is_row: bool,
    path: Vec<&'static str>,
}

impl Spot {
    fn new(column: &str) -> Self {
        Self { base: column.to_owned(), is_row: false, path: Vec::new() }
    }

    fn row(name: &str) -> Self {
        Self { base: name.to_owned(), is_row: true, path: Vec::new() }
    }

    fn field(&self, name: &'static str) -> Self {
        let mut path = self.path.clone();
        path.push(name);
        Self { path, ..self.clone() }
    }

    /// The group that the place is in, where that is one of the table's fields.
    fn group(&self) -> Option<Self> {
        let (_, above) = self.path.split_last()?;
        (!above.is_empty()).then(|| Self { path: above.to_vec(), ..self.clone() })
    }
}

/// How to come to the end of a path: rows to unfold, one within the other, what must be true of them, and the place in the last one.
struct Way {
    /// Whether it begins in the resource rather than in the scope.
    of_resource: bool,
    rows: Vec<String>,
    tests: Vec<String>,
    end: Spot,
}

/// What the two databases say differently.
trait Words {
    /// The value as SQL knows it: texts, numbers; nothing where there is none.
    fn scalar(&self, spot: &Spot) -> String;
    /// True where JSON of this type stands there: `object`, `array`.
    fn is(&self, spot: &Spot, kind: &'static str) -> String;
    /// Elements of a list, as rows of this name.
    fn elements(&self, spot: &Spot, row: &str) -> String;
    /// Members of a map as rows of this name, and the member's key.
    fn members(&self, spot: &Spot, row: &str) -> (String, String);
    /// Elements of what may be anything: of a list each, of all else itself.
    fn elements_of_any(&self, spot: &Spot, row: &str) -> String;
    /// A text in small letters, A to Z alone.
    fn folded(&self, text: &str) -> String;
    /// Whether one text has the other in it.
    fn within(&self, text: &str, part: &str) -> String;
    /// A whole number, of JSON's number or text.
    fn integer(&self, spot: &Spot) -> String;
    /// The same as the type that 64 bits have.
    fn as_integer(&self, value: &str) -> String;
    /// A text that compares by its bytes.
    fn by_bytes(&self, text: &str) -> String;
    fn number(&self, spot: &Spot) -> String;
    /// A parameter that was bound as text.
    fn as_number(&self, parameter: &str) -> String;
    fn truth(&self, spot: &Spot, wanted: bool) -> String;
    /// `true` or `false` as text.
    fn truth_name(&self, spot: &Spot) -> String;
    /// The text that [`super::instant::time_key`] makes.
    fn time_key(&self, spot: &Spot) -> String;
    fn seconds(&self, spot: &Spot) -> String;
    /// The text of a value of any type, where it is one.
    fn any_text(&self, spot: &Spot) -> String;
    fn any_number(&self, spot: &Spot) -> String;
    fn is_present(&self, spot: &Spot) -> String;
    /// Whether a text is an address between two numbers.
    fn in_range_v4(&self, text: &str, first: &str, last: &str) -> String;
    /// The same of IPv6; the ends are texts of 32 hexadecimal digits.
    fn in_range_v6(&self, text: &str, first: &str, last: &str) -> String;
}

struct Writer<'a> {
    words: &'static dyn Words,
    columns: &'a Columns,
    first: usize,
    values: Vec<Value>,
    names: usize,
}

impl Writer<'_> {
    fn bind(&mut self, value: impl Into<Value>) -> String {
        self.values.push(value.into());
        format!("${}", self.first + self.values.len() - 1)
    }

    /// A name for rows that nothing else in the statement has.
    fn name(&mut self) -> String {
        self.names += 1;
        format!("e{}", self.names)
    }

    /// Always in parentheses, or a single word.
    fn expression(&mut self, expression: &Expression, scope: &Spot) -> String {
        match expression {
            Expression::And(parts) => self.joined(parts, " AND ", scope),
            Expression::Or(parts) => self.joined(parts, " OR ", scope),
            Expression::Not(inner) => format!("({} IS NOT TRUE)", self.expression(inner, scope)),
            Expression::Condition(condition) => self.condition(condition, scope),
            Expression::Contains { list, only, inner } => self.contains(list, *only, inner, scope),
        }
    }

    /// Joined as a balanced tree: SQLite bounds the depth of an expression, and `a AND b AND c` is as deep as it is long.
    fn joined(&mut self, parts: &[Expression], word: &str, scope: &Spot) -> String {
        match parts {
            [] => "TRUE".to_owned(),
            [one] => self.expression(one, scope),
            _ => {
                let (left, right) = parts.split_at(parts.len() / 2);
                let left = self.joined(left, word, scope);
                format!("({left}{word}{})", self.joined(right, word, scope))
            }
        }
    }

    fn condition(&mut self, condition: &Condition, scope: &Spot) -> String {
        let column = self.column(&condition.path);
        let from_column = column.and_then(|column| self.of_column(column, condition, scope));
        let text = match from_column {
            Some(text) => text,
            None => self.in_document(condition, scope),
        };
        if condition.negated { format!("({text} IS NOT TRUE)") } else { text }
    }

    fn column(&self, path: &Path) -> Option<Column> {
        if path.base != Base::Finding {
            return None;
        }
        let name = path.to_string();
        let (name, columns) = match name.strip_prefix("resource.") {
            Some(name) => (name, self.columns.resources.columns),
            None => (name.as_str(), self.columns.finding),
        };
        columns.iter().find(|(known, _)| *known == name).map(|(_, column)| *column)
    }

    /// The condition of a column, where the column can say it.
    fn of_column(&mut self, column: Column, condition: &Condition, scope: &Spot) -> Option<String> {
        match (column, &condition.test) {
            (Column::Text(column), Test::Text(test)) => {
                let text = self.text(test, column);
                Some(self.of_resource(&condition.path, text))
            }
            (Column::Text(column), Test::OneOf { names, .. }) => {
                let text = self.one_of(names, column);
                Some(self.of_resource(&condition.path, text))
            }
            (Column::LastPart(column), Test::Text(test)) if test.how == TextOrder::Exact => {
                let last = test.text.rsplit('/').next().unwrap_or_default();
                let parameter = self.bind(last);
                let whole = self.in_document(condition, scope);
                Some(format!("({column} = {parameter} AND {whole})"))
            }
            (Column::OfResource(column), Test::Text(test)) if !test.text.is_empty() => {
                let text = self.text(test, column);
                Some(self.resource(&text))
            }
            (Column::Property(column), Test::AnyText(test)) if !test.text.is_empty() => {
                let text = self.text(test, column);
                if !self.columns.has_long_properties {
                    return Some(text);
                }
                let elsewhere = self.in_document(condition, scope);
                Some(format!("({text} OR ({column} IS NULL AND {elsewhere}))"))
            }
            (Column::Time(column), Test::Time(order, time)) if (1..i64::MAX).contains(&time.nanoseconds) => {
                let parameter = self.bind(time.nanoseconds);
                let text = format!("{column} {} {parameter}", order.as_str());
                if !matches!(order, Order::Less | Order::LessEqual) {
                    return Some(format!("({text})"));
                }
                let elsewhere = self.in_document(condition, scope);
                Some(format!("({text} AND ({column} > 0 OR {elsewhere}))"))
            }
            _ => None,
        }
    }

    /// A condition of a resource's column, said of the finding where the path is that of a resource.
    fn of_resource(&self, path: &Path, text: String) -> String {
        if leads_to_resource(path) { self.resource(&text) } else { text }
    }

    /// A condition of resources, said of the finding.
    fn resource(&self, text: &str) -> String {
        let Resources { key, rows, id, .. } = self.columns.resources;
        format!("({key} IN (SELECT {id} FROM {rows} WHERE {text}))")
    }

    fn in_document(&mut self, condition: &Condition, scope: &Spot) -> String {
        if condition.path.base == Base::Finding
            && condition.path.steps.len() == 1
            && leads_to_resource(&condition.path)
        {
            return format!("({} IS NOT NULL)", self.columns.resources.key);
        }
        self.along(&condition.path, scope, &mut |writer, spot| writer.leaf(condition, spot))
    }

    fn contains(&mut self, list: &Path, only: bool, inner: &Expression, scope: &Spot) -> String {
        let any = self.along(list, scope, &mut |writer, element| writer.expression(inner, element));
        if !only {
            return any;
        }
        let other = self.along(list, scope, &mut |writer, element| {
            format!("({} IS NOT TRUE)", writer.expression(inner, element))
        });
        format!("({any} AND NOT {other})")
    }

    /// True where `leaf` is true of any place at the end of the path.
    fn along(
        &mut self,
        path: &Path,
        scope: &Spot,
        leaf: &mut dyn FnMut(&mut Self, &Spot) -> String,
    ) -> String {
        let mut way = self.way(path, scope);
        way.tests.push(leaf(self, &way.end));
        let tests = way.tests.join(" AND ");
        let text = match way.rows.as_slice() {
            [] => tests,
            rows => format!("EXISTS (SELECT 1 FROM {} WHERE {tests})", rows.join(", ")),
        };
        if way.of_resource { self.resource(&text) } else { text }
    }

    /// The way to the end of a path, from a finding's document, that of its resource, or an element of a list.
    fn way(&mut self, path: &Path, scope: &Spot) -> Way {
        let of_resource = leads_to_resource(path);
        let steps = if of_resource { path.steps.get(1..).unwrap_or_default() } else { path.steps.as_slice() };
        let end = if of_resource { Spot::new(self.columns.resources.document) } else { scope.clone() };
        let mut way = Way { of_resource, rows: Vec::new(), tests: Vec::new(), end };
        for step in steps {
            match step {
                Step::Field(field) => {
                    way.end = way.end.field(field.json);
                    if field.count == Count::Many {
                        let row = self.name();
                        way.rows.push(self.words.elements(&way.end, &row));
                        way.end = Spot::row(&row);
                    }
                }
                Step::Key { name, folded } => self.member(&mut way, name, *folded),
                Step::Member(name) => {
                    let row = self.name();
                    way.rows.push(self.words.elements_of_any(&way.end, &row));
                    way.end = Spot::row(&row);
                    self.member(&mut way, name, false);
                }
            }
        }
        way
    }

    /// Goes on to the member of this name.
    fn member(&mut self, way: &mut Way, name: &str, folded: bool) {
        let row = self.name();
        let (members, key) = self.words.members(&way.end, &row);
        let key = if folded { self.words.folded(&key) } else { key };
        way.rows.push(members);
        way.tests.push(format!("{key} = {}", self.bind(name)));
        way.end = Spot::row(&row);
    }

    fn leaf(&mut self, condition: &Condition, spot: &Spot) -> String {
        let test = &condition.test;
        if condition.path.end == End::One(Type::Value) && *test != Test::Present {
            let row = self.name();
            let elements = self.words.elements_of_any(spot, &row);
            let test = self.test(test, &Spot::row(&row));
            return format!("EXISTS (SELECT 1 FROM {elements} WHERE {test})");
        }
        let text = self.test(test, spot);
        if !test.passes_absent() || spot.path.is_empty() {
            return text;
        }
        let absent = format!("{} IS NULL", self.words.scalar(spot));
        match spot.group() {
            Some(group) => format!("({text} OR ({absent} AND {}))", self.words.is(&group, "object")),
            None => format!("({text} OR {absent})"),
        }
    }

    fn test(&mut self, test: &Test, spot: &Spot) -> String {
        let words = self.words;
        match test {
            Test::Text(test) => self.text(test, &words.scalar(spot)),
            Test::AnyText(test) => self.text(test, &words.any_text(spot)),
            Test::OneOf { names, .. } => self.one_of(names, &words.scalar(spot)),
            Test::Truth(wanted) | Test::AnyTruth(wanted) => words.truth(spot, *wanted),
            Test::Integer(order, number) => {
                format!("({} {} {})", words.integer(spot), order.as_str(), self.bind(*number))
            }
            Test::Number(order, number) => self.number(&words.number(spot), *order, *number),
            Test::AnyNumber(order, number) => self.number(&words.any_number(spot), *order, *number),
            Test::Duration(order, seconds) => self.number(&words.seconds(spot), *order, *seconds),
            Test::Time(order, time) => {
                format!("({} {} {})", words.time_key(spot), order.as_str(), self.bind(time.key.as_str()))
            }
            Test::Key { name, folded } => {
                let mut way =
                    Way { of_resource: false, rows: Vec::new(), tests: Vec::new(), end: spot.clone() };
                self.member(&mut way, name, *folded);
                format!("EXISTS (SELECT 1 FROM {} WHERE {})", way.rows.join(", "), way.tests.join(" AND "))
            }
            Test::AnyKey => {
                let row = self.name();
                format!("EXISTS (SELECT 1 FROM {})", words.members(spot, &row).0)
            }
            Test::Present => words.is_present(spot),
            Test::InRange(range) => self.in_range(range, &words.any_text(spot)),
        }
    }

    fn text(&mut self, test: &TextTest, text: &str) -> String {
        let parameter = self.bind(test.text.as_str());
        match test.how {
            TextOrder::Exact => format!("({text} = {parameter})"),
            TextOrder::Folded => format!("({} = {parameter})", self.words.folded(text)),
            TextOrder::Within => self.words.within(&self.words.folded(text), &parameter),
        }
    }

    fn one_of(&mut self, names: &[&'static str], text: &str) -> String {
        let parameters: Vec<String> = names.iter().map(|name| self.bind(*name)).collect();
        format!("({text} IN ({}))", parameters.join(", "))
    }

    /// A floating-point number is bound as text, in the shortest form that both databases read as the same number.
    fn number(&mut self, value: &str, order: Order, number: f64) -> String {
        let parameter = self.bind(format!("{number:?}"));
        format!("({value} {} {})", order.as_str(), self.words.as_number(&parameter))
    }

    fn in_range(&mut self, range: &super::instant::Range, text: &str) -> String {
        use super::instant::Range;
        match range {
            Range::V4(first, last) => {
                let (first, last) = (self.bind(i64::from(*first)), self.bind(i64::from(*last)));
                self.words.in_range_v4(text, &first, &last)
            }
            Range::V6(first, last) => {
                let (first, last) = (self.bind(format!("{first:032x}")), self.bind(format!("{last:032x}")));
                self.words.in_range_v6(text, &first, &last)
            }
        }
    }
}

fn leads_to_resource(path: &Path) -> bool {
    matches!(path.steps.first(), Some(Step::Field(field)) if field.name == RESOURCE)
        && path.base == Base::Finding
}
