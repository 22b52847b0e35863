//! schemathesis calls the API by nothing but its OpenAPI document, with what fits it and what does not: no call may fail inside of urva,
//! and no answer may be one that the document does not know.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod served;

use evidence::Timestamp;
use served::{NOON, Served};
use server::token::Role;
use std::process::Output;
use tempfile::TempDir;
use tokio::process::Command;

const SCHEMATHESIS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/python/bin/schemathesis");

const CHECKS: &str =
    "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";

/// What is there, so that not every call ends with a name that is not found.
const NAMES: &str = "[parameters]\n'path.organizationsId' = '123'\n'path.foldersId' = '5'\n'path.projectsId' = 'shop'\n\
                     'path.sourcesId' = 'urva'\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_fails_inside_and_each_answer_is_documented() {
    let folder = TempDir::new().expect("a folder");
    let served = Served::start(folder.path(), None).await;
    let token = served.token(1, Role::Admin, Timestamp(NOON.0 + 3_600_000_000_000)).await;
    std::fs::write(folder.path().join("schemathesis.toml"), NAMES).expect("a file");
    let mut tried = Command::new(SCHEMATHESIS);
    tried.current_dir(folder.path()).arg("run").arg(format!("http://127.0.0.1:{}/openapi.json", served.port));
    tried.arg("-H").arg(format!("Authorization: Bearer {token}")).args(["--checks", CHECKS]);
    tried.args("--phases fuzzing --max-examples 5 --seed 1 --suppress-health-check all".split(' '));
    let Output { status, stdout, stderr } =
        tried.output().await.expect("target/python; run: scripts/install-tools test");
    served.end().await;
    let said = [stdout, stderr].concat();
    let said = String::from_utf8_lossy(&said);
    println!("{said}");
    assert!(status.success() && said.contains("generated"), "{said}");
}
