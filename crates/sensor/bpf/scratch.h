/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Room on each CPU to put an event together: the BPF stack has 512 bytes, and a ring buffer reservation
 * wants its size known to the verifier. One CPU has one exec under way at a time, since a tracepoint's
 * programs run with preemption off.
 */
#ifndef URVA_SCRATCH_H
#define URVA_SCRATCH_H

/* A power of two, so that a mask can bound an offset. */
#define DATA_BYTES 16384
/* The longest single write behind an offset below DATA_BYTES: a path component, or a file name. */
#define NAME_SLACK 4096

struct scratch {
    struct exec_event event;
    __u8 data[DATA_BYTES + NAME_SLACK];
    /* Not sent: how much of `data` is in use. */
    __u32 used;
};

struct chunk {
    struct strings_event event;
    __u8 data[STRINGS_CHUNK];
};

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct scratch);
} scratches SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct chunk);
} chunks SEC(".maps");

#endif
