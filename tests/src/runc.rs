//! Containers of plain runc, each with its own writable layer over a shared image.

use crate::bundle::{Description, File, prepare};
use crate::leftovers::RunFolder;
use crate::rootfs::Rootfs;
use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

/// How long a container or a command in one may run before it is killed, in seconds.
const TIME_LIMIT: &str = "120";

/// The runtime; it needs no daemon.
#[derive(Debug)]
pub struct Runc;

/// Describes a container. Nothing exists until [`run`](Self::run) or [`start`](Self::start).
#[derive(Debug, Clone)]
#[must_use]
pub struct ContainerBuilder {
    description: Description,
    input: Vec<u8>,
}

/// A container that runs in the background. Dropping it kills and removes it.
#[derive(Debug)]
pub struct Container {
    pid: i32,
    root: PathBuf,
    // After the others, since its folder goes last.
    folder: RunFolder,
}

/// What a program left: its exit status and its output.
#[derive(Debug)]
pub struct Output {
    /// As the shell has it: 128 + signal for one that was killed.
    pub status: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error, with runc's own words where it failed.
    pub stderr: String,
    /// Id of the container that it ran in; it may be gone.
    pub container: String,
}

impl Runc {
    /// Starts the description of a container over an image.
    pub fn container(rootfs: &Rootfs) -> ContainerBuilder {
        let description = Description {
            rootfs: rootfs.path().to_owned(),
            args: vec!["sleep".into(), "3600".into()],
            env: vec!["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into()],
            cwd: "/".into(),
            ..Description::default()
        };
        ContainerBuilder { description, input: Vec::new() }
    }
}

impl ContainerBuilder {
    /// The program and its arguments; `sleep 3600` without it.
    pub fn args<S: Into<String>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.description.args = args.into_iter().map(Into::into).collect();
        self
    }

    /// The user; root without it.
    pub fn user(mut self, uid: u32, gid: u32) -> Self {
        self.description.user = (uid, gid);
        self
    }

    /// One variable of the environment.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.description.env.push(format!("{name}={value}"));
        self
    }

    /// The working folder; `/` without it.
    pub fn cwd(mut self, path: &str) -> Self {
        self.description.cwd = path.into();
        self
    }

    /// An OCI annotation. runc keeps it in its state, as `io.kubernetes.*` and the like.
    pub fn annotation(mut self, key: &str, value: &str) -> Self {
        self.description.annotations.push((key.into(), value.into()));
        self
    }

    /// The cgroup's path, `/ID` without it.
    pub fn cgroup(mut self, path: &str) -> Self {
        self.description.cgroup = Some(path.into());
        self
    }

    /// A file that came with the image; executable.
    pub fn image_file(mut self, path: &str, content: impl AsRef<[u8]>) -> Self {
        self.description.image_files.push(file(path, content.as_ref()));
        self
    }

    /// A file in the container's writable layer, as if it had been written at run time; executable.
    pub fn layer_file(mut self, path: &str, content: impl AsRef<[u8]>) -> Self {
        self.description.layer_files.push(file(path, content.as_ref()));
        self
    }

    /// A volume with files, whose paths are relative to it.
    pub fn volume(mut self, target: &str, files: &[(&str, &str)]) -> Self {
        let files = files.iter().map(|(path, content)| file(path, content.as_bytes())).collect();
        self.description.volumes.push((target.into(), files));
        self
    }

    /// An empty file system in memory. `/dev/shm` is always one.
    pub fn tmpfs(mut self, target: &str) -> Self {
        self.description.tmpfs.push(target.into());
        self
    }

    /// What [`run`](Self::run) writes to the program's standard input; empty without it.
    pub fn input(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.input = bytes.as_ref().to_owned();
        self
    }

    /// Runs the container to its end and removes it.
    pub fn run(self) -> Result<Output> {
        let folder = RunFolder::new("runc")?;
        prepare(&folder, &self.description)?;
        let _delete = DeleteOnDrop(folder.name().to_owned());
        let mut command = limited_runc();
        command.args(["run", "--bundle"]).arg(folder.path()).arg(folder.name());
        output(command, &self.input, folder.name())
    }

    /// Starts the container in the background; its program has been executed when this returns.
    pub fn start(self) -> Result<Container> {
        let folder = RunFolder::new("runc")?;
        let root = prepare(&folder, &self.description)?;
        let (pid_file, log) = (folder.path().join("pid"), folder.path().join("output"));
        let stdout = fs::File::create(&log)?;
        let mut command = Command::new("runc");
        command.args(["run", "--detach", "--pid-file"]).arg(&pid_file);
        command.arg("--bundle").arg(folder.path()).arg(folder.name());
        command.stdin(Stdio::null()).stderr(stdout.try_clone()?).stdout(stdout);
        // From here on Drop cleans up, whatever fails.
        let mut container = Container { pid: 0, root, folder };
        let status = command.status().context("run runc; scripts/install-tools run installs it")?;
        ensure!(status.success(), "runc run failed ({status}): {}", container.output()?);
        container.pid = fs::read_to_string(&pid_file)?.parse().context("read runc's pid file")?;
        Ok(container)
    }
}

