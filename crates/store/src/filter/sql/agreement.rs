//! Random filters over random documents: both databases let through what `evaluate` does.

use super::sorted::Sorted;
use super::{Column, Columns, Dialect, Resources, Sql};
use crate::filter::fields::{Count, Field, Message, RESOURCE, Type, finding};
use crate::filter::instant::{Instant, time_key};

use crate::filter::syntax::{is_plain, quoted};
use crate::filter::{Filter, Grouping, Key};
use crate::sql::{Connection, Row, Statement, Value as Bound, sql};
use serde_json::{Map, Value, json};
use sqlx::{ConnectOptions, Connection as _};

#[allow(dead_code, reason = "other tests stop it and start it again")]
#[path = "../../../tests/suite/server.rs"]
mod server;

const DOCUMENTS: usize = 160;
const FILTERS: usize = 1_500;

/// Fields with columns of each kind, and all else in documents.
const COLUMNS: Columns = Columns {
    document: "f.document",
    finding: &[
        ("category", Column::Text("f.category")),
        ("severity", Column::Text("f.severity")),
        ("event_time", Column::Time("f.event_time")),
        ("source_properties.k", Column::Property("f.k")),
        ("parent", Column::LastPart("f.parent")),
        ("resource_name", Column::OfResource("r.name")),
    ],
    resources: Resources {
        key: "f.resource",
        rows: "resources r",
        id: "r.seq",
        document: "r.document",
        columns: &[("name", Column::Text("r.name"))],
    },
    has_long_properties: true,
};

const TEXTS: [&str; 33] = [
    "",
    "a",
    "A",
    "abc",
    "ABC",
    "xaBcx",
    "äÄ",
    "ÄÄ",
    "x\"y",
    "back\\slash",
    "%_",
    "%",
    "İ",
    "ſ",
    "K",
    "日本",
    "12",
    "0012",
    "-5",
    "10.0.0.1",
    "10.0.255.7",
    "01.2.3.4",
    "300.1.1.1",
    "2001:db8::1",
    "1:2:3:4:5:6:7:8",
    "::FFFF",
    "::ffff:1.2.3.4",
    "'; DROP TABLE findings; --",
    "$1 {a} NULL",
    "a/b/c",
    "x/b/c",
    "/",
    "line\nbreak",
];
const KEYS: [&str; 12] =
    ["k", "K", "a.b", "a\"b", "back\\slash", "é", "$.x", "'); --", "x y", "12", "#", "[77]"];
const TIMES: [&str; 6] = [
    "2026-11-22T16:00:00Z",
    "2026-11-22T16:00:00.5Z",
    "2026-11-22T16:00:00.500000001Z",
    "1969-12-31T23:59:59.999Z",
    "2299-01-01T00:00:00Z",
    "1970-01-01T00:00:00Z",
];
const RANGES: [&str; 8] =
    ["10.0.0.0/8", "10.0.0.0/24", "0.0.0.0/0", "1.2.3.4", "::/0", "2001:db8::/32", "::ffff/112", "1:2::/31"];
const DURATIONS: [&str; 4] = ["0s", "1s", "1.500s", "-2.250s"];
const NUMBERS: [f64; 6] = [0.0, 0.1, -2.5, 12.0, 9.8, 1e300];
const INTEGERS: [i64; 6] = [0, 1, -5, 12, 4711, i64::MAX];

/// SplitMix64: the same cases on every machine.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap()
    }

    fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        *self.pick(all)
    }

    /// True once in so many times.
    fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}

fn message(dice: &mut Dice, message: &Message, depth: usize) -> Value {
    let mut members = Map::new();
    for field in &message.fields {
        // Few of the many fields of a finding, but those with columns often.
        let rare = if depth == 0 && !KNOWN.contains(&field.name) { 8 } else { 2 };
        if dice.once_in(rare) && (depth < 5 || !matches!(field.kind(), Type::Message(_))) {
            let value = match field.count {
                Count::One => value(dice, field.kind(), depth),
                Count::Many => (0..dice.below(4)).map(|_| value(dice, field.kind(), depth)).collect(),
                Count::Keyed => keyed(dice, field.kind(), depth),
            };
            members.insert(field.json.to_owned(), value);
        }
    }
    Value::Object(members)
}

const KNOWN: [&str; 10] = [
    "parent",
    "category",
    "severity",
    "event_time",
    "source_properties",
    "security_marks",
    "processes",
    "kubernetes",
    "access",
    "indicator",
];

