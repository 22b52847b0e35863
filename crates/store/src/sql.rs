//! One way to speak SQL to both databases: a statement with its values, a connection that runs it, rows that are read.
//! Owns what differs between the drivers. Refuses to know any table.
//!
//! One text serves both wherever it can: parameters are `$1`, `$2`, …, numbers are `BIGINT`, and nothing is asked for
//! in another type than it was stored.

use sqlx::postgres::{PgArguments, PgConnection, PgRow};
use sqlx::sqlite::{SqliteArguments, SqliteConnection, SqliteRow};
use sqlx::{Arguments, AssertSqlSafe, Connection as _, Decode, Error, Postgres, Row as _, Sqlite, Type};
use std::borrow::Cow;

/// What is put in the place of a parameter. An absent value keeps its type, since PostgreSQL wants to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Integer(Option<i64>),
    Text(Option<String>),
    Blob(Option<Vec<u8>>),
}

/// Turns Rust's types into a [`Value`].
macro_rules! values {
    ($($type:ty => $variant:ident, $convert:expr;)*) => {$(
        impl From<$type> for Value {
            fn from(value: $type) -> Self {
                Self::$variant(Some(($convert)(value)))
            }
        }
        impl From<Option<$type>> for Value {
            fn from(value: Option<$type>) -> Self {
                Self::$variant(value.map($convert))
            }
        }
    )*};
}

values! {
    i64 => Integer, |value| value;
    String => Text, |value| value;
    &str => Text, |value: &str| value.to_owned();
    Vec<u8> => Blob, |value| value;
    &[u8] => Blob, |value: &[u8]| value.to_owned();
}

/// One statement with its values, in the order of their numbers.
#[derive(Debug, Clone)]
pub(crate) struct Statement {
    text: Cow<'static, str>,
    values: Vec<Value>,
    is_kept: bool,
}

/// A statement without values yet. Its text is written down in the program, or put together from such texts; what a caller
/// says is only ever bound.
pub(crate) fn sql(text: impl Into<Cow<'static, str>>) -> Statement {
    Statement { text: text.into(), values: Vec::new(), is_kept: true }
}

impl Statement {
    pub(crate) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(match value.into() {
            Value::Text(text) => Value::Text(text.map(without_nul)),
            other => other,
        });
        self
    }

    /// A statement that is hardly ever asked again word for word: the connection does not remember it, and so keeps those that are.
    pub(crate) fn once(self) -> Self {
        Self { is_kept: false, ..self }
    }

    /// So many values that the driver's way of finding parameters by name would cost more than the statement: SQLite's
    /// own `?` stand for them, in their order.
    pub(crate) fn in_order(mut self, connection: &Connection) -> Self {
        if matches!(connection, Connection::Sqlite(_)) {
            let mut text = String::with_capacity(self.text.len());
            let mut letters = self.text.chars().peekable();
            while let Some(letter) = letters.next() {
                if letter == '$' {
                    text.push('?');
                    while letters.next_if(char::is_ascii_digit).is_some() {}
                } else {
                    text.push(letter);
                }
            }
            self.text = text.into();
        }
        self
    }

    fn for_sqlite(self) -> Result<(AssertSqlSafe<Cow<'static, str>>, SqliteArguments), Error> {
        let mut arguments = SqliteArguments::default();
        for value in self.values {
            match value {
                Value::Integer(number) => arguments.add(number),
                Value::Text(text) => arguments.add(text),
                Value::Blob(bytes) => arguments.add(bytes),
            }
            .map_err(Error::Encode)?;
        }
        Ok((AssertSqlSafe(self.text), arguments))
    }

    fn for_postgres(self) -> Result<(AssertSqlSafe<Cow<'static, str>>, PgArguments), Error> {
        let mut arguments = PgArguments::default();
        for value in self.values {
            match value {
                Value::Integer(number) => arguments.add(number),
                Value::Text(text) => arguments.add(text),
                Value::Blob(bytes) => arguments.add(bytes),
            }
            .map_err(Error::Encode)?;
        }
        Ok((AssertSqlSafe(self.text), arguments))
    }
}

/// PostgreSQL's texts hold every character but this one. It stands in no name that a runtime gives; where
/// somebody made one up, both the stored and the wanted text have the replacement, so that they still meet.
pub(crate) fn without_nul(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
}

/// One row of an answer.
pub(crate) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

/// What can be read from a column of both databases.
pub(crate) trait Column:
    Type<Sqlite> + for<'r> Decode<'r, Sqlite> + Type<Postgres> + for<'r> Decode<'r, Postgres>
{
}

impl<T> Column for T where
    T: Type<Sqlite> + for<'r> Decode<'r, Sqlite> + Type<Postgres> + for<'r> Decode<'r, Postgres>
{
}

