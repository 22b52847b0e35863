// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/*
 * Sees every exec on the host and sends those that may run a script in a container.
 *
 * Guarantee: an exec in another mount namespace than the host's, of an executable that is an interpreter or
 * that nobody has looked at, is sent with all its arguments as they stand on the new program's stack, before
 * its first instruction; or it is counted as lost, for its container where that has used up its budget.
 * Blind spot: an interpreter that is not executed but embedded (a library in a program that user space
 * classed as no interpreter), and processes that were running before the probe was attached.
 * Where holding is enabled, a process that may run a script is stopped until user space lets it go.
 * Not done here on purpose: nothing is read from files, no exec of the host costs more
 * than six loads.
 */
#include "kernel.h"
#include "event.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
/* What one exec costs: so many may be sent in a second, in the long run. */
#define BUDGET_COST_NS (1000000000ULL / 500)
/* A record with long arguments costs once more for each such piece of them. */
#define BUDGET_PIECE 8192
/* What may be sent at once after a rest: so many records, or 8 MiB of arguments. */
#define BUDGET_BURST_NS (1000 * BUDGET_COST_NS)
#include "budget.h"
#include "path.h"
#include "hold.h"
#include "executed.h"

char LICENSE[] SEC("license") = "GPL";

/* Set by user space before loading. */
const volatile __u32 host_mount_namespace = 0;
const volatile bool include_host = false;
const volatile __u32 environment_max = 0;
/* The process whose children are canaries; 0 for none. */
const volatile __u32 canary_parent = 0;

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 8 * 1024 * 1024);
} events SEC(".maps");

/* What is known of executables. Least recently used ones give way: they are then looked at again. */
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 16384);
    __type(key, struct executable_key);
    __type(value, struct executable_verdict);
} executables SEC(".maps");

static __always_inline void read_changed(struct inode *inode, __u64 *seconds, __u32 *nanoseconds) {
    if (bpf_core_field_exists(inode->i_ctime_sec)) {
        *seconds = BPF_CORE_READ(inode, i_ctime_sec);
        /* Since 6.13 the topmost bit says that somebody has asked for the time; stat does not show it. */
        *nanoseconds = BPF_CORE_READ(inode, i_ctime_nsec) & ~(1U << 31);
    } else if (bpf_core_field_exists(((struct inode___before_6_11 *)0)->__i_ctime)) {
        struct inode___before_6_11 *older = (void *)inode;
        *seconds = BPF_CORE_READ(older, __i_ctime.tv_sec);
        *nanoseconds = BPF_CORE_READ(older, __i_ctime.tv_nsec);
    } else {
        struct inode___before_6_6 *oldest = (void *)inode;
        *seconds = BPF_CORE_READ(oldest, i_ctime.tv_sec);
        *nanoseconds = BPF_CORE_READ(oldest, i_ctime.tv_nsec);
    }
}

/*
 * Whether BusyBox will be a shell: it goes by the last component of argv[0], and by argv[1] where that is
 * `busybox`. Everything that cannot be read is sent.
 */
static __noinline bool busybox_is_shell(struct scratch *scratch, unsigned long arguments) {
    /* A longer argv[0] than this is unusual enough to be sent. */
    const int longest = 128;
    long length = bpf_probe_read_user_str(scratch->data, longest, (void *)arguments);
    if (length <= 0 || length >= longest)
        return true;
    __u32 base = 0;
    for (int i = 0; i < longest; i++) {
        if (scratch->data[i] == 0)
            break;
        if (scratch->data[i] == '/')
            base = i + 1;
    }
    /* Read a second time from the base: an index into `data` would make the verifier follow each value of it.
     */
    char name[8] = {};
    bpf_probe_read_user_str(name, sizeof(name), (void *)(arguments + base));
    if (name[0] == 'b' || name[1] == 'b') /* busybox, -busybox */
        return true;
    for (int i = 0; i < 4; i++) {
        if (name[i] == 's' && name[i + 1] == 'h' && name[i + 2] == 0)
            return true;
    }
    return false;
}

