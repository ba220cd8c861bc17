/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Copyright (c) 2026 The vmlat authors.
 */

#ifndef VMLAT_PATH_REPORT_H
#define VMLAT_PATH_REPORT_H 1

/* What goes to the daemon beside counters: packets above the threshold, flows,
 * drops. */

#include "vmlat-path-count.h"
#include "vmlat-path-headers.h"

/* Details of points, for events. */

static __always_inline void
note(void *ctx, __u32 index, enum vmlat_bpf_point point, __u32 ifindex,
     __u16 queue)
{
    if (config.active & VMLAT_BPF_EVENTS) {
        struct vmlat_bpf_details *d = bpf_map_lookup_elem(&details, &index);

        if (d) {
            struct vmlat_bpf_detail *at = &d->points[point];

            at->ifindex = ifindex;
            at->tid = bpf_get_current_pid_tgid();
            at->cpu = bpf_get_smp_processor_id();
            at->queue = queue;
            at->stack = -1;
            if (unlikely(config.active & VMLAT_BPF_STACKS)) {
                at->stack = bpf_get_stackid(ctx, &stacks,
                                            BPF_F_FAST_STACK_CMP);
            }
        }
    }
}

/* Reports a packet. */
static __noinline int
report(struct sk_buff *skb, const struct vmlat_bpf_packet *pkt, __u32 index)
{
    struct vmlat_bpf_details *d = bpf_map_lookup_elem(&details, &index);
    struct vmlat_bpf_event *event;
    const void *l2;
    __u64 size;

    if (!d || !pkt) {
        return 0;
    }
    event = bpf_ringbuf_reserve(&events, sizeof *event, 0);
    if (!event) {
        count_atomic(&stats.events_lost, 1);
        return 0;
    }
    event->packet = *pkt;
    event->details = *d;
    event->skb = (__u64) (long) skb;
    if (!(pkt->flags & VMLAT_PKT_UPCALL)) {
        event->packet.t[VMLAT_P_UPCALL] = 0;
        event->packet.t[VMLAT_P_HANDLER] = 0;
        event->packet.t[VMLAT_P_EXECUTE] = 0;
    }
    event->packet.t[VMLAT_P_OUTER] = 0;

    l2 = skb_l2(skb);
    event->length = BPF_CORE_READ(skb, len);
    event->length += BPF_CORE_READ(skb, data) - (unsigned char *) l2;
    size = (__u64) BPF_CORE_READ(skb, head) + BPF_CORE_READ(skb, tail)
           - (__u64) l2;
    hide(size);
    if (size > VMLAT_BPF_EVENT_BYTES) {
        size = VMLAT_BPF_EVENT_BYTES;
    }
    event->size = (size && !bpf_probe_read_kernel(event->bytes, size, l2)
                   ? size : 0);
    bpf_ringbuf_submit(event, 0);
    return 0;
}

/* Adds a packet to its flow's. */
static __noinline int
count_flow(struct sk_buff *skb, const struct vmlat_bpf_packet *pkt, __u64 ns)
{
    struct vmlat_bpf_flow *flow;
    struct parsed r;

    if (!pkt) {
        return 0;
    }
    parse_skb(&r, skb);
    r.key.in = pkt->in;
    r.key.out = pkt->out;
    flow = bpf_map_lookup_elem(&flows, &r.key);
    if (!flow) {
        __u32 zero = SCRATCH_FLOW;
        struct scratch *s = bpf_map_lookup_elem(&scratches, &zero);

        if (!s) {
            return 0;
        }
        /* The scratch flow is never written to: it is all 0. */
        bpf_map_update_elem(&flows, &r.key, &s->flow, BPF_NOEXIST);
        flow = bpf_map_lookup_elem(&flows, &r.key);
        if (!flow) {
            count_atomic(&stats.flows_left_out, 1);
            return 0;
        }
    }
    count_atomic(&flow->bytes, BPF_CORE_READ(skb, len)
                               + BPF_CORE_READ(skb, data)
                               - (unsigned char *) skb_l2(skb));
    small_hist_add(&flow->hist, ns, true);
    return 0;
}

/* Counts a packet that was freed. */
static __noinline int
count_drop(const struct vmlat_bpf_packet *pkt, __u64 location, __u32 reason)
{
    struct vmlat_bpf_drop_key key = { .location = location, .reason = reason };
    __u64 one = 1, *n;

    if (!pkt) {
        return 0;
    }
    key.in = pkt->in;
    key.out = pkt->out;
    key.last = pkt->last;
    key.ended = (pkt->flags & VMLAT_PKT_ENDED) != 0;
    n = bpf_map_lookup_elem(&drops, &key);
    if (n) {
        count_atomic(n, 1);
    } else if (bpf_map_update_elem(&drops, &key, &one, BPF_NOEXIST)) {
        n = bpf_map_lookup_elem(&drops, &key);
        if (n) {
            count_atomic(n, 1);
        } else {
            count_atomic(&stats.drops_left_out, 1);
        }
    }
    return 0;
}

#endif /* vmlat-path-report.h */
