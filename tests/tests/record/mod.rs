//! What the command line does not tell: urva's own record of its runs and of what it did not see.

#![allow(dead_code, reason = "each test program uses a part")]
#![allow(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

use end_to_end::Site;
use evidence::{Gap, Timestamp};
use store::{Run, Store};

/// The latest run of urva on this state.
pub(crate) fn latest_run(site: &Site) -> Run {
    with_store(site, async |store| store.latest_run().await.unwrap().unwrap())
}

/// All gaps.
pub(crate) fn gaps(site: &Site) -> Vec<Gap> {
    with_store(site, async |store| store.gaps(Timestamp(0), 10_000).await.unwrap())
}

fn with_store<T>(site: &Site, ask: impl AsyncFnOnce(&Store) -> T) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let store = Store::open_read_only(site.database()).await.unwrap();
        ask(&store).await
    })
}
