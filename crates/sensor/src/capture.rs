//! Makes a capture of an exec: what interpreter, which script, which container, what text.
//!
//! Owns: the order in which these are found out, and the notes on what could not be.
//! Refuses: waiting. A file larger than `HASH_AT_ONCE` is handed back to be hashed later.

use crate::assemble::Exec;
use crate::attribution::{Attributed, attribute};
use crate::command_line::{self, CommandLine, ScriptSource};
use crate::drift::drift;
use crate::executable::{Catalogue, Kind, Known, look_at};
use crate::file::{OpenFile, ReadFile, Root};
use crate::modules;
use crate::texts::Watching;
use crate::wire::value;
use evidence::{
    Capture, Content, CoverageNote, Drift, Executable, Family, Interpreter, Language, Namespaces,
    NotCaptured, Process, Script, ScriptKind, Sha256, Timestamp, Untrusted, WholeFile,
};
use std::borrow::Cow;
use std::collections::BTreeSet;

/// Files up to this size are hashed before the capture is handed on; it takes some 10 ms.
const HASH_AT_ONCE: u64 = 16 * 1024 * 1024;
/// Folders of `PATH` in which a shell's script is looked for.
const PATH_ENTRIES_MAX: usize = 32;

/// What of an exec is captured.
pub(crate) struct CaptureSettings {
    pub(crate) content_limit: u64,
    pub(crate) include_host: bool,
    /// The wall clock.
    pub(crate) now: fn() -> Timestamp,
    pub(crate) host_pid_namespace: u32,
}

/// A capture, and the file that is still to be hashed.
pub(crate) struct Taken {
    pub(crate) capture: Capture,
    pub(crate) to_hash: Option<OpenFile>,
}

/// The interpreter that runs, and the arguments that it sees.
struct Run<'a> {
    known: Known,
    executable: Cow<'a, Untrusted>,
    arguments: Cow<'a, [Untrusted]>,
    /// How many arguments stand before the interpreter's own.
    skipped: usize,
}

/// What became of the script's text, with the notes on it.
struct Text {
    script: Script,
    notes: Vec<CoverageNote>,
    to_hash: Option<OpenFile>,
}

/// Captures what this exec runs, or nothing where it runs no script, or not in a container.
pub(crate) fn take(
    exec: &mut Exec,
    catalogue: &Catalogue,
    watching: &Watching,
    settings: &CaptureSettings,
) -> Option<Taken> {
    let is_lost = exec.has(value::EXEC_PATH_CUT) && !follow_long_paths(exec);
    let exec = &*exec;
    let container = attribute(exec).filter(|found| found.certain || is_contained(exec, settings));
    if container.is_none() && !settings.include_host {
        return None;
    }
    let booted_at = booted_at((settings.now)());
    let place = Place { exec, container: container.as_ref(), settings, booted_at, is_lost };
    let kind = catalogue.look_up(exec, || place.roots().map(|(root, _)| root));
    let Some(run) = place.what_runs(kind) else {
        watching.watch_program(exec.header.pid, kind);
        return None;
    };
    watching.watch(exec.header.pid, run.known.family);
    let line = command_line::read(run.known.family, &run.arguments);
    let interpreter = Interpreter { family: run.known.family };
    let Text { mut script, notes, to_hash } = place.text(&line, interpreter)?;
    script.text_argument = script.text_argument.map(|index| index + run.skipped);

    let mut coverage: BTreeSet<CoverageNote> = notes.into_iter().collect();
    coverage.extend(exec.arguments_cut.then_some(CoverageNote::ArgumentsCut));
    coverage.extend(exec.environment_cut.then_some(CoverageNote::EnvironmentCut));
    if let Content::NotCaptured(reason) = &script.content {
        coverage.insert(CoverageNote::ContentNotCaptured(reason.clone()));
    }
    let capture = Capture {
        observed_at: place.wall(exec.header.exec_time),
        process: place.process(&run),
        interpreter,
        script,
        container: container.map(|found| found.container),
        coverage,
        compiled: None,
        held: false,
    };
    watching.executions.begin(exec.header.budget, exec.key(), &capture);
    Some(Taken { capture, to_hash })
}

