//! The program that makes load, built from `load.c`, on the host and in a container.

use anyhow::{Context, Result, ensure};
use end_to_end::{Container, Rootfs, Runc};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const SOURCE: &str = include_str!("load.c");
const TINY: &str = include_str!("tiny.c");
/// Where the program and the files that it writes lie in the container. The folder is in memory, so that the
/// disk is urva's.
const PROGRAM: &str = "/load";
const FOLDER: &str = "/scripts";

/// The program, and a container that has it.
#[derive(Debug)]
pub(crate) struct Load {
    program: PathBuf,
    container: Container,
}

/// How much was done in what time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Done {
    pub(crate) count: u64,
    nanoseconds: u64,
}

impl Load {
    /// Builds the program in this folder and starts the container.
    pub(crate) fn prepare(folder: &Path) -> Result<Self> {
        let program = compile(folder, "load", SOURCE, &["-O2", "-static"])?;
        let container = Runc::container(&Rootfs::debian()?)
            .image_file(PROGRAM, fs::read(&program)?)
            .tmpfs(FOLDER)
            .start()
            .context("start the container for the load")?;
        Ok(Self { program, container })
    }

    pub(crate) fn container_id(&self) -> &str {
        self.container.id()
    }

    /// Runs the load on the host; the arguments are described in `load.c`.
    pub(crate) fn on_host<S: AsRef<str>>(&self, arguments: impl IntoIterator<Item = S>) -> Result<Done> {
        let mut command = Command::new(&self.program);
        command.args(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        let output = command.output().context("run the load on the host")?;
        ensure!(output.status.success(), "the load failed: {}", String::from_utf8_lossy(&output.stderr));
        Done::read(&String::from_utf8_lossy(&output.stdout))
    }

    /// Runs the load in the container.
    pub(crate) fn in_container<S: AsRef<str>>(&self, arguments: impl IntoIterator<Item = S>) -> Result<Done> {
        let mut command = vec![PROGRAM.to_owned()];
        command.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        let output = self.container.exec(command).context("run the load in the container")?;
        ensure!(output.status == 0, "the load failed in the container: {}", output.stderr);
        Done::read(&output.stdout)
    }

    /// Starts these jobs in the container, in turn, at a fixed rate.
    pub(crate) fn pace(&self, per_second: u64, time: Duration, jobs: &[[String; 3]]) -> Result<Done> {
        let count = per_second * time.as_secs();
        let mut arguments =
            ["pace".to_owned(), per_second.to_string(), count.to_string(), FOLDER.to_owned()].to_vec();
        arguments.extend(jobs.iter().flatten().cloned());
        self.in_container(arguments)
    }

    /// Does a job so many times in the container, one after the other; milliseconds of each.
    pub(crate) fn times(&self, count: usize, job: &[String; 3]) -> Result<Vec<f64>> {
        let mut arguments =
            vec![PROGRAM.to_owned(), "times".to_owned(), count.to_string(), FOLDER.to_owned()];
        arguments.extend(job.iter().cloned());
        let milliseconds = self.numbers(&arguments)?.into_iter().map(|nanoseconds| nanoseconds / 1e6);
        Ok(milliseconds.collect())
    }

    /// The numbers that a program prints in the container.
    pub(crate) fn numbers<S: AsRef<str>>(&self, command: &[S]) -> Result<Vec<f64>> {
        let output = self.container.exec(command.iter().map(AsRef::as_ref)).context("run the load")?;
        ensure!(output.status == 0, "the load failed in the container: {}", output.stderr);
        let numbers = output.stdout.split_whitespace().map(str::parse);
        numbers.collect::<Result<_, _>>().with_context(|| format!("the load printed {:?}", output.stdout))
    }

    /// Starts a program again and again on the host, in so many processes.
    pub(crate) fn loop_on_host(&self, time: Duration, processes: usize, program: &[&str]) -> Result<Done> {
        self.on_host(loop_arguments(time, processes, program))
    }

    /// The same in the container.
    pub(crate) fn loop_in_container(
        &self,
        time: Duration,
        processes: usize,
        program: &[&str],
    ) -> Result<Done> {
        self.in_container(loop_arguments(time, processes, program))
    }
}

/// A container of BusyBox that floods.
#[derive(Debug)]
pub(crate) struct Flood {
    container: Container,
}

impl Flood {
    /// Builds the programs in this folder and starts the container.
    pub(crate) fn prepare(folder: &Path) -> Result<Self> {
        let program = compile(folder, "flood", SOURCE, &["-O2", "-static"])?;
        let options = ["-Os", "-static", "-nostdlib", "-Wl,--build-id=none", "-Wl,-z,noseparate-code", "-s"];
        let tiny = compile(folder, "tiny", TINY, &options)?;
        let container = Runc::container(&Rootfs::busybox()?)
            .image_file(PROGRAM, fs::read(&program)?)
            .image_file("/tiny", fs::read(&tiny)?)
            .tmpfs(FOLDER)
            .start()
            .context("start the container that floods")?;
        Ok(Self { container })
    }

    pub(crate) fn container_id(&self) -> &str {
        self.container.id()
    }

    /// Does this job again and again, in so many processes.
    pub(crate) fn run(&self, time: Duration, processes: usize, job: [&str; 3]) -> Result<Done> {
        let (time, processes) = (time.as_millis().to_string(), processes.to_string());
        let [kind, program, text] = job;
        let arguments = [PROGRAM, "flood", &time, &processes, FOLDER, kind, program, text];
        let output = self.container.exec(arguments).context("run the flood")?;
        ensure!(output.status == 0, "the flood failed: {}", output.stderr);
        Done::read(&output.stdout)
    }
}

fn compile(folder: &Path, name: &str, text: &str, options: &[&str]) -> Result<PathBuf> {
    let (source, program) = (folder.join(format!("{name}.c")), folder.join(name));
    fs::write(&source, text).with_context(|| format!("write {}", source.display()))?;
    let mut compiler = Command::new("gcc");
    compiler.args(options).arg("-o").arg(&program).arg(&source);
    let status = compiler.status().context("run gcc; scripts/install-tools build installs it")?;
    ensure!(status.success(), "gcc could not build {name} ({status})");
    Ok(program)
}

fn loop_arguments(time: Duration, processes: usize, program: &[&str]) -> Vec<String> {
    let mut arguments = vec!["loop".to_owned(), time.as_millis().to_string(), processes.to_string()];
    arguments.extend(program.iter().map(|argument| (*argument).to_owned()));
    arguments
}

impl Done {
    fn read(output: &str) -> Result<Self> {
        let numbers: Vec<u64> = output.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let [count, nanoseconds] = numbers[..] else { anyhow::bail!("the load printed {output:?}") };
        ensure!(count > 0 && nanoseconds > 0, "the load did nothing");
        Ok(Self { count, nanoseconds })
    }

    pub(crate) fn per_second(self) -> f64 {
        self.count as f64 / self.seconds()
    }

    pub(crate) fn seconds(self) -> f64 {
        self.nanoseconds as f64 / 1e9
    }
}
