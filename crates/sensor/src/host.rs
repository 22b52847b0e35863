//! What the kernel of this host lets urva do, found out by doing it.
//!
//! Owns: loading and attaching one tiny program of each BPF type, and the two system calls that no library
//! wraps safely. Nothing stays loaded, and nothing on the host is changed.
//! Refuses: judging what is missing, which `urva doctor` does.

use libbpf_rs::{Link, MapCore, Object, ObjectBuilder, ProgramInput, ProgramMut, RingBufferBuilder};
use std::io;
use std::path::Path;
use std::time::Duration;

/// `bpf/host.bpf.c`, compiled.
static OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/host.bpf.o"));

/// Where the kernel names the security modules that are active.
const ACTIVE_LSMS: &str = "/sys/kernel/security/lsm";

/// Where the kernel numbers its tracepoints.
const TRACEFS: [&str; 2] = ["/sys/kernel/tracing/events", "/sys/kernel/debug/tracing/events"];

/// Whether programs of one type work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgramTypeReport {
    /// The type, as `SEC()` names it; `ring buffer` for what carries records from the kernel.
    pub name: &'static str,
    /// What went wrong: the kernel's or libbpf's words.
    pub works: Result<(), String>,
}

/// What `try_ring_buffer` sends.
const RECORD: u64 = 0x7572_7661;

type Try = fn(&ProgramMut<'_>) -> Result<Link, libbpf_rs::Error>;

/// Types by name and by program, in the order in which urva depends on them.
const TYPES: [(&str, &str, Try); 10] = [
    ("tp_btf", "try_tp_btf", |program| program.attach()),
    ("raw_tp", "try_raw_tp", |program| program.attach()),
    ("tracepoint", "try_tracepoint", |program| program.attach()),
    ("uprobe", "try_uprobe", attach_to_self),
    ("uprobe.s", "try_uprobe_sleepable", attach_to_self),
    ("bpf_loop", "try_loop", attach_to_self),
    ("fentry", "try_fentry", |program| program.attach()),
    ("lsm", "try_lsm", |program| program.attach()),
    ("kprobe", "try_kprobe", |program| program.attach()),
    ("iter", "try_iter", |program| program.attach()),
];

/// Loads, attaches and detaches one program of each type that urva uses or can use, and sends one record
/// through a ring buffer. None of the programs does anything. Never fails: what is refused is in the reports.
pub fn probe_program_types() -> Vec<ProgramTypeReport> {
    // What libbpf would write to standard error is in the errors too.
    libbpf_rs::set_print(None);
    let ring = send_record().map_err(|error| in_words(&error)).and_then(|arrived| match arrived {
        true => Ok(()),
        false => Err("a record that was sent did not arrive".to_owned()),
    });
    let mut reports = vec![ProgramTypeReport { name: "ring buffer", works: ring }];
    for (name, program, attach) in TYPES {
        let works = load(program).and_then(|object| {
            let found = object.progs_mut().find(|found| found.name() == program);
            attach(&found.ok_or_else(missing)?).map(drop)
        });
        let works = works.map_err(|error| explain(name, &error));
        let works = if name == "lsm" { works.and_then(|()| check_lsm_runs()) } else { works };
        reports.push(ProgramTypeReport { name, works });
    }
    reports
}

/// Loads one program of the object, and no other.
fn load(wanted: &str) -> Result<Object, libbpf_rs::Error> {
    let mut open = ObjectBuilder::default().open_memory(OBJECT)?;
    for mut program in open.progs_mut() {
        let is_wanted = program.name() == wanted;
        program.set_autoload(is_wanted);
    }
    for mut map in open.maps_mut() {
        // Creating a ring that is not needed takes memory, and fails where only rings are refused.
        map.set_autocreate(wanted == "try_ring_buffer")?;
    }
    open.load()
}

/// A program or map that is not in the object: it was built from other sources than this file.
fn missing() -> libbpf_rs::Error {
    io::Error::other("it is not in the object").into()
}

/// A probe in this very process, at a function that is called nowhere else.
fn attach_to_self(program: &ProgramMut<'_>) -> Result<Link, libbpf_rs::Error> {
    let address = probed as fn() as usize;
    let offset = file_offset(address).map_err(libbpf_rs::Error::from)?;
    let pid = i32::try_from(std::process::id()).unwrap_or(0);
    program.attach_uprobe(false, pid, "/proc/self/exe", offset)
}

#[inline(never)]
fn probed() {
    std::hint::black_box(());
}

/// Where in the executable's file the code at an address of this process lies.
fn file_offset(address: usize) -> io::Result<usize> {
    let maps = std::fs::read_to_string("/proc/self/maps")?;
    let found = maps.lines().find_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let (from, to) = fields.next()?.split_once('-')?;
        let hex = |text| usize::from_str_radix(text, 16).ok();
        let (from, to, offset) = (hex(from)?, hex(to)?, hex(fields.nth(1)?)?);
        (from..to).contains(&address).then(|| address - from + offset)
    });
    found.ok_or_else(|| io::Error::other("this process's own code is in no mapping"))
}

