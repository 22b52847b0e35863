//! Which fields there are, under which names, and of which type: the table in `fields.txt`.

use super::error::Near;
use std::collections::HashMap;
use std::sync::LazyLock;

/// The message that a field path begins in.
pub(super) const FINDING: &str = "Finding";
/// Field of a finding that leads to its resource; results carry it beside the finding.
pub(super) const RESOURCE: &str = "resource";
const RESOURCE_MESSAGE: &str = "ListFindingsResponse.ListFindingsResult.Resource";

/// Names that filters of the protocol's first version use, and what the second calls them.
const OLDER_NAMES: [(&str, &[&str]); 5] = [
    ("parent_name", &["gcp_metadata", "parent"]),
    ("parent_display_name", &["gcp_metadata", "parent_display_name"]),
    ("project_name", &["gcp_metadata", "project"]),
    ("project_display_name", &["gcp_metadata", "project_display_name"]),
    ("folders", &["gcp_metadata", "folders"]),
];

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Text,
    Truth,
    Integer,
    Number,
    Time,
    Duration,
    /// Anything that JSON can say.
    Value,
    Enum(&'static [&'static str]),
    Message(&'static Message),
}

impl Type {
    /// The type with its article, for messages to people.
    pub(super) fn described(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Truth => "true or false",
            Self::Integer => "a whole number",
            Self::Number => "a number",
            Self::Time => "a time",
            Self::Duration => "a duration",
            Self::Value => "a value of any type",
            Self::Enum(_) => "one of a few names",
            Self::Message(_) => "a group of fields",
        }
    }
}

/// How many values a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Count {
    One,
    Many,
    /// Values under keys that are not in the table.
    Keyed,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Field {
    /// As in the protocol, `snake_case`.
    pub(super) name: &'static str,
    /// As in JSON, `camelCase`.
    pub(super) json: &'static str,
    pub(super) count: Count,
    kind: Kind,
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Plain(Type),
    Enum(&'static str),
    Message(&'static str),
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) name: &'static str,
    pub(super) fields: Vec<Field>,
}

#[derive(Default)]
struct Table {
    messages: HashMap<&'static str, Message>,
    enums: HashMap<&'static str, Vec<&'static str>>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| read(include_str!("fields.txt")).0);
static NOTHING: Message = Message { name: FINDING, fields: Vec::new() };

/// The finding, with its resource as a field.
pub(super) fn finding() -> &'static Message {
    message(FINDING)
}

/// A message by its name in the table.
pub(super) fn message(name: &str) -> &'static Message {
    TABLE.messages.get(name).unwrap_or(&NOTHING)
}

impl Field {
    pub(super) fn kind(&self) -> Type {
        match self.kind {
            Kind::Plain(kind) => kind,
            Kind::Enum(name) => Type::Enum(TABLE.enums.get(name).map_or(&[], Vec::as_slice)),
            Kind::Message(name) => Type::Message(message(name)),
        }
    }
}

impl Message {
    /// The field of this name, in either spelling.
    pub(super) fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name || field.json == name)
    }

    /// Where a name of the protocol's first version leads to.
    pub(super) fn older_name(&self, name: &str) -> Option<&'static [&'static str]> {
        if self.name != RESOURCE_MESSAGE {
            return None;
        }
        OLDER_NAMES.iter().find(|(older, _)| *older == name || camel(older) == name).map(|(_, path)| *path)
    }

    /// How people call it.
    pub(super) fn title(&self) -> String {
        match self.name {
            FINDING => "a finding".to_owned(),
            RESOURCE_MESSAGE => "a resource".to_owned(),
            name => name.to_owned(),
        }
    }

    /// The name that is most like what was written.
    pub(super) fn near(&self, written: &str) -> Near {
        let snake = written.contains('_') || written.bytes().all(|byte| !byte.is_ascii_uppercase());
        near(written, self.fields.iter().map(|field| if snake { field.name } else { field.json }))
    }
}

