//! Many execs at once: whether every script among them is judged.

use crate::figures::Row;
use crate::footprint;
use crate::latency::execution;
use crate::load::{Done, Load};
use crate::scripts;
use crate::urva::{Program, Record};
use anyhow::{Context, Result};
use std::thread;
use std::time::Duration;

const SCRIPTS_PER_SECOND: u64 = 100;
const OTHERS_PER_SECOND: u64 = 1_000;

/// Runs the load, and afterwards, since it is then at its largest, looks at urva's idle costs.
pub(crate) fn measure(program: &Program, load: &Load, time: Duration, idle: Duration) -> Result<Vec<Row>> {
    let urva = program.start()?;
    let others = [["none", "/bin/true", ""].map(str::to_owned)];
    let mixture = scripts::mixture()?;
    let (scripts, others) = thread::scope(|scope| {
        let others = scope.spawn(|| load.pace(OTHERS_PER_SECOND, time, &others));
        (load.pace(SCRIPTS_PER_SECOND, time, &mixture), others.join())
    });
    let scripts = scripts?;
    let others = others.ok().context("the load of other programs failed")??;
    thread::sleep(Duration::from_secs(2));
    let mut rows = footprint::measure(&urva, idle)?;
    let record = urva.stop()?;
    rows.splice(0..0, judge(&record, scripts, others, load.container_id()));
    Ok(rows)
}

fn judge(record: &Record, scripts: Done, others: Done, container: &str) -> [Row; 2] {
    let counters = &record.counters;
    let parsed = record.findings.iter().filter_map(|arrival| serde_json::from_str(&arrival.line).ok());
    let found = parsed.filter(|finding| execution(finding, container).is_some()).count() as u64;
    let is_judged = counters.judged == counters.captured
        && counters.judged >= scripts.count
        && found * 2 == scripts.count;
    let measured = format!(
        "{} executed; {} captured, {} judged; {found} of {} malicious found",
        scripts.count,
        counters.captured,
        counters.judged,
        scripts.count / 2
    );
    let what = format!(
        "{OTHERS_PER_SECOND} execs of /bin/true and {SCRIPTS_PER_SECOND} scripts a second for {:.0} s (reached: {:.0} and {:.0})",
        scripts.seconds(),
        others.per_second(),
        scripts.per_second()
    );
    let gaps: Vec<String> =
        record.gaps.iter().map(|gap| format!("{}: {:?} lost", gap.kind, gap.lost)).collect();
    let gaps_found = if gaps.is_empty() { "none".to_owned() } else { gaps.join(", ") };
    [
        Row::new(&format!("{what}: scripts judged"), "all", measured, is_judged),
        Row::new("the same: gaps", "none", gaps_found, gaps.is_empty()),
    ]
}
