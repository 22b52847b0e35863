/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Sends the code objects that CPython is about to run and of which no text was seen: `.pyc` files, marshalled
 * code, code that a program puts together, syntax trees. Included by texts.bpf.c, whose rooms, ring and
 * tables it uses.
 *
 * An object is told by its type's address, which the interpreter exports; a code object is read word by word,
 * and what points to a text, bytes, a tuple or code belongs to it. So no version's layout is needed here, but
 * for the number of bytes before a code object's instructions, which its type tells.
 *
 * Guarantee: names, constants and the instructions of a code object and those in it, as far as they are in
 * memory and within the bounds below, each once for a process. What user space called harmless costs a walk
 * over names and constants, and two lookups. Blind spots: code that has the names and constants of harmless
 * code, in the same order, and other instructions (before 3.11 these count too); what the bounds leave out,
 * which is flagged; functions that are made of code by keyword arguments only; and free-threaded builds,
 * whose objects look different.
 */
#ifndef URVA_BYTECODE_H
#define URVA_BYTECODE_H

/* Objects of one code object that are looked at, those of their names and constants in bytes, and all in
 * bytes. Powers of two. */
#define CODE_OBJECTS 4096
#define CODE_WORDS_BYTES 65536
#define CODE_BYTES 131072
/* Code objects in it of which instructions are sent. */
#define CODE_INNER 256
/* Items of one tuple, bytes of one text, bytes of one code object's instructions. */
#define CODE_ITEMS 1024
#define CODE_TEXT 1024
#define CODE_INSTRUCTIONS 4096
/* Room for the head and the items of a tuple that are read at once, see sketch.h; a power of two. */
#define SKETCH_PLACES 16
/* Words at the head of a code object. */
#define CODE_HEAD 32
/* Room for it and its first instructions; a power of two. */
#define CODE_WORDS 64
#define CODE_HEAD_BEFORE_3_11 176
/* In the queue: before the parts of a code object; on each of them. */
#define CODE_PARTS 2
#define CODE_PART 1
/* The first word of what is sent; the topmost byte is the version's second number. */
#define CODE_MAGIC 0x0045444f4359507fULL

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, CODE_IMAGES);
    __type(key, __u32);
    __type(value, struct code_image);
} code_images SEC(".maps");

/* A text that was compiled and is about to be run by the same thread: its code need not be looked at. */
struct running_text {
    __u64 stack;
    __u64 return_address;
};

struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 8192);
    __type(key, __u32);
    __type(value, struct running_text);
} running SEC(".maps");

struct code_room {
    struct code_image image;
    /* What is added to an address in the file. */
    __u64 bias;
    __u32 head;
    __u32 tail;
    /* Bytes of `data`. */
    __u32 used;
    __u32 inner_count;
    __u32 is_cut;
    __u32 at;
    __u64 words[CODE_WORDS];
    __u64 leaf[16];
    __u64 items[2 * SKETCH_PLACES];
    __u64 inner[CODE_INNER];
    __u64 queue[CODE_OBJECTS + CODE_ITEMS];
    __u64 data[(CODE_BYTES + CODE_INSTRUCTIONS) / 8 + 4];
};

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 16);
    __type(key, __u32);
    __type(value, struct code_room);
} code_rooms SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 16);
    __type(key, __u32);
    __type(value, struct room);
} code_texts SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 16);
    __type(key, __u32);
    __type(value, struct lock);
} code_locks SEC(".maps");

struct walk {
    struct code_room *code;
    struct room *room;
};

static __always_inline bool may_be_object(__u64 address) {
    return address >= 65536 && address < (1ULL << 47) && !(address & 7);
}

/* Since 3.14 a tuple keeps its hash before its items. */
static __always_inline __u64 items_at(struct code_image *image) {
    return image->minor >= 14 ? 32 : 24;
}

#include "sketch.h"

/* Writes the header of a record; `length` bytes are said to follow, and lie there already. */
static __always_inline void put(struct code_room *code, __u64 kind, __u64 flags, __u64 length, __u32 bytes) {
    __u32 at = code->used & (CODE_BYTES - 1) & ~7U;
    code->data[at / 8] = kind | flags << 8 | length << 32;
    code->used = at + 8 + ((bytes + 7) & ~7U);
}

/* Copies bytes behind the place of the next header. */
static __always_inline bool copy(struct code_room *code, __u64 from, __u64 length, __u64 most) {
    __u32 at = (code->used & (CODE_BYTES - 1) & ~7U) + 8;
    barrier_var(length);
    if (length > most)
        return false;
    code->data[(at + length) / 8] = 0;
    return !bpf_probe_read_user((void *)code->data + at, length, (void *)from);
}

