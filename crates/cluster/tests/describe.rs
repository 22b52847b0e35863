//! Real runtimes are asked who their containers are; and sources that are missing, mute or broken.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use cluster::{RuntimeSettings, Runtimes, SourceState};
use end_to_end::{Containerd, Docker, Podman, Rootfs, Runc, privileged};
use evidence::{Container, Metadata, Pod, Runtime};
use std::fs;
use std::io::Write;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

const UNKNOWN_ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// As the sensor process has it.
fn one_thread() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn block_on<T>(question: impl Future<Output = T>) -> T {
    one_thread().block_on(question)
}

fn describe(settings: &RuntimeSettings, id: &str, hint: Option<Runtime>) -> Container {
    block_on(Runtimes::discover(settings).describe(id, hint))
}

#[track_caller]
fn check_missing(container: &Container, words: &[&str]) {
    let Metadata::Missing(reason) = &container.metadata else { panic!("{:?}", container.metadata) };
    for word in words {
        assert!(reason.contains(word), "{reason:?} does not say {word:?}");
    }
}

#[test]
fn a_container_of_plain_runc_is_known_by_its_state() {
    if !privileged() {
        return;
    }
    let container = Runc::container(&Rootfs::busybox().unwrap())
        .annotation("org.opencontainers.image.ref.name", "localhost/busybox:1")
        .annotation("team", "blue=green")
        .start()
        .unwrap();
    // The usual places are asked, so this is also what urva does without any setting.
    let found = describe(&RuntimeSettings::default(), container.id(), Some(Runtime::Runc));
    assert_eq!(found.metadata, Metadata::Complete);
    assert_eq!(found.runtime, Some(Runtime::Runc));
    assert_eq!(found.name.as_deref(), Some(container.id()), "the id was chosen by who started it");
    assert_eq!(found.image.as_deref(), Some("localhost/busybox:1"));
    assert_eq!(found.labels.get("team").map(String::as_str), Some("blue=green"));
    assert!(found.created_at.is_some() && found.pod.is_none());

    let id = container.id().to_owned();
    container.delete().unwrap();
    let gone = describe(&RuntimeSettings::default(), &id, Some(Runtime::Runc));
    check_missing(&gone, &["no runtime knows it", "runc state", "containerd.sock: not there"]);
    assert_eq!(gone.runtime, Some(Runtime::Runc), "what the cgroup path told stays");
}

#[test]
fn a_container_of_a_pod_is_known_with_its_pod() {
    if !privileged() {
        return;
    }
    let mut containerd = Containerd::start().unwrap();
    let busybox = Rootfs::busybox().unwrap();
    containerd.import(&busybox).unwrap();
    let pod = containerd.pod("shop", "web-1", &[("app", "web")]).unwrap();
    let container = pod.container("web", &busybox, ["sleep", "3600"], (0, 0)).unwrap();
    let by_cri = RuntimeSettings { cri_sockets: vec![containerd.socket().into()], ..RuntimeSettings::none() };

    let check = |found: Container| {
        assert_eq!(found.metadata, Metadata::Complete);
        assert_eq!(found.runtime, Some(Runtime::Containerd));
        assert_eq!(found.name.as_deref(), Some("web"));
        assert_eq!(found.image.as_deref(), Some("localhost/busybox:1"));
        assert!(found.image_id.unwrap().contains("sha256:"));
        assert_eq!(found.labels["io.kubernetes.container.name"], "web");
        assert!(found.created_at.is_some());
        check_pod(&found.pod.unwrap(), pod.uid());
    };
    check(describe(&by_cri, container.id(), Some(Runtime::Containerd)));
    check(describe(&by_cri, container.id(), None));

    let sandbox = describe(&by_cri, pod.sandbox_id(), None);
    assert_eq!((sandbox.name.as_deref(), &sandbox.metadata), (None, &Metadata::Complete));
    check_pod(&sandbox.pod.unwrap(), pod.uid());

    // containerd restarts between two questions over one connection.
    let thread = one_thread();
    let runtimes = Runtimes::discover(&by_cri);
    check(thread.block_on(runtimes.describe(container.id(), None)));
    containerd.restart().unwrap();
    check(thread.block_on(runtimes.describe(container.id(), None)));

    let id = container.id().to_owned();
    container.remove().unwrap();
    check_missing(&describe(&by_cri, &id, None), &["containerd.sock: does not know it"]);
}

#[track_caller]
fn check_pod(pod: &Pod, uid: &str) {
    assert_eq!(
        (pod.namespace.as_deref(), pod.name.as_deref(), pod.uid.as_deref()),
        (Some("shop"), Some("web-1"), Some(uid))
    );
    assert_eq!(pod.labels["app"], "web");
}

