//! Everything in a database as lines of JSON, and back: how a database moves from SQLite to PostgreSQL, or the other way.
//!
//! The first line names the format, the last one says how many rows there were, each other one is a row of a table:
//! `{"table": "scripts", "row": [...]}`, its values in the order of the table's columns. Bytes are hexadecimal digits. The same content gives the same
//! lines, whichever database it is in.

use crate::insert::write;
use crate::session::Access;
use crate::sql::{Connection, Row, Statement, Value, sql};
use crate::{Store, StoreError};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use std::io::{self, BufRead, Write};

/// What a file of lines says that it is.
const FORMAT: &str = "urva-export-1";

/// Rows that are read, or held until they are written, at a time.
const BATCH: usize = 200;

/// The same of rows that may be long.
const LONG_BATCH: usize = 10;

/// Bytes of lines that are held until they are written.
const HELD_BYTES: u64 = 8 << 20;

/// Bytes of a line; the longest text that urva captures, as digits, is far below.
const LINE_LIMIT: u64 = 128 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Integer,
    Text,
    Blob,
    Json,
}

use Type::{Blob, Integer, Json as Document, Text};

struct Table {
    name: &'static str,
    /// The first ones are the key, by which rows are sorted.
    columns: &'static [(&'static str, Type)],
    key: usize,
    /// Whether PostgreSQL numbers the rows by itself otherwise.
    is_numbered: bool,
}

/// Each after those that it refers to.
const TABLES: [Table; 13] = [
    Table {
        name: "scripts",
        columns: &[("sha256", Blob), ("size", Integer), ("text", Blob)],
        key: 1,
        is_numbered: false,
    },
    Table {
        name: "resources",
        columns: &[("seq", Integer), ("name", Text), ("document", Document)],
        key: 1,
        is_numbered: true,
    },
    Table {
        name: "findings",
        columns: &[
            ("seq", Integer),
            ("source", Text),
            ("id", Text),
            ("resource", Integer),
            ("category", Text),
            ("state", Text),
            ("severity", Text),
            ("mute", Text),
            ("create_time", Integer),
            ("event_time", Integer),
            ("count", Integer),
            ("content_sha256", Blob),
            ("container_id", Text),
            ("metadata", Integer),
            ("container_name", Text),
            ("image", Text),
            ("namespace", Text),
            ("pod", Text),
        ],
        key: 1,
        is_numbered: false,
    },
    Table {
        name: "documents",
        columns: &[("finding", Integer), ("document", Document), ("container", Text), ("body", Blob)],
        key: 1,
        is_numbered: false,
    },
    Table {
        name: "executions",
        columns: &[("finding", Integer), ("pid", Integer), ("start_ticks", Integer), ("at", Integer)],
        key: 3,
        is_numbered: false,
    },
    Table {
        name: "gaps",
        columns: &[("seq", Integer), ("kind", Text), ("began", Integer), ("ended", Integer), ("body", Text)],
        key: 1,
        is_numbered: true,
    },
    Table {
        name: "runs",
        columns: &[
            ("id", Integer),
            ("start", Text),
            ("alive_at", Integer),
            ("ended_at", Integer),
            ("counters", Text),
        ],
        key: 1,
        is_numbered: true,
    },
    Table {
        name: "tokens",
        columns: &[
            ("id", Integer),
            ("name", Text),
            ("role", Text),
            ("sha256", Blob),
            ("created_at", Integer),
            ("expires_at", Integer),
            ("revoked_at", Integer),
        ],
        key: 1,
        is_numbered: true,
    },
    Table {
        name: "settings",
        columns: &[("kind", Text), ("id", Text), ("document", Document)],
        key: 2,
        is_numbered: false,
    },
    Table {
        name: "audit",
        columns: &[
            ("seq", Integer),
            ("at", Integer),
            ("actor", Text),
            ("action", Text),
            ("object", Text),
            ("before", Text),
            ("after", Text),
        ],
        key: 1,
        is_numbered: true,
    },
    Table {
        name: "notices",
        columns: &[
            ("seq", Integer),
            ("at", Integer),
            ("event", Text),
            ("source", Text),
            ("id", Text),
            ("message", Blob),
        ],
        key: 1,
        is_numbered: true,
    },
    Table {
        name: "deliveries",
        columns: &[
            ("seq", Integer),
            ("notice", Integer),
            ("output", Text),
            ("config", Text),
            ("state", Text),
            ("due_at", Integer),
            ("tries", Integer),
            ("error", Text),
        ],
        key: 1,
        is_numbered: true,
    },
    Table {
        name: "outputs",
        columns: &[
            ("name", Text),
            ("sent", Integer),
            ("failed", Integer),
            ("lost", Integer),
            ("sent_at", Integer),
            ("error", Text),
            ("error_at", Integer),
        ],
        key: 1,
        is_numbered: false,
    },
];