/// Who runs, whatever it is, for a text that a process compiled of which no script is known: a program that embeds an
/// interpreter, or an orphan. `None` where it is in no container. The executable is looked up where there is a catalogue.
pub(crate) fn who(
    exec: &Exec,
    family: Family,
    catalogue: Option<&Catalogue>,
    settings: &CaptureSettings,
) -> Option<Capture> {
    let container = attribute(exec).filter(|found| found.certain || is_contained(exec, settings));
    if container.is_none() && !settings.include_host {
        return None;
    }
    let booted_at = booted_at((settings.now)());
    let place = Place { exec, container: container.as_ref(), settings, booted_at, is_lost: false };
    let kind = catalogue.map(|known| known.look_up(exec, || place.roots().map(|(root, _)| root)));
    let known = match kind {
        Some(Kind::Interpreter(known)) => known,
        Some(Kind::Loader | Kind::Embedding | Kind::Other { .. }) | None => {
            Known { family, size: exec.header.executable_size, sha256: None }
        }
    };
    let run = Run {
        known,
        executable: Cow::Borrowed(&exec.executable),
        arguments: Cow::Borrowed(&exec.arguments),
        skipped: 0,
    };
    Some(Capture {
        observed_at: place.wall(exec.header.exec_time),
        process: place.process(&run),
        interpreter: Interpreter { family },
        script: Script::new(ScriptKind::Compiled, Content::NotCaptured(NotCaptured::ProcessGone)),
        container: container.map(|found| found.container),
        coverage: BTreeSet::new(),
        compiled: None,
        held: false,
    })
}

/// Plain runc puts a container's cgroup where the host has its own: only a process that is also in another PID
/// namespace is taken to be in one.
fn is_contained(exec: &Exec, settings: &CaptureSettings) -> bool {
    exec.header.pid_namespace != settings.host_pid_namespace
}

/// Puts the whole working directory and executable in the place of those that the probe had to cut. They are those of
/// now. Returns whether the process is still there to tell them.
fn follow_long_paths(exec: &mut Exec) -> bool {
    let folder = format!("/proc/{}", exec.header.pid);
    let link = |name: &str| rustix::fs::readlink(format!("{folder}/{name}"), Vec::new());
    let (Ok(cwd), Ok(executable)) = (link("cwd"), link("exe")) else { return false };
    exec.cwd = cwd.into_bytes().into();
    exec.executable = executable.into_bytes().into();
    // What is cut may be the container's name: the caller then reads it from /proc.
    exec.cgroup = Untrusted::default();
    true
}

/// The wall-clock time at which the kernel's boot clock was zero. Taken anew each time, since the wall clock may be set.
pub(crate) fn booted_at(now: Timestamp) -> Timestamp {
    Timestamp(now.0.saturating_sub(boot_time()))
}

/// Nanoseconds since the host was started: the probe's clock.
pub(crate) fn boot_time() -> u64 {
    let up = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    u64::try_from(up.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(up.tv_nsec).unwrap_or(0)
}

/// An exec and all that is needed to find its files.
struct Place<'a> {
    exec: &'a Exec,
    container: Option<&'a Attributed>,
    settings: &'a CaptureSettings,
    booted_at: Timestamp,
    /// The probe had to cut a path, and the process is gone: a relative path leads nobody knows where.
    is_lost: bool,
}

impl<'a> Place<'a> {
    fn process(&self, run: &Run<'_>) -> Process {
        let exec = self.exec;
        let header = &exec.header;
        let comm = header.comm.split(|byte| *byte == 0).next().unwrap_or_default();
        Process {
            pid: header.pid,
            pid_in_container: header.pid_in_container,
            parent_pid: header.parent_pid,
            started_at: self.wall(header.start_time),
            start_ticks: header.start_time / 10_000_000,
            uid: header.uid,
            gid: header.gid,
            comm: comm.into(),
            cwd: exec.cwd.clone(),
            executable: Executable {
                path: run.executable.clone().into_owned(),
                size: Some(run.known.size),
                sha256: run.known.sha256,
            },
            args: exec.arguments.clone(),
            environment: exec.environment.clone(),
            cgroup: exec.cgroup.clone(),
            namespaces: Namespaces {
                mount: header.mount_namespace,
                pid: header.pid_namespace,
                network: header.network_namespace,
                user: header.user_namespace,
            },
        }
    }

    fn wall(&self, boot_time: u64) -> Timestamp {
        Timestamp(self.booted_at.0.saturating_add(boot_time))
    }

