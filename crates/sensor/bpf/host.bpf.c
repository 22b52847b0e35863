// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/*
 * One program of each type, for finding out which types a host lets urva load and attach.
 *
 * Guarantee: none of them reads or changes anything; the one that writes to the ring buffer is only ever run
 * by a test run. `host.rs` loads one at a time, so that one that is refused says nothing of the others.
 */
#include "kernel.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 64 * 1024);
} ring SEC(".maps");

SEC("tp_btf/sched_process_exec") int try_tp_btf(void *ctx) {
    return 0;
}

SEC("raw_tp/sched_process_exec") int try_raw_tp(void *ctx) {
    return 0;
}

SEC("tracepoint/sched/sched_process_exec") int try_tracepoint(void *ctx) {
    return 0;
}

SEC("uprobe") int try_uprobe(void *ctx) {
    return 0;
}

SEC("uprobe.s") int try_uprobe_sleepable(void *ctx) {
    return 0;
}

static long turn(__u32 number, void *context) {
    return 1;
}

SEC("uprobe") int try_loop(void *ctx) {
    bpf_loop(1, turn, NULL, 0);
    return 0;
}

SEC("fentry/wake_up_new_task") int try_fentry(void *ctx) {
    return 0;
}

SEC("lsm/bprm_check_security") int try_lsm(void *ctx) {
    return 0;
}

SEC("kprobe/wake_up_new_task") int try_kprobe(void *ctx) {
    return 0;
}

SEC("iter/task") int try_iter(void *ctx) {
    return 0;
}

SEC("raw_tp") int try_ring_buffer(void *ctx) {
    __u64 record = 0x75727661;
    return bpf_ringbuf_output(&ring, &record, sizeof(record), 0);
}
