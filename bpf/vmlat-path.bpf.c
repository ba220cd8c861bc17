/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Copyright (c) 2026 The vmlat authors.
 */

/* Follows packets through the kernel datapath.
 *
 * A packet is known by the address of its skb from where it enters at a port
 * to where it leaves by one, is consumed or dropped; each of these ends it, so
 * that an address that comes back is another packet.  On its way its times are
 * kept in its slot; at the end they go into the histograms of the CPU that it
 * ends on.
 *
 * Most packets go straight through: what is done for these is in the programs
 * themselves, and what is not as usual is in functions called *_slow, which
 * do anything.
 *
 * Everything that OVS does with a packet runs with bottom halves off, on one
 * CPU, and so do receiving and transmitting: there, plain additions to the
 * CPU's own counters are safe.  Freeing, upcalls and what the handler threads
 * do may be interrupted by these: there, additions are atomic. */

#include "vmlat-kernel-types.h"

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#include "vmlat-path-count.h"
#include "vmlat-path-headers.h"
#include "vmlat-path-maps.h"
#include "vmlat-path-packets.h"
#include "vmlat-path-report.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Entering. */

/* A packet, 'n->rx_id', enters at 'port'.  Following it begins when OVS does.
 * For programs at tracepoints. */
static __noinline int
enter(void *ctx, struct now *n, struct sk_buff *skb, __u32 port,
      __u32 l2_in_data)
{
    __u64 now = bpf_ktime_get_ns();
    __u32 active = config.active;
    struct vmlat_bpf_cpu *cpu = this_cpu();
    struct vmlat_bpf_account *a;

    if (!n || !cpu || !(active & VMLAT_BPF_RX)) {
        return 0;
    }
    a = account(cpu, port);
    if (!a) {
        return 0;
    }
    count(&a->entered[0], 1);
    if (active & VMLAT_BPF_FILTER && !filter_admits(skb, l2_in_data)) {
        count(&a->fates[0][VMLAT_F_FILTERED], 1);
        return 0;
    }
    n->rx_segments = 1;
    if (skb->len > 1518) {
        n->rx_segments = n_segments(skb, l2_in_data);
    }
    n->rx_head = (__u64) (long) skb->head;
    n->rx_ns = now;
    n->rx_port = port;
    n->rx_stack = 0;
    if (active & VMLAT_BPF_STACKS) {
        __s64 stack = bpf_get_stackid(ctx, &stacks, BPF_F_FAST_STACK_CMP);

        n->rx_stack = stack >= 0 ? stack + 1 : 0;
    }
    n->rx_state = active & (RX_PORT | RX_DETAILED);
    n->watch = n->rx_id;
    return 0;
}

/* Forgets a packet that entered on this CPU and that OVS did not begin with:
 * it has 'fate'. */
static __noinline int
end_entered(struct now *n, __u32 fate, __u64 location, __u32 reason)
{
    struct vmlat_bpf_packet pkt = { .last = VMLAT_P_RX };
    struct vmlat_bpf_cpu *cpu = this_cpu();

    if (!n || !cpu) {
        return 0;
    }
    if (n->rx_state & RX_PORT) {
        pkt.in = n->rx_port;
        if (fate == VMLAT_F_LOST) {
            count_fate(cpu, &pkt, VMLAT_F_LOST);
        } else if (reason == vmlat_tc_ingress_reason) {
            count_fate(cpu, &pkt, VMLAT_F_POLICED);
            count_drop(&pkt, location, reason);
        } else {
            count_fate(cpu, &pkt, VMLAT_F_DROPPED);
            count_drop(&pkt, location, reason);
        }
    }
    n->rx_state = 0;
    n->rx_stack = 0;
    n->watch = 0;
    return 0;
}

/* 'id' is another packet than the one that entered last on this CPU, which has
 * come to its end. */
static __always_inline void
enter_next(struct now *n, __u64 id)
{
    n->rx_id = id;
    n->watch = 0;

    /* What OVS began with before is not the parent of anything from now on:
     * all that it does with a packet is done before the CPU receives one. */
    n->ovs_ref.gen = 0;
}

/* Leaving. */

/* Values of 'state' and 'all_passes' of a packet to which nothing unusual has
 * happened. */
static __always_inline __u16
plain_state(enum vmlat_bpf_point last)
{
    struct vmlat_bpf_packet pkt = { .last = last };

    return pkt.state;
}

/* VMLAT_PKT_DETAILED in 'state'. */
static __always_inline __u16
detailed_state(void)
{
    struct vmlat_bpf_packet pkt = { .flags = VMLAT_PKT_DETAILED };

    return pkt.state;
}

static __always_inline __u16
one_pass(void)
{
    struct vmlat_bpf_packet pkt = { .passes = 1 };

    return pkt.all_passes;
}

static __always_inline __u64
stage_ns(const struct vmlat_bpf_packet *pkt, enum vmlat_bpf_point from,
         enum vmlat_bpf_point to)
{
    return pkt->t[to] - pkt->t[from];
}

/* Adds the stages of a packet that took an upcall. */
static __noinline int
finish_upcall(struct vmlat_bpf_pair *pair, const struct vmlat_bpf_packet *pkt)
{
    if (!pair || !pkt) {
        return 0;
    }
    if (pkt->t[VMLAT_P_OVS] && pkt->t[VMLAT_P_UPCALL]
        && pkt->t[VMLAT_P_HANDLER] && pkt->t[VMLAT_P_EXECUTE]
        && pkt->t[VMLAT_P_SEND]) {
        HIST_ADD(pkt, OVS_TO_UPCALL,
                 stage_ns(pkt, VMLAT_P_OVS, VMLAT_P_UPCALL));
        HIST_ADD(pkt, UPCALL_HANDLER,
                 stage_ns(pkt, VMLAT_P_UPCALL, VMLAT_P_HANDLER));
        HIST_ADD(pkt, HANDLER_EXECUTE,
                 stage_ns(pkt, VMLAT_P_HANDLER, VMLAT_P_EXECUTE));
        HIST_ADD(pkt, EXECUTE_SEND,
                 stage_ns(pkt, VMLAT_P_EXECUTE, VMLAT_P_SEND));
    } else {
        count(&pair->stage_missed, 1);
    }
    if (pkt->install_ns) {
        HIST_ADD(pkt, INSTALL, pkt->install_ns);
    }
    return 0;
}

/* What a packet that passed the flow table again counts beyond others. */
static __noinline int
finish_passes(struct vmlat_bpf_pair *pair, const struct vmlat_bpf_packet *pkt)
{
    if (pair && pkt) {
        count(&pair->more_passes, (__u64) pkt->passes - 1);
        if (pkt->ct_passes) {
            count(&pair->ct_passes, pkt->ct_passes);
            HIST_ADD(pkt, CONNTRACK, pkt->ct_ns);
        }
    }
    return 0;
}

