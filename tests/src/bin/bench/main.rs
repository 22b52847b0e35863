//! `bench`: measures what urva promises, each promise beside its target, and prints one table.
//!
//! Owns: the load, the measuring, the table. Needs root, runc and a machine that is otherwise quiet.
//! Refuses: being a test. It says what holds and what does not, and fails only where it cannot measure.

mod burst;
mod cost;
mod figures;
mod flood;
mod footprint;
mod interpreters;
mod latency;
mod load;
mod machine;
mod scripts;
mod throughput;
mod urva;

use anyhow::{Context, Result, ensure};
use clap::{Parser, ValueEnum};
use figures::{Row, table};
use load::Load;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;
use urva::Program;

/// The lines between which the table stands in the document.
const BEGIN: &str = "<!-- figures: written by scripts/bench -->";
const END: &str = "<!-- end of figures -->";

/// The load average up to which a machine counts as quiet.
const QUIET: f64 = 0.5;
/// How long to wait until it is: a build has just ended as a rule, and the average forgets it slowly.
const CALM_WITHIN: Duration = Duration::from_secs(240);

/// Measures urva's speed and cost.
#[derive(Debug, Parser)]
#[command(name = "bench")]
struct Arguments {
    /// The release binary to measure
    #[arg(long, value_name = "FILE")]
    urva: PathBuf,
    /// Measure for seconds rather than minutes: to try the bench, not to quote it
    #[arg(long)]
    quick: bool,
    /// Measure only these
    #[arg(long, value_enum, value_name = "PART")]
    only: Vec<Part>,
    /// Put the table into this document, between its two marks
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
}

/// What can be measured by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Start and size
    Start,
    /// From exec to finding
    Latency,
    /// Many execs, then memory and idle costs
    Burst,
    /// Scripts beside a container that floods
    Flood,
    /// BPF and processor time of one exec
    Cost,
    /// Speed of other programs
    Throughput,
    /// Speed of interpreters, and what holding adds
    Interpreters,
}

/// How long is measured.
struct Scale {
    scripts: Duration,
    idle: Duration,
    flood: Duration,
    cost: (Duration, usize),
    throughput: (Duration, usize),
    interpreters: (usize, usize),
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    ensure!(rustix::process::geteuid().is_root(), "watching a host needs root: run `sudo make bench`");
    let scale = Scale::of(arguments.quick);
    let busy = wait_for_quiet(if arguments.quick { Duration::ZERO } else { CALM_WITHIN })?;
    // On the disk of the checkout: a folder for what is temporary may be in memory.
    let scratch = tempfile::Builder::new().prefix("bench-").tempdir_in(target()?)?;
    let program = Program { path: fs::canonicalize(&arguments.urva)?, scratch: scratch.path().to_owned() };
    open_to_all(scratch.path())?;
    let load = Load::prepare(scratch.path())?;
    let mut rows = Vec::new();
    for part in Part::value_variants() {
        if arguments.only.is_empty() || arguments.only.contains(part) {
            let name = format!("{part:?}").to_lowercase();
            eprintln!("bench: {name}");
            rows.extend(
                measure(*part, &scale, &program, &load).with_context(|| format!("measuring {name}"))?,
            );
        }
    }
    let report = report(&rows, &program, arguments.quick, busy)?;
    println!("{report}");
    arguments.markdown.map_or(Ok(()), |document| write_into(&document, &report))
}

/// Returns the load average, once it is low or the time is over.
fn wait_for_quiet(limit: Duration) -> Result<f64> {
    let began = machine::uptime();
    loop {
        let busy = machine::load_average()?;
        if busy <= QUIET {
            return Ok(busy);
        }
        if machine::uptime() - began >= limit {
            eprintln!(
                "bench: this machine is busy (load average {busy}): the figures will be worse than urva is"
            );
            return Ok(busy);
        }
        eprintln!("bench: waiting for the machine to become quiet (load average {busy})");
        thread::sleep(Duration::from_secs(10));
    }
}

fn measure(part: Part, scale: &Scale, program: &Program, load: &Load) -> Result<Vec<Row>> {
    match part {
        Part::Start => footprint::measure_starts(program),
        Part::Latency => latency::measure(program, load, scale.scripts),
        Part::Burst => burst::measure(program, load, scale.scripts, scale.idle),
        Part::Flood => flood::measure(program, load, scale.flood),
        Part::Cost => cost::measure(program, load, scale.cost.0, scale.cost.1),
        Part::Throughput => throughput::measure(program, load, scale.throughput.0, scale.throughput.1),
        Part::Interpreters => {
            interpreters::measure(program, load, scale.interpreters.0, scale.interpreters.1)
        }
    }
}

impl Scale {
    fn of(quick: bool) -> Self {
        let seconds = Duration::from_secs;
        if quick {
            let (scripts, idle) = (seconds(10), seconds(10));
            Self {
                scripts,
                idle,
                flood: seconds(10),
                cost: (seconds(2), 3),
                throughput: (seconds(1), 3),
                interpreters: (50, 3),
            }
        } else {
            let (scripts, idle) = (seconds(60), seconds(30));
            Self {
                scripts,
                idle,
                flood: seconds(60),
                cost: (seconds(5), 5),
                throughput: (seconds(2), 9),
                interpreters: (200, 9),
            }
        }
    }
}

/// The folder of the checkout that holds what is built.
fn target() -> Result<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    fs::create_dir_all(&path).with_context(|| format!("make {}", path.display()))?;
    Ok(path.canonicalize()?)
}

/// The detector runs as another user, and its state lies below.
fn open_to_all(folder: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("open {} to the detector", folder.display()))
}

/// The table, below what it was measured on.
fn report(rows: &[Row], program: &Program, quick: bool, busy: f64) -> Result<String> {
    let now = machine::now().to_string();
    let day = now.split('T').next().unwrap_or_default();
    let trial = if quick { ", a short trial run that is not to be quoted" } else { "" };
    let (version, machine) = (program.version()?, machine::description()?);
    Ok(format!("{version} on {machine}; load average before {busy}; {day}{trial}.\n\n{}", table(rows)))
}

/// Replaces what stands between the marks.
fn write_into(document: &Path, report: &str) -> Result<()> {
    let shown = document.display();
    let text = fs::read_to_string(document).with_context(|| format!("read {shown}"))?;
    let marked = text.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let (before, after) = marked.with_context(|| format!("{shown} lacks the marks {BEGIN} and {END}"))?;
    fs::write(document, format!("{before}{BEGIN}\n{report}{END}{after}"))
        .with_context(|| format!("write {shown}"))
}
