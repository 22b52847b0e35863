//! Compiles the BPF programs with clang and generates their skeletons: loader, maps, and the Rust types of
//! `event.h`, read from the object's BTF.

use libbpf_cargo::SkeletonBuilder;
use std::path::PathBuf;

#[allow(clippy::expect_used, reason = "a build script says what it misses by ending")]
fn main() {
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    println!("cargo:rerun-if-changed=bpf");
    SkeletonBuilder::new()
        .source("bpf/exec.bpf.c")
        .clang_args(["-Wall", "-Werror", "-Wno-unused-function", "-mcpu=v3"])
        .reference_obj(true)
        .build_and_generate(out.join("exec.skel.rs"))
        .expect("bpf/exec.bpf.c compiles: is clang installed?");
    // Which registers hold a function's arguments.
    let target = match std::env::var("CARGO_CFG_TARGET_ARCH").as_deref() {
        Ok("aarch64") => "-D__TARGET_ARCH_arm64",
        _ => "-D__TARGET_ARCH_x86",
    };
    SkeletonBuilder::new()
        .source("bpf/texts.bpf.c")
        .clang_args(["-Wall", "-Werror", "-Wno-unused-function", "-mcpu=v3", target])
        .reference_obj(true)
        .build_and_generate(out.join("texts.skel.rs"))
        .expect("bpf/texts.bpf.c compiles");
    SkeletonBuilder::new()
        .source("bpf/input.bpf.c")
        .clang_args(["-Wall", "-Werror", "-Wno-unused-function", "-mcpu=v3"])
        .build_and_generate(out.join("input.skel.rs"))
        .expect("bpf/input.bpf.c compiles");
    SkeletonBuilder::new()
        .source("bpf/host.bpf.c")
        .obj(out.join("host.bpf.o"))
        .clang_args(["-Wall", "-Werror", "-Wno-unused-function", "-mcpu=v3"])
        .build()
        .expect("bpf/host.bpf.c compiles");
}
