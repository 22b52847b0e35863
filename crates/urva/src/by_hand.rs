//! The methods of the API for commands, which have the database itself: the audit trail says who typed them.

use crate::clock;
use crate::config::Config;
use server::Local;
use std::sync::Arc;
use store::Store;

/// The methods on this store, called by whoever runs this command.
pub(crate) fn methods(store: Arc<Store>, config: &Config) -> Local {
    Local::new(store, clock::now, config.scopes(), actor())
}

/// Who runs this command, as the audit trail names them.
pub(crate) fn actor() -> String {
    format!("command line, user {}", rustix::process::getuid().as_raw())
}
