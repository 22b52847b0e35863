//! What interpreters in a container pay: loops inside CPython, starts of ordinary scripts, and the wait until a text is
//! judged where `[hold]` is on. Alone, beside urva, and beside urva that holds, in turn.

use crate::figures::{Row, Spread};
use crate::load::Load;
use crate::scripts;
use crate::urva::Program;
use anyhow::{Result, ensure};
use std::thread;
use std::time::Duration;

/// After a start: what runs already has been looked at by then.
const SETTLE: Duration = Duration::from_millis(500);
const HOLD: &str = "[hold]\nenabled = true\n";
/// The most that holding may add: milliseconds, median and 99th percentile.
const HELD: (f64, f64) = (2.0, 10.0);

/// Nanoseconds of one round of each loop, the fastest of five tries, one loop on each line.
const LOOPS: &str = "\
import time
def best(work, count):
    def once():
        begin = time.perf_counter_ns()
        work(count)
        return (time.perf_counter_ns() - begin) / count
    print(min(once() for _ in range(5)))
def same(count):
    for _ in range(count): exec('x=1')
def new(count):
    start = time.perf_counter_ns()
    for i in range(count): exec(f'x={start + i}')
def opening(count):
    for _ in range(count): open('/etc/hostname').close()
best(same, 20000)
best(new, 2000)
best(opening, 20000)
";
/// Each with the most that it may take, where there is a promise.
const LOOPS_TOLD: [(&str, Option<f64>); 3] = [
    ("a loop of `exec(\"x=1\")`", Some(2.5)),
    ("a loop of `exec` with a new text each time", None),
    ("a loop of `open()`", Some(1.01)),
];

/// As much of the standard library as a large package brings along, some 250 modules.
const IMPORT: &str = "import asyncio, concurrent.futures, email.mime.text, http.server, multiprocessing.pool, \
                      pydoc, sqlite3, tarfile, unittest.mock, urllib.request, xml.dom.minidom, xmlrpc.client, zipfile";

/// What runs beside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beside {
    Nothing,
    Urva,
    UrvaThatHolds,
}

/// One round beside one of them: the loops' nanoseconds, and the milliseconds of each start of each kind.
struct Round {
    loops: Vec<f64>,
    starts: Vec<Vec<f64>>,
}

pub(crate) fn measure(program: &Program, load: &Load, count: usize, rounds: usize) -> Result<Vec<Row>> {
    let mut measured: [Vec<Round>; 3] = Default::default();
    for round in 0..rounds {
        // Each takes each place, so that a machine that gets slower or faster does not favour one.
        let mut order = [Beside::Nothing, Beside::Urva, Beside::UrvaThatHolds];
        order.rotate_left(round % 3);
        for beside in order {
            let urva = match beside {
                Beside::Nothing => None,
                Beside::Urva => Some(program.start()?),
                Beside::UrvaThatHolds => Some(program.start_with(HOLD)?),
            };
            thread::sleep(SETTLE);
            measured[beside as usize].push(one_round(load, count)?);
            urva.map(crate::urva::Urva::stop).transpose()?;
        }
    }
    let [alone, urva, holding] = measured;
    let mut rows = ratios(&alone, &urva);
    rows.extend(added(&urva, &holding));
    Ok(rows)
}

/// What is started: nothing to do, much to import, and each way of starting a text that nobody has seen.
fn starts() -> Vec<(&'static str, [String; 3])> {
    let python = |text: &str| ["same", "/usr/bin/python3", text].map(str::to_owned);
    let mut starts =
        vec![("`python3 -c pass`", python("pass")), ("an import of 250 modules", python(IMPORT))];
    starts.extend(scripts::ordinary());
    starts
}

fn one_round(load: &Load, count: usize) -> Result<Round> {
    // The interpreter is attached to when its first process is seen.
    for (_, job) in &starts() {
        load.times(2, job)?;
    }
    let loops = load.numbers(&["python3", "-S", "-c", LOOPS])?;
    ensure!(loops.len() == LOOPS_TOLD.len(), "the loops printed {loops:?}");
    let starts = starts().iter().map(|(_, job)| load.times(count, job)).collect::<Result<_>>()?;
    Ok(Round { loops, starts })
}

/// How many times as long it takes beside urva.
fn ratios(alone: &[Round], urva: &[Round]) -> Vec<Row> {
    let ratio = |figure: &dyn Fn(&Round) -> f64| {
        Spread::of(alone.iter().zip(urva).map(|(alone, urva)| figure(urva) / figure(alone)).collect())
    };
    let row = |what: &str, limit: Option<f64>, measured: &Spread| {
        let what = format!("time beside urva of: {what} in a container");
        match limit {
            Some(limit) => Row::at_most(&what, limit, "times", measured, 3),
            None => Row::new(&what, "none", format!("{measured:.3} times"), true),
        }
    };
    let loops = LOOPS_TOLD.iter().enumerate();
    let loops = loops.map(|(at, (what, limit))| row(what, *limit, &ratio(&|round| round.loops[at])));
    let limits = [Some(1.05), Some(1.03)];
    let starts = starts().into_iter().zip(limits).enumerate();
    let starts = starts.map(|(at, ((what, _), limit))| {
        row(what, limit, &ratio(&|round| Spread::of(round.starts[at].clone()).median()))
    });
    loops.chain(starts).collect()
}

/// How much longer a text takes that is held until it is judged, than beside urva that does not hold.
fn added(urva: &[Round], holding: &[Round]) -> Vec<Row> {
    let all = |rounds: &[Round], at: usize| {
        Spread::of(rounds.iter().flat_map(|round| round.starts[at].clone()).collect())
    };
    let starts = starts().into_iter().enumerate().skip(2);
    starts
        .map(|(at, (what, _))| {
            let (without, with) = (all(urva, at), all(holding, at));
            let (median, slow) =
                (with.median() - without.median(), with.percentile(99) - without.percentile(99));
            Row::new(
                &format!("added by `[hold]` to {what} with a text never seen: median and 99th percentile"),
                &format!("≤ {} ms and ≤ {} ms", HELD.0, HELD.1),
                format!(
                    "{median:.2} ms to {:.2} ms, and {slow:.2} ms to {:.2} ms",
                    without.median(),
                    without.percentile(99)
                ),
                median <= HELD.0 && slow <= HELD.1,
            )
        })
        .collect()
}