static __always_inline void visit_text(struct code_room *code, __u64 object, __u64 *head, __u64 part) {
    __u32 state = head[4];
    __u64 width = (state >> 2) & 7;
    bool is_compact = state & 32, is_ascii = state & 64;
    __u64 start = code->image.minor >= 12 ? 40 : 48;
    if (!is_ascii)
        start += code->image.minor >= 12 ? 16 : 24;
    if (!is_compact || !width || width > 4)
        return put(code, CODE_OTHER, part, 0, 0);
    __u64 length = head[2] > CODE_TEXT ? CODE_TEXT : head[2];
    if (length * width > CODE_TEXT)
        length = CODE_TEXT / 4;
    __u64 flags = width | part | (length < head[2] ? CODE_FLAG_CUT : 0);
    length *= width;
    if (!copy(code, object + start, length, CODE_TEXT))
        return put(code, CODE_OTHER, part, 0, 0);
    put(code, CODE_TEXT_OBJECT, flags, length, length);
}

static __always_inline void visit_bytes(struct code_room *code, __u64 object, __u64 *head, __u64 part) {
    /* Since 3.11 the bytes of a code object are tables; before, the first are its instructions. */
    if (part && code->image.code_size)
        return;
    __u64 most = part ? CODE_INSTRUCTIONS : CODE_TEXT;
    __u64 length = head[2] > most ? most : head[2];
    if (!copy(code, object + 32, length, CODE_INSTRUCTIONS))
        return put(code, CODE_OTHER, part, 0, 0);
    put(code, CODE_BYTES_OBJECT, part | (length < head[2] ? CODE_FLAG_CUT : 0), length, length);
}

static __always_inline void visit_tuple(struct code_room *code, __u64 object, __u64 *head, __u64 part) {
    __u32 tail = code->tail;
    __u64 count = head[2];
    if (tail > CODE_OBJECTS)
        tail = CODE_OBJECTS;
    if (count > CODE_OBJECTS - tail)
        count = CODE_OBJECTS - tail;
    if (count > CODE_ITEMS)
        count = CODE_ITEMS;
    if (count < head[2])
        code->is_cut = 1;
    __u64 bytes = count * 8;
    barrier_var(bytes);
    barrier_var(tail);
    if (bytes > CODE_ITEMS * 8 || tail > CODE_OBJECTS)
        return;
    if (bpf_probe_read_user(&code->queue[tail], bytes, (void *)(object + items_at(&code->image))))
        count = 0;
    put(code, CODE_TUPLE_OBJECT, part, count, 0);
    code->tail = tail + count;
}

static __always_inline void push(struct code_room *code, __u64 entry) {
    __u32 tail = code->tail;
    if (tail >= CODE_OBJECTS) {
        code->is_cut = 1;
        return;
    }
    code->queue[tail] = entry;
    code->tail = tail + 1;
}

__noinline int visit_code(struct code_room *code, __u64 object) {
    if (!code)
        return 0;
    __u64 size = code->image.code_size ? code->image.code_size : CODE_HEAD_BEFORE_3_11;
    barrier_var(size);
    if (size > CODE_HEAD * 8 || bpf_probe_read_user(code->words, size, (void *)object)) {
        put(code, CODE_OTHER, 0, 0, 0);
        return 0;
    }
    put(code, CODE_CODE_OBJECT, 0, 0, 0);
    __u32 inner = code->inner_count;
    if (inner < CODE_INNER) {
        code->inner[inner] = object;
        code->inner_count = inner + 1;
    } else {
        code->is_cut = 1;
    }
    push(code, CODE_PARTS);
    for (int i = 2; i < CODE_HEAD; i++) {
        if (i * 8 >= size)
            break;
        if (may_be_object(code->words[i]))
            push(code, code->words[i] | CODE_PART);
    }
    return 0;
}

/* Takes the next object out of the queue. */
static long visit(__u32 number, struct walk *walk) {
    struct code_room *code = walk->code;
    __u32 at = code->head;
    if (at >= code->tail || at >= CODE_OBJECTS)
        return 1;
    if (code->used > CODE_WORDS_BYTES) {
        code->is_cut = 1;
        return 1;
    }
    code->head = at + 1;
    __u64 entry = code->queue[at], object = entry & ~7ULL;
    __u64 part = entry & CODE_PART ? CODE_FLAG_PART : 0;
    if (entry == CODE_PARTS) {
        put(code, CODE_PARTS_FOLLOW, 0, 0, 0);
        return 0;
    }
    __u64 plain = object - code->bias;
    __u64 head[6] = {};
    struct code_image *image = &code->image;
    if (!may_be_object(object) || (bpf_probe_read_user(head, sizeof(head), (void *)object) &&
                                   bpf_probe_read_user(head, 24, (void *)object)))
        head[1] = 0;
    __u64 type = head[1] - code->bias;
    if (type == image->types[CODE_TYPE_TEXT])
        visit_text(code, object, head, part);
    else if (type == image->types[CODE_TYPE_TUPLE])
        visit_tuple(code, object, head, part);
    else if (type == image->types[CODE_TYPE_BYTES])
        visit_bytes(code, object, head, part);
    else if (type == image->types[CODE_TYPE_CODE] && !part)
        visit_code(code, object);
    else if (part)
        /* No part of a code object that is looked for. */
        return 0;
    else if (type == image->types[CODE_TYPE_NUMBER] && copy(code, object + 16, 12, 12))
        put(code, CODE_NUMBER_OBJECT, 0, 12, 12);
    else if (plain == image->words[0])
        put(code, CODE_NONE, 0, 0, 0);
    else if (plain == image->words[1])
        put(code, CODE_TRUE, 0, 0, 0);
    else if (plain == image->words[2])
        put(code, CODE_FALSE, 0, 0, 0);
    else
        put(code, CODE_OTHER, 0, 0, 0);
    return 0;
}

