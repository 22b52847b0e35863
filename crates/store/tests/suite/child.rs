//! A second process for a test: this binary again, running the same test in another role.

use std::future::Future;
use std::io::{BufRead, BufReader, Lines, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

const ROLE: &str = "URVA_STORE_TEST_CHILD";

/// The path that this process was started for, where it is the second one.
pub(crate) fn role() -> Option<PathBuf> {
    std::env::var_os(ROLE).map(Into::into)
}

/// A command that runs the test of this name in the role of the second process.
pub(crate) fn command(test: &str, path: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([test, "--exact", "--nocapture", "--test-threads=1"]).env(ROLE, path);
    command.stdout(Stdio::piped()).stderr(Stdio::inherit());
    command
}

/// A second process that is killed when the test is done with it, or fails.
pub(crate) struct Second {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Second {
    pub(crate) fn start(test: &str, path: &Path) -> Self {
        Self::spawn(&mut command(test, path))
    }

    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next thing that it [`say`]s. None where it ended.
    pub(crate) fn hear(&mut self) -> Option<String> {
        self.lines.by_ref().find_map(|line| line.ok()?.strip_prefix("child: ").map(str::to_owned))
    }

    /// SIGKILL; returns what it said until then and was not heard yet.
    pub(crate) fn kill(mut self) -> Vec<String> {
        self.child.kill().unwrap();
        std::iter::from_fn(|| self.hear()).collect()
    }
}

impl Drop for Second {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.child.kill().ok();
        self.child.wait().unwrap();
    }
}

/// Tells the first process something, whole and at once. The test harness writes on the same line before.
pub(crate) fn say(word: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("\nchild: {word}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

/// Runs what a test has to await, without the test being asynchronous itself.
pub(crate) fn wait_for<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}