static __always_inline void fill_ids(struct exec_event *event, struct task_struct *task) {
    struct upid own = {};
    read_innermost(task, &own);
    event->pid = BPF_CORE_READ(task, tgid);
    event->pid_in_container = own.nr;
    event->parent_pid = BPF_CORE_READ(task, real_parent, tgid);
    event->start_time = BPF_CORE_READ(task, group_leader, start_boottime);
    event->uid = BPF_CORE_READ(task, cred, euid.val);
    event->gid = BPF_CORE_READ(task, cred, egid.val);
    event->mount_namespace = BPF_CORE_READ(task, nsproxy, mnt_ns, ns.inum);
    event->pid_namespace = BPF_CORE_READ(own.ns, ns.inum);
    event->network_namespace = BPF_CORE_READ(task, nsproxy, net_ns, ns.inum);
    event->user_namespace = BPF_CORE_READ(task, cred, user_ns, ns.inum);
    bpf_probe_read_kernel_str(event->comm, sizeof(event->comm), &task->comm);

    struct file *input = NULL;
    struct file **table = BPF_CORE_READ(task, files, fdt, fd);
    bpf_probe_read_kernel(&input, sizeof(input), table);
    event->stdin_mode = input ? BPF_CORE_READ(input, f_inode, i_mode) : 0;
    event->stdin_device = input ? BPF_CORE_READ(input, f_inode, i_rdev) : 0;
}

#include "waiting.h"

/* Sends what did not fit into the first record. */
static __noinline int send_rest(struct exec_event *first, unsigned long from, unsigned long end) {
    __u32 zero = 0;
    struct chunk *chunk = bpf_map_lookup_elem(&chunks, &zero);
    if (!chunk)
        return 0;
    chunk->event.kind = EVENT_STRINGS;
    chunk->event.pid = first->pid;
    chunk->event.exec_time = first->exec_time;
    chunk->event.offset = first->strings_length;

    for (int i = 0; i < STRINGS_MAX / STRINGS_CHUNK + 1; i++) {
        __u64 left = from < end ? end - from : 0;
        __u64 length = left < STRINGS_CHUNK ? left : STRINGS_CHUNK;
        bool is_last = left <= STRINGS_CHUNK;
        /* The compiler knows the bound and would drop the mask; the verifier needs it. */
        barrier_var(length);
        length &= 2 * STRINGS_CHUNK - 1;
        if (length > STRINGS_CHUNK || bpf_probe_read_user(chunk->data, length, (void *)from)) {
            length = 0;
            is_last = true;
        }
        chunk->event.length = length;
        chunk->event.is_last = is_last;
        if (bpf_ringbuf_output(&events, chunk, sizeof(chunk->event) + length,
                               is_last ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP)) {
            count_lost(first->budget);
            return 0;
        }
        if (is_last)
            return 0;
        from += length;
        chunk->event.offset += length;
    }
    return 0;
}

/* Puts the first part of arguments and environment behind the names. Returns its length. */
static __always_inline __u32 append_strings(struct scratch *scratch, unsigned long start, __u64 size) {
    __u32 at = scratch->used;
    if (at > DATA_BYTES - FIRST_STRINGS_MAX)
        return 0;
    __u64 length = size < FIRST_STRINGS_MAX ? size : FIRST_STRINGS_MAX;
    barrier_var(length);
    length &= 2 * FIRST_STRINGS_MAX - 1;
    if (length > FIRST_STRINGS_MAX || bpf_probe_read_user(&scratch->data[at], length, (void *)start))
        return 0;
    return length;
}