fn keyed(dice: &mut Dice, kind: Type, depth: usize) -> Value {
    let entry = |dice: &mut Dice| (dice.of(&KEYS).to_string(), value(dice, kind, depth));
    (0..dice.below(5)).map(|_| entry(dice)).collect::<Map<_, _>>().into()
}

fn value(dice: &mut Dice, kind: Type, depth: usize) -> Value {
    match kind {
        Type::Text => json!(dice.of(&TEXTS)),
        Type::Truth => json!(dice.once_in(2)),
        // Both forms of the protocol: 32 and 64 bits.
        Type::Integer if dice.once_in(2) => json!(dice.of(&INTEGERS).to_string()),
        Type::Integer => json!(dice.of(&INTEGERS)),
        Type::Number => json!(dice.of(&NUMBERS)),
        Type::Time => json!(dice.of(&TIMES)),
        Type::Duration => json!(dice.of(&DURATIONS)),
        Type::Enum(names) => json!(dice.of(names)),
        Type::Message(inner) => message(dice, inner, depth + 1),
        Type::Value => any_value(dice, 3),
    }
}

fn any_value(dice: &mut Dice, depth: usize) -> Value {
    match dice.below(if depth == 0 { 5 } else { 8 }) {
        0 | 1 => json!(dice.of(&TEXTS)),
        2 => json!(dice.of(&NUMBERS)),
        3 => json!(dice.of(&[-3, 12, 4711])),
        4 => dice.pick(&[json!(true), json!(false), json!(null)]).clone(),
        5 => (0..dice.below(3)).map(|_| any_value(dice, depth - 1)).collect(),
        _ => (0..dice.below(4))
            .map(|_| (dice.of(&KEYS).to_string(), any_value(dice, depth - 1)))
            .collect::<Map<_, _>>()
            .into(),
    }
}

/// A filter about a document: fields that it has, more often than not, with values like its own.
fn filter(dice: &mut Dice, of: Type, document: &Value, depth: usize) -> String {
    let inner = |dice: &mut Dice| filter(dice, of, document, depth - 1);
    match dice.below(if depth == 0 { 1 } else { 6 }) {
        0 | 1 => condition(dice, of, document, depth),
        2 => format!("{} AND {}", inner(dice), inner(dice)),
        3 => format!("({} AND {}) OR {}", inner(dice), inner(dice), inner(dice)),
        4 => format!("({} OR {})", inner(dice), inner(dice)),
        _ => format!("{}({})", dice.of(&["-", "NOT "]), inner(dice)),
    }
}

fn condition(dice: &mut Dice, of: Type, document: &Value, depth: usize) -> String {
    let Type::Message(message) = of else { return comparison(dice, "elem", of, document) };
    let mut name = String::new();
    let mut at = Value::Null;
    step(dice, message, document, &mut name, &mut at, depth)
}

/// Walks down one field of the message.
fn step(
    dice: &mut Dice,
    message: &'static Message,
    value: &Value,
    name: &mut String,
    at: &mut Value,
    depth: usize,
) -> String {
    let present: Vec<&Field> =
        message.fields.iter().filter(|field| value.get(field.json).is_some()).collect();
    let field =
        if present.is_empty() || dice.once_in(4) { dice.pick(&message.fields) } else { dice.of(&present) };
    if !name.is_empty() {
        name.push('.');
    }
    name.push_str(if dice.once_in(2) { field.name } else { field.json });
    *at = value.get(field.json).cloned().unwrap_or_default();
    let kind = field.kind();
    match field.count {
        Count::Keyed if dice.once_in(4) => {
            return format!("{name}:{}", quoted(dice.of(&KEYS)));
        }
        Count::Keyed if dice.once_in(6) => return format!("{name}:*"),
        Count::Keyed => {
            let key = dice.of(&KEYS);
            name.push('.');
            name.push_str(&if is_plain(key) { key.to_owned() } else { quoted(key) });
            *at = at.get(key).cloned().unwrap_or_default();
            if matches!(kind, Type::Value) && at.is_object() && dice.once_in(2) {
                let key = dice.of(&KEYS);
                name.push_str(&format!(".{}", quoted(key)));
                *at = at.get(key).cloned().unwrap_or_default();
            }
        }
        Count::Many => {
            let elements = at.as_array().cloned().unwrap_or_default();
            *at = if elements.is_empty() { Value::Null } else { dice.pick(&elements).clone() };
            if depth > 0 && dice.once_in(2) {
                let function = dice.of(&["contains", "containsOnly"]);
                return format!("{function}({name}, {})", filter(dice, kind, at, depth - 1));
            }
        }
        Count::One => {}
    }
    match kind {
        Type::Message(_) if dice.once_in(8) => format!("{name}:*"),
        Type::Message(inner) => {
            let value = at.clone();
            step(dice, inner, &value, name, at, depth)
        }
        kind => comparison(dice, name, kind, at),
    }
}

