//! Where in a C library or a static program the instruction stands that follows the system call `read`.
//!
//! Owns: the patterns of glibc (2.31 to 2.42 were looked at) and musl on x86-64. A probe that stood inside an instruction would destroy the program, so
//! what follows the system call must be known as well.
//! Refuses: names. Programs are stripped; what counts is the code, found through the program headers.
//!
//! Blind spots: other architectures; C libraries of other makers; programs that make system calls of their own (Go).

use crate::recognize::ReadAt;
use memchr::memmem;
use object::Endianness;
use object::elf::{EM_X86_64, FileHeader64, PF_X, PT_INTERP, PT_LOAD, ProgramHeader64};
use object::pod::{from_bytes, slice_from_bytes};
use object::read::elf::{FileHeader, ProgramHeader};
use std::ops::Range;

/// Most bytes of code that are searched in one file, and bytes that are read at a time.
const CODE_MAX: u64 = 32 * 1024 * 1024;
const STRETCH: usize = 1024 * 1024;
/// How far two stretches overlap: more than any pattern.
const OVERLAP: usize = 128;
/// Most places in one file; a C library has two to four.
const SITES_MAX: usize = 8;
/// Longest path of a loader that is believed.
const LOADER_MAX: u64 = 4096;
/// Most program headers; programs have about a dozen.
const HEADERS_MAX: u16 = 128;

/// What a system call before a place is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Call {
    /// `read`.
    Read,
    /// Whatever the caller wants: musl has one place for all calls at which a thread can be cancelled.
    Any,
    /// `readv` into two buffers.
    Readv,
    /// Whatever the caller wants, whose number stands so many bytes above the stack pointer: glibc since 2.41.
    Stacked(u8),
}

/// One place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Site {
    pub(super) call: Call,
    /// Offset in the file of the instruction behind `syscall`.
    pub(super) offset: u64,
}

/// An ELF file as far as it is looked at.
#[derive(Debug)]
pub(super) struct Program {
    /// The loader that it asks for; none where it is static, or a library.
    pub(super) loader: Option<Vec<u8>>,
    code: Vec<Range<u64>>,
}

const SYSCALL: [u8; 2] = [0x0f, 0x05];
/// `xor eax, eax`: the number of `read`.
const ZERO: [u8; 2] = [0x31, 0xc0];
/// `test eax, eax` and `jne` by one byte: who comes past it has the number of `read` (glibc before 2.33).
const IS_ZERO: [u8; 3] = [0x85, 0xc0, 0x75];
/// `mov rax, [rsp + one byte]`: the number is an argument.
const FROM_STACK: [u8; 4] = [0x48, 0x8b, 0x44, 0x24];
/// `mov eax, 19`, and the same by `push` and `pop`: the number of `readv`.
const NINETEEN: [&[u8]; 2] = [&[0xb8, 0x13, 0, 0, 0], &[0x6a, 0x13, 0x58]];
/// `mov edx, 2`, and the same by `push` and `pop`: the number of buffers.
const TWO: [&[u8]; 2] = [&[0xba, 2, 0, 0, 0], &[0x6a, 2, 0x5a]];
/// How a function that passes any call on moves its arguments: by two registers where a flag comes first, and by one.
const PASSES_ON: [[[u8; 3]; 3]; 2] = [
    [[0x48, 0x89, 0xd7], [0x48, 0x89, 0xce], [0x4c, 0x89, 0xc2]],
    [[0x48, 0x89, 0xf7], [0x48, 0x89, 0xd6], [0x48, 0x89, 0xca]],
];
/// Bytes before a `syscall` in which these moves stand.
const MOVES_WITHIN: usize = 40;

