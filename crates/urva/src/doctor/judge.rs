//! Makes of the facts one row for each thing. Pure: the same facts give the same rows.

use super::capabilities;
use super::facts::{Cgroups, Clock, Facts, Namespaces};
use super::programs::TYPES;
use super::state::{Database, Folder, Running, StateFacts};
use super::{Row, State};
use crate::card::seconds;
use crate::status::Status;
use cluster::{SourceReport, SourceState};
use evidence::Timestamp;
use rustix::thread::CapabilitySet;
use store::SCHEMA_VERSION;

/// The oldest kernel that has all that the probe uses.
const KERNEL_MIN: (u32, u32) = (5, 15);
/// What the kernel numbers its first namespaces: `include/uapi/linux/nsfs.h`; older kernels number mount
/// namespaces otherwise.
const FIRST_PID_NAMESPACE: u64 = 0xEFFF_FFFC;
const FIRST_MOUNT_NAMESPACE: u64 = 0xEFFF_FFF8;
/// With less free space the store may soon refuse what it is given.
const FREE_MIN: u64 = 64 << 20;
/// A clock that stands before it (2026-01-01) has lost its battery: this urva is younger.
const EARLIEST: Timestamp = Timestamp::from_seconds(1_767_225_600);

const AS_ROOT: &str = "run it as root: `sudo urva doctor`; in a container it must be privileged";

/// One row for each thing.
pub(super) fn rows(facts: &Facts) -> Vec<Row> {
    let mut rows = vec![config(facts), kernel(&facts.release), btf(facts.has_btf)];
    rows.extend(programs(facts));
    rows.extend(held(facts));
    rows.extend(namespaces(&facts.namespaces));
    rows.push(cgroups(&facts.cgroups));
    rows.extend(runtimes(&facts.runtimes, facts.user));
    rows.extend(state(&facts.state, facts));
    rows.extend(clock(&facts.clock));
    rows.extend(confinement(facts));
    rows.push(model(facts));
    rows
}

fn ok(name: impl Into<String>, needed: bool, found: impl Into<String>) -> Row {
    Row { name: name.into(), needed, state: State::Ok, found: found.into(), remedy: None }
}

fn fails(name: impl Into<String>, found: impl Into<String>, remedy: impl Into<String>) -> Row {
    let remedy = Some(remedy.into());
    Row { name: name.into(), needed: true, state: State::Fails, found: found.into(), remedy }
}

fn not_available(name: impl Into<String>, found: impl Into<String>, remedy: impl Into<String>) -> Row {
    let remedy = Some(remedy.into());
    Row { name: name.into(), needed: false, state: State::NotAvailable, found: found.into(), remedy }
}

fn config(facts: &Facts) -> Row {
    match &facts.config {
        Ok(found) => ok("config", true, found),
        Err(why) => fails("config", why, "correct it; all that follows goes by the defaults"),
    }
}

fn kernel(release: &str) -> Row {
    let (major, minor) = KERNEL_MIN;
    match version(release) {
        Some(version) if version >= KERNEL_MIN => ok("kernel", true, release),
        Some(_) => fails(
            "kernel",
            release,
            format!("urva needs Linux {major}.{minor} or later: install a newer kernel and restart"),
        ),
        None => fails(
            "kernel",
            release,
            format!("its version cannot be read; urva needs {major}.{minor} or later"),
        ),
    }
}

/// Major and minor version: `6.18` of `6.18.44-generic`.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|character: char| !character.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn btf(is_there: bool) -> Row {
    if is_there {
        return ok("BTF", true, "/sys/kernel/btf/vmlinux");
    }
    fails(
        "BTF",
        "/sys/kernel/btf/vmlinux is missing",
        "take a kernel with CONFIG_DEBUG_INFO_BTF=y, as the distributions build theirs since 2021; in a container, \
         mount the host's /sys",
    )
}