/// Says what a missing file means, where libbpf says only that one is missing.
fn explain(name: &str, error: &libbpf_rs::Error) -> String {
    let is_missing = |path: &str| error.kind() == libbpf_rs::ErrorKind::NotFound && !Path::new(path).exists();
    match name {
        "tracepoint" if TRACEFS.iter().all(|path| is_missing(path)) => {
            "tracefs is not mounted at /sys/kernel/tracing".to_owned()
        }
        "kprobe" if is_missing("/sys/bus/event_source/devices/kprobe") => {
            "the kernel is built without kprobes".to_owned()
        }
        _ => in_words(error),
    }
}

/// Where `bpf` is not among the active security modules, LSM programs are taken and never called.
fn check_lsm_runs() -> Result<(), String> {
    match std::fs::read_to_string(ACTIVE_LSMS) {
        Ok(active) if !active.trim().split(',').any(|module| module == "bpf") => {
            Err(format!("attached, but never called: {ACTIVE_LSMS} does not list bpf"))
        }
        // Where the file is not mounted, nothing speaks against it.
        _ => Ok(()),
    }
}

/// Sends one record through a ring buffer, by a test run: no hook of the kernel is involved. Returns whether
/// it arrived.
fn send_record() -> Result<bool, libbpf_rs::Error> {
    let object = load("try_ring_buffer")?;
    let program =
        object.progs_mut().find(|program| program.name() == "try_ring_buffer").ok_or_else(missing)?;
    let ring = object.maps().find(|map| map.name() == "ring").ok_or_else(missing)?;
    let mut arrived = false;
    let mut builder = RingBufferBuilder::new();
    let on_record = |record: &[u8]| {
        arrived = record == RECORD.to_ne_bytes();
        0
    };
    builder.add(&ring, on_record)?;
    let reader = builder.build()?;
    program.test_run(ProgramInput::default())?;
    reader.poll(Duration::from_millis(100))?;
    drop(reader);
    Ok(arrived)
}

fn in_words(error: &libbpf_rs::Error) -> String {
    format!("{error:#}")
}

/// How exactly the kernel believes its clock to be right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockDiscipline {
    /// Whether a time service keeps the clock.
    pub is_synchronised: bool,
    /// The most that the clock can be wrong, in microseconds, as the time service told the kernel.
    pub error_max_us: u64,
}

/// Asks the kernel whether a time service keeps the clock. Nothing is set.
pub fn clock_discipline() -> io::Result<ClockDiscipline> {
    // SAFETY: `timex` is a plain structure of integers, for which all zeros are a value; `modes` 0 only reads.
    let mut timex: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: `timex` is valid for writes for the length of the call.
    let state = unsafe { libc::adjtimex(&raw mut timex) };
    if state < 0 {
        return Err(io::Error::last_os_error());
    }
    let is_synchronised = state != libc::TIME_ERROR && timex.status & libc::STA_UNSYNC == 0;
    Ok(ClockDiscipline { is_synchronised, error_max_us: u64::try_from(timex.maxerror).unwrap_or(0) })
}

/// The version of Landlock that the kernel enforces; 0 where it has none or it is not enabled.
pub fn landlock_abi() -> u32 {
    const VERSION: libc::c_ulong = 1;
    // SAFETY: with this flag the call reads no memory: the attribute is null and its size 0, as the manual says.
    let abi = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            std::ptr::null::<libc::c_void>(),
            0 as libc::size_t,
            VERSION,
        )
    };
    u32::try_from(abi).unwrap_or(0)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Whether this test may load programs; it says so where it may not.
    pub(crate) fn may_load_programs() -> bool {
        let is_skipped = std::env::var_os("URVA_TEST_SKIP_PRIVILEGED").is_some_and(|value| value == "1");
        if is_skipped {
            println!("SKIPPED: loading programs needs root");
        }
        !is_skipped
    }

    #[test]
    fn the_code_of_this_process_is_in_its_file() {
        let offset = file_offset(probed as fn() as usize).unwrap();
        let size = std::fs::metadata("/proc/self/exe").unwrap().len();
        assert!(offset > 0 && (offset as u64) < size, "{offset} of {size}");
        assert!(file_offset(0).is_err());
    }

    #[test]
    fn what_urva_needs_works_and_what_is_refused_says_why() {
        if !may_load_programs() {
            return;
        }
        let reports = probe_program_types();
        let names: Vec<_> = reports.iter().map(|report| report.name).collect();
        let expected = ["ring buffer", "tp_btf", "raw_tp", "tracepoint", "uprobe", "uprobe.s", "bpf_loop"];
        assert_eq!(names[..7], expected);
        for report in &reports {
            match &report.works {
                Ok(()) => {}
                Err(why) => {
                    assert!(!["ring buffer", "tp_btf"].contains(&report.name), "{report:?}");
                    assert!(!why.is_empty() && !why.contains('\n'), "{report:?}");
                }
            }
        }
    }

    #[test]
    fn the_kernel_tells_about_clock_and_landlock() {
        assert!(clock_discipline().is_ok());
        assert!(landlock_abi() < 1000);
    }
}
