//! What urva takes while nothing happens: memory, processor time, the time to start, the size of its file.

use crate::figures::{Row, Spread};
use crate::machine;
use crate::urva::{Program, Urva};
use anyhow::{Context, Result};
use std::thread;
use std::time::Duration;

/// Starts that are measured.
const STARTS: usize = 5;

/// Of a running urva on which no load is.
pub(crate) fn measure(urva: &Urva, idle: Duration) -> Result<Vec<Row>> {
    let processes = urva.processes()?;
    let (from, began) = (machine::processor_time(&processes)?, machine::uptime());
    thread::sleep(idle);
    let (until, ended) = (machine::processor_time(&processes)?, machine::uptime());
    let busy = Duration::from_nanos(until.saturating_sub(from)).as_secs_f64();
    let percent = 100.0 * busy / (ended - began).as_secs_f64();
    let (resident, shared_once) = machine::memory(&processes)?;
    let [resident, shared_once] = [resident, shared_once].map(|kibibytes| kibibytes as f64 / 1024.0);
    let memory = format!("{resident:.0} MiB ({shared_once:.0} MiB with shared pages counted once)");
    Ok(vec![
        Row::new(
            &format!("processor while idle, {:.0} s", idle.as_secs_f64()),
            "≤ 0.1 % of a core",
            format!("{percent:.3} %"),
            percent <= 0.1,
        ),
        Row::new("resident memory of all processes after the load", "≤ 120 MiB", memory, resident <= 120.0),
    ])
}

/// Of urva's starts, and of its file.
pub(crate) fn measure_starts(program: &Program) -> Result<Vec<Row>> {
    let mut starts = Vec::new();
    for _ in 0..STARTS {
        let urva = program.start()?;
        starts.push(urva.started_within.as_secs_f64() * 1e3);
        urva.stop()?;
    }
    let path = &program.path;
    let size = std::fs::metadata(path).with_context(|| format!("look at {}", path.display()))?.len();
    let size = size as f64 / f64::from(1 << 20);
    Ok(vec![
        Row::at_most(&format!("start until it watches, {STARTS} times"), 500.0, "ms", &Spread::of(starts), 0),
        Row::new("size of the binary", "≤ 40 MiB", format!("{size:.1} MiB"), size <= 40.0),
    ])
}
