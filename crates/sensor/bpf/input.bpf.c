// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/*
 * Sees what chosen processes read from their standard input.
 *
 * User space attaches the first three programs to chosen processes only: to the instruction behind `syscall`
 * in the function of their C library that reads. There the registers still hold the descriptor and the
 * buffer, and already the number of bytes, so that one trap tells all. Attaching takes the kernel 6 to 20 ms,
 * and a shell has read its script by then. So the reads of a young process are seen where each system call of
 * the host leaves the kernel. That takes 0.1 ms to attach, but makes all calls slower: it is never left in
 * place.
 *
 * Guarantee: bytes that such a process reads from the inode that was its standard input are sent in their
 * order, or leave a hole in the positions. A child of it is not followed: it is another thread group.
 * Blind spot: reads that do not go through the instructions that user space found: system calls of the
 * program's own, io_uring, mmap. Nobody is stopped unless holding is enabled: see hold.h. An exec and an exit
 * of any process cost one lookup.
 */
#include "kernel.h"
#include "event.h"
#include "input.h"
#include "registers.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#include "hold.h"

char LICENSE[] SEC("license") = "GPL";

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 4 * 1024 * 1024);
} inputs SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, INPUT_WATCHES_MAX);
    __type(key, __u32);
    __type(value, struct input_watch);
} watches SEC(".maps");

/*
 * The record is reserved in the ring, since a program of a probe can be preempted and another one can run on
 * the same CPU meanwhile. A reservation wants its size known, hence the sizes. The ring wakes its reader only
 * where that had read everything.
 */
#define SEND(SIZE)                                                                                           \
    __noinline int send_##SIZE(struct input_watch *watch, __u64 position, __u64 buffer, __u32 length) {      \
        struct {                                                                                             \
            struct input_event event;                                                                        \
            __u8 data[SIZE];                                                                                 \
        } * record;                                                                                          \
        if (!watch)                                                                                          \
            return 0;                                                                                        \
        record = bpf_ringbuf_reserve(&inputs, sizeof(*record), 0);                                           \
        if (!record)                                                                                         \
            return 0;                                                                                        \
        record->event.id = watch->id;                                                                        \
        record->event.position = position;                                                                   \
        record->event.kind = INPUT_BYTES;                                                                    \
        if (length > SIZE)                                                                                   \
            length = SIZE;                                                                                   \
        if (bpf_probe_read_user(record->data, length, (void *)buffer))                                       \
            length = 0;                                                                                      \
        record->event.length = length;                                                                       \
        bpf_ringbuf_submit(record, 0);                                                                       \
        return 0;                                                                                            \
    }

SEND(16)
SEND(512)
SEND(8192)

static __always_inline bool send_kind(__u64 id, __u64 position, __u32 kind) {
    struct input_event *event = bpf_ringbuf_reserve(&inputs, sizeof(*event), 0);
    if (!event)
        return false;
    event->id = id;
    event->position = position;
    event->kind = kind;
    event->length = 0;
    bpf_ringbuf_submit(event, 0);
    return true;
}

/* Whether the descriptor leads to the inode that is watched. */
static __always_inline bool is_watched(struct input_watch *watch, __u32 descriptor) {
    if (!watch->inode)
        return descriptor == 0;
    struct task_struct *task = (void *)bpf_get_current_task();
    struct fdtable *table = BPF_CORE_READ(task, files, fdt);
    if (descriptor >= BPF_CORE_READ(table, max_fds))
        return false;
    struct file *file = NULL, **files = BPF_CORE_READ(table, fd);
    bpf_probe_read_kernel(&file, sizeof(file), files + descriptor);
    if (!file)
        return false;
    struct inode *inode = BPF_CORE_READ(file, f_inode);
    return BPF_CORE_READ(inode, i_ino) == watch->inode && BPF_CORE_READ(inode, i_sb, s_dev) == watch->device;
}

static __always_inline struct input_watch *watch_of(__u32 descriptor) {
    __u32 pid = bpf_get_current_pid_tgid() >> 32;
    struct input_watch *watch = bpf_map_lookup_elem(&watches, &pid);
    return watch && is_watched(watch, descriptor) ? watch : NULL;
}

/* Whether this read was seen on its way out of the kernel, where all calls of the host are looked at. Both
 * ways are there until a first read has come this way, or the process sleeps: see `equip` in user space. */
static __always_inline bool was_seen(struct input_watch *watch) {
    watch->probed = 1;
    if (!watch->seen)
        return false;
    watch->seen = 0;
    return true;
}

__noinline int send_bytes(struct input_watch *watch, __u64 buffer, __u64 length) {
    if (!watch)
        return 0;
    __u64 position = __sync_fetch_and_add(&watch->position, length);
    if (length <= 16)
        return send_16(watch, position, buffer, length);
    if (length <= 512)
        return send_512(watch, position, buffer, length);
    for (int i = 0; i < INPUT_CHUNKS_MAX; i++) {
        __u64 sent = (__u64)i * INPUT_CHUNK;
        if (sent >= length)
            break;
        __u64 left = length - sent;
        send_8192(watch, position + sent, buffer + sent, left < INPUT_CHUNK ? left : INPUT_CHUNK);
    }
    return 0;
}

/*
 * Stops the process that has read so many bytes, where they are to be judged before it goes on. Bash reads
 * byte by byte, and does nothing before the line is complete. Returns whether it is stopped.
 */