/// Reads the headers; None for what is no 64-bit ELF file of x86-64.
pub(super) fn open(file: &dyn ReadAt) -> Option<Program> {
    let head = read(file, 0, 64)?;
    let (header, _) = from_bytes::<FileHeader64<Endianness>>(&head).ok()?;
    let endian = header.endian().ok()?;
    if head.get(4) != Some(&2) || header.e_machine(endian) != EM_X86_64 || cfg!(not(target_arch = "x86_64")) {
        return None;
    }
    let count = header.e_phnum(endian).min(HEADERS_MAX);
    let size = size_of::<ProgramHeader64<Endianness>>() * usize::from(count);
    let bytes = read(file, header.e_phoff(endian), size)?;
    let (segments, _) = slice_from_bytes::<ProgramHeader64<Endianness>>(&bytes, usize::from(count)).ok()?;
    let range = |segment: &ProgramHeader64<Endianness>| {
        let (offset, length) = segment.file_range(endian);
        offset..offset.saturating_add(length)
    };
    let code = segments.iter().filter(|segment| is_code(segment, endian)).map(range).collect();
    let loader = segments.iter().find(|segment| segment.p_type(endian) == PT_INTERP).map(range);
    let loader = loader.and_then(|range| loader_path(file, &range));
    Some(Program { loader, code })
}

fn is_code(segment: &ProgramHeader64<Endianness>, endian: Endianness) -> bool {
    segment.p_type(endian) == PT_LOAD && segment.p_flags(endian).contains(PF_X)
}

fn loader_path(file: &dyn ReadAt, range: &Range<u64>) -> Option<Vec<u8>> {
    let length = (range.end - range.start).min(LOADER_MAX);
    let path = read(file, range.start, usize::try_from(length).ok()?)?;
    let end = path.iter().position(|byte| *byte == 0)?;
    Some(path[..end].to_vec())
}

/// All places of a program, in their order.
pub(super) fn sites(file: &dyn ReadAt, program: &Program) -> Vec<Site> {
    let mut found = Vec::new();
    let mut left = CODE_MAX;
    for code in &program.code {
        let mut start = code.start;
        while start < code.end && left > 0 {
            let length = usize::try_from(code.end - start).unwrap_or(STRETCH).min(STRETCH);
            let Some(bytes) = read(file, start, length) else { break };
            for (at, call) in calls(&bytes) {
                found.push(Site { call, offset: start + at as u64 });
            }
            if bytes.len() <= OVERLAP || bytes.len() < length {
                break;
            }
            let step = (bytes.len() - OVERLAP) as u64;
            (start, left) = (start + step, left.saturating_sub(step));
        }
    }
    found.sort_unstable();
    found.dedup();
    found.truncate(SITES_MAX);
    found
}

/// Whether this is still one of the places: the file may be another one than that which was searched.
pub(super) fn still_has(file: &dyn ReadAt, site: &Site) -> bool {
    let Some(start) = site.offset.checked_sub(OVERLAP as u64 / 2) else { return false };
    let Some(bytes) = read(file, start, OVERLAP) else { return false };
    calls(&bytes).any(|(at, call)| call == site.call && start + at as u64 == site.offset)
}

/// The places in a stretch of code.
fn calls(code: &[u8]) -> impl Iterator<Item = (usize, Call)> + '_ {
    memmem::find_iter(code, &SYSCALL).filter_map(|at| {
        let (before, after) = (&code[..at], &code[at + SYSCALL.len()..]);
        let call = call(before, after)?;
        Some((at + SYSCALL.len(), call))
    })
}

fn call(before: &[u8], after: &[u8]) -> Option<Call> {
    let near = &before[before.len().saturating_sub(MOVES_WITHIN)..];
    let passes_on = |moves: &[[u8; 3]; 3]| moves.iter().all(|one| memmem::find(near, one).is_some());
    if after.first() == Some(&0xc3) && PASSES_ON.iter().any(passes_on) {
        return Some(Call::Any);
    }
    if let [.., first, second, third, fourth, slot] = *before
        && [first, second, third, fourth] == FROM_STACK
        && (is_known(after) || is_end(after))
    {
        return Some(Call::Stacked(slot));
    }
    if !is_known(after) {
        return None;
    }
    let is_past = matches!(*before, [.., first, second, third, _] if [first, second, third] == IS_ZERO);
    if is_past || before.ends_with(&ZERO) {
        return Some(Call::Read);
    }
    let number = TWO.iter().find_map(|two| before.strip_suffix(*two)).unwrap_or(before);
    let is_two = TWO.iter().any(|two| memmem::find(near, two).is_some());
    let is_readv = NINETEEN.iter().any(|nineteen| number.ends_with(nineteen));
    // With another count of buffers it is somebody else's `readv`: glibc's own, which no reading of a script uses.
    (is_readv && is_two).then_some(Call::Readv)
}

