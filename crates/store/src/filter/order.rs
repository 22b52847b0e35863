//! What findings are sorted and grouped by: `order_by` and `group_by` of the protocol. Fields are those of filters, found in
//! the same table.

use super::error::{Fault, FilterError, Found, Problem};
use super::fields::Type;
use super::path::{Base, End, Path, Step};
use super::syntax::{is_plain, quoted, read_field};
use std::fmt;

/// The most fields of one order or grouping.
const FIELD_LIMIT: usize = 8;

/// Fields that a list is sorted by, the first one first. None means the order that the list has by itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Order {
    pub(crate) keys: Vec<(Key, Direction)>,
}

/// Fields that findings are counted by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grouping {
    pub(crate) keys: Vec<Key>,
}

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Up,
    Down,
}

/// A field with one value, or none, that can be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    pub(super) path: Path,
    pub(super) kind: Type,
}

impl Order {
    /// Reads fields with commas between them, each with `asc` or `desc` behind it or nothing, which is `asc`.
    ///
    /// # Errors
    /// As for filters. Lists, groups of fields, fractions and durations are nothing to sort by, and 8 fields are the most.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        let keys: Result<Vec<_>, Fault> =
            parts(text)?.into_iter().map(|(at, part)| sorted(at, part)).collect();
        Ok(Self { keys: keys.map_err(|fault| fault.within(text))? })
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

impl Grouping {
    /// Reads fields with commas between them; at least one.
    ///
    /// # Errors
    /// As for [`Order::parse`].
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        let parts = parts(text)?;
        if parts.is_empty() {
            let problem = Problem::Expected { what: "a field", found: Found::End };
            return Err(Fault::new(text.len(), problem).within(text));
        }
        let keys: Result<Vec<_>, Fault> = parts.into_iter().map(|(at, part)| Key::parse(at, part)).collect();
        Ok(Self { keys: keys.map_err(|fault| fault.within(text))? })
    }
}

/// What stands between commas, without blanks around it, each with its place. Blanks alone are no part at all.
fn parts(text: &str) -> Result<Vec<(usize, &str)>, FilterError> {
    if text.trim_ascii().is_empty() {
        return Ok(Vec::new());
    }
    let mut quote = None;
    let separates = |letter: char| match (quote, letter) {
        (None, '"' | '\'') => {
            quote = Some(letter);
            false
        }
        (Some(open), _) if open == letter => {
            quote = None;
            false
        }
        (None, ',') => true,
        _ => false,
    };
    let all: Vec<(usize, &str)> = text.split(separates).map(|part| part_of(text, part)).collect();
    match all.get(FIELD_LIMIT) {
        Some((at, _)) => Err(FilterError::new(text, *at, Problem::ManyFields { limit: FIELD_LIMIT })),
        None => Ok(all),
    }
}

fn part_of<'a>(text: &str, part: &'a str) -> (usize, &'a str) {
    let trimmed = part.trim_ascii();
    (trimmed.as_ptr().addr() - text.as_ptr().addr(), trimmed)
}

/// A field with its direction.
fn sorted(at: usize, part: &str) -> Result<(Key, Direction), Fault> {
    let (field, word) = match part.rsplit_once(|letter: char| letter.is_ascii_whitespace()) {
        // A blank may stand in a key's quotes as well.
        Some((field, word)) if !word.ends_with(['"', '\'']) => (field.trim_ascii_end(), word),
        _ => (part, ""),
    };
    let direction = match word {
        "" => Direction::Up,
        word if word.eq_ignore_ascii_case("asc") => Direction::Up,
        word if word.eq_ignore_ascii_case("desc") => Direction::Down,
        word => {
            let problem = Problem::Expected { what: "asc, desc or a comma", found: Found::next(word) };
            return Err(Fault::new(at + part.len() - word.len(), problem));
        }
    };
    Key::parse(at, field).map(|key| (key, direction))
}

impl Key {
    /// Whether the field is a time.
    pub(crate) fn is_time(&self) -> bool {
        matches!(self.kind, Type::Time)
    }