/* What is for packets above the threshold, and for flows. */
static __noinline int
finish_details(struct sk_buff *skb, const struct vmlat_bpf_packet *pkt,
               __u32 index, __u64 ns)
{
    if (pkt) {
        if (config.active & VMLAT_BPF_EVENTS && ns >= config.min_ns) {
            report(skb, pkt, index);
        }
        if (config.active & VMLAT_BPF_FLOWS) {
            count_flow(skb, pkt, ns);
        }
    }
    return 0;
}

/* A packet is at its end, at pkt->out: adds it to the histograms.  The caller
 * releases it. */
static __noinline int
finish(struct vmlat_bpf_cpu *cpu, struct vmlat_bpf_packet *pkt, __u32 index,
       struct sk_buff *skb)
{
    struct vmlat_bpf_pair *pair;
    __u64 mask = block_mask();
    __u64 ns;
    bool ok;

    if (!cpu || !pkt) {
        return 0;
    }
    if (pkt->flags & VMLAT_PKT_MADE) {
        count_fate(cpu, pkt, VMLAT_F_MADE_BY_OVS);
        return 0;
    }
    pair = find_pair(cpu, pkt->in, pkt->out);
    if (!pair) {
        count_fate(cpu, pkt, VMLAT_F_NO_ROOM);
        return 0;
    }
    ns = stage_ns(pkt, VMLAT_P_RX, VMLAT_P_TX);
    ok = (pkt->flags & VMLAT_PKT_UPCALL
          ? HIST_ADD(pkt, TOTAL_UPCALL, ns)
          : HIST_ADD_SHORT(cpu, pair, pkt, TOTAL, ns, mask));
    if (!ok) {
        count_fate(cpu, pkt, VMLAT_F_NO_ROOM);
        return 0;
    }
    if (pkt->flags & VMLAT_PKT_COPY) {
        count(&pair->copies, 1);
    } else {
        count(&pair->packets, 1);
    }
    count(&pair->more_segments, pkt->segments - 1);
    finish_passes(pair, pkt);

    if (pkt->t[VMLAT_P_OVS]) {
        HIST_ADD_SHORT(cpu, pair, pkt, RX_OVS,
                       stage_ns(pkt, VMLAT_P_RX, VMLAT_P_OVS), mask);
    }
    if (pkt->flags & VMLAT_PKT_UPCALL) {
        finish_upcall(pair, pkt);
    } else if (pkt->t[VMLAT_P_OVS] && pkt->t[VMLAT_P_SEND]) {
        HIST_ADD_SHORT(cpu, pair, pkt, OVS_SEND,
                       stage_ns(pkt, VMLAT_P_OVS, VMLAT_P_SEND), mask);
    } else {
        count(&pair->stage_missed, 1);
    }
    if (pkt->t[VMLAT_P_QDISC]) {
        if (pkt->t[VMLAT_P_SEND]) {
            HIST_ADD_SHORT(cpu, pair, pkt, SEND_QDISC,
                           stage_ns(pkt, VMLAT_P_SEND, VMLAT_P_QDISC), mask);
        }
        HIST_ADD_SHORT(cpu, pair, pkt, QDISC_TX,
                       stage_ns(pkt, VMLAT_P_QDISC, VMLAT_P_TX), mask);
    } else if (pkt->t[VMLAT_P_SEND]) {
        HIST_ADD_SHORT(cpu, pair, pkt, SEND_TX,
                       stage_ns(pkt, VMLAT_P_SEND, VMLAT_P_TX), mask);
    }
    finish_details(skb, pkt, index, ns);
    return 0;
}

/* What finish() does, but for details, for a packet to which nothing unusual
 * has happened; it is with the driver 'now'.  Returns false if there was no
 * room for it. */
static __always_inline bool
finish_plain(struct vmlat_bpf_cpu *cpu, struct vmlat_bpf_pair *pair,
             struct vmlat_bpf_packet *pkt, __u64 mask, __u64 now)
{
    __u64 rx = pkt->t[VMLAT_P_RX];
    __u64 ovs = pkt->t[VMLAT_P_OVS];
    __u64 send = pkt->t[VMLAT_P_SEND];

    if (unlikely(!HIST_ADD_SHORT(cpu, pair, pkt, TOTAL, now - rx, mask))) {
        count_fate(cpu, pkt, VMLAT_F_NO_ROOM);
        return false;
    }
    HIST_ADD_SHORT(cpu, pair, pkt, RX_OVS, ovs - rx, mask);
    HIST_ADD_SHORT(cpu, pair, pkt, OVS_SEND, send - ovs, mask);
    if (unlikely(pkt->last == VMLAT_P_QDISC)) {
        __u64 qdisc = pkt->t[VMLAT_P_QDISC];

        HIST_ADD_SHORT(cpu, pair, pkt, SEND_QDISC, qdisc - send, mask);
        HIST_ADD_SHORT(cpu, pair, pkt, QDISC_TX, now - qdisc, mask);
    } else {
        HIST_ADD_SHORT(cpu, pair, pkt, SEND_TX, now - send, mask);
    }
    count(&pair->packets, 1);
    if (unlikely(pkt->segments != 1)) {
        count(&pair->more_segments, pkt->segments - 1);
    }
    if (unlikely(pkt->all_passes != one_pass())) {
        finish_passes(pair, pkt);
    }
    return true;
}

/* A packet that left by a tunnel has reached a NIC. */
static __noinline int
finish_outer(struct vmlat_bpf_cpu *cpu, const struct vmlat_bpf_packet *pkt)
{
    struct vmlat_bpf_pair *pair;

    if (!cpu || !pkt) {
        return 0;
    }
    pair = find_pair(cpu, pkt->in, pkt->out);
    if (pair) {
        HIST_ADD(pkt, TX_OUTER,
                 bpf_ktime_get_ns() - pkt->t[VMLAT_P_TX]);
    }
    return 0;
}

/* Points. */

/* An internal port hands 'skb' to the host: the end of it.  It is followed
 * further, for the host may drop it. */
static __noinline int
leave_to_host(void *ctx, struct sk_buff *skb, __u64 id, __u32 port,
              __u32 ifindex)
{
    struct vmlat_bpf_cpu *cpu = this_cpu();
    struct place p;

    if (cpu && find(&p, id)
        && !(p.pkt->flags & VMLAT_PKT_ENDED) && p.pkt->t[VMLAT_P_OVS]) {
        p.pkt->t[VMLAT_P_TX] = bpf_ktime_get_ns();
        p.pkt->out = port;
        p.pkt->last = VMLAT_P_TX;
        note(ctx, p.index, VMLAT_P_TX, ifindex, 0);
        finish(cpu, p.pkt, p.index, skb);
        p.pkt->flags |= VMLAT_PKT_ENDED;
    }
    return 0;
}