__noinline int hold_reader(struct input_watch *watch, __u64 buffer, __u64 length) {
    if (!watch || watch->hold == INPUT_HOLD_NEVER || watch->position <= watch->judged)
        return 0;
    if (watch->hold == INPUT_HOLD_END && length)
        return 0;
    __u8 byte = 0;
    if (buffer && length == 1 && !bpf_probe_read_user(&byte, 1, (void *)buffer) && byte != '\n')
        return 0;
    struct task_struct *task = (void *)bpf_get_current_task();
    __u32 pid = bpf_get_current_pid_tgid() >> 32;
    if (!hold_current(task, pid, BPF_CORE_READ(task, group_leader, start_boottime)))
        return 0;
    if (send_kind(watch->id, watch->position, length ? INPUT_HELD : INPUT_HELD_AT_EOF))
        return 1;
    let_go(pid);
    return 0;
}

/* What a `read` has read. */
static __always_inline int send_read(struct input_watch *watch, __u64 buffer, long length) {
    if (length)
        send_bytes(watch, buffer, length);
    if (!hold_reader(watch, buffer, length) && !length)
        send_kind(watch->id, watch->position, INPUT_EOF);
    return 0;
}

/* Behind the `syscall` of a `read`. */
SEC("uprobe")
int after_read(struct pt_regs *registers) {
    long length = PT_REGS_RC(registers);
    if (length < 0)
        return 0;
    struct input_watch *watch = watch_of(PT_REGS_PARM1(registers));
    if (!watch || was_seen(watch))
        return 0;
    return send_read(watch, PT_REGS_PARM2(registers), length);
}

/* Behind a `syscall` that `read` shares with other calls (musl). Only descriptor 0 is believed to be read
 * from: a terminal or socket may be the input and the output. */
SEC("uprobe")
int after_any(struct pt_regs *registers) {
    long length = PT_REGS_RC(registers);
    if (length <= 0 || (__u32)PT_REGS_PARM1(registers) != 0 || (__u64)length > PT_REGS_PARM3(registers))
        return 0;
    struct input_watch *watch = watch_of(0);
    if (!watch || was_seen(watch))
        return 0;
    return send_read(watch, PT_REGS_PARM2(registers), length);
}

struct iovec {
    __u64 base;
    __u64 length;
};

/* What a `readv` into two buffers has read (musl's stdio). */
__noinline int send_parts(struct input_watch *watch, __u64 vector, __u64 length) {
    if (!watch)
        return 0;
    struct iovec parts[2] = {};
    if (length == 0)
        return send_read(watch, 0, 0);
    if (bpf_probe_read_user(parts, sizeof(parts), (void *)vector))
        return 0;
    __u64 first = length < parts[0].length ? length : parts[0].length;
    if (first)
        send_bytes(watch, parts[0].base, first);
    if (length > first)
        send_bytes(watch, parts[1].base, length - first);
    hold_reader(watch, 0, length);
    return 0;
}

/* Behind the `syscall` of such a `readv`. */
SEC("uprobe")
int after_readv(struct pt_regs *registers) {
    long length = PT_REGS_RC(registers);
    if (length < 0)
        return 0;
    struct input_watch *watch = watch_of(PT_REGS_PARM1(registers));
    if (!watch || was_seen(watch))
        return 0;
    return send_parts(watch, PT_REGS_PARM2(registers), length);
}

/* Numbers of x86-64, for which alone places are known. */
enum { SYS_READ = 0, SYS_READV = 19 };

/* Behind a `syscall` that `read` shares with other calls, whose number still stands on the stack (glibc since
 * 2.41). The cookie says how far above the stack pointer. */
SEC("uprobe")
int after_stacked(struct pt_regs *registers) {
    long length = PT_REGS_RC(registers);
    if (length < 0)
        return 0;
    struct input_watch *watch = watch_of(PT_REGS_PARM1(registers));
    if (!watch)
        return 0;
    __u64 number = ~0ULL;
    bpf_probe_read_user(&number, sizeof(number),
                        (void *)PT_REGS_SP(registers) + bpf_get_attach_cookie(registers));
    if ((number != SYS_READ && number != SYS_READV) || was_seen(watch))
        return 0;
    if (number == SYS_READV)
        return send_parts(watch, PT_REGS_PARM2(registers), length);
    return send_read(watch, PT_REGS_PARM2(registers), length);
}

#if defined(__TARGET_ARCH_x86)
/* Each system call of the host, while there is a young process. */
SEC("tp_btf/sys_exit")
int BPF_PROG(young_read, struct pt_regs *registers, long length) {
    __u64 number = registers->orig_rax;
    if ((number != SYS_READ && number != SYS_READV) || length < 0)
        return 0;
    struct input_watch *watch = watch_of(registers->rdi);
    if (!watch)
        return 0;
    watch->seen = 1;
    if (number == SYS_READV)
        return send_parts(watch, registers->rsi, length);
    return send_read(watch, registers->rsi, length);
}
#endif

static __always_inline void end(__u32 pid) {
    struct input_watch *watch = bpf_map_lookup_elem(&watches, &pid);
    if (!watch)
        return;
    send_kind(watch->id, watch->position, INPUT_END);
    bpf_map_delete_elem(&watches, &pid);
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(input_exec, struct task_struct *task) {
    end(task->tgid);
    return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(input_exit, struct task_struct *task) {
    if (task->pid == task->tgid)
        end(task->tgid);
    return 0;
}
