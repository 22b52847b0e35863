//! Work on many findings, kept so that a restart forgets none of it. What the work is, and carrying it out, is the caller's;
//! reading it is [`Store::settings`] with [`Kind::Operation`].

use crate::document::normal;
use crate::session::Access;
use crate::settings::{self, Kind};
use crate::sql::{Connection, sql};
use crate::{Store, StoreError};
use serde_json::Value as Json;

impl Store {
    /// Keeps new work under this id; `false` where the id is taken.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub async fn add_operation(&self, id: &str, document: &Json) -> Result<bool, StoreError> {
        let add =
            "INSERT INTO settings (kind, id, document) VALUES ($1, $2, json($3)) ON CONFLICT DO NOTHING";
        self.write_operation(add, id, document).await
    }

    /// Keeps work, in the place of what is known under this id.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub async fn put_operation(&self, id: &str, document: &Json) -> Result<(), StoreError> {
        let put = "INSERT INTO settings (kind, id, document) VALUES ($1, $2, json($3))
                   ON CONFLICT (kind, id) DO UPDATE SET document = excluded.document";
        self.write_operation(put, id, document).await.map(|_| ())
    }

    /// Replaces work, or forgets it where there is nothing `new`, as long as it still is `known`; `false` where it is not.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub async fn end_operation(
        &self,
        id: &str,
        known: &Json,
        new: Option<&Json>,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.begin(Access::Write).await?;
        let ended = end(transaction.connection(), id, known, new).await;
        self.end(transaction, "end an operation", ended).await
    }

    /// Whether a row was written.
    async fn write_operation(
        &self,
        statement: &'static str,
        id: &str,
        document: &Json,
    ) -> Result<bool, StoreError> {
        let document = normal(document.clone()).to_string();
        let mut transaction = self.begin(Access::Write).await?;
        let write = sql(statement).bind(Kind::Operation.as_str()).bind(id).bind(document);
        let written = transaction.connection().execute(write).await;
        self.end(transaction, "keep an operation", written).await.map(|rows| rows > 0)
    }
}

async fn end(
    connection: &mut Connection,
    id: &str,
    known: &Json,
    new: Option<&Json>,
) -> Result<bool, sqlx::Error> {
    if settings::read(connection, Kind::Operation, id).await?.as_ref() != Some(known) {
        return Ok(false);
    }
    let statement = match new {
        Some(new) => sql("UPDATE settings SET document = json($3) WHERE kind = $1 AND id = $2")
            .bind(Kind::Operation.as_str())
            .bind(id)
            .bind(normal(new.clone()).to_string()),
        None => {
            sql("DELETE FROM settings WHERE kind = $1 AND id = $2").bind(Kind::Operation.as_str()).bind(id)
        }
    };
    connection.execute(statement).await.map(|rows| rows > 0)
}
