/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Copyright (c) 2026 The vmlat authors.
 */

/* Makes a thread late, for check-culprit: vhost workers, before they look at
 * what a guest sends or what is to go to one, and vCPUs, between the interrupt
 * of a packet and the entry to the guest.  Map 'delays' says who is late by
 * how much; it is empty most of the time.  culprit-delay.c loads and attaches
 * this.
 *
 * Other interrupts, the timer's above all, must not make a vCPU late: a packet
 * that comes meanwhile would see the rest of the delay only.  Awake or asleep,
 * a vCPU is late for each packet. */

#include "vmlat-kernel-types.h"

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char _license[] SEC("license") = "Dual BSD/GPL";

enum where { HANDLE_TX, HANDLE_RX, VCPU };

struct who {
    __u32 tid;
    __u32 where;                /* enum where. */
};

struct late {
    __u64 ns;
    __u32 pending;              /* A vCPU has a packet's interrupt: true. */
    __u32 unused;
};

/* A vhost worker whose guest has a late vCPU. */
struct waker {
    __u32 vcpu;                 /* Its thread. */
    __u32 in_rx;                /* In handle_rx(): true. */
};

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 64);
    __type(key, struct who);
    __type(value, struct late);
} delays SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 64);
    __type(key, __u32);         /* The worker's thread. */
    __type(value, struct waker);
} wakers SEC(".maps");

/* A turn takes a fraction of a us at least: this is no delay's end. */
#define MAX_TURNS (1 << 23)

static long
turn(__u32 i, __u64 *until)
{
    return bpf_ktime_get_ns() >= *until;
}

static __always_inline struct late *
late_find(__u32 tid, __u32 where)
{
    struct who who = { .tid = tid, .where = where };

    return bpf_map_lookup_elem(&delays, &who);
}

static __always_inline void
delay(const struct late *late)
{
    __u64 until = bpf_ktime_get_ns() + late->ns;

    bpf_loop(MAX_TURNS, turn, &until, 0);
}

static __always_inline struct waker *
waker_find(void)
{
    __u32 tid = bpf_get_current_pid_tgid();

    return bpf_map_lookup_elem(&wakers, &tid);
}

SEC("fentry/handle_tx")
int
delay_tx(void *ctx)
{
    struct late *late = late_find(bpf_get_current_pid_tgid(), HANDLE_TX);

    if (late) {
        delay(late);
    }
    return 0;
}

SEC("fentry/handle_rx")
int
delay_rx(void *ctx)
{
    struct late *late = late_find(bpf_get_current_pid_tgid(), HANDLE_RX);
    struct waker *waker = waker_find();

    if (waker) {
        waker->in_rx = 1;
    }
    if (late) {
        delay(late);
    }
    return 0;
}

SEC("fexit/handle_rx")
int
delay_rx_end(void *ctx)
{
    struct waker *waker = waker_find();

    if (waker) {
        waker->in_rx = 0;
    }
    return 0;
}

/* The worker is about to interrupt its guest. */
SEC("fentry/__apic_accept_irq")
int
delay_interrupt(void *ctx)
{
    struct waker *waker = waker_find();

    if (waker && waker->in_rx) {
        struct late *late = late_find(waker->vcpu, VCPU);

        if (late) {
            late->pending = 1;
        }
    }
    return 0;
}

static __always_inline void
delay_pending(void)
{
    struct late *late = late_find(bpf_get_current_pid_tgid(), VCPU);

    if (late && late->pending) {
        delay(late);
        late->pending = 0;
    }
}

/* The vCPU slept. */
SEC("fexit/kvm_vcpu_halt")
int
delay_halt(void *ctx)
{
    delay_pending();
    return 0;
}

/* It did not. */
SEC("fexit/svm_handle_exit")
int
delay_exit(void *ctx)
{
    delay_pending();
    return 0;
}

/* The guest has that interrupt: what comes next is not on its way to it. */
SEC("tp_btf/kvm_entry")
int
delay_entry(void *ctx)
{
    struct late *late = late_find(bpf_get_current_pid_tgid(), VCPU);

    if (late) {
        late->pending = 0;
    }
    return 0;
}
