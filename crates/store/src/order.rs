//! What findings can be sorted and grouped by: `orderBy` and `groupBy` of the protocol.

use crate::filter::sql::Dialect;
use crate::sql::Value;
use evidence::text::escape;
use std::fmt;

/// The most fields of one order or grouping.
const FIELDS_LIMIT: usize = 8;

/// Bytes of a field's name that a message repeats.
const SHOWN_LIMIT: usize = 60;

/// A field that findings are sorted or grouped by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Field {
    /// A column of the table `findings`, by the field's names.
    Column(&'static Column),
    /// The resource's full name.
    ResourceName,
    /// A security mark of this key; findings without it come first.
    Mark(String),
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Column {
    /// As in the protocol, `snake_case`.
    field: &'static str,
    json: &'static str,
    sql: &'static str,
    is_time: bool,
}

const fn column(field: &'static str, json: &'static str, sql: &'static str, is_time: bool) -> Column {
    Column { field, json, sql, is_time }
}

const COLUMNS: [Column; 13] = [
    column("name", "name", "f.id", false),
    column("parent", "parent", "f.source", false),
    column("state", "state", "f.state", false),
    column("category", "category", "f.category", false),
    column("severity", "severity", "f.severity", false),
    column("mute", "mute", "f.mute", false),
    column("event_time", "eventTime", "f.event_time", true),
    column("create_time", "createTime", "f.create_time", true),
    column("source_properties.Container_Name", "sourceProperties.Container_Name", "f.container_name", false),
    column("source_properties.Container_Image_Uri", "sourceProperties.Container_Image_Uri", "f.image", false),
    column("source_properties.Pod_Namespace", "sourceProperties.Pod_Namespace", "f.namespace", false),
    column("source_properties.Pod_Name", "sourceProperties.Pod_Name", "f.pod", false),
    column("resource_name", "resourceName", RESOURCE_NAME, false),
];

const RESOURCE_NAME: &str = "(SELECT name FROM resources WHERE resources.seq = f.resource)";
const MARKS: [&str; 2] = ["security_marks.marks.", "securityMarks.marks."];

/// Why an order or a grouping was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// No field of this name can be used.
    #[error(
        "findings cannot be sorted or grouped by {0:?}: use name, parent, state, category, severity, mute, event_time, create_time, \
         resource_name, security_marks.marks.KEY, or source_properties.Pod_Namespace, Pod_Name, Container_Name, Container_Image_Uri"
    )]
    Field(String),
    /// Something other than `asc` or `desc` behind a field.
    #[error("after a field comes nothing, asc or desc, and not {0:?}")]
    Direction(String),
    /// Too many fields.
    #[error("more than {FIELDS_LIMIT} fields: leave some out")]
    Many,
    /// A grouping without a field.
    #[error("a grouping needs a field, such as category")]
    Nothing,
}

/// Fields that a list is sorted by, the first one first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Order {
    pub(crate) keys: Vec<(Field, Direction)>,
}

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Up,
    Down,
}

/// Fields that findings are counted by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grouping {
    pub(crate) fields: Vec<Field>,
}

impl Order {
    /// Reads `orderBy`: fields with commas between them, each with `desc` behind it or not. Nothing means the newest first.
    ///
    /// # Errors
    /// [`OrderError`].
    pub fn parse(text: &str) -> Result<Self, OrderError> {
        let keys = parts(text).map(|part| {
            let mut words = part.split_whitespace();
            let field = Field::parse(words.next().unwrap_or_default())?;
            let direction = match words.next() {
                None => Direction::Up,
                Some(word) if word.eq_ignore_ascii_case("asc") => Direction::Up,
                Some(word) if word.eq_ignore_ascii_case("desc") => Direction::Down,
                Some(word) => return Err(OrderError::Direction(shown(word))),
            };
            words.next().map_or(Ok((field, direction)), |word| Err(OrderError::Direction(shown(word))))
        });
        let keys: Vec<_> = keys.take(FIELDS_LIMIT + 1).collect::<Result<_, _>>()?;
        if keys.len() > FIELDS_LIMIT { Err(OrderError::Many) } else { Ok(Self { keys }) }
    }
}

impl Grouping {
    /// Reads `groupBy`: fields with commas between them.
    ///
    /// # Errors
    /// [`OrderError`].
    pub fn parse(text: &str) -> Result<Self, OrderError> {
        let fields: Vec<_> =
            parts(text).take(FIELDS_LIMIT + 1).map(Field::parse).collect::<Result<_, _>>()?;
        match fields.len() {
            0 => Err(OrderError::Nothing),
            count if count > FIELDS_LIMIT => Err(OrderError::Many),
            _ => Ok(Self { fields }),
        }
    }
}

fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty())
}

fn shown(text: &str) -> String {
    escape(&text.as_bytes()[..text.floor_char_boundary(SHOWN_LIMIT)]).to_string()
}

impl Field {
    fn parse(text: &str) -> Result<Self, OrderError> {
        if let Some(column) = COLUMNS.iter().find(|column| column.field == text || column.json == text) {
            return Ok(if column.field == "resource_name" {
                Self::ResourceName
            } else {
                Self::Column(column)
            });
        }
        let mark = MARKS.iter().find_map(|marks| text.strip_prefix(marks));
        match mark.map(|key| key.trim_matches('"')).filter(|key| !key.is_empty() && !key.contains('"')) {
            Some(key) => Ok(Self::Mark(key.to_owned())),
            None => Err(OrderError::Field(shown(text))),
        }
    }

    /// Whether its values are numbers: nanoseconds since 1970.
    pub(crate) fn is_time(&self) -> bool {
        matches!(self, Self::Column(Column { is_time: true, .. }))
    }

    /// The field as SQL, with `bind` for what is not written into the statement. Whether it looks into the document, which is
    /// `d.document` then, is for [`Field::is_in_document`] to say.
    pub(crate) fn sql(&self, dialect: Dialect, mut bind: impl FnMut(Value) -> String) -> String {
        match (self, dialect) {
            (Self::Column(column), _) => column.sql.to_owned(),
            (Self::ResourceName, _) => RESOURCE_NAME.to_owned(),
            (Self::Mark(key), Dialect::Sqlite) => {
                let path = bind(format!("$.securityMarks.marks.\"{key}\"").into());
                format!("COALESCE(json_extract(d.document, {path}), '')")
            }
            (Self::Mark(key), Dialect::Postgres) => {
                let key = bind(key.as_str().into());
                format!("COALESCE(d.document -> 'securityMarks' -> 'marks' ->> {key}, '') COLLATE \"C\"")
            }
        }
    }

    pub(crate) fn is_in_document(&self) -> bool {
        matches!(self, Self::Mark(_))
    }
}

impl fmt::Display for Field {
    /// As the protocol names it in the properties of a group.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Column(column) => f.write_str(column.json),
            Self::ResourceName => f.write_str("resourceName"),
            Self::Mark(key) => write!(f, "securityMarks.marks.{key}"),
        }
    }
}
