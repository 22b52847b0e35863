//! What a record costs: the time until it is on disk, by criterion, and the processor time of all threads, by the
//! kernel's count. On a real disk the time is that of one flush.

#![allow(clippy::unwrap_used, missing_docs, reason = "a bench that cannot go on fails")]

#[path = "../tests/suite/samples.rs"]
#[allow(dead_code, reason = "the tests need more of it")]
mod samples;

use criterion::{Criterion, criterion_group, criterion_main};
use evidence::Finding;
use samples::{HOUR, execution};
use std::hint::black_box;
use std::time::Duration;
use store::Store;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

/// Length of the text in each finding, that of a usual script.
const TEXT_BYTES: usize = 2_000;

/// Records for which the processor time is measured; its unit is 10 ms.
const MEASURED: u32 = 4_000;

struct Bench {
    runtime: Runtime,
    store: Store,
    next: u32,
    text: String,
    _folder: TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let runtime = Builder::new_current_thread().build().unwrap();
        let store = runtime.block_on(Store::open(folder.path().join("urva.db"))).unwrap();
        Self { runtime, store, next: 0, text: "#".repeat(TEXT_BYTES), _folder: folder }
    }

    /// A script that was not seen before.
    fn new_script(&mut self) -> Finding {
        self.next += 1;
        execution("a", &format!("{}{}", self.next, self.text), self.next, 0)
    }

    /// One more execution of the same script.
    fn same_script(&mut self) -> Finding {
        self.next += 1;
        execution("a", &self.text, self.next, u64::from(self.next))
    }

    fn record(&self, findings: &[Finding]) {
        black_box(self.runtime.block_on(self.store.record(findings, HOUR)).unwrap());
    }
}

fn time(criterion: &mut Criterion) {
    let mut bench = Bench::new();
    criterion.bench_function("record/1 new script", |bencher| {
        bencher.iter(|| {
            let finding = bench.new_script();
            bench.record(&[finding]);
        });
    });
    criterion.bench_function("record/1 known script", |bencher| {
        bencher.iter(|| {
            let finding = bench.same_script();
            bench.record(&[finding]);
        });
    });
    criterion.bench_function("record/64 new scripts", |bencher| {
        bencher.iter(|| {
            let batch: Vec<_> = (0..64).map(|_| bench.new_script()).collect();
            bench.record(&batch);
        });
    });
}

fn processor_time(_: &mut Criterion) {
    let mut bench = Bench::new();
    measure(&mut bench, "1 new script", 1, Bench::new_script);
    measure(&mut bench, "1 known script", 1, Bench::same_script);
    measure(&mut bench, "64 new scripts", 64, Bench::new_script);
}

fn measure(bench: &mut Bench, name: &str, size: usize, next: fn(&mut Bench) -> Finding) {
    let calls = MEASURED / u32::try_from(size).unwrap().min(20);
    let (user, system) = cpu_time();
    for _ in 0..calls {
        let batch: Vec<_> = (0..size).map(|_| next(bench)).collect();
        bench.record(&batch);
    }
    let (user_after, system_after) = cpu_time();
    let calls = u64::from(calls);
    println!(
        "processor time of a call, {name}: user {} µs, system {} µs",
        (user_after - user) / calls,
        (system_after - system) / calls
    );
}

/// User and system time of the process so far, all threads, in microseconds: fields 14 and 15 of
/// `/proc/self/stat`, in 1/100 s.
fn cpu_time() -> (u64, u64) {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    // The name of the process, field 2, may have spaces in it and ends with the last parenthesis.
    let after_name = stat.rsplit_once(") ").unwrap().1;
    let fields: Vec<&str> = after_name.split(' ').collect();
    let microseconds = |field: usize| fields[field - 3].parse::<u64>().unwrap() * 10_000;
    (microseconds(14), microseconds(15))
}

criterion_group! {
    name = benches;
    config = Criterion::default().measurement_time(Duration::from_secs(5)).without_plots();
    targets = time, processor_time
}
criterion_main!(benches);
