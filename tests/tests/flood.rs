//! One container executes as fast as it can: scripts of the others are judged all the same, and what was lost is
//! counted for the container that lost it. One test at a time: each counts all that its urva sees.

#![allow(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod record;

use end_to_end::{Container, Found, Rootfs, Runc, Urva, privileged_and_alone, variant};
use evidence::{Gap, GapKind};
use std::fs;
use std::thread;
use std::time::Duration;

/// Texts that one process compiles.
const TEXTS: u64 = 100_000;
const WITHIN: Duration = Duration::from_secs(20);
/// Seconds for which a container floods.
const SECONDS: u32 = 6;

/// What a flood left behind.
struct Flood {
    gaps: Vec<Gap>,
    /// The container that flooded.
    loud: String,
    /// Scripts that it executed, as far as the commands count them in `n`.
    executed: u64,
    /// Executions of all containers that urva captured.
    captured: u64,
}

/// Floods a container with this command, in four shells at a time, each started by `shell`, while another one runs ten
/// malicious scripts, all of which must be found.
#[track_caller]
fn check(shell: &str, command: &str) -> Flood {
    let urva = Urva::start().unwrap();
    let loud = Runc::container(&Rootfs::busybox().unwrap()).tmpfs("/made").start().unwrap();
    let quiet = Runc::container(&Rootfs::busybox().unwrap()).start().unwrap();
    let one = format!(
        "end=$(($(date +%s)+{SECONDS})); n=0; while [ $(date +%s) -lt $end ]; do {command}; done; echo $n"
    );
    let flood = format!("for number in 1 2 3 4; do {shell} -c \"$0\" & done; wait");
    let texts: Vec<String> = (0..10)
        .map(|number| variant("malicious.miner.sh", &format!("beside a flood {number}")).unwrap())
        .collect();
    let done = thread::scope(|scope| {
        let done = scope.spawn(|| loud.exec(["sh", "-c", &flood, &one]).unwrap());
        thread::sleep(Duration::from_secs(1));
        for text in &texts {
            quiet.exec(["sh", "-c", text]).unwrap();
            thread::sleep(Duration::from_millis(200));
        }
        done.join().unwrap()
    });
    let found = urva.wait_for_findings(quiet.id(), texts.len(), WITHIN).unwrap();
    assert_eq!(found.len(), texts.len(), "{}", urva.site().log());
    let site = urva.site().clone();
    urva.stop().unwrap();
    let gaps = record::gaps(&site);
    let of_quiet: Vec<_> = gaps.iter().filter(|gap| is_of(gap, quiet.id())).collect();
    assert!(of_quiet.is_empty(), "the other container lost something: {of_quiet:?}");
    let executed = done.stdout.lines().map(|count| count.parse::<u64>().unwrap()).sum();
    let captured = record::latest_run(&site).counters.captured;
    Flood { gaps, loud: loud.id().to_owned(), executed, captured }
}

fn is_of(gap: &Gap, container: &str) -> bool {
    gap.container.as_ref().is_some_and(|found| found.id == container)
}

/// Executions of the container that are counted as lost.
fn lost(flood: &Flood) -> u64 {
    flood.gaps.iter().filter(|gap| is_of(gap, &flood.loud)).filter_map(|gap| gap.lost).sum()
}

/// What a container may have looked at in this time, and no more: `budget.h` has the numbers.
const BUDGET: u64 = 1000 + 500 * (SECONDS as u64 + 2);

/// Each script is captured or counted as lost, and one budget bounds how many are captured.
#[track_caller]
fn check_count(flood: &Flood) {
    let (executed, accounted) = (flood.executed, flood.captured + lost(flood));
    println!("{executed} executed, {} captured, {} lost", flood.captured, lost(flood));
    assert!(executed > 500, "the flood did not flow");
    // The shells that flood, and the scripts of the other container, are not counted in it.
    assert!((executed..executed + 60).contains(&accounted), "{accounted} of {executed}: {:?}", flood.gaps);
    assert!(flood.captured <= BUDGET, "{} captured", flood.captured);
    assert!(flood.gaps.len() < 10, "too many gaps for one flood: {:?}", flood.gaps);
}

