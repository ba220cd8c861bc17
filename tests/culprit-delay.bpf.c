/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Copyright (c) 2026 The vmlat authors.
 */

/* Makes a thread late, for check-culprit: vhost workers, before they look at
 * what a guest sends or what is to go to one, and vCPUs, after they slept.
 * Map 'delays' says who is late by how much; it is empty most of the time.
 * "bpftool prog loadall ... autoattach" loads and attaches this. */

#include "vmlat-kernel-types.h"

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char _license[] SEC("license") = "Dual BSD/GPL";

enum where { HANDLE_TX, HANDLE_RX, VCPU };

struct who {
    __u32 tid;
    __u32 where;                /* enum where. */
};

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 64);
    __type(key, struct who);
    __type(value, __u64);       /* ns. */
} delays SEC(".maps");

/* A turn takes a fraction of a us at least: this is no delay's end. */
#define MAX_TURNS (1 << 23)

static long
turn(__u32 i, __u64 *until)
{
    return bpf_ktime_get_ns() >= *until;
}

static __always_inline int
delay(__u32 where)
{
    struct who who = {
        .tid = bpf_get_current_pid_tgid(),
        .where = where,
    };
    __u64 *ns = bpf_map_lookup_elem(&delays, &who);

    if (ns) {
        __u64 until = bpf_ktime_get_ns() + *ns;

        bpf_loop(MAX_TURNS, turn, &until, 0);
    }
    return 0;
}

SEC("fentry/handle_tx")
int
delay_tx(void *ctx)
{
    return delay(HANDLE_TX);
}

SEC("fentry/handle_rx")
int
delay_rx(void *ctx)
{
    return delay(HANDLE_RX);
}

SEC("fexit/kvm_vcpu_halt")
int
delay_vcpu(void *ctx)
{
    return delay(VCPU);
}
