//! Captures what interpreters execute in containers, with eBPF.
//!
//! [`Sensor::open`] attaches the probes; [`Sensor::next`] then yields a [`Seen`] for each script that is
//! executed and for each loss. The way of one exec: `bpf/exec.bpf.c` → [`probe`](self) → [`wire`] →
//! `assemble` → `capture` (what interpreter, which script, which container, what text).
//!
//! Owns: BPF programs, their loading and decoding, reading scripts through the container's own root,
//! attribution to a container by its cgroup. The only crate with `unsafe`.
//! Refuses: judging. No script text is looked at here beyond copying and hashing it.

pub mod assemble;
mod attribution;
mod budgets;
mod capture;
pub mod cgroup;
pub mod command_line;
mod drift;
mod error;
mod executable;
pub mod fair;
mod file;
mod hold;
pub mod host;
mod input;
mod intake;
mod losses;
mod memory;
pub mod modules;
pub mod priority;
mod privileges;
mod probe;
pub mod recognize;
mod revisit;
mod running;
mod sensor;
#[allow(
    missing_docs,
    clippy::all,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    unreachable_pub,
    unsafe_op_in_unsafe_fn,
    clippy::undocumented_unsafe_blocks,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "generated"
)]
mod skeleton {
    include!(concat!(env!("OUT_DIR"), "/exec.skel.rs"));

    #[allow(clippy::too_many_lines, reason = "generated: a line for each map and program")]
    pub(crate) mod texts {
        include!(concat!(env!("OUT_DIR"), "/texts.skel.rs"));
    }
    pub(crate) mod input {
        include!(concat!(env!("OUT_DIR"), "/input.skel.rs"));
    }
}
mod texts;
pub mod wire;

pub use error::SensorError;
pub use hold::{HeldProcesses, HoldSettings, Release};
pub use sensor::{Seen, Sensor, Settings, Stopper, Verdicts};