#[test]
fn a_flood_of_scripts_blinds_urva_to_no_other_container() {
    let Some(_alone) = privileged_and_alone() else { return };
    // Sixteen at a time, so that more are executed than a budget holds where the machine is not too busy for it.
    let scripts: String = (0..16).map(|one| format!("sh -c \": $n {one}\" & ")).collect();
    check_count(&check("sh", &format!("n=$((n+16)); {scripts} wait")));
}

#[test]
fn a_flood_of_programs_that_were_just_written_blinds_urva_to_no_other_container() {
    let Some(_alone) = privileged_and_alone() else { return };
    let flood = check("sh", "n=$((n+1)); f=/made/$$-$n; cp /bin/busybox $f; $f true x; $f true y; rm $f");
    let gaps = &flood.gaps;
    assert!(gaps.iter().all(|gap| is_of(gap, &flood.loud)), "{gaps:?}");
    assert!(
        gaps.iter().all(|gap| [GapKind::OverBudget, GapKind::ExecutableGone].contains(&gap.kind)),
        "{gaps:?}"
    );
}

#[test]
fn a_container_that_makes_namespaces_has_one_budget() {
    let Some(_alone) = privileged_and_alone() else { return };
    // Four budgets would hold four times as much.
    let scripts: String = (0..16).map(|one| format!("sh -c \": $n {one}\" & ")).collect();
    check_count(&check("unshare -Ufpmr sh", &format!("n=$((n+16)); {scripts} wait")));
}

/// A process compiles texts without end, each another one; the other container's are judged all the same, and each one is
/// captured or counted as lost.
#[track_caller]
fn check_texts(compile: &[&str]) {
    let urva = Urva::start().unwrap();
    let container = || Runc::container(&Rootfs::debian().unwrap()).start().unwrap();
    let (loud, quiet) = (container(), container());
    // What an interpreter compiles before urva is attached to it is seen by nobody, and counted by nobody.
    for of in [&loud, &quiet] {
        for run in [hidden, hidden_in_bash] {
            let is_attached = |number: &u32| {
                let case = format!("before the flood {number}");
                run(of, &case);
                urva.wait_for_finding(of.id(), Duration::from_secs(5), |found| shows(found, &case)).is_ok()
            };
            (0..10).find(is_attached).unwrap();
        }
    }
    let before = urva.resident(&["sensor", "detector"]).unwrap();
    thread::scope(|scope| {
        let done = scope.spawn(|| loud.exec(compile.iter().copied()).unwrap());
        thread::sleep(Duration::from_millis(300));
        for number in 0..5 {
            hidden(&quiet, &format!("beside a flood of texts {number}"));
            thread::sleep(Duration::from_millis(100));
        }
        assert_eq!(done.join().unwrap().status, 0);
    });
    for number in 0..5 {
        let case = format!("beside a flood of texts {number}");
        urva.wait_for_finding(quiet.id(), WITHIN, |found| shows(found, &case)).unwrap();
    }
    let grown = urva.resident(&["sensor", "detector"]).unwrap().saturating_sub(before);
    println!("sensor and detector have grown by {} MiB", grown / 1024);
    assert!(grown < 256 * 1024, "sensor and detector have grown by {grown} KiB");
    // What comes last is judged last, and is lost itself as long as there is no room.
    let is_through = |number: &u32| {
        let case = format!("after the flood {number}");
        hidden(&loud, &case);
        urva.wait_for_finding(loud.id(), Duration::from_secs(5), |found| shows(found, &case)).is_ok()
    };
    (0..30).find(is_through).unwrap();
    // The record is brought up to date each half minute, and so are gaps.
    let taken = |_| {
        thread::sleep(Duration::from_secs(1));
        let captured = record::latest_run(urva.site()).counters.captured;
        let gaps = record::gaps(urva.site());
        let flood = Flood { gaps, loud: loud.id().to_owned(), executed: TEXTS, captured };
        (captured + lost(&flood) >= TEXTS).then_some(flood)
    };
    let flood = (0..90).find_map(taken).unwrap();
    println!("{} captured, {} lost", flood.captured, lost(&flood));
    let of_quiet: Vec<_> = flood.gaps.iter().filter(|gap| is_of(gap, quiet.id())).collect();
    assert!(of_quiet.is_empty(), "the other container lost something: {of_quiet:?}");
    let accounted = flood.captured + lost(&flood);
    // What runs in other containers meanwhile is counted as well.
    assert!(accounted < TEXTS + TEXTS / 10, "{accounted}: {:?}", flood.gaps);
    let of_loud = flood.gaps.iter().filter(|gap| is_of(gap, loud.id())).count();
    assert!(of_loud < 20, "too many gaps for one flood: {:?}", flood.gaps);
}

