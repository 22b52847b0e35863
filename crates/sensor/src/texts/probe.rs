//! Loads the probe of texts, attaches it to files, and reads its ring buffer.
//!
//! Owns: the loaded BPF object and its maps. One thread attaches, another one reads the ring.
//! Refuses: meaning. Records leave as bytes.

use crate::error::SensorError;
use crate::hold::HoldSettings;
use crate::probe::{ExecTables, Ledger, host_namespace, refused, secret};
use crate::recognize::Python;
use crate::skeleton::texts::{OpenTextsSkel, TextsSkel, TextsSkelBuilder};
use crate::wire::CodeImage;
use libbpf_rs::skel::{OpenSkel, SkelBuilder};
use libbpf_rs::{Link, MapCore, MapFlags, MapHandle, OpenObject, ProgramMut, RingBuffer, RingBufferBuilder};
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
    /// Whether code objects are looked at, which the kernel can since 5.17.
    has_code: bool,
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
    let probe = load_best(settings)?;
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

/// With all that the kernel can do.
fn load_best(settings: &TextSettings<'_>) -> Result<TextProbe, SensorError> {
    let mut refusal = None;
    for (is_multi, has_code) in [(true, true), (false, true), (true, false), (false, false)] {
        match load_skeleton(settings, is_multi, has_code) {
            Ok(skeleton) => {
                if let Some(error) = refusal.filter(|_| !has_code) {
                    tracing::warn!("bytecode that runs is not seen: {error}");
                }
                return Ok(TextProbe { skeleton, is_multi, has_code });
            }
            Err(error) => refusal = Some(error),
        }
    }
    Err(refusal.unwrap_or(SensorError::Refused { program: "on_text", reason: "of no known cause".into() }))
}

fn load_skeleton(
    settings: &TextSettings<'_>,
    is_multi: bool,
    has_code: bool,
) -> Result<TextsSkel<'static>, SensorError> {
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
    open.progs.on_code_single.set_autoload(has_code && !is_multi);
    open.progs.on_code_multi.set_autoload(has_code && is_multi);
    if !has_code {
        for map in [&mut open.maps.code_rooms, &mut open.maps.code_texts, &mut open.maps.code_images] {
            map.set_max_entries(1).map_err(refused)?;
        }
    }
    open.load().map_err(refused)
}

impl TextProbe {
    /// Whether the kernel takes all functions of a file at once, and asks for no more than `CAP_BPF`.
    pub(crate) fn is_multi(&self) -> bool {
        self.is_multi
    }

    /// Attaches to functions of a file, in all processes that map it, now and later. Dropping the links detaches.
    pub(crate) fn attach(&self, file: &File, functions: &[Function]) -> Result<Vec<Link>, libbpf_rs::Error> {
        let programs = &self.skeleton.progs;
        let program = if self.is_multi { &programs.on_text_multi } else { &programs.on_text_single };
        self.attach_to(program, file, functions)
    }

    /// Whether code objects are looked at.
    pub(crate) fn has_code(&self) -> bool {
        self.has_code
    }

    /// Attaches to the functions that take code objects. `number` is a place in the probe's table that nobody else uses.
    pub(crate) fn attach_code(
        &self,
        file: &File,
        python: &Python,
        number: u32,
    ) -> Result<Vec<Link>, libbpf_rs::Error> {
        let image = CodeImage {
            functions: python.functions.map(|function| function.map_or(0, |(address, _)| address)),
            types: python.types,
            words: python.words,
            code_size: python.code_size,
            minor: python.minor,
        };
        // SAFETY: the structure is plain data without padding, as a test of its layout shows.
        let bytes =
            unsafe { std::slice::from_raw_parts((&raw const image).cast::<u8>(), size_of::<CodeImage>()) };
        self.skeleton.maps.code_images.update(&number.to_ne_bytes(), bytes, MapFlags::ANY)?;
        let roles = python.functions.iter().zip(0_u64..);
        let functions: Vec<Function> = roles
            .filter_map(|(function, role)| {
                Some(Function { kind: u64::from(number) | role << 32, offset: (*function)?.1 })
            })
            .collect();
        let programs = &self.skeleton.progs;
        let program = if self.is_multi { &programs.on_code_multi } else { &programs.on_code_single };
        self.attach_to(program, file, &functions)
    }

    fn attach_to(
        &self,
        program: &ProgramMut<'_>,
        file: &File,
        functions: &[Function],
    ) -> Result<Vec<Link>, libbpf_rs::Error> {
        let path = format!("/proc/self/fd/{}", file.as_fd().as_raw_fd());
        let offset = |function: &Function| usize::try_from(function.offset).unwrap_or(usize::MAX);
        if self.is_multi {
            let opts = UprobeMultiOpts {
                offsets: functions.iter().map(offset).collect(),
                cookies: functions.iter().map(|function| function.kind).collect(),
                ..UprobeMultiOpts::default()
            };
            return program.attach_uprobe_multi_with_opts(-1, path, "", opts).map(|link| vec![link]);
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::tests::may_load_programs;
    use crate::probe::{ExecProbe, ProbeSettings};

    /// What older kernels get is refused by none: the verifier looks at each choice as at the best.
    #[test]
    fn each_choice_of_programs_loads() {
        if !may_load_programs() {
            return;
        }
        let held = crate::hold::table().unwrap();
        let settings = ProbeSettings {
            include_host: false,
            environment_max: 0,
            canary_parent: 0,
            hold: None,
            held: &held,
        };
        let (exec, _) = ExecProbe::attach(&settings, |_| ()).unwrap();
        let tables = exec.tables().unwrap();
        let settings = TextSettings { include_host: false, hold: None, tables: &tables };
        for (is_multi, has_code) in [(true, true), (false, true), (true, false), (false, false)] {
            let loaded = load_skeleton(&settings, is_multi, has_code);
            assert!(loaded.is_ok(), "multi {is_multi}, code {has_code}: {:?}", loaded.err());
        }
    }
}
