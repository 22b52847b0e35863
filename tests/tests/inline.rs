//! The shortest way through urva: a container whose only process is `python3 -c`, gone at once.

#![allow(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

use end_to_end::{Rootfs, Runc, Urva, privileged, variant};
use std::time::Duration;

#[test]
fn inline_python_in_a_container_that_is_gone_at_once_is_found() {
    if !privileged() {
        return;
    }
    let urva = Urva::start().unwrap();
    let text = variant("malicious.reverse-shell.py", "gone at once").unwrap();
    let done = Runc::container(&Rootfs::debian().unwrap()).args(["python3", "-c", &text]).run().unwrap();
    assert_ne!(done.status, 0, "it reaches nobody");

    let found = urva.wait_for_finding(&done.container, Duration::from_secs(5), |_| true).unwrap();
    assert_eq!(found.category(), "Execution: Malicious Python executed");
    assert_eq!(found.property("Script_Kind"), "INLINE");
    assert_eq!((found.path(), found.contents()), (None, text.as_str()));
    assert_eq!(found.args(), ["python3", "-c", &text]);
    assert_eq!(found.property("Container_Id"), done.container);
    urva.stop().unwrap();
}
