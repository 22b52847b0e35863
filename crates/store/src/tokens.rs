//! Tokens of the API: who may call it, by the hash of what the caller shows.
//!
//! Owns: keeping them, finding one by its hash, revoking, and the trail of that.
//! Refuses: tokens themselves, and what a role may do. It keeps the role's name as it was given.

use crate::audit::{By, note};
use crate::session::Access;
use crate::sql::{Connection, FromRow, Row, sql};
use crate::{Store, StoreError, from_sql, to_sql};
use evidence::Timestamp;
use serde_json::json;

/// A token to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewToken {
    /// What it is for, as its owner calls it.
    pub name: String,
    /// The name of its role.
    pub role: String,
    /// SHA-256 of the token.
    pub sha256: [u8; 32],
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it is worth nothing.
    pub expires_at: Timestamp,
}

/// A token that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptToken {
    /// Its number, by which it is revoked.
    pub id: i64,
    /// What it is for.
    pub name: String,
    /// The name of its role.
    pub role: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it is worth nothing.
    pub expires_at: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

impl KeptToken {
    /// Whether it opens anything at `now`.
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && now < self.expires_at
    }
}

const COLUMNS: &str = "SELECT id, name, role, created_at, expires_at, revoked_at FROM tokens";

impl FromRow for KeptToken {
    fn from_row(row: &Row) -> Result<Self, sqlx::Error> {
        let time = |number: i64| Timestamp(from_sql(number));
        Ok(Self {
            id: row.get("id")?,
            name: row.get("name")?,
            role: row.get("role")?,
            created_at: time(row.get("created_at")?),
            expires_at: time(row.get("expires_at")?),
            revoked_at: row.get::<Option<i64>>("revoked_at")?.map(time),
        })
    }
}

impl Store {
    /// Keeps a token; returns its number. `actor` is who made it, for the audit trail.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub async fn add_token(&self, token: &NewToken, actor: &str) -> Result<i64, StoreError> {
        let mut transaction = self.begin(Access::Write).await?;
        let added = add(transaction.connection(), token, actor).await;
        self.end(transaction, "add a token", added).await
    }

    /// The token of this hash, valid or not.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn find_token(&self, sha256: &[u8; 32]) -> Result<Option<KeptToken>, StoreError> {
        let mut transaction = self.begin(Access::Read).await?;
        let wanted = sql(format!("{COLUMNS} WHERE sha256 = $1")).bind(sha256.as_slice());
        let found = transaction.connection().first(wanted).await;
        self.end(transaction, "look up a token", found).await
    }

    /// All tokens, the oldest first.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn tokens(&self) -> Result<Vec<KeptToken>, StoreError> {
        let mut transaction = self.begin(Access::Read).await?;
        let found = transaction.connection().all(sql(format!("{COLUMNS} ORDER BY id"))).await;
        self.end(transaction, "list tokens", found).await
    }

    /// Revokes a token; `false` where there is none of this number, or it was revoked before.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub async fn revoke_token(&self, id: i64, by: &By<'_>) -> Result<bool, StoreError> {
        let mut transaction = self.begin(Access::Write).await?;
        let revoked = revoke(transaction.connection(), id, by).await;
        self.end(transaction, "revoke a token", revoked).await
    }
}

async fn add(connection: &mut Connection, token: &NewToken, actor: &str) -> Result<i64, sqlx::Error> {
    let add = sql("INSERT INTO tokens (name, role, sha256, created_at, expires_at) VALUES ($1, $2, $3, $4, $5) RETURNING id")
        .bind(token.name.as_str())
        .bind(token.role.as_str())
        .bind(token.sha256.as_slice())
        .bind(to_sql(token.created_at.0))
        .bind(to_sql(token.expires_at.0));
    let id: i64 = connection.one(add).await?;
    let by = By { actor, at: token.created_at };
    let after = json!({"name": token.name, "role": token.role, "expireTime": token.expires_at.to_string()});
    note(connection, &by, "CreateToken", &format!("tokens/{id}"), None, Some(&after)).await?;
    Ok(id)
}

async fn revoke(connection: &mut Connection, id: i64, by: &By<'_>) -> Result<bool, sqlx::Error> {
    let revoke =
        "UPDATE tokens SET revoked_at = $1 WHERE id = $2 AND revoked_at IS NULL RETURNING name, role";
    let revoked = connection.first(sql(revoke).bind(to_sql(by.at.0)).bind(id)).await?;
    let Some((name, role)): Option<(String, String)> = revoked else { return Ok(false) };
    let before = json!({"name": name, "role": role});
    note(connection, by, "RevokeToken", &format!("tokens/{id}"), Some(&before), None).await?;
    Ok(true)
}
