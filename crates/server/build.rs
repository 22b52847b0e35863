//! Compiles Google's protocol, as it lies in `proto/`, to Rust and to descriptors. No compiler of the system is needed.
//!
//! Owns: which files are compiled, and what is left out of the generated code (clients; comments go with the positions in the files).
//! Refuses: changing the protocol. The files are as Google publishes them.

use std::error::Error;
use std::path::PathBuf;

const FILES: [&str; 4] = [
    "google/cloud/securitycenter/v2/securitycenter_service.proto",
    "google/cloud/securitycenter/v2/notification_message.proto",
    "google/longrunning/operations.proto",
    "google/rpc/error_details.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).include_source_info(false).open_files(FILES)?;
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("no OUT_DIR")?);
    // With the annotations, such as the paths of REST, which the types below would leave out.
    std::fs::write(out.join("descriptors.bin"), compiler.encode_file_descriptor_set())?;
    // The annotations are read from the descriptors; types for them would be in nobody's use.
    let mut files = compiler.file_descriptor_set();
    files.file.retain(|file| file.package() != "google.api");
    let mut config = prost_build::Config::new();
    config.enable_type_names();
    tonic_prost_build::configure()
        .build_client(false)
        .build_transport(false)
        .generate_default_stubs(true)
        .include_file("protocol.rs")
        .compile_fds_with_config(files, config)?;
    Ok(())
}