/* What is not as usual.  Returns the flags of the device. */
static __noinline __u32
receive_slow(__u64 *ctx, struct now *n)
{
    struct sk_buff *skb = (void *) (long) ctx[0];
    struct net_device *dev = skb->dev;
    __u32 ifindex = dev->ifindex;
    struct vmlat_bpf_dev *e = find_dev(dev, ifindex);

    if (!n || !e) {
        return 0;
    }
    n->rx_ifindex = ifindex;
    if (e->flags & VMLAT_DEV_INTERNAL) {
        leave_to_host(ctx, skb, id_of(skb), e->slot, ifindex);
    } else if (e->flags & VMLAT_DEV_PORT) {
        enter(ctx, n, skb, e->slot, false);
    } else if (e->flags & VMLAT_DEV_LOWER) {
        n->rx_head = (__u64) (long) skb->head;
        n->rx_ns = bpf_ktime_get_ns();
        n->rx_state = RX_LOWER;
        n->watch = n->rx_id;
    }
    return e->flags;
}

/* Returns the flags of the device, 0 if it is not known. */
static __always_inline __u32
on_receive(__u64 *ctx)
{
    __u32 number = bpf_get_smp_processor_id(), ifindex, port, active;
    struct now *n = now_of(number);
    struct vmlat_bpf_account *a;
    struct vmlat_bpf_cpu *cpu;
    struct vmlat_bpf_dev *e;
    struct net_device *dev;
    struct sk_buff *skb;

    if (unlikely(n->rx_state)) {
        end_entered(n, VMLAT_F_LOST, 0, 0);
    }
    skb = (void *) (long) ctx[0];
    enter_next(n, id_of(skb));
    dev = skb->dev;
    ifindex = dev->ifindex;
    e = &devs[VMLAT_BPF_DEV_HASH(ifindex)];
    if (e->dev != (__u64) (long) dev || e->ifindex != ifindex) {
        if (likely(!e->ifindex)) {
            return 0;
        }
        return receive_slow(ctx, n);
    }
    hide(e);
    active = config.active;
    if (unlikely((e->flags & (VMLAT_DEV_PORT | VMLAT_DEV_INTERNAL))
                 != VMLAT_DEV_PORT)
        || unlikely((active & (VMLAT_BPF_RX | VMLAT_BPF_FILTER
                               | VMLAT_BPF_STACKS)) != VMLAT_BPF_RX)
        || unlikely(skb->len > 1518)) {
        return receive_slow(ctx, n);
    }

    /* What enter() does, in short. */
    n->rx_head = (__u64) (long) skb->head;
    port = e->slot & (VMLAT_BPF_PORTS - 1);
    n->rx_port = port;
    n->rx_segments = 1;
    cpu = cpu_of(number);
    if (unlikely(!cpu) || unlikely(!cpu->accounts[port])) {
        return receive_slow(ctx, n);
    }
    a = block(cpu, cpu->accounts[port]);
    count(&a->entered[0], 1);
    n->watch = n->rx_id;
    n->rx_ifindex = ifindex;
    n->rx_state = active & (RX_PORT | RX_DETAILED);
    n->rx_ns = bpf_ktime_get_ns();
    return e->flags;
}

SEC("tp_btf/netif_receive_skb")
int
vmlat_receive(__u64 *ctx)
{
    __u32 flags = on_receive(ctx);

#ifndef VMLAT_OLD
    if (unlikely(flags & VMLAT_DEV_TAP)) {
        bpf_tail_call(ctx, &vm_receive, 0);
    }
#endif
    return flags;
}

/* Makes 'skb', which OVS has to do with but which is not known, a copy of the
 * packet that OVS is busy with. */
static __noinline bool
adopt(struct now *n, struct sk_buff *skb, __u64 id)
{
    __u32 tid = bpf_get_current_pid_tgid();
    struct vmlat_bpf_cpu *cpu = this_cpu();
    struct vmlat_bpf_handler *handler;
    struct vmlat_bpf_account *a;
    struct place parent, p;
    struct sk_buff *other;
    bool found;

    if (!n || !cpu) {
        return false;
    }

    /* A packet that the present pass began with is the parent: that it is
     * still in OVS, or that the data are the same, says that the pass is the
     * present one.  Otherwise it may be one that a thread has sent back. */
    found = find_ref(&parent, &n->ovs_ref);
    if (found && (*parent.tag != n->ovs_id
                  || parent.pkt->last != VMLAT_P_OVS)) {
        other = (void *) (long) number_of(n->ovs_id);
        if (BPF_CORE_READ(other, head) != BPF_CORE_READ(skb, head)) {
            handler = bpf_map_lookup_elem(&handlers, &tid);
            if (handler && handler->exec_ref.gen) {
                found = find_ref(&parent, &handler->exec_ref);
            }
        }
    } else if (!found) {
        handler = bpf_map_lookup_elem(&handlers, &tid);
        if (handler && handler->exec_ref.gen) {
            found = find_ref(&parent, &handler->exec_ref);
        }
    }
    if (!found) {
        return false;
    }

    a = account(cpu, parent.pkt->in);
    if (!a) {
        return false;
    }
    count_atomic(&a->entered[1], 1);
    if (!take(cpu, &p, id, bpf_ktime_get_ns())) {
        count_atomic(&a->fates[1][VMLAT_F_TABLE_FULL], 1);
        return false;
    }
    if (p.pkt != parent.pkt) {
        __u32 gen = p.pkt->gen;

        *p.pkt = *parent.pkt;
        p.pkt->gen = gen;
        parent.pkt->flags |= VMLAT_PKT_COPIED;
    }
    p.pkt->flags &= VMLAT_PKT_UPCALL | VMLAT_PKT_MADE;
    p.pkt->flags |= VMLAT_PKT_COPY;
    p.pkt->out = 0;
    p.pkt->t[VMLAT_P_SEND] = 0;
    p.pkt->t[VMLAT_P_QDISC] = 0;
    if (config.active & VMLAT_BPF_EVENTS) {
        struct vmlat_bpf_details *from, *to;

        from = bpf_map_lookup_elem(&details, &parent.index);
        to = bpf_map_lookup_elem(&details, &p.index);
        if (from && to) {
            *to = *from;
        }
    }
    return true;
}

/* OVS begins with a packet that came from a device below the port's. */
static __noinline int
enter_from_lower(struct now *n, struct sk_buff *skb)
{
    struct vmlat_bpf_cpu *cpu = this_cpu();
    struct vmlat_bpf_account *a;
    struct vmlat_bpf_dev *e;
    struct net_device *dev;
    __u32 ifindex;

    if (!n || !cpu) {
        return 0;
    }
    n->rx_state = 0;
    n->watch = 0;
    dev = BPF_CORE_READ(skb, dev);
    ifindex = BPF_CORE_READ(dev, ifindex);
    e = find_dev(dev, ifindex);
    if (!e || !(e->flags & VMLAT_DEV_PORT)
        || !(config.active & VMLAT_BPF_RX)) {
        return 0;
    }
    a = account(cpu, e->slot);
    if (!a) {
        return 0;
    }
    count(&a->entered[0], 1);
    if (config.active & VMLAT_BPF_FILTER && !filter_admits(skb, true)) {
        count(&a->fates[0][VMLAT_F_FILTERED], 1);
        return 0;
    }
    n->rx_segments = 1;
    if (BPF_CORE_READ(skb, len) > 1518) {
        n->rx_segments = n_segments(skb, true);
    }
    n->rx_port = e->slot;
    n->rx_ifindex = ifindex;
    n->rx_stack = 0;
    n->rx_state = RX_PORT | (config.active & RX_DETAILED);
    return 0;
}

