/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * How much each container may send, so that one that executes without end fills neither the ring nor the
 * readers for the others.
 *
 * Guarantee: of one container at most BUDGET_BURST_NS worth of records at once, and one for BUDGET_COST_NS in
 * the long run, pass; each one that does not is counted for its container.
 * A container is told by its outermost PID namespace below the host's: whatever namespaces and cgroups a
 * process makes, it stays in that one. Where a process shares the host's, its cgroup stands in.
 * Blind spot: containers of a Pod that share one PID namespace share one budget, and so does what runs in a
 * container of containers (Docker in Docker, a node of kind). A process in the host's PID namespace that may
 * make cgroups has as many budgets as it makes; it could do worse.
 */
#ifndef URVA_BUDGET_H
#define URVA_BUDGET_H

#include "path.h"

/* What one exec costs: so many may be sent in a second, in the long run. */
#define BUDGET_COST_NS (1000000000ULL / 500)
/* A record with long arguments costs once more for each such piece of them. */
#define BUDGET_PIECE 8192
/* What may be sent at once after a rest: so many records, or 8 MiB of arguments. */
#define BUDGET_BURST_NS (1000 * BUDGET_COST_NS)
/* PID namespaces nest at most so deep. */
#define PID_NAMESPACES_MAX 32
/* Tells cgroups from PID namespaces, whose numbers have 32 bits. */
#define BUDGET_OF_CGROUP (1ULL << 63)

const volatile __u32 host_pid_namespace = 0;

/* Least recently used ones give way: the counts of what is forgotten remain in COUNTER_REFUSED. */
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 8192);
    __type(key, __u64);
    __type(value, struct budget);
} budgets SEC(".maps");

/* The cgroup that names the container: the unified one, or where the unified hierarchy is not in use (v1
 * hosts) that of the pids controller, which every runtime sets. */
static __always_inline struct cgroup *naming_cgroup(struct task_struct *task) {
    struct css_set *set = BPF_CORE_READ(task, cgroups);
    struct cgroup *unified = BPF_CORE_READ(set, dfl_cgrp);
    if (kernfs_parent(BPF_CORE_READ(unified, kn)) ||
        !bpf_core_enum_value_exists(enum cgroup_subsys_id, pids_cgrp_id))
        return unified;
    struct cgroup_subsys_state *state = NULL;
    void *states = (void *)set + bpf_core_field_offset(struct css_set, subsys);
    bpf_probe_read_kernel(&state, sizeof(state),
                          states + bpf_core_enum_value(enum cgroup_subsys_id, pids_cgrp_id) * sizeof(void *));
    return state ? BPF_CORE_READ(state, cgroup) : unified;
}

/* The number of a PID namespace that a process is in, by its level. */
static __always_inline __u32 pid_namespace_at(struct pid *pid, __u32 level) {
    struct pid_namespace *namespace = NULL;
    void *numbers = (void *)pid + bpf_core_field_offset(struct pid, numbers);
    bpf_probe_read_kernel(&namespace, sizeof(namespace),
                          numbers + level * bpf_core_type_size(struct upid) +
                              bpf_core_field_offset(struct upid, ns));
    return BPF_CORE_READ(namespace, ns.inum);
}

/* On whose budget a process executes. */
static __noinline __u64 budget_of(struct task_struct *task) {
    struct pid *pid = BPF_CORE_READ(task, thread_pid);
    __u32 innermost = BPF_CORE_READ(pid, level);
    for (__u32 level = 0; level < PID_NAMESPACES_MAX; level++) {
        if (level >= innermost)
            break;
        if (pid_namespace_at(pid, level) == host_pid_namespace)
            return pid_namespace_at(pid, level + 1);
    }
    struct cgroup *cgroup = naming_cgroup(task);
    return BPF_CORE_READ(cgroup, kn, id) | BUDGET_OF_CGROUP;
}

/*
 * Whether a record of so many bytes of arguments may be sent. What a budget has used is kept as a time that
 * lies ahead of a clock that runs BUDGET_BURST_NS behind: one number, so that it can be changed by one atomic
 * addition. Two CPUs that look at the same moment may both find the last of it, which is one record too many.
 */
static __noinline bool may_send(__u64 whose, __u64 now, __u64 bytes) {
    struct budget *budget = bpf_map_lookup_elem(&budgets, &whose);
    if (!budget) {
        struct budget full = {};
        bpf_map_update_elem(&budgets, &whose, &full, BPF_ANY);
        budget = bpf_map_lookup_elem(&budgets, &whose);
        /* No memory for one more: the ring's own bound holds. */
        if (!budget)
            return true;
    }
    __u64 rested = now > BUDGET_BURST_NS ? now - BUDGET_BURST_NS : 0;
    if (budget->used_until > now) {
        __sync_fetch_and_add(&budget->refused, 1);
        count(COUNTER_REFUSED);
        return false;
    }
    if (budget->used_until < rested)
        budget->used_until = rested;
    if (bytes > STRINGS_MAX)
        bytes = STRINGS_MAX;
    __sync_fetch_and_add(&budget->used_until, BUDGET_COST_NS * (1 + bytes / BUDGET_PIECE));
    return true;
}

/* A record found no room in the ring. */
static __noinline void count_lost(__u64 whose) {
    struct budget *budget = bpf_map_lookup_elem(&budgets, &whose);
    if (budget)
        __sync_fetch_and_add(&budget->lost, 1);
    count(COUNTER_LOST);
}

#endif