fn comparison(dice: &mut Dice, name: &str, kind: Type, value: &Value) -> String {
    if dice.once_in(12) {
        return format!("{name}:*");
    }
    let own = dice.once_in(2);
    let text = value.as_str().filter(|_| own);
    let order = dice.of(&["=", "!=", "<", "<=", ">", ">="]);
    let number = if own { value.as_f64() } else { None }.unwrap_or_else(|| dice.of(&NUMBERS));
    match kind {
        Type::Text => text_comparison(dice, name, text),
        Type::Truth => format!("{name} = {}", dice.once_in(2)),
        Type::Integer => format!("{name} {order} {}", dice.of(&INTEGERS)),
        Type::Number => format!("{name} {order} {number:?}"),
        Type::Time if dice.once_in(4) => {
            format!("{name} {order} {}", dice.of(&[1_795_363_200_500_i64, 0, -1]))
        }
        Type::Time => format!("{name} {order} \"{}\"", text.unwrap_or_else(|| dice.of(&TIMES))),
        Type::Duration => format!("{name} {order} \"{}\"", text.unwrap_or_else(|| dice.of(&DURATIONS))),
        Type::Enum(names) => {
            format!("{name} {} \"{}\"", dice.of(&["=", "!=", ":"]), text.unwrap_or_else(|| dice.of(names)))
        }
        Type::Value => match dice.below(4) {
            0 => format!("{name} {order} {number:?}"),
            1 => format!("{name} = {}", dice.once_in(2)),
            _ => text_comparison(dice, name, text),
        },
        Type::Message(_) => unreachable!("a group has fields"),
    }
}

fn text_comparison(dice: &mut Dice, name: &str, own: Option<&str>) -> String {
    if dice.once_in(6) {
        return format!("inIpRange({name}, \"{}\")", dice.of(&RANGES));
    }
    let text = own.unwrap_or_else(|| dice.of(&TEXTS));
    let text = match dice.below(3) {
        0 => text.to_owned(),
        1 => text.to_uppercase(),
        _ => text.chars().take(2).collect(),
    };
    format!("{name} {} {}", dice.of(&["=", "!=", ":", ":"]), quoted(&text))
}

/// What the columns of a finding hold, as [`Column`] says.
fn row(seq: usize, document: &Value) -> Vec<Bound> {
    let text =
        |name: &str, default: &str| document.get(name).and_then(Value::as_str).unwrap_or(default).to_owned();
    let time = document.get("eventTime").and_then(Value::as_str).and_then(Instant::parse);
    let property = match document.pointer("/sourceProperties/k") {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Array(_) | Value::Object(_)) => None,
        _ => Some(String::new()),
    };
    let mut own = document.clone();
    let resource = own.as_object_mut().unwrap().remove(RESOURCE);
    vec![
        i64::try_from(seq).unwrap().into(),
        resource.map(|_| i64::try_from(seq).unwrap()).into(),
        text("category", "").into(),
        text("severity", "SEVERITY_UNSPECIFIED").into(),
        time.map_or(0, |time| time.nanoseconds.max(0)).into(),
        property.into(),
        text("parent", "").rsplit('/').next().unwrap().into(),
        own.to_string().into(),
    ]
}

const SCHEMA: [&str; 2] = [
    "CREATE TABLE resources (seq BIGINT PRIMARY KEY, name TEXT NOT NULL, document JSONB NOT NULL)",
    "CREATE TABLE findings (seq BIGINT PRIMARY KEY, resource BIGINT, category TEXT NOT NULL, severity TEXT NOT NULL,
     event_time BIGINT NOT NULL, k TEXT, parent TEXT NOT NULL, document JSONB NOT NULL)",
];

struct Database {
    dialect: Dialect,
    connection: Connection,
}

impl Database {
    /// Fills the tables. SQLite takes `JSONB` for a name of its own and keeps texts as they are.
    async fn fill(dialect: Dialect, mut connection: Connection, documents: &[Value]) -> Self {
        let json = if dialect == Dialect::Postgres { "::jsonb" } else { "" };
        for table in SCHEMA {
            let table =
                if dialect == Dialect::Sqlite { table.replace("JSONB", "TEXT") } else { table.to_owned() };
            connection.execute(sql(table)).await.unwrap();
        }
        for (seq, document) in documents.iter().enumerate() {
            if let Some(resource) = document.get(RESOURCE) {
                let name = resource.get("name").and_then(Value::as_str).unwrap_or_default();
                let put = format!("INSERT INTO resources VALUES ($1, $2, $3{json})");
                let seq = i64::try_from(seq).unwrap();
                connection.execute(sql(put).bind(seq).bind(name).bind(resource.to_string())).await.unwrap();
            }
            let put = format!("INSERT INTO findings VALUES ($1, $2, $3, $4, $5, $6, $7, $8{json})");
            connection.execute(row(seq, document).into_iter().fold(sql(put), Statement::bind)).await.unwrap();
        }
        Self { dialect, connection }
    }

