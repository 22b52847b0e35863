//! Proves the ground that the end-to-end tests stand on: containers of each runtime really run.

use end_to_end::{Containerd, Docker, Podman, Rootfs, Runc, privileged};
use std::thread;

#[test]
fn runc_runs_a_container_to_its_end() {
    if !privileged() {
        return;
    }
    let debian = Rootfs::debian().unwrap();
    let done =
        Runc::container(&debian).args(["python3", "-c", "import os; print(os.getuid())"]).run().unwrap();
    assert_eq!((done.status, done.stdout.as_str()), (0, "0\n"), "{}", done.stderr);

    let done = Runc::container(&debian)
        .args(["sh", "-c", "id -u; id -g; echo $COLOUR; pwd; cat; exit 7"])
        .user(1000, 1001)
        .env("COLOUR", "red")
        .cwd("/tmp")
        .input("from outside")
        .run()
        .unwrap();
    assert_eq!(
        (done.status, done.stdout.as_str()),
        (7, "1000\n1001\nred\n/tmp\nfrom outside"),
        "{}",
        done.stderr
    );
}

#[test]
fn runc_keeps_a_container_in_its_own_cgroup() {
    if !privileged() {
        return;
    }
    let container = Runc::container(&Rootfs::busybox().unwrap()).start().unwrap();
    let cgroup = container.cgroup().unwrap();
    // On v1 the path goes on from the cgroup of the test itself.
    assert!(cgroup.lines().all(|line| line.ends_with(&format!("/{}", container.id()))), "{cgroup}");

    let done = container.exec(["sh", "-c", "echo $PPID; hostname"]).unwrap();
    assert_eq!(done.stdout, format!("0\n{}\n", container.id()));
    let done = container.exec_as((1000, 1000), ["sh"], b"id -u").unwrap();
    assert_eq!(done.stdout, "1000\n");

    container.kill("KILL").unwrap();
    container.wait().unwrap();
    container.delete().unwrap();
}

#[test]
fn runc_gives_each_kind_of_file_its_place() {
    if !privileged() {
        return;
    }
    let container = Runc::container(&Rootfs::busybox().unwrap())
        .image_file("/opt/image.sh", "echo image")
        .layer_file("/opt/layer.sh", "echo layer")
        .volume("/data", &[("volume.sh", "echo volume")])
        .tmpfs("/memory")
        .start()
        .unwrap();
    container.write_file("/opt/later.sh", "echo later").unwrap();
    container.exec_as((0, 0), ["sh", "-c", "cat > /memory/memory.sh"], b"echo memory").unwrap();
    let line = "for f in /opt/image.sh /opt/layer.sh /data/volume.sh /opt/later.sh /memory/memory.sh; do sh $f; done";
    assert_eq!(container.exec(["sh", "-c", line]).unwrap().stdout, "image\nlayer\nvolume\nlater\nmemory\n");

    let upper = container.root().with_file_name("upper");
    assert!(upper.join("opt/layer.sh").exists() && upper.join("opt/later.sh").exists());
    assert!(!upper.join("opt/image.sh").exists(), "what came with the image is not in the writable layer");
}

#[test]
fn twenty_containers_run_at_once() {
    if !privileged() {
        return;
    }
    let debian = Rootfs::debian().unwrap();
    let run = |number: usize| {
        let text = format!("print({number})");
        Runc::container(&debian).args(["python3", "-c", text.as_str()]).run().unwrap().stdout
    };
    let outputs: Vec<String> = thread::scope(|scope| {
        let threads: Vec<_> = (0..20).map(|number| scope.spawn(move || run(number))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let expected: Vec<String> = (0..20).map(|number| format!("{number}\n")).collect();
    assert_eq!(outputs, expected);
}

#[test]
fn a_container_ends_with_the_test_that_panics() {
    if !privileged() {
        return;
    }
    let busybox = Rootfs::busybox().unwrap();
    let (pid, root) = thread::scope(|scope| {
        let (send, receive) = std::sync::mpsc::channel();
        let panicking = scope.spawn(move || {
            let container = Runc::container(&busybox).start().unwrap();
            send.send((container.pid(), container.root().to_owned())).unwrap();
            panic!("as a failing test does");
        });
        assert!(panicking.join().is_err());
        receive.recv().unwrap()
    });
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    assert!(line.is_empty(), "process {pid} still runs");
    assert!(!root.exists(), "{} is still there", root.display());
}

#[test]
fn containerd_runs_pods() {
    if !privileged() {
        return;
    }
    let mut containerd = Containerd::start().unwrap();
    let busybox = Rootfs::busybox().unwrap();
    containerd.import(&busybox).unwrap();
    let pod = containerd.pod("shop", "web-1", &[("app", "web")]).unwrap();

    let container = pod.container("web", &busybox, ["sleep", "3600"], (1000, 1001)).unwrap();
    let expected = format!("/kubepods/burstable/pod{}/{}", pod.uid(), container.id());
    let cgroup = container.cgroup().unwrap();
    assert!(cgroup.lines().all(|line| line.ends_with(&expected)), "{cgroup}");
    assert_eq!(
        container.exec(["sh", "-c", "id -u; id -g; exit 3"]).map(|done| (done.status, done.stdout)).unwrap(),
        (3, "1000\n1001\n".into())
    );

    let short =
        pod.container("short", &busybox, ["sh", "-c", "echo out; echo err >&2; exit 7"], (0, 0)).unwrap();
    assert_eq!(short.wait().unwrap(), 7);
    let mut lines: Vec<String> = short.output().unwrap().lines().map(str::to_owned).collect();
    lines.sort();
    assert_eq!(lines, ["err", "out"]);

    let pid = container.pid().unwrap();
    containerd.restart().unwrap();
    assert_eq!(container.pid().unwrap(), pid, "it ran on while its daemon restarted");
    container.stop().unwrap();
    assert_eq!(container.wait().unwrap(), 137);
    container.remove().unwrap();
}

#[test]
fn docker_runs_a_container() {
    if !privileged() {
        return;
    }
    let docker = Docker::start().unwrap();
    let busybox = Rootfs::busybox().unwrap();
    docker.import(&busybox).unwrap();
    let container =
        docker.container(&busybox, &["--user=1000:1001", "--name=shop"], &["sleep", "3600"]).unwrap();
    let cgroup = container.cgroup().unwrap();
    assert!(cgroup.lines().all(|line| line.ends_with(&format!("/docker/{}", container.id()))), "{cgroup}");
    assert_eq!(container.exec(&["sh"], b"id -u").unwrap().stdout, "1000\n");

    let short = docker.container(&busybox, &[], &["sh", "-c", "echo done; exit 7"]).unwrap();
    assert_eq!(short.wait().unwrap(), 7);
    assert_eq!(short.output().unwrap(), "done\n");
}

#[test]
fn podman_runs_a_container() {
    if !privileged() {
        return;
    }
    let podman = Podman::new().unwrap();
    let busybox = Rootfs::busybox().unwrap();
    podman.import(&busybox).unwrap();
    let container = podman.container(&busybox, &["--user=1000:1001"], &["sleep", "3600"]).unwrap();
    let cgroup = container.cgroup().unwrap();
    assert!(cgroup.lines().all(|line| line.ends_with(&format!("/libpod-{}", container.id()))), "{cgroup}");
    assert_eq!(container.exec(&["sh"], b"id -u").unwrap().stdout, "1000\n");
}