    fn parse(at: usize, text: &str) -> Result<Self, Fault> {
        let path = Path::find(Base::Finding, &read_field(text, at)?)?;
        let list = path.list().map(|field| field.name);
        match (path.end, list) {
            (_, Some(list)) => Err(Fault::new(at, Problem::SortedList { field: text.into(), list })),
            (End::Map | End::One(Type::Message(_)), _) => {
                let fault = path.needs_more(at);
                Err(fault.unwrap_or_else(|| {
                    Fault::new(at, Problem::Sorted { field: text.into(), kind: "a group" })
                }))
            }
            (End::One(kind @ (Type::Number | Type::Duration)), _) => {
                Err(Fault::new(at, Problem::Sorted { field: text.into(), kind: kind.described() }))
            }
            (End::One(kind), None) => Ok(Self { path, kind }),
        }
    }
}

impl fmt::Display for Key {
    /// As the protocol's JSON names it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, step) in self.path.steps.iter().enumerate() {
            let dot = if place == 0 { "" } else { "." };
            match step {
                Step::Field(field) => write!(f, "{dot}{}", field.json)?,
                Step::Key { name, .. } | Step::Member(name) if is_plain(name) => write!(f, "{dot}{name}")?,
                Step::Key { name, .. } | Step::Member(name) => write!(f, "{dot}{}", quoted(name))?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(text: &str, expected: &[&str]) {
        let order = Order::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let arrow = |direction: &Direction| if *direction == Direction::Up { "+" } else { "-" };
        let keys: Vec<String> =
            order.keys.iter().map(|(key, direction)| format!("{}{key}", arrow(direction))).collect();
        assert_eq!(keys, expected, "{text}");
    }

    #[test]
    fn an_order_is_fields_with_commas_between_them() {
        reads(" ", &[]);
        reads("name desc,parent", &["-name", "+parent"]);
        reads(" name  DESC , parent asc ", &["-name", "+parent"]);
        reads("security_marks.marks.Team, eventTime desc", &["+securityMarks.marks.team", "-eventTime"]);
        reads(r#"source_properties."a, b" desc"#, &[r#"-sourceProperties."a, b""#]);
        reads(r#"source_properties."a b""#, &[r#"+sourceProperties."a b""#]);
        reads("resource.project_display_name", &["+resource.gcpMetadata.projectDisplayName"]);
    }

    fn refuses(text: &str, expected: &str) {
        assert_eq!(Order::parse(text).unwrap_err().to_string(), expected, "{text}");
    }

    #[test]
    fn an_order_that_cannot_be_is_refused_with_its_place() {
        refuses(
            "name, sevrity desc",
            "`sevrity` is not a field of a finding; did you mean `severity`? (at character 7)",
        );
        refuses("name down", "expected asc, desc or a comma, found `down` (at character 6)");
        refuses("name,,parent", "expected a field, found the end (at character 6)");
        refuses("name,", "expected a field, found the end (at character 6)");
        refuses("name desc desc", "expected a dot or the end of the field, found ` ` (at character 5)");
        refuses(
            "processes.name",
            "`processes.name` is in the list `processes`: findings are sorted and grouped by what they have one of (at character 1)",
        );
        refuses(
            "access",
            "`access` has parts: name one of them, as in `access.principal_email` (at character 1)",
        );
        refuses(
            "attack_exposure.score",
            "findings are not sorted or grouped by `attack_exposure.score`, which is a number (at character 1)",
        );
        refuses(
            "name,name,name,name,name,name,name,name,name",
            "there are more than 8 fields: leave some out (at character 41)",
        );
        refuses("name'", "expected a dot or the end of the field, found `'` (at character 5)");
    }

    #[test]
    fn a_grouping_names_something() {
        assert_eq!(
            Grouping::parse(" ").unwrap_err().to_string(),
            "expected a field, found the end (at character 2)"
        );
        assert_eq!(Grouping::parse("category, state").unwrap().keys.len(), 2);
        let error = Grouping::parse("category desc").unwrap_err();
        assert_eq!(error.to_string(), "expected a dot or the end of the field, found ` ` (at character 9)");
    }
}
