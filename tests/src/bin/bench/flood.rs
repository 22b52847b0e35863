//! A container that executes as fast as it can, beside one that runs a few scripts: how long those take to the disk.

use crate::figures::{Row, Spread};
use crate::latency::delays;
use crate::load::{Flood, Load};
use crate::scripts;
use crate::urva::{Program, Record};
use anyhow::{Context, Result};
use evidence::Gap;
use std::thread;
use std::time::Duration;

/// Scripts of the other container.
const PER_SECOND: u64 = 20;
/// Processes that flood.
const PROCESSES: usize = 8;

/// What the container executes, in words and as `load.c` has it.
const KINDS: [(&str, [&str; 3]); 4] = [
    ("scripts of a shell, each different", ["inline", "/bin/sh", "exit 0"]),
    ("programs that were just written", ["fresh", "/tiny", ""]),
    ("applets of BusyBox", ["none", "/bin/true", ""]),
    ("a program that is known to be none", ["none", "/tiny", ""]),
];

pub(crate) fn measure(program: &Program, load: &Load, time: Duration) -> Result<Vec<Row>> {
    let flood = Flood::prepare(&program.scratch)?;
    let rows = KINDS.iter().map(|(name, job)| one(program, load, &flood, time, name, *job));
    Ok(rows.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
}

fn one(
    program: &Program,
    load: &Load,
    flood: &Flood,
    time: Duration,
    name: &str,
    job: [&str; 3],
) -> Result<Vec<Row>> {
    let urva = program.start()?;
    let mixture = scripts::mixture()?;
    let (scripts, flooded) = thread::scope(|scope| {
        let flooded = scope.spawn(|| flood.run(time + Duration::from_secs(2), PROCESSES, job));
        thread::sleep(Duration::from_secs(1));
        (load.pace(PER_SECOND, time, &mixture), flooded.join())
    });
    let (scripts, flooded) = (scripts?, flooded.ok().context("the flood failed")??);
    thread::sleep(Duration::from_secs(2));
    let record = urva.stop()?;
    let delays = Spread::of(delays(&record.findings, load.container_id()));
    let found = delays.count() as u64;
    let [median, late] = [50, 99].map(|percent| delays.percentile(percent));
    let what = format!("beside a container that executes {name}, {:.0} a second", flooded.per_second());
    let measured = format!(
        "median {median:.1} ms, 99th percentile {late:.1} ms (slowest {:.1} ms); {found} of {} malicious found",
        delays.percentile(100),
        scripts.count / 2
    );
    let holds = late <= 100.0 && found * 2 == scripts.count;
    let target = "99th percentile ≤ 100 ms, all found";
    Ok(vec![
        Row::new(
            &format!("{what}: exec to finding on disk, {PER_SECOND} scripts a second"),
            target,
            measured,
            holds,
        ),
        lost(&record, flood.container_id(), load.container_id()),
    ])
}

/// What was lost, and of whom.
fn lost(record: &Record, loud: &str, quiet: &str) -> Row {
    let is_of = |gap: &&Gap, id: &str| gap.container.as_ref().is_some_and(|container| container.id == id);
    let sum = |gaps: &mut dyn Iterator<Item = &Gap>| gaps.filter_map(|gap| gap.lost).sum::<u64>();
    let of_loud = sum(&mut record.gaps.iter().filter(|gap| is_of(gap, loud)));
    let of_quiet = sum(&mut record.gaps.iter().filter(|gap| is_of(gap, quiet)));
    let others: Vec<String> = record
        .gaps
        .iter()
        .filter(|gap| !is_of(gap, loud) && !is_of(gap, quiet))
        .map(|gap| format!("{}: {:?}", gap.kind, gap.lost))
        .collect();
    let of_others = if others.is_empty() { "nothing".to_owned() } else { others.join(", ") };
    let measured = format!(
        "{} judged; lost: {of_loud} of the flood (in {} gaps), {of_quiet} of the other, {of_others} without a container",
        record.counters.judged,
        record.gaps.len(),
    );
    Row::new(
        "the same: judged and lost",
        "lost only of the flood",
        measured,
        of_quiet == 0 && others.is_empty(),
    )
}
