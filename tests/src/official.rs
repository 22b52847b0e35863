//! The judgement of Google's own client library on findings: `tests/python/check_scc.py`, run on real ones.

use crate::rootfs::repository;
use crate::urva::Found;
use anyhow::{Context, Result, ensure};
use std::io::Write;
use std::process::{Command, Stdio};

/// Has `google-cloud-securitycenter` parse the findings, unknown fields refused, and checks what they promise.
pub fn check_with_official_library(findings: &[Found]) -> Result<()> {
    let python = repository().join("target/python/bin/python");
    ensure!(python.exists(), "{} is missing; run: scripts/install-tools test", python.display());
    let mut command = Command::new(python);
    command.arg(repository().join("tests/python/check_scc.py")).arg("/dev/stdin");
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
