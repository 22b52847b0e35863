//! Takes from the detector process everything that it does not need: it is the one that reads what attackers wrote. The server
//! reads what clients wrote, and is confined in the same way. The sender, which connects to others, is confined as far as that allows.
//!
//! Owns: giving up the file system (chroot), root, capabilities, files (Landlock) and system calls (seccomp), in this
//! order.
//! Guarantee: after [`confine`] the process and all threads that it starts can read and write the state folder,
//! talk over the sockets that they already have, and nothing else. Call it while there is one thread.
//! Where the kernel lacks Landlock, that layer is left out, and [`Confinement`] says so.

use anyhow::{Context, anyhow, ensure};
use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, NetPort, Ruleset, RulesetAttr, RulesetCreated,
    RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, path_beneath_rules,
};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Gid, Uid, User, setgroups, setresgid, setresuid};
use rustix::mount::{MountPropagationFlags, mount_bind, mount_change};
use rustix::thread::{CapabilitySet, CapabilitySets, remove_capability_from_bounding_set, set_capabilities};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};
use std::path::{Path, PathBuf};

/// The user that the detector becomes where there is no user `urva`: free in Debian's, Fedora's and systemd's maps.
pub(super) const DEFAULT_UID: u32 = 61_470;
const DEFAULT_USER: &str = "urva";

/// Which layers hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Confinement {
    pub(super) landlock: bool,
}

/// The ids that the detector runs under: those of the configured user, or of `urva`, or [`DEFAULT_UID`].
pub(crate) fn detector_ids(configured: Option<&str>) -> anyhow::Result<(u32, u32)> {
    let find = |name: &str| User::from_name(name).with_context(|| format!("looking up the user {name}"));
    let user = match configured {
        Some(number) if number.bytes().all(|byte| byte.is_ascii_digit()) && !number.is_empty() => {
            let id = number.parse().with_context(|| format!("the key detector.user: {number}"))?;
            ensure!(id != 0, "the key detector.user names root: the detector must not run as root");
            return Ok((id, id));
        }
        Some(name) => Some(find(name)?.with_context(|| {
            format!("the key detector.user names {name}, but this host has no such user: create it, or remove the key")
        })?),
        None => find(DEFAULT_USER)?,
    };
    let ids = user.map_or((DEFAULT_UID, DEFAULT_UID), |user| (user.uid.as_raw(), user.gid.as_raw()));
    ensure!(ids.0 != 0, "the key detector.user names root: the detector must not run as root");
    Ok(ids)
}

/// Confines this process; see the module. `further_calls` are those that it makes beside the detector's. Afterwards the state folder is `/`, which it is also where a folder above it
/// is closed to the detector's user.
pub(super) fn confine(
    (uid, gid): (u32, u32),
    state: &Path,
    further_calls: &[libc::c_long],
) -> anyhow::Result<Confinement> {
    let entered = rustix::process::chroot(state).and_then(|()| rustix::process::chdir("/"));
    entered.with_context(|| format!("making the state folder {} the root", state.display()))?;
    become_user(uid, gid)?;
    super::go_on_without_parent()?;
    drop_capabilities()?;
    let landlock = restrict_files(Path::new("/"))?;
    restrict_system_calls(further_calls)?;
    Ok(Confinement { landlock })
}

/// What a process needs that connects to others.
#[derive(Debug, Clone, Default)]
pub(super) struct Reach {
    /// Folders of files that it writes.
    pub(super) folders: Vec<PathBuf>,
    /// Ports of TCP that it connects to. Other ports are refused from Linux 6.7 on.
    pub(super) ports: Vec<u16>,
}

/// Where the sender finds the state folder.
const STATE_SEEN: &str = "/run/urva/state";

/// What looking up names reads: the resolver's settings, and the C library's parts that know more sources.
const FOR_NAMES: [&str; 7] =
    ["/etc", "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/run/systemd/resolve", "/run/resolvconf"];

/// The port on which names are asked for where an answer is too long for a datagram.
const NAMES_PORT: u16 = 53;

/// Confines a process that connects to others; see the module. It keeps the host's root, since names are looked up by what lies there, and
/// can read but what that needs, and write but the state folder and the folders in `reach`. Returns where it finds the state folder.
pub(super) fn confine_sender((uid, gid): (u32, u32), state: &Path, reach: &Reach) -> anyhow::Result<PathBuf> {
    let state = bring_near(state).unwrap_or_else(|error| {
        tracing::warn!("the sender looks for the state folder at its own place: {error:#}");
        state.to_owned()
    });
    become_user(uid, gid)?;
    super::go_on_without_parent()?;
    drop_capabilities()?;
    let files = AccessFs::from_all(LANDLOCK) & !AccessFs::Execute;
    let reading = AccessFs::ReadFile | AccessFs::ReadDir;
    let ports = reach.ports.iter().chain([&NAMES_PORT]);
    let connecting = ports.map(|port| Ok::<_, RulesetError>(NetPort::new(*port, AccessNet::ConnectTcp)));
    let status = ruleset()?
        .add_rules(path_beneath_rules([&state], files))?
        .add_rules(path_beneath_rules(&reach.folders, files))?
        .add_rules(path_beneath_rules(FOR_NAMES, reading))?
        .add_rules(connecting)?
        .restrict_self()?;
    if status.ruleset == RulesetStatus::NotEnforced {
        tracing::warn!(
            "this kernel has no Landlock: the sender is confined by user, capabilities and seccomp only"
        );
    }
    restrict_system_calls(CONNECTING)?;
    Ok(state)
}