fn programs(facts: &Facts) -> impl Iterator<Item = Row> {
    TYPES.iter().map(|known| {
        let name = format!("BPF {}", known.name);
        let report = facts.programs.iter().find(|report| report.name == known.name);
        let works = report.map_or(Err("not tried"), |report| report.works.as_ref().map_err(String::as_str));
        match (works, known.instead) {
            (Ok(()), instead) => {
                let ring = known.name == "ring buffer";
                ok(name, instead.is_none(), if ring { "carries records" } else { "loaded and attached" })
            }
            (Err(why), Some(instead)) => not_available(name, why, instead),
            (Err(why), None) => fails(name, why, refused(facts)),
        }
    })
}

/// What to do where the kernel refuses a program that urva cannot do without.
fn refused(facts: &Facts) -> String {
    if !facts.capabilities.contains(CapabilitySet::BPF | CapabilitySet::PERFMON) {
        return AS_ROOT.to_owned();
    }
    if !facts.has_btf || version(&facts.release).is_none_or(|version| version < KERNEL_MIN) {
        return "see the kernel's row above".to_owned();
    }
    "the kernel refuses it although urva has the capabilities: look for kernel lockdown (`cat \
     /sys/kernel/security/lockdown` must not say [confidentiality]), for a security module's words in `dmesg`, \
     and in a container for its seccomp profile"
        .to_owned()
}

fn held(facts: &Facts) -> impl Iterator<Item = Row> {
    capabilities::NEEDED.iter().map(|capability| {
        if facts.capabilities.contains(capability.set) {
            return ok(capability.name, true, "held");
        }
        let found = format!("missing: urva needs it to {}", capability.purpose);
        match facts.user {
            0 => fails(
                capability.name,
                found,
                "it was taken from this root: give it back in the service's or container's settings \
                 (CapabilityBoundingSet=, securityContext.privileged, --privileged)",
            ),
            _ => fails(capability.name, found, AS_ROOT),
        }
    })
}

fn namespaces(found: &Namespaces) -> [Row; 2] {
    let process_1 = format!("process 1 is {}", if found.init.is_empty() { "not shown" } else { &found.init });
    let pid = match found.own_pid {
        Some(FIRST_PID_NAMESPACE) if found.proc_is_own => {
            ok("PID namespace", true, format!("the host's; {process_1}"))
        }
        Some(FIRST_PID_NAMESPACE) => fails(
            "PID namespace",
            "the host's, but /proc is that of another one",
            "mount a /proc of the host's PID namespace",
        ),
        Some(_) => fails(
            "PID namespace",
            format!("not the host's; {process_1}"),
            "run urva in the host's PID namespace: hostPID: true in a Pod, --pid=host in a container",
        ),
        None => fails("PID namespace", "/proc/self/ns/pid cannot be read", "mount /proc"),
    };
    [pid, mount_namespace(found)]
}

fn mount_namespace(found: &Namespaces) -> Row {
    const NAME: &str = "mount namespace";
    match (found.init_mount, found.own_mount) {
        (Some(init), Some(own)) if init == own => ok(NAME, false, "the host's"),
        (Some(_), _) => ok(NAME, false, "urva's own; that of process 1 can be seen"),
        (None, Some(FIRST_MOUNT_NAMESPACE)) => {
            ok(NAME, false, "the host's, though process 1 shows itself to nobody")
        }
        (None, _) => not_available(
            NAME,
            "that of process 1 cannot be seen",
            "urva takes its own for the host's: what runs outside of it counts as a container's. As root, where \
             urva runs in no container, this is right",
        ),
    }
}

fn cgroups(found: &Cgroups) -> Row {
    let places = |places: &[String]| places.join(", ");
    let found = match (found.are_told, found.v1.is_empty(), found.v2.is_empty()) {
        (false, ..) => {
            return fails(
                "cgroups",
                "the kernel tells no process's cgroup",
                "take a kernel with CONFIG_CGROUPS=y, and mount /proc: the cgroup tells which container a process is in",
            );
        }
        (true, true, true) => "not mounted here; urva reads them from /proc".to_owned(),
        (true, true, false) => format!("version 2 at {}", places(&found.v2)),
        (true, false, true) => format!("version 1 at {}", places(&found.v1)),
        (true, false, false) => {
            format!("hybrid: version 2 at {}, version 1 at {}", places(&found.v2), places(&found.v1))
        }
    };
    ok("cgroups", true, found)
}

