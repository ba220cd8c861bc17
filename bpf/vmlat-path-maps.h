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
#include "vmlat-ids.h"

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

#ifndef VMLAT_OLD
/* Programs of vmlat-virt.bpf.c that look, too, at an skb that a tap has given
 * to its port or gets from it, or that was freed, if 'vm' says so. */
struct {
    __uint(type, BPF_MAP_TYPE_PROG_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, __u32);
} vm_receive SEC(".maps"), vm_xmit SEC(".maps"), vm_kfree SEC(".maps"),
  vm_consume SEC(".maps");
#endif

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

/* What the packet is that a CPU received last; 0 if it is not to be followed,
 * or OVS has it. */
#define RX_PORT VMLAT_BPF_RX        /* Entered by a port. */
#define RX_LOWER 0x100              /* Entered by a device below a port's. */

/* With RX_PORT: as these were then.  It will be VMLAT_PKT_DETAILED. */
#define RX_DETAILED (VMLAT_BPF_EVENTS | VMLAT_BPF_FLOWS)

/* What a CPU is busy with.  Only its own programs use it. */
struct now {
    /* The packet received last or, by an internal port, sent by the host:
     * until OVS begins with it, or with a clone of it since somebody else
     * (tcpdump) has it, too. */
    __u64 rx_id;
    __u64 rx_head;                  /* Its data: a clone has the same. */
    __u64 rx_ns;
    __u32 rx_segments;
    __u32 rx_port;
    __u32 rx_state;                 /* RX_*. */
    __u32 rx_ifindex;
    __s32 rx_stack;                 /* Id in 'stacks' + 1, 0: none. */

    /* To be looked at when it is freed: the packet received last, until OVS
     * begins with it, or the last one given to a driver.  0: none. */
    __u32 watch_ports;              /* Of the latter, as in the packet. */
    __u64 watch;

    __u64 ovs_id;                   /* Last one that OVS began with. */
    struct vmlat_bpf_ref ovs_ref;   /* The same. */
    __u64 upcall_id;                /* In an upcall now, or 0. */
    struct vmlat_bpf_ref upcall_ref;
    __u64 ct_id;                    /* In conntrack now, or 0. */
    __u32 upcall_n;                 /* Messages so far. */
} __attribute__((aligned(128)));
static struct now nows[VMLAT_BPF_CPUS];

/* Packets that are inside: each has its slot, found by its id, which it gets
 * if no other packet is there.  If there is one, it goes into 'sets', which
 * takes longer. */
#define N_SLOTS 16384
struct slot {
    __u64 id;                       /* Of the packet, 0: free. */
    __u32 others;                   /* Packets in 'sets' that would belong
                                     * here, messages in 'upcalls' that
                                     * would. */
    __u32 unused;
    struct vmlat_bpf_packet pkt;
} __attribute__((aligned(128)));
static struct slot slots[N_SLOTS];

#define N_WAYS 4
#define N_SETS 4096
struct set {
    __u64 ids[N_WAYS];
    struct vmlat_bpf_packet packets[N_WAYS];
};
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, N_SETS);
    __type(key, __u32);
    __type(value, struct set);
} sets SEC(".maps");

/* By number of the slot, or N_SLOTS + N_WAYS * set + way. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, N_SLOTS + N_SETS * N_WAYS);
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
    __uint(max_entries, 1 << 22);
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

/* 'X & MASK' where 'X' is known to be below. */
#define bound(X, MASK) asm volatile ("%0 &= %1" : "+r" (X) : "i" (MASK))

#endif /* vmlat-path-maps.h */
