/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * What lies in the pipe that a process finds as its standard input, at its exec.
 *
 * A small shell has read such a script, and ended, before user space could look. So it is copied out of the
 * pages that the pipe refers to. Those have no address of their own: it follows from where the kernel maps
 * all memory, and from where it keeps a structure for each page. Neither is exported; find_memory finds both
 * at the start.
 *
 * Guarantee: at an exec nobody has read what is found, unless another process reads from the same pipe: then
 * what was copied is given up. Nothing is taken away. Blind spots: sockets; more than PIPE_PARTS_MAX pages;
 * kernels on which both places were not found. There user space looks, some hundred microseconds later.
 */
#ifndef URVA_WAITING_H
#define URVA_WAITING_H

#define PAGE_BYTES 4096
#define PIPE_PARTS_MAX 16
/* Where the map may begin: at a multiple of the kernel's own alignment. So many are tried in one run, since
 * the verifier goes through each of them. */
#define MEMORY_STEP (1ULL << 30)
#define MEMORY_STEPS 64

/* 0: not found. */
__u64 all_memory = 0, all_pages = 0;

static __always_inline struct pipe_inode_info *pipe_of(struct task_struct *task, __u32 descriptor) {
    struct file *file = NULL, **files = BPF_CORE_READ(task, files, fdt, fd);
    bpf_probe_read_kernel(&file, sizeof(file), files + descriptor);
    return BPF_CORE_READ(file, private_data);
}

/* A buffer of a pipe, by its number since the pipe was made. */
static __always_inline struct pipe_buffer *buffer_of(struct pipe_inode_info *pipe, __u32 number) {
    __u64 at = number & (BPF_CORE_READ(pipe, ring_size) - 1);
    return (void *)BPF_CORE_READ(pipe, bufs) + at * bpf_core_type_size(struct pipe_buffer);
}

/*
 * Finds both places. User space has put a page of its own into a pipe, whose first bytes nobody else knows,
 * and tells the number of its frame. Task structures lie in the map of all memory, so it begins below this
 * one.
 */
SEC("syscall")
int find_memory(struct memory_search *search) {
    struct task_struct *task = (void *)bpf_get_current_task();
    struct pipe_inode_info *pipe = pipe_of(task, search->descriptor);
    struct pipe_buffer *buffer = buffer_of(pipe, BPF_CORE_READ(pipe, tail));
    __u64 page = (__u64)BPF_CORE_READ(buffer, page);
    __u64 frame = search->frame, pattern[2] = {search->pattern[0], search->pattern[1]};
    __u64 start = (__u64)task & ~(MEMORY_STEP - 1);
    start -= search->first_step * MEMORY_STEP;
    for (__u64 step = 0; step < MEMORY_STEPS; step++) {
        __u64 found[2] = {}, memory = start - step * MEMORY_STEP;
        bpf_probe_read_kernel(found, sizeof(found), (void *)(memory + frame * PAGE_BYTES));
        if (found[0] == pattern[0] && found[1] == pattern[1]) {
            all_memory = memory;
            all_pages = page - frame * bpf_core_type_size(struct page);
            return 0;
        }
    }
    return 1;
}

static __always_inline __u32 parts_of(struct pipe_inode_info *pipe) {
    __u32 parts = BPF_CORE_READ(pipe, head) - BPF_CORE_READ(pipe, tail);
    return parts < PIPE_PARTS_MAX ? parts : PIPE_PARTS_MAX;
}

/* Sends what lies in the pipe, before the record of the exec. */
static __noinline int send_waiting(struct exec_event *exec, struct task_struct *task) {
    if (!all_memory || (exec->stdin_mode & 0170000) != 0010000)
        return 0;
    __u32 zero = 0;
    struct chunk *chunk = bpf_map_lookup_elem(&chunks, &zero);
    struct pipe_inode_info *pipe = pipe_of(task, 0);
    if (!chunk || !pipe)
        return 0;
    __u32 tail = BPF_CORE_READ(pipe, tail), head = BPF_CORE_READ(pipe, head);
    bool is_closed = BPF_CORE_READ(pipe, writers) == 0;
    charge(exec->budget, parts_of(pipe) * PAGE_BYTES / BUDGET_PIECE);
    chunk->event.kind = EVENT_WAITING;
    chunk->event.pid = exec->pid;
    chunk->event.exec_time = exec->exec_time;
    chunk->event.offset = 0;
    for (__u32 part = 0; part < PIPE_PARTS_MAX; part++) {
        if (tail + part == head)
            break;
        struct pipe_buffer *buffer = buffer_of(pipe, tail + part);
        __u64 frame = ((__u64)BPF_CORE_READ(buffer, page) - all_pages) / bpf_core_type_size(struct page);
        __u64 from = all_memory + frame * PAGE_BYTES + BPF_CORE_READ(buffer, offset);
        __u32 length = BPF_CORE_READ(buffer, len);
        if (length > PAGE_BYTES || bpf_probe_read_kernel(chunk->data, length, (void *)from))
            break;
        if (BPF_CORE_READ(pipe, tail) != tail)
            break;
        chunk->event.length = length;
        chunk->event.is_last = is_closed && tail + part + 1 == head;
        if (bpf_ringbuf_output(&events, chunk, sizeof(chunk->event) + length, BPF_RB_NO_WAKEUP))
            break;
        chunk->event.offset += length;
    }
    return 0;
}

#endif