fn runtimes(reports: &[SourceReport], user: u32) -> Vec<Row> {
    const NAME: &str = "container runtimes";
    let mut rows = Vec::new();
    let mut absent = Vec::new();
    for report in reports {
        let name = format!("{} {}", report.name, report.path.display());
        match &report.state {
            SourceState::Works(answer) => rows.push(ok(name, false, answer)),
            SourceState::Absent => absent.push(report.path.display().to_string()),
            SourceState::Broken(why) if user != 0 => rows.push(not_available(name, why, AS_ROOT)),
            SourceState::Broken(why) => rows.push(not_available(
                name,
                why,
                "findings lack names and images of its containers: is the runtime up (`systemctl status`)?",
            )),
        }
    }
    let works = rows.iter().filter(|row| row.state == State::Ok).count();
    let absent =
        if absent.is_empty() { String::new() } else { format!("; not there: {}", absent.join(", ")) };
    let summary = if works > 0 {
        ok(NAME, false, format!("{works} that can be asked{absent}"))
    } else {
        not_available(
            NAME,
            format!("none that can be asked{absent}"),
            "urva judges scripts all the same, but findings carry no more than the container's id. If a runtime runs \
             here, name its socket in [runtimes] of the config",
        )
    };
    rows.insert(0, summary);
    rows
}

fn state(found: &StateFacts, facts: &Facts) -> Vec<Row> {
    let mut rows = vec![folder(found, facts.user)];
    rows.extend(found.free.map(free));
    rows.push(running(&found.running));
    rows.push(database(&found.database));
    rows.extend(found.status.as_ref().map(coverage));
    rows
}

fn folder(found: &StateFacts, user: u32) -> Row {
    const NAME: &str = "state folder";
    let path = &found.path;
    let elsewhere = || {
        if user == 0 {
            "correct its owner, mode or mount, or name another with --state or URVA_STATE".to_owned()
        } else {
            AS_ROOT.to_owned()
        }
    };
    match &found.folder {
        Folder::There { owner, mode, writable: Ok(()) } => {
            ok(NAME, true, format!("{path}, of user {owner}, mode {mode:04o}"))
        }
        Folder::There { owner, mode, writable: Err(why) } => fails(
            NAME,
            format!("{path}, of user {owner}, mode {mode:04o}, cannot be written: {why}"),
            elsewhere(),
        ),
        Folder::Missing { writable: Ok(()), .. } => {
            ok(NAME, true, format!("{path} does not exist yet: `urva run` makes it"))
        }
        Folder::Missing { above, writable: Err(why) } => {
            fails(NAME, format!("{path} does not exist, and cannot be made in {above}: {why}"), elsewhere())
        }
        Folder::Unusable(why) => fails(NAME, format!("{path} cannot be used: {why}"), elsewhere()),
    }
}

fn free(bytes: u64) -> Row {
    let mebibytes = bytes >> 20;
    let found = format!("{mebibytes} MiB");
    if bytes >= FREE_MIN {
        return ok("free space", true, found);
    }
    let needed = FREE_MIN >> 20;
    fails(
        "free space",
        found,
        format!("free at least {needed} MiB there, or name another state folder with --state"),
    )
}

fn running(running: &Running) -> Row {
    const NAME: &str = "running urva";
    match running {
        Running::No => ok(NAME, false, "none with this state folder"),
        Running::Yes(Some(pid)) => ok(NAME, false, format!("process {pid}")),
        Running::Yes(None) => ok(NAME, false, "one, whose number is not told"),
        Running::Unknown(why) => not_available(NAME, format!("the lock cannot be seen: {why}"), AS_ROOT),
    }
}

