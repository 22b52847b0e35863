//! What one exec costs: time in the BPF program, by the kernel's own count, and processor time of urva's processes.

use crate::figures::{Row, Spread};
use crate::load::{Done, Load};
use crate::machine::{self, BpfStats, BpfTime};
use crate::scripts;
use crate::urva::{Program, Urva};
use anyhow::Result;
use std::thread;
use std::time::Duration;

const PER_SECOND: u64 = 50;
/// Until urva has judged and stored what was executed last.
const SETTLE: Duration = Duration::from_millis(500);

/// The most that an exec may cost: µs in BPF, µs of processor time.
const NO_SCRIPT: (f64, f64) = (2.0, 1.0);
const SCRIPT: (f64, f64) = (40.0, 1_500.0);

/// A kind of exec, with the most that it may cost.
struct Kind<'a> {
    what: &'static str,
    limits: (f64, f64),
    execute: Box<dyn Fn() -> Result<Done> + 'a>,
}

/// µs for one exec, and how many scripts were executed to find it out.
struct Price {
    bpf: f64,
    processor: f64,
    scripts: u64,
}

pub(crate) fn measure(program: &Program, load: &Load, time: Duration, rounds: usize) -> Result<Vec<Row>> {
    let urva = program.start()?;
    let kinds = kinds(load, time)?;
    let _stats = BpfStats::enable()?;
    let mut scripts = 0;
    // Each executable has been looked at, and each thread has its memory, before anything is counted.
    for kind in &kinds {
        scripts += price(&urva, kind, 0.0)?.scripts;
    }
    let mut prices: Vec<Vec<Price>> = kinds.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds {
        let mut other_execs = 0.0;
        for (kind, prices) in kinds.iter().zip(&mut prices) {
            let price = price(&urva, kind, other_execs)?;
            // The first kind is an exec on the host: what the rest of the machine executes meanwhile.
            if other_execs == 0.0 {
                other_execs = price.bpf * 1e3;
            }
            scripts += price.scripts;
            prices.push(price);
        }
    }
    let captured = urva.stop()?.counters.captured;
    if captured > scripts {
        let others = captured - scripts;
        eprintln!(
            "bench: {others} scripts of other containers were judged meanwhile: the costs are too high"
        );
    }
    Ok(kinds.iter().zip(prices).flat_map(|(kind, prices)| rows(kind, &prices)).collect())
}

fn kinds(load: &Load, time: Duration) -> Result<Vec<Kind<'_>>> {
    let (inline, file) = ([scripts::malicious_inline()?], [scripts::malicious_file()?]);
    let kind = |what, limits, execute| Kind { what, limits, execute };
    Ok(vec![
        kind(
            "/bin/true on the host",
            NO_SCRIPT,
            Box::new(move || load.loop_on_host(time, 1, &["/bin/true"])),
        ),
        kind(
            "/bin/true in a container",
            NO_SCRIPT,
            Box::new(move || load.loop_in_container(time, 1, &["/bin/true"])),
        ),
        kind(
            "`python3 -c pass` in a container",
            SCRIPT,
            Box::new(move || load.loop_in_container(time, 1, &["/usr/bin/python3", "-c", "pass"])),
        ),
        kind(
            "`python3 -c` in a container, each malicious, new and stored",
            SCRIPT,
            Box::new(move || load.pace(PER_SECOND, time, &inline)),
        ),
        kind(
            "`sh FILE` in a container, each malicious, new and stored",
            SCRIPT,
            Box::new(move || load.pace(PER_SECOND, time, &file)),
        ),
    ])
}

/// `other_execs` is the BPF time in ns of an exec by somebody else, of which there may be some.
fn price(urva: &Urva, kind: &Kind<'_>, other_execs: f64) -> Result<Price> {
    let processes = urva.processes()?;
    let count = || anyhow::Ok((machine::bpf_time(&processes)?, machine::processor_time(&processes)?));
    let (bpf_before, processor_before) = count()?;
    let done = (kind.execute)()?;
    thread::sleep(SETTLE);
    let (bpf_after, processor_after) = count()?;
    let executed = done.count as f64;
    let bpf = BpfTime {
        nanoseconds: bpf_after.nanoseconds - bpf_before.nanoseconds,
        runs: bpf_after.runs - bpf_before.runs,
    };
    let bpf = if other_execs == 0.0 {
        bpf.nanoseconds as f64 / bpf.runs as f64
    } else {
        let others = bpf.runs.saturating_sub(done.count) as f64;
        (bpf.nanoseconds as f64 - others * other_execs) / executed
    };
    let processor = processor_after.saturating_sub(processor_before) as f64 / executed;
    let scripts = if kind.limits == SCRIPT { done.count } else { 0 };
    Ok(Price { bpf: bpf / 1e3, processor: processor / 1e3, scripts })
}

fn rows(kind: &Kind<'_>, prices: &[Price]) -> [Row; 2] {
    let spread = |figure: fn(&Price) -> f64| Spread::of(prices.iter().map(figure).collect());
    let (bpf, processor) = kind.limits;
    let row = |where_, limit, measured: Spread| {
        Row::at_most(&format!("{}: {where_}", kind.what), limit, "µs", &measured, 2)
    };
    [
        row("BPF", bpf, spread(|price| price.bpf)),
        row("processor of urva", processor, spread(|price| price.processor)),
    ]
}
