// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/*
 * Sends every text that an interpreter compiles while it runs: what `exec`, `eval`, `compile` and imports of
 * Python and `eval` and `source` of Bash hand to the compiler, after all decoding.
 *
 * Guarantee: the bytes that the compiler is about to read, as long as they are in memory, each text once for
 * a process, within the budget of its container; one that user space called harmless costs a hash and two
 * lookups. What is over budget is compiled unseen, and counted. Blind spots: a thread that
 * changes the text while it is compiled (two reads of a long text can differ; what is remembered is the hash
 * of what was sent); a text on a page that is not in memory, since a uprobe must not wait for one (an
 * attacker could make it wait for ever) - it is sent as far as it goes, and flagged; bytecode; and code that
 * calls the compiler from within, past the exported function.
 */
#include "kernel.h"
#include "event.h"
#include "registers.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
/* What one text costs: so many may be sent in a second, in the long run. */
#define BUDGET_COST_NS (1000000000ULL / 4000)
/* A long text costs once more for each such piece of it. */
#define BUDGET_PIECE 1024
/* What may be sent at once after a rest: so many texts, or 8 MiB, half of the ring: the imports of a large
 * program. */
#define BUDGET_BURST_NS (8192 * BUDGET_COST_NS)
#include "budget.h"
#include "executed.h"
#include "hold.h"

char LICENSE[] SEC("license") = "GPL";

/* Set by user space before loading. */
const volatile __u32 host_mount_namespace = 0;
const volatile bool include_host = false;
/* A secret, so that nobody can make a text with the hash of a harmless one. */
const volatile __u64 hash_secret[2] = {};

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 16 * 1024 * 1024);
} texts SEC(".maps");

/* Hashes of texts that were judged and are harmless. */
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 65536);
    __type(key, __u64);
    __type(value, __u8);
} harmless SEC(".maps");

struct text_of_process {
    __u64 key;
    __u64 start_time;
};

/* What was sent of each process. */
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 65536);
    __type(key, struct text_of_process);
    __type(value, __u8);
} sent SEC(".maps");

/* A call of the compiler that may still be under way: a text that it compiles and runs can compile further
 * ones. */
struct frame {
    __u64 stack;
    __u64 return_address;
    __u64 key;
};

struct frames {
    __u64 start_time;
    __u64 next;
    struct frame frame[8];
};

/* Bytes of stack between a call that compiles and runs a text, and one that this text makes. */
#define EVALUATION_STACK 512

/* By thread. */
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 8192);
    __type(key, __u32);
    __type(value, struct frames);
} callers SEC(".maps");

/*
 * Room to put a record together and to hash it. The program of a uprobe can be preempted by another task that
 * runs into the same probe on the same CPU, so a room is taken by compare-and-swap and not by CPU.
 */
struct room {
    __u64 state[4];
    /* Bytes of the text: those that were gone through, all, and where the tail begins. */
    __u64 at;
    __u64 total;
    __u64 tail;
    /* Bytes of text in `words`, and whether they are the last. */
    __u32 length;
    __u32 is_end;
    struct text_event event;
    __u64 words[TEXT_CHUNK / 8 + 1];
};

struct lock {
    __u32 is_taken;
};

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 64);
    __type(key, __u32);
    __type(value, struct room);
} rooms SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 64);
    __type(key, __u32);
    __type(value, struct lock);
} locks SEC(".maps");

#define ROTATE(word, bits) (((word) << (bits)) | ((word) >> (64 - (bits))))
/* SipHash's round: Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012. */
#define ROUND(a, b, c, d)                                                                                    \
    do {                                                                                                     \
        a += b, b = ROTATE(b, 13), b ^= a, a = ROTATE(a, 32);                                                \
        c += d, d = ROTATE(d, 16), d ^= c;                                                                   \
        a += d, d = ROTATE(d, 21), d ^= a;                                                                   \
        c += b, b = ROTATE(b, 17), b ^= c, c = ROTATE(c, 32);                                                \
    } while (0)

/* Words that are hashed in one go. The verifier goes through each round of a loop, but only once through a
 * global function: so it sees some of these, and some goes. */
#define HASH_BLOCK 64

