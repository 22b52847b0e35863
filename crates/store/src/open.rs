//! Opening a store: which database an address names.

use crate::Site;
use crate::session::Access;
use crate::{Store, StoreError, postgres, settings, sqlite};
use std::path::Path;

/// How an address of PostgreSQL begins.
const SERVER_SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];

impl Store {
    /// [`Store::open_in`] for a site that nobody has described.
    ///
    /// # Errors
    /// As for [`Store::open_in`].
    pub async fn open(address: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::open_in(address, Site::default()).await
    }

    /// Opens the database for writing, creates its tables where there are none, and brings them up to date where
    /// they are of an older urva. `address` is a path or `sqlite:///PATH`, or `postgres://USER@HOST/DATABASE`.
    ///
    /// A file that is missing is created with mode 0600; its folder must exist, and the caller holds its
    /// [`crate::StateLock`]. A database of PostgreSQL must exist. Any number of processes may write to it. `site` is what
    /// findings are rendered with from now on.
    ///
    /// # Errors
    /// One of the variants of [`StoreError`] that say what is there and what to do. It is not changed then.
    pub async fn open_in(address: impl AsRef<Path>, site: Site) -> Result<Self, StoreError> {
        let pool = match server(address.as_ref()) {
            Some(url) => postgres::open(url, &site).await?,
            None => sqlite::open(address.as_ref(), &site).await?,
        };
        let store = Self::over(pool, site);
        store.add_own_source().await?;
        Ok(store)
    }

    async fn add_own_source(&self) -> Result<(), StoreError> {
        let mut transaction = self.begin(Access::Write).await?;
        let added = settings::add_own_source(transaction.connection(), &self.site.place.source).await;
        self.end(transaction, "prepare the database", added).await
    }

    /// Opens a database for reading while another process writes to it, or nobody does. It sees what was recorded
    /// before each call.
    ///
    /// # Errors
    /// [`StoreError::NoDatabase`] where there is none yet; the rest as for [`Store::open`].
    pub async fn open_read_only(address: impl AsRef<Path>) -> Result<Self, StoreError> {
        let pool = match server(address.as_ref()) {
            Some(url) => postgres::open_read_only(url).await?,
            None => sqlite::open_read_only(address.as_ref()).await?,
        };
        Ok(Self::over(pool, Site::default()))
    }
}

fn server(address: &Path) -> Option<&str> {
    address.to_str().filter(|text| SERVER_SCHEMES.iter().any(|scheme| text.starts_with(scheme)))
}