impl Row {
    /// The column of this number, from 0.
    pub(crate) fn at<T: Column>(&self, index: usize) -> Result<T, Error> {
        match self {
            Self::Sqlite(row) => row.try_get(index),
            Self::Postgres(row) => row.try_get(index),
        }
    }

    /// The column of this name.
    pub(crate) fn get<T: Column>(&self, name: &str) -> Result<T, Error> {
        match self {
            Self::Sqlite(row) => row.try_get(name),
            Self::Postgres(row) => row.try_get(name),
        }
    }
}

/// Something that a row is read as.
pub(crate) trait FromRow: Sized {
    fn from_row(row: &Row) -> Result<Self, Error>;
}

impl FromRow for i64 {
    fn from_row(row: &Row) -> Result<Self, Error> {
        row.at(0)
    }
}

impl FromRow for String {
    fn from_row(row: &Row) -> Result<Self, Error> {
        row.at(0)
    }
}

impl FromRow for Option<Vec<u8>> {
    fn from_row(row: &Row) -> Result<Self, Error> {
        row.at(0)
    }
}

impl FromRow for Vec<u8> {
    fn from_row(row: &Row) -> Result<Self, Error> {
        row.at(0)
    }
}

impl<A: Column, B: Column> FromRow for (A, B) {
    fn from_row(row: &Row) -> Result<Self, Error> {
        Ok((row.at(0)?, row.at(1)?))
    }
}

impl<A: Column, B: Column, C: Column> FromRow for (A, B, C) {
    fn from_row(row: &Row) -> Result<Self, Error> {
        Ok((row.at(0)?, row.at(1)?, row.at(2)?))
    }
}

/// A connection to either database.
#[derive(Debug, Default)]
pub(crate) enum Connection {
    /// Not made yet, or cut off. Each statement fails.
    #[default]
    Closed,
    Sqlite(SqliteConnection),
    Postgres(Box<PgConnection>),
}

impl Connection {
    /// Runs a statement; returns how many rows it changed.
    pub(crate) async fn execute(&mut self, statement: Statement) -> Result<u64, Error> {
        match self {
            Self::Sqlite(connection) => {
                let (text, arguments) = statement.for_sqlite()?;
                let done = sqlx::query_with(text, arguments).execute(connection).await?;
                Ok(done.rows_affected())
            }
            Self::Postgres(connection) => {
                let (text, arguments) = statement.for_postgres()?;
                let done = sqlx::query_with(text, arguments).execute(&mut **connection).await?;
                Ok(done.rows_affected())
            }
            Self::Closed => Err(Error::PoolClosed),
        }
    }

    /// Runs a script: several statements without values.
    pub(crate) async fn run(&mut self, script: impl Into<Cow<'static, str>>) -> Result<(), Error> {
        let script = sqlx::raw_sql(AssertSqlSafe(script.into()));
        match self {
            Self::Sqlite(connection) => script.execute(connection).await.map(|_| ()),
            Self::Postgres(connection) => script.execute(&mut **connection).await.map(|_| ()),
            Self::Closed => Err(Error::PoolClosed),
        }
    }

    /// All rows of an answer, as they come.
    pub(crate) async fn rows(&mut self, statement: Statement) -> Result<Vec<Row>, Error> {
        match self {
            Self::Sqlite(connection) => {
                let is_kept = statement.is_kept;
                let (text, arguments) = statement.for_sqlite()?;
                let query = sqlx::query_with(text, arguments).persistent(is_kept);
                let rows = query.fetch_all(connection).await?;
                Ok(rows.into_iter().map(Row::Sqlite).collect())
            }
            Self::Postgres(connection) => {
                let is_kept = statement.is_kept;
                let (text, arguments) = statement.for_postgres()?;
                let query = sqlx::query_with(text, arguments).persistent(is_kept);
                let rows = query.fetch_all(&mut **connection).await?;
                Ok(rows.into_iter().map(Row::Postgres).collect())
            }
            Self::Closed => Err(Error::PoolClosed),
        }
    }

    /// All rows of an answer.
    pub(crate) async fn all<T: FromRow>(&mut self, statement: Statement) -> Result<Vec<T>, Error> {
        self.rows(statement).await?.iter().map(T::from_row).collect()
    }

    /// The first row of an answer, where there is one.
    pub(crate) async fn first<T: FromRow>(&mut self, statement: Statement) -> Result<Option<T>, Error> {
        self.rows(statement).await?.first().map(T::from_row).transpose()
    }

    /// The first row of an answer that always has one.
    pub(crate) async fn one<T: FromRow>(&mut self, statement: Statement) -> Result<T, Error> {
        self.first(statement).await?.ok_or(Error::RowNotFound)
    }

    pub(crate) async fn close(self) -> Result<(), Error> {
        match self {
            Self::Sqlite(connection) => connection.close().await,
            Self::Postgres(connection) => connection.close().await,
            Self::Closed => Ok(()),
        }
    }
}
