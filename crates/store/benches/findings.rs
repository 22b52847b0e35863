//! A store with many findings: how fast they are recorded, and how fast lists, groups and substrings are then. The same on both
//! databases, side by side; PostgreSQL is started for it.
//!
//!     cargo bench -p store --bench findings                    100,000 findings
//!     URVA_BENCH_FINDINGS=1000000 cargo bench …                as many as are wanted
//!     URVA_BENCH_ON=sqlite cargo bench …                       one database alone
//!     URVA_BENCH_RECORD_ONLY=1 cargo bench …                   no queries
//!
//! Prints a table. Times of queries are what a caller waits, each of 200 times, other pages and values each time.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a bench that cannot go on fails"
)]

#[path = "../tests/suite/samples.rs"]
#[allow(dead_code, reason = "the tests need more of it")]
mod samples;
#[path = "../tests/suite/server.rs"]
#[allow(dead_code, reason = "the tests need more of it")]
mod server;

use evidence::scc::Place;
use evidence::{Finding, State, Timestamp};
use samples::{HOUR, NOON, capture, container, finding};
use serde_json::json;
use std::time::{Duration, Instant};
use store::filter::Filter;
use store::{By, Grouping, Kind, Listing, Order, Site, Store};
use tempfile::TempDir;

/// Findings that arrive together, as in a burst.
const BATCH: u32 = 256;
const TIMES: u32 = 200;

/// Clusters, namespaces, Pods and images that findings are spread over, and texts that they share.
const CLUSTERS: u32 = 200;
const NAMESPACES: u32 = 40;
const PODS: u32 = 5_000;
const IMAGES: u32 = 300;
const TEXTS: u32 = 20_000;

fn place(cluster: u32) -> Place {
    let organization = Some("123456789012".to_owned());
    Place {
        organization,
        project: format!("shop-{}", cluster % 20),
        project_number: (100_000_000_000 + u64::from(cluster % 20)).to_string(),
        location: ["europe-west1", "asia-northeast1", "us-central1"][cluster as usize % 3].to_owned(),
        cluster: format!("cluster-{cluster}"),
        node: format!("gke-cluster-{cluster}-pool-1-{:08x}", cluster * 7919),
        ..Place::default()
    }
}

/// A script of some two kilobytes.
fn text(number: u32) -> String {
    let mut lines = format!("#!/usr/bin/env python3\n# task {number}\nimport os, socket, subprocess\n");
    let mut state = u64::from(number) | 1;
    while lines.len() < 1_500 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        lines.push_str(&format!(
            "value_{} = os.environ.get('KEY_{:x}', '{:x}')\n",
            state >> 48,
            state >> 40,
            state >> 20
        ));
    }
    lines
}

fn finding_of(number: u32) -> Finding {
    let spread = number.wrapping_mul(2_654_435_761);
    let pod = spread % PODS;
    let (namespace, image) = (
        format!("namespace-{}", pod % NAMESPACES),
        format!("registry.example/team/app-{}:1.{}", pod % IMAGES, pod % 7),
    );
    let mut capture = capture(
        &format!("{:064x}", u64::from(number) * 31),
        &text(spread % TEXTS),
        number,
        u64::from(number) * 2,
    );
    let id = capture.container.as_ref().unwrap().id.clone();
    capture.container = Some(container(&id, &format!("app-{pod}"), &namespace, &image));
    let mut finding = finding(capture);
    if number.is_multiple_of(3) {
        finding.category = evidence::Category::MaliciousScriptExecuted;
    }
    if number.is_multiple_of(10) {
        finding.state = State::Inactive;
    }
    finding
}

struct Row {
    what: &'static str,
    target: &'static str,
    measured: Vec<String>,
}

/// How long recording took, by what waited and by what worked.
#[derive(Default)]
struct Spent {
    findings: u32,
    waited: Duration,
    worked: Duration,
}

impl Spent {
    async fn record(&mut self, store: &Store, findings: &[Finding]) {
        let (begun, idle) = (now(), processor_time());
        store.record(findings, HOUR).await.unwrap();
        self.waited += now() - begun;
        self.worked += processor_time() - idle;
        self.findings += u32::try_from(findings.len()).unwrap();
    }

    fn rows(&self, speed: &'static str, cost: &'static str, target: &'static str) -> [Row; 2] {
        let count = f64::from(self.findings);
        let (speed_is, cost_is) =
            (count / self.waited.as_secs_f64(), self.worked.as_secs_f64() * 1e6 / count);
        [
            Row { what: speed, target, measured: vec![format!("{speed_is:.0}")] },
            Row { what: cost, target: "", measured: vec![format!("{cost_is:.0} µs")] },
        ]
    }
}

