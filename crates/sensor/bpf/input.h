/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * What crosses between `input.bpf.c` and user space. Little endian as on the host; fields are sorted by size,
 * so that no padding arises.
 */
#ifndef URVA_INPUT_H
#define URVA_INPUT_H

/* Processes that are watched at a time. */
#define INPUT_WATCHES_MAX 256
/* Most bytes behind one record, and records of one read: the rest of a larger read is missing. */
#define INPUT_CHUNK 8192
#define INPUT_CHUNKS_MAX 16

/* A process whose standard input is watched; the key is its thread group id. */
struct input_watch {
    __u64 id;       /* user space's number for it, which is used once */
    __u64 inode;    /* of the pipe, socket or terminal; 0: descriptor 0, wherever it leads */
    __u64 position; /* bytes that were read since the watch began */
    __u32 device;   /* kernel's dev_t of that inode's file system */
    __u32 hold;     /* enum input_hold */
    __u32 seen;     /* the last read was seen on its way out of the kernel */
    __u32 probed;   /* a read was seen behind its call */
    __u64 judged;   /* reads up to this position hold nobody up */
};

/* When a process is stopped until what it has read is judged. */
enum input_hold {
    INPUT_HOLD_NEVER = 0,
    INPUT_HOLD_LINES = 1, /* behind each read that may have completed a line: shells, prompts */
    INPUT_HOLD_END = 2,   /* when it has read everything: what compiles its input as a whole */
};

enum input_kind {
    INPUT_BYTES = 1,       /* bytes that were read stand behind the record */
    INPUT_EOF = 2,         /* nothing more will come, unless from a terminal */
    INPUT_END = 3,         /* the process has ended, or executes something else */
    INPUT_HELD = 4,        /* the process is stopped until user space lets it go */
    INPUT_HELD_AT_EOF = 5, /* both */
};

struct input_event {
    __u64 id;
    __u64 position; /* of the first byte behind it; a jump says that records found no room */
    __u32 kind;     /* enum input_kind */
    __u32 length;   /* bytes behind it that count */
};

#endif
