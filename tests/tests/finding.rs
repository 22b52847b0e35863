//! What stands in a finding: secrets do not, unless asked for; and Google's own library reads all of it.

#![allow(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

use end_to_end::{Container, Found, Rootfs, Runc, Urva, check_with_official_library, privileged, variant};
use std::time::Duration;

const WITHIN: Duration = Duration::from_secs(10);

fn container() -> Container {
    Runc::container(&Rootfs::debian().unwrap()).start().unwrap()
}

fn run_with_secrets(container: &Container) {
    let text = variant("malicious.token-theft.py", "secrets").unwrap();
    container.write_file("/opt/secrets.py", text).unwrap();
    let done = container.exec([
        "env",
        "API_TOKEN=hunter2",
        "COLOUR=red",
        "python3",
        "/opt/secrets.py",
        "--password",
        "hunter2",
        "--token=hunter2",
        "postgres://shop:hunter2@db/orders",
    ]);
    assert_eq!(done.unwrap().status, 0);
}

fn variables(found: &Found) -> Vec<(&str, &str)> {
    let variables = found.process()["envVariables"].as_array().into_iter().flatten();
    variables.map(|one| (one["name"].as_str().unwrap(), one["val"].as_str().unwrap_or_default())).collect()
}

#[test]
fn secrets_in_arguments_and_environment_are_redacted() {
    if !privileged() {
        return;
    }
    let urva = Urva::shared().unwrap();
    let container = container();
    run_with_secrets(&container);
    let found = urva.wait_for_finding(container.id(), WITHIN, |_| true).unwrap();
    assert!(!found.0.to_string().contains("hunter2"), "{:#}", found.0);
    assert!(variables(&found).contains(&("COLOUR", "red")));
    assert!(variables(&found).iter().any(|(name, value)| *name == "API_TOKEN" && !value.is_empty()));
    assert!(found.args()[5].contains("@db/orders"), "{:?}", found.args());
    let database = std::fs::read(urva.site().database()).unwrap();
    let log = std::fs::read(urva.site().database().with_extension("db-wal")).unwrap_or_default();
    for bytes in [database, log] {
        assert!(!String::from_utf8_lossy(&bytes).contains("hunter2"), "nor are they stored");
    }
}

#[test]
fn arguments_and_environment_can_be_kept_out_and_secrets_kept() {
    if !privileged() {
        return;
    }
    let without = "[findings]\nreport_cli_arguments = false\nreport_environment_variables = false\n";
    let without = Urva::start_with(without).unwrap();
    let open = Urva::start_with("[findings]\nredact_secrets = false\n").unwrap();
    let container = container();
    run_with_secrets(&container);
    let found = without.wait_for_finding(container.id(), WITHIN, |_| true).unwrap();
    assert!(found.args().is_empty() && variables(&found).is_empty(), "{:#}", found.0);
    let found = open.wait_for_finding(container.id(), WITHIN, |_| true).unwrap();
    assert_eq!(found.args()[3..5], ["hunter2", "--token=hunter2"]);
    assert!(variables(&found).contains(&("API_TOKEN", "hunter2")));
}

#[test]
fn googles_own_library_reads_every_kind_of_finding() {
    if !privileged() {
        return;
    }
    let urva = Urva::shared().unwrap();
    let container = container();
    let (python, shell) = ("malicious.reverse-shell.py", "malicious.downloader.sh");
    let padding = "# padding that says nothing\n".repeat(3 * 1024 * 1024 / 28);
    let large = format!("{}{padding}", variant(python, "large").unwrap());
    let latin = [b"# coding: latin-1\n# \xe9\xff\n", variant(python, "latin").unwrap().as_bytes()].concat();
    container.write_file("/opt/large.py", large).unwrap();
    container.write_file("/opt/latin.py", latin).unwrap();
    container.write_file("/opt/a\u{1b}[2J\nb.py", variant(python, "name").unwrap()).unwrap();
    container.write_file("/opt/module.py", variant(python, "module").unwrap()).unwrap();
    container.write_file("/opt/get.sh", variant(shell, "file").unwrap()).unwrap();
    for command in [
        &["python3", "-c", &variant(python, "inline").unwrap()][..],
        &["bash", "-lc", &variant(shell, "inline").unwrap()],
        &["python3", "/opt/large.py"],
        &["python3", "/opt/latin.py"],
        &["python3", "/opt/a\u{1b}[2J\nb.py"],
        &["env", "PYTHONPATH=/opt", "python3", "-m", "module"],
        &["sh", "/opt/get.sh", "--password=hunter2"],
    ] {
        container.exec(command.iter().copied()).unwrap();
    }
    let findings = urva.wait_for_findings(container.id(), 7, WITHIN).unwrap();
    assert_eq!(findings.len(), 7, "{findings:#?}");
    check_with_official_library(&findings).unwrap();
}
