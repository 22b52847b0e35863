//! Outputs of a real `urva run`: what a container ran is posted and written, and the process that sends may do nothing else, and comes back.

#![allow(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

use end_to_end::{Rootfs, Runc, Site, privileged, variant};
use serde_json::Value;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

const WITHIN: Duration = Duration::from_secs(20);

/// Takes each POST and hands its body over. Nobody hears more than the bodies; the answer is 200.
fn receive() -> (u16, Receiver<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, bodies) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            if let Some(body) = take(stream) {
                let _ = sender.send(body);
            }
        }
    });
    (port, bodies)
}

fn take(mut stream: TcpStream) -> Option<Value> {
    let mut all = Vec::new();
    let mut some = [0; 4096];
    loop {
        let length = stream.read(&mut some).ok().filter(|length| *length > 0)?;
        all.extend_from_slice(&some[..length]);
        let Some(end) = all.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&all[..end]).to_lowercase();
        assert!(head.contains("webhook-signature: v1,"), "{head}");
        let length =
            head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok())?;
        if all.len() >= end + 4 + length {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            return serde_json::from_slice(&all[end + 4..]).ok();
        }
    }
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let is_so_by_then = (0..1000).any(|_| {
        std::thread::sleep(Duration::from_millis(20));
        is_so()
    });
    assert!(is_so_by_then, "{what}");
}

/// A config with a webhook and a file; the file's folder is anybody's to write.
fn config(port: u16, folder: &Path) -> String {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).unwrap();
    // Folders of tests are closed to others.
    for above in folder.ancestors().skip(1).take(2) {
        fs::set_permissions(above, fs::Permissions::from_mode(0o711)).unwrap();
    }
    let secret = folder.join("secret");
    fs::write(&secret, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    format!(
        "[[outputs]]\nname = 'soc'\nurl = 'http://127.0.0.1:{port}/hook'\nsecret_file = '{}'\n\
         [[outputs]]\nname = 'lines'\nkind = 'file'\nformat = 'ecs'\npath = '{}'\n",
        secret.display(),
        folder.join("findings.jsonl").display()
    )
}

fn site() -> (std::sync::Arc<Site>, std::path::PathBuf, Receiver<Value>) {
    let (port, bodies) = receive();
    let site = Site::new().unwrap();
    let folder = site.scratch().unwrap();
    site.configure(&config(port, &folder)).unwrap();
    (site, folder.join("findings.jsonl"), bodies)
}

#[test]
fn what_a_container_ran_is_posted_and_written_and_survives_the_senders_end() {
    if !privileged() {
        return;
    }
    let (site, file, bodies) = site();
    let urva = site.start().unwrap();
    let container = Runc::container(&Rootfs::debian().unwrap()).start().unwrap();
    let run = |name: &str| {
        let text = variant("malicious.reverse-shell.py", name).unwrap();
        container.write_file(&format!("/opt/{name}.py"), &text).unwrap();
        container.exec(["python3", &format!("/opt/{name}.py")]).unwrap();
    };
    run("first");
    let body = bodies.recv_timeout(WITHIN).unwrap();
    assert_eq!(body["event"], "CREATED");
    assert_eq!(body["finding"]["processes"][0]["script"]["path"], "/opt/first.py");
    assert!(body["finding"]["processes"][0]["script"].get("contents").is_none(), "{body:#}");
    let lines = || fs::read_to_string(&file).unwrap_or_default();
    wait_until("nothing was written", || lines().contains("/opt/first.py\""));

    let pid = urva.process("sender").unwrap();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    for line in ["CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"] {
        assert!(status.lines().any(|one| one == line), "{line} is not in\n{status}");
    }
    assert!(!status.lines().any(|line| line.starts_with("Uid:\t0\t")), "{status}");
    Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap();
    run("second");
    let body = bodies.recv_timeout(WITHIN).unwrap();
    assert_eq!(body["finding"]["processes"][0]["script"]["path"], "/opt/second.py");
    wait_until("nothing was written", || lines().contains("/opt/second.py\""));
    assert!(lines().lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{}", lines());

    let states = || {
        let listed = site.command(["outputs", "list", "--format", "json"]).unwrap().output().unwrap();
        let states: Vec<Value> = serde_json::from_slice(&listed.stdout).unwrap();
        states
            .iter()
            .map(|one| (one["sent"].as_u64().unwrap(), one["waiting"].as_u64().unwrap()))
            .collect::<Vec<_>>()
    };
    wait_until("not counted", || states() == [(2, 0), (2, 0)]);
    urva.stop().unwrap();
}

#[test]
fn a_test_is_sent_and_a_refusal_is_told() {
    let (site, _, bodies) = site();
    let done = site.command(["outputs", "test"]).unwrap().output().unwrap();
    assert_eq!(done.status.code(), Some(0), "{}", String::from_utf8_lossy(&done.stderr));
    let body = bodies.recv_timeout(WITHIN).unwrap();
    assert_eq!(body["finding"]["sourceProperties"]["Test"], true);
    let said = String::from_utf8(done.stdout).unwrap();
    assert!(said.starts_with("soc: a test was sent to http://127.0.0.1:"), "{said}");

    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    site.configure(&format!("[[outputs]]\nname = 'gone'\nurl = 'http://127.0.0.1:{nobody}/'\n")).unwrap();
    let done = site.command(["outputs", "test", "gone"]).unwrap().output().unwrap();
    assert_eq!(done.status.code(), Some(1));
    let said = String::from_utf8(done.stdout).unwrap();
    assert!(said.contains("did not take a test: cannot connect: "), "{said}");
    let done = site.command(["outputs", "test", "other"]).unwrap().output().unwrap();
    assert_eq!(done.status.code(), Some(2));
}