static __noinline int send_exec(struct scratch *scratch, struct task_struct *task,
                                struct linux_binprm *bprm) {
    struct exec_event *event = &scratch->event;
    struct fs_struct *fs = BPF_CORE_READ(task, fs);
    struct file *file = BPF_CORE_READ(bprm, file);
    struct mm_struct *mm = BPF_CORE_READ(task, mm);

    event->exec_time = bpf_ktime_get_boot_ns();
    event->budget = budget_of(task);
    /* The kernel has just laid out arguments and environment as one run of bytes. */
    unsigned long start = BPF_CORE_READ(mm, arg_start);
    unsigned long environment = BPF_CORE_READ(mm, arg_end), end = BPF_CORE_READ(mm, env_end);
    event->arguments_size = environment - start;
    event->environment_size = end - environment;
    if (end - environment > environment_max)
        end = environment + environment_max;
    event->strings_size = end - start;
    __u64 size_to_send = event->strings_size < STRINGS_MAX ? event->strings_size : STRINGS_MAX;
    if (!may_send(event->budget, event->exec_time, 1 + size_to_send / BUDGET_PIECE))
        return 0;

    scratch->used = 0;
    event->kind = EVENT_EXEC;
    fill_ids(event, task);
    event->executable_path_length = append_path(scratch, &file->f_path, &fs->root);
    event->cwd_length = append_path(scratch, &fs->pwd, &fs->root);
    event->cgroup_length = append_cgroup(scratch, naming_cgroup(task));

    event->strings_length = append_strings(scratch, start, event->strings_size);

    if (hold_current(task, event->pid, event->start_time))
        event->flags |= EXEC_HELD;
    bool is_complete = event->strings_length == event->strings_size;
    __u32 size = sizeof(*event) + scratch->used + event->strings_length;
    if (size > sizeof(*event) + DATA_BYTES + NAME_SLACK)
        return 0;
    tell_exec(task, event);
    send_waiting(event, task);
    if (bpf_ringbuf_output(&events, scratch, size, is_complete ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP)) {
        untell_exec(event);
        count_lost(event->budget);
        if (event->flags & EXEC_HELD)
            let_go(event->pid);
        return 0;
    }
    return is_complete ? 0 : send_rest(event, start + event->strings_length, end);
}

/* No budget and no table stands in its way: it shows that the probe is there and that its records arrive. */
static __noinline int send_canary(struct task_struct *task) {
    struct canary_event canary = {
        .exec_time = bpf_ktime_get_boot_ns(), .kind = EVENT_CANARY, .pid = BPF_CORE_READ(task, tgid)};
    if (bpf_ringbuf_output(&events, &canary, sizeof(canary), BPF_RB_FORCE_WAKEUP))
        count(COUNTER_LOST);
    return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *task, int old_pid, struct linux_binprm *bprm) {
    if (canary_parent && task->real_parent->tgid == canary_parent)
        return send_canary(task);
    if (!include_host && task->nsproxy->mnt_ns->ns.inum == host_mount_namespace)
        return 0;

    __u32 zero = 0;
    struct scratch *scratch = bpf_map_lookup_elem(&scratches, &zero);
    if (!scratch)
        return 0;
    struct exec_event *event = &scratch->event;
    struct inode *inode = bprm->file->f_inode;
    struct executable_key key = {.device = inode->i_sb->s_dev, .inode = inode->i_ino};
    event->flags = 0;
    event->executable_device = key.device;
    event->executable_inode = key.inode;
    event->executable_size = inode->i_size;
    read_changed(inode, &event->executable_changed, &event->executable_changed_ns);

    struct executable_verdict *known = bpf_map_lookup_elem(&executables, &key);
    if (!known || known->changed != event->executable_changed ||
        known->changed_ns != event->executable_changed_ns || known->size != event->executable_size)
        event->flags |= EXEC_UNKNOWN_EXECUTABLE;
    else if (known->class_ == CLASS_OTHER)
        return 0;
    else if (known->class_ == CLASS_BUSYBOX && !busybox_is_shell(scratch, task->mm->arg_start))
        return 0;
    return send_exec(scratch, task, bprm);
}
