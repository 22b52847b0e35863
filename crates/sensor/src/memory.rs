//! Has the exec probe find where the kernel maps all memory, so that it can copy what lies in a pipe: `bpf/waiting.h`.
//!
//! Owns: a page of this process whose content nobody else knows, put into a pipe, and the number of its frame.
//! Blind spot: other architectures, and kernels that tell nobody the number of a frame. There nothing is copied, and user
//! space looks at pipes by itself.

use crate::skeleton::ExecSkel;
use libbpf_rs::ProgramInput;
use rustix::pipe::{IoSliceRaw, PipeFlags, SpliceFlags, pipe_with, vmsplice};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

const PAGE: usize = 4096;
/// Of an entry of `/proc/PID/pagemap`: the page is in memory, and the number of its frame.
const PRESENT: u64 = 1 << 63;
const FRAME: u64 = (1 << 55) - 1;

/// GiB that are looked through, and in one run: `MEMORY_STEPS` in `bpf/waiting.h`.
const STEPS_MAX: u64 = 4096;
const STEPS: usize = 64;

#[repr(C, align(4096))]
struct Page([u8; PAGE]);

/// Fails where the places cannot be found. To be called while the process holds all its privileges.
pub(crate) fn find(skeleton: &ExecSkel<'_>, secret: [u64; 2]) -> io::Result<()> {
    if !cfg!(target_arch = "x86_64") || rustix::param::page_size() != PAGE {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let mut page = Box::new(Page([0; PAGE]));
    for (bytes, word) in page.0.chunks_exact_mut(8).zip(secret) {
        bytes.copy_from_slice(&word.to_ne_bytes());
    }
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
    // SAFETY: the pipe refers to the page as long as it is open, which ends with this function, and nobody changes the page
    // or gives it away until then.
    unsafe { vmsplice(&writer, &[IoSliceRaw::from_slice(&page.0)], SpliceFlags::empty()) }?;
    let (frame, descriptor) = (frame_of(&page)?, u64::from(reader.as_raw_fd().unsigned_abs()));
    for first_step in (0..STEPS_MAX).step_by(STEPS) {
        // As `memory_search` in `bpf/event.h` has it: the last word holds two numbers.
        let words = [secret[0], secret[1], frame, descriptor | first_step << 32];
        let mut context = words.map(u64::to_le_bytes).concat();
        let input = ProgramInput { context_in: Some(&mut context), ..ProgramInput::default() };
        let output = skeleton.progs.find_memory.test_run(input).map_err(io::Error::other)?;
        if output.return_value == 0 {
            return Ok(());
        }
    }
    Err(io::Error::new(io::ErrorKind::NotFound, "it lies nowhere in the first 4 TiB"))
}

fn frame_of(page: &Page) -> io::Result<u64> {
    let mut entry = [0; 8];
    let address = std::ptr::from_ref(page) as u64;
    File::open("/proc/self/pagemap")?.read_exact_at(&mut entry, address / PAGE as u64 * 8)?;
    let entry = u64::from_ne_bytes(entry);
    let frame = Some(entry & FRAME).filter(|frame| entry & PRESENT != 0 && *frame != 0);
    frame.ok_or_else(|| {
        io::Error::new(io::ErrorKind::PermissionDenied, "the kernel hides the numbers of frames")
    })
}
