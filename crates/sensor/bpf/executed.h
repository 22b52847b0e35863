/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Which execs user space was told of, so that what a process does later can name the exec that it runs.
 *
 * Guarantee: an exec stands in the table before its record does, and a process and its forks find theirs in
 * it as long as they live, unless 16,384 later ones have pushed it out: then the record names no exec.
 * The layout is the base of the address space's mappings: chosen at random at each exec, kept by forks, and
 * not the process's to change. Blind spot: where address space randomisation is off it tells nothing apart,
 * and an orphan may be taken for the fork of a later process of its container.
 */
#ifndef URVA_EXECUTED_H
#define URVA_EXECUTED_H

#define PF_FORKNOEXEC 0x40
/* Forks of forks that are followed to the process that made the exec. */
#define FORKS_MAX 32

struct executed {
    __u64 start_time;
    __u64 exec_time;
    __u64 layout;
    __u64 budget;
};

/* By process id, host's PID namespace. */
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 16384);
    __type(key, __u32);
    __type(value, struct executed);
} executed SEC(".maps");

/* The process of each layout, for forks whose parent has ended. */
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 16384);
    __type(key, __u64);
    __type(value, __u32);
} layouts SEC(".maps");

static __always_inline __u64 layout_of(struct task_struct *task) {
    return BPF_CORE_READ(task, mm, mmap_base);
}

/* User space is about to be told of this exec of the current process. */
static __always_inline void tell_exec(struct task_struct *task, struct exec_event *event) {
    struct executed exec = {.start_time = event->start_time,
                            .exec_time = event->exec_time,
                            .layout = layout_of(task),
                            .budget = event->budget};
    bpf_map_update_elem(&executed, &event->pid, &exec, BPF_ANY);
    bpf_map_update_elem(&layouts, &exec.layout, &event->pid, BPF_ANY);
}

/* User space was not told after all. */
static __always_inline void untell_exec(struct exec_event *event) {
    bpf_map_delete_elem(&executed, &event->pid);
}

/* Names the exec that the current process runs, its own or that of the process that it was forked from. */
static __noinline int name_exec(struct text_event *event, struct task_struct *task) {
    if (!event)
        return 0;
    __u64 layout = layout_of(task);
    struct task_struct *leader = BPF_CORE_READ(task, group_leader);
    for (int i = 0; i < FORKS_MAX; i++) {
        if (!(BPF_CORE_READ(leader, flags) & PF_FORKNOEXEC))
            break;
        struct task_struct *parent = BPF_CORE_READ(leader, real_parent, group_leader);
        if (layout_of(parent) != layout)
            break;
        leader = parent;
    }
    event->exec_pid = BPF_CORE_READ(leader, tgid);
    event->exec_start = BPF_CORE_READ(leader, start_boottime);
    event->exec_time = 0;
    struct executed *exec = bpf_map_lookup_elem(&executed, &event->exec_pid);
    if (exec && exec->start_time == event->exec_start && exec->layout == layout) {
        event->exec_time = exec->exec_time;
        return 0;
    }
    if (!(BPF_CORE_READ(leader, flags) & PF_FORKNOEXEC))
        return 0;
    __u32 *pid = bpf_map_lookup_elem(&layouts, &layout);
    exec = pid ? bpf_map_lookup_elem(&executed, pid) : 0;
    if (pid && exec && exec->layout == layout && exec->budget == event->budget) {
        event->exec_pid = *pid;
        event->exec_start = exec->start_time;
        event->exec_time = exec->exec_time;
    }
    return 0;
}

#endif