/* OVS begins with the packet that entered last on this CPU, or with a clone of
 * it, the original of which is not followed. */
static __always_inline void
begin(struct now *n, struct vmlat_bpf_packet *pkt, __u64 id, __u32 index)
{
    n->rx_state = 0;
    n->watch = 0;
    pkt->t[VMLAT_P_RX] = n->rx_ns;
    pkt->t[VMLAT_P_SEND] = 0;
    pkt->t[VMLAT_P_QDISC] = 0;
    pkt->ports = n->rx_port;
    pkt->state = plain_state(VMLAT_P_OVS);
    pkt->all_passes = one_pass();
    pkt->segments = n->rx_segments;
    pkt->ct_ns = 0;
    n->ovs_id = id;
    n->ovs_ref.index = index;
    n->ovs_ref.gen = pkt->gen;
    pkt->t[VMLAT_P_OVS] = bpf_ktime_get_ns();
}

static __noinline int
note_begin(void *ctx, struct now *n, struct vmlat_bpf_packet *pkt,
           __u32 index)
{
    struct vmlat_bpf_details *d;

    if (!n || !pkt) {
        return 0;
    }
    pkt->flags |= VMLAT_PKT_DETAILED;
    note(ctx, index, VMLAT_P_OVS, 0, 0);
    d = bpf_map_lookup_elem(&details, &index);
    if (d && config.active & VMLAT_BPF_EVENTS) {
        /* On the same CPU. */
        d->points[VMLAT_P_RX] = d->points[VMLAT_P_OVS];
        d->points[VMLAT_P_RX].ifindex = n->rx_ifindex;
        d->points[VMLAT_P_RX].stack = n->rx_stack - 1;
    }
    n->rx_stack = 0;
    return 0;
}

/* What is not as usual, or not the beginning. */
static __noinline int
on_ovs_slow(void *ctx, struct sk_buff *skb, __u64 id, __u64 head)
{
    struct vmlat_bpf_cpu *cpu = this_cpu();
    struct now *n = this_now();
    struct place p;

    if (!cpu) {
        return 0;
    }
    n->ovs_id = id;
    if (n->rx_state == RX_LOWER && n->rx_head == head) {
        enter_from_lower(n, skb);
    }
    if (n->rx_state & RX_PORT && n->rx_head == head) {
        bool detailed = n->rx_state & RX_DETAILED;

        if (take(cpu, &p, id, n->rx_ns)) {
            begin(n, p.pkt, id, p.index);
            if (detailed) {
                note_begin(ctx, n, p.pkt, p.index);
            }
        } else {
            struct vmlat_bpf_account *a = account(cpu, n->rx_port);

            if (a) {
                count(&a->fates[0][VMLAT_F_TABLE_FULL], 1);
            }
            n->rx_state = 0;
            n->watch = 0;
            n->ovs_ref.gen = 0;
        }
    } else if (find(&p, id)
               || (n->rx_id != id && adopt(n, skb, id) && find(&p, id))) {
        /* Comes round again: by recirculation, or a copy that does so. */
        p.pkt->passes++;
        p.pkt->last = VMLAT_P_OVS;
        n->ovs_ref.index = p.index;
        n->ovs_ref.gen = p.pkt->gen;
    } else {
        n->ovs_ref.gen = 0;
    }
    return 0;
}

/* 'head' is skb->head. */
static __always_inline int
on_ovs(void *ctx, struct sk_buff *skb, __u64 id, __u64 head)
{
    struct now *n = this_now();
    struct slot *slot = slot_of(id);
    __u32 state = n->rx_state;

    if (unlikely(!(state & RX_PORT)) || unlikely(n->rx_head != head)
        || unlikely(slot->others) || unlikely(!replace(&slot->id, 0, id))) {
        return on_ovs_slow(ctx, skb, id, head);
    }
    next_gen(&slot->pkt);
    begin(n, &slot->pkt, id, slot_index(id));
    if (unlikely(state != RX_PORT)) {
        note_begin(ctx, n, &slot->pkt, slot_index(id));
    }
    return 0;
}

static __noinline int
count_handler_execute(const struct vmlat_bpf_packet *pkt, __u64 now)
{
    __u32 tid = bpf_get_current_pid_tgid();
    struct vmlat_bpf_handler *handler = bpf_map_lookup_elem(&handlers, &tid);

    if (handler && pkt) {
        small_hist_add(&handler->execute, now - pkt->t[VMLAT_P_EXECUTE],
                       false);
    }
    return 0;
}

static __noinline int
note_send(void *ctx, __u32 index)
{
    note(ctx, index, VMLAT_P_SEND, 0, 0);
    return 0;
}

static __noinline int
on_send_slow(void *ctx, struct sk_buff *skb, __u64 id)
{
    struct now *n = this_now();
    struct place p;
    __u64 now;

    if (!find(&p, id) && (!adopt(n, skb, id) || !find(&p, id))) {
        return 0;
    }
    now = bpf_ktime_get_ns();
    if (p.pkt->last == VMLAT_P_EXECUTE && p.pkt->flags & VMLAT_PKT_UPCALL) {
        count_handler_execute(p.pkt, now);
    }
    p.pkt->t[VMLAT_P_SEND] = now;
    p.pkt->last = VMLAT_P_SEND;
    note(ctx, p.index, VMLAT_P_SEND, 0, 0);
    return 0;
}

static __always_inline int
on_send(void *ctx, struct sk_buff *skb, __u64 id)
{
    struct slot *slot = slot_of(id);
    __u16 state = slot->pkt.state;

    if (unlikely(slot->id != id)
        || unlikely((state & ~detailed_state())
                    != plain_state(VMLAT_P_OVS))) {
        return on_send_slow(ctx, skb, id);
    }
    slot->pkt.last = VMLAT_P_SEND;
    slot->pkt.t[VMLAT_P_SEND] = bpf_ktime_get_ns();
    if (unlikely(state & detailed_state())) {
        note_send(ctx, slot_index(id));
    }
    return 0;
}

static __always_inline int
on_queue(void *ctx, struct sk_buff *skb)
{
    struct place p;

    if (find(&p, id_of(skb)) && p.pkt->last < VMLAT_P_QDISC
        && p.pkt->t[VMLAT_P_OVS]) {
        p.pkt->t[VMLAT_P_QDISC] = bpf_ktime_get_ns();
        p.pkt->last = VMLAT_P_QDISC;
        if (config.active & VMLAT_BPF_EVENTS) {
            note(ctx, p.index, VMLAT_P_QDISC, skb->dev->ifindex,
                 skb->queue_mapping);
        }
    }
    return 0;
}

/* A queueing discipline has taken a packet: not so where there is none, or
 * where it was empty and let the packet pass. */
SEC("tp_btf/qdisc_enqueue")
int BPF_PROG(vmlat_enqueue, void *qdisc, void *queue, struct sk_buff *skb)
{
    return on_queue(ctx, skb);
}

