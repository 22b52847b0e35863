//! Opening a database of PostgreSQL, and bringing its schema up to date. All tables lie in the schema `urva`, so that
//! the database may hold those of other programs too.

use crate::document::Site;
use crate::error::explain;
use crate::session::{Access, Pool, Source};
use crate::sql::{Connection, sql};
use crate::{KNOWN_VERSION, SCHEMA_VERSION, StoreError, upgrade};
use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Each script leads from the version that is its index to the next one.
const MIGRATIONS: [&str; SCHEMA_VERSION as usize] = [
    include_str!("../schema/postgres/1.sql"),
    include_str!("../schema/postgres/2.sql"),
    include_str!("../schema/postgres/3.sql"),
    include_str!("../schema/postgres/4.sql"),
    include_str!("../schema/postgres/5.sql"),
    include_str!("../schema/postgres/6.sql"),
];

/// Settings of each connection. What is committed is on disk, whatever the server's own default is. Who waits longer for a
/// lock than SQLite would is told so; a transaction whose client fell silent does not keep the others waiting for ever.
const SETTINGS: [(&str, &str); 5] = [
    ("search_path", "urva"),
    // Filters have many small parts that run once for each row: to compile them took a minute where to run them took 0.1 s.
    ("jit", "off"),
    ("synchronous_commit", "on"),
    ("lock_timeout", "5s"),
    ("idle_in_transaction_session_timeout", "60s"),
];

pub(crate) async fn open(url: &str, site: &Site) -> Result<Pool, StoreError> {
    let source = source(url, Access::Write)?;
    let (mut connection, found) = connect(&source).await?;
    judge(source.path(), found.unwrap_or(0))?;
    if found.is_none_or(|found| found < KNOWN_VERSION) {
        let migrated = migrate(&mut connection, site).await;
        let found = migrated.map_err(|error| explain(source.path(), "prepare the database", error))?;
        // Another process may have been first, and newer.
        judge(source.path(), found)?;
    }
    Ok(Pool::new(source, connection))
}

pub(crate) async fn open_read_only(url: &str) -> Result<Pool, StoreError> {
    let source = source(url, Access::Read)?;
    let (connection, found) = connect(&source).await?;
    let path = source.path().to_owned();
    let Some(found) = found else { return Err(StoreError::NoDatabase { path }) };
    judge(&path, found)?;
    if found < KNOWN_VERSION {
        return Err(StoreError::Older { path, found, known: KNOWN_VERSION });
    }
    Ok(Pool::new(source, connection))
}

/// Waits until nobody else writes, and keeps others from it until the transaction ends.
pub(crate) async fn lock(connection: &mut Connection) -> Result<(), sqlx::Error> {
    // `urva` in ASCII, among the locks that programs agree on by number.
    connection.execute(sql("SELECT pg_advisory_xact_lock(1970435681)")).await.map(|_| ())
}

fn source(url: &str, access: Access) -> Result<Source, StoreError> {
    let options = PgConnectOptions::from_str(url)
        .map_err(|_| StoreError::UnknownAddress { address: without_password(url) })?;
    let read_only = if access == Access::Read { "on" } else { "off" };
    let options = options
        .options(SETTINGS)
        .options([("default_transaction_read_only", read_only)])
        .application_name("urva")
        .disable_statement_logging();
    let host = match options.get_socket() {
        Some(socket) => socket.display().to_string(),
        None => options.get_host().to_owned(),
    };
    let database = options.get_database().unwrap_or_else(|| options.get_username());
    let name = format!("postgres://{}@{host}:{}/{database}", options.get_username(), options.get_port());
    Ok(Source::Server { name: PathBuf::from(name), options: Box::new(options) })
}

/// The address as it may be shown.
fn without_password(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("postgres", ""));
    let (user, place) = rest.rsplit_once('@').unwrap_or(("", rest));
    let user = user.split(':').next().unwrap_or_default();
    let place = place.split('?').next().unwrap_or_default();
    format!("{scheme}://{user}@{place}")
}

/// Connects, and reads the version of the schema where there is one.
async fn connect(source: &Source) -> Result<(Connection, Option<i64>), StoreError> {
    let explained = |error| explain(source.path(), "open the database", error);
    let mut connection = source.connect(Access::Write, None).await.map_err(explained)?;
    let found = version(&mut connection).await.map_err(explained)?;
    Ok((connection, found))
}

async fn version(connection: &mut Connection) -> Result<Option<i64>, sqlx::Error> {
    let table = sql("SELECT CAST(count(*) AS BIGINT) FROM information_schema.tables
                     WHERE table_schema = 'urva' AND table_name = 'schema_version'");
    if connection.one::<i64>(table).await? == 0 {
        return Ok(None);
    }
    connection.first(sql("SELECT version FROM urva.schema_version")).await
}

fn judge(path: &Path, found: i64) -> Result<(), StoreError> {
    if found > KNOWN_VERSION {
        return Err(StoreError::Newer { path: path.to_owned(), found, known: KNOWN_VERSION });
    }
    Ok(())
}

/// All steps in one transaction, by one process at a time. Returns the version that is there then.
async fn migrate(connection: &mut Connection, site: &Site) -> Result<i64, sqlx::Error> {
    connection.execute(sql("BEGIN")).await?;
    // Whoever was first may have much to bring up to date.
    connection.execute(sql("SET LOCAL lock_timeout = 0")).await?;
    lock(connection).await?;
    let found = version(connection).await?;
    if found.is_none() {
        connection.run("CREATE SCHEMA IF NOT EXISTS urva").await?;
        connection.run("CREATE TABLE urva.schema_version (version BIGINT NOT NULL)").await?;
        connection.run("INSERT INTO urva.schema_version VALUES (0)").await?;
    }
    let found = found.unwrap_or(0);
    for script in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or(0)) {
        connection.run(*script).await?;
    }
    if found < 3 {
        upgrade::to_version_3(connection, site).await?;
    }
    if found < KNOWN_VERSION {
        connection.execute(sql("UPDATE urva.schema_version SET version = $1").bind(KNOWN_VERSION)).await?;
    }
    connection.execute(sql("COMMIT")).await?;
    Ok(found.max(KNOWN_VERSION))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_in_no_message() {
        let shown = without_password("postgres://urva:geheim@db:5432/urva?password=geheim");
        assert_eq!(shown, "postgres://urva@db:5432/urva");
        let source = source("postgres://urva:geheim@db:5433/urva", Access::Write).unwrap();
        assert_eq!(source.path(), Path::new("postgres://urva@db:5433/urva"));
        assert!(!format!("{}", source.path().display()).contains("geheim"));
    }
}
