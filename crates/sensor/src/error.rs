//! What can go wrong when the sensor starts.

/// Why the sensor cannot start. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum SensorError {
    /// The process lacks capabilities.
    #[error("no permission to load BPF programs: run urva as root, or give it the capabilities {0}")]
    Unprivileged(&'static str),
    /// The kernel has no type information.
    #[error(
        "the kernel has no BTF (/sys/kernel/btf/vmlinux is missing): urva needs a kernel of 5.15 or later \
         built with CONFIG_DEBUG_INFO_BTF=y"
    )]
    NoBtf,
    /// The kernel refused a program.
    #[error("the kernel refused the program {program}: {reason}; `urva doctor` shows what this host allows")]
    Refused {
        /// Name of the program in `bpf/`.
        program: &'static str,
        /// The kernel's or libbpf's words.
        reason: String,
    },
    /// A part of /proc that is always there was not.
    #[error(
        "cannot read {path}: {source}; is the host's /proc mounted, and is this the host's PID namespace?"
    )]
    Proc {
        /// The file.
        path: String,
        /// The system's error.
        source: std::io::Error,
    },
    /// Privileges could not be given up.
    #[error("cannot give up the privileges that are not needed any more: {0}")]
    Privileges(std::io::Error),
    /// A thread could not be started.
    #[error(
        "cannot start the thread {name}: {source}; is a limit on processes (ulimit -u, pids cgroup) reached?"
    )]
    Thread {
        /// Its name.
        name: &'static str,
        /// The system's error.
        source: std::io::Error,
    },
}