/* For kernels before 5.14, which do not tell so. */
SEC("tp_btf/net_dev_queue")
int BPF_PROG(vmlat_queue, struct sk_buff *skb)
{
    return on_queue(ctx, skb);
}

/* What is not as usual.  Returns the flags of the device. */
static __noinline __u32
xmit_slow(__u64 *ctx)
{
    struct sk_buff *skb = (void *) (long) ctx[0];
    struct net_device *dev = (void *) (long) ctx[1];
    __u64 id = id_of(skb);
    __u32 ifindex = dev->ifindex;
    struct vmlat_bpf_dev *e = find_dev(dev, ifindex);
    __u32 flags = e ? e->flags : 0;
    struct vmlat_bpf_packet *pkt;
    struct vmlat_bpf_cpu *cpu;
    struct now *n = this_now();
    struct place p;
    bool found;

    found = find(&p, id);
    if (!found && !(flags & VMLAT_DEV_INTERNAL)) {
        return flags;
    }
    cpu = this_cpu();
    if (!cpu) {
        return flags;
    }
    pkt = p.pkt;
    if (e && flags & VMLAT_DEV_INTERNAL) {
        /* The host sends it by an internal port. */
        if (found) {
            if (pkt->flags & VMLAT_PKT_TUNNEL) {
                finish_outer(cpu, pkt);
            }
            if (release(&p, id)
                && !(pkt->flags & (VMLAT_PKT_ENDED | VMLAT_PKT_MOVED))) {
                count_fate(cpu, pkt, VMLAT_F_LOST);
            }
        }
        if (n->rx_state) {
            end_entered(n, VMLAT_F_LOST, 0, 0);
        }
        enter_next(n, id);
        n->rx_ifindex = ifindex;
        enter(ctx, n, skb, e->slot, true);
        return flags;
    }

    if (pkt->flags & VMLAT_PKT_ENDED) {
        if (!(flags & (VMLAT_DEV_THROUGH | VMLAT_DEV_TUNNEL))) {
            if (pkt->flags & VMLAT_PKT_TUNNEL) {
                finish_outer(cpu, pkt);
            }
            release(&p, id);
        }
        return flags;
    }
    if (e && flags & VMLAT_DEV_PORT && !pkt->out) {
        pkt->out = e->slot;
    }
    if (flags & VMLAT_DEV_THROUGH) {
        return flags;
    }

    pkt->t[VMLAT_P_TX] = bpf_ktime_get_ns();
    pkt->last = VMLAT_P_TX;
    note(ctx, p.index, VMLAT_P_TX, ifindex, skb->queue_mapping);
    if (flags & VMLAT_DEV_TUNNEL) {
        finish(cpu, pkt, p.index, skb);
        pkt->flags |= VMLAT_PKT_ENDED | VMLAT_PKT_TUNNEL;
        return flags;
    }
    if (!release(&p, id)) {
        return flags;
    }
    if (pkt->out && pkt->t[VMLAT_P_OVS]) {
        finish(cpu, pkt, p.index, skb);
    } else {
        count_fate(cpu, pkt, VMLAT_F_UNHOOKED);
    }
    n->watch = id;
    n->watch_ports = pkt->ports;
    return flags;
}

/* What is for packets above the threshold, and for flows, when finish_plain()
 * has counted the packet in 'slot'. */
static __noinline int
xmit_details(__u64 *ctx, struct slot *slot, __u32 index, __u64 now)
{
    struct sk_buff *skb = (void *) (long) ctx[0];
    struct net_device *dev = (void *) (long) ctx[1];

    if (slot) {
        slot->pkt.t[VMLAT_P_TX] = now;
        slot->pkt.last = VMLAT_P_TX;
        note(ctx, index, VMLAT_P_TX, dev->ifindex, skb->queue_mapping);
        finish_details(skb, &slot->pkt, index,
                       stage_ns(&slot->pkt, VMLAT_P_RX, VMLAT_P_TX));
    }
    return 0;
}

/* Does what is to be done for a packet that is as usual, if the device has
 * 'flags', of those that matter.  Returns false if it is not so, and nothing
 * is done.  Stores the time in '*nowp'. */
static __always_inline bool
xmit_plain(__u64 *ctx, __u32 number, __u32 flags, __u64 *nowp)
{
    __u32 ports, ifindex;
    struct sk_buff *skb = (void *) (long) ctx[0];
    struct net_device *dev = (void *) (long) ctx[1];
    __u64 id = id_of(skb), mask, pair_block, now;
    struct slot *slot = slot_of(id);
    __u16 state = slot->pkt.state & ~detailed_state();
    struct vmlat_bpf_pair *pair;
    struct vmlat_bpf_cpu *cpu;
    struct vmlat_bpf_dev *e;
    struct now *n;

    ifindex = dev->ifindex;
    e = &devs[VMLAT_BPF_DEV_HASH(ifindex)];
    hide(e);
    if (unlikely(slot->id != id)
        || unlikely(state != plain_state(VMLAT_P_SEND)
                    && (state != plain_state(VMLAT_P_QDISC)
                        || !slot->pkt.t[VMLAT_P_SEND]))
        || unlikely(e->dev != (__u64) (long) dev)
        || unlikely(e->ifindex != ifindex)
        || unlikely((e->flags & (VMLAT_DEV_PORT | VMLAT_DEV_INTERNAL
                                 | VMLAT_DEV_THROUGH | VMLAT_DEV_TUNNEL
                                 | VMLAT_DEV_TAP)) != flags)
        || unlikely(slot->pkt.out)) {
        return false;
    }
    ports = (__u32) e->slot << 16 | slot->pkt.ports;
    cpu = cpu_of(number);
    if (unlikely(!cpu)) {
        return false;
    }
    pair_block = cpu->pairs[VMLAT_BPF_PAIR_HASH(ports)];
    if (unlikely((__u32) pair_block != ports)) {
        return false;
    }

    n = now_of(number);
    n->watch = id;
    n->watch_ports = ports;
    slot->pkt.ports = ports;
    mask = block_mask();
    pair = (void *) cpu + VMLAT_BPF_CPU_BLOCKS + (pair_block >> 24 & mask);
    now = bpf_ktime_get_ns();
    *nowp = now;
    if (likely(finish_plain(cpu, pair, &slot->pkt, mask, now))
        && unlikely(slot->pkt.flags)) {
        xmit_details(ctx, slot, slot_index(id), now);
    }

    /* Nobody else ends it, or takes its slot before that. */
    *(volatile __u64 *) &slot->id = 0;
    return true;
}

/* The same for taps, with what is not as usual.  Returns the flags of the
 * device. */
static __noinline __u32
xmit_others(__u64 *ctx)
{
    __u32 number = bpf_get_smp_processor_id();
    __u32 flags = VMLAT_DEV_PORT | VMLAT_DEV_TAP;
    __u64 now = 0;

    if (!xmit_plain(ctx, number, flags, &now)) {
        flags = xmit_slow(ctx);
    }
    vm.cpus[number & (VMLAT_BPF_CPUS - 1)].tx_ns = now;
    return flags;
}

