//! What urva does with each type of BPF program, and without it.

/// One type.
pub(super) struct ProgramType {
    /// As [`sensor::host::ProgramTypeReport::name`].
    pub(super) name: &'static str,
    /// What urva does where the type is refused; `None` where it cannot do without.
    pub(super) instead: Option<&'static str>,
}

pub(super) const TYPES: [ProgramType; 11] = [
    ProgramType { name: "ring buffer", instead: None },
    ProgramType { name: "tp_btf", instead: None },
    optional("raw_tp", "not needed: urva sees executions by tp_btf"),
    optional("tracepoint", "not needed: urva sees executions by tp_btf"),
    optional("uprobe", DECODED),
    optional("uprobe.s", DECODED),
    optional("bpf_loop", BYTECODE),
    optional("fentry", "not needed: urva sees executions by tp_btf"),
    optional("lsm", "not needed: urva watches, and stops nothing inside the kernel"),
    optional("kprobe", "not needed: urva sees executions by tp_btf"),
    optional("iter", "not needed: urva reads from /proc what was running before it started"),
];

const DECODED: &str = "a script is judged by its own text; what it decodes only while it runs, and what comes over a pipe later than its start, is not looked at";

const BYTECODE: &str = "Python's texts are judged, its bytecode is not: `.pyc` files, marshalled code";

const fn optional(name: &'static str, instead: &'static str) -> ProgramType {
    ProgramType { name, instead: Some(instead) }
}
