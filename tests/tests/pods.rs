//! Findings in Pods and in Docker containers: who the container is, also where that is known late, and what the
//! official library of Security Command Center makes of them.

#![allow(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

use end_to_end::{Containerd, Docker, Rootfs, Runc, Urva, check_with_official_library, privileged, variant};
use std::io::copy;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

const WITHIN: Duration = Duration::from_secs(10);

/// A config in which urva asks these runtimes and no others.
fn config(cri: &[&Path], docker: &[&Path], state: &[&Path]) -> String {
    format!(
        "[place]\nproject = \"shop-1\"\n[runtimes]\ncri_sockets = {cri:?}\ndocker_sockets = {docker:?}\nstate_folders = {state:?}\n"
    )
}

#[test]
fn a_finding_in_a_pod_names_it() {
    if !privileged() {
        return;
    }
    let mut containerd = Containerd::start().unwrap();
    let debian = Rootfs::debian().unwrap();
    containerd.import(&debian).unwrap();
    let pod = containerd.pod("shop", "web-1", &[("app", "web"), ("tier", "front")]).unwrap();
    let container = pod.container("server", &debian, ["sleep", "3600"], (1000, 1001)).unwrap();
    let urva = Urva::start_with(&config(&[containerd.socket()], &[], &[])).unwrap();

    let text = variant("malicious.token-theft.py", "pod").unwrap();
    container.exec(["python3", "-c", &text]).unwrap();
    let is_named = |found: &end_to_end::Found| found.property("Container_Metadata") == "COMPLETE";
    let found = urva.wait_for_finding(container.id(), WITHIN, is_named).unwrap();
    assert_eq!(found.contents(), text);
    for (name, expected) in [
        ("Container_Id", container.id()),
        ("Container_Name", "server"),
        ("Container_Image_Uri", debian.image().as_str()),
        ("Container_Runtime", "containerd"),
        ("Pod_Namespace", "shop"),
        ("Pod_Name", "web-1"),
        ("Pod_Uid", pod.uid()),
        ("Process_Uid", "1000"),
    ] {
        assert_eq!(found.property(name), expected, "{name}");
    }
    assert!(found.property("Container_Image_Id").starts_with("sha256:"));
    let kubernetes = &found.0["finding"]["kubernetes"]["pods"][0];
    assert_eq!((kubernetes["ns"].as_str(), kubernetes["name"].as_str()), (Some("shop"), Some("web-1")));
    let labels = kubernetes["labels"].to_string();
    assert!(labels.contains(r#"{"name":"app","value":"web"}"#), "{labels}");
    let described = &found.0["finding"]["containers"][0];
    assert!(described["createTime"].as_str().is_some_and(|time| time.starts_with("20")), "{described}");

    // A short-lived container of the same Pod is another container.
    let script = variant("malicious.miner.sh", "pod, short").unwrap();
    let short = pod.container("init", &debian, ["sh", "-c", &script], (0, 0)).unwrap();
    let found = urva.wait_for_finding(short.id(), WITHIN, is_named).unwrap();
    assert_eq!((found.contents(), found.property("Container_Name").as_str()), (script.as_str(), "init"));

    // The daemon restarts, its containers run on, and are named as before.
    containerd.restart().unwrap();
    let again = variant("malicious.token-theft.py", "pod, again").unwrap();
    container.exec(["python3", "-c", &again]).unwrap_or_else(|error| panic!("{error:#}"));
    urva.wait_for_finding(container.id(), WITHIN, |found| is_named(found) && found.contents() == again)
        .unwrap();

    let mut findings = urva.site().findings(container.id()).unwrap();
    findings.extend(urva.site().findings(short.id()).unwrap());
    assert_eq!(findings.len(), 3);
    check_with_official_library(&findings).unwrap();
    urva.stop().unwrap();
}

#[test]
fn metadata_that_comes_late_completes_the_finding() {
    if !privileged() {
        return;
    }
    let containerd = Containerd::start().unwrap();
    let busybox = Rootfs::busybox().unwrap();
    containerd.import(&busybox).unwrap();
    let pod = containerd.pod("shop", "late-1", &[]).unwrap();
    let container = pod.container("late", &busybox, ["sleep", "3600"], (0, 0)).unwrap();
    let urva = Urva::start().unwrap();
    let slow = urva.site().scratch().unwrap().join("slow.sock");
    urva.site().configure(&config(&[&slow], &[], &[])).unwrap();
    let site = urva.site().clone();
    urva.stop().unwrap();
    delay(containerd.socket().to_owned(), &slow);

    let urva = site.start().unwrap();
    let text = variant("malicious.token-theft.sh", "late").unwrap();
    container.exec(["sh", "-c", &text]).unwrap();
    let first = urva.wait_for_finding(container.id(), WITHIN, |_| true).unwrap();
    assert_eq!(
        (first.property("Container_Metadata").as_str(), first.property("Pod_Name").as_str()),
        ("PENDING", "")
    );
    assert_eq!(first.property("Pod_Uid"), pod.uid(), "the cgroup tells at once");
    let is_named = |found: &end_to_end::Found| found.property("Container_Metadata") == "COMPLETE";
    let later = urva.wait_for_finding(container.id(), WITHIN, is_named).unwrap();
    assert_eq!(later.property("Pod_Name"), "late-1");
    assert_eq!(later.0["finding"]["name"], first.0["finding"]["name"]);
}

/// Passes connections on, each after a while.
fn delay(to: PathBuf, from: &Path) {
    let listener = UnixListener::bind(from).unwrap();
    thread::spawn(move || {
        for incoming in listener.incoming().flatten() {
            thread::sleep(Duration::from_millis(400));
            let outgoing = UnixStream::connect(&to).unwrap();
            for (mut one, mut other) in [
                (incoming.try_clone().unwrap(), outgoing.try_clone().unwrap()),
                (outgoing.try_clone().unwrap(), incoming.try_clone().unwrap()),
            ] {
                thread::spawn(move || copy(&mut one, &mut other));
            }
        }
    });
}

#[test]
fn a_finding_in_docker_names_its_container() {
    if !privileged() {
        return;
    }
    let docker = Docker::start().unwrap();
    let busybox = Rootfs::busybox().unwrap();
    docker.import(&busybox).unwrap();
    let urva = Urva::start_with(&config(&[], &[docker.socket()], &[])).unwrap();
    let container =
        docker.container(&busybox, &["--name=till", "--label=team=shop"], &["sleep", "3600"]).unwrap();
    let text = variant("malicious.reverse-shell.sh", "docker").unwrap();
    container.exec(&["sh", "-c", &text], b"").unwrap();
    let is_named = |found: &end_to_end::Found| found.property("Container_Metadata") == "COMPLETE";
    let found = urva.wait_for_finding(container.id(), WITHIN, is_named).unwrap();
    for (name, expected) in [
        ("Container_Id", container.id()),
        ("Container_Name", "till"),
        ("Container_Image_Uri", busybox.image().as_str()),
        ("Container_Runtime", "Docker"),
        ("Pod_Name", ""),
    ] {
        assert_eq!(found.property(name), expected, "{name}");
    }
    let labels = found.0["finding"]["containers"][0]["labels"].to_string();
    assert!(labels.contains(r#"{"name":"team","value":"shop"}"#), "{labels}");
    check_with_official_library(&[found]).unwrap();
}

#[test]
fn of_a_container_of_plain_runc_it_is_stated_what_is_not_known() {
    if !privileged() {
        return;
    }
    let known = Urva::start_with(&config(&[], &[], &[Path::new("/run/runc")])).unwrap();
    let unknown = Urva::start_with(&config(&[], &[], &[])).unwrap();
    let container = Runc::container(&Rootfs::busybox().unwrap()).start().unwrap();
    let text = variant("malicious.reverse-shell.sh", "plain runc").unwrap();
    container.exec(["sh", "-c", &text]).unwrap();

    let is_settled = |found: &end_to_end::Found| found.property("Container_Metadata") != "PENDING";
    let found = known.wait_for_finding(container.id(), WITHIN, is_settled).unwrap();
    assert_eq!(found.property("Container_Metadata"), "COMPLETE", "runc's state file is all that there is");
    assert_eq!(
        (found.property("Pod_Name"), found.property("Container_Image_Uri")),
        (String::new(), String::new())
    );
    let found = unknown.wait_for_finding(container.id(), WITHIN, is_settled).unwrap();
    assert_eq!(found.property("Container_Metadata"), "MISSING");
    assert_ne!(found.property("Container_Metadata_Missing_Reason"), "");
    assert_eq!(found.property("Container_Id"), container.id());
    check_with_official_library(&[found]).unwrap();
}
