//! What people set up: sources, mute rules, notifications. The store keeps each as the protocol's message in JSON, under an id
//! that is unique among its kind; what the messages mean is the caller's, but for mute rules.

use crate::audit::{By, note};
use crate::change::check_size;
use crate::document::normal;
use crate::session::Access;
use crate::sql::{Connection, FromRow, Row, sql};
use crate::{Store, StoreError};
use serde_json::Value as Json;

/// The most settings of one page, and one more, by which a caller sees that there is another page.
const PAGE_LIMIT: u32 = 1_001;

/// What a setting is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `Source`.
    Source,
    /// `MuteConfig`. Those of type `DYNAMIC` and `STATIC` take effect on what is recorded from then on.
    MuteConfig,
    /// `NotificationConfig`.
    NotificationConfig,
    /// Work on many findings that goes on after its call was answered. It is no message of the protocol, and not in the audit
    /// trail; what it does to findings is.
    Operation,
}

impl Kind {
    /// As the protocol names the collection.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Source => "sources",
            Self::MuteConfig => "muteConfigs",
            Self::NotificationConfig => "notificationConfigs",
            Self::Operation => "operations",
        }
    }
}

/// One setting.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// Unique among its kind.
    pub id: String,
    /// The protocol's message.
    pub document: Json,
}

impl FromRow for Setting {
    fn from_row(row: &Row) -> Result<Self, sqlx::Error> {
        let document: String = row.at(1)?;
        let document = serde_json::from_str(&document).map_err(|error| sqlx::Error::Decode(error.into()))?;
        Ok(Self { id: row.at(0)?, document })
    }
}

