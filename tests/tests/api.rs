//! The API of a real `urva run`: what a container ran is read and closed by Google's own client, and the process that serves it may do
//! nothing else, and comes back.

#![allow(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

use end_to_end::{Rootfs, Runc, Site, Urva, close_through_api, privileged, variant};
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

const WITHIN: Duration = Duration::from_secs(10);

/// A port that nobody has at the moment.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Waits until it is so; ten seconds at the most.
fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let is_so_by_then = (0..500).any(|_| {
        std::thread::sleep(Duration::from_millis(20));
        is_so()
    });
    assert!(is_so_by_then, "{what}");
}

fn wait_for(port: u16) {
    wait_until("nobody listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
}

/// An urva that serves the API on the port, and a folder of its own.
fn serving() -> (u16, Arc<Site>, Urva) {
    let port = free_port();
    let site = Site::with_config(&format!("[server]\nlisten = '127.0.0.1:{port}'\n")).unwrap();
    let urva = site.start().unwrap();
    (port, site, urva)
}

/// A new token, as its maker is shown it.
fn token(site: &Site, role: &str) -> String {
    let made = site.command(["tokens", "create", "test", "--role", role]).unwrap().output().unwrap();
    String::from_utf8(made.stdout).unwrap().trim().to_owned()
}

#[test]
fn what_a_container_ran_is_read_and_closed_through_the_api() {
    if !privileged() {
        return;
    }
    let (port, site, urva) = serving();
    let token = token(&site, "analyst");
    let container = Runc::container(&Rootfs::debian().unwrap()).start().unwrap();
    let text = variant("malicious.reverse-shell.py", "api").unwrap();
    container.write_file("/opt/api.py", &text).unwrap();
    container.exec(["python3", "/opt/api.py"]).unwrap();
    let found = urva.wait_for_finding(container.id(), WITHIN, |_| true).unwrap();

    wait_for(port);
    let address = format!("127.0.0.1:{port}");
    let listed = close_through_api(&address, &token, "projects/local/sources/-", container.id()).unwrap();
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert_eq!(listed[0].contents(), text);
    assert_eq!(listed[0].0["finding"]["name"], found.0["finding"]["name"]);
    let closed = site.findings(container.id()).unwrap();
    assert_eq!(closed[0].0["finding"]["state"], "INACTIVE", "{:#}", closed[0].0);
    urva.stop().unwrap();
}

/// The answer to a `GET` with a token, as it comes.
fn get(port: u16, path: &str, token: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: urva\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_server_that_is_stopped_is_started_again_and_counted() {
    if !privileged() {
        return;
    }
    let (port, site, urva) = serving();
    wait_for(port);
    let token = token(&site, "viewer");
    assert!(get(port, "/metrics", &token).contains("urva_server_restarts_total 0"));
    let pid = urva.process("server").unwrap();
    Command::new("kill").args(["-STOP", &pid.to_string()]).status().unwrap();
    let is_another = || urva.process("server").is_ok_and(|now| now != pid);
    assert!((0..60).any(|_| {
        std::thread::sleep(Duration::from_secs(1));
        is_another()
    }));
    wait_for(port);
    assert!(get(port, "/metrics", &token).contains("urva_server_restarts_total 1"));
    urva.stop().unwrap();
}

#[test]
fn the_server_holds_nothing_and_comes_back() {
    if !privileged() {
        return;
    }
    let (port, site, urva) = serving();
    wait_for(port);
    let pid = urva.process("server").unwrap();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    for line in ["CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"] {
        assert!(status.lines().any(|one| one == line), "{line} is not in\n{status}");
    }
    assert!(!status.lines().any(|line| line.starts_with("Uid:\t0\t")), "{status}");
    assert_eq!(fs::read_link(format!("/proc/{pid}/root")).unwrap(), site.state());
    Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap();
    wait_until("it does not come back", || urva.process("server").is_ok_and(|now| now != pid));
    wait_for(port);
    urva.stop().unwrap();
}
