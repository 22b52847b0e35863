//! The real `urva`: started by a test, watched, asked for its findings, and ended with the test.
//!
//! Each one has a state folder and a config of its own, and sees the containers of all tests that run at the
//! same time: a test asks for the findings of its own container.

use crate::leftovers::{RunFolder, kill};
use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use serde_json::Value;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

const POLL: Duration = Duration::from_millis(20);
/// How long a start may take here. It takes far less; processors that are busy with other tests get some grace.
const START_WITHIN: Duration = Duration::from_secs(10);
/// How long `urva run` may take to end, as its documentation promises.
const STOP_WITHIN: Duration = Duration::from_secs(1);

/// A state folder and a config, on which `urva` commands are run.
#[derive(Debug)]
pub struct Site {
    folder: RunFolder,
}

/// A running `urva run`. Dropping it kills it.
#[derive(Debug)]
pub struct Urva {
    site: Arc<Site>,
    child: Child,
}

/// One finding, as `urva findings list --format json` writes it: `{"finding": …, "resource": …}`.
#[derive(Debug, Clone)]
pub struct Found(pub Value);

impl Site {
    /// An empty state folder and an empty config.
    pub fn new() -> Result<Arc<Self>> {
        Self::with_config("")
    }

    /// An empty state folder and a config in TOML.
    pub fn with_config(config: &str) -> Result<Arc<Self>> {
        let site = Self { folder: RunFolder::new("urva")? };
        site.configure(config)?;
        Ok(Arc::new(site))
    }

    /// Writes the config anew; it counts from the next start. Without a section for it no API is served, since the tests that run
    /// at the same time would all want its one port.
    pub fn configure(&self, config: &str) -> Result<()> {
        let server = if config.contains("[server]") { "" } else { "\n[server]\nenabled = false\n" };
        fs::write(self.config(), format!("{config}{server}"))
            .with_context(|| format!("write {}", self.config().display()))
    }

    /// The state folder; it does not exist until urva makes it.
    pub fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// The database in it.
    pub fn database(&self) -> PathBuf {
        self.state().join("urva.db")
    }

    /// The config file.
    pub fn config(&self) -> PathBuf {
        self.folder.path().join("urva.toml")
    }

    /// A folder that is removed with the site.
    pub fn scratch(&self) -> Result<PathBuf> {
        self.folder.folder("scratch")
    }

    /// `urva ARGS` with this state and config.
    pub fn command<S: AsRef<str>>(&self, args: impl IntoIterator<Item = S>) -> Result<Command> {
        let mut command = Command::new(binary()?);
        command.args(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        command.env("URVA_STATE", self.state()).env("URVA_CONFIG", self.config()).stdin(Stdio::null());
        Ok(command)
    }

    /// What `urva run` has printed on standard error, over all starts.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.folder.path().join("err")).unwrap_or_default()).into_owned()
    }

    /// What `urva run` has printed on standard output, over all starts.
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.folder.path().join("out")).unwrap_or_default()).into_owned()
    }

    /// The stored findings of one container, or of all where `container` is empty; newest first.
    pub fn findings(&self, container: &str) -> Result<Vec<Found>> {
        let mut args = vec!["findings", "list", "--format=json", "--limit=100000"];
        if !container.is_empty() {
            args.extend(["--container", container]);
        }
        let done = self.command(args)?.output().context("run urva findings list")?;
        ensure!(done.status.success(), "urva findings list: {}", String::from_utf8_lossy(&done.stderr));
        let list: Vec<Value> = serde_json::from_slice(&done.stdout).context("read urva's JSON")?;
        Ok(list.into_iter().map(Found).collect())
    }

    /// Starts `urva run` and waits until it watches. The answer is an error with what it printed where it ends first.
    pub fn start(self: &Arc<Self>) -> Result<Urva> {
        let greetings = self.greetings();
        let mut urva = self.launch(&["--format=json"])?;
        let patience = Patience::of(START_WITHIN);
        while !patience.is_over() {
            if self.greetings() > greetings {
                return Ok(urva);
            }
            if let Some(status) = urva.child.try_wait()? {
                bail!("urva run ended ({status}): {}", self.log());
            }
            thread::sleep(POLL);
        }
        bail!("urva does not watch after {START_WITHIN:?}: {}", self.log())
    }

    /// Starts `urva run` and waits for its end: for starts that must fail.
    pub fn run_to_end(self: &Arc<Self>) -> Result<(ExitStatus, String)> {
        let before = self.log().len();
        let mut urva = self.launch(&[])?;
        let status = urva.wait(START_WITHIN)?;
        Ok((status, self.log().split_off(before)))
    }

    /// Starts `urva run` and kills it after a while, wherever it is by then.
    pub fn start_and_kill(self: &Arc<Self>, after: Duration) -> Result<()> {
        let urva = self.launch(&["--format=json"])?;
        thread::sleep(after);
        urva.kill()
    }

    fn launch(self: &Arc<Self>, args: &[&str]) -> Result<Urva> {
        let append =
            |name: &str| File::options().create(true).append(true).open(self.folder.path().join(name));
        let mut command = self.command(["run"].iter().chain(args))?;
        let child = command.stdout(append("out")?).stderr(append("err")?).spawn().context("run urva")?;
        Ok(Urva { site: Arc::clone(self), child })
    }

    fn greetings(&self) -> usize {
        self.log().lines().filter(|line| line.starts_with("urva ") && line.contains(" watches ")).count()
    }
}

impl Urva {
    /// One with an empty config.
    pub fn start() -> Result<Self> {
        Site::new()?.start()
    }

