//! Reads what the BPF programs wrote into the ring buffer: bytes in, events out.
//!
//! Owns: the decoding of `bpf/event.h`. The structures themselves are generated from it.
//! Refuses: trust. A short or odd record is a [`WireError`], never a panic; every length is checked
//! against the bytes that are there, and every read is an unaligned copy.

use crate::skeleton::types;
use evidence::Untrusted;

pub use crate::skeleton::texts::types::{
    code_image as CodeImage, held_process as HeldProcess, text_event as TextHeader,
};
pub use types::{exec_event as ExecHeader, strings_event as StringsHeader};

/// Values of `kind` and bits of `flags`; the test `tests/event_layout.rs` compares them with `event.h`.
pub mod value {
    #![allow(missing_docs, reason = "the names are those of event.h, which explains them")]
    pub const EVENT_EXEC: u32 = 1;
    pub const EVENT_STRINGS: u32 = 2;
    pub const EVENT_CANARY: u32 = 4;
    pub const EVENT_WAITING: u32 = 5;
    pub const EXEC_UNKNOWN_EXECUTABLE: u32 = 1 << 0;
    pub const EXEC_PATH_CUT: u32 = 1 << 1;
    pub const EXEC_HELD: u32 = 1 << 2;
    pub const CLASS_OTHER: u32 = 1;
    pub const CLASS_INTERPRETER: u32 = 2;
    pub const CLASS_BUSYBOX: u32 = 3;
    pub const COUNTER_LOST: u32 = 0;
    pub const COUNTER_REFUSED: u32 = 1;
    pub const EVENT_TEXT: u32 = 3;
    pub const TEXT_PYTHON_RUN: u32 = 1;
    pub const TEXT_PYTHON_COMPILE: u32 = 2;
    pub const TEXT_BASH: u32 = 3;
    pub const TEXT_PYTHON_CODE: u32 = 4;
    pub const CODE_IMAGES: u32 = 2048;
    pub const TEXT_LAST: u32 = 1 << 0;
    pub const TEXT_CUT: u32 = 1 << 1;
    pub const TEXT_UNREADABLE: u32 = 1 << 2;
    pub const TEXT_NAMELESS: u32 = 1 << 3;
    pub const TEXT_HELD: u32 = 1 << 4;
    pub const TEXT_TAIL: u32 = 1 << 5;
    pub const TEXT_ENDLESS: u32 = 1 << 6;
    pub const TEXT_ROUNDS_MAX: u32 = 64;
    pub const TEXT_CHUNK: u32 = 16384;
    pub const TEXT_PARTS_MAX: u32 = 64;
}

/// Most bytes of strings that are believed: what the kernel itself allows, with room for the environment.
pub const STRINGS_MAX: u64 = 6 * 1024 * 1024 + 256 * 1024;

/// A record that cannot be what the programs write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Shorter than its header, or than the lengths in its header say.
    #[error("kernel event of {have} bytes is shorter than the {need} it claims")]
    Short {
        /// Bytes that came.
        have: usize,
        /// Bytes that the header speaks of.
        need: usize,
    },
    /// Neither an exec nor strings.
    #[error("kernel event of unknown kind {0}")]
    UnknownKind(u32),
    /// Lengths that contradict each other.
    #[error("kernel event with lengths that contradict each other")]
    Inconsistent,
}

/// One record.
#[derive(Debug, Clone)]
pub enum Event<'a> {
    /// The first record of an exec.
    Exec(Box<ExecRecord<'a>>),
    /// A further part of its strings.
    Strings {
        /// The record's header.
        header: StringsHeader,
        /// The bytes behind it.
        bytes: &'a [u8],
    },
}

/// The first record of an exec, taken apart.
#[derive(Debug, Clone)]
pub struct ExecRecord<'a> {
    /// The numbers.
    pub header: ExecHeader,
    /// Absolute path of the executable inside the container.
    pub executable: Untrusted,
    /// Working directory.
    pub cwd: Untrusted,
    /// Path of the cgroup.
    pub cgroup: Untrusted,
    /// The first part of the strings.
    pub strings: &'a [u8],
}

/// Whether a record says that urva's own canary was executed.
pub(crate) fn is_canary(record: &[u8]) -> bool {
    u32_at(record, std::mem::offset_of!(StringsHeader, kind)) == Some(value::EVENT_CANARY)
}