/// The name that is most like what was written, where one is like it at all.
pub(super) fn near<'a>(written: &str, names: impl Iterator<Item = &'a str>) -> Near {
    const LIKE_ENOUGH: f64 = 0.6;
    let likeness = |name: &str| strsim::normalized_damerau_levenshtein(written, name);
    let written_is_short = written.len() <= 64;
    let best = names
        .filter(|_| written_is_short)
        .map(|name| (likeness(name), name))
        .filter(|(like, _)| *like >= LIKE_ENOUGH)
        .max_by(|one, other| one.0.total_cmp(&other.0).then(other.1.cmp(one.1)));
    Near(best.map(|(_, name)| name.to_owned()))
}

/// The name in JSON of a field of the protocol.
fn camel(name: &str) -> String {
    let mut result = String::with_capacity(name.len());
    let mut upper = false;
    for letter in name.chars() {
        match letter {
            '_' => upper = true,
            _ if upper => {
                result.push(letter.to_ascii_uppercase());
                upper = false;
            }
            _ => result.push(letter),
        }
    }
    result
}

/// Reads the table; beside it the lines that cannot be read, of which there are none, as a test sees to.
fn read(text: &'static str) -> (Table, Vec<&'static str>) {
    let mut table = Table::default();
    let mut unread = Vec::new();
    let mut message: Option<Message> = None;
    let mut values: Option<&'static str> = None;
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let words: Vec<&'static str> = line.split_whitespace().collect();
        match (line.starts_with(' '), words.as_slice()) {
            (false, ["message", name]) => {
                keep(&mut table, message.replace(Message { name, fields: Vec::new() }));
                values = None;
            }
            (false, ["enum", name]) => {
                keep(&mut table, message.take());
                values = Some(name);
            }
            (true, [value]) if values.is_some() => {
                table.enums.entry(values.unwrap_or_default()).or_default().push(value);
            }
            (true, words) => match (field(words), &mut message) {
                (Some(field), Some(message)) => message.fields.push(field),
                _ => unread.push(line),
            },
            _ => unread.push(line),
        }
    }
    keep(&mut table, message);
    (table, unread)
}

fn keep(table: &mut Table, message: Option<Message>) {
    if let Some(message) = message {
        table.messages.insert(message.name, message);
    }
}

fn field(words: &[&'static str]) -> Option<Field> {
    let (name, count, kind) = match words {
        [name, "repeated", kind @ ..] => (name, Count::Many, kind),
        [name, "map", kind @ ..] => (name, Count::Keyed, kind),
        [name, kind @ ..] => (name, Count::One, kind),
        [] => return None,
    };
    let kind = match kind {
        ["string"] => Kind::Plain(Type::Text),
        ["bool"] => Kind::Plain(Type::Truth),
        ["integer"] => Kind::Plain(Type::Integer),
        ["number"] => Kind::Plain(Type::Number),
        ["time"] => Kind::Plain(Type::Time),
        ["duration"] => Kind::Plain(Type::Duration),
        ["value"] => Kind::Plain(Type::Value),
        ["enum", name] => Kind::Enum(name),
        ["message", name] => Kind::Message(name),
        _ => return None,
    };
    // Once for each field of the table, which lives as long as the program.
    Some(Field { name, json: Box::leak(camel(name).into_boxed_str()), count, kind })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_of_the_table_is_read_and_leads_somewhere() {
        let (table, unread) = read(include_str!("fields.txt"));
        assert_eq!(unread, Vec::<&str>::new());
        assert!(table.messages.len() > 60 && table.enums.len() > 15);
        for field in table.messages.values().flat_map(|message| &message.fields) {
            match field.kind {
                Kind::Plain(_) => {}
                Kind::Enum(name) => assert!(table.enums.contains_key(name), "{name}"),
                Kind::Message(name) => assert!(table.messages.contains_key(name), "{name}"),
            }
        }
    }
}