#[test]
fn without_the_socket_the_state_still_tells_of_the_pod() {
    if !privileged() {
        return;
    }
    let containerd = Containerd::start().unwrap();
    let busybox = Rootfs::busybox().unwrap();
    containerd.import(&busybox).unwrap();
    let pod = containerd.pod("shop", "web-1", &[]).unwrap();
    let container = pod.container("web", &busybox, ["sleep", "3600"], (0, 0)).unwrap();
    let by_state =
        RuntimeSettings { cri_sockets: vec![], docker_sockets: vec![], ..RuntimeSettings::default() };

    let found = describe(&by_state, container.id(), None);
    check_missing(&found, &["only files tell of it"]);
    assert_eq!(found.runtime, Some(Runtime::Containerd));
    assert_eq!((found.name.as_deref(), found.image.as_deref()), (Some("web"), Some("localhost/busybox:1")));
    let found = found.pod.unwrap();
    assert_eq!((found.namespace.as_deref(), found.name.as_deref()), (Some("shop"), Some("web-1")));
}

#[test]
fn a_container_of_containerd_alone_is_known_by_its_image() {
    if !privileged() {
        return;
    }
    let containerd = Containerd::start().unwrap();
    let busybox = Rootfs::busybox().unwrap();
    containerd.ctr("team-a", ["images", "import"], &[&busybox.archive().display().to_string()]).unwrap();
    let id = format!("alone-{}", std::process::id());
    let run = ["run", "--detach", "--label", "nerdctl/name=shop"];
    containerd.ctr("team-a", run, &[&busybox.image(), &id, "sleep", "3600"]).unwrap();
    let settings =
        RuntimeSettings { cri_sockets: vec![containerd.socket().into()], ..RuntimeSettings::none() };

    for settings in [
        settings.clone(),
        RuntimeSettings { cri_sockets: settings.cri_sockets, ..RuntimeSettings::default() },
    ] {
        let found = describe(&settings, &id, None);
        assert_eq!(found.metadata, Metadata::Complete);
        assert_eq!(found.runtime, Some(Runtime::Containerd));
        assert_eq!(
            (found.name.as_deref(), found.image.as_deref()),
            (Some("shop"), Some("localhost/busybox:1"))
        );
        assert!(found.created_at.is_some());
    }
}

#[test]
fn a_container_of_docker_is_known_with_name_and_labels() {
    if !privileged() {
        return;
    }
    let docker = Docker::start().unwrap();
    let busybox = Rootfs::busybox().unwrap();
    docker.import(&busybox).unwrap();
    let options = ["--name=shop", "--label=team=blue"];
    let container = docker.container(&busybox, &options, &["sleep", "3600"]).unwrap();
    let by_docker =
        RuntimeSettings { docker_sockets: vec![docker.socket().into()], ..RuntimeSettings::none() };

    let found = describe(&by_docker, container.id(), Some(Runtime::Docker));
    assert_eq!(found.metadata, Metadata::Complete);
    assert_eq!(found.runtime, Some(Runtime::Docker));
    assert_eq!((found.name.as_deref(), found.image.as_deref()), (Some("shop"), Some("localhost/busybox:1")));
    assert!(found.image_id.unwrap().starts_with("sha256:"));
    assert_eq!(found.labels["team"], "blue");
    assert!(found.created_at.is_some() && found.pod.is_none());

    check_missing(&describe(&by_docker, UNKNOWN_ID, None), &["docker.sock: does not know it"]);
    check_missing(&describe(&by_docker, "shop", None), &["docker.sock: does not know it"]);

    let by_state = RuntimeSettings { state_folders: vec![docker.runc_state()], ..RuntimeSettings::none() };
    let found = describe(&by_state, container.id(), None);
    assert_eq!(found.runtime, Some(Runtime::Docker));
    check_missing(&found, &["only files tell of it"]);
}