    async fn meant(&mut self, filter: &Filter) -> Result<Vec<usize>, String> {
        let Sql { text, values } = filter.sql(self.dialect, &COLUMNS, 2);
        for value in &values {
            let Bound::Text(Some(value)) = value else { continue };
            let marked = value.len() > 2
                && !value.chars().all(|letter| letter.is_ascii_alphanumeric() || "_.:-".contains(letter));
            assert!(!marked || !text.contains(value.as_str()), "{value} stands in {text}");
        }
        let text = format!("SELECT seq FROM findings f WHERE seq >= $1 AND {text} ORDER BY seq");
        let statement = values.into_iter().fold(sql(text.clone()).bind(0_i64), Statement::bind);
        let found: Vec<i64> =
            self.connection.all(statement).await.map_err(|error| format!("{error}: {text}"))?;
        Ok(found.into_iter().map(|seq| usize::try_from(seq).unwrap()).collect())
    }
}

const SORTED: [&str; 21] = [
    "category",
    "severity",
    "event_time",
    "resource_name",
    "module_name",
    "mute",
    "description",
    "mute_update_time",
    "access.principal_email",
    "kernel_rootkit.name",
    "kernel_rootkit.unexpected_ftrace_handler",
    "exfiltration.total_exfiltrated_bytes",
    "security_marks.marks.k",
    "security_marks.marks.\"x y\"",
    "source_properties.k",
    "source_properties.\"a.b\"",
    "source_properties.\"é\".k",
    "external_systems.k.status",
    "resource.display_name",
    "resource.project_display_name",
    "resource.cloud_provider",
];

impl Database {
    /// Numbers of findings in this order, each with the value that it is sorted by.
    async fn sorted(&mut self, key: &Key, direction: &str) -> Vec<(i64, String)> {
        let Sorted { sql: Sql { text, values }, is_number, may_be_absent } =
            key.sql(self.dialect, &COLUMNS, &[], 1);
        let nothing = if is_number { "0" } else { "''" };
        let statement = format!(
            "SELECT seq, COALESCE({text}, {nothing}), {text} IS NULL FROM findings f ORDER BY 2 {direction}, seq"
        );
        let rows =
            self.connection.rows(values.into_iter().fold(sql(statement), Statement::bind)).await.unwrap();
        let read = |row: &Row| {
            // PostgreSQL has a type for what is true; SQLite has a number.
            let is_absent = row.at::<bool>(2).or_else(|_| row.at::<i64>(2).map(|truth| truth != 0)).unwrap();
            assert!(may_be_absent || !is_absent, "{key} is never absent");
            let value =
                if is_number { row.at::<i64>(1).unwrap().to_string() } else { row.at::<String>(1).unwrap() };
            (row.at(0).unwrap(), value)
        };
        rows.iter().map(read).collect()
    }
}

/// The largest filters that are read: the databases have bounds of their own for the length and the depth of a statement.
#[tokio::test]
async fn the_largest_filters_are_run() {
    let documents = [json!({"processes": [{"args": ["a"], "name": "::1"}], "category": "a"})];
    let mut databases = databases(&documents).await;
    let nested =
        |open: &str, inner: &str, depth| format!("{}{inner}{}", open.repeat(depth), ")".repeat(depth));
    let many = |one: &str, count| vec![one; count].join(" OR ");
    let all = |one: &str, count| vec![one; count].join(" AND ");
    let filters = [
        many("source_properties.k != 'x' AND event_time < 5", 250),
        all("NOT source_properties.k.a.b.c.d.e.f.g.h = 'x'", 71),
        many("inIpRange(processes.name, '::/0')", 50),
        format!("containsOnly(processes, containsOnly(args, {}))", many("elem:'a'", 124)),
        format!("containsOnly(processes, {})", many("inIpRange(name, '::/0')", 24)),
        nested("NOT (", "category = 'a'", 32),
        nested("(category = 'b' OR NOT ", "category = 'a'", 32),
        nested("(NOT category = 'a' AND category = 'b' OR NOT ", "category = 'a'", 32),
        format!("{}category = 'a'", "NOT - ".repeat(5_000)),
        format!("category:'{}'", "x".repeat(32_000)),
        many("external_systems.'a b'.status = 'x'", 500),
        many("resource.folders.resource_folder = 'x'", 500),
    ];
    for text in &filters {
        let shown: String = text.chars().take(60).collect();
        let filter = Filter::parse(text).unwrap_or_else(|error| panic!("{shown}: {error}"));
        let expected = if filter.matches(&documents[0]) { vec![0] } else { Vec::new() };
        for database in &mut databases {
            let found = database.meant(&filter).await;
            let found = found.map_err(|error| error.chars().take(300).collect::<String>());
            assert_eq!(found, Ok(expected.clone()), "{:?} {shown}", database.dialect);
        }
    }
}

