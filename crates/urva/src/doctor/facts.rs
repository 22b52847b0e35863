//! Looks at the host. Everything is read, nothing is changed, and nothing waits for long.

use super::state::{self, StateFacts};
use crate::cli::Globals;
use crate::clock;
use crate::config::{Config, DEFAULT_PATH};
use crate::run::detector_ids;
use cluster::{Runtimes, SourceReport};
use detect::Detector;
use evidence::text::escape;
use evidence::{Language, Timestamp};
use rustix::thread::CapabilitySet;
use rustix::time::{ClockId, clock_gettime};
use sensor::host::{ClockDiscipline, ProgramTypeReport};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

/// How long one container runtime may take to answer here.
const RUNTIME_TIMEOUT_MS: u64 = 200;

/// Bytes of a model file; a larger one is something else.
const MODEL_LIMIT: u64 = 256 << 20;

/// All that is judged.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    /// The file that is in force, or what is wrong with it. In the latter case the rest goes by the defaults.
    pub(super) config: Result<String, String>,
    /// As `uname -r` says it.
    pub(super) release: String,
    pub(super) has_btf: bool,
    pub(super) programs: Vec<ProgramTypeReport>,
    pub(super) user: u32,
    pub(super) capabilities: CapabilitySet,
    pub(super) namespaces: Namespaces,
    pub(super) cgroups: Cgroups,
    pub(super) runtimes: Vec<SourceReport>,
    pub(super) state: StateFacts,
    pub(super) clock: Clock,
    pub(super) landlock_abi: u32,
    pub(super) has_seccomp: bool,
    /// User and group, or what is wrong with the configured one.
    pub(super) detector_user: Result<(u32, u32), String>,
    /// The model's id, or why it cannot be used.
    pub(super) model: Result<String, String>,
}

