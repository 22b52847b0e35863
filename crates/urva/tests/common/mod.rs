//! What the tests of the command line share: looking at what a run of `urva` printed.

use std::process::Output;

/// The exit code is this one, and both outputs hold these parts.
#[track_caller]
pub(crate) fn check(output: &Output, code: i32, out: &[&str], error: &[&str]) {
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "stdout: {stdout}\nstderr: {stderr}");
    for (shown, expected) in [(&stdout, out), (&stderr, error)] {
        for part in expected {
            assert!(shown.contains(part), "{part:?} is not in: {shown}");
        }
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}