SEC("tp_btf/net_dev_start_xmit")
int
vmlat_xmit(__u64 *ctx)
{
    __u32 flags;
    __u64 now;

    if (likely(xmit_plain(ctx, bpf_get_smp_processor_id(), VMLAT_DEV_PORT,
                          &now))) {
        return 0;
    }
    flags = xmit_others(ctx);
#ifndef VMLAT_OLD
    if (unlikely(flags & VMLAT_DEV_TAP)) {
        bpf_tail_call(ctx, &vm_xmit, 0);
    }
#endif
    return flags;
}

/* Ends. */

/* A message with an upcall was freed: if by a handler that has read it, the
 * packet goes on there. */
static __noinline int
message_freed(__u64 message, __u32 read)
{
    struct vmlat_bpf_upcall_key key = { .id = message };
    struct vmlat_bpf_upcall *u = bpf_map_lookup_elem(&upcalls, &key);
    __u32 tid = bpf_get_current_pid_tgid();
    struct vmlat_bpf_handler *handler;
    struct vmlat_bpf_cpu *cpu;
    __u64 now;

    if (!u) {
        return 0;
    }
    count_others(message, -1);
    cpu = this_cpu();
    if (!cpu) {
        return 0;
    }
    if (!read) {
        count_fate(cpu, &u->packet, VMLAT_F_UPCALL_FULL);
        bpf_map_delete_elem(&upcalls, &key);
        return 0;
    }

    now = bpf_ktime_get_ns();
    u->packet.t[VMLAT_P_HANDLER] = now;
    u->packet.last = VMLAT_P_HANDLER;
    bpf_get_current_comm(u->details.comm, sizeof u->details.comm);
    u->details.points[VMLAT_P_HANDLER].tid = tid;
    u->details.points[VMLAT_P_HANDLER].cpu = bpf_get_smp_processor_id();
    u->details.points[VMLAT_P_HANDLER].stack = -1;

    handler = bpf_map_lookup_elem(&handlers, &tid);
    if (!handler) {
        __u32 zero = SCRATCH_FLOW;
        struct scratch *s = bpf_map_lookup_elem(&scratches, &zero);

        if (s) {
            bpf_map_update_elem(&handlers, &tid, &s->handler, BPF_NOEXIST);
            handler = bpf_map_lookup_elem(&handlers, &tid);
        }
    }
    if (handler) {
        bpf_get_current_comm(handler->comm, sizeof handler->comm);
        handler->received++;
        small_hist_add(&handler->queue, now - u->packet.t[VMLAT_P_UPCALL],
                       false);
    }

    struct vmlat_bpf_upcall_key new = { .id = u->content, .tid = tid };
    for (__u32 n = 0; n < VMLAT_BPF_SAME_CONTENT; n++) {
        new.n = n;
        if (!bpf_map_update_elem(&upcalls, &new, u, BPF_NOEXIST)) {
            bpf_map_delete_elem(&upcalls, &key);
            return 0;
        }
    }
    count_atomic(&stats.upcalls_left_out, 1);
    count_fate(cpu, &u->packet, VMLAT_F_TABLE_FULL);
    bpf_map_delete_elem(&upcalls, &key);
    return 0;
}

/* A known packet was freed. */
static __noinline int
packet_freed(struct sk_buff *skb, __u64 id, __u64 location, __u32 reason)
{
    struct vmlat_bpf_packet *pkt;
    struct vmlat_bpf_cpu *cpu;
    enum vmlat_bpf_fate fate;
    struct place p;

    cpu = this_cpu();
    if (!cpu || !find(&p, id)) {
        return 0;
    }
    pkt = p.pkt;
    if (pkt->flags & VMLAT_PKT_ENDED) {
        if (reason != VMLAT_REASON_CONSUMED) {
            count_drop(pkt, location, reason);
        }
        if (pkt->flags & VMLAT_PKT_TUNNEL) {
            count_atomic(&stats.outer_lost, 1);
        }
        release(&p, id);
        return 0;
    }
    if (pkt->flags & VMLAT_PKT_MOVED) {
        if (reason != VMLAT_REASON_CONSUMED) {
            count_drop(pkt, location, reason);
        }
        release(&p, id);
        return 0;
    }
    if (reason == VMLAT_REASON_CONSUMED && pkt->last == VMLAT_P_QDISC
        && pkt->segments > 1 && pkt->t[VMLAT_P_OVS]) {
        /* Cut into segments, which go to the driver at once. */
        struct net_device *dev = BPF_CORE_READ(skb, dev);
        __u32 ifindex = BPF_CORE_READ(dev, ifindex);
        struct vmlat_bpf_dev *e = find_dev(dev, ifindex);

        if (!pkt->out && e && e->flags & VMLAT_DEV_PORT) {
            pkt->out = e->slot;
        }
        if (pkt->out) {
            pkt->t[VMLAT_P_TX] = bpf_ktime_get_ns();
            pkt->last = VMLAT_P_TX;
            if (release(&p, id)) {
                finish(cpu, pkt, p.index, skb);
            }
            return 0;
        }
    }
    if (pkt->last >= VMLAT_P_SEND) {
        fate = VMLAT_F_TX_DROPPED;
    } else if (pkt->flags & VMLAT_PKT_COPIED) {
        fate = VMLAT_F_COPIED;
    } else if (reason == vmlat_tc_ingress_reason
               && pkt->last == VMLAT_P_RX) {
        fate = VMLAT_F_POLICED;
    } else {
        fate = VMLAT_F_DROPPED;
    }
    if (release(&p, id)) {
        count_fate(cpu, pkt, fate);
        if (fate != VMLAT_F_COPIED) {
            count_drop(pkt, location, reason);
        }
    }
    return 0;
}

/* An skb was freed that is known in one way or another. */
static __noinline int
on_free_slow(struct sk_buff *skb, __u64 id, __u64 location, __u32 reason)
{
    struct now *n = this_now();
    struct place p;

    if (find(&p, id)) {
        return packet_freed(skb, id, location, reason);
    }
    if (n->watch == id) {
        if (n->rx_state) {
            if (n->rx_id == id) {
                end_entered(n, VMLAT_F_DROPPED, location, reason);
            }
        } else if (reason != VMLAT_REASON_CONSUMED) {
            /* By the driver that was given it. */
            struct vmlat_bpf_packet pkt = {
                .ports = n->watch_ports, .last = VMLAT_P_TX,
                .flags = VMLAT_PKT_ENDED,
            };

            count_drop(&pkt, location, reason);
            n->watch = 0;
        }
    }
    return message_freed(id, reason == VMLAT_REASON_CONSUMED);
}

/* 'with_location' and 'with_reason' tell what the tracepoint has beside the
 * skb. */
static __always_inline void
on_free(__u64 *ctx, __u64 id, bool with_location, bool with_reason)
{
    struct now *n = this_now();
    struct sk_buff *skb = (void *) (long) ctx[0];
    struct slot *slot = slot_of(id);

    /* One that was given to a driver is watched for being dropped. */
    if (likely(slot->id != id) && likely(!slot->others)
        && (likely(n->watch != id)
            || (!with_location && likely(!n->rx_state)))) {
        return;
    }
    on_free_slow(skb, id, with_location ? ctx[1] : 0,
                 with_reason ? (__u32) ctx[2]
                 : with_location ? VMLAT_REASON_UNKNOWN
                 : VMLAT_REASON_CONSUMED);
}