/* Appends the instructions of one code object: since 3.11 they lie behind it. */
static long add_instructions(__u32 number, struct walk *walk) {
    struct code_room *code = walk->code;
    if (number >= CODE_INNER || number >= code->inner_count)
        return 1;
    __u64 object = code->inner[number], count = 0;
    if (code->used > CODE_BYTES - CODE_INSTRUCTIONS - 64) {
        code->is_cut = 1;
        return 1;
    }
    bpf_probe_read_user(&count, sizeof(count), (void *)(object + 16));
    __u64 length = count > CODE_INSTRUCTIONS / 2 ? CODE_INSTRUCTIONS : count * 2;
    if (!copy(code, object + code->image.code_size, length, CODE_INSTRUCTIONS))
        length = 0;
    put(code, CODE_INSTRUCTIONS_OF, length < count * 2 ? CODE_FLAG_CUT : 0, length, length);
    return 0;
}

#define CODE_BLOCK 32

/* Hashes some words of what was collected. */
static long absorb_block(__u32 number, struct walk *walk) {
    struct code_room *code = walk->code;
    struct room *room = walk->room;
    __u32 first = number * CODE_BLOCK, words = code->used / 8;
    if (first >= words)
        return 1;
    __u64 a = room->state[0], b = room->state[1], c = room->state[2], d = room->state[3];
    for (__u32 i = 0; i < CODE_BLOCK; i++) {
        __u32 at = first + i;
        if (at >= words)
            break;
        /* The verifier follows no comparison through the compiler's arithmetic. */
        barrier_var(at);
        __u64 word = code->data[at & (CODE_BYTES / 8 - 1)];
        d ^= word;
        ROUND(a, b, c, d);
        a ^= word;
    }
    room->state[0] = a, room->state[1] = b, room->state[2] = c, room->state[3] = d;
    return 0;
}

/* Sends a part of what was collected. */
static long send_part(__u32 number, struct walk *walk) {
    struct code_room *code = walk->code;
    struct room *room = walk->room;
    __u32 at = code->at, used = code->used;
    if (at >= used || at >= CODE_BYTES)
        return 1;
    __u64 length = used - at;
    if (length > TEXT_CHUNK)
        length = TEXT_CHUNK;
    else
        room->event.flags |= TEXT_LAST;
    barrier_var(length);
    barrier_var(at);
    if (length > TEXT_CHUNK || at >= CODE_BYTES)
        return 1;
    bpf_probe_read_kernel(room->words, length, (void *)code->data + at);
    room->event.offset = at;
    room->event.length = length;
    room->length = length;
    if (!send(room)) {
        room->is_end = 1;
        return 1;
    }
    code->at = at + length;
    return 0;
}

static __noinline bool send_code(struct walk *walk) {
    struct room *room = walk->room;
    if (walk->code->image.code_size)
        bpf_loop(CODE_INNER, add_instructions, walk, 0);
    if (walk->code->is_cut)
        room->event.flags |= TEXT_CUT;
    room->is_end = 0;
    walk->code->at = 0;
    bpf_loop(CODE_BYTES / TEXT_CHUNK + 1, send_part, walk, 0);
    return !room->is_end;
}

