//! Loads the programs of `bpf/input.bpf.c`, attaches them to one process at a time, and reads their ring.
//!
//! Owns: the loaded object, and the two ways to attach: several places at once (Linux 6.6 and later), or one by one.
//! Refuses: meaning. Records leave as numbers and bytes.

use super::library::Library;
use super::sites::Call;
use crate::hold::HoldSettings;
use crate::skeleton::input::{InputSkel, InputSkelBuilder, types};
use libbpf_rs::skel::{OpenSkel, SkelBuilder};
use libbpf_rs::{
    Link, MapCore, MapFlags, MapHandle, OpenObject, ProgramAttachType, RingBuffer, RingBufferBuilder,
};
use std::ffi::CString;
use std::io;
use std::mem::{MaybeUninit, offset_of};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

pub(super) use types::input_watch as Watch;

/// The head of a record, as `bpf/input.h` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct InputEvent {
    /// The watch.
    pub(super) id: u64,
    /// Of the first byte.
    pub(super) position: u64,
    /// One of [`kind`].
    pub(super) kind: u32,
}

/// Values of `kind`, as `bpf/input.h` has them; any other one is the end of the process.
pub(super) mod kind {
    pub(in crate::input) const BYTES: u32 = 1;
    pub(in crate::input) const EOF: u32 = 2;
    pub(in crate::input) const HELD: u32 = 4;
    pub(in crate::input) const HELD_AT_EOF: u32 = 5;
}

/// When a process is stopped until what it has read is judged, as `bpf/input.h` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HoldAt {
    Never = 0,
    Lines = 1,
    End = 2,
}

/// Where the kernel says under which number it knows uprobes.
const UPROBE_TYPE: &str = "/sys/bus/event_source/devices/uprobe/type";

/// `PERF_FLAG_FD_CLOEXEC`.
const CLOSE_ON_EXEC: libc::c_ulong = 8;

/// The ring, and what keeps the object loaded.
pub(super) struct Probe {
    ring: RingBuffer<'static>,
    _links: [Link; 2],
    _skeleton: InputSkel<'static>,
}

/// Attaches the programs; for any thread.
pub(super) struct Attacher {
    /// In the order of [`Call`].
    programs: [OwnedFd; 4],
    /// Sees the reads of young processes; none on architectures for which it is not written.
    young: Option<OwnedFd>,
    watches: MapHandle,
    way: Way,
}

/// How a program is attached to a place in one process.
enum Way {
    /// All places in one call.
    Multi,
    /// Each through a performance event of this type.
    Events(u32),
}

/// What keeps the probes of one process attached. Dropping it takes some milliseconds.
pub(super) struct Attached {
    /// On whose account.
    pub(super) budget: u64,
    _links: Vec<OwnedFd>,
}

impl Probe {
    /// Loads; `on_record` then gets each record while [`Probe::consume`] runs.
    pub(super) fn load(
        hold: Option<HoldSettings>,
        held: &MapHandle,
        on_record: impl FnMut(&[u8]) + 'static,
    ) -> Result<(Self, Attacher), String> {
        let load = |is_multi| load(hold, held, is_multi);
        let (skeleton, way) = match load(true) {
            Ok(skeleton) => (skeleton, Way::Multi),
            Err(_) => (load(false).map_err(|error| error.to_string())?, Way::Events(uprobe_type()?)),
        };
        Self::start(skeleton, way, on_record).map_err(|error| error.to_string())
    }

    fn start(
        skeleton: InputSkel<'static>,
        way: Way,
        mut on_record: impl FnMut(&[u8]) + 'static,
    ) -> Result<(Self, Attacher), libbpf_rs::Error> {
        let inputs = MapHandle::try_from(&skeleton.maps.inputs)?;
        let watches = MapHandle::try_from(&skeleton.maps.watches)?;
        let mut ring = RingBufferBuilder::new();
        ring.add(&inputs, move |record: &[u8]| {
            on_record(record);
            0
        })?;
        let ring = ring.build()?;
        let programs = &skeleton.progs;
        let programs = [
            programs.after_read.as_fd().try_clone_to_owned()?,
            programs.after_any.as_fd().try_clone_to_owned()?,
            programs.after_readv.as_fd().try_clone_to_owned()?,
            programs.after_stacked.as_fd().try_clone_to_owned()?,
        ];
        #[cfg(target_arch = "x86_64")]
        let young = Some(skeleton.progs.young_read.as_fd().try_clone_to_owned()?);
        #[cfg(not(target_arch = "x86_64"))]
        let young = None;
        let links = [skeleton.progs.input_exec.attach()?, skeleton.progs.input_exit.attach()?];
        let probe = Self { ring, _links: links, _skeleton: skeleton };
        Ok((probe, Attacher { programs, young, watches, way }))
    }