static __always_inline int
on_kfree(__u64 *ctx, bool with_reason)
{
    __u64 id = id_of((void *) (long) ctx[0]);

    on_free(ctx, id, true, with_reason);
#ifndef VMLAT_OLD
    if (unlikely(*vm_ids_of(id)) || unlikely(ctx[1] - vm.start < vm.size)) {
        bpf_tail_call(ctx, &vm_kfree, 0);
    }
#endif
    return 0;
}

SEC("tp_btf/kfree_skb")
int
vmlat_kfree(__u64 *ctx)
{
    return on_kfree(ctx, true);
}

SEC("tp_btf/kfree_skb")
int
vmlat_kfree_no_reason(__u64 *ctx)
{
    return on_kfree(ctx, false);
}

SEC("tp_btf/consume_skb")
int
vmlat_consume(__u64 *ctx)
{
    __u64 id = id_of((void *) (long) ctx[0]);

    on_free(ctx, id, false, false);
#ifndef VMLAT_OLD
    if (unlikely(*vm_ids_of(id))) {
        bpf_tail_call(ctx, &vm_consume, 0);
    }
#endif
    return 0;
}

/* Upcalls. */

static __always_inline int
on_upcall(void *ctx, struct sk_buff *skb, __u64 id)
{
    struct now *n = this_now();
    struct place p;

    n->upcall_id = 0;
    if (find(&p, id)
        && !(p.pkt->flags & (VMLAT_PKT_ENDED | VMLAT_PKT_MADE))) {
        p.pkt->t[VMLAT_P_UPCALL] = bpf_ktime_get_ns();
        p.pkt->last = VMLAT_P_UPCALL;
        note(ctx, p.index, VMLAT_P_UPCALL, 0, 0);
        n->upcall_id = id;
        n->upcall_n = 0;
        n->upcall_ref.index = p.index;
        n->upcall_ref.gen = p.pkt->gen;
    }
    return 0;
}

/* Returns content() of the packet in a message to a handler, 0 if it cannot be
 * read, and the message's command in '*cmd'. */
static __noinline __u64
message_content(struct sk_buff *message, __u32 *cmd)
{
    const void *data = BPF_CORE_READ(message, data);
    __u32 linear = BPF_CORE_READ(message, len)
                   - BPF_CORE_READ(message, data_len);
    __u32 offset = 16 + 4 + 4;      /* nlmsghdr, genlmsghdr, ovs_header. */
    __u8 c = 0;

    if (!cmd) {
        return 0;
    }
    bpf_probe_read_kernel(&c, sizeof c, data + 16);
    *cmd = c;
    for (int i = 0; i < 16; i++) {
        struct nlattr nla = { 0, 0 };

        if (offset + sizeof nla > linear
            || bpf_probe_read_kernel(&nla, sizeof nla, data + offset)
            || nla.nla_len < sizeof nla) {
            return 0;
        }
        if (nla.nla_type == 1) {    /* OVS_PACKET_ATTR_PACKET */
            offset += sizeof nla;
            return content(data + offset, linear - offset,
                           nla.nla_len - sizeof nla);
        }
        offset += (nla.nla_len + 3) & ~3u;
    }
    return 0;
}

/* A message goes to a socket: a packet in an upcall, if OVS is in the middle
 * of one. */
static __always_inline int
on_message(struct sk_buff *message, __u64 id)
{
    struct vmlat_bpf_upcall_key key = { .id = id };
    struct now *n = this_now();
    struct vmlat_bpf_cpu *cpu;
    __u32 user = SCRATCH_UPCALL, cmd = 0;
    struct vmlat_bpf_details *d;
    struct vmlat_bpf_account *a;
    struct scratch *s;
    struct place p;
    __u64 hash;
    bool moves;

    if (likely(!n->upcall_id)) {
        return 0;
    }
    cpu = this_cpu();
    if (!cpu || !find_ref(&p, &n->upcall_ref) || *p.tag != n->upcall_id
        || p.pkt->last != VMLAT_P_UPCALL) {
        n->upcall_id = 0;
        return 0;
    }
    hash = message_content(message, &cmd);
    if (!hash && !n->upcall_n) {
        /* The packet is not in the linear part of the message, which then
         * shares its pages with the skb. */
        struct sk_buff *skb = (void *) (long) number_of(n->upcall_id);
        const void *l2 = skb_l2(skb);
        __u32 len = BPF_CORE_READ(skb, len);
        __u32 data_len = BPF_CORE_READ(skb, data_len);

        hash = content(l2, len - data_len, len);
    }
    moves = cmd == 1 /* OVS_PACKET_CMD_MISS */ && !n->upcall_n++;

    s = bpf_map_lookup_elem(&scratches, &user);
    a = account(cpu, p.pkt->in);
    if (!s || !a) {
        return 0;
    }
    if (moves) {
        p.pkt->flags |= VMLAT_PKT_MOVED;
    }
    s->upcall.packet = *p.pkt;
    s->upcall.packet.flags &= VMLAT_PKT_COPY | VMLAT_PKT_COPIED;
    s->upcall.packet.flags |= VMLAT_PKT_UPCALL;
    s->upcall.packet.t[VMLAT_P_HANDLER] = 0;
    s->upcall.packet.t[VMLAT_P_EXECUTE] = 0;
    s->upcall.packet.t[VMLAT_P_SEND] = 0;
    s->upcall.packet.t[VMLAT_P_QDISC] = 0;
    s->upcall.packet.install_ns = 0;
    s->upcall.content = hash;
    if (!moves) {
        s->upcall.packet.flags |= VMLAT_PKT_COPY;
        p.pkt->flags |= VMLAT_PKT_COPIED;
        count(&a->entered[1], 1);
    }
    d = bpf_map_lookup_elem(&details, &p.index);
    if (d) {
        s->upcall.details = *d;
    }
    if (!hash) {
        count_atomic(&stats.upcalls_left_out, 1);
        count_fate(cpu, &s->upcall.packet, VMLAT_F_LOST);
        return 0;
    }
    count_others(id, 1);
    if (bpf_map_update_elem(&upcalls, &key, &s->upcall, BPF_ANY)) {
        count_others(id, -1);
        count_atomic(&stats.upcalls_left_out, 1);
        count_fate(cpu, &s->upcall.packet, VMLAT_F_TABLE_FULL);
    }
    return 0;
}

