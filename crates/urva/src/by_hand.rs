//! The methods of the API for commands, which have the database itself: the audit trail says who typed them.

use crate::clock;
use crate::config::Config;
use server::Local;
use std::sync::Arc;
use store::Store;

/// The methods on this store, called by whoever runs this command.
pub(crate) fn methods(store: Arc<Store>, config: &Config) -> Local {
    let user = rustix::process::getuid().as_raw();
    Local::new(store, clock::now, config.scopes(), format!("command line, user {user}"))
}