#[test]
fn a_container_of_podman_is_known_by_its_storage_or_its_service() {
    if !privileged() {
        return;
    }
    let podman = Podman::new().unwrap();
    let busybox = Rootfs::busybox().unwrap();
    podman.import(&busybox).unwrap();
    let options = ["--name=shop", "--label=team=blue"];
    let container = podman.container(&busybox, &options, &["sleep", "3600"]).unwrap();
    let by_files = RuntimeSettings {
        state_folders: vec!["/run/runc".into()],
        storage_folders: vec![podman.storage()],
        ..RuntimeSettings::none()
    };
    let check = |found: &Container| {
        assert_eq!(found.runtime, Some(Runtime::Podman));
        assert_eq!(
            (found.name.as_deref(), found.image.as_deref()),
            (Some("shop"), Some("localhost/busybox:1"))
        );
        assert!(found.image_id.as_ref().unwrap().starts_with("sha256:"));
        assert!(found.created_at.is_some());
    };
    let found = describe(&by_files, container.id(), None);
    check_missing(&found, &["only files tell of it"]);
    check(&found);

    let service = podman.service().unwrap();
    let by_service = RuntimeSettings { docker_sockets: vec![service.socket().into()], ..by_files };
    let found = describe(&by_service, container.id(), Some(Runtime::Podman));
    assert_eq!((&found.metadata, found.labels["team"].as_str()), (&Metadata::Complete, "blue"));
    check(&found);
}

#[test]
fn the_report_names_each_source_and_its_state() {
    if !privileged() {
        return;
    }
    let docker = Docker::start().unwrap();
    let busybox = Rootfs::busybox().unwrap();
    docker.import(&busybox).unwrap();
    let _container = docker.container(&busybox, &[], &["sleep", "3600"]).unwrap();
    let containerd = Containerd::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mute = listener(&folder.path().join("mute.sock"), |_| thread::sleep(Duration::from_secs(60)));
    fs::write(folder.path().join("file"), "").unwrap();
    let settings = RuntimeSettings {
        cri_sockets: vec![containerd.socket().into(), folder.path().join("none.sock"), mute],
        docker_sockets: vec![
            docker.socket().into(),
            folder.path().join("none.sock"),
            folder.path().join("file"),
        ],
        state_folders: vec![docker.runc_state(), folder.path().join("none/*")],
        timeout_ms: 200,
        ..RuntimeSettings::none()
    };
    let report = block_on(Runtimes::discover(&settings).report());
    let states: Vec<(&str, String)> =
        report.iter().map(|source| (source.name, source.state.to_string())).collect();
    let expected = [
        ("CRI", "works: containerd 1."),
        ("CRI", "not there"),
        ("CRI", "does not work: gave no answer within 200 ms"),
        ("Docker Engine API", "works: Engine "),
        ("Docker Engine API", "not there"),
        ("Docker Engine API", "does not work: cannot be read: Connection refused"),
        ("runc state", "works: containers: 1"),
        ("runc state", "not there"),
    ];
    assert_eq!(states.len(), expected.len(), "{states:?}");
    for (state, expected) in states.iter().zip(expected) {
        assert!(state.0 == expected.0 && state.1.starts_with(expected.1), "{state:?}, not {expected:?}");
    }
    assert_eq!(report[1].state, SourceState::Absent);
}

#[test]
fn where_there_is_no_runtime_each_place_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let settings = RuntimeSettings {
        cri_sockets: vec![folder.path().join("cri.sock")],
        docker_sockets: vec![folder.path().join("docker.sock")],
        state_folders: vec![folder.path().join("*/runc")],
        ..RuntimeSettings::none()
    };
    let found = describe(&settings, UNKNOWN_ID, None);
    check_missing(&found, &["none in 1 folders", "cri.sock: not there", "docker.sock: not there"]);
    check_missing(
        &describe(&RuntimeSettings::none(), UNKNOWN_ID, None),
        &["no container runtime is configured"],
    );
    check_missing(&describe(&settings, "../../etc", None), &["no container id"]);
}

/// Accepts connections and treats each as told, for as long as the test process lives.
fn listener(path: &Path, treat: fn(std::os::unix::net::UnixStream)) -> PathBuf {
    let listener = UnixListener::bind(path).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || treat(stream));
        }
    });
    path.to_owned()
}

#[test]
fn a_mute_socket_costs_no_more_than_its_timeout() {
    let folder = tempfile::tempdir().unwrap();
    let mute = |name| listener(&folder.path().join(name), |_| thread::sleep(Duration::from_secs(60)));
    let settings = RuntimeSettings {
        cri_sockets: vec![mute("cri.sock")],
        docker_sockets: vec![mute("docker.sock")],
        timeout_ms: 100,
        ..RuntimeSettings::none()
    };
    let found = block_on(async {
        let runtimes = Runtimes::discover(&settings);
        tokio::time::timeout(Duration::from_secs(2), runtimes.describe(UNKNOWN_ID, None)).await.unwrap()
    });
    check_missing(
        &found,
        &["cri.sock: gave no answer within 100 ms", "docker.sock: gave no answer within 100 ms"],
    );
}