    /// Becomes readable when there are records.
    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        // SAFETY: the ring owns its epoll descriptor and outlives this borrow.
        unsafe { BorrowedFd::borrow_raw(self.ring.epoll_fd()) }
    }

    /// Hands out what is there.
    pub(super) fn consume(&self) {
        // The callback never fails, so consuming cannot.
        let _ = self.ring.consume();
    }
}

fn load(
    hold: Option<HoldSettings>,
    held: &MapHandle,
    is_multi: bool,
) -> Result<InputSkel<'static>, libbpf_rs::Error> {
    // One object for the life of the process, as for the probe on exec.
    let storage: &'static mut MaybeUninit<OpenObject> = Box::leak(Box::new(MaybeUninit::uninit()));
    let mut open = InputSkelBuilder::default().open(storage)?;
    if is_multi {
        let programs = &mut open.progs;
        let after = [
            &mut programs.after_read,
            &mut programs.after_any,
            &mut programs.after_readv,
            &mut programs.after_stacked,
        ];
        for program in after {
            program.set_attach_type(ProgramAttachType::TraceUprobeMulti);
        }
    }
    if let Some(constants) = open.maps.rodata_data.as_deref_mut() {
        constants.hold_enabled = hold.is_some();
        constants.hold_terminals = hold.is_some_and(|hold| hold.terminals);
    }
    open.maps.held.reuse_fd(held.as_fd())?;
    open.load()
}

fn uprobe_type() -> Result<u32, String> {
    let text = std::fs::read_to_string(UPROBE_TYPE).map_err(|error| format!("{UPROBE_TYPE}: {error}"))?;
    text.trim().parse().map_err(|_| format!("{UPROBE_TYPE} holds no number"))
}

impl Attacher {
    /// Whether the kernel lets nobody attach without `CAP_PERFMON`.
    pub(super) fn needs_perfmon(&self) -> bool {
        matches!(self.way, Way::Events(_))
    }

    /// Has the reads of a process sent. It replaces a former watch of the same process.
    pub(super) fn watch(&self, pid: u32, watch: &Watch) -> Result<(), libbpf_rs::Error> {
        let mut value = [0; size_of::<Watch>()];
        value[..8].copy_from_slice(&watch.id.to_ne_bytes());
        value[8..16].copy_from_slice(&watch.inode.to_ne_bytes());
        value[16..24].copy_from_slice(&watch.position.to_ne_bytes());
        value[24..28].copy_from_slice(&watch.device.to_ne_bytes());
        value[28..32].copy_from_slice(&watch.hold.to_ne_bytes());
        self.watches.update(&pid.to_ne_bytes(), &value, MapFlags::ANY)
    }

    /// Lets a process that is stopped read up to a position without being stopped for it.
    pub(super) fn allow(&self, pid: u32, id: u64, judged: u64) {
        let key = pid.to_ne_bytes();
        if let Ok(Some(mut value)) = self.watches.lookup(&key, MapFlags::ANY)
            && value.get(..8) == Some(&id.to_ne_bytes()[..])
            && let Some(place) = value.get_mut(offset_of!(Watch, judged)..size_of::<Watch>())
        {
            place.copy_from_slice(&judged.to_ne_bytes());
            // Where the process has ended, so has its watch.
            let _ = self.watches.update(&key, &value, MapFlags::EXIST);
        }
    }

    /// Whether a read of the process has come through its own probes.
    pub(super) fn is_probed(&self, pid: u32) -> bool {
        let value = self.watches.lookup(&pid.to_ne_bytes(), MapFlags::ANY).ok().flatten();
        let probed =
            value.as_ref().and_then(|value| value.get(offset_of!(Watch, probed)..)?.first_chunk::<4>());
        probed.is_none_or(|probed| *probed != [0; 4])
    }

