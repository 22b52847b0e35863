//! An empty store, gone when the test ends.

use crate::samples::HOUR;
use crate::server;
use evidence::Finding;
use std::path::PathBuf;
use store::Store;
use tempfile::TempDir;

pub(crate) struct Sandbox {
    /// Where the file is; empty where the database is a server's.
    pub(crate) folder: TempDir,
    /// What names the database.
    pub(crate) address: PathBuf,
    pub(crate) store: Store,
}

impl Sandbox {
    pub(crate) async fn on_sqlite() -> Self {
        let folder = TempDir::new().unwrap();
        let address = folder.path().join("urva.db");
        let store = Store::open(&address).await.unwrap();
        Self { folder, address, store }
    }

    pub(crate) async fn on_postgres() -> Self {
        let address = PathBuf::from(server::new_database());
        let store = Store::open(&address).await.unwrap();
        Self { folder: TempDir::new().unwrap(), address, store }
    }

    /// Records one finding and returns it as it is read back.
    pub(crate) async fn stored(&self, finding: &Finding) -> Finding {
        let recorded = self.store.record(std::slice::from_ref(finding), HOUR).await.unwrap();
        self.store.get(&recorded[0].id).await.unwrap()
    }
}
