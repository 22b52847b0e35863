/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Tells which container a process is in, and who it is there.
 *
 * A container is told by its outermost PID namespace below the host's: whatever namespaces and cgroups a
 * process makes, it stays in that one. Where a process shares the host's, its cgroup stands in.
 * Blind spot: containers of a Pod that share one PID namespace share one budget, and so does what runs in a
 * container of containers (Docker in Docker, a node of kind). A process in the host's PID namespace that may
 * make cgroups has as many budgets as it makes; it could do worse.
 */
#ifndef URVA_CONTAINER_H
#define URVA_CONTAINER_H

/* PID namespaces nest at most so deep. */
#define PID_NAMESPACES_MAX 32
/* Tells cgroups from PID namespaces, whose numbers have 32 bits. */
#define BUDGET_OF_CGROUP (1ULL << 63)

const volatile __u32 host_pid_namespace = 0;

static __always_inline struct kernfs_node *kernfs_parent(struct kernfs_node *node) {
    if (bpf_core_field_exists(node->__parent))
        return BPF_CORE_READ(node, __parent);
    return BPF_CORE_READ((struct kernfs_node___before_6_15 *)node, parent);
}

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

/* The number of a process in its own PID namespace, and that namespace. */
static __always_inline void read_innermost(struct task_struct *task, struct upid *own) {
    struct pid *pid = BPF_CORE_READ(task, thread_pid);
    __u32 level = BPF_CORE_READ(pid, level);
    void *number =
        (void *)pid + bpf_core_field_offset(struct pid, numbers) + level * bpf_core_type_size(struct upid);
    bpf_probe_read_kernel(&own->nr, sizeof(own->nr), number + bpf_core_field_offset(struct upid, nr));
    bpf_probe_read_kernel(&own->ns, sizeof(own->ns), number + bpf_core_field_offset(struct upid, ns));
}

#endif
