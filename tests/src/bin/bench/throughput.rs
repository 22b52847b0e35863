//! How much slower other programs get: loops with urva, beside a process that does nothing, and alone, in turn.

use crate::figures::{Row, Spread};
use crate::load::{Done, Load};
use crate::machine;
use crate::urva::{Program, Urva};
use anyhow::Result;
use std::process::{Child, Command};
use std::thread;
use std::time::Duration;

const LIMIT: f64 = 0.98;
/// After a start: what runs already has been looked at by then.
const SETTLE: Duration = Duration::from_millis(500);

/// What runs beside the loops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beside {
    Nothing,
    Sleeper,
    Urva,
}

/// One loop.
struct Loop<'a> {
    what: String,
    run: Box<dyn Fn() -> Result<Done> + 'a>,
    /// Ratios to the loop alone, of each round.
    sleeper: Vec<f64>,
    urva: Vec<f64>,
}

/// Ended when dropped.
enum Running {
    Nothing,
    Sleeper(Child),
    Urva(Box<Urva>),
}

pub(crate) fn measure(program: &Program, load: &Load, time: Duration, rounds: usize) -> Result<Vec<Row>> {
    let mut loops = loops(load, time);
    for entry in &loops {
        (entry.run)()?;
    }
    for round in 0..rounds {
        // Each takes each place, so that a machine that gets slower or faster does not favour one.
        let mut order = [Beside::Nothing, Beside::Sleeper, Beside::Urva];
        order.rotate_left(round % 3);
        let mut rates = vec![[0.0; 3]; loops.len()];
        for beside in order {
            let running = Running::start(beside, program)?;
            thread::sleep(SETTLE);
            for (entry, rates) in loops.iter().zip(&mut rates) {
                rates[beside as usize] = (entry.run)()?.per_second();
            }
            running.end()?;
        }
        for (entry, [alone, sleeper, urva]) in loops.iter_mut().zip(rates) {
            entry.sleeper.push(sleeper / alone);
            entry.urva.push(urva / alone);
        }
    }
    Ok(loops.into_iter().map(row).collect())
}

fn loops(load: &Load, time: Duration) -> Vec<Loop<'_>> {
    let milliseconds = time.as_millis().to_string();
    let cores = machine::cores();
    let entry = |what: String, run| Loop { what, run, sleeper: Vec::new(), urva: Vec::new() };
    let calls = |kind: &'static str| {
        let milliseconds = milliseconds.clone();
        Box::new(move || load.on_host([kind, &milliseconds])) as Box<dyn Fn() -> Result<Done>>
    };
    vec![
        entry(
            format!("fork and exec of /bin/true on {cores} cores"),
            Box::new(move || load.loop_on_host(time, cores, &["/bin/true"])),
        ),
        entry(
            format!("`python3 -c pass` in a container on {cores} cores"),
            Box::new(move || load.loop_in_container(time, cores, &["/usr/bin/python3", "-c", "pass"])),
        ),
        entry("reads of one byte".to_owned(), calls("read")),
        entry("getppid".to_owned(), calls("getppid")),
    ]
}

impl Running {
    fn start(beside: Beside, program: &Program) -> Result<Self> {
        Ok(match beside {
            Beside::Nothing => Self::Nothing,
            Beside::Sleeper => Self::Sleeper(Command::new("sleep").arg("3600").spawn()?),
            Beside::Urva => Self::Urva(Box::new(program.start()?)),
        })
    }

    fn end(self) -> Result<()> {
        match self {
            Self::Nothing => {}
            Self::Sleeper(mut child) => {
                child.kill()?;
                child.wait()?;
            }
            Self::Urva(urva) => {
                urva.stop()?;
            }
        }
        Ok(())
    }
}

fn row(measured: Loop<'_>) -> Row {
    let (floor, urva) = (Spread::of(measured.sleeper), Spread::of(measured.urva));
    // A process that does nothing gets this little in the worse quarter of the rounds.
    let holds = urva.median() >= LIMIT.min(floor.percentile(25));
    let what = format!("speed beside urva of: {}", measured.what);
    Row::new(&what, "≥ 0.98 or the noise floor", format!("{urva}; floor {floor}"), holds)
}
