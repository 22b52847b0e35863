/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * The one definition of what crosses from the kernel to user space. Rust's types come from this file
 * through the object's BTF; a test compares sizes and offsets with what a C compiler makes of it.
 *
 * Everything is little endian as on the host, packed by order and not by attribute: fields are sorted by
 * size so that no padding arises (clang would otherwise read packed fields byte by byte). Only `kind` stands
 * before its place, at the same offset in each record: what follows it may be bytes that a container chose.
 */
#ifndef URVA_EVENT_H
#define URVA_EVENT_H

/* "Strings" are the arguments and the environment, one run of NUL-terminated strings on the new stack. */
/* Most bytes of them that ride in the first record; the rest follows in strings_event records. */
#define FIRST_STRINGS_MAX 8192
/* Most bytes in one strings_event. */
#define STRINGS_CHUNK 16384
/* The kernel allows them 2 MiB together with the usual 8 MiB stack, and 6 MiB at the most. */
#define STRINGS_MAX (6 * 1024 * 1024)
/* A path as the kernel gives it to user space, and the components that urva follows of it. */
#define PATH_BYTES_MAX 4096
#define PATH_COMPONENTS_MAX 48
/* Most bytes of a text in one text_event, a multiple of 8, and the records that a text may take: 1 MiB. Of a
 * longer one so many from its head and so many from its tail are sent. */
#define TEXT_CHUNK 16384
#define TEXT_PARTS_MAX 64
#define TEXT_HEAD_PARTS 32
/* So many times TEXT_PARTS_MAX parts are looked at: 64 MiB. */
#define TEXT_ROUNDS_MAX 64

enum event_kind {
    EVENT_EXEC = 1,
    EVENT_STRINGS = 2,
    EVENT_CANARY = 4,
    EVENT_TEXT = 3,
    EVENT_WAITING = 5,
};

enum exec_flags {
    /* Nobody has looked at this executable yet: user space shall say what it is. */
    EXEC_UNKNOWN_EXECUTABLE = 1 << 0,
    /* A path is longer than what is followed. */
    EXEC_PATH_CUT = 1 << 1,
    /* The process is stopped until user space lets it go. */
    EXEC_HELD = 1 << 2,
};

/*
 * One exec. Behind it, in this order and with the lengths given: the executable's path, the working
 * directory and the cgroup (each as NUL-terminated components, leaf first), and the first part of the
 * strings. The rest of the strings follows in strings_event records with the same pid and exec_time, the last
 * of them marked; there are none where the first part is all.
 */
struct exec_event {
    __u64 exec_time;         /* CLOCK_BOOTTIME in ns, when the exec happened */
    __u32 kind;              /* EVENT_EXEC */
    __u32 flags;             /* enum exec_flags */
    __u64 budget;            /* on whose budget it was sent: see budget.h */
    __u64 start_time;        /* CLOCK_BOOTTIME in ns, when the process was forked */
    __u64 executable_device; /* kernel's dev_t of the executable's file system */
    __u64 executable_inode;
    __u64 executable_changed; /* ctime, whole seconds */
    __u64 executable_size;
    __u64 arguments_size;   /* bytes of all arguments, NULs included */
    __u64 environment_size; /* bytes of the environment, NULs included */
    __u64 strings_size;     /* bytes of strings that are sent: the environment may be cut */
    __u32 pid;              /* thread group id, host's PID namespace */
    __u32 pid_in_container; /* thread group id, the process's own PID namespace */
    __u32 parent_pid;       /* thread group id of the real parent */
    __u32 uid;              /* effective, host's user namespace */
    __u32 gid;
    __u32 mount_namespace;
    __u32 pid_namespace;
    __u32 network_namespace;
    __u32 user_namespace;
    __u32 stdin_mode;   /* i_mode of file descriptor 0; 0 where it is closed */
    __u32 stdin_device; /* i_rdev of file descriptor 0 */
    __u32 executable_path_length;
    __u32 cwd_length;
    __u32 cgroup_length;
    __u32 strings_length;        /* bytes of strings in this record */
    __u32 executable_changed_ns; /* ctime, nanoseconds within the second */
    __u8 comm[16];
};

