//! Text that comes over a pipe or is typed: it is not captured, and urva says so rather than nothing. A file on standard
//! input is read.

#![allow(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod record;

use end_to_end::{Rootfs, Runc, Urva, privileged, sample};

#[test]
fn standard_input_and_prompts_are_counted_as_not_captured() {
    if !privileged() {
        return;
    }
    let urva = Urva::start().unwrap();
    let container = Runc::container(&Rootfs::debian().unwrap()).start().unwrap();
    let (python, shell) = (sample("malicious.cron.py").unwrap(), sample("malicious.token-theft.sh").unwrap());
    let run = |args: &[&str], input: &str| {
        let done = container.exec_as((0, 0), args, input.as_bytes()).unwrap();
        println!("{args:?}: {done:?}");
    };
    run(&["python3"], &python);
    run(&["python3", "-"], &python);
    run(&["sh", "-s", "first"], &shell);
    run(&["bash"], &shell);
    // `script` gives what it runs a terminal.
    run(&["script", "--quiet", "--return", "--command", "exec bash --norc -i", "/dev/null"], "exit 0\n");
    run(&["script", "--quiet", "--return", "--command", "exec python3 -q", "/dev/null"], "exit()\n");

    let site = urva.site().clone();
    let id = container.id().to_owned();
    urva.stop().unwrap();
    let counters = record::latest_run(&site).counters;
    assert!(counters.not_captured >= 6, "{counters:?}");
    assert!(counters.judged >= 2, "the two command lines that lead there: {counters:?}");
    assert!(site.findings(&id).unwrap().is_empty());
}

#[test]
fn a_file_on_standard_input_is_read() {
    if !privileged() {
        return;
    }
    let urva = Urva::shared().unwrap();
    let container = Runc::container(&Rootfs::debian().unwrap()).start().unwrap();
    let shell = sample("malicious.token-theft.sh").unwrap();
    container.write_file("/opt/input.sh", &shell).unwrap();
    container.exec_as((0, 0), ["dash", "-c", "exec bash < /opt/input.sh"], b"").unwrap();

    let limit = std::time::Duration::from_secs(10);
    let found = urva
        .wait_for_finding(container.id(), limit, |found| found.property("Script_Kind") == "STDIN")
        .unwrap();
    assert_eq!(found.contents(), shell);
    assert_eq!(found.path(), None, "what is redirected has no path");
}
