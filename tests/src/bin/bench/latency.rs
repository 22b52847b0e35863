//! From the exec to the finding on disk.

use crate::figures::{Row, Spread};
use crate::load::Load;
use crate::scripts;
use crate::urva::{Arrival, Program};
use anyhow::{Result, ensure};
use evidence::Timestamp;
use serde_json::Value;
use std::thread;
use std::time::Duration;

const PER_SECOND: u64 = 50;

pub(crate) fn measure(program: &Program, load: &Load, time: Duration) -> Result<Vec<Row>> {
    let urva = program.start()?;
    let done = load.pace(PER_SECOND, time, &scripts::mixture()?)?;
    thread::sleep(Duration::from_secs(1));
    let record = urva.stop()?;
    let delays = Spread::of(delays(&record.findings, load.container_id()));
    ensure!(
        delays.count() as u64 * 2 == done.count,
        "{} of {} malicious executions became findings",
        delays.count(),
        done.count / 2
    );
    let [median, late] = [50, 99].map(|percent| delays.percentile(percent));
    let what = format!("exec to finding on disk, {PER_SECOND} scripts a second");
    let middle = format!("{median:.1} ms of {} findings", delays.count());
    let worst = format!("{late:.1} ms (slowest {:.1} ms)", delays.percentile(100));
    Ok(vec![
        Row::new(&format!("{what}: median"), "≤ 10 ms", middle, median <= 10.0),
        Row::new(&format!("{what}: 99th percentile"), "≤ 50 ms", worst, late <= 50.0),
    ])
}

/// Milliseconds from each exec in this container until its finding was printed, which is after it was stored.
pub(crate) fn delays(findings: &[Arrival], container: &str) -> Vec<f64> {
    let delay = |arrival: &Arrival| {
        let finding: Value = serde_json::from_str(&arrival.line).ok()?;
        let executed_at = execution(&finding, container)?;
        Some(arrival.at.since(executed_at).as_secs_f64() * 1e3)
    };
    findings.iter().filter_map(delay).collect()
}

/// When the script of this finding was executed, if that was in this container.
pub(crate) fn execution(finding: &Value, container: &str) -> Option<Timestamp> {
    let properties = &finding["finding"]["sourceProperties"];
    (properties["Container_Id"] == container).then_some(())?;
    Timestamp::parse(properties["Last_Seen"].as_str()?)
}
