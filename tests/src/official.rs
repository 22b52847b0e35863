//! Google's own client library: its judgement on findings (`tests/python/check_scc.py`), and its calls to a running urva
//! (`tests/python/close_by_api.py`).

use crate::rootfs::repository;
use crate::urva::Found;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::io::Write;
use std::process::{Command, Stdio};

/// Has `google-cloud-securitycenter` parse the findings, unknown fields refused, and checks what they promise.
pub fn check_with_official_library(findings: &[Found]) -> Result<()> {
    let mut command = python("check_scc.py")?;
    command.arg("/dev/stdin");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let list: Vec<_> = findings.iter().map(|found| &found.0).collect();
    // It reads everything before it writes anything, so neither waits for the other.
    let mut input = child.stdin.take().context("no pipe to check_scc.py")?;
    input.write_all(&serde_json::to_vec(&list)?)?;
    drop(input);
    let done = child.wait_with_output()?;
    let said = [done.stdout, done.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    ensure!(done.status.success(), "check_scc.py: {said}");
    ensure!(said.contains(&format!("{} findings checked, 0 wrong", findings.len())), "check_scc.py: {said}");
    Ok(())
}

/// Has `google-cloud-securitycenter` list a container's active findings through the API at `address`, and close them. Returns
/// them as they were.
pub fn close_through_api(address: &str, token: &str, parent: &str, container: &str) -> Result<Vec<Found>> {
    let mut command = python("close_by_api.py")?;
    let done = command.args([address, parent, container]).env("URVA_TOKEN", token).output()?;
    ensure!(done.status.success(), "close_by_api.py: {}", String::from_utf8_lossy(&done.stderr));
    let listed: Vec<Value> = serde_json::from_slice(&done.stdout).context("read the client's JSON")?;
    Ok(listed.into_iter().map(Found).collect())
}

/// A script of `tests/python`, where the library is installed.
fn python(script: &str) -> Result<Command> {
    let python = repository().join("target/python/bin/python");
    ensure!(python.exists(), "{} is missing; run: scripts/install-tools test", python.display());
    let mut command = Command::new(python);
    command.arg(repository().join("tests/python").join(script));
    Ok(command)
}