/* Where user space has put a page, so that the program finds where the kernel maps all memory. */
struct memory_search {
    __u64 pattern[2]; /* the first bytes of the page */
    __u64 frame;      /* its number */
    __u32 descriptor; /* of a pipe in which it lies first */
    __u32 first_step; /* where the search goes on, in steps of MEMORY_STEP */
};

/* A further part of an exec's strings, or of what lies in the pipe that is its standard input: that comes
 * before the exec_event, and the last part is marked where nobody can write any more. */
struct strings_event {
    __u64 exec_time;
    __u32 kind; /* EVENT_STRINGS, EVENT_WAITING */
    __u32 pid;
    __u64 offset;  /* of its first byte in all strings */
    __u32 length;  /* bytes behind this header; 0 where the stack could not be read */
    __u32 is_last; /* 1 on the last record of this exec */
};

/* Where a text was about to be compiled. */
enum text_function {
    TEXT_PYTHON_RUN = 1,     /* exec(), eval(): PyRun_StringFlags */
    TEXT_PYTHON_COMPILE = 2, /* compile(), imports: Py_CompileStringObject; the name is an object */
    TEXT_BASH = 3,           /* eval, source, traps, functions of the environment: parse_and_execute */
    TEXT_PYTHON_CODE = 4,    /* code of which no text was seen: code objects, see bytecode.h */
};

/*
 * What is sent of a code object: a word that names the version, then records in the order in which the
 * objects are found, breadth first. A record is a word - its kind, flags from bit 8, its length from bit 32 -
 * and that many bytes, filled up to a multiple of 8. A tuple's length is the number of its items. The parts
 * of a code object are as many as follow CODE_PARTS_FOLLOW with CODE_FLAG_PART. After all of them stand the
 * instructions of the code objects in their order.
 */
enum code_record {
    CODE_OTHER = 0,
    CODE_TEXT_OBJECT = 1,
    CODE_BYTES_OBJECT = 2,
    CODE_TUPLE_OBJECT = 3,
    CODE_CODE_OBJECT = 4,
    CODE_NUMBER_OBJECT = 5, /* its size and its first digit, as they are in memory */
    CODE_NONE = 6,
    CODE_TRUE = 7,
    CODE_FALSE = 8,
    CODE_PARTS_FOLLOW = 9,
    CODE_INSTRUCTIONS_OF = 10,
};

/* The lowest bits of a text's flags are the bytes of a character. */
enum code_flags {
    CODE_FLAG_CUT = 1 << 4,
    CODE_FLAG_PART = 1 << 7,
};

enum code_role {
    CODE_ROLE_EVALUATE = 0,      /* PyEval_EvalCode: its first argument */
    CODE_ROLE_EVALUATE_MORE = 1, /* PyEval_EvalCodeEx: its first argument */
    CODE_ROLE_NEW_FUNCTION = 2,  /* types.FunctionType: the first in the tuple of arguments */
    CODE_ROLE_ASSIGN = 3,        /* function.__code__ = …: the second argument */
    CODE_ROLES = 4,
};

enum code_type {
    CODE_TYPE_TEXT = 0,
    CODE_TYPE_TUPLE = 1,
    CODE_TYPE_BYTES = 2,
    CODE_TYPE_CODE = 3,
    CODE_TYPE_NUMBER = 4,
    CODE_TYPES = 5,
};

/* Files that hold CPython. */
#define CODE_IMAGES 2048

/* Where in a file that holds CPython what lies: addresses as its headers give them. */
struct code_image {
    __u64 functions[CODE_ROLES];
    __u64 types[CODE_TYPES];
    __u64 words[3];  /* None, True, False */
    __u32 code_size; /* bytes of a code object before its instructions; 0 where they are elsewhere */
    __u32 minor;     /* 13 for 3.13; 10 for 3.10 and before */
};

