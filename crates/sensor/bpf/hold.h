/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Stops the process that runs into a probe, until user space has a verdict.
 *
 * Guarantee: SIGSTOP is pending before the program returns, so the thread that ran into it executes nothing
 * further than the instruction that the probe lies on; the other threads stop with it. Each stop is in `held`
 * before it happens, so that whoever holds the table can let go of every process, whatever became of the
 * sensor. Blind spot: another process that may signal this one can continue it. A process with a controlling
 * terminal is left alone unless that is allowed: its shell would notice.
 */
#ifndef URVA_HOLD_H
#define URVA_HOLD_H

/* Set by user space before loading. */
const volatile bool hold_enabled = false;
const volatile bool hold_terminals = false;

#define SIGNAL_CONTINUE 18
#define SIGNAL_STOP 19

/* By process id, host's PID namespace. User space makes the entry of process 0, whose `texts` counts those
 * that found no room. */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 4096);
    __type(key, __u32);
    __type(value, struct held_process);
} held SEC(".maps");

/* Lets the current process go again, before it has stopped. */
static __always_inline void let_go(__u32 pid) {
    bpf_map_delete_elem(&held, &pid);
    bpf_send_signal(SIGNAL_CONTINUE);
}

/* Stops the current process. Returns false where it goes on. */
static __always_inline bool hold_current(struct task_struct *task, __u32 pid, __u64 start_time) {
    if (!hold_enabled)
        return false;
    if (!hold_terminals && BPF_CORE_READ(task, signal, tty))
        return false;
    struct held_process *known = bpf_map_lookup_elem(&held, &pid);
    if (known && known->start_time == start_time) {
        __sync_fetch_and_add(&known->texts, 1);
        known->held_at = bpf_ktime_get_boot_ns();
    } else {
        struct held_process first = {
            .start_time = start_time, .held_at = bpf_ktime_get_boot_ns(), .texts = 1};
        if (bpf_map_update_elem(&held, &pid, &first, BPF_ANY)) {
            __u32 nobody = 0;
            struct held_process *refused = bpf_map_lookup_elem(&held, &nobody);
            if (refused)
                __sync_fetch_and_add(&refused->texts, 1);
            return false;
        }
    }
    if (!bpf_send_signal(SIGNAL_STOP))
        return true;
    let_go(pid);
    return false;
}

#endif