/// Runs a malicious text that is nowhere in the script.
fn hidden(container: &Container, case: &str) {
    let text = variant("malicious.reverse-shell.py", case).unwrap();
    let flipped: Vec<u8> = text.bytes().map(|byte| byte ^ 90).collect();
    fs::write(container.root().join("opt/data.bin"), flipped).unwrap();
    let script = format!("exec(bytes(b ^ 90 for b in open('/opt/data.bin', 'rb').read()).decode()) # {case}");
    container.exec(["python3", "-c", &script]).unwrap();
}

/// The same in Bash.
fn hidden_in_bash(container: &Container, case: &str) {
    let text = variant("malicious.token-theft.sh", case).unwrap();
    container.write_file("/opt/data.sh", &text).unwrap();
    container.exec(["bash", "-c", &format!("eval \"$(cat /opt/data.sh)\" # {case}")]).unwrap();
}

/// Whether a layer of the finding is the text of this case.
fn shows(found: &Found, case: &str) -> bool {
    found.property("Runtime_Layers").contains(case)
}

#[test]
fn a_process_that_compiles_100_000_texts_hides_no_other_container() {
    let Some(_alone) = privileged_and_alone() else { return };
    let python = format!("for i in range({TEXTS}): exec(f'x = {{i}}')");
    check_texts(&["python3", "-c", &python]);
    let bash = format!("for ((i = 0; i < {TEXTS}; i++)); do eval \"x=$i\"; done");
    check_texts(&["bash", "-c", &bash]);
}

#[test]
fn a_container_that_pipes_without_end_uses_up_its_own_time_only() {
    let Some(_alone) = privileged_and_alone() else { return };
    let urva = Urva::start().unwrap();
    let container = || Runc::container(&Rootfs::debian().unwrap()).start().unwrap();
    let (loud, quiet) = (container(), container());
    let text = variant("malicious.token-theft.sh", "beside many pipes").unwrap();
    quiet.write_file("/opt/input", &text).unwrap();
    // What is read after half a second is read through probes of the process's own, and the young ones are its own as well.
    let slowly = "(sleep 0.5; cat /opt/input; sleep 0.5) | sh";
    let one = "while [ $SECONDS -lt 12 ]; do sleep 0.05 | sh; done";
    let many = format!("for number in 1 2 3 4; do ({one}) & done; wait");
    thread::scope(|scope| {
        let storm = scope.spawn(|| loud.exec(["bash", "-c", &many]).unwrap());
        thread::sleep(Duration::from_secs(8));
        quiet.exec(["bash", "-c", slowly]).unwrap();
        storm.join().unwrap();
    });
    urva.wait_for_finding(quiet.id(), WITHIN, |found| found.contents() == text).unwrap();
    let site = urva.site().clone();
    urva.stop().unwrap();
    let gaps = record::gaps(&site);
    let is_over = |id: &str| gaps.iter().any(|gap| gap.kind == GapKind::InputOverBudget && is_of(gap, id));
    assert!(is_over(loud.id()), "{gaps:?}");
    assert!(!is_over(quiet.id()), "{gaps:?}");
}