enum text_flags {
    /* The last record of its text. */
    TEXT_LAST = 1 << 0,
    /* The text is longer than what is sent: on each record. */
    TEXT_CUT = 1 << 1,
    /* Memory that is not there, or not any more. */
    TEXT_UNREADABLE = 1 << 2,
    /* The name could not be read. */
    TEXT_NAMELESS = 1 << 3,
    /* The process is stopped until user space lets it go. */
    TEXT_HELD = 1 << 4,
    /* Of the tail of a text that is cut. */
    TEXT_TAIL = 1 << 5,
    /* The text is longer than what is looked at: this is not its real tail. */
    TEXT_ENDLESS = 1 << 6,
};

/* A part of a text that is about to be compiled; the bytes follow. The records of one text come in order. */
struct text_event {
    __u64 time;       /* CLOCK_BOOTTIME in ns */
    __u64 start_time; /* CLOCK_BOOTTIME in ns, when the process was forked */
    __u64 key;        /* on the last record, a keyed hash of all that was looked at; else 0 */
    __u64 offset;     /* of its first byte in the text */
    __u64 caller; /* key of the text whose compilation and run this one is part of; 0 where there is none */
    __u64 stack;  /* the thread's stack pointer: a caller's is higher */
    __u64 exec_time;  /* exec_time of the exec that the process runs, its own or the one that it was forked
                         after; 0 where user space was told of none */
    __u64 exec_start; /* start_time of the process that made that exec */
    __u64 budget;     /* on whose budget it was sent: see budget.h */
    __u32 kind;       /* EVENT_TEXT */
    __u32 function;   /* enum text_function */
    __u32 flags;      /* enum text_flags */
    __u32 pid;        /* thread group id, host's PID namespace */
    __u32 thread;     /* thread id, host's PID namespace */
    __u32 exec_pid;   /* thread group id of the process that made the exec, host's PID namespace */
    __u32 length;     /* bytes behind this header */
    __u32 pid_in_container; /* these as in an exec_event */
    __u32 parent_pid;
    __u32 uid;
    __u32 gid;
    __u32 mount_namespace;
    __u32 pid_namespace;
    __u32 network_namespace;
    __u32 user_namespace;
    __u32 unused;
    __u8 comm[16];
    __u8 name[256]; /* what the second argument points to */
};

/* A process that is stopped until its texts are judged. */
struct held_process {
    __u64 start_time; /* CLOCK_BOOTTIME in ns, when the process was forked */
    __u64 held_at;    /* CLOCK_BOOTTIME in ns, the latest time */
    __u32 texts;      /* that wait for a verdict */
    __u32 unused;
};

/* urva itself executed something, to see that the probe sees it. */
struct canary_event {
    __u64 exec_time;
    __u32 kind; /* EVENT_CANARY */
    __u32 pid;
};

/* What user space found an executable to be; what the kernel side does with its execs. */
enum executable_class {
    CLASS_OTHER = 1,       /* no interpreter: nothing is sent */
    CLASS_INTERPRETER = 2, /* every exec is sent */
    CLASS_BUSYBOX = 3,     /* sent where argv[0] names a shell, or busybox itself */
};

/* An executable, and the state of it that was looked at. */
struct executable_key {
    __u64 device;
    __u64 inode;
};

struct executable_verdict {
    __u64 changed;
    __u64 size;
    __u32 changed_ns;
    __u32 class_; /* enum executable_class */
};

/* Indices of the per-CPU counters of each program. */
enum counter {
    COUNTER_LOST = 0,    /* execs or texts of which a record found no room in the ring */
    COUNTER_REFUSED = 1, /* execs or texts that were not sent, since a budget was used up */
    COUNTER_COUNT = 2,
};

/* What a container may send of execs, or of texts, and has sent. */
struct budget {
    __u64 used_until; /* CLOCK_BOOTTIME in ns until when it is used up; see budget.h */
    __u64 refused;    /* of them that were not sent, since the beginning */
    __u64 lost;       /* of them of which a record found no room in the ring, since the beginning */
};

#endif