#[tokio::test]
async fn databases_sort_alike() {
    let mut dice = Dice(7);
    let mut documents: Vec<Value> = (0..DOCUMENTS).map(|_| document(&mut dice)).collect();
    // Too rare to come about by chance.
    documents[0]["sourceProperties"] = json!({"é": [{"k": 1}, {"k": "b"}, {"k": "a"}]});
    let [mut sqlite, mut postgres] = databases(&documents).await;
    for field in SORTED {
        let keys = Grouping::parse(field).unwrap().keys;
        for direction in ["ASC", "DESC"] {
            let expected = sqlite.sorted(&keys[0], direction).await;
            assert!(postgres.sorted(&keys[0], direction).await == expected, "{field} {direction}");
            let first = &expected[0].1;
            assert!(expected.iter().any(|(_, value)| value != first), "{field} is the same everywhere");
        }
    }
}

async fn databases(documents: &[Value]) -> [Database; 2] {
    let memory: sqlx::sqlite::SqliteConnectOptions = "sqlite::memory:".parse().unwrap();
    let sqlite = Connection::Sqlite(memory.connect().await.unwrap());
    let mut postgres = sqlx::PgConnection::connect(&server::new_database()).await.unwrap();
    // As the store's own connections have it: large filters would be compiled for minutes.
    sqlx::raw_sql("SET jit = off").execute(&mut postgres).await.unwrap();
    [
        Database::fill(Dialect::Sqlite, sqlite, documents).await,
        Database::fill(Dialect::Postgres, Connection::Postgres(Box::new(postgres)), documents).await,
    ]
}

/// A finding's resource name is that of its resource, where it has one; otherwise it has none.
fn document(dice: &mut Dice) -> Value {
    let mut document = message(dice, finding(), 0);
    let name = document.pointer("/resource/name").cloned();
    let members = document.as_object_mut().unwrap();
    match name {
        Some(name) => members.insert("resourceName".to_owned(), name),
        None => members.remove("resourceName"),
    };
    document
}

#[tokio::test]
async fn databases_and_evaluator_let_the_same_findings_through() {
    let mut dice = Dice(20_261_122);
    let documents: Vec<Value> = (0..DOCUMENTS).map(|_| document(&mut dice)).collect();
    let mut databases = databases(&documents).await;
    let (mut some, mut failures) = (0, Vec::new());
    for _ in 0..FILTERS {
        let about = dice.pick(&documents).clone();
        let text = filter(&mut dice, Type::Message(finding()), &about, 3);
        let filter = Filter::parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(Filter::parse(&filter.to_string()).as_ref(), Ok(&filter), "{text}");
        let expected: Vec<usize> =
            (0..DOCUMENTS).filter(|index| filter.matches(&documents[*index])).collect();
        some += usize::from(!expected.is_empty() && expected.len() < DOCUMENTS);
        for database in &mut databases {
            let found = database.meant(&filter).await;
            if found.as_ref() != Ok(&expected) {
                failures.push((text.clone(), database.dialect, expected.clone(), found));
            }
        }
    }
    failures.sort_by_key(|(text, ..)| text.len());
    for (text, dialect, expected, found) in failures.iter().take(8) {
        println!("{dialect:?}: {text}\n  expected {expected:?}\n  found    {found:?}");
        let differs = |index: &usize| {
            found.as_ref().is_ok_and(|found| found.contains(index) != expected.contains(index))
        };
        if let Some(index) = (0..DOCUMENTS).find(differs) {
            println!("  for instance {}", documents[index]);
        }
    }
    assert!(failures.is_empty(), "{} of {FILTERS} filters mean something else", failures.len());
    assert!(some > FILTERS / 3, "only {some} of {FILTERS} filters tell the documents apart");
    assert!(TIMES.iter().all(|time| time_key(time).is_some()));
}