/// What compilers put behind a system call: the comparison with the errors, a return, the result moved away.
fn is_known(after: &[u8]) -> bool {
    let is_comparison = matches!(after, [0x48, 0x3d, 0 | 1, 0xf0, 0xff, 0xff, ..]);
    is_comparison || matches!(after, [0xc3, ..] | [0x48 | 0x49, 0x89, 0xc0..=0xc7, ..])
}

/// How a function ends that has called: it gives its stack back, or the one register that it had saved, and returns.
fn is_end(after: &[u8]) -> bool {
    matches!(after, [0x48, 0x83, 0xc4, _, 0xc3, ..] | [0x58..=0x5f, 0xc3, ..])
}

fn read(file: &dyn ReadAt, offset: u64, length: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; length];
    let mut filled = 0;
    while filled < length {
        match file.read_at(&mut bytes[filled..], offset.checked_add(filled as u64)?).ok()? {
            0 => break,
            count => filled += count.min(length - filled),
        }
    }
    bytes.truncate(filled);
    (filled > 0).then_some(bytes)
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(code: &[&[u8]], expected: &[(usize, Call)]) {
        assert_eq!(calls(&code.concat()).collect::<Vec<_>>(), expected);
    }

    const COMPARE: &[u8] = &[0x48, 0x3d, 0, 0xf0, 0xff, 0xff];

    #[test]
    fn the_reads_of_glibc_and_musl_are_found() {
        check(&[&[0x90], &ZERO, &SYSCALL, COMPARE], &[(5, Call::Read)]);
        check(&[&ZERO, &SYSCALL, &[0x90, 0x90]], &[]);
        check(&[&[0xb8, 1, 0, 0, 0], &SYSCALL, COMPARE], &[]);
        check(&[NINETEEN[0], TWO[0], &SYSCALL, &[0x48, 0x89, 0xc7]], &[(12, Call::Readv)]);
        check(&[TWO[1], &[0x90], NINETEEN[1], &SYSCALL, &[0x48, 0x89, 0xc7]], &[(9, Call::Readv)]);
        check(&[NINETEEN[0], &SYSCALL, COMPARE], &[]);
        let [first, second, third] = PASSES_ON[0];
        check(&[&first, &second, &third, &SYSCALL, &[0xc3]], &[(11, Call::Any)]);
        check(&[&first, &third, &SYSCALL, &[0xc3]], &[]);
    }

    #[test]
    fn the_reads_of_older_and_newer_glibc_are_found() {
        let thread = [0x64, 0x8b, 0x04, 0x25, 0x18, 0, 0, 0];
        check(&[&thread, &IS_ZERO, &[0x14], &SYSCALL, COMPARE], &[(14, Call::Read)]);
        check(&[&thread, &[0x85, 0xc0, 0x74, 0x14], &SYSCALL, COMPARE], &[]);
        check(&[&FROM_STACK, &[0x10], &SYSCALL, &[0x5b, 0xc3]], &[(7, Call::Stacked(0x10))]);
        let ends = [0x48, 0x83, 0xc4, 0x18, 0xc3];
        check(&[&FROM_STACK, &[0x20], &SYSCALL, &ends], &[(7, Call::Stacked(0x20))]);
        check(&[&FROM_STACK, &[0x20], &SYSCALL, &[0xeb, 0xf5]], &[]);
    }

    #[test]
    fn this_machine_s_c_library_has_places() {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let library = maps
            .lines()
            .find_map(|line| line.split_whitespace().last().filter(|path| path.ends_with("libc.so.6")));
        let file = std::fs::File::open(library.unwrap()).unwrap();
        let program = open(&file).unwrap();
        let found = sites(&file, &program);
        assert!(found.iter().any(|site| site.call == Call::Read), "{found:?}");
        assert!(found.iter().all(|site| still_has(&file, site)));
        assert!(!still_has(&file, &Site { call: Call::Read, offset: found[0].offset + 1 }));
    }

    proptest! {
        #[test]
        fn any_file_is_survived(mut bytes in prop::collection::vec(any::<u8>(), 0..300), is_elf: bool) {
            if is_elf && bytes.len() >= 20 {
                bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
                bytes[18..20].copy_from_slice(&[62, 0]);
            }
            if let Some(program) = open(&&bytes[..]) {
                prop_assert!(sites(&&bytes[..], &program).len() <= SITES_MAX);
            }
        }
    }
}