#[derive(Serialize, Deserialize)]
struct Line {
    table: String,
    row: Vec<Json>,
}

impl Store {
    /// Writes everything that the database holds at this moment. Returns how many rows that are.
    ///
    /// # Errors
    /// [`StoreError::Output`] where `out` takes no more; else where the database cannot be read.
    pub async fn export(&self, out: &mut impl Write) -> Result<u64, StoreError> {
        let mut transaction = self.begin(Access::Read).await?;
        let exported = export(transaction.connection(), out).await;
        self.end(transaction, "export the database", exported)
            .await?
            .map_err(|error| StoreError::Output { detail: error.to_string() })
    }

    /// Reads what [`Store::export`] wrote into a database that holds nothing yet, all of it or nothing. Returns how many rows that are.
    ///
    /// # Errors
    /// [`StoreError::NotEmpty`], [`StoreError::Import`] for lines that are no export or not all of one.
    pub async fn import(&self, lines: &mut impl BufRead) -> Result<u64, StoreError> {
        let mut transaction = self.begin(Access::Write).await?;
        let connection = transaction.connection();
        let imported = match is_empty(connection).await {
            Ok(true) => import(connection, lines).await,
            Ok(false) => Err(Trouble::NotEmpty),
            Err(error) => Err(error.into()),
        };
        let path = self.path().to_owned();
        match imported {
            Ok(count) => self.end(transaction, "import into the database", Ok(count)).await,
            Err(Trouble::Database(error)) => {
                self.end(transaction, "import into the database", Err(error)).await
            }
            Err(Trouble::NotEmpty) => Err(StoreError::NotEmpty { path }),
            Err(Trouble::Line { number, detail }) => Err(StoreError::Import { line: number, detail }),
        }
    }
}

/// Why an import did not go on.
enum Trouble {
    NotEmpty,
    Line { number: u64, detail: String },
    Database(sqlx::Error),
}

impl From<sqlx::Error> for Trouble {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl Table {
    fn names(&self) -> Vec<&'static str> {
        self.columns.iter().map(|(name, _)| *name).collect()
    }

    /// How many rows are read at a time.
    fn batch(&self) -> usize {
        if matches!(self.name, "scripts" | "documents") { LONG_BATCH } else { BATCH }
    }

    /// Rows behind the one with these keys, a batch of them.
    fn page(&self, after: Option<&[Value]>) -> Statement {
        let read = |(name, kind): &(&str, Type)| match kind {
            Document => format!("CAST({name} AS TEXT)"),
            _ => (*name).to_owned(),
        };
        let columns: Vec<String> = self.columns.iter().map(read).collect();
        let keys = self.names()[..self.key].join(", ");
        let behind = match after {
            Some(_) => {
                format!("WHERE ({keys}) > ({})", crate::insert::list("$", self.key).replace(',', ", "))
            }
            None => String::new(),
        };
        let (columns, name) = (columns.join(", "), self.name);
        let text = format!("SELECT {columns} FROM {name} {behind} ORDER BY {keys} LIMIT {}", self.batch());
        after.unwrap_or_default().iter().cloned().fold(sql(text), Statement::bind)
    }

