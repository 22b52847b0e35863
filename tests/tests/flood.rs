//! One container executes as fast as it can: scripts of the others are judged all the same, and what was lost is
//! counted for the container that lost it.

#![allow(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod record;

use end_to_end::{Rootfs, Runc, Urva, privileged, variant};
use evidence::{Gap, GapKind};
use std::thread;
use std::time::Duration;

const WITHIN: Duration = Duration::from_secs(20);
/// Seconds for which a container floods.
const SECONDS: u32 = 6;

/// Floods a container with this command, in four shells at a time, each started by `shell`, while another one runs ten malicious scripts. Returns
/// the gaps and the flooding container's id.
#[track_caller]
fn check(shell: &str, command: &str) -> (Vec<Gap>, String) {
    let urva = Urva::start().unwrap();
    let loud = Runc::container(&Rootfs::busybox().unwrap()).tmpfs("/made").start().unwrap();
    let quiet = Runc::container(&Rootfs::busybox().unwrap()).start().unwrap();
    let one =
        format!("end=$(($(date +%s)+{SECONDS})); i=0; while [ $(date +%s) -lt $end ]; do {command}; done");
    let flood = format!("for number in 1 2 3 4; do {shell} -c \"$0\" & done; wait");
    let texts: Vec<String> = (0..10)
        .map(|number| variant("malicious.miner.sh", &format!("beside a flood {number}")).unwrap())
        .collect();
    thread::scope(|scope| {
        scope.spawn(|| loud.exec(["sh", "-c", &flood, &one]).unwrap());
        thread::sleep(Duration::from_secs(1));
        for text in &texts {
            quiet.exec(["sh", "-c", text]).unwrap();
            thread::sleep(Duration::from_millis(200));
        }
    });
    let found = urva.wait_for_findings(quiet.id(), texts.len(), WITHIN).unwrap();
    assert_eq!(found.len(), texts.len(), "{}", urva.site().log());
    let site = urva.site().clone();
    urva.stop().unwrap();
    let gaps = record::gaps(&site);
    let of_quiet: Vec<_> = gaps.iter().filter(|gap| is_of(gap, quiet.id())).collect();
    assert!(of_quiet.is_empty(), "the other container lost something: {of_quiet:?}");
    (gaps, loud.id().to_owned())
}

fn is_of(gap: &Gap, container: &str) -> bool {
    gap.container.as_ref().is_some_and(|found| found.id == container)
}

/// Executions of the container that are counted as lost because its budget was used up.
fn over_budget(gaps: &[Gap], container: &str) -> u64 {
    let of_it = gaps.iter().filter(|gap| is_of(gap, container) && gap.kind == GapKind::OverBudget);
    of_it.filter_map(|gap| gap.lost).sum()
}

#[test]
fn a_flood_of_scripts_blinds_urva_to_no_other_container() {
    if !privileged() {
        return;
    }
    // Eight at a time, so that more are executed than any budget holds.
    let scripts: String = (0..8).map(|one| format!("sh -c \": $i {one}\" & ")).collect();
    let (gaps, loud) = check("sh", &format!("i=$((i+1)); {scripts} wait"));
    assert!(over_budget(&gaps, &loud) > 0, "{gaps:?}");
    let told = gaps.iter().filter(|gap| is_of(gap, &loud)).count();
    assert!(told < 10, "{told} gaps for one flood: {gaps:?}");
}

#[test]
fn a_flood_of_programs_that_were_just_written_blinds_urva_to_no_other_container() {
    if !privileged() {
        return;
    }
    let (gaps, loud) =
        check("sh", "i=$((i+1)); f=/made/$$-$i; cp /bin/busybox $f; $f true x; $f true y; rm $f");
    assert!(gaps.iter().all(|gap| gap.container.as_ref().is_none_or(|found| found.id == loud)), "{gaps:?}");
}

#[test]
fn a_container_that_makes_namespaces_has_one_budget() {
    if !privileged() {
        return;
    }
    // Four budgets would hold all that four shells execute.
    let scripts: String = (0..8).map(|one| format!("sh -c \": $i {one}\" & ")).collect();
    let (gaps, loud) = check("unshare -Ufpmr sh", &format!("i=$((i+1)); {scripts} wait"));
    assert!(over_budget(&gaps, &loud) > 0, "{gaps:?}");
    let others: Vec<_> = gaps.iter().filter(|gap| !is_of(gap, &loud)).collect();
    assert!(others.is_empty(), "{others:?}");
}
