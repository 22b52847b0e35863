/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * A key of a code object that costs a few microseconds, for code that runs again and again: what was found
 * harmless once with this key is not walked again.
 *
 * It covers the number of constants and names, up to 8 of each and the instructions, and of the code objects
 * among them the first instructions and up to 4 constants and names, or 1. Of more than that the hash's
 * secret chooses which. So code of which a few strings differ from harmless code of the same shape may pass
 * for it; who makes it cannot tell whether it will.
 */
#ifndef URVA_SKETCH_H
#define URVA_SKETCH_H

#define SKETCH_ITEMS 8
/* Where all constants of the outer code object are covered, and where only some are. */
#define SKETCH_INNER_ITEMS 4
#define SKETCH_INNER_ITEMS_OF_MANY 1
#define SKETCH_WORDS 13
/* A tuple with as many items as are looked at, in every version. */
#define SKETCH_TUPLE_BYTES (32 + SKETCH_ITEMS * 8)
#define SKETCH_INSTRUCTIONS 1024
#define SKETCH_INNER_INSTRUCTIONS 128

/* Sketches of code objects that were judged and are harmless. */
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 65536);
    __type(key, __u64);
    __type(value, __u8);
} harmless_code SEC(".maps");

struct sketch {
    struct code_room *code;
    struct room *room;
    __u64 tuple;
    __u64 count;
    __u32 most;
    /* Where in `items` this tuple stands, and how many of its items were read with it. */
    __u32 place;
    __u32 read;
};

static __always_inline void mix(struct room *room, __u64 word) {
    __u64 a = room->state[0], b = room->state[1], c = room->state[2], d = room->state[3];
    d ^= word;
    ROUND(a, b, c, d);
    a ^= word;
    room->state[0] = a, room->state[1] = b, room->state[2] = c, room->state[3] = d;
}

/* A number below `count` that only the secret and what was mixed so far tell. */
static __always_inline __u64 choose(struct room *room, __u64 count) {
    __u64 state = (room->state[1] ^ room->state[3]) * 0x9e3779b97f4a7c15ULL;
    return count ? (state >> 32) % count : 0;
}

/* Mixes bytes that were read into the scratch words. Not static, as others here: the verifier then looks at
 * it once, and not anew for each state of each caller. */
__noinline int mix_words(struct code_room *code, struct room *room, __u32 first, __u64 bytes) {
    if (!code || !room)
        return 0;
    for (__u32 i = 0; i < 8; i++) {
        __u32 at = first + i;
        if (i * 8 >= bytes || at >= SKETCH_WORDS)
            break;
        /* The verifier follows no comparison through the compiler's arithmetic. */
        barrier_var(at);
        __u64 left = bytes - i * 8, word = code->leaf[at & 15];
        if (left < 8)
            word &= (1ULL << (left * 8)) - 1;
        mix(room, word);
    }
    return 0;
}

/* Returns 1 where the object is a code object. */
static __noinline int sketch_leaf(struct sketch *sketch, __u64 object) {
    struct code_room *code = sketch->code;
    struct room *room = sketch->room;
    struct code_image *image = &code->image;
    if (!may_be_object(object) || bpf_probe_read_user(code->leaf, SKETCH_WORDS * 8, (void *)object)) {
        mix(room, 1);
        return 0;
    }
    __u64 type = code->leaf[1] - code->bias, length = code->leaf[2], start = 4;
    if (type == image->types[CODE_TYPE_TEXT]) {
        __u64 state = code->leaf[4];
        start = (image->minor >= 12 ? 5 : 6) + (state & 64 ? 0 : image->minor >= 12 ? 2 : 3);
        length *= (state >> 2) & 7;
    } else if (type == image->types[CODE_TYPE_NUMBER]) {
        mix(room, code->leaf[2]);
        mix(room, code->leaf[3] & 0xffffffff);
        return 0;
    } else if (type == image->types[CODE_TYPE_CODE]) {
        return 1;
    } else if (type != image->types[CODE_TYPE_BYTES]) {
        mix(room, type == image->types[CODE_TYPE_TUPLE] ? length : 2);
        return 0;
    }
    mix(room, length);
    mix_words(code, room, start, length);
    if (length > 32) {
        /* A part of the rest, wherever it may be. */
        __u64 at = choose(room, length - 31);
        if (bpf_probe_read_user(code->leaf, 32, (void *)(object + start * 8 + at)))
            return 0;
        mix_words(code, room, 0, 32);
    }
    return 0;
}

/* The scratch words must hold the code object's head. */
__noinline int sketch_instructions(struct code_room *code, struct room *room, __u64 object, __u64 most) {
    if (!code || !room)
        return 0;
    __u64 from = object + code->image.code_size, length = code->words[2] * 2;
    if (!code->image.code_size) {
        __u64 bytes = code->words[6];
        if (!may_be_object(bytes) || bpf_probe_read_user(&length, sizeof(length), (void *)(bytes + 16)))
            return 0;
        from = bytes + 32;
    }
    mix(room, length);
    if (length > most)
        length = most;
    length &= ~7ULL;
    barrier_var(length);
    if (length > SKETCH_INSTRUCTIONS || bpf_probe_read_user(room->words, length, (void *)from))
        return 0;
    room->length = length;
    absorb(room);
    return 0;
}

