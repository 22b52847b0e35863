//! Whoever stops, kills or blinds a process of urva is noticed within five seconds, and leaves a finding.

#![allow(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

use end_to_end::{Rootfs, Runc, Urva, check_with_official_library, privileged_and_alone, variant};
use std::fs;
use std::process::Command;
use std::time::Duration;

/// It is noticed within 5 s; until it is on disk a machine that is busy with other tests may take longer.
const WITHIN: Duration = Duration::from_secs(12);
const CATEGORY: &str = "Defense Evasion: Detection Impaired";

fn kill(signal: &str, pid: i32) {
    let status = Command::new("kill").args([signal, &pid.to_string()]).status().unwrap();
    assert!(status.success(), "kill {signal} {pid}");
}

/// Does something to urva, and expects a finding of this kind whose description has these words; afterwards scripts are
/// found as before.
#[track_caller]
fn check(kind: &str, words: &str, disturb: impl FnOnce(&Urva)) {
    let urva = Urva::start().unwrap();
    assert!(urva.site().findings("").unwrap().iter().all(|found| found.category() != CATEGORY));
    disturb(&urva);
    let found = urva
        .wait_for_finding("", WITHIN, |found| {
            found.category() == CATEGORY && found.property("Gap_Kind") == kind
        })
        .unwrap();
    assert!(found.property("Gap_Description").contains(words), "{:#}", found.0);
    check_with_official_library(std::slice::from_ref(&found)).unwrap();

    let container = Runc::container(&Rootfs::busybox().unwrap()).start().unwrap();
    let text = variant("malicious.miner.sh", kind).unwrap();
    for _ in 0..10 {
        container.exec(["sh", "-c", &text]).unwrap();
        if urva.wait_for_finding(container.id(), Duration::from_secs(1), |_| true).is_ok() {
            break;
        }
    }
    urva.wait_for_finding(container.id(), WITHIN, |_| true).unwrap();
    urva.stop().unwrap();
}

#[test]
fn a_sensor_that_is_stopped_is_noticed_and_goes_on() {
    let Some(_alone) = privileged_and_alone() else { return };
    check("PROCESS_STOPPED", "the sensor (process", |urva| kill("-STOP", urva.process("sensor").unwrap()));
}

#[test]
fn a_detector_that_is_stopped_is_noticed_and_goes_on() {
    let Some(_alone) = privileged_and_alone() else { return };
    check("PROCESS_STOPPED", "the detector (process", |urva| {
        kill("-STOP", urva.process("detector").unwrap())
    });
}

#[test]
fn a_supervisor_that_is_stopped_is_noticed_and_goes_on() {
    let Some(_alone) = privileged_and_alone() else { return };
    check("PROCESS_STOPPED", "the supervisor (process", |urva| kill("-STOP", urva.pid()));
}

#[test]
fn a_sensor_or_detector_that_is_killed_is_a_finding() {
    let Some(_alone) = privileged_and_alone() else { return };
    check("SENSOR_RESTARTED", "signal: 9", |urva| kill("-KILL", urva.process("sensor").unwrap()));
    check("DETECTOR_RESTARTED", "signal: 9", |urva| kill("-KILL", urva.process("detector").unwrap()));
}

#[test]
fn a_supervisor_that_is_killed_is_a_finding_at_once_and_at_the_next_start() {
    let Some(_alone) = privileged_and_alone() else { return };
    let urva = Urva::start().unwrap();
    let site = urva.site().clone();
    urva.kill().unwrap();
    let kinds = || {
        let found = site.findings("").unwrap();
        found.iter().map(|found| found.property("Gap_Kind")).collect::<Vec<_>>()
    };
    for _ in 0..100 {
        if kinds() == ["SUPERVISOR_ENDED"] {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(kinds(), ["SUPERVISOR_ENDED"], "{}", site.log());
    let urva = site.start().unwrap();
    assert_eq!(kinds(), ["KILLED", "SUPERVISOR_ENDED"]);
    urva.stop().unwrap();
    site.start().unwrap().stop().unwrap();
    assert_eq!(kinds().len(), 2, "a stop in order is no finding");
}

#[test]
#[cfg(target_arch = "x86_64")]
fn a_probe_that_is_removed_is_noticed_and_comes_back() {
    let Some(_alone) = privileged_and_alone() else { return };
    check("PROBE_REMOVED", "somebody removed it", |urva| {
        let folder = urva.site().scratch().unwrap();
        let (source, program) = (folder.join("close.c"), folder.join("close"));
        fs::write(&source, include_str!("impaired/close.c")).unwrap();
        let compiled = Command::new("gcc").arg("-o").arg(&program).arg(&source).status().unwrap();
        assert!(compiled.success());
        let sensor = urva.process("sensor").unwrap();
        let links = links_of(sensor);
        assert!(!links.is_empty(), "the sensor has no link to the tracepoint");
        for link in links {
            let closed = Command::new(&program).args([sensor.to_string(), link]).status().unwrap();
            assert!(closed.success());
        }
    });
}

/// Descriptors that keep a program attached to a tracepoint.
fn links_of(pid: i32) -> Vec<String> {
    let is_link = |descriptor: &String| {
        let info = fs::read_to_string(format!("/proc/{pid}/fdinfo/{descriptor}")).unwrap_or_default();
        info.contains("link_type:\traw_tracepoint") || info.contains("link_type:\ttracing")
    };
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    descriptors.map(|entry| entry.file_name().to_string_lossy().into_owned()).filter(is_link).collect()
}
