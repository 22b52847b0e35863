//! Real containers for the tests: each runtime is the real one, started by the test and ended with it.
//!
//! Owns: root file systems, overlay mounts, containers of runc, containerd with Pods, Docker and Podman; the
//! scripts that imitate attacks in them; and `urva run`, as a program that is started and asked.
//! Refuses: urva's libraries. Tests under `tests/` use them where the command line does not tell enough.
//!
//! Everything a test starts ends when its value is dropped, so also after a panic. What a killed test
//! process left behind is removed by the next one. No test sees another's containers.

mod bundle;
mod client;
mod containerd;
mod cri;
mod daemon;
mod docker;
mod leftovers;
mod official;
mod podman;
mod privileges;
mod rootfs;
mod runc;
mod samples;
mod urva;

pub use client::EngineContainer;
pub use containerd::{Containerd, Pod, PodContainer};
pub use docker::Docker;
pub use official::{check_with_official_library, close_through_api};
pub use podman::{Podman, PodmanService};
pub use privileges::{privileged, privileged_and_alone};
pub use rootfs::Rootfs;
pub use runc::{Container, ContainerBuilder, Output, Runc};
pub use samples::{sample, variant};
pub use urva::{Found, Site, Urva};