__noinline int absorb_words(struct room *room, __u32 first) {
    if (!room)
        return 0;
    __u64 a = room->state[0], b = room->state[1], c = room->state[2], d = room->state[3];
    __u32 words = (room->length + 7) / 8;
    for (__u32 i = 0; i < HASH_BLOCK; i++) {
        __u32 at = first + i;
        if (at >= words)
            break;
        /* The verifier follows no comparison through the compiler's arithmetic. */
        barrier_var(at);
        __u64 word = room->words[at & (TEXT_CHUNK / 8 - 1)];
        d ^= word;
        ROUND(a, b, c, d);
        a ^= word;
    }
    room->state[0] = a, room->state[1] = b, room->state[2] = c, room->state[3] = d;
    return 0;
}

/* SipHash-1-3 over the words of a room. */
__noinline int absorb(struct room *room) {
    if (!room)
        return 0;
    for (__u32 first = 0; first < TEXT_CHUNK / 8; first += HASH_BLOCK) {
        if (first * 8 >= room->length)
            break;
        absorb_words(room, first);
    }
    return 0;
}

static __always_inline void begin_hash(struct room *room) {
    room->state[0] = hash_secret[0] ^ 0x736f6d6570736575ULL;
    room->state[1] = hash_secret[1] ^ 0x646f72616e646f6dULL;
    room->state[2] = hash_secret[0] ^ 0x6c7967656e657261ULL;
    room->state[3] = hash_secret[1] ^ 0x7465646279746573ULL;
}

/* The length stands for SipHash's last word. Never zero, which means "none". */
static __always_inline __u64 end_hash(struct room *room, __u64 length) {
    __u64 a = room->state[0], b = room->state[1], c = room->state[2], d = room->state[3];
    d ^= length;
    ROUND(a, b, c, d);
    a ^= length;
    c ^= 0xff;
    ROUND(a, b, c, d);
    ROUND(a, b, c, d);
    ROUND(a, b, c, d);
    return (a ^ b ^ c ^ d) | 1;
}

/* Reads the next part of the text and hashes it. Returns its length; `is_end` says whether it was the last.
 * Global as well. */
__noinline __u32 next_part(struct room *room, __u64 text) {
    if (!room)
        return 0;
    /* One byte more than a part, for the NUL. */
    long length = bpf_probe_read_user_str(room->words, TEXT_CHUNK + 1, (void *)text);
    if (length <= 0) {
        room->event.flags |= TEXT_UNREADABLE;
        room->length = 0;
        room->is_end = 1;
        return 0;
    }
    __u32 bytes = length - 1;
    room->length = bytes;
    room->is_end = bytes < TEXT_CHUNK;
    /* Behind the text lies what was there before: it must not reach the hash. */
    __u32 word = bytes / 8;
    if (word <= TEXT_CHUNK / 8) {
        __u32 used = (bytes & 7) * 8;
        room->words[word] &= used ? (1ULL << used) - 1 : 0;
    }
    absorb(room);
    return bytes;
}

/* Looks at some parts of the text, from the place that was reached. Global as well. */
__noinline int hash_parts(struct room *room, __u64 text) {
    if (!room)
        return 0;
    for (int i = 0; i < TEXT_PARTS_MAX; i++) {
        room->at += next_part(room, text + room->at);
        if (room->is_end)
            break;
    }
    return 0;
}

/* Hashes the text. Returns its key. */
static __noinline __u64 hash_text(struct room *room, __u64 text) {
    room->at = 0;
    begin_hash(room);
    for (int i = 0; i < TEXT_ROUNDS_MAX; i++) {
        hash_parts(room, text);
        if (room->is_end)
            break;
    }
    room->total = room->at;
    return end_hash(room, room->total);
}

static __always_inline bool send(struct room *room) {
    __u32 size = room->length;
    barrier_var(size);
    if (size > TEXT_CHUNK)
        return true;
    /* The words lie right behind the event. */
    return !bpf_ringbuf_output(&texts, &room->event, sizeof(room->event) + size, 0);
}

/* Whether a text of so many bytes has parts that are not sent. */
static __always_inline bool is_cut(__u64 total) {
    return total > TEXT_PARTS_MAX * TEXT_CHUNK;
}

/* Hashes some parts of the text, and sends those of them that belong to its head or tail: the hash with the
 * last. The room's `is_end` says whether it was that. Returns false where one found no room in the ring.
 * Global as well. */
