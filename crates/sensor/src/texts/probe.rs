//! Loads the probe of texts, attaches it to files, and reads its ring buffer.
//!
//! Owns: the loaded BPF object and its maps. One thread attaches, another one reads the ring.
//! Refuses: meaning. Records leave as bytes.

use crate::error::SensorError;
use crate::hold::HoldSettings;
use crate::probe::{ExecTables, Ledger, host_namespace, refused, secret};
use crate::skeleton::texts::{OpenTextsSkel, TextsSkel, TextsSkelBuilder};
use libbpf_rs::skel::{OpenSkel, SkelBuilder};
use libbpf_rs::{Link, MapCore, MapFlags, MapHandle, OpenObject, RingBuffer, RingBufferBuilder};
use libbpf_rs::{UprobeMultiOpts, UprobeOpts};
use std::fs::File;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

/// A function of an interpreter that the probe can be attached to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Function {
    /// One of `value::TEXT_*`.
    pub(crate) kind: u64,
    /// Of its code in the file.
    pub(crate) offset: u64,
}

/// What the probe shall do.
pub(crate) struct TextSettings<'a> {
    /// Whether texts of processes in the host's own mount namespace are sent.
    pub(crate) include_host: bool,
    /// Whether processes are stopped until their texts are judged.
    pub(crate) hold: Option<HoldSettings>,
    /// The exec probe's tables.
    pub(crate) tables: &'a ExecTables,
}

/// Attaches the probe.
pub(crate) struct TextProbe {
    skeleton: TextsSkel<'static>,
    /// The kernel takes all functions of a file at once, since 6.6.
    is_multi: bool,
}

/// Reads what the probe sends.
pub(crate) struct TextRing {
    ring: RingBuffer<'static>,
}

/// What the other threads need of the probe's tables.
pub(crate) struct TextTables {
    harmless: MapHandle,
    ledger: Ledger,
}

/// Loads the probe; `on_record` then gets each record while [`TextRing::consume`] runs.
pub(crate) fn load(
    settings: &TextSettings<'_>,
    mut on_record: impl FnMut(&[u8]) + 'static,
) -> Result<(TextProbe, TextRing, TextTables), SensorError> {
    let probe = match load_skeleton(settings, true) {
        Ok(skeleton) => TextProbe { skeleton, is_multi: true },
        Err(_) => TextProbe { skeleton: load_skeleton(settings, false)?, is_multi: false },
    };
    let maps = &probe.skeleton.maps;
    let tables = TextTables {
        harmless: MapHandle::try_from(&maps.harmless).map_err(refused)?,
        ledger: Ledger::new(&maps.counters, &maps.budgets)?,
    };
    let texts = MapHandle::try_from(&maps.texts).map_err(refused)?;
    let mut ring = RingBufferBuilder::new();
    let record = move |record: &[u8]| {
        on_record(record);
        0
    };
    ring.add(&texts, record).map_err(refused)?;
    let ring = TextRing { ring: ring.build().map_err(refused)? };
    Ok((probe, ring, tables))
}

fn load_skeleton(settings: &TextSettings<'_>, is_multi: bool) -> Result<TextsSkel<'static>, SensorError> {
    // One object for the life of the process, as for the exec probe; a kernel that refuses the first costs some KiB.
    let storage: &'static mut MaybeUninit<OpenObject> = Box::leak(Box::new(MaybeUninit::uninit()));
    let mut open: OpenTextsSkel<'static> = TextsSkelBuilder::default().open(storage).map_err(refused)?;
    let Some(constants) = open.maps.rodata_data.as_deref_mut() else {
        return Err(SensorError::Refused { program: "on_text", reason: "it has no constants".into() });
    };
    constants.host_mount_namespace = host_namespace("mnt")?;
    constants.include_host = settings.include_host;
    constants.hold_enabled = settings.hold.is_some();
    constants.hold_terminals = settings.hold.is_some_and(|hold| hold.terminals);
    constants.hash_secret = secret()?;
    constants.host_pid_namespace = host_namespace("pid")?;
    let ExecTables { held, executed, layouts } = settings.tables;
    open.maps.held.reuse_fd(held.as_fd()).map_err(refused)?;
    open.maps.executed.reuse_fd(executed.as_fd()).map_err(refused)?;
    open.maps.layouts.reuse_fd(layouts.as_fd()).map_err(refused)?;
    open.progs.on_text_single.set_autoload(!is_multi);
    open.progs.on_text_multi.set_autoload(is_multi);
    open.load().map_err(refused)
}

impl TextProbe {
    /// Whether the kernel takes all functions of a file at once, and asks for no more than `CAP_BPF`.
    pub(crate) fn is_multi(&self) -> bool {
        self.is_multi
    }

    /// Attaches to functions of a file, in all processes that map it, now and later. Dropping the links detaches.
    pub(crate) fn attach(&self, file: &File, functions: &[Function]) -> Result<Vec<Link>, libbpf_rs::Error> {
        let path = format!("/proc/self/fd/{}", file.as_fd().as_raw_fd());
        let offset = |function: &Function| usize::try_from(function.offset).unwrap_or(usize::MAX);
        if self.is_multi {
            let opts = UprobeMultiOpts {
                offsets: functions.iter().map(offset).collect(),
                cookies: functions.iter().map(|function| function.kind).collect(),
                ..UprobeMultiOpts::default()
            };
            let program = &self.skeleton.progs.on_text_multi;
            return program.attach_uprobe_multi_with_opts(-1, path, "", opts).map(|link| vec![link]);
        }
        let program = &self.skeleton.progs.on_text_single;
        let attach = |function: &Function| {
            let opts = UprobeOpts { cookie: function.kind, ..UprobeOpts::default() };
            program.attach_uprobe_with_opts(-1, &path, offset(function), opts)
        };
        functions.iter().map(attach).collect()
    }
}

impl TextRing {
    /// Waits until records are there, `wake` is readable, or the time is over. Hands out what is there.
    /// Returns whether `wake` is readable.
    pub(crate) fn consume(&self, wake: BorrowedFd<'_>, timeout: Duration) -> bool {
        crate::probe::consume(&self.ring, wake, timeout)
    }
}

impl TextTables {
    /// The text of this key was judged and need not be sent again.
    pub(crate) fn mark_harmless(&self, key: u64) {
        // Where the table refuses, the text is sent and judged again.
        if let Err(error) = self.harmless.update(&key.to_ne_bytes(), &[1], MapFlags::ANY) {
            tracing::debug!(%error, "the table of harmless texts took no entry");
        }
    }

    /// What was not sent.
    pub(crate) fn ledger(&self) -> &Ledger {
        &self.ledger
    }
}
