//! Images as Docker and Podman themselves save them, read by `urva scan`: layers, replaced and removed files, config.

#![allow(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use end_to_end::{Docker, Podman, Rootfs, Site, privileged, sample};
use serde_json::Value;
use std::path::Path;

const IMAGE: &str = "localhost/layered:1";

/// One layer brings three imitations; the next removes one, and replaces the folder of another.
fn steps() -> [String; 2] {
    let bad = STANDARD.encode(sample("malicious.reverse-shell.sh").unwrap());
    let write =
        format!("mkdir -p /opt/old; echo {bad} | base64 -d >/opt/kept.sh; cp /opt/kept.sh /opt/gone.sh");
    [
        format!("{write}; cp /opt/kept.sh /opt/old/x.sh"),
        "rm -r /opt/gone.sh /opt/old; mkdir /opt/old; echo 'echo fresh' >/opt/old/fresh.sh".to_owned(),
    ]
}

/// Scripts below `/opt` in the order of their names: label and coverage.
fn scripts(site: &Site, options: &[&str], image: &Path) -> Vec<(String, String, String)> {
    let args = [&["scan", "--format", "jsonl"], options, &[image.to_str().unwrap()]].concat();
    let output = site.command(args).unwrap().output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let word = |line: &Value, key: &str| line[key].as_str().unwrap_or_default().to_owned();
    assert!(lines.iter().all(|line| line.get("error").is_none()), "{text}");
    assert!(lines.iter().any(|line| word(line, "path").contains("!/config!/")), "{text}");
    let below_opt = lines.iter().filter_map(|line| {
        let path = word(line, "path");
        let (layer, name) = path.rsplit_once("!/opt/").or_else(|| path.rsplit_once("!/./opt/"))?;
        assert!(layer.contains("!/sha256:"), "{path}");
        Some((name.to_owned(), word(line, "verdict"), word(line, "coverage")))
    });
    let mut scripts: Vec<_> = below_opt.collect();
    scripts.sort();
    scripts
}

fn check(site: &Site, image: &Path) {
    let script = |name: &str, verdict: &str, coverage: &str| {
        (name.to_owned(), verdict.to_owned(), coverage.to_owned())
    };
    let kept = script("kept.sh", "malicious", "complete");
    let fresh = script("old/fresh.sh", "benign", "complete");
    assert_eq!(scripts(site, &[], image), [kept.clone(), fresh.clone()], "{}", image.display());
    let hidden =
        |name| script(name, "malicious", "complete; a later layer of the image replaces or removes it");
    let all = [hidden("gone.sh"), kept, fresh, hidden("old/x.sh")];
    assert_eq!(scripts(site, &["--all-layers"], image), all, "{}", image.display());
}

#[test]
fn what_docker_saves_is_read() {
    if !privileged() {
        return;
    }
    let (docker, busybox, site) =
        (Docker::start().unwrap(), Rootfs::busybox().unwrap(), Site::new().unwrap());
    docker.import(&busybox).unwrap();
    docker.layer(&busybox, &steps().each_ref().map(String::as_str), IMAGE).unwrap();
    let saved = site.scratch().unwrap().join("docker.tar");
    docker.save(IMAGE, &saved).unwrap();
    check(&site, &saved);
}

#[test]
fn what_podman_saves_is_read() {
    if !privileged() {
        return;
    }
    let (podman, busybox, site) = (Podman::new().unwrap(), Rootfs::busybox().unwrap(), Site::new().unwrap());
    podman.import(&busybox).unwrap();
    podman.layer(&busybox, &steps().each_ref().map(String::as_str), IMAGE).unwrap();
    for format in ["docker-archive", "oci-archive", "oci-dir"] {
        let saved = site.scratch().unwrap().join(format);
        podman.save(format, IMAGE, &saved).unwrap();
        check(&site, &saved);
    }
}