/* A thread of the daemon sends a packet. */
static __always_inline int
on_execute(void *ctx, struct sk_buff *skb, __u64 id)
{
    __u32 tid = bpf_get_current_pid_tgid();
    struct vmlat_bpf_upcall_key key = { .tid = tid }, best = { 0 };
    __u32 len = BPF_CORE_READ(skb, len);
    struct vmlat_bpf_cpu *cpu = this_cpu();
    struct vmlat_bpf_handler *handler;
    struct vmlat_bpf_account *a;
    struct vmlat_bpf_upcall *u;
    __u64 oldest = ~0ull, now;
    struct place p;
    __u32 gen;

    if (!cpu) {
        return 0;
    }
    now = bpf_ktime_get_ns();
    key.id = content(BPF_CORE_READ(skb, data), len, len);
    for (__u32 n = 0; n < VMLAT_BPF_SAME_CONTENT; n++) {
        key.n = n;
        u = bpf_map_lookup_elem(&upcalls, &key);
        if (u && u->packet.t[VMLAT_P_HANDLER] < oldest) {
            oldest = u->packet.t[VMLAT_P_HANDLER];
            best = key;
        }
    }
    handler = bpf_map_lookup_elem(&handlers, &tid);
    u = oldest != ~0ull ? bpf_map_lookup_elem(&upcalls, &best) : NULL;
    if (!u) {
        if (!(config.active & VMLAT_BPF_RX)) {
            return 0;
        }
        a = account(cpu, 0);
        if (!a) {
            return 0;
        }
        count_atomic(&a->entered[0], 1);
        if (!take(cpu, &p, id, now)) {
            count_atomic(&a->fates[0][VMLAT_F_TABLE_FULL], 1);
            return 0;
        }
        gen = p.pkt->gen;
        __builtin_memset(p.pkt, 0, sizeof *p.pkt);
        p.pkt->gen = gen;
        p.pkt->flags = VMLAT_PKT_MADE;
        p.pkt->segments = 1;
        p.pkt->t[VMLAT_P_RX] = now;
        p.pkt->t[VMLAT_P_OVS] = now;
        p.pkt->last = VMLAT_P_EXECUTE;
    } else {
        if (!take(cpu, &p, id, now)) {
            count_fate(cpu, &u->packet, VMLAT_F_TABLE_FULL);
            bpf_map_delete_elem(&upcalls, &best);
            return 0;
        }
        gen = p.pkt->gen;
        *p.pkt = u->packet;
        p.pkt->gen = gen;
        p.pkt->t[VMLAT_P_EXECUTE] = now;
        p.pkt->last = VMLAT_P_EXECUTE;
        if (handler) {
            p.pkt->install_ns = handler->install_ns;
            handler->install_ns = 0;
            handler->executed++;
            small_hist_add(&handler->handling,
                           now - u->packet.t[VMLAT_P_HANDLER], false);
        }
        if (config.active & VMLAT_BPF_EVENTS) {
            struct vmlat_bpf_details *d;

            d = bpf_map_lookup_elem(&details, &p.index);
            if (d) {
                *d = u->details;
            }
            note(ctx, p.index, VMLAT_P_EXECUTE, 0, 0);
        }
        bpf_map_delete_elem(&upcalls, &best);
    }
    if (handler) {
        handler->exec_ref.index = p.index;
        handler->exec_ref.gen = p.pkt->gen;
    }
    return 0;
}

/* Connection tracking. */

static __always_inline int
on_ct(__u64 id)
{
    struct now *n = this_now();
    struct place p;

    n->ct_id = 0;
    if (find(&p, id)) {
        n->ct_id = id;
        p.pkt->ct_since = bpf_ktime_get_ns();
    }
    return 0;
}

static __always_inline int
on_ct_done(void)
{
    struct now *n = this_now();
    struct place p;

    if (n->ct_id && find(&p, n->ct_id)) {
        p.pkt->ct_ns += bpf_ktime_get_ns() - p.pkt->ct_since;
        p.pkt->ct_passes++;
    }
    n->ct_id = 0;
    return 0;
}

/* Installing flows. */

static __always_inline int
on_install(bool done)
{
    __u32 tid = bpf_get_current_pid_tgid();
    struct vmlat_bpf_handler *handler = bpf_map_lookup_elem(&handlers, &tid);
    __u64 now = bpf_ktime_get_ns();

    if (!handler) {
        return 0;
    }
    if (!done) {
        handler->install_since = now;
    } else if (handler->install_since) {
        handler->install_ns += now - handler->install_since;
        handler->installed++;
        small_hist_add(&handler->install, now - handler->install_since,
                       false);
        handler->install_since = 0;
    }
    return 0;
}

/* The programs at functions: for the kernels whose BTF describes the function,
 * and kprobes for the others.
 *
 * POINT(name, function, n, call): 'call' may use 'ctx', 'skb', which is
 * argument 'n' of the function, and its 'id'. */
#define POINT(NAME, FUNCTION, N, CALL)                              \
    SEC("fentry/" FUNCTION)                                         \
    int NAME(__u64 *ctx)                                            \
    {                                                               \
        struct sk_buff *skb = (void *) (long) ctx[N - 1];           \
        __u64 id = id_of(skb);                                      \
                                                                    \
        (void) id;                                                  \
        return CALL;                                                \
    }                                                               \
    SEC("kprobe/" FUNCTION)                                         \
    int NAME##_kprobe(struct pt_regs *ctx)                          \
    {                                                               \
        struct sk_buff *skb = (void *) PT_REGS_PARM##N(ctx);        \
        __u64 id = id_of_number((__u64) (long) skb);                \
                                                                    \
        (void) id;                                                  \
        return CALL;                                                \
    }
#define POINT_RETURN(NAME, FUNCTION, CALL)                          \
    SEC("fexit/" FUNCTION)                                          \
    int NAME(void *ctx)                                             \
    {                                                               \
        return CALL;                                                \
    }                                                               \
    SEC("kretprobe/" FUNCTION)                                      \
    int NAME##_kprobe(struct pt_regs *ctx)                          \
    {                                                               \
        return CALL;                                                \
    }

SEC("fentry/ovs_dp_process_packet")
int
vmlat_ovs(__u64 *ctx)
{
    struct sk_buff *skb = (void *) (long) ctx[0];

    return on_ovs(ctx, skb, id_of(skb), (__u64) (long) skb->head);
}

SEC("kprobe/ovs_dp_process_packet")
int
vmlat_ovs_kprobe(struct pt_regs *ctx)
{
    struct sk_buff *skb = (void *) PT_REGS_PARM1(ctx);

    return on_ovs(ctx, skb, id_of_number((__u64) (long) skb),
                  (__u64) (long) BPF_CORE_READ(skb, head));
}

POINT(vmlat_send, "ovs_vport_send", 2, on_send(ctx, skb, id))
POINT(vmlat_upcall, "ovs_dp_upcall", 2, on_upcall(ctx, skb, id))
POINT(vmlat_message, "netlink_unicast", 2, on_message(skb, id))
POINT(vmlat_execute, "ovs_flow_key_extract_userspace", 3,
      on_execute(ctx, skb, id))
POINT(vmlat_ct, "ovs_ct_execute", 2, on_ct(id))
POINT_RETURN(vmlat_ct_done, "ovs_ct_execute", on_ct_done())
POINT(vmlat_install, "ovs_flow_cmd_new", 1, on_install(false))
POINT_RETURN(vmlat_install_done, "ovs_flow_cmd_new", on_install(true))