    /// Forgets that the last read of a process that sleeps was seen: the next one is another.
    pub(super) fn forget_seen(&self, pid: u32, id: u64) {
        let key = pid.to_ne_bytes();
        if let Ok(Some(mut value)) = self.watches.lookup(&key, MapFlags::ANY)
            && value.get(..8) == Some(&id.to_ne_bytes()[..])
            && let Some(place) = value.get_mut(offset_of!(Watch, seen)..offset_of!(Watch, seen) + 4)
        {
            place.fill(0);
            // Where the process has ended, so has its watch.
            let _ = self.watches.update(&key, &value, MapFlags::EXIST);
        }
    }

    /// Ends the watch of a process, unless it is another one by now.
    pub(super) fn forget(&self, pid: u32, id: u64) {
        let key = pid.to_ne_bytes();
        if let Ok(Some(value)) = self.watches.lookup(&key, MapFlags::ANY)
            && value.get(..8) == Some(&id.to_ne_bytes()[..])
        {
            // The process may have ended in between, which removes it too.
            let _ = self.watches.delete(&key);
        }
    }

    /// Sees the reads of all watched processes from now on, until the descriptor is closed. Every system call of the host
    /// is slower meanwhile.
    pub(super) fn see_all(&self) -> io::Result<OwnedFd> {
        let program = self.young.as_ref().ok_or(io::ErrorKind::Unsupported)?;
        // SAFETY: the program names its own tracepoint, so no name is given; the descriptor is open.
        owned(unsafe { libbpf_sys::bpf_raw_tracepoint_open(std::ptr::null(), program.as_raw_fd()) })
    }

    /// Puts probes at the places in a library, for one process. Takes some 10 ms.
    pub(super) fn attach(&self, pid: u32, budget: u64, library: &Library) -> io::Result<Attached> {
        let mut links = Vec::new();
        for (number, program) in self.programs.iter().enumerate() {
            let places = library.sites.iter().filter_map(|site| {
                let (of_program, cookie) = program_of(site.call);
                (of_program == number).then_some(Place { offset: site.offset, cookie })
            });
            let places: Vec<Place> = places.collect();
            match self.way {
                _ if places.is_empty() => {}
                Way::Multi => links.push(attach_all(program, pid, &library.file, &places)?),
                Way::Events(kind) => {
                    for place in places {
                        links.extend(attach_one(program, pid, &library.file, place, kind)?);
                    }
                }
            }
        }
        Ok(Attached { budget, _links: links })
    }
}

/// An offset in a file, and what the program is told that runs there.
#[derive(Clone, Copy)]
struct Place {
    offset: u64,
    cookie: u64,
}

/// Which of the programs stands behind a call, and what it is told.
fn program_of(call: Call) -> (usize, u64) {
    match call {
        Call::Read => (0, 0),
        Call::Any => (1, 0),
        Call::Readv => (2, 0),
        Call::Stacked(slot) => (3, u64::from(slot)),
    }
}

/// The name under which this process reaches an open file, for calls that want a path.
fn path_of(file: &impl AsFd) -> CString {
    CString::new(format!("/proc/self/fd/{}", file.as_fd().as_raw_fd())).unwrap_or_default()
}

fn attach_all(program: &OwnedFd, pid: u32, file: &impl AsFd, places: &[Place]) -> io::Result<OwnedFd> {
    let path = path_of(file);
    let offsets: Vec<u64> = places.iter().map(|place| place.offset).collect();
    let cookies: Vec<u64> = places.iter().map(|place| place.cookie).collect();
    let mut options = libbpf_sys::bpf_link_create_opts {
        sz: size_of::<libbpf_sys::bpf_link_create_opts>() as _,
        ..Default::default()
    };
    options.__bindgen_anon_1.uprobe_multi = libbpf_sys::bpf_link_create_opts__bindgen_ty_1__bindgen_ty_3 {
        cnt: u32::try_from(places.len()).unwrap_or(0),
        path: path.as_ptr(),
        offsets: offsets.as_ptr(),
        cookies: cookies.as_ptr(),
        pid,
        ..Default::default()
    };
    let kind = libbpf_sys::BPF_TRACE_UPROBE_MULTI;
    // SAFETY: the path ends with a NUL, `cnt` is the number of offsets and of cookies, and all outlive the call.
    owned(unsafe { libbpf_sys::bpf_link_create(program.as_raw_fd(), 0, kind, &raw const options) })
}