#[test]
fn whatever_a_socket_answers_is_survived() {
    let answers: [fn(std::os::unix::net::UnixStream); 4] = [
        drop,
        |mut stream| drop(stream.write_all(b"\xff\x00\xfegarbage\r\n\r\n")),
        |mut stream| drop(stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{\"Id\":[[[")),
        |mut stream| {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
            while stream.write_all(&[b'['; 65536]).is_ok() {}
        },
    ];
    for (number, answer) in answers.into_iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        let settings = RuntimeSettings {
            cri_sockets: vec![listener(&folder.path().join("cri.sock"), answer)],
            docker_sockets: vec![listener(&folder.path().join("docker.sock"), answer)],
            ..RuntimeSettings::none()
        };
        let found = describe(&settings, UNKNOWN_ID, None);
        check_missing(&found, &["cri.sock: ", "docker.sock: "]);
        assert_eq!(found.name, None, "answer {number}");
    }
}

#[test]
fn whatever_a_state_file_holds_is_survived() {
    let nested = "[".repeat(100_000);
    let large = format!("{{\"config\":{{\"labels\":[\"{}\"]}}}}", "x".repeat(2 << 20));
    let broken: [(&[u8], &str); 7] = [
        (b"", "cannot be read"),
        (b"\xff\xfe\x00", "cannot be read"),
        (b"{", "cannot be read"),
        (b"[]", "cannot be read"),
        (b"{\"config\":{\"labels\":{}}}", "cannot be read"),
        (nested.as_bytes(), "cannot be read"),
        (large.as_bytes(), "more than 1048576 bytes"),
    ];
    for (bytes, expected) in broken {
        let folder = state_folder("state.json", bytes);
        check_missing(&describe_by_state(folder.path()), &["runc state: ", expected]);
    }
}

#[test]
fn a_state_file_that_is_no_file_is_not_opened() {
    let folder = state_folder("other", b"");
    let state = folder.path().join(UNKNOWN_ID).join("state.json");
    rustix::fs::mkfifoat(rustix::fs::CWD, &state, rustix::fs::Mode::RUSR).unwrap();
    check_missing(&describe_by_state(folder.path()), &["no regular file"]);
    fs::remove_file(&state).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &state).unwrap();
    check_missing(&describe_by_state(folder.path()), &["cannot be read"]);
}

#[test]
fn a_state_file_with_odd_labels_is_read_within_bounds() {
    let labels: Vec<String> = (0..1000).map(|number| format!("key-{number:04}=value")).collect();
    let state = serde_json::json!({
        "created": "the day before", "config": {"labels": labels}, "unknown": {"field": [1, null]},
    });
    let folder = state_folder("state.json", state.to_string().as_bytes());
    let found = describe_by_state(folder.path());
    assert_eq!((found.metadata, found.created_at), (Metadata::Complete, None));
    assert_eq!(found.labels.len(), 256);
}

#[test]
fn cruns_state_leads_to_the_annotations_of_its_bundle() {
    let folder = tempfile::tempdir().unwrap();
    let (state, bundle) = (folder.path().join("crun"), folder.path().join("bundle"));
    fs::create_dir_all(state.join(UNKNOWN_ID)).unwrap();
    fs::create_dir(&bundle).unwrap();
    let status = serde_json::json!({"pid": 1, "bundle": bundle, "created": "2026-11-21T12:00:00.25Z"});
    fs::write(state.join(UNKNOWN_ID).join("status"), status.to_string()).unwrap();
    let annotations = serde_json::json!({
        "io.container.manager": "cri-o", "io.kubernetes.container.name": "web",
        "io.kubernetes.cri-o.ImageName": "registry/web:2", "io.kubernetes.pod.namespace": "shop",
    });
    let config = serde_json::json!({"ociVersion": "1.0", "annotations": annotations});
    fs::write(bundle.join("config.json"), config.to_string()).unwrap();

    let found = describe_by_state(&state);
    assert_eq!(found.runtime, Some(Runtime::Crio));
    assert_eq!((found.name.as_deref(), found.image.as_deref()), (Some("web"), Some("registry/web:2")));
    assert_eq!(found.created_at, evidence::Timestamp::parse("2026-11-21T12:00:00.25Z"));
    assert_eq!(found.pod.unwrap().namespace.as_deref(), Some("shop"));
}

fn state_folder(name: &str, bytes: &[u8]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join(UNKNOWN_ID)).unwrap();
    fs::write(folder.path().join(UNKNOWN_ID).join(name), bytes).unwrap();
    folder
}

fn describe_by_state(folder: &Path) -> Container {
    let settings = RuntimeSettings { state_folders: vec![folder.into()], ..RuntimeSettings::none() };
    describe(&settings, UNKNOWN_ID, None)
}