    /// One with a config in TOML.
    pub fn start_with(config: &str) -> Result<Self> {
        Site::with_config(config)?.start()
    }

    /// One that all tests of a program share which run at the same time. It ends with the last of them.
    pub fn shared() -> Result<Arc<Self>> {
        static RUNNING: Mutex<Weak<Urva>> = Mutex::new(Weak::new());
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(urva) = running.upgrade() {
            return Ok(urva);
        }
        let urva = Arc::new(Self::start()?);
        *running = Arc::downgrade(&urva);
        Ok(urva)
    }

    /// Its state, config and output.
    pub fn site(&self) -> &Arc<Site> {
        &self.site
    }

    /// The supervisor.
    pub fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// The process that urva runs in a role, `sensor`, `detector` or `server`; an error while there is none.
    pub fn process(&self, role: &str) -> Result<i32> {
        let children = format!("/proc/{0}/task/{0}/children", self.pid());
        // A thread of the supervisor may be the parent.
        let mut pids = fs::read_to_string(&children).with_context(|| format!("read {children}"))?;
        for task in fs::read_dir(format!("/proc/{}/task", self.pid()))?.flatten() {
            pids += &fs::read_to_string(task.path().join("children")).unwrap_or_default();
        }
        let has_role = |pid: &i32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.split(|byte| *byte == 0).any(|arg| arg == role.as_bytes())
        };
        let found = pids.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).find(has_role);
        found.with_context(|| format!("urva runs no {role}"))
    }

    /// What the processes in these roles hold in memory together, in KiB.
    pub fn resident(&self, roles: &[&str]) -> Result<u64> {
        let of = |role: &&str| {
            let path = format!("/proc/{}/status", self.process(role)?);
            let status = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
            let number = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
            number.with_context(|| format!("{path} tells no VmRSS"))
        };
        roles.iter().map(of).sum()
    }

    /// Waits until a finding of the container fulfils the condition, and returns it.
    pub fn wait_for_finding(
        &self,
        container: &str,
        limit: Duration,
        is_wanted: impl Fn(&Found) -> bool,
    ) -> Result<Found> {
        let patience = Patience::of(limit);
        loop {
            let is_over = patience.is_over();
            let found = self.site.findings(container)?;
            if let Some(wanted) = found.iter().find(|found| is_wanted(found)) {
                return Ok(wanted.clone());
            }
            if is_over {
                bail!("no such finding within {limit:?}; these are there: {found:#?}\n{}", self.site.log());
            }
            thread::sleep(POLL);
        }
    }

    /// Waits until the container has this many findings or more, and returns them all; those that there are
    /// when the time is over.
    pub fn wait_for_findings(&self, container: &str, count: usize, limit: Duration) -> Result<Vec<Found>> {
        let patience = Patience::of(limit);
        loop {
            let is_over = patience.is_over();
            let found = self.site.findings(container)?;
            if found.len() >= count || is_over {
                return Ok(found);
            }
            thread::sleep(POLL);
        }
    }

    /// Ends it in order. It must do so within a second, with exit code 0.
    pub fn stop(mut self) -> Result<()> {
        kill(self.pid(), Signal::TERM);
        let status = self.wait(STOP_WITHIN).context("after SIGTERM")?;
        ensure!(status.success(), "urva run ended with {status}: {}", self.site.log());
        Ok(())
    }

    /// Kills the supervisor as a crash would; its children notice and end.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let patience = Patience::of(limit);
        loop {
            let is_over = patience.is_over();
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if is_over {
                break;
            }
            thread::sleep(Duration::from_millis(5));
        }
        bail!("urva still runs after {limit:?}: {}", self.site.log())
    }
}

impl Drop for Urva {
    fn drop(&mut self) {
        // Its children see the end of their sockets.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Found {
    fn finding(&self) -> &Value {
        &self.0["finding"]
    }

    /// The only process.
    pub fn process(&self) -> &Value {
        &self.finding()["processes"][0]
    }

    /// One of `sourceProperties`, as text; empty where it is absent.
    pub fn property(&self, name: &str) -> String {
        match &self.finding()["sourceProperties"][name] {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }
    }

    /// SCC's category.
    pub fn category(&self) -> &str {
        self.finding()["category"].as_str().unwrap_or_default()
    }

    /// The script's path; none where it is absent.
    pub fn path(&self) -> Option<&str> {
        self.process()["script"]["path"].as_str()
    }

    /// The text, as far as the finding carries it.
    pub fn contents(&self) -> &str {
        self.process()["script"]["contents"].as_str().unwrap_or_default()
    }

    /// The arguments.
    pub fn args(&self) -> Vec<&str> {
        self.process()["args"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
    }

    /// What is missing or doubtful in the capture, one remark after the other.
    pub fn coverage(&self) -> String {
        self.property("Capture_Coverage")
    }

    /// How many executions it stands for.
    pub fn count(&self) -> String {
        self.property("Execution_Count")
    }
}

/// A stretch of time that a test is willing to wait.
struct Patience {
    from: Instant,
    limit: Duration,
}

impl Patience {
    #[allow(clippy::disallowed_methods, reason = "a test waits in real time")]
    fn of(limit: Duration) -> Self {
        Self { from: Instant::now(), limit }
    }

    fn is_over(&self) -> bool {
        self.from.elapsed() >= self.limit
    }
}

/// `urva` as cargo built it, beside the test programs.
fn binary() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    let folder = program.parent().and_then(Path::parent).context("this test has no target folder")?;
    let urva = folder.join("urva");
    ensure!(urva.is_file(), "{} is missing: run `cargo build` before the tests", urva.display());
    Ok(urva)
}