static __noinline int look_at_code(struct walk *walk, struct task_struct *task, __u64 object) {
    struct code_room *code = walk->code;
    struct room *room = walk->room;
    struct text_event *event = &room->event;
    __u64 sketched = sketch_of(walk, object);
    __u8 yes = 1;
    if (!sketched || bpf_map_lookup_elem(&harmless_code, &sketched))
        return 0;
    code->head = 0;
    code->tail = 1;
    code->used = 8;
    code->inner_count = 0;
    code->is_cut = 0;
    code->queue[0] = object;
    code->data[0] = CODE_MAGIC | (__u64)code->image.minor << 56;
    bpf_loop(CODE_OBJECTS, visit, walk, 0);
    if (!code->inner_count)
        return 0;
    begin_hash(room);
    bpf_loop(CODE_BYTES / 8 / CODE_BLOCK, absorb_block, walk, 0);
    event->key = end_hash(room, code->used);

    struct text_of_process key = {.key = event->key, .start_time = event->start_time};
    if (bpf_map_lookup_elem(&harmless, &event->key)) {
        bpf_map_update_elem(&harmless_code, &sketched, &yes, BPF_ANY);
        return 0;
    }
    if (bpf_map_lookup_elem(&sent, &key))
        return 0;
    event->budget = budget_of(task);
    if (!may_send(event->budget, event->time, 1 + code->used / BUDGET_PIECE))
        return 0;
    prepare(event, task);
    if (!send_code(walk)) {
        give_up(event);
        return 0;
    }
    bpf_map_update_elem(&sent, &key, &yes, BPF_ANY);
    /* A text that this code compiles is told to belong to the text that led here: the code may be that
     * text's. */
    return 0;
}

/* The text that this thread has just compiled is run now: once, by a call that lies a little deeper on the
 * stack. */
static __always_inline bool is_running_text(__u32 thread, __u64 stack) {
    struct running_text *text = bpf_map_lookup_elem(&running, &thread);
    if (!text)
        return false;
    __u64 depth = text->stack - stack, now = 0;
    bool is_it = depth > 0 && depth < EVALUATION_STACK;
#if defined(__TARGET_ARCH_x86)
    if (is_it)
        bpf_probe_read_user(&now, sizeof(now), (void *)text->stack);
    is_it = is_it && now == text->return_address;
#endif
    text->stack = 0;
    return is_it;
}

static __always_inline void note_running_text(struct pt_regs *ctx) {
    __u32 thread = bpf_get_current_pid_tgid();
    struct running_text text = {.stack = PT_REGS_SP(ctx)};
#if defined(__TARGET_ARCH_x86)
    bpf_probe_read_user(&text.return_address, sizeof(__u64), (void *)text.stack);
#endif
    struct running_text *known = bpf_map_lookup_elem(&running, &thread);
    if (known)
        *known = text;
    else
        bpf_map_update_elem(&running, &thread, &text, BPF_ANY);
}

/* The code object of a call. */
static __always_inline __u64 code_of(struct pt_regs *ctx, __u32 role, struct code_image *image) {
    __u64 arguments = PT_REGS_PARM2(ctx), object = 0;
    if (role == CODE_ROLE_EVALUATE || role == CODE_ROLE_EVALUATE_MORE)
        return PT_REGS_PARM1(ctx);
    if (role == CODE_ROLE_ASSIGN)
        return arguments;
    bpf_probe_read_user(&object, sizeof(object), (void *)(arguments + items_at(image)));
    return object;
}

static __always_inline int on_code(struct pt_regs *ctx) {
    struct task_struct *task = (void *)bpf_get_current_task();
    if (!include_host && BPF_CORE_READ(task, nsproxy, mnt_ns, ns.inum) == host_mount_namespace)
        return 0;
    __u64 cookie = bpf_get_attach_cookie(ctx);
    __u32 number = cookie, role = (cookie >> 32) & 3;
    if (role == CODE_ROLE_EVALUATE && is_running_text(bpf_get_current_pid_tgid(), PT_REGS_SP(ctx)))
        return 0;
    struct code_image *image = bpf_map_lookup_elem(&code_images, &number);
    if (!image)
        return 0;
    __u32 first = bpf_get_smp_processor_id();
    for (__u32 i = 0; i < 4; i++) {
        __u32 index = (first + i * 4) & 15;
        struct lock *lock = bpf_map_lookup_elem(&code_locks, &index);
        struct code_room *code = bpf_map_lookup_elem(&code_rooms, &index);
        struct room *room = bpf_map_lookup_elem(&code_texts, &index);
        if (!lock || !code || !room)
            return 0;
        if (__sync_val_compare_and_swap(&lock->is_taken, 0, 1) == 0) {
            struct walk walk = {.code = code, .room = room};
            code->image = *image;
            code->bias = PT_REGS_IP(ctx) - image->functions[role];
            fill(&room->event, task, ctx, TEXT_PYTHON_CODE);
            room->event.flags = TEXT_NAMELESS;
            look_at_code(&walk, task, code_of(ctx, role, image));
            __sync_lock_test_and_set(&lock->is_taken, 0);
            return 0;
        }
    }
    count_lost(budget_of(task));
    return 0;
}

SEC("uprobe") int on_code_single(struct pt_regs *ctx) {
    return on_code(ctx);
}

SEC("uprobe.multi") int on_code_multi(struct pt_regs *ctx) {
    return on_code(ctx);
}

#endif
