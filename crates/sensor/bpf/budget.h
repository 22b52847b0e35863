/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * How much each container may send, so that one that executes or compiles without end fills neither the ring
 * nor the readers for the others.
 *
 * Guarantee: of one container at most BUDGET_BURST_NS worth of records at once, and one for BUDGET_COST_NS in
 * the long run, pass; each one that does not is counted for its container. Whoever includes this says what
 * these are.
 */
#ifndef URVA_BUDGET_H
#define URVA_BUDGET_H

#include "container.h"

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, COUNTER_COUNT);
    __type(key, __u32);
    __type(value, __u64);
} counters SEC(".maps");

/* The program of a uprobe can be preempted by another one on the same CPU, hence the atomic addition. */
static __always_inline void count(__u32 counter) {
    __u64 *value = bpf_map_lookup_elem(&counters, &counter);
    if (value)
        __sync_fetch_and_add(value, 1);
}

/* Least recently used ones give way: the counts of what is forgotten remain in COUNTER_REFUSED. */
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 8192);
    __type(key, __u64);
    __type(value, struct budget);
} budgets SEC(".maps");

/*
 * Whether something that costs so many times BUDGET_COST_NS may be sent. What a budget has used is kept as a
 * time that lies ahead of a clock that runs BUDGET_BURST_NS behind: one number, so that it can be changed by
 * one atomic addition. Two CPUs that look at the same moment may both find the last of it, which is one
 * record too many.
 */
static __noinline bool may_send(__u64 whose, __u64 now, __u64 cost) {
    struct budget *budget = bpf_map_lookup_elem(&budgets, &whose);
    if (!budget) {
        struct budget full = {};
        bpf_map_update_elem(&budgets, &whose, &full, BPF_ANY);
        budget = bpf_map_lookup_elem(&budgets, &whose);
        /* No memory for one more: the ring's own bound holds. */
        if (!budget)
            return true;
    }
    __u64 rested = now > BUDGET_BURST_NS ? now - BUDGET_BURST_NS : 0;
    if (budget->used_until > now) {
        __sync_fetch_and_add(&budget->refused, 1);
        count(COUNTER_REFUSED);
        return false;
    }
    if (budget->used_until < rested)
        budget->used_until = rested;
    __sync_fetch_and_add(&budget->used_until, BUDGET_COST_NS * cost);
    return true;
}

/* What has been sent beyond that. */
static __noinline int charge(__u64 whose, __u64 cost) {
    struct budget *budget = bpf_map_lookup_elem(&budgets, &whose);
    if (budget)
        __sync_fetch_and_add(&budget->used_until, BUDGET_COST_NS * cost);
    return 0;
}

/* Something found no room in the ring, or to be put together. */
static __noinline void count_lost(__u64 whose) {
    struct budget *budget = bpf_map_lookup_elem(&budgets, &whose);
    if (budget)
        __sync_fetch_and_add(&budget->lost, 1);
    count(COUNTER_LOST);
}

#endif