/// Puts the state folder where its owner can get to it, for this process alone: a folder above it may be closed to others.
fn bring_near(state: &Path) -> anyhow::Result<PathBuf> {
    std::fs::create_dir_all(STATE_SEEN).with_context(|| format!("making {STATE_SEEN}"))?;
    unshare(CloneFlags::CLONE_NEWNS).context("leaving the host's mounts")?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .context("keeping mounts apart")?;
    mount_bind(state, STATE_SEEN).with_context(|| format!("mounting the state folder at {STATE_SEEN}"))?;
    Ok(STATE_SEEN.into())
}

fn become_user(uid: u32, gid: u32) -> anyhow::Result<()> {
    for capability in CapabilitySet::all().iter() {
        // A kernel that does not know the capability has nothing to remove.
        let _ = remove_capability_from_bounding_set(capability);
    }
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    setgroups(&[]).context("giving up groups")?;
    setresgid(gid, gid, gid).with_context(|| format!("becoming group {gid}"))?;
    setresuid(uid, uid, uid).with_context(|| format!("becoming user {uid}"))?;
    Ok(())
}

fn drop_capabilities() -> anyhow::Result<()> {
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })
        .context("giving up capabilities")?;
    rustix::thread::set_no_new_privs(true).context("giving up new privileges")?;
    // A dump of this process would hold script text; and nobody of the same user may attach to it.
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
        .context("forbidding dumps")
}

const LANDLOCK: ABI = ABI::V6;

/// Rules that allow nothing yet, of as much as the kernel knows.
fn ruleset() -> anyhow::Result<RulesetCreated> {
    let ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(LANDLOCK))?
        .handle_access(AccessNet::from_all(LANDLOCK))?
        .scope(Scope::from_all(LANDLOCK))?;
    Ok(ruleset.create()?)
}

/// Returns whether the kernel enforces it.
fn restrict_files(state: &Path) -> anyhow::Result<bool> {
    let files = AccessFs::from_all(LANDLOCK) & !AccessFs::Execute;
    let status = ruleset()?.add_rules(path_beneath_rules([state], files))?.restrict_self()?;
    Ok(status.ruleset != RulesetStatus::NotEnforced)
}

/// The system calls with which a server takes connections on a socket that it already has.
pub(super) const ACCEPTING: &[libc::c_long] = &[
    libc::SYS_listen,
    libc::SYS_accept4,
    libc::SYS_socketpair,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
];

/// The system calls with which a sender looks up names, connects, and rotates files.
const CONNECTING: &[libc::c_long] = &[
    libc::SYS_socket,
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_socketpair,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_sendmmsg,
    libc::SYS_recvmmsg,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_rename,
];

/// What the detector calls once it is confined: memory, threads, time, the state folder's files, its sockets.
/// Everything else, `execve`, `socket`, `ptrace`, `mount`, `bpf` among them, ends the process.
const ALLOWED: &[libc::c_long] = &[
    libc::SYS_brk,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_membarrier,
    libc::SYS_clone,
    libc::SYS_clone3,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_set_tid_address,
    libc::SYS_futex,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_prctl,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_restart_syscall,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_tgkill,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_nanosleep,
    libc::SYS_getrandom,
    libc::SYS_uname,
    libc::SYS_sysinfo,
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_lseek,
    libc::SYS_close,
    libc::SYS_dup,
    libc::SYS_fcntl,
    libc::SYS_ioctl,
    libc::SYS_openat,
    libc::SYS_newfstatat,
    libc::SYS_fstat,
    libc::SYS_statx,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_getdents64,
    libc::SYS_readlinkat,
    libc::SYS_getcwd,
    libc::SYS_fstatfs,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_ftruncate,
    libc::SYS_fallocate,
    libc::SYS_unlinkat,
    libc::SYS_fchmod,
    libc::SYS_fchown,
    libc::SYS_flock,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_eventfd2,
    libc::SYS_ppoll,
    libc::SYS_recvfrom,
    libc::SYS_sendto,
    libc::SYS_recvmsg,
    libc::SYS_sendmsg,
    libc::SYS_shutdown,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    // Older names of calls above, which 64-bit ARM never had.
    #[cfg(target_arch = "x86_64")]
    libc::SYS_open,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_stat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lstat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_access,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_readlink,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_unlink,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_epoll_wait,
];

fn restrict_system_calls(further: &[libc::c_long]) -> anyhow::Result<()> {
    let architecture = TargetArch::try_from(std::env::consts::ARCH)
        .map_err(|error| anyhow!("no seccomp filter for this processor: {error}"))?;
    #[allow(clippy::useless_conversion, reason = "c_long has 32 bits on 32-bit processors")]
    let rules = ALLOWED.iter().chain(further).map(|call| (i64::from(*call), vec![])).collect();
    let filter = SeccompFilter::new(rules, SeccompAction::KillProcess, SeccompAction::Allow, architecture)?;
    let program: BpfProgram = filter.try_into()?;
    seccompiler::apply_filter(&program).context("restricting system calls")
}