/// Inode numbers of namespaces; `None` where they cannot be seen.
#[derive(Debug, Clone, Default)]
pub(super) struct Namespaces {
    pub(super) own_pid: Option<u64>,
    pub(super) own_mount: Option<u64>,
    pub(super) init_mount: Option<u64>,
    /// Whether /proc shows the processes of our own PID namespace.
    pub(super) proc_is_own: bool,
    /// Name of process 1.
    pub(super) init: String,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Cgroups {
    /// Whether the kernel tells the cgroup of a process.
    pub(super) are_told: bool,
    /// Mount points of version 1 hierarchies.
    pub(super) v1: Vec<String>,
    pub(super) v2: Vec<String>,
}

#[derive(Debug, Clone)]
pub(super) struct Clock {
    pub(super) now: Timestamp,
    pub(super) since_boot: Duration,
    pub(super) discipline: Result<ClockDiscipline, String>,
}

/// Looks at all of it.
pub(super) fn gather(globals: &Globals) -> anyhow::Result<Facts> {
    let loaded = globals.load_config().map_err(|error| format!("{error:#}"));
    let config = loaded.clone().unwrap_or_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let detector_user = detector_ids(config.detector.user.as_deref()).map_err(|error| format!("{error:#}"));
    let database = globals.database();
    let state_of = state::gather(&globals.state, &database);
    Ok(Facts {
        config: loaded.map(|_| config_in_words(globals)),
        release: rustix::system::uname().release().to_string_lossy().into_owned(),
        has_btf: Path::new("/sys/kernel/btf/vmlinux").exists(),
        programs: sensor::host::probe_program_types(),
        user: rustix::process::geteuid().as_raw(),
        capabilities: rustix::thread::capabilities(None)
            .map_or_else(|_| CapabilitySet::empty(), |held| held.effective),
        namespaces: namespaces(),
        cgroups: cgroups(),
        runtimes: runtime.block_on(runtimes(&config)),
        state: runtime.block_on(state_of),
        clock: Clock {
            now: clock::now(),
            since_boot: Duration::try_from(clock_gettime(ClockId::Boottime)).unwrap_or_default(),
            discipline: sensor::host::clock_discipline().map_err(|error| error.to_string()),
        },
        landlock_abi: sensor::host::landlock_abi(),
        has_seccomp: fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail")
            .is_ok_and(|actions| actions.split_whitespace().any(|action| action == "kill_process")),
        detector_user,
        model: model(&config),
    })
}

fn config_in_words(globals: &Globals) -> String {
    match &globals.config {
        Some(path) => shown(path),
        None if Path::new(DEFAULT_PATH).exists() => DEFAULT_PATH.to_owned(),
        None => format!("defaults: there is no {DEFAULT_PATH}"),
    }
}

/// A path that can be shown on a terminal.
pub(super) fn shown(path: &Path) -> String {
    escape(path.as_os_str().as_encoded_bytes()).to_string()
}

fn namespaces() -> Namespaces {
    let number = |path: &str| fs::metadata(path).ok().map(|metadata| metadata.ino());
    let init = fs::read("/proc/1/comm").unwrap_or_default();
    Namespaces {
        own_pid: number("/proc/self/ns/pid"),
        own_mount: number("/proc/self/ns/mnt"),
        init_mount: number("/proc/1/ns/mnt"),
        proc_is_own: fs::read_link("/proc/self")
            .is_ok_and(|own| own.to_str() == Some(&std::process::id().to_string())),
        init: escape(init.trim_ascii_end()).to_string(),
    }
}

fn cgroups() -> Cgroups {
    let mounts = fs::read("/proc/self/mountinfo").unwrap_or_default();
    Cgroups { are_told: Path::new("/proc/self/cgroup").exists(), ..cgroup_mounts(&mounts) }
}

/// Cgroup hierarchies among the mounts, as `/proc/PID/mountinfo` lists them: proc_pid_mountinfo(5).
pub(super) fn cgroup_mounts(mounts: &[u8]) -> Cgroups {
    let mut found = Cgroups::default();
    for line in String::from_utf8_lossy(mounts).lines() {
        let Some((before, after)) = line.split_once(" - ") else { continue };
        let Some(place) = before.split(' ').nth(4) else { continue };
        match after.split(' ').next() {
            Some("cgroup") => found.v1.push(place.to_owned()),
            Some("cgroup2") => found.v2.push(place.to_owned()),
            _ => {}
        }
    }
    found
}

async fn runtimes(config: &Config) -> Vec<SourceReport> {
    let settings = cluster::RuntimeSettings { timeout_ms: RUNTIME_TIMEOUT_MS, ..config.runtime_settings() };
    Runtimes::discover(&settings).report().await
}

fn model(config: &Config) -> Result<String, String> {
    let Some(path) = &config.detector.model else {
        return in_words(Detector::built_in(), "built in", config);
    };
    let shown = shown(path);
    let unreadable = |error: std::io::Error| format!("{shown} cannot be read: {error}");
    let metadata = fs::metadata(path).map_err(unreadable)?;
    // Opening a FIFO would wait for somebody to write.
    if !metadata.is_file() || metadata.len() > MODEL_LIMIT {
        return Err(format!("{shown} is not a file, or much too large for a model"));
    }
    let bytes = fs::read(path).map_err(unreadable)?;
    let detector = Detector::from_bytes(&bytes).map_err(|error| format!("{shown}: {error}"))?;
    in_words(detector, &format!("from {shown}"), config)
}

/// The model's id, and at which scores it speaks, with the rates of false alarms that those were measured at.
fn in_words(mut detector: Detector, origin: &str, config: &Config) -> Result<String, String> {
    let set = &config.detector;
    set.set_thresholds(&mut detector).map_err(|error| error.to_string())?;
    let mut words = format!("{}, {origin}", detector.model_id());
    for language in [Language::Python, Language::Shell] {
        let one = detector.model().scorer(language).parameters();
        let point = |name: &str, at: f32, rate: f32, is_set: bool| match is_set {
            true => format!("{name} from {at:.4}, as configured"),
            false => format!("{name} from {at:.4}, {:.2} % false alarms", rate * 100.0),
        };
        let is_moved = set.suspicious_threshold.is_some() || one.suspicious_at == one.malicious_at;
        words += &format!(
            "; {language}: {}; {}",
            point("malicious", one.malicious_at, one.malicious_rate, set.malicious_threshold.is_some()),
            point("suspicious", one.suspicious_at, one.suspicious_rate, is_moved)
        );
    }
    Ok(words)
}
