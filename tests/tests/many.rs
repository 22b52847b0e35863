//! Many containers, containers that come and go, and the same script again.

#![allow(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

use end_to_end::{Found, Rootfs, Runc, Urva, privileged, variant};
use std::thread;
use std::time::Duration;

const WITHIN: Duration = Duration::from_secs(10);

#[test]
fn twenty_containers_at_once_have_a_finding_each() {
    if !privileged() {
        return;
    }
    let urva = Urva::shared().unwrap();
    let debian = Rootfs::debian().unwrap();
    let text = variant("malicious.token-theft.py", "twenty").unwrap();
    let run = || Runc::container(&debian).args(["python3", "-c", &text]).run().unwrap().container;
    let ids: Vec<String> = thread::scope(|scope| {
        let threads: Vec<_> = (0..20).map(|_| scope.spawn(run)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for id in ids {
        let found = urva.wait_for_findings(&id, 1, WITHIN).unwrap();
        assert_eq!(found.len(), 1, "container {id}");
        assert_eq!((found[0].contents(), found[0].count().as_str()), (text.as_str(), "1"));
    }
}

#[test]
fn the_same_script_again_is_counted_and_elsewhere_is_another_finding() {
    if !privileged() {
        return;
    }
    let urva = Urva::shared().unwrap();
    let debian = Rootfs::debian().unwrap();
    let text = variant("malicious.miner.sh", "again").unwrap();
    let (one, other) = (Runc::container(&debian).start().unwrap(), Runc::container(&debian).start().unwrap());
    for _ in 0..3 {
        one.exec(["sh", "-c", &text]).unwrap();
    }
    other.exec(["sh", "-c", &text]).unwrap();

    let first = urva.wait_for_finding(one.id(), WITHIN, |found| found.count() == "3").unwrap();
    let second = urva.wait_for_finding(other.id(), WITHIN, |_| true).unwrap();
    assert_eq!(second.count(), "1");
    assert_ne!(first.0["finding"]["name"], second.0["finding"]["name"]);
    assert_eq!(first.property("Script_SHA256"), second.property("Script_SHA256"));
    assert!(first.property("First_Seen") < first.property("Last_Seen"));
    assert_eq!(urva.site().findings(one.id()).unwrap().len(), 1);

    // What `urva run --format json` has said of it since is the same finding, and not one of its own.
    let name = first.0["finding"]["name"].as_str().unwrap();
    let said: Vec<serde_json::Value> =
        urva.site().output().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let properties = |result: &serde_json::Value| result["finding"]["sourceProperties"].clone();
    let of_it: Vec<_> = said.iter().filter(|said| properties(said)["Container_Id"] == one.id()).collect();
    assert_eq!(of_it.len(), 3);
    assert!(of_it.iter().all(|one| one["finding"]["name"] == name), "{of_it:#?}");
    assert_eq!(properties(of_it[2])["Execution_Count"], "3");
    assert_eq!(properties(of_it[2])["First_Seen"], properties(of_it[0])["First_Seen"]);
}

#[test]
fn outside_of_the_window_the_same_script_is_a_new_finding() {
    if !privileged() {
        return;
    }
    let urva = Urva::start_with("[findings]\nfold_window = \"0s\"\n").unwrap();
    let container = Runc::container(&Rootfs::debian().unwrap()).start().unwrap();
    let text = variant("malicious.miner.sh", "window").unwrap();
    for _ in 0..2 {
        container.exec(["sh", "-c", &text]).unwrap();
    }
    assert_eq!(urva.wait_for_findings(container.id(), 2, WITHIN).unwrap().len(), 2);
}

#[test]
fn a_container_that_starts_again_is_watched_again() {
    if !privileged() {
        return;
    }
    let urva = Urva::shared().unwrap();
    let debian = Rootfs::debian().unwrap();
    for round in 0..3 {
        let container = Runc::container(&debian).start().unwrap();
        let text = variant("malicious.base64-exec.py", &format!("round {round}")).unwrap();
        container.write_file("/opt/round.py", &text).unwrap();
        container.exec(["python3", "/opt/round.py"]).unwrap();
        let found = urva.wait_for_finding(container.id(), WITHIN, |_| true).unwrap();
        assert_eq!(found.contents(), text);
        container.kill("KILL").unwrap();
        container.delete().unwrap();
    }
}

#[test]
fn a_script_that_runs_before_urva_is_found_by_it() {
    if !privileged() {
        return;
    }
    let container = Runc::container(&Rootfs::debian().unwrap()).start().unwrap();
    let text =
        format!("import time\ntime.sleep(20)\n{}", variant("malicious.reverse-shell.py", "early").unwrap());
    container.write_file("/opt/early.py", &text).unwrap();
    container.exec(["sh", "-c", "setsid python3 /opt/early.py >/dev/null 2>&1 &"]).unwrap();
    let urva = Urva::start().unwrap();
    let found = urva.wait_for_finding(container.id(), WITHIN, |_| true).unwrap();
    assert_eq!((found.contents(), found.path()), (text.as_str(), Some("/opt/early.py")));
    assert!(found.coverage().contains("running before urva began to watch"), "{}", found.coverage());
}

#[test]
fn what_an_interpreter_reads_is_found_though_it_ran_before_urva() {
    if !privileged() {
        return;
    }
    let container = Runc::container(&Rootfs::debian().unwrap()).start().unwrap();
    let text = variant("malicious.reverse-shell.py", "piped").unwrap();
    container.write_file("/opt/input", &text).unwrap();
    container
        .write_file("/opt/early.sh", variant("malicious.token-theft.sh", "early").unwrap() + "\nsleep 60\n")
        .unwrap();
    // The interpreter waits in its first read. The script beside it is younger, so urva looks at it later.
    let waiting = "{ until [ -e /opt/go ]; do sleep 0.1; done; cat /opt/input; } | python3 -";
    container
        .exec([
            "bash",
            "-c",
            &format!("({waiting}) >/dev/null 2>&1 & sleep 1; setsid sh /opt/early.sh >/dev/null 2>&1 &"),
        ])
        .unwrap();
    let urva = Urva::start().unwrap();
    let is_at = |found: &Found, path: Option<&str>| found.path() == path;
    urva.wait_for_finding(container.id(), WITHIN, |found| is_at(found, Some("/opt/early.sh"))).unwrap();
    container.write_file("/opt/go", "").unwrap();
    let found = urva.wait_for_finding(container.id(), WITHIN, |found| is_at(found, None)).unwrap();
    assert_eq!(found.contents(), text);
    for note in ["running before urva began to watch", "the beginning of standard input may be missing"] {
        assert!(found.coverage().contains(note), "{}", found.coverage());
    }
}