static __always_inline bool read_head(struct code_room *code, __u64 object) {
    __u64 size = code->image.code_size ? code->image.code_size : CODE_HEAD_BEFORE_3_11;
    barrier_var(size);
    return size <= CODE_HEAD * 8 && !bpf_probe_read_user(code->words, size, (void *)object);
}

/* The head and the first instructions of a code object among the constants: in one read where both are in
 * memory, since each read costs as much as hashing some hundred bytes. */
__noinline int sketch_inner_code(struct code_room *code, struct room *room, __u64 object) {
    if (!code || !room)
        return 0;
    __u64 size = code->image.code_size;
    __u64 both = size + SKETCH_INNER_INSTRUCTIONS;
    barrier_var(both);
    if (!size || size & 7 || both > sizeof(code->words) ||
        bpf_probe_read_user(code->words, both, (void *)object))
        return read_head(code, object) && !sketch_instructions(code, room, object, SKETCH_INNER_INSTRUCTIONS);
    __u64 length = code->words[2] * 2;
    mix(room, length);
    __u64 a = room->state[0], b = room->state[1], c = room->state[2], d = room->state[3];
    for (__u32 i = 0; i < SKETCH_INNER_INSTRUCTIONS / 8; i++) {
        __u32 at = size / 8 + i;
        if (i * 8 + 8 > length)
            break;
        barrier_var(at);
        __u64 word = code->words[at & (CODE_WORDS - 1)];
        d ^= word;
        ROUND(a, b, c, d);
        a ^= word;
    }
    room->state[0] = a, room->state[1] = b, room->state[2] = c, room->state[3] = d;
    return 1;
}

static __always_inline __u64 consts_of(struct code_room *code) {
    return code->words[code->image.code_size ? 3 : 7];
}

static __always_inline __u64 names_of(struct code_room *code) {
    return code->words[code->image.code_size ? 4 : 8];
}

/* The address of one of the items; the first are read with the tuple. */
static __always_inline __u64 item(struct sketch *sketch, __u32 number) {
    __u64 object = 0;
    __u64 at = sketch->count <= sketch->most ? number : choose(sketch->room, sketch->count);
    if (at < sketch->read) {
        __u32 place = at + sketch->place + items_at(&sketch->code->image) / 8;
        barrier_var(place);
        return sketch->code->items[place & (2 * SKETCH_PLACES - 1)];
    }
    bpf_probe_read_user(&object, sizeof(object),
                        (void *)(sketch->tuple + items_at(&sketch->code->image) + at * 8));
    return object;
}

static __always_inline bool open_tuple(struct sketch *sketch, __u64 tuple) {
    struct code_room *code = sketch->code;
    __u64 *words = &code->items[sketch->place & SKETCH_PLACES];
    sketch->read = SKETCH_ITEMS;
    if (!may_be_object(tuple))
        return false;
    if (bpf_probe_read_user(words, SKETCH_TUPLE_BYTES, (void *)tuple)) {
        /* A short one at the end of a mapping. */
        sketch->read = 0;
        if (bpf_probe_read_user(words, 24, (void *)tuple))
            return false;
    }
    if (words[1] - code->bias != code->image.types[CODE_TYPE_TUPLE])
        return false;
    mix(sketch->room, words[2]);
    sketch->tuple = tuple;
    sketch->count = words[2];
    return true;
}

static long sketch_inner_item(__u32 number, struct sketch *sketch) {
    if (number >= sketch->count || number >= sketch->most)
        return 1;
    sketch_leaf(sketch, item(sketch, number));
    return 0;
}

static __always_inline void sketch_inner_tuple(struct sketch *sketch, __u64 tuple) {
    if (open_tuple(sketch, tuple))
        bpf_loop(SKETCH_INNER_ITEMS, sketch_inner_item, sketch, 0);
}

static long sketch_item(__u32 number, struct sketch *sketch) {
    struct code_room *code = sketch->code;
    if (number >= sketch->count)
        return 1;
    __u64 object = item(sketch, number);
    if (!sketch_leaf(sketch, object) || !sketch_inner_code(code, sketch->room, object))
        return 0;
    struct sketch inner = {
        .code = code, .room = sketch->room, .most = SKETCH_INNER_ITEMS, .place = SKETCH_PLACES};
    if (sketch->count > sketch->most)
        inner.most = SKETCH_INNER_ITEMS_OF_MANY;
    __u64 names = names_of(code);
    sketch_inner_tuple(&inner, consts_of(code));
    sketch_inner_tuple(&inner, names);
    return 0;
}

/* The key of a code object; 0 where it is none. */
static __noinline __u64 sketch_of(struct walk *walk, __u64 object) {
    struct code_room *code = walk->code;
    struct sketch sketch = {.code = code, .room = walk->room, .most = SKETCH_ITEMS};
    if (!may_be_object(object) || !read_head(code, object))
        return 0;
    if (code->words[1] - code->bias != code->image.types[CODE_TYPE_CODE])
        return 0;
    begin_hash(walk->room);
    mix(walk->room, code->image.minor);
    sketch_instructions(code, walk->room, object, SKETCH_INSTRUCTIONS);
    __u64 names = names_of(code);
    if (open_tuple(&sketch, consts_of(code)))
        bpf_loop(SKETCH_ITEMS, sketch_item, &sketch, 0);
    if (open_tuple(&sketch, names))
        bpf_loop(SKETCH_ITEMS, sketch_inner_item, &sketch, 0);
    return end_hash(walk->room, 0);
}

#endif
