/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Copyright (c) 2026 The vmlat authors.
 */

#ifndef VMLAT_PATH_MAPS_H
#define VMLAT_PATH_MAPS_H 1

/* What the programs of vmlat-path.bpf.c share with the daemon and with each
 * other: maps, settings, what a packet is known by. */

#include "vmlat-kernel-types.h"

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#include "vmlat-abi.h"

#define likely(X) __builtin_expect(!!(X), 1)
#define unlikely(X) __builtin_expect(!!(X), 0)

/* Set before loading. */
const volatile __u32 vmlat_block_mask = 63;     /* Blocks per CPU - 1. */
const volatile __u32 vmlat_tc_ingress_reason = VMLAT_REASON_UNKNOWN;

/* A packet that is older may be evicted, in ns. */
#define EVICT_AGE 10000000000ull

/* Shared with the daemon. */
struct vmlat_bpf_dev devs[VMLAT_BPF_DEVS] SEC(".data.devs");
struct vmlat_bpf_config config SEC(".data.config");
struct vmlat_bpf_stats stats SEC(".data.stats");

/* Upcall messages that no handler has read. */
__u64 n_messages;

/* The address of 'config' as a number, set by vmlat_receive(). */
__u64 base;

/* What a packet is known by: the distance of its skb from 'config'.  The
 * verifier allows no arithmetic with the skb's address itself, but the
 * difference of two addresses is a number to it. */
static __always_inline __u64
id_of(const void *skb)
{
    __u64 id = (__u64) (long) skb;

    asm volatile ("%0 -= %1" : "+r" (id) : "r" (&config));
    return id;
}

/* The same where the address is a number: in kprobes, or from a map. */
static __always_inline __u64
id_of_number(__u64 skb)
{
    return skb - base;
}

struct cpu_value {
    struct vmlat_bpf_cpu cpu;
    __u8 unused[VMLAT_BPF_CPU_BLOCKS - sizeof(struct vmlat_bpf_cpu)];
    __u8 blocks[64 * VMLAT_BPF_BLOCK];
};

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 1);                     /* Set before loading. */
    __uint(key_size, sizeof(__u32));
    __uint(value_size, sizeof(struct cpu_value)); /* Set before loading. */
} cpus SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, VMLAT_BPF_SETS);
    __type(key, __u32);
    __type(value, struct vmlat_bpf_set);
} packets SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, VMLAT_BPF_SETS * VMLAT_BPF_WAYS);
    __type(key, __u32);
    __type(value, struct vmlat_bpf_details);
} details SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, VMLAT_BPF_UPCALLS);
    __type(key, struct vmlat_bpf_upcall_key);
    __type(value, struct vmlat_bpf_upcall);
} upcalls SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 1024);
    __type(key, __u32);
    __type(value, struct vmlat_bpf_handler);
} handlers SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 4096);
    __type(key, struct vmlat_bpf_drop_key);
    __type(value, __u64);
} drops SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 1);                     /* Set before loading. */
    __type(key, struct vmlat_bpf_flow_key);
    __type(value, struct vmlat_bpf_flow);
} flows SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 1 << 20);
} events SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_STACK_TRACE);
    __uint(max_entries, VMLAT_BPF_STACKS_MAX);
    __uint(key_size, sizeof(__u32));
    __uint(value_size, VMLAT_BPF_STACK_DEPTH * sizeof(__u64));
} stacks SEC(".maps");

/* Too large for the stack.  That of SCRATCH_FLOW is never written to, it is
 * for what starts with all 0.  That of SCRATCH_UPCALL is used with bottom
 * halves off. */
enum scratch_user { SCRATCH_FLOW, SCRATCH_UPCALL };
struct scratch {
    struct vmlat_bpf_upcall upcall;
    struct vmlat_bpf_flow flow;
    struct vmlat_bpf_handler handler;
};
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 2);                     /* By enum scratch_user. */
    __type(key, __u32);
    __type(value, struct scratch);
} scratches SEC(".maps");

/* Keeps the compiler from knowing what 'X' is, so that it does not take out
 * the mask that the verifier wants to see. */
#define hide(X) asm volatile ("" : "+r" (X))

/* The same for 'X & MASK', where 'X' is known to be below. */
#define bound(X, MASK) asm volatile ("%0 &= %1" : "+r" (X) : "i" (MASK))

#endif /* vmlat-path-maps.h */