    /// The interpreter, seen through a loader; `None` where there is none.
    fn what_runs(&self, kind: Kind) -> Option<Run<'a>> {
        match kind {
            Kind::Embedding | Kind::Other { .. } => None,
            Kind::Interpreter(known) => Some(Run {
                known,
                executable: Cow::Borrowed(&self.exec.executable),
                arguments: Cow::Borrowed(&self.exec.arguments),
                skipped: 0,
            }),
            Kind::Loader => {
                let loaded = command_line::loaded(&self.exec.arguments)?;
                let path = self.absolute(loaded.program);
                let (root, _) = self.roots().next()?;
                let program = root.open(&path).ok()?;
                let Kind::Interpreter(known) = look_at(&program.path, &program.file) else { return None };
                let mut arguments = vec![Untrusted::from(loaded.argv0)];
                arguments.extend_from_slice(self.exec.arguments.get(loaded.argument + 1..)?);
                let executable = Cow::Owned(program.path);
                Some(Run { known, executable, arguments: Cow::Owned(arguments), skipped: loaded.argument })
            }
        }
    }

    fn text(&self, line: &CommandLine<'_>, interpreter: Interpreter) -> Option<Text> {
        match line.source {
            ScriptSource::Nothing => None,
            ScriptSource::Inline { text, argument, .. } => Some(inline(text, argument, self.settings)),
            ScriptSource::Stdin => self.standard_input(),
            ScriptSource::File { path, .. } if self.is_lost && !path.starts_with(b"/") => {
                let reason = "its folder lies too deep to be followed".to_owned();
                Some(not_captured(ScriptKind::File, None, NotCaptured::Unreadable(reason)))
            }
            ScriptSource::File { path, searched_on_path, .. } => {
                let mut paths = vec![self.absolute(path)];
                if searched_on_path && !path.contains(&b'/') {
                    paths.extend(self.on_path(path));
                }
                if interpreter.language() == Language::Python {
                    paths.push([&paths[0], &b"/__main__.py"[..]].concat());
                }
                Some(self.file(ScriptKind::File, &paths, NotCaptured::NoSuchFile))
            }
            ScriptSource::Module { name, .. } => {
                let search = modules::Search {
                    name,
                    options: line.module_search,
                    working_directory: &self.exec.cwd,
                    environment: &self.exec.environment,
                    executable: &self.exec.executable,
                    argv0: self.exec.arguments.first().map_or(b"", |argv0| &argv0[..]),
                };
                let mut files = modules::candidates(&search);
                files.extend(modules::enclosing_package(&search));
                let mut text = self.file(ScriptKind::Module, &files, NotCaptured::NoSuchModule);
                text.script.module = Some(name.into());
                Some(text)
            }
        }
    }

    /// The first of these paths that is a readable file.
    fn file(&self, kind: ScriptKind, paths: &[Vec<u8>], none: NotCaptured) -> Text {
        let mut failure = NotCaptured::ProcessGone;
        for (root, is_own) in self.roots() {
            failure = none.clone();
            for path in paths {
                match root.open(path) {
                    Ok(file) => return self.read(kind, path, &root, is_own, file),
                    Err(NotCaptured::NoSuchFile) => {}
                    Err(other) => failure = other,
                }
            }
            // Where the process ended meanwhile, another one of its container may still show the file.
            if failure != NotCaptured::ProcessGone {
                break;
            }
        }
        not_captured(kind, kind_path(kind, paths), failure)
    }

    fn read(&self, kind: ScriptKind, path: &[u8], root: &Root, is_own: bool, file: OpenFile) -> Text {
        let ReadFile { content, hash, is_changed } = match file.read(self.settings.content_limit) {
            Ok(read) => read,
            Err(reason) => return not_captured(kind, Some(path.into()), reason),
        };
        let mut notes = Vec::new();
        let is_changed = is_changed
            || !root.still_leads_to(path, &file.identity)
            || file.identity.changed_at > self.wall(self.exec.header.exec_time);
        notes.extend(is_changed.then_some(CoverageNote::IdentityChanged));
        notes.extend((!is_own).then_some(CoverageNote::ReadThroughSibling));
        notes.extend(matches!(content, Content::HeadAndTail { .. }).then_some(CoverageNote::HeadAndTail));

        let is_small = file.identity.size <= HASH_AT_ONCE;
        let hash = hash.or_else(|| is_small.then(|| file.hash(file.identity.size, &|| true).ok()).flatten());
        notes.extend(hash.is_none().then_some(CoverageNote::HashIncomplete));
        let mut script = Script::new(kind, content);
        // A file whose size was not known before, as on some FUSE file systems, is as large as what was read.
        let mut identity = file.identity;
        if let (0, Some((_, read))) = (identity.size, &hash) {
            identity.size = *read;
        }
        script.file = Some(WholeFile {
            identity,
            sha256: hash.map(|(sha256, _)| sha256),
            hashed_size: hash.map_or(0, |(_, size)| size),
        });
        // The process may end before its mounts are read; others of its container have the same ones.
        let others = std::iter::once_with(|| self.roots()).flatten().map(|(root, _)| root.pid());
        let pids = std::iter::once(root.pid()).chain(others);
        script.drift = drift(&file, pids, self.container.and_then(Attributed::since));
        script.path = Some(path.into());
        Text { script, notes, to_hash: hash.is_none().then_some(file) }
    }

    fn standard_input(&self) -> Option<Text> {
        let (mode, device) = (self.exec.header.stdin_mode, self.exec.header.stdin_device);
        let is_character_device = mode & 0o170_000 == 0o020_000;
        if mode & 0o170_000 == 0o100_000 {
            let mut text =
                self.file(ScriptKind::Stdin, &[b"/dev/stdin".to_vec()], NotCaptured::StandardInput);
            // What is redirected has no path of its own: the protocol wants none here.
            text.script.path = None;
            return Some(text);
        }
        // The kernel's own dev_t: 12 bits of major number above 20 bits of minor.
        let (major, minor) = (device >> 20, device & 0xf_ffff);
        let (kind, reason) = match (is_character_device, major) {
            _ if mode == 0 => return None,
            // /dev/null holds no script.
            (true, 1) if minor == 3 => return None,
            // 4 and 5: consoles and /dev/tty; 136 to 143: pseudo terminals.
            (true, 4 | 5 | 136..=143) => (ScriptKind::Interactive, NotCaptured::Interactive),
            _ => (ScriptKind::Stdin, NotCaptured::StandardInput),
        };
        Some(Text { script: Script::new(kind, Content::NotCaptured(reason)), notes: vec![], to_hash: None })
    }

    /// The root of the process, or that of another process of its container where it has ended.
    fn roots(&self) -> impl Iterator<Item = (Root, bool)> + '_ {
        let header = &self.exec.header;
        let own = Root::of(header.pid, header.pid_in_container, header.mount_namespace)
            .map(|root| (root, true))
            .into_iter();
        let siblings = std::iter::once_with(|| self.container.map(Attributed::siblings).unwrap_or_default());
        let others = siblings
            .flatten()
            .filter_map(|pid| Root::of(pid, pid, header.mount_namespace).map(|root| (root, false)));
        own.chain(others)
    }

    fn absolute(&self, path: &[u8]) -> Vec<u8> {
        join(&self.exec.cwd, path)
    }

    fn on_path(&self, name: &[u8]) -> Vec<Vec<u8>> {
        let path = self.exec.environment.iter().find_map(|variable| variable.strip_prefix(b"PATH="));
        let folders = path.unwrap_or_default().split(|byte| *byte == b':').take(PATH_ENTRIES_MAX);
        folders.map(|folder| join(&self.absolute(folder), name)).collect()
    }
}