fn database(database: &Database) -> Row {
    const NAME: &str = "database";
    match database {
        Database::Absent => ok(NAME, true, "none yet: `urva run` makes it"),
        Database::Version(0) => ok(NAME, true, "begun, but empty"),
        Database::Version(SCHEMA_VERSION) => ok(NAME, true, format!("schema version {SCHEMA_VERSION}")),
        Database::Version(found) if *found < SCHEMA_VERSION => {
            ok(NAME, true, format!("schema version {found}: `urva run` brings it to {SCHEMA_VERSION}"))
        }
        Database::Version(found) => fails(
            NAME,
            format!("schema version {found}, newer than {SCHEMA_VERSION}, the newest that this urva knows"),
            "install the newer urva again, or move the file away to begin a new one",
        ),
        Database::Refused(why) => {
            fails(NAME, why, "it was left as it is: move it away, or name another state folder with --state")
        }
        Database::Hidden(why) => not_available(NAME, format!("cannot be read: {why}"), AS_ROOT),
    }
}

fn coverage(status: &Status) -> Row {
    const NAME: &str = "coverage so far";
    if status.has_losses() {
        not_available(NAME, status.coverage(), "`urva status` says what was lost, and docs/metrics.md why")
    } else {
        ok(NAME, false, status.coverage())
    }
}

fn clock(found: &Clock) -> [Row; 2] {
    let up = found.since_boot.as_secs();
    let told = format!("{}; the host started {}", seconds(found.now), seconds(started(found)));
    let wall = if found.now >= EARLIEST {
        ok("wall clock", true, told)
    } else {
        fails(
            "wall clock",
            format!("{told}, {up} s ago"),
            "set it: findings would carry times that are wrong by years",
        )
    };
    [wall, time_service(found)]
}

fn started(found: &Clock) -> Timestamp {
    let passed = u64::try_from(found.since_boot.as_nanos()).unwrap_or(u64::MAX);
    Timestamp(found.now.0.saturating_sub(passed))
}

fn time_service(found: &Clock) -> Row {
    const NAME: &str = "time service";
    const REMEDY: &str =
        "times in findings are as right as the host's clock: install chrony or systemd-timesyncd";
    match &found.discipline {
        Ok(discipline) if discipline.is_synchronised => ok(
            NAME,
            false,
            format!("keeps the clock; wrong by {} ms at the most", discipline.error_max_us / 1000),
        ),
        Ok(_) => not_available(NAME, "the kernel knows of none that keeps the clock", REMEDY),
        Err(why) => not_available(NAME, format!("the kernel does not tell: {why}"), REMEDY),
    }
}

fn confinement(facts: &Facts) -> [Row; 3] {
    let landlock = match facts.landlock_abi {
        0 => not_available(
            "Landlock",
            "this kernel has none, or it is not enabled",
            "the detector is confined by user, capabilities and seccomp only; to enable it, add landlock to the \
             kernel's lsm= list",
        ),
        abi => ok("Landlock", false, format!("version {abi}")),
    };
    let seccomp = if facts.has_seccomp {
        ok("seccomp", true, "filters can end a process")
    } else {
        fails(
            "seccomp",
            "filters that end a process are not offered",
            "take a kernel with CONFIG_SECCOMP_FILTER=y: without it the detector, which reads hostile text, is not confined",
        )
    };
    let user = match &facts.detector_user {
        Ok((uid, gid)) => ok("detector's user", true, format!("user {uid}, group {gid}")),
        Err(why) => fails("detector's user", why, "correct detector.user in the config, or remove it"),
    };
    [landlock, seccomp, user]
}

fn model(facts: &Facts) -> Row {
    match &facts.model {
        Ok(id) => ok("model", true, id),
        Err(why) => fails(
            "model",
            why,
            "correct detector.model in the config, or remove it to use the built-in model",
        ),
    }
}
