//! The cases that both databases run: this module is there once for each.

use crate::sandbox::{Older, Sandbox};

mod changing;
mod listing;
mod moving;
mod naming;
mod operations;
mod outbox;
mod previewing;
mod querying;
mod recording;
mod retaining;
mod runs;
mod tokens;
mod upgrading;

/// An empty store in the database that this copy of the module is for.
async fn sandbox() -> Sandbox {
    match module_path!().rsplit("::").next() {
        Some("on_postgres") => Sandbox::on_postgres().await,
        _ => Sandbox::on_sqlite().await,
    }
}

/// The same as version 1 made it.
async fn older() -> Older {
    match module_path!().rsplit("::").next() {
        Some("on_postgres") => Older::on_postgres().await,
        _ => Older::on_sqlite().await,
    }
}