/// Takes one record apart.
pub fn decode(record: &[u8]) -> Result<Event<'_>, WireError> {
    // The same in both, so that nothing behind the shorter header is ever read as a field of the longer one.
    const KIND_AT: usize = std::mem::offset_of!(StringsHeader, kind);
    const { assert!(KIND_AT == std::mem::offset_of!(ExecHeader, kind)) };
    match u32_at(record, KIND_AT) {
        Some(value::EVENT_EXEC) => decode_exec(record),
        Some(value::EVENT_STRINGS | value::EVENT_WAITING) => {
            decode_strings(read(record)?, &record[size_of::<StringsHeader>()..])
        }
        Some(other) => Err(WireError::UnknownKind(other)),
        None => Err(WireError::Short { have: record.len(), need: size_of::<StringsHeader>() }),
    }
}

/// Takes a record of a text apart: its header and its part of the text.
pub fn decode_text(record: &[u8]) -> Result<(TextHeader, &[u8]), WireError> {
    let header: TextHeader = read(record)?;
    if header.kind != value::EVENT_TEXT {
        return Err(WireError::UnknownKind(header.kind));
    }
    let bytes = take(&mut &record[size_of::<TextHeader>()..], header.length)?;
    let end = header.offset.checked_add(bytes.len() as u64);
    let parts = u64::from(value::TEXT_PARTS_MAX) * u64::from(value::TEXT_ROUNDS_MAX);
    let longest = u64::from(value::TEXT_CHUNK) * parts;
    if end.is_none_or(|end| end > longest) {
        return Err(WireError::Inconsistent);
    }
    Ok((header, bytes))
}

fn decode_strings(header: StringsHeader, rest: &[u8]) -> Result<Event<'_>, WireError> {
    if header.offset > STRINGS_MAX {
        return Err(WireError::Inconsistent);
    }
    let bytes = take(&mut &*rest, header.length)?;
    Ok(Event::Strings { header, bytes })
}

fn decode_exec(record: &[u8]) -> Result<Event<'_>, WireError> {
    let header: ExecHeader = read(record)?;
    let mut rest = &record[size_of::<ExecHeader>()..];
    let executable = path(take(&mut rest, header.executable_path_length)?);
    let cwd = path(take(&mut rest, header.cwd_length)?);
    let cgroup = path(take(&mut rest, header.cgroup_length)?);
    let strings = take(&mut rest, header.strings_length)?;
    let is_consistent = header.arguments_size.checked_add(header.environment_size).is_some()
        && u64::from(header.strings_length) <= header.strings_size
        && header.strings_size <= STRINGS_MAX;
    if !is_consistent {
        return Err(WireError::Inconsistent);
    }
    Ok(Event::Exec(Box::new(ExecRecord { header, executable, cwd, cgroup, strings })))
}

/// Copies a header out of the beginning of a record.
pub(crate) fn read<T: Copy + Plain>(record: &[u8]) -> Result<T, WireError> {
    let need = size_of::<T>();
    if record.len() < need {
        return Err(WireError::Short { have: record.len(), need });
    }
    // SAFETY: the record has at least `size_of::<T>()` bytes, the copy asks for no alignment, and every
    // bit pattern is a valid `T`, since `Plain` is only implemented for structures of integers.
    Ok(unsafe { std::ptr::read_unaligned(record.as_ptr().cast::<T>()) })
}

/// Structures of integers only, for which any bytes are a value.
pub(crate) trait Plain {}
impl Plain for ExecHeader {}
impl Plain for StringsHeader {}
impl Plain for TextHeader {}
impl Plain for HeldProcess {}

fn u32_at(record: &[u8], at: usize) -> Option<u32> {
    let bytes = record.get(at..at + 4)?;
    Some(u32::from_ne_bytes(bytes.try_into().ok()?))
}

fn take<'a>(rest: &mut &'a [u8], length: u32) -> Result<&'a [u8], WireError> {
    let length = length as usize;
    let Some((taken, left)) = rest.split_at_checked(length) else {
        return Err(WireError::Short { have: rest.len(), need: length });
    };
    *rest = left;
    Ok(taken)
}

