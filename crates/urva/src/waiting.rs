//! Waiting for the store, on one thread: what commands do that end soon.

use anyhow::{Context, Result};

/// Waits for the work, and for what it begins.
pub(crate) fn wait_for<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("starting the async runtime")?.block_on(work)
}
