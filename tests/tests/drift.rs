//! Whether a script came with the image or was written at run time.

#![allow(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

use end_to_end::{Container, Found, Rootfs, Runc, Urva, privileged, variant};
use std::time::Duration;

const SAMPLE: &str = "malicious.reverse-shell.py";

fn text(case: &str) -> String {
    variant(SAMPLE, case).unwrap()
}

fn container(place: &str) -> Container {
    Runc::container(&Rootfs::debian().unwrap())
        .image_file("/opt/image.py", text(&format!("{place} image")))
        .image_file("/opt/changed.py", "pass\n")
        .layer_file("/opt/layer.py", text(&format!("{place} layer")))
        .volume("/data", &[("volume.py", &text(&format!("{place} volume")))])
        .tmpfs("/memory")
        .start()
        .unwrap()
}

/// Runs the command and expects a finding of this drift, whose description has these words.
fn check(
    urva: &Urva,
    container: &Container,
    command: &[&str],
    text: &str,
    drift: &str,
    words: &str,
) -> Found {
    container.exec_as((0, 0), command, text.as_bytes()).unwrap();
    let is_wanted = |found: &Found| found.contents() == text;
    let found = urva.wait_for_finding(container.id(), Duration::from_secs(5), is_wanted).unwrap();
    assert_eq!(found.property("Drift"), drift, "{command:?}: {}", found.property("Drift_Description"));
    let description = found.property("Drift_Description");
    assert!(description.contains(words), "{command:?}: {description:?} lacks {words:?}");
    found
}

#[test]
fn a_finding_says_where_its_script_came_from() {
    if !privileged() {
        return;
    }
    let urva = Urva::start().unwrap();
    let container = container("drift");
    let run = |path: &'static str| ["python3", path];
    let check = |command: &[&str], text: &str, drift: &str, words: &str| {
        check(&urva, &container, command, text, drift, words)
    };
    check(&run("/opt/image.py"), &text("drift image"), "IMAGE", "came with the image");
    check(&run("/opt/layer.py"), &text("drift layer"), "WRITABLE_LAYER", "at run time");
    check(&run("/data/volume.py"), &text("drift volume"), "VOLUME", "/data");

    container.write_file("/opt/later.py", text("drift later")).unwrap();
    check(&run("/opt/later.py"), &text("drift later"), "WRITABLE_LAYER", "at run time");

    // A file of the image that is written to is no longer the image's.
    let write = ["sh", "-c", "cat > /opt/changed.py; exec python3 /opt/changed.py"];
    check(&write, &text("drift changed"), "WRITABLE_LAYER", "at run time");

    for folder in ["/memory", "/dev/shm"] {
        let line = format!("cat > {folder}/x.py; exec python3 {folder}/x.py");
        check(&["sh", "-c", &line], &text(&format!("drift {folder}")), "MEMORY", "in memory only");
    }
    let write = ["sh", "-c", "cat > /data/new.py; exec python3 /data/new.py"];
    check(&write, &text("drift new on volume"), "VOLUME", "/data");

    check(&["python3", "-c", &text("drift inline")], &text("drift inline"), "NOT_A_FILE", "command line");
}

/// Puts its standard input into a memfd, which lasts until the interpreter has opened it, and executes it.
const FROM_MEMORY: &str = "import os, sys\n\
    fd = os.memfd_create('x', 0)\n\
    os.write(fd, sys.stdin.buffer.read())\n\
    os.lseek(fd, 0, 0)\n";

#[test]
fn a_script_that_never_had_a_file_is_read_from_memory() {
    if !privileged() {
        return;
    }
    let urva = Urva::start().unwrap();
    let container = container("memfd");
    let by_path = format!("{FROM_MEMORY}os.execvp('python3', ['python3', '/proc/self/fd/%d' % fd])\n");
    let found =
        check(&urva, &container, &["python3", "-c", &by_path], &text("memfd path"), "MEMORY", "memory");
    assert!(found.path().unwrap().starts_with("/proc/self/fd/"), "{:?}", found.path());

    // The kernel itself opens it here and hands the interpreter `/proc/self/fd/N`.
    let with_line = format!("#!/usr/bin/python3\n{}", text("memfd shebang"));
    let by_fd = format!("{FROM_MEMORY}os.execve(fd, ['x'], os.environ)\n");
    let found = check(&urva, &container, &["python3", "-c", &by_fd], &with_line, "MEMORY", "memory");
    assert!(found.path().unwrap().starts_with("/dev/fd/"), "{:?}", found.path());
}