    fn values(&self, row: &Row) -> Result<Vec<Value>, sqlx::Error> {
        let value = |(place, (_, kind)): (usize, &(&str, Type))| match kind {
            Integer => row.at::<Option<i64>>(place).map(Value::Integer),
            Text | Document => row.at::<Option<String>>(place).map(Value::Text),
            Blob => row.at::<Option<Vec<u8>>>(place).map(Value::Blob),
        };
        self.columns.iter().enumerate().map(value).collect()
    }

    /// A value as it stands in a line.
    fn shown(&self, place: usize, value: &Value) -> Json {
        match value {
            Value::Integer(number) => json!(number),
            // Both databases keep the same document in other words.
            Value::Text(Some(text)) if self.columns.get(place).is_some_and(|(_, kind)| *kind == Document) => {
                serde_json::from_str(text).unwrap_or_else(|_| json!({}))
            }
            Value::Text(text) => json!(text),
            Value::Blob(bytes) => {
                json!(
                    bytes
                        .as_ref()
                        .map(|bytes| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
                )
            }
        }
    }

    /// The values of a line.
    fn read(&self, row: Vec<Json>) -> Option<Vec<Value>> {
        if row.len() != self.columns.len() {
            return None;
        }
        let value = |(json, (_, kind)): (Json, &(&str, Type))| match (kind, json) {
            (Integer, Json::Null) => Some(Value::Integer(None)),
            (Text, Json::Null) => Some(Value::Text(None)),
            (Blob, Json::Null) => Some(Value::Blob(None)),
            (Integer, Json::Number(number)) => Some(number.as_i64()?.into()),
            (Text, Json::String(text)) => Some(text.into()),
            (Blob, Json::String(digits)) => Some(bytes(&digits)?.into()),
            (Document, document @ Json::Object(_)) => Some(document.to_string().into()),
            _ => None,
        };
        row.into_iter().zip(self.columns).map(value).collect()
    }

    async fn insert(&self, connection: &mut Connection, rows: Vec<Vec<Value>>) -> Result<(), sqlx::Error> {
        let own_numbers = self.is_numbered && matches!(connection, Connection::Postgres(_));
        let table = format!(
            "{} ({}){}",
            self.name,
            self.names().join(", "),
            if own_numbers { " OVERRIDING SYSTEM VALUE" } else { "" }
        );
        let shape: Vec<&str> =
            self.columns.iter().map(|(_, kind)| if *kind == Document { "json($)" } else { "$" }).collect();
        write(connection, &table, &format!("({})", shape.join(",")), "", rows).await
    }

    /// Lets PostgreSQL number on behind what is there.
    async fn number_on(&self, connection: &mut Connection) -> Result<(), sqlx::Error> {
        if !self.is_numbered || !matches!(connection, Connection::Postgres(_)) {
            return Ok(());
        }
        let (table, key) = (self.name, self.names()[0]);
        let set = format!(
            "SELECT setval(pg_get_serial_sequence('urva.{table}', '{key}'), (SELECT max({key}) FROM {table}))"
        );
        connection.execute(sql(set)).await.map(|_| ())
    }
}

fn bytes(digits: &str) -> Option<Vec<u8>> {
    let byte = |pair: &[u8]| {
        u8::from_str_radix(std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?, 16).ok()
    };
    digits.as_bytes().chunks(2).map(byte).collect()
}

async fn export(connection: &mut Connection, out: &mut impl Write) -> Result<io::Result<u64>, sqlx::Error> {
    let mut count = 0;
    let begun = line(out, &json!({"format": FORMAT}));
    if begun.is_err() {
        return Ok(begun.map(|()| 0));
    }
    for table in &TABLES {
        let mut after: Option<Vec<Value>> = None;
        loop {
            let rows = connection.rows(table.page(after.as_deref())).await?;
            for row in &rows {
                let values = table.values(row)?;
                let shown =
                    values.iter().enumerate().map(|(place, value)| table.shown(place, value)).collect();
                if let Err(error) = line(out, &Line { table: table.name.to_owned(), row: shown }) {
                    return Ok(Err(error));
                }
                count += 1;
                after = Some(values[..table.key].to_vec());
            }
            if rows.len() < table.batch() {
                break;
            }
        }
    }
    Ok(line(out, &json!({"rows": count})).and_then(|()| out.flush()).map(|()| count))
}

fn line(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    let mut text = serde_json::to_vec(value).map_err(io::Error::from)?;
    text.push(b'\n');
    out.write_all(&text)
}

/// Whether nobody has put anything into it: the source of urva's own findings is there from the beginning.
async fn is_empty(connection: &mut Connection) -> Result<bool, sqlx::Error> {
    for table in TABLES.iter().filter(|table| table.name != "settings") {
        if !connection.rows(table.page(None)).await?.is_empty() {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn import(connection: &mut Connection, lines: &mut impl BufRead) -> Result<u64, Trouble> {
    connection.execute(sql("DELETE FROM settings")).await?;
    let mut lines = Lines { lines, number: 0, bytes: 0 };
    if lines.next()?.and_then(|line| line.get("format").cloned()) != Some(json!(FORMAT)) {
        return Err(lines.refuse("an export of urva begins otherwise"));
    }
    let mut count = 0_u64;
    let mut waiting: Vec<Vec<Value>> = Vec::new();
    let (mut at, mut held) = (0, 0);
    loop {
        let Some(line) = lines.next()? else {
            return Err(lines.refuse("the export ends before its last line: it is not whole"));
        };
        if let Some(rows) = line.get("rows") {
            if *rows != json!(count) {
                return Err(lines.refuse("some of the export's rows are missing"));
            }
            break;
        }
        let place = serde_json::from_value(line).ok().and_then(|Line { table, row }| {
            let place = TABLES.iter().position(|known| known.name == table).filter(|place| *place >= at)?;
            Some((place, TABLES.get(place)?.read(row)?))
        });
        let Some((place, row)) = place else { return Err(lines.refuse("this is no row of a table of urva")) };
        held += lines.bytes;
        if place != at || waiting.len() >= BATCH || held > HELD_BYTES {
            insert(connection, at, std::mem::take(&mut waiting)).await?;
            (at, held) = (place, lines.bytes);
        }
        waiting.push(row);
        count += 1;
    }
    insert(connection, at, waiting).await?;
    for table in &TABLES {
        table.number_on(connection).await?;
    }
    Ok(count)
}

async fn insert(connection: &mut Connection, place: usize, rows: Vec<Vec<Value>>) -> Result<(), sqlx::Error> {
    match TABLES.get(place) {
        Some(table) => table.insert(connection, rows).await,
        None => Ok(()),
    }
}

/// Lines of JSON, counted.
struct Lines<'a, R> {
    lines: &'a mut R,
    number: u64,
    /// Of the last one.
    bytes: u64,
}

impl<R: BufRead> Lines<'_, R> {
    fn next(&mut self) -> Result<Option<Json>, Trouble> {
        self.number += 1;
        let mut line = Vec::new();
        let read = io::Read::take(&mut *self.lines, LINE_LIMIT).read_until(b'\n', &mut line);
        self.bytes = line.len() as u64;
        match read.map(|length| (length, serde_json::from_slice(&line))) {
            Err(error) => Err(self.refuse(&error.to_string())),
            Ok((0, _)) => Ok(None),
            Ok((_, Ok(json))) => Ok(Some(json)),
            Ok((_, Err(_))) => Err(self.refuse("this is no JSON")),
        }
    }

    fn refuse(&self, detail: &str) -> Trouble {
        Trouble::Line { number: self.number, detail: detail.to_owned() }
    }
}