impl Container {
    /// The id that runc knows it by, also its host name.
    pub fn id(&self) -> &str {
        self.folder.name()
    }

    /// The first process, as the host numbers it.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Lines of `/proc/PID/cgroup` of the first process, as the host sees them.
    pub fn cgroup(&self) -> Result<String> {
        let path = format!("/proc/{}/cgroup", self.pid);
        fs::read_to_string(&path).with_context(|| format!("read {path}"))
    }

    /// The root file system as the host sees it; what is written here lands in the writable layer.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Writes an executable file into the running container's writable layer.
    pub fn write_file(&self, path: &str, content: impl AsRef<[u8]>) -> Result<()> {
        file(path, content.as_ref()).write_below(&self.root)
    }

    /// Runs a program in it as root, to its end.
    pub fn exec<S: AsRef<str>>(&self, args: impl IntoIterator<Item = S>) -> Result<Output> {
        self.exec_as((0, 0), args, b"")
    }

    /// Runs a program in it as a user and group, with bytes on standard input, to its end.
    pub fn exec_as<S: AsRef<str>>(
        &self,
        (uid, gid): (u32, u32),
        args: impl IntoIterator<Item = S>,
        input: &[u8],
    ) -> Result<Output> {
        self.exec_with(&["--user", &format!("{uid}:{gid}")], args, input)
    }

    /// Runs a program in a working folder, as root, with bytes on standard input, to its end.
    pub fn exec_in<S: AsRef<str>>(
        &self,
        folder: &str,
        args: impl IntoIterator<Item = S>,
        input: &[u8],
    ) -> Result<Output> {
        self.exec_with(&["--cwd", folder], args, input)
    }

    fn exec_with<S: AsRef<str>>(
        &self,
        options: &[&str],
        args: impl IntoIterator<Item = S>,
        input: &[u8],
    ) -> Result<Output> {
        let mut command = limited_runc();
        command.arg("exec").args(options).arg(self.id());
        command.args(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        output(command, input, self.id())
    }

    /// What the first process has printed so far.
    pub fn output(&self) -> Result<String> {
        Ok(String::from_utf8_lossy(&fs::read(self.folder.path().join("output"))?).into_owned())
    }

    /// Sends a signal, by runc's name for it, to the first process.
    pub fn kill(&self, signal: &str) -> Result<()> {
        let status = Command::new("runc").args(["kill", self.id(), signal]).status()?;
        ensure!(status.success(), "runc kill failed ({status})");
        Ok(())
    }

    /// Waits until the first process has ended, at most ten seconds.
    pub fn wait(&self) -> Result<()> {
        for _ in 0..1000 {
            if has_ended(self.pid) {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(10));
        }
        bail!("container {} still runs after ten seconds", self.id())
    }

    /// Kills and removes it, and says what went wrong; dropping does the same in silence.
    pub fn delete(self) -> Result<()> {
        let status = delete(self.id())?;
        ensure!(status.success(), "runc delete failed ({status})");
        Ok(())
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = delete(self.id());
    }
}

struct DeleteOnDrop(String);

impl Drop for DeleteOnDrop {
    fn drop(&mut self) {
        let _ = delete(&self.0);
    }
}

/// With `--force` runc is content where there is no such container.
fn delete(id: &str) -> Result<ExitStatus> {
    Ok(Command::new("runc").args(["delete", "--force", id]).stderr(Stdio::null()).status()?)
}

/// A zombie has ended: nobody may be there to reap the orphan that a detached container is.
fn has_ended(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_none_or(|rest| rest.is_empty() || rest.starts_with('Z'))
}

fn file(path: &str, content: &[u8]) -> File {
    File { path: path.into(), content: content.into(), mode: 0o755 }
}

/// runc under `timeout`, so that a hanging container fails its test rather than stops the run.
fn limited_runc() -> Command {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", TIME_LIMIT, "runc"]);
    command
}

/// Runs the command to its end, writing `input` while reading its output.
pub(crate) fn output(mut command: Command, input: &[u8], container: &str) -> Result<Output> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("run {command:?}"))?;
    let pipe = child.stdin.take();
    let done = thread::scope(|scope| {
        scope.spawn(move || {
            // A program that does not read its input closes the pipe early; that is its right.
            let _ = pipe.map(|mut pipe| pipe.write_all(input));
        });
        child.wait_with_output()
    })?;
    Ok(Output {
        status: status_number(done.status),
        stdout: String::from_utf8_lossy(&done.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&done.stderr).into_owned(),
        container: container.to_owned(),
    })
}

fn status_number(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(-1)
}