/// Records them all; what all of them took, and the last tenth.
async fn fill(address: &str, count: u32) -> (Spent, Spent) {
    let mute = Store::open(address).await.unwrap();
    let rule =
        json!({"name": "m", "type": "STATIC", "filter": "source_properties.Pod_Namespace=\"namespace-7\""});
    let by = By { actor: "bench", at: Timestamp::from_seconds(NOON) };
    mute.create_setting(Kind::MuteConfig, "m", rule, &by).await.unwrap();
    drop(mute);
    let (mut all, mut last) = (Spent::default(), Spent::default());
    for cluster in 0..CLUSTERS {
        let store = Store::open_in(address, Site { place: place(cluster), ..Site::default() }).await.unwrap();
        let numbers: Vec<u32> = (0..count).skip(cluster as usize).step_by(CLUSTERS as usize).collect();
        for batch in numbers.chunks(BATCH as usize) {
            let findings: Vec<Finding> = batch.iter().map(|number| finding_of(*number)).collect();
            let spent = if cluster >= CLUSTERS / 10 * 9 { &mut last } else { &mut all };
            spent.record(&store, &findings).await;
        }
    }
    all.findings += last.findings;
    all.waited += last.waited;
    all.worked += last.worked;
    (all, last)
}

/// Further executions of scripts that are known, many at a time; and new scripts one by one.
async fn record_more(address: &str, count: u32) -> (Spent, Spent) {
    let (mut known, mut single) = (Spent::default(), Spent::default());
    let store = Store::open_in(address, Site { place: place(3), ..Site::default() }).await.unwrap();
    let more: Vec<Finding> = (0..20_u32.min(count / 500) * BATCH)
        .map(|number| {
            let mut again = finding_of((number * 41 % count / 10 * 10) + 1);
            let process = &mut again.script_mut().unwrap().capture.process;
            process.pid += 1;
            process.start_ticks += u64::from(number) + 1;
            again
        })
        .collect();
    for batch in more.chunks(BATCH as usize) {
        known.record(&store, batch).await;
    }
    for number in 0..1_000 {
        single.record(&store, &[finding_of(count + number)]).await;
    }
    (known, single)
}

/// So many callers at once, each of whom asks several times.
const CLIENTS: u32 = 200;

/// How many of the calls failed, and how long a caller waited at the median and at the most.
async fn crowd(store: Store) -> String {
    let store = std::sync::Arc::new(store);
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let store = std::sync::Arc::clone(&store);
            tokio::spawn(async move {
                let mut answers = Vec::new();
                for round in 0..5 {
                    let (_, filter) = LISTS[((client + round) % 10) as usize];
                    let listing = listing(&filter(client + round), "");
                    let begun = now();
                    answers.push((store.list(&listing).await.is_ok(), now() - begun));
                }
                answers
            })
        })
        .collect();
    let mut times = Vec::new();
    let mut failed = 0;
    for client in clients {
        for (is_ok, time) in client.await.unwrap() {
            failed += u32::from(!is_ok);
            times.push(time);
        }
    }
    times.sort();
    let milliseconds = |time: Duration| time.as_millis();
    let (median, longest) = (times[times.len() / 2], times[times.len() - 1]);
    format!("{failed} errors; {} ms, slowest {} ms", milliseconds(median), milliseconds(longest))
}

/// Of all threads of this process; what a server does is not in it.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap())
}

#[allow(clippy::disallowed_methods, reason = "a bench reads the clock")]
fn now() -> Instant {
    Instant::now()
}

/// Median and 99th percentile of what a caller waits.
async fn time(mut ask: impl AsyncFnMut(u32)) -> String {
    let mut times = Vec::new();
    for round in 0..TIMES {
        let begun = now();
        ask(round).await;
        times.push(now() - begun);
    }
    times.sort();
    let shown = |time: Duration| format!("{:.1}", time.as_secs_f64() * 1_000.0);
    format!("{} / {} ms", shown(times[times.len() / 2]), shown(times[times.len() * 99 / 100]))
}

fn listing(filter: &str, order: &str) -> Listing {
    Listing {
        source: None,
        filter: Filter::parse(filter).unwrap(),
        order: Order::parse(order).unwrap(),
        limit: 100,
        token: None,
        with_contents: false,
    }
}

