//! Real containers for the tests: each runtime is the real one, started by the test and ended with it.
//!
//! Owns: root file systems, overlay mounts, containers of runc, containerd with Pods, and Docker.
//! Refuses: knowing urva. The tests under `tests/` join the two.
//!
//! Everything a test starts ends when its value is dropped, so also after a panic. What a killed test
//! process left behind is removed by the next one. No test sees another's containers.

mod bundle;
mod containerd;
mod cri;
mod daemon;
mod docker;
mod leftovers;
mod privileges;
mod rootfs;
mod runc;

pub use containerd::{Containerd, Pod, PodContainer};
pub use docker::{Docker, DockerContainer};
pub use privileges::privileged;
pub use rootfs::Rootfs;
pub use runc::{Container, ContainerBuilder, Output, Runc};
