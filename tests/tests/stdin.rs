//! Text that comes over standard input: through pipes, FIFOs, sockets, terminals, at once or bit by bit. A file on
//! standard input is read as files are.

#![allow(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod record;

use end_to_end::{Container, Found, Rootfs, Runc, Urva, privileged, sample, variant};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(20);

fn debian() -> Container {
    Runc::container(&Rootfs::debian().unwrap()).start().unwrap()
}

/// How often a short script may be faster than urva on a machine whose processors are busy with other tests.
const TRIES: usize = 5;

/// Runs a program with a text on standard input, which is a pipe; the finding must show the text whole.
#[track_caller]
fn check(container: &Container, args: &[&str], text: &str) -> Found {
    let urva = Urva::shared().unwrap();
    let is_it = |found: &Found| is_streamed(found) && found.contents() == text;
    let attempt = |_| {
        let done = container.exec_as((0, 0), args, text.as_bytes()).unwrap();
        println!("{args:?}: {done:?}");
        urva.wait_for_finding(container.id(), LIMIT / 5, is_it).inspect_err(|error| println!("{error}")).ok()
    };
    let found = (0..TRIES).find_map(attempt).unwrap();
    assert_eq!(found.path(), None, "what is piped has no path");
    found
}

fn is_streamed(found: &Found) -> bool {
    ["STDIN", "INTERACTIVE"].contains(&&*found.property("Script_Kind"))
}

/// What [`check_led`] does, in a container of Debian 12.
#[track_caller]
fn check_led(text: &str, command: &str) -> Found {
    check_led_in(&Rootfs::debian().unwrap(), text, command)
}

/// Has a shell in a container run a command that leads the file `/opt/input` into an interpreter, bit by bit or in
/// another odd way; the finding must show all of it.
#[track_caller]
fn check_led_in(rootfs: &Rootfs, text: &str, command: &str) -> Found {
    let urva = Urva::shared().unwrap();
    // What comes some time after the start is seen however busy the machine is.
    let command = command.replace("cat /opt/input", "{ sleep 0.5; cat /opt/input; }");
    let is_it = |found: &Found| is_streamed(found) && found.contents() == text;
    let attempt = |_| {
        let container = Runc::container(rootfs).start().unwrap();
        container.write_file("/opt/input", text).unwrap();
        let done = container.exec(["bash", "-c", &command]).unwrap();
        println!("{command}: {done:?}");
        let found = urva.wait_for_finding(container.id(), LIMIT / 4, is_it).ok()?;
        let all = urva.site().findings(container.id()).unwrap();
        assert_eq!(
            all.iter().filter(|found| is_streamed(found)).count(),
            1,
            "one execution, one finding: {all:#?}"
        );
        Some(found)
    };
    (0..TRIES).find_map(attempt).unwrap()
}

#[test]
fn what_is_piped_into_an_interpreter_is_found() {
    if !privileged() {
        return;
    }
    let _urva = Urva::shared().unwrap();
    let container = debian();
    for args in [&["python3"][..], &["python3", "-"], &["python3", "-u", "-", "first"]] {
        check(&container, args, &variant("malicious.cron.py", &args.join(" ")).unwrap());
    }
    for args in [&["sh"][..], &["dash", "-s", "first"], &["bash"], &["bash", "-s"], &["sh", "-e"]] {
        check(&container, args, &variant("malicious.token-theft.sh", &args.join(" ")).unwrap());
    }
}

#[test]
fn what_is_piped_into_busybox_is_found() {
    if !privileged() {
        return;
    }
    let _urva = Urva::shared().unwrap();
    let container = Runc::container(&Rootfs::busybox().unwrap()).start().unwrap();
    for args in [&["sh"][..], &["busybox", "ash", "-s"]] {
        check(&container, args, &variant("malicious.token-theft.sh", &args.join(" ")).unwrap());
    }
}

#[test]
fn text_from_a_here_document_a_fifo_or_a_socket_is_found() {
    if !privileged() {
        return;
    }
    let text = variant("malicious.token-theft.sh", "led").unwrap();
    check_led(&text, "sh < <(cat /opt/input)");
    check_led(&text, "bash <<< \"$(cat /opt/input)\"");
    check_led(&text, "mkfifo /tmp/f; (cat /opt/input > /tmp/f) & exec dash < /tmp/f");
    check_led(
        &text,
        "exec python3 -c 'import socket, subprocess\n\
         ours, theirs = socket.socketpair()\n\
         child = subprocess.Popen([\"sh\"], stdin=theirs)\n\
         ours.sendall(open(\"/opt/input\", \"rb\").read())\n\
         ours.close(); theirs.close(); child.wait()'",
    );
}

#[test]
fn text_that_comes_slowly_or_in_small_pieces_is_one_finding() {
    if !privileged() {
        return;
    }
    let text = variant("malicious.token-theft.sh", "bit by bit").unwrap();
    check_led(
        &text,
        "(while IFS= read -r line; do printf '%s\\n' \"$line\"; sleep 0.2; done < /opt/input) | bash",
    );
    check_led(&text, "dd if=/opt/input bs=1 | sh");
    check_led(&text, "(cat /opt/input; sleep 1) | dash");
    let python = variant("malicious.cron.py", "bit by bit").unwrap();
    check_led(
        &python,
        "(while IFS= read -r line; do printf '%s\\n' \"$line\"; sleep 0.1; done < /opt/input) | python3 -",
    );
}