/// What is asked for, and the filter of each round.
type Asked = (&'static str, fn(u32) -> String);

const LISTS: [Asked; 10] = [
    ("list: everything", |_| String::new()),
    ("list: state", |_| "state=\"INACTIVE\"".to_owned()),
    ("list: category and state", |_| {
        "category=\"Malicious Script Executed\" AND state=\"ACTIVE\"".to_owned()
    }),
    ("list: severity, not muted", |_| "severity=\"CRITICAL\" AND -mute=\"MUTED\"".to_owned()),
    ("list: muted", |_| "mute=\"MUTED\"".to_owned()),
    ("list: namespace", |round| {
        format!("source_properties.Pod_Namespace=\"namespace-{}\"", round % NAMESPACES)
    }),
    ("list: Pod", |round| format!("source_properties.Pod_Name=\"app-{}\"", round * 7 % PODS)),
    ("list: image", |round| {
        format!(
            "source_properties.Container_Image_Uri=\"registry.example/team/app-{}:1.{}\"",
            round % IMAGES,
            round % 7
        )
    }),
    ("list: a stretch of time", |round| {
        let from = Timestamp::from_seconds(NOON + u64::from(round) * 5_000);
        let to = Timestamp::from_seconds(NOON + u64::from(round) * 5_000 + 3_600);
        format!("event_time >= \"{from}\" AND event_time < \"{to}\"")
    }),
    ("list: category and namespace", |round| {
        format!(
            "category=\"Malicious Script Executed\" AND source_properties.Pod_Namespace=\"namespace-{}\"",
            round % NAMESPACES
        )
    }),
];

async fn measure(address: &str, count: u32) -> Vec<Row> {
    let (all, last) = fill(address, count).await;
    let mut rows = Vec::new();
    rows.extend(all.rows("recorded, a second", "processor time of one, without the server's", "≥ 3,000"));
    rows.extend(last.rows("the last tenth of them", "processor time of one", "≥ 3,000"));
    let (known, single) = record_more(address, count).await;
    rows.extend(known.rows("further executions of known scripts", "processor time of one", "≥ 3,000"));
    rows.extend(single.rows(
        "new scripts one by one, each waiting for the disk",
        "processor time of one",
        "",
    ));
    rows.push(memory("resident memory of the recording process, peak"));
    let store = Store::open(address).await.unwrap();
    reset_peak();
    if std::env::var_os("URVA_BENCH_RECORD_ONLY").is_some() {
        return rows;
    }
    for (what, filter) in LISTS {
        let mut token: Option<String> = None;
        let measured = time(async |round| {
            let mut listing = listing(&filter(round), "");
            // Every other time the page behind the last one, where the query is the same.
            listing.token = token.take().filter(|_| filter(0) == filter(round) && round % 2 == 1);
            token = store.list(&listing).await.unwrap().next;
        })
        .await;
        rows.push(Row { what, target: "≤ 20 / 60 ms", measured: vec![measured] });
    }
    for (what, filter) in [
        ("substring of the resource's name, many", "cluster-1"),
        ("the same, few", "cluster-117"),
        ("the same, none", "cluster-x"),
    ] {
        let listing = listing(&format!("resource.name:\"{filter}\""), "");
        let measured = time(async |_| drop(store.list(&listing).await.unwrap())).await;
        rows.push(Row { what, target: "≤ 150 ms", measured: vec![measured] });
    }
    let by = Grouping::parse("category, source_properties.Pod_Namespace").unwrap();
    let all = Filter::parse("").unwrap();
    let measured = time(async |_| drop(store.group(None, &all, &by, 100, None).await.unwrap())).await;
    rows.push(Row {
        what: "group by category and namespace", target: "≤ 300 ms", measured: vec![measured]
    });
    let active = Filter::parse("state=\"ACTIVE\"").unwrap();
    let measured = time(async |_| assert!(store.count(None, &active).await.unwrap() > 0)).await;
    rows.push(Row { what: "count of the active ones", target: "", measured: vec![measured] });
    let crowded = crowd(store).await;
    rows.push(Row { what: "200 callers at once, 5 lists each", target: "0 errors", measured: vec![crowded] });
    rows.push(memory("resident memory of the asking process, peak"));
    rows
}

fn memory(what: &'static str) -> Row {
    Row { what, target: "≤ 200 MiB", measured: vec![format!("{} MiB", peak_kib() / 1024)] }
}

fn reset_peak() {
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
}

fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn main() {
    let count = std::env::var("URVA_BENCH_FINDINGS").map_or(100_000, |count| count.parse().unwrap());
    let only = std::env::var("URVA_BENCH_ON").ok();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut tables: Vec<Vec<Row>> = Vec::new();
    let mut sizes = Vec::new();
    if only.as_deref() != Some("postgres") {
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let address = folder.path().join("urva.db");
        tables.push(runtime.block_on(measure(address.to_str().unwrap(), count)));
        let bytes: u64 = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|file| file.unwrap().metadata().unwrap().len())
            .sum();
        sizes.push(format!("SQLite {} MiB", bytes >> 20));
    }
    if only.as_deref() != Some("sqlite") {
        let server = server::Server::start_with("on");
        let address = server.new_database();
        tables.push(runtime.block_on(measure(&address, count)));
        let database = address.trim_start_matches("postgres:///").split('?').next().unwrap().to_owned();
        let bytes: u64 =
            server.run(&format!("SELECT pg_database_size('{database}')")).unwrap().parse().unwrap();
        sizes.push(format!("PostgreSQL {} MiB", bytes >> 20));
    }
    println!("{count} findings; on disk: {}; median / 99th percentile of {TIMES} times", sizes.join(", "));
    let (first, others) = tables.split_first().unwrap();
    for (place, row) in first.iter().enumerate() {
        let more = others.iter().flat_map(|table| table[place].measured.clone());
        let measured: Vec<String> = row.measured.iter().cloned().chain(more).collect();
        println!("| {} | {} | {} |", row.what, row.target, measured.join(" | "));
    }
}