__noinline int send_parts(struct room *room, __u64 text) {
    if (!room)
        return 0;
    struct text_event *event = &room->event;
    for (int i = 0; i < TEXT_PARTS_MAX; i++) {
        __u64 at = room->at;
        event->offset = at;
        event->length = next_part(room, text + at);
        room->at = at + event->length;
        /* Another thread may make it longer meanwhile: it ends where it did. */
        room->is_end |= room->at >= room->total;
        bool is_tail = at >= room->tail;
        if (is_tail)
            event->flags |= TEXT_TAIL;
        if (room->is_end) {
            event->key = end_hash(room, room->at);
            event->flags |= TEXT_LAST;
        }
        if ((is_tail || room->is_end || at < TEXT_HEAD_PARTS * TEXT_CHUNK || !is_cut(room->total)) &&
            !send(room))
            return 0;
        if (room->is_end)
            break;
    }
    return 1;
}

/* Sends the text part by part, the hash of what was looked at with the last. */
static __noinline bool send_text(struct room *room, __u64 text) {
    struct text_event *event = &room->event;
    if (room->total < TEXT_CHUNK) {
        event->offset = 0;
        event->length = room->length;
        event->flags |= TEXT_LAST;
        return send(room);
    }
    event->key = 0;
    room->tail = ~0ULL;
    if (is_cut(room->total)) {
        __u64 parts = (room->total + TEXT_CHUNK - 1) / TEXT_CHUNK;
        room->tail = (parts - TEXT_HEAD_PARTS) * TEXT_CHUNK;
        event->flags |= TEXT_CUT | (room->is_end ? 0 : TEXT_ENDLESS);
    }
    room->at = 0;
    begin_hash(room);
    for (int i = 0; i < TEXT_ROUNDS_MAX; i++) {
        if (!send_parts(room, text))
            return false;
        if (room->is_end)
            return true;
    }
    return true;
}

static __always_inline void fill(struct text_event *event, struct task_struct *task, struct pt_regs *ctx,
                                 __u64 function) {
    __u64 ids = bpf_get_current_pid_tgid();
    event->time = bpf_ktime_get_boot_ns();
    event->start_time = BPF_CORE_READ(task, group_leader, start_boottime);
    event->stack = PT_REGS_SP(ctx);
    event->kind = EVENT_TEXT;
    event->function = function;
    event->pid = ids >> 32;
    event->thread = ids;
    event->flags = 0;
    event->caller = 0;
}

/* Who compiles the text, for where the process is gone before anybody can ask. */
static __noinline int fill_process(struct text_event *event, struct task_struct *task) {
    if (!event)
        return 0;
    struct upid own = {};
    read_innermost(task, &own);
    event->pid_in_container = own.nr;
    event->parent_pid = BPF_CORE_READ(task, group_leader, real_parent, tgid);
    event->uid = BPF_CORE_READ(task, cred, euid.val);
    event->gid = BPF_CORE_READ(task, cred, egid.val);
    event->mount_namespace = BPF_CORE_READ(task, nsproxy, mnt_ns, ns.inum);
    event->pid_namespace = BPF_CORE_READ(own.ns, ns.inum);
    event->network_namespace = BPF_CORE_READ(task, nsproxy, net_ns, ns.inum);
    event->user_namespace = BPF_CORE_READ(task, cred, user_ns, ns.inum);
    bpf_probe_read_kernel_str(event->comm, sizeof(event->comm), &task->comm);
    return name_exec(event, task);
}

/*
 * Finds the innermost call that is still under way: one that lies higher on the stack by what an evaluation
 * takes at least, and whose return address still stands there. A call that has returned can pass for one that
 * has not where nothing was written to its place since. Elsewhere than on x86 a function is not entered with
 * its return address on the stack.
 */
static __noinline __u64 find_caller(struct frames *frames, __u64 stack) {
    __u64 innermost = ~0ULL, key = 0;
#if defined(__TARGET_ARCH_x86)
    for (int i = 0; i < 8; i++) {
        struct frame *frame = &frames->frame[i];
        __u64 now = 0;
        if (frame->stack < stack + EVALUATION_STACK || frame->stack >= innermost)
            continue;
        bpf_probe_read_user(&now, sizeof(now), (void *)frame->stack);
        if (now != frame->return_address)
            continue;
        innermost = frame->stack;
        key = frame->key;
    }
#endif
    return key;
}

