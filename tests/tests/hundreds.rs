//! Hundreds of interpreters, each a file of its own: urva attaches to every one, and does not grow beyond its bounds.

#![allow(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

use end_to_end::{Rootfs, Runc, Urva, privileged, sample};
use std::time::Duration;

const IMAGES: usize = 200;
/// What they may cost the sensor together, with all else that it sees on this host meanwhile.
const KIB_MAX: u64 = 64 << 10;
const WITHIN: Duration = Duration::from_secs(60);

/// Each script is another one, so that each makes a finding; the text is evaluated once the probe had time to be attached.
const RUN: &str = "\
for i in $(seq $1); do cp /bin/bash /opt/bash-$i; printf %s $i >> /opt/bash-$i; done
for i in $(seq $1); do
    HIDDEN=$2 /opt/bash-$i -c 'sleep 2; eval \"$HIDDEN\" #'$1.$i > /dev/null 2>&1 &
    [ $((i % 30)) = 0 ] && wait
done
wait
rm /opt/bash-*";

#[test]
fn hundreds_of_interpreters_are_attached_to_and_memory_is_bounded() {
    if !privileged() {
        return;
    }
    let urva = Urva::start().unwrap();
    let container = Runc::container(&Rootfs::debian().unwrap()).start().unwrap();
    let text = sample("malicious.token-theft.sh").unwrap();
    let run = |count: usize| {
        let done = container.exec(["bash", "-c", RUN, "run", &count.to_string(), &text]).unwrap();
        assert_eq!(done.status, 0, "{}", done.stderr);
    };
    // What the first ones need is not what each needs.
    run(10);
    urva.wait_for_findings(container.id(), 10, WITHIN).unwrap();
    let before = urva.resident(&["sensor"]).unwrap();
    run(IMAGES);
    urva.wait_for_findings(container.id(), 10 + IMAGES, WITHIN).unwrap();
    let grown = urva.resident(&["sensor"]).unwrap().saturating_sub(before);
    println!("{IMAGES} more interpreters: {} KiB each", grown / IMAGES as u64);
    assert!(grown < KIB_MAX, "the sensor grew by {grown} KiB");
    let findings = urva.site().findings(container.id()).unwrap();
    assert_eq!(findings.len(), 10 + IMAGES, "{}", urva.site().log());
    for found in findings {
        assert!(!found.property("Decided_By_Layer").is_empty(), "{}", found.contents());
    }
}