#[test]
fn what_comes_slowly_is_seen_with_older_and_newer_c_libraries() {
    if !privileged() {
        return;
    }
    let shell = variant("malicious.token-theft.sh", "line by line").unwrap();
    let python = variant("malicious.cron.py", "line by line").unwrap();
    let slowly =
        "sleep 0.5; while IFS= read -r line; do printf '%s\\n' \"$line\"; sleep 0.1; done < /opt/input";
    for rootfs in [Rootfs::bullseye().unwrap(), Rootfs::trixie().unwrap(), Rootfs::sid().unwrap()] {
        for (interpreter, text) in [("bash", &shell), ("dash", &shell), ("python3 -", &python)] {
            let found = check_led_in(&rootfs, text, &format!("({slowly}) | {interpreter}"));
            assert!(
                !found.coverage().contains("parts of standard input"),
                "{interpreter}: {}",
                found.coverage()
            );
        }
    }
}

#[test]
fn a_benign_beginning_does_not_hide_what_follows() {
    if !privileged() {
        return;
    }
    let (benign, malicious) =
        (sample("benign.health.sh").unwrap(), sample("malicious.token-theft.sh").unwrap());
    let text = format!("{}\n{malicious}", benign.trim_end());
    let lines = benign.trim_end().lines().count();
    let command = format!("(head -n {lines} /opt/input; sleep 1; tail -n +{} /opt/input) | sh", lines + 1);
    check_led(&text, &command);
}

#[test]
fn one_execution_is_one_finding_though_its_code_is_seen_as_well() {
    if !privileged() {
        return;
    }
    let container = debian();
    // The interpreter is attached to when its first process is seen.
    for _ in 0..2 {
        container.exec(["python3", "-c", "pass"]).unwrap();
    }
    let urva = Urva::shared().unwrap();
    let text = variant("malicious.reverse-shell.py", "told once").unwrap();
    container.write_file("/opt/input", &text).unwrap();
    for pause in ["0.2", "2"] {
        let line = format!("(sleep {pause}; cat /opt/input) | python3 -");
        container.exec(["bash", "-c", &line]).unwrap();
    }
    let all = urva.wait_for_finding(container.id(), LIMIT, |found| found.count() == "2").unwrap();
    assert_eq!(all.contents(), text);
    let findings = urva.site().findings(container.id()).unwrap();
    assert_eq!(findings.len(), 1, "{findings:#?}");
}

#[test]
fn of_fifty_mebibytes_head_and_tail_are_judged() {
    if !privileged() {
        return;
    }
    let urva = Urva::shared().unwrap();
    let container = debian();
    let text = sample("malicious.token-theft.sh").unwrap();
    container.write_file("/opt/input", &text).unwrap();
    let padding = "yes '# nothing to see here, only a comment of some length' | head -c 52428800";
    let command = format!("({padding}; echo; cat /opt/input) | sh");
    container.exec(["bash", "-c", &command]).unwrap();
    let is_it = |found: &Found| is_streamed(found) && found.coverage().contains("head and tail");
    let found = urva.wait_for_finding(container.id(), LIMIT * 3, is_it).unwrap();
    assert!(found.property("Script_Size").parse::<u64>().unwrap_or(52_428_800) >= 52_428_800);
}

#[test]
fn what_is_typed_at_a_prompt_is_found() {
    if !privileged() {
        return;
    }
    let urva = Urva::shared().unwrap();
    let container = debian();
    let text = sample("malicious.token-theft.sh").unwrap();
    // `script` gives what it runs a terminal.
    let command = "exec bash --norc --noediting -i";
    let args = ["script", "--quiet", "--return", "--command", command, "/dev/null"];
    container.exec_as((0, 0), args, format!("{text}\nexit 0\n").as_bytes()).unwrap();
    let is_typed = |found: &Found| found.property("Script_Kind") == "INTERACTIVE";
    let found = urva.wait_for_finding(container.id(), LIMIT, is_typed).unwrap();
    assert!(found.contents().contains(text.lines().last().unwrap()), "{}", found.contents());
}

#[test]
fn benign_twins_are_captured_and_lead_to_nothing() {
    if !privileged() {
        return;
    }
    let urva = Urva::start().unwrap();
    let container = debian();
    let mut count = 0;
    for (args, name) in [
        (&["python3"][..], "benign.report.py"),
        (&["python3", "-"], "benign.settings.py"),
        (&["sh"], "benign.count.sh"),
        (&["bash", "-s"], "benign.health.sh"),
    ] {
        container.exec_as((0, 0), args, sample(name).unwrap().as_bytes()).unwrap();
        count += 1;
    }
    let site = urva.site().clone();
    let id = container.id().to_owned();
    urva.stop().unwrap();
    // The counters are those of the host: other tests have containers too.
    let counters = record::latest_run(&site).counters;
    assert!(counters.judged >= count, "{counters:?}");
    assert!(site.findings(&id).unwrap().is_empty());
}

#[test]
fn a_file_on_standard_input_is_read() {
    if !privileged() {
        return;
    }
    let urva = Urva::shared().unwrap();
    let container = debian();
    // A shell that is at its end before its file is read is another case, and a race.
    let shell = format!("{}sleep 2\n", sample("malicious.token-theft.sh").unwrap());
    container.write_file("/opt/input.sh", &shell).unwrap();
    container.exec_as((0, 0), ["dash", "-c", "exec bash < /opt/input.sh"], b"").unwrap();

    let found = urva
        .wait_for_finding(container.id(), LIMIT, |found| found.property("Script_Kind") == "STDIN")
        .unwrap();
    assert_eq!(found.contents(), shell);
    assert_eq!(found.path(), None, "what is redirected has no path");
}
