//! Whether tests that need root and containers run here: they must, unless the caller says otherwise.

use std::io::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// True where tests with containers are to be run. Where `URVA_TEST_SKIP_PRIVILEGED=1` is set it says so
/// on standard error, past the test runner's capture of output, and is false: no test is skipped silently.
/// Without root and without that setting it is true all the same, and the test then fails loudly.
pub fn privileged() -> bool {
    if std::env::var_os("URVA_TEST_SKIP_PRIVILEGED").is_none_or(|value| value != "1") {
        return true;
    }
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("a test");
    // In one piece, since tests run beside each other.
    let line = format!("SKIPPED: {name}: needs root and containers (URVA_TEST_SKIP_PRIVILEGED is set)\n");
    // A failure to write to standard error leaves nobody to tell.
    let _ = std::io::stderr().write_all(line.as_bytes());
    false
}

/// As [`privileged`], for tests that disturb what runs beside them, or measure time: of those in one program only one runs
/// as long as the answer is kept. `None` where it is not to be run.
pub fn privileged_and_alone() -> Option<MutexGuard<'static, ()>> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    // A test that failed has left nothing behind in it.
    privileged().then(|| ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner))
}