static __always_inline struct frames *frames_of(struct text_event *event) {
    struct frames *frames = bpf_map_lookup_elem(&callers, &event->thread);
    if (frames && frames->start_time == event->start_time)
        return frames;
    struct frames none = {.start_time = event->start_time};
    bpf_map_update_elem(&callers, &event->thread, &none, BPF_ANY);
    return bpf_map_lookup_elem(&callers, &event->thread);
}

/* Before a text, or code, is sent: says who compiles it and within what, and stops the process where it is to
 * be held. Returns the calls of this thread that are known. */
static __always_inline struct frames *prepare(struct text_event *event, struct task_struct *task) {
    fill_process(event, task);
    struct frames *frames = frames_of(event);
    if (frames)
        event->caller = find_caller(frames, event->stack);
    if (hold_current(task, event->pid, event->start_time))
        event->flags |= TEXT_HELD;
    return frames;
}

/* It could not be sent: it is counted, and nobody waits for a verdict. */
static __always_inline void give_up(struct text_event *event) {
    count_lost(event->budget);
    if (event->flags & TEXT_HELD)
        let_go(event->pid);
}

static __always_inline void look(struct room *room, struct task_struct *task, struct pt_regs *ctx) {
    struct text_event *event = &room->event;
    __u64 text = PT_REGS_PARM1(ctx);
    fill(event, task, ctx, bpf_get_attach_cookie(ctx));

    event->key = hash_text(room, text);
    /* What cannot be looked at to its end may be another text the next time, or than the one that was judged.
     */
    bool is_known_whole = room->is_end && !(event->flags & TEXT_UNREADABLE);
    struct text_of_process key = {.key = event->key, .start_time = event->start_time};
    if (is_known_whole && bpf_map_lookup_elem(&sent, &key))
        return;
    bool is_harmless = is_known_whole && bpf_map_lookup_elem(&harmless, &event->key);
    __u8 yes = 1;
    if (!is_harmless) {
        event->budget = budget_of(task);
        __u64 sent_bytes = is_cut(room->total) ? TEXT_PARTS_MAX * TEXT_CHUNK : room->total;
        if (!may_send(event->budget, event->time, 1 + sent_bytes / BUDGET_PIECE))
            return;
        /* Bash names the text's origin; Python's is an object, of which user space makes what it can. */
        if (bpf_probe_read_user(event->name, sizeof(event->name), (void *)PT_REGS_PARM2(ctx)))
            event->flags |= TEXT_NAMELESS;
        struct frames *frames = prepare(event, task);
        if (!send_text(room, text)) {
            give_up(event);
            return;
        }
        key.key = event->key;
        /* What only compiles a text runs nothing. */
        if (frames && event->function != TEXT_PYTHON_COMPILE) {
            struct frame *frame = &frames->frame[frames->next & 7];
            frame->stack = event->stack;
            frame->key = event->key;
            bpf_probe_read_user(&frame->return_address, sizeof(__u64), (void *)event->stack);
            frames->next++;
        }
    }
    if (is_known_whole)
        bpf_map_update_elem(&sent, &key, &yes, BPF_ANY);
}

#include "bytecode.h"

static __always_inline int on_text(struct pt_regs *ctx) {
    struct task_struct *task = (void *)bpf_get_current_task();
    if (!include_host && BPF_CORE_READ(task, nsproxy, mnt_ns, ns.inum) == host_mount_namespace)
        return 0;
    if (bpf_get_attach_cookie(ctx) == TEXT_PYTHON_RUN)
        note_running_text(ctx);
    __u32 first = bpf_get_smp_processor_id();
    for (__u32 i = 0; i < 4; i++) {
        __u32 index = (first + i * 16) & 63;
        struct lock *lock = bpf_map_lookup_elem(&locks, &index);
        struct room *room = bpf_map_lookup_elem(&rooms, &index);
        if (!lock || !room)
            return 0;
        if (__sync_val_compare_and_swap(&lock->is_taken, 0, 1) == 0) {
            look(room, task, ctx);
            __sync_lock_test_and_set(&lock->is_taken, 0);
            return 0;
        }
    }
    count_lost(budget_of(task));
    return 0;
}

SEC("uprobe") int on_text_single(struct pt_regs *ctx) {
    return on_text(ctx);
}

SEC("uprobe.multi") int on_text_multi(struct pt_regs *ctx) {
    return on_text(ctx);
}
