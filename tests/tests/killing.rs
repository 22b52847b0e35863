//! `kill -9` of any process of urva at any moment: no finding that was shown is lost, the database is whole, each
//! interruption is on record, and urva works on.

#![allow(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod record;

use end_to_end::{Container, Rootfs, Runc, Site, Urva, privileged, variant};
use serde_json::Value;
use std::collections::BTreeSet;
use std::process::Command;
use std::thread;
use std::time::Duration;

const ROUNDS: usize = 24;
const WITHIN: Duration = Duration::from_secs(10);

/// Numbers that look random and are the same in each run (xorshift).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// Names of the findings that were shown whole. What a killed process was about to write may be cut.
fn shown(site: &Site) -> BTreeSet<String> {
    let output = site.output();
    let whole = output.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    whole.map(|result| result["finding"]["name"].as_str().unwrap().to_owned()).collect()
}

/// Keeps starting malicious scripts, each with a text of its own, in a container.
fn start_attacking() -> Container {
    let text = variant("malicious.miner.sh", "attack").unwrap();
    let line = "i=0; while :; do i=$((i+1)); sh -c \"$0\n# $i\" 2>/dev/null; sleep 0.02; done";
    let container = Runc::container(&Rootfs::busybox().unwrap());
    container.args(["sh", "-c", line, &text]).start().unwrap()
}

#[test]
fn killing_any_process_at_any_moment_loses_nothing_that_was_shown() {
    if !privileged() {
        return;
    }
    let site = Site::new().unwrap();
    let mut urva = site.start().unwrap();
    let containers = [start_attacking(), start_attacking()];
    let mut dice = Dice(0x7572_7661);
    let mut killed = [0; 3];
    for round in 0..ROUNDS {
        thread::sleep(Duration::from_millis(dice.roll(250)));
        // urva waits longer and longer before it restarts what crashes again and again; a new start does not.
        let victim = if round % 4 == 3 { 2 } else { dice.roll(2) };
        killed[usize::try_from(victim).unwrap()] += 1;
        if victim == 2 {
            urva.kill().unwrap();
            // The next one dies while it starts, at a moment of its own.
            site.start_and_kill(Duration::from_millis(dice.roll(400))).unwrap();
            urva = site.start().unwrap_or_else(|error| panic!("round {round}: {error:#}"));
            continue;
        }
        // It may be between two lives of that process.
        let role = ["sensor", "detector"][usize::try_from(victim).unwrap()];
        if let Ok(pid) = urva.process(role) {
            kill(pid);
        }
    }
    println!("killed: sensor, detector, supervisor {killed:?} times");
    works_on(&urva, "after the last kill");
    drop(containers);
    // What one process was about to tell dies with it where the next kill comes at once; so, one by one.
    for role in ["sensor", "detector"] {
        kill(urva.process(role).unwrap());
        works_on(&urva, role);
    }
    urva.stop().unwrap();

    let stored: BTreeSet<String> = site
        .findings("")
        .unwrap()
        .iter()
        .map(|found| found.0["finding"]["name"].as_str().unwrap().to_owned())
        .collect();
    let shown = shown(&site);
    println!("{} findings were shown, {} are stored", shown.len(), stored.len());
    assert!(shown.len() > 20, "too little happened: {}", site.log());
    let lost: Vec<_> = shown.difference(&stored).collect();
    assert!(lost.is_empty(), "{} findings were shown and are lost: {lost:?}", lost.len());
    assert_eq!(integrity(&site), "ok");
    let kinds: BTreeSet<&str> = record::gaps(&site).iter().map(|gap| gap.kind.as_str()).collect();
    for kind in ["SENSOR_RESTARTED", "DETECTOR_RESTARTED", "SUPERVISOR_ENDED"] {
        assert!(kinds.contains(kind), "{kind} is not on record: {kinds:?}");
    }
}

#[test]
fn a_detector_that_is_killed_loses_nothing_at_all() {
    if !privileged() {
        return;
    }
    let urva = Urva::start().unwrap();
    let site = urva.site().clone();
    let container = Runc::container(&Rootfs::busybox().unwrap()).start().unwrap();
    let text = variant("malicious.miner.sh", "again and again").unwrap();
    let line = "for i in $(seq 100); do sh -c \"$0\n# $i\" 2>/dev/null; sleep 0.02; done";
    let mut restarts = 0;
    thread::scope(|scope| {
        let attack = scope.spawn(|| container.exec(["sh", "-c", line, &text]).unwrap());
        while !attack.is_finished() && restarts < 4 {
            thread::sleep(Duration::from_millis(300));
            if let Ok(pid) = urva.process("detector") {
                kill(pid);
                restarts += 1;
            }
        }
    });
    let found = urva.wait_for_findings(container.id(), 100, WITHIN).unwrap();
    assert_eq!(found.len(), 100, "{restarts} restarts: {}", site.log());
    assert!(found.iter().all(|found| found.count() == "1"), "none is counted twice");
    urva.stop().unwrap();
    let recorded = record::gaps(&site);
    // One that was recorded but not acknowledged when the next kill came is recorded again, as it was.
    let restarted: BTreeSet<u64> = recorded
        .iter()
        .filter(|gap| gap.kind.as_str() == "DETECTOR_RESTARTED")
        .map(|gap| gap.from.0)
        .collect();
    assert_eq!(restarted.len(), restarts, "{recorded:?}");
    assert!(recorded.iter().all(|gap| gap.lost.unwrap_or(0) == 0), "{recorded:?}");
}

fn kill(pid: i32) {
    // It may have ended by itself in between.
    let _ = Command::new("kill").args(["-KILL", &pid.to_string()]).status();
}

/// Whether urva finds a malicious script, at the latest once its processes are back.
fn works_on(urva: &Urva, case: &str) {
    let container = Runc::container(&Rootfs::busybox().unwrap()).start().unwrap();
    let text = variant("malicious.token-theft.sh", case).unwrap();
    // While the sensor is on its way back nothing is seen.
    for _ in 0..20 {
        container.exec(["sh", "-c", &text]).unwrap();
        if urva.wait_for_finding(container.id(), Duration::from_millis(500), |_| true).is_ok() {
            return;
        }
    }
    urva.wait_for_finding(container.id(), WITHIN, |_| true).unwrap();
}

fn integrity(site: &Site) -> String {
    let program = "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute('PRAGMA integrity_check').fetchone()[0])";
    let done = Command::new("/usr/bin/python3").args(["-c", program]).arg(site.database()).output().unwrap();
    String::from_utf8(done.stdout).unwrap().trim_end().to_owned()
}