fn join(folder: &[u8], path: &[u8]) -> Vec<u8> {
    if path.starts_with(b"/") {
        return path.to_vec();
    }
    let mut joined = folder.strip_suffix(b"/").unwrap_or(folder).to_vec();
    joined.push(b'/');
    joined.extend_from_slice(path.strip_prefix(b"./").unwrap_or(path));
    joined
}

/// The path that a finding shows where nothing could be read: a module that was not found has none.
fn kind_path(kind: ScriptKind, paths: &[Vec<u8>]) -> Option<Untrusted> {
    (kind == ScriptKind::File).then(|| paths.first().map(|path| path.clone().into())).flatten()
}

fn not_captured(kind: ScriptKind, path: Option<Untrusted>, reason: NotCaptured) -> Text {
    let mut script = Script::new(kind, Content::NotCaptured(reason));
    script.path = path;
    script.drift = Drift::Unknown("the file could not be read".to_owned());
    Text { script, notes: vec![], to_hash: None }
}

fn inline(text: &[u8], argument: usize, settings: &CaptureSettings) -> Text {
    let limit = usize::try_from(settings.content_limit).unwrap_or(usize::MAX);
    let content = if text.len() <= limit {
        Content::Whole(text.into())
    } else {
        let (head, tail) = (&text[..limit / 2], &text[text.len() - (limit - limit / 2)..]);
        let omitted = (text.len() - head.len() - tail.len()) as u64;
        Content::HeadAndTail { head: head.into(), tail: tail.into(), omitted }
    };
    let notes = matches!(content, Content::HeadAndTail { .. }).then_some(CoverageNote::HeadAndTail);
    let mut script = Script::new(ScriptKind::Inline, content);
    script.text_argument = Some(argument);
    Text { script, notes: notes.into_iter().collect(), to_hash: None }
}

/// Completes a capture whose file was hashed later.
pub(crate) fn complete(capture: &mut Capture, sha256: Sha256, hashed_size: u64) {
    let Some(file) = &mut capture.script.file else { return };
    file.sha256 = Some(sha256);
    file.hashed_size = hashed_size;
    if hashed_size == file.identity.size {
        capture.coverage.remove(&CoverageNote::HashIncomplete);
    }
}

/// Notes that the process was running before the sensor was.
pub(crate) fn mark_as_earlier(capture: &mut Capture) {
    capture.coverage.insert(CoverageNote::StartedEarlier);
}