/// Turns components, leaf first and each ended by NUL, into an absolute path.
fn path(components: &[u8]) -> Untrusted {
    let mut path = Vec::with_capacity(components.len() + 1);
    let names: Vec<&[u8]> =
        components.split(|byte| *byte == 0).filter(|name| !name.is_empty() && *name != b"/").collect();
    for name in names.iter().rev() {
        path.push(b'/');
        path.extend_from_slice(name);
    }
    if path.is_empty() {
        path.push(b'/');
    }
    path.into()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn bytes_of<T: Copy + Plain>(header: &T) -> Vec<u8> {
        // SAFETY: any `Plain` structure is `size_of::<T>()` initialised bytes; the skeleton spells out padding.
        unsafe {
            std::slice::from_raw_parts(std::ptr::from_ref(header).cast::<u8>(), size_of::<T>()).to_vec()
        }
    }

    /// A record as the kernel writes it for `python3 /tmp/x.py`, with the strings given.
    pub(crate) fn exec_record(
        strings: &[u8],
        strings_size: u64,
        edit: impl FnOnce(&mut ExecHeader),
    ) -> Vec<u8> {
        let (executable, cwd, cgroup) = (b"python3.11\0bin\0usr\0", b"tmp\0", b"c1\0");
        let mut header = ExecHeader {
            kind: value::EVENT_EXEC,
            pid: 42,
            exec_time: 7,
            executable_path_length: 19,
            cwd_length: 4,
            cgroup_length: 3,
            strings_length: u32::try_from(strings.len()).unwrap(),
            strings_size,
            arguments_size: strings_size,
            ..ExecHeader::default()
        };
        edit(&mut header);
        let mut record = bytes_of(&header);
        record.extend_from_slice(executable);
        record.extend_from_slice(cwd);
        record.extend_from_slice(cgroup);
        record.extend_from_slice(strings);
        record
    }

    #[test]
    fn an_exec_is_taken_apart() {
        let record = exec_record(b"python3\0/tmp/x.py\0", 18, |_| {});
        let Event::Exec(exec) = decode(&record).unwrap() else { panic!("not an exec") };
        assert_eq!(&*exec.executable, b"/usr/bin/python3.11");
        assert_eq!(&*exec.cwd, b"/tmp");
        assert_eq!(&*exec.cgroup, b"/c1");
        assert_eq!(exec.strings, b"python3\0/tmp/x.py\0");
    }

    #[test]
    fn a_record_that_was_cut_is_refused_wherever_it_was_cut() {
        let record = exec_record(b"python3\0", 8, |_| {});
        for length in 0..record.len() {
            assert!(decode(&record[..length]).is_err(), "cut to {length}");
        }
    }

    #[test]
    fn arguments_that_look_like_an_exec_stay_arguments() {
        let mut record = bytes_of(&StringsHeader {
            exec_time: 7,
            kind: value::EVENT_STRINGS,
            pid: 42,
            length: 4096,
            ..StringsHeader::default()
        });
        record.extend_from_slice(&[1, 0, 0, 0].repeat(1024));
        let Event::Strings { bytes, .. } = decode(&record).unwrap() else { panic!("read as an exec") };
        assert_eq!(bytes.len(), 4096);
    }

    #[test]
    fn lengths_that_contradict_each_other_are_refused() {
        let more_than_all = exec_record(b"python3\0", 4, |_| {});
        assert_eq!(decode(&more_than_all).unwrap_err(), WireError::Inconsistent);
        let endless = exec_record(b"", u64::MAX, |_| {});
        assert_eq!(decode(&endless).unwrap_err(), WireError::Inconsistent);
    }

    #[test]
    fn a_directory_that_is_the_root_is_a_slash() {
        assert_eq!(&*path(b""), b"/");
        assert_eq!(&*path(b"memfd:x\0"), b"/memfd:x");
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_or_refused(bytes: Vec<u8>) {
            let _ = decode(&bytes);
        }

        #[test]
        fn any_lengths_are_decoded_or_refused(lengths: [u32; 4], sizes: [u64; 3], tail: Vec<u8>) {
            let mut record = exec_record(b"a\0", 2, |header| {
                [header.executable_path_length, header.cwd_length, header.cgroup_length,
                 header.strings_length] = lengths;
                [header.arguments_size, header.environment_size, header.strings_size] = sizes;
            });
            record.extend_from_slice(&tail);
            let _ = decode(&record);
        }
    }
}