/// An event and the program's link to it.
fn attach_one(
    program: &OwnedFd,
    pid: u32,
    file: &impl AsFd,
    place: Place,
    kind: u32,
) -> io::Result<[OwnedFd; 2]> {
    let path = path_of(file);
    let mut event = libbpf_sys::perf_event_attr {
        type_: kind,
        size: u32::try_from(size_of::<libbpf_sys::perf_event_attr>()).unwrap_or(0),
        ..Default::default()
    };
    event.__bindgen_anon_3.uprobe_path = path.as_ptr() as u64;
    event.__bindgen_anon_4.probe_offset = place.offset;
    let pid = i32::try_from(pid).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: the structure is complete and says its size; the path in it ends with a NUL and outlives the call.
    let opened =
        unsafe { libc::syscall(libc::SYS_perf_event_open, &raw const event, pid, -1, -1, CLOSE_ON_EXEC) };
    if opened < 0 {
        return Err(io::Error::last_os_error());
    }
    let event = owned(i32::try_from(opened).map_err(|_| io::ErrorKind::InvalidData)?)?;
    let kind = libbpf_sys::BPF_PERF_EVENT;
    let mut options = libbpf_sys::bpf_link_create_opts {
        sz: size_of::<libbpf_sys::bpf_link_create_opts>() as _,
        ..Default::default()
    };
    options.__bindgen_anon_1.perf_event.bpf_cookie = place.cookie;
    // SAFETY: the options say their size and outlive the call, and both descriptors are open.
    let link = owned(unsafe {
        libbpf_sys::bpf_link_create(program.as_raw_fd(), event.as_raw_fd(), kind, &raw const options)
    })?;
    Ok([event, link])
}

/// A descriptor that libbpf has just opened, or the error whose number it gave back.
fn owned(descriptor: i32) -> io::Result<OwnedFd> {
    if descriptor < 0 {
        return Err(io::Error::from_raw_os_error(-descriptor));
    }
    // SAFETY: the descriptor was opened by this call and belongs to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Takes a record apart; None for one that cannot be what the programs write.
pub(super) fn decode(record: &[u8]) -> Option<(InputEvent, &[u8])> {
    const HEAD: usize = 24;
    let number = |at: usize| Some(u64::from_ne_bytes(record.get(at..at + 8)?.try_into().ok()?));
    let word = |at: usize| Some(u32::from_ne_bytes(record.get(at..at + 4)?.try_into().ok()?));
    let event = InputEvent { id: number(0)?, position: number(8)?, kind: word(16)? };
    let bytes = record.get(HEAD..)?.get(..word(20)? as usize)?;
    Some((event, bytes))
}

/// Waits until the ring has records, one of `others` is readable, or the time is over.
pub(super) fn wait(probe: &Probe, others: [BorrowedFd<'_>; 2], limit: Duration) {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let descriptors = [probe.descriptor(), others[0], others[1]];
    let mut ready = descriptors.each_ref().map(|descriptor| PollFd::new(descriptor, PollFlags::IN));
    let limit = Timespec::try_from(limit).ok();
    // An interrupted wait is a short wait.
    let _ = poll(&mut ready, limit.as_ref());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_taken_apart_or_refused_wherever_it_was_cut() {
        let mut record = [7u64.to_ne_bytes(), 40u64.to_ne_bytes()].concat();
        record.extend(kind::BYTES.to_ne_bytes());
        record.extend(3u32.to_ne_bytes());
        record.extend(b"sh\n\0\0");
        let event = InputEvent { id: 7, position: 40, kind: kind::BYTES };
        assert_eq!(decode(&record), Some((event, &b"sh\n"[..])));
        for length in 0..27 {
            assert_eq!(decode(&record[..length]), None, "cut to {length}");
        }
    }
}