impl Store {
    /// Settings of one kind in the order of their ids, those behind `after`, 1,001 at the most.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn settings(
        &self,
        kind: Kind,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Setting>, StoreError> {
        let query = sql("SELECT id, CAST(document AS TEXT) FROM settings WHERE kind = $1 AND id > $2
                         ORDER BY id LIMIT $3")
        .bind(kind.as_str())
        .bind(after.unwrap_or_default())
        .bind(i64::from(limit.min(PAGE_LIMIT)));
        let mut transaction = self.begin(Access::Read).await?;
        let settings = transaction.connection().all(query).await;
        self.end(transaction, "list settings", settings).await
    }

    /// One setting.
    ///
    /// # Errors
    /// [`StoreError::NoSuchSetting`].
    pub async fn setting(&self, kind: Kind, id: &str) -> Result<Json, StoreError> {
        let mut transaction = self.begin(Access::Read).await?;
        let found = read(transaction.connection(), kind, id).await;
        let found = self.end(transaction, "read a setting", found).await?;
        found.ok_or_else(|| missing(kind, id))
    }

    /// Adds a setting.
    ///
    /// # Errors
    /// [`StoreError::AlreadyThere`] where one of this kind and id exists, [`StoreError::TooLarge`].
    pub async fn create_setting(
        &self,
        kind: Kind,
        id: &str,
        document: Json,
        by: &By<'_>,
    ) -> Result<Json, StoreError> {
        let document = normal(document);
        check_size(&format!("{}/{id}", kind.as_str()), None, &document)?;
        let mut transaction = self.begin(Access::Write).await?;
        let created = create(transaction.connection(), kind, id, &document, by).await;
        match self.end(transaction, "add a setting", created).await? {
            true => Ok(document),
            false => Err(StoreError::AlreadyThere { name: format!("{}/{id}", kind.as_str()) }),
        }
    }

    /// Changes a setting; nothing happens where `change` refuses. `action` is for the audit trail. Returns the setting as it is then.
    ///
    /// # Errors
    /// [`StoreError::NoSuchSetting`], [`StoreError::TooLarge`]. The inner error is that of `change`.
    pub async fn change_setting<E>(
        &self,
        kind: Kind,
        id: &str,
        by: &By<'_>,
        action: &str,
        change: impl FnOnce(&mut Json) -> Result<(), E>,
    ) -> Result<Result<Json, E>, StoreError> {
        let mut transaction = self.begin(Access::Write).await?;
        let changed = apply(transaction.connection(), kind, id, by, action, change).await;
        match self.end(transaction, "change a setting", changed).await? {
            Some(Ok(changed)) => Ok(changed),
            Some(Err(error)) => Err(error),
            None => Err(missing(kind, id)),
        }
    }

    /// Removes a setting.
    ///
    /// # Errors
    /// [`StoreError::NoSuchSetting`].
    pub async fn delete_setting(&self, kind: Kind, id: &str, by: &By<'_>) -> Result<(), StoreError> {
        let mut transaction = self.begin(Access::Write).await?;
        let removed = delete(transaction.connection(), kind, id, by).await;
        match self.end(transaction, "remove a setting", removed).await? {
            true => Ok(()),
            false => Err(missing(kind, id)),
        }
    }
}

fn missing(kind: Kind, id: &str) -> StoreError {
    StoreError::NoSuchSetting { name: format!("{}/{id}", kind.as_str()) }
}

pub(crate) async fn read(
    connection: &mut Connection,
    kind: Kind,
    id: &str,
) -> Result<Option<Json>, sqlx::Error> {
    let query = sql("SELECT id, CAST(document AS TEXT) FROM settings WHERE kind = $1 AND id = $2");
    let found = connection.first::<Setting>(query.bind(kind.as_str()).bind(id)).await?;
    Ok(found.map(|setting| setting.document))
}

/// Whether it was added, rather than there already.
async fn create(
    connection: &mut Connection,
    kind: Kind,
    id: &str,
    document: &Json,
    by: &By<'_>,
) -> Result<bool, sqlx::Error> {
    let add = "INSERT INTO settings (kind, id, document) VALUES ($1, $2, json($3)) ON CONFLICT DO NOTHING";
    let added = connection.execute(sql(add).bind(kind.as_str()).bind(id).bind(document.to_string())).await?;
    if added > 0 {
        note(connection, by, "Create", &format!("{}/{id}", kind.as_str()), None, Some(document)).await?;
    }
    Ok(added > 0)
}

async fn apply<E>(
    connection: &mut Connection,
    kind: Kind,
    id: &str,
    by: &By<'_>,
    action: &str,
    change: impl FnOnce(&mut Json) -> Result<(), E>,
) -> Result<Option<Result<Result<Json, E>, StoreError>>, sqlx::Error> {
    let Some(before) = read(connection, kind, id).await? else { return Ok(None) };
    let mut after = before.clone();
    if let Err(refused) = change(&mut after) {
        return Ok(Some(Ok(Err(refused))));
    }
    let after = normal(after);
    let object = format!("{}/{id}", kind.as_str());
    if let Err(error) = check_size(&object, Some(&before), &after) {
        return Ok(Some(Err(error)));
    }
    if after != before {
        let put = "UPDATE settings SET document = json($3) WHERE kind = $1 AND id = $2";
        connection.execute(sql(put).bind(kind.as_str()).bind(id).bind(after.to_string())).await?;
        note(connection, by, action, &object, Some(&before), Some(&after)).await?;
    }
    Ok(Some(Ok(Ok(after))))
}

async fn delete(connection: &mut Connection, kind: Kind, id: &str, by: &By<'_>) -> Result<bool, sqlx::Error> {
    let Some(before) = read(connection, kind, id).await? else { return Ok(false) };
    let remove = sql("DELETE FROM settings WHERE kind = $1 AND id = $2").bind(kind.as_str()).bind(id);
    connection.execute(remove).await?;
    note(connection, by, "Delete", &format!("{}/{id}", kind.as_str()), Some(&before), None).await?;
    Ok(true)
}

/// Adds the source that urva's own findings are filed under, unless it is there.
pub(crate) async fn add_own_source(connection: &mut Connection, id: &str) -> Result<(), sqlx::Error> {
    let source = serde_json::json!({
        "displayName": "urva",
        "description": "Malicious Python and shell scripts that ran in containers",
    });
    let add = "INSERT INTO settings (kind, id, document) VALUES ($1, $2, json($3)) ON CONFLICT DO NOTHING";
    let add = sql(add).bind(Kind::Source.as_str()).bind(id).bind(source.to_string());
    connection.execute(add).await.map(|_| ())
}
